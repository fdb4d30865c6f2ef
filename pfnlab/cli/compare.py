"""``pfnlab compare A B``: the differences between two frames or two folders, like diff."""

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
    from pfnlab.frames.changes import Changes

SAME, DIFFERENT = 0, 1
_DIGEST = 12
_KINDS = ("*.parquet", "*.csv")


@dataclass(frozen=True, slots=True)
class Compared:
    """Two frames of one name: their changes, and the metadata that differ."""

    name: str
    changes: Changes
    about: Mapping[str, tuple[Any, Any]]


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
    return Compared(name, changes(first, second, **noise), differing)


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
    from pfnlab.frames.changes import labelled

    yield f"{one.name}: {one.changes.head}"
    made = [
        ("made with", f"{name} {str(first)[:_DIGEST]} -> {str(second)[:_DIGEST]}")
        for name, (first, second) in one.about.items()
    ]
    yield from labelled(made)
    yield from one.changes.lines(most)


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
