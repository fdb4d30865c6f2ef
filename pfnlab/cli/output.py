"""Output of commands: lines, tables, JSON, progress, frames and pictures."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pfnlab.errors import ParameterError

if TYPE_CHECKING:
    import argparse

    import pandas as pd
    from matplotlib.figure import Figure

KINDS = ("png", "svg", "pdf")
_DPI = 120
_GAP = "  "


def say(text: str) -> None:
    """Write a line about the command itself, to stderr."""
    sys.stderr.write(f"pfnlab: {text}\n")


def print_lines(lines: Iterable[str]) -> None:
    """Write lines to stdout, one by one, so that a closed pipe is noticed."""
    for line in lines:
        sys.stdout.write(f"{line}\n")


def print_json(facts: object, **options: Any) -> None:
    """Write one JSON text to stdout."""
    sys.stdout.write(json.dumps(facts, **options) + "\n")


@contextmanager
def progress(name: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal, and give the function that moves it on by so many units."""
    from tqdm import tqdm

    with tqdm(total=total, desc=name, unit=unit, unit_scale=True, disable=None) as bar:

        def move(n_units: int) -> None:
            bar.update(n_units)

        yield move


# --- Files ------------------------------------------------------------------------------------


def kind_of(path: str, *others: str) -> str:
    """Return the kind of file that a path asks for; one that is no picture must be in `others`."""
    kinds = (*others, *KINDS)
    kind = path.rpartition(".")[2]
    if kind not in kinds:
        *first, last = (f".{name}" for name in kinds)
        raise ParameterError("output", path, f"must end in {', '.join(first)} or {last}")
    return kind


def save_picture(figure: Figure, path: str) -> None:
    """Write a figure as the kind that its path names, whole or not at all."""
    from pfnlab import figures
    from pfnlab.files import whole_file

    kind = kind_of(path)
    vector = figures.pdf if kind == "pdf" else figures.svg
    with whole_file(path) as temporary:
        temporary.write_bytes(figures.png(figure, _DPI) if kind == "png" else vector(figure))


def show(frame: pd.DataFrame, arguments: argparse.Namespace, columns: list[str]) -> None:
    """Write a table where `flags.add_output` says: to a file, as JSON, or some columns of it."""
    from pfnlab.frames import readable, write_frame

    if arguments.output:
        say(f"wrote {write_frame(frame, arguments.output)}")
    if arguments.json:
        print_json(rows_of(frame))
    elif not arguments.output:
        sys.stdout.write(readable(frame[columns]).to_string() + "\n")


# --- Tables -----------------------------------------------------------------------------------


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as JSON has them, numbers to the last bit; NA becomes null."""
    present = frame.notna().to_dict("records")
    rows = zip(frame.to_dict("records"), present, strict=True)
    return [{str(n): v if there[n] else None for n, v in row.items()} for row, there in rows]


def table_lines(frame: pd.DataFrame) -> Iterator[str]:
    """Yield a heading and one line per row; the first column is text, to the left.

    A name such as ``shared_refcount`` stands over two lines, cut before its last word, so that
    a column is no wider than it must be.
    """
    from pfnlab.frames import readable

    yes_or_no = {True: "yes", False: "no"}
    plain = {
        name: column.astype("object").map(yes_or_no) if column.dtype == "boolean" else column
        for name, column in frame.items()
    }
    text = readable(frame.assign(**{str(name): column for name, column in plain.items()}))
    columns = [[*_heading(str(name)), *(cell or "NA" for cell in text[name])] for name in text]
    widths = [max(map(len, column)) for column in columns]
    for cells in zip(*columns, strict=True):
        first, *others = zip(cells, widths, strict=True)
        line = _GAP.join([f"{first[0]:{first[1]}}", *(f"{cell:>{w}}" for cell, w in others)])
        yield line.rstrip()


def _heading(name: str) -> tuple[str, str]:
    first, _, last = name.rpartition("_")
    return (first, f"_{last}") if first else ("", last)
