"""``pfnlab compare A B``: what differs between two frames, or two folders of them, like diff."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pfnlab.errors import FrameError

if TYPE_CHECKING:
    import pandas as pd

    from pfnlab.frames.changes import Changes

SAME, DIFFERENT = 0, 1
_LABEL = 12
_DIGEST = 12
_KINDS = ("*.parquet", "*.csv")
_SIDES = "AB"
_SECTIONS = {"count": "values", "time": "times", "measured": "measured"}


@dataclass(frozen=True, slots=True)
class Compared:
    """Two frames of one name: what differs, and what else their metadata say."""

    name: str
    changes: Changes
    about: Mapping[str, tuple[Any, Any]]
    before: pd.DataFrame


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("before", metavar="A", help="a frame (.parquet, .csv), or a folder of them")
    parser.add_argument("after", metavar="B", help="the other")
    parser.add_argument(
        "--noise", type=float, default=None, metavar="SHARE",
        help="how far a measured figure may move, beside its recorded spread (0.05)",
    )  # fmt: skip
    parser.add_argument(
        "--most", type=int, default=10, metavar="N", help="show so many of each kind of change (10)"
    )
    parser.add_argument("--json", action="store_true", help="print the changes as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Compare frame by frame; exit status 0 if all are equal, 1 if any differs."""
    before, after = Path(arguments.before), Path(arguments.after)
    alone, pairs = _pairs(before, after)
    noise = {} if arguments.noise is None else {"noise": arguments.noise}
    found = [_compared(*pair, noise) for pair in pairs]
    equal = not alone and all(one.changes.equal for one in found)
    if arguments.json:
        every = [_facts(one, max(arguments.most, 0)) for one in found]
        facts = {"equal": equal, "alone": [*map(str, alone)], "frames": every}
        sys.stdout.write(json.dumps(facts, default=str) + "\n")
        return SAME if equal else DIFFERENT
    for path in alone:
        sys.stdout.write(f"only in {path.parent}: {path.name}\n")
    for line in chain.from_iterable(_lines(one, max(arguments.most, 0)) for one in found):
        sys.stdout.write(f"{line}\n")  # one by one, so that a closed pipe is noticed
    return SAME if equal else DIFFERENT


def _pairs(before: Path, after: Path) -> tuple[list[Path], list[tuple[Path, Path]]]:
    """Return the frames that only one folder has, and those to compare."""
    if before.is_dir() != after.is_dir():
        raise FrameError(f"{before}, {after}: must both be frames, or both folders of frames")
    if not before.is_dir():
        return [], [(before, after)]
    first, second = _frames(before), _frames(after)
    alone = [(first | second)[name] for name in sorted(first.keys() ^ second.keys())]
    return alone, [(first[name], second[name]) for name in sorted(first.keys() & second.keys())]


def _frames(folder: Path) -> dict[str, Path]:
    found = {path.name: path for kind in _KINDS for path in folder.glob(kind)}
    if not found:
        raise FrameError(f"{folder}: has no frames ({' or '.join(_KINDS)})")
    return found


def _compared(before: Path, after: Path, noise: Mapping[str, float]) -> Compared:
    from pfnlab.frames import about_rows, read_rows
    from pfnlab.frames.changes import changes

    first, second = read_rows(before), read_rows(after)
    about = [_made_with(about_rows(path)) for path in (before, after)]
    known = [name for name in about[0] if name in about[1]]  # what one does not say is no change
    differing = {n: (about[0][n], about[1][n]) for n in known if about[0][n] != about[1][n]}
    name = after.name if before.name == after.name else f"{before.name}, {after.name}"
    return Compared(name, changes(first, second, **noise), differing, first)


def _made_with(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the versions and digests among the metadata; the rows show the parameters."""
    return _flat({n: value for n, value in about.items() if n not in ("parameters", "request")})


def _flat(about: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested metadata by dotted names."""
    flat: dict[str, Any] = {}
    for name, value in about.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _lines(one: Compared, most: int) -> Iterator[str]:
    changes = one.changes
    if changes.equal:
        yield f"{one.name}: equal ({changes.n_paired:,} rows{_noisy(changes)})"
    else:
        said = f"{changes.n_before:,} and {changes.n_after:,} rows, {changes.n_paired:,} paired"
        yield f"{one.name}: differs ({said})"
    for label, text in _texts(one, most):
        yield f"  {label:{_LABEL}}{text}"


def _texts(one: Compared, most: int) -> Iterator[tuple[str, str]]:
    """Yield each change under a label; a label that stood in the line before is left out."""
    before = ""
    for label, text in _labelled(one, most):
        yield ("" if label == before else label), text
        before = label


def _labelled(one: Compared, most: int) -> Iterator[tuple[str, str]]:
    changes = one.changes
    for name, (first, second) in one.about.items():
        yield "made with", f"{name} {str(first)[:_DIGEST]} -> {str(second)[:_DIGEST]}"
    only_columns = changes.only_before_columns, changes.only_after_columns
    for side, columns in zip(_SIDES, only_columns, strict=True):
        if columns:
            yield "columns", f"only in {side}: {', '.join(columns)}"
    for name, (first, second) in changes.constants.items():
        yield "parameters", f"{name} {_show(name, first)} -> {_show(name, second)} in every row"
    for name, sides in changes.values.items():
        both = zip(_SIDES, sides, strict=True)
        only = [f"{_listed(name, some, most)} only in {side}" for side, some in both if some]
        yield "parameters", f"{name} {'; '.join(only)}"
    for side, rows in zip(_SIDES, (changes.only_before, changes.only_after), strict=True):
        yield from (("rows", text) for text in _alone(rows, changes, side, most))
    for first, second in changes.costs:
        yield "costs", f"{first} -> {second}"
    for kind, label in _SECTIONS.items():
        yield from ((label, text) for text in _cells(one, kind, most))
    if changes.n_following:
        yield "times", f"{changes.n_following:,} follow from the above"
    if changes.n_within_noise and not changes.equal:
        yield "measured", f"{changes.n_within_noise:,} moved within their noise"


def _noisy(changes: Changes) -> str:
    n_moved = changes.n_within_noise
    return f"; {n_moved:,} measured figures moved within their noise" if n_moved else ""


def _alone(rows: pd.DataFrame, changes: Changes, side: str, most: int) -> Iterator[str]:
    shown = rows.head(most if changes.names else 0)
    columns = _varying(rows, changes)
    for row in shown.to_dict("records"):
        yield f"only in {side}: {_name(row, columns)}"
    if len(rows) > len(shown):
        yield f"only in {side}: {len(rows) - len(shown):,} {'more' if len(shown) else 'rows'}"


def _cells(one: Compared, kind: str, most: int) -> Iterator[str]:
    cells = one.changes.cells
    some = cells[cells["kind"] == kind]
    varying = [name for name in one.changes.names if one.before[name].nunique() > 1]
    for cell in some.head(most).to_dict("records"):
        column = cell["column"]
        first, second = _show(column, cell["before"]), _show(column, cell["after"])
        row = _name(one.before.iloc[cell["before_row"]].to_dict(), varying)
        yield f"{column} {first} -> {second}{_times(cell['ratio'])}  [{row}]"
    if len(some) > most:
        n_rows = some["before_row"].nunique()
        yield f"{len(some):,} in {n_rows:,} rows, of which the largest {most:,} are shown"


def _times(ratio: float) -> str:
    if not 0 < ratio < float("inf"):
        return ""
    return f" ({100 * (ratio - 1):+.2g}%)" if 0.5 < ratio < 2 else f" (x {ratio:.3g})"


def _varying(rows: pd.DataFrame, changes: Changes) -> list[str]:
    return [n for n in changes.names if n in changes.values or rows[n].nunique() > 1]


def _name(row: Mapping[Any, Any], columns: list[str]) -> str:
    """Say which row it is, by what varies."""
    from pfnlab.frames.changes.row_pairs import plain

    named = [(name, plain(row[name])) for name in columns]
    texts = [f"{name} {_show(name, value)}" for name, value in named if value is not None]
    return ", ".join(texts) or "any row"


def _listed(name: str, values: list[Any], most: int) -> str:
    shown = ", ".join(_show(name, value) for value in values[: max(most, 1)])
    more = len(values) - max(most, 1)
    return f"{shown} and {more:,} more" if more > 0 else shown


def _show(name: str, value: object) -> str:
    """Write a value as the tables do, exactly where it is a count."""
    from pfnlab.params.units import format_bytes, short_ns

    if value is None:
        return "NA"
    if isinstance(value, bool | str) or not isinstance(value, int | float):
        return str(value)
    if name.endswith("_bytes") and float(value).is_integer():
        return format_bytes(int(value))
    if name.endswith("_ns"):
        return short_ns(value)
    return f"{int(value):,}" if float(value).is_integer() else f"{value:.6g}"


def _facts(one: Compared, most: int) -> dict[str, Any]:
    """Return the changes of one frame for programs; of cells and rows the first `most`."""
    changes = one.changes
    rows = (changes.only_before, changes.only_after)
    alone = [json.loads(some.head(most).to_json(orient="records")) for some in rows]
    return {
        "name": one.name,
        "equal": changes.equal,
        "rows": [changes.n_before, changes.n_after],
        "paired": changes.n_paired,
        "made_with": one.about,
        "only_columns": [changes.only_before_columns, changes.only_after_columns],
        "constants": changes.constants,
        "values": changes.values,
        "only_rows": alone,
        "n_only_rows": [len(some) for some in rows],
        "costs": changes.costs,
        "cells": json.loads(changes.cells.head(most).to_json(orient="records")),
        "n_cells": len(changes.cells),
        "n_following": changes.n_following,
        "n_within_noise": changes.n_within_noise,
    }
