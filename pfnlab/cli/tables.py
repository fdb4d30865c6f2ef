"""Tables for a terminal: names of columns over two lines, numbers to the right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_GAP = "  "


def table_lines(frame: pd.DataFrame) -> Iterator[str]:
    """Yield a heading and a line a row; the first column is text, to the left.

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
