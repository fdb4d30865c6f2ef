"""`write_report`: a folder of results, or one frame, as one HTML file that needs nothing else.

`parts` finds the frames and what belongs to them, `provenance` says where they come from, and
`markup` fills the template ``page.html``.
"""

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from pfnlab.files import whole_file
from pfnlab.frames import readable
from pfnlab.frames.changes.row_pairs import plain
from pfnlab.notebooks.chapters import in_order, summary
from pfnlab.notebooks.report import provenance
from pfnlab.notebooks.report.markup import rendered
from pfnlab.notebooks.report.parts import Part, parts_of

__all__ = ["NAME", "write_report"]

NAME = "report.html"
_ROWS = 40
_CLAIM_HEADS = ("No.", "Claim, and who argued it", "Verdict", "Figures that decide")


def write_report(
    path: str | os.PathLike[str], output: str | os.PathLike[str] | None = None
) -> Path:
    """Write one self-contained HTML file: verdicts, figures, where all comes from.

    Parameters
    ----------
    path
        A folder that ``./run demo`` or notebooks left, or one frame.
    output
        The HTML file; if None, ``report.html`` in the folder, or beside the frame by its name.

    Raises
    ------
    FrameError
        If there is no frame, or one can't be read.
    FileError
        If the report can't be written.
    """
    source = Path(path)
    parts = parts_of(source)
    target = Path(output) if output else _beside(source)
    with whole_file(target) as temporary:
        temporary.write_text(page(parts), encoding="utf-8")
    return target


def _beside(source: Path) -> Path:
    return source / NAME if source.is_dir() else source.with_suffix(".html")


def page(parts: list[Part]) -> str:
    """Return the whole page."""
    found = in_order({part.name: part.verdicts for part in parts})
    if found:
        title = "What the thread claimed, and what the replays say"
    else:
        title = f"Results: {parts[0].title}" if len(parts) == 1 else "Results"
    return rendered("page.html", {
        "version": version("pfnlab"),
        "title": title,
        "found": found,
        "summary": summary(verdict for verdict, _ in found),
        "claim_heads": _CLAIM_HEADS,
        "parts": parts,
        "n_rows": sum(len(part.frame) for part in parts),
        "counted": _counted,
        "place": _place,
        "rows_of": _rows,
        "facts": provenance.facts,
        "origin": provenance.origin(parts),
        "frame_heads": provenance.FRAME_HEADS,
        "frames": provenance.frames(parts),
        "commands": provenance.commands(parts),
    })  # fmt: skip


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("s" if number != 1 else "")


def _place(part: Part) -> str:
    """Return the anchor of a part."""
    plain = (c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in part.name)
    return f"part-{''.join(plain)}"


def _rows(part: Part) -> dict[str, Any]:
    """Return the first rows, of the columns that vary, and the values of the other columns."""
    values = pd.DataFrame(
        {str(name): [_scalar(value) for value in column] for name, column in part.frame.items()},
        dtype="object",
    )
    varying = [name for name in values if values[name].nunique(dropna=False) > 1]
    shown = readable(values[varying or [*values][:1]].head(_ROWS))
    first = readable(values.drop(columns=varying).head(1)).to_dict("records")
    return {
        "caption": f"{len(shown):,} of {_counted(len(values), 'row')}, columns that vary",
        "heads": [*shown.columns],
        "cells": shown.itertuples(index=False, name=None),
        "constants": first[0].items() if first else [],
    }


def _scalar(value: Any) -> object:
    value = plain(value)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
