"""The main job: every claim notebook headless on the shipped trace, then verdicts and pictures."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, groupby
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

import pandas as pd

from pfnlab import claims, figures, notebooks
from pfnlab.claims import Verdict
from pfnlab.errors import NotebookError
from pfnlab.notebooks import chapters, gallery
from pfnlab.notebooks.chapters import Chapter, in_order, summary, verdicts
from pfnlab.notebooks.report import write_report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BEGIN, END = "<!-- claims: written by ./run demo -->", "<!-- claims end -->"
#: The page that has the figures of every verdict.
VERDICTS = "docs/verdicts.md"
_OVERVIEW_WIDTH = 78
_DPI = 120


def run(chapter: Chapter, folder: Path) -> claims.Verdicts:
    """Execute one notebook; leave notebook, frame and picture in `folder`."""
    frame_path = folder / f"{chapter.notebook}.parquet"
    notebooks.execute(
        chapter.notebook, {"out": str(frame_path)}, folder / f"{chapter.notebook}.ipynb"
    )
    frame = pd.read_parquet(frame_path)
    picture = chapter.figure(frame)
    for kind, saved in (("png", _png), ("svg", figures.svg), ("pdf", figures.pdf)):
        (folder / f"{chapter.notebook}.{kind}").write_bytes(saved(picture))
    print(f"{chapter.notebook}: {len(frame)} points", file=sys.stderr, flush=True)
    return verdicts(chapter, frame)


def _png(picture: Figure) -> bytes:
    return figures.png(picture, _DPI)


def table(found: Mapping[str, Iterable[Verdict]]) -> str:
    """Return the claims of all notebooks as a Markdown table, in the order of their numbers."""
    lines = ["| verdict | claim of the thread | notebook |", "|---|---|---|"]
    for verdict, notebook in in_order(found):
        details = f"[{verdict.claim}]({VERDICTS}#{verdict.claim.lower()})"
        link = f"[{notebook.partition('_')[0]}](notebooks/{notebook}.ipynb)"
        statement = verdict.statement.replace("|", r"\|")  # it stands in a cell
        lines.append(f"| **{verdict.answer}** | {details} {statement} | {link} |")
    return "\n".join(lines) + "\n"


def details(found: Mapping[str, Iterable[Verdict]]) -> str:
    """Return every verdict with who argued the claim and the figures that decide, as Markdown."""
    parts = []
    for claim, some in groupby(in_order(found), key=lambda row: row[0].claim):
        parts.append(f"## {claim}")
        for verdict, notebook in some:
            link = f"[{notebook}](../notebooks/{notebook}.ipynb)"
            head = f"**{verdict.answer}** ({verdict.kind}): {verdict.statement}."
            parts.append(f"{head}\nFrom: {verdict.who}. Judged in {link}.")
            parts.append("\n".join(f"* {line}" for line in verdict.evidence.splitlines()))
    return "\n\n".join(parts) + "\n"


def overview(found: Mapping[str, Iterable[Verdict]]) -> str:
    """Return a line for each verdict, without its figures: what fits a screen."""
    return "\n".join(
        f"{verdict.claim:<4}{verdict.answer:<13} {notebook.partition('_')[0]}  "
        + shorten(verdict.statement, _OVERVIEW_WIDTH, placeholder=" ...")
        for verdict, notebook in in_order(found)
    )


def with_table(page: str, text: str) -> str:
    """Return a page, the README or that of the verdicts, with `text` between its markers."""
    before, rest = page.split(BEGIN, 1)
    return f"{before}{BEGIN}\n\n{text}\n{END}{rest.split(END, 1)[1]}"


def main() -> int:
    """Run the demo from the root of the checkout; 0 if every notebook ran."""
    started = time.monotonic()
    if not notebooks.FOLDER.is_dir():
        raise NotebookError(f"{notebooks.FOLDER}: no such folder; run the demo in a checkout")
    folder = notebooks.ROOT / "results"
    folder.mkdir(exist_ok=True)
    doing = f"replaying real traces and workloads in {len(chapters.CHAPTERS)} notebooks ..."
    print(doing, file=sys.stderr, flush=True)
    with ThreadPoolExecutor(2) as pool:
        every = list(pool.map(lambda chapter: run(chapter, folder), chapters.CHAPTERS))
    names = [chapter.notebook for chapter in chapters.CHAPTERS]
    found = dict(zip(names, every, strict=True))
    (folder / "verdicts.md").write_text(details(found))
    gallery.leave_frames(folder)
    pictures = gallery.write(folder)
    report = write_report(folder)
    for name, text in (("README.md", table(found)), (VERDICTS, details(found))):
        page = notebooks.ROOT / name
        page.write_text(with_table(page.read_text(), text))
    for verdict, notebook in in_order(found):
        print(f"{verdict}\n  see notebooks/{notebook}.ipynb\n")
    print(f"In short, with the number of the notebook:\n\n{overview(found)}\n")
    print(summary(chain.from_iterable(every)))
    seconds = time.monotonic() - started
    print(f"{report.name}, frames, pictures and notebooks are in results/, "
          f"all figures in {pictures.relative_to(notebooks.ROOT)} ({seconds:.0f} s)")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
