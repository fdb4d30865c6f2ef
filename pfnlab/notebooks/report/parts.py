"""The parts of a report: each frame with its picture, its verdicts and its provenance."""

from __future__ import annotations

import base64
import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd
from tqdm import tqdm

from pfnlab import figures
from pfnlab.claims import Verdict
from pfnlab.errors import FrameError, PfnlabError
from pfnlab.frames import about_rows, read_rows
from pfnlab.notebooks import chapters
from pfnlab.notebooks.report.markup import clean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")

#: A larger drawing is kept as pixels.
_MOST_SVG_BYTES = 400_000
#: More rows than a picture can show.
_MOST_DRAWN = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A drawing as a ``data:`` address, and what it shows in words."""

    address: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """One frame and everything that the report shows about it.

    Attributes
    ----------
    name, title
        Name of the file without its suffix; the question that its notebook asks, else the name.
    frame
        The rows.
    digest
        SHA-256 of the file.
    about
        Metadata of the frame.
    run
        Metadata of the notebook that papermill executed, if it lies beside the frame.
    verdicts
        One for each claim that the frame decides.
    picture
        None if the frame can't be drawn.
    missing
        Why there is no picture, or no verdict.
    """

    name: str
    title: str
    frame: pd.DataFrame = field(repr=False)
    digest: str
    about: Mapping[str, Any]
    run: Mapping[str, Any]
    verdicts: tuple[Verdict, ...] = ()
    picture: Picture | None = None
    missing: tuple[str, ...] = ()


def parts_of(path: Path) -> list[Part]:
    """Return the parts of a folder of results, or the one part of a frame.

    Raises
    ------
    FrameError
        If there is no such file or folder, or no frame in it.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not path.exists():
        lack = "has no frames (*.parquet)" if path.exists() else "no such folder or frame"
        raise FrameError(f"{path}: {lack}; ./run demo leaves some in results/")
    return [_part(file) for file in tqdm(files, desc=path.name, unit="frame", disable=None)]


def _part(file: Path) -> Part:
    frame = read_rows(file)
    chapter = next((c for c in chapters.CHAPTERS if c.notebook == file.stem), None)
    title, run = _notebook(file.with_suffix(".ipynb"))
    picture, no_picture = _tried(lambda: _picture(frame, chapter))
    verdicts, no_verdict = _tried(lambda: chapters.verdicts(chapter, frame) if chapter else ())
    return Part(
        name=file.stem,
        title=title or file.stem,
        frame=frame,
        digest=hashlib.sha256(file.read_bytes()).hexdigest(),
        about=about_rows(file),
        run=run,
        verdicts=tuple(verdicts or ()),
        picture=picture,
        missing=(
            *(f"No picture: {reason}" for reason in no_picture),
            *(f"No verdict: {reason}" for reason in no_verdict),
        ),
    )


def _tried(make: Callable[[], T]) -> tuple[T | None, list[str]]:
    """Return the result of `make`, or its error: one odd frame must not cost the whole report."""
    try:
        return make(), []
    except PfnlabError as error:
        return None, [str(error)]
    except Exception as error:
        return None, [f"{type(error).__name__}: {error}"]


def _notebook(path: Path) -> tuple[str, Mapping[str, Any]]:
    """Return the title of an executed notebook, and what papermill recorded about its run."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        texts = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "markdown"]
        run = notebook["metadata"].get("papermill", {})
    except FileNotFoundError:
        return "", {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "", {"notebook": f"{path.name} can't be read"}
    titles = (line[2:].strip() for text in texts for line in text.splitlines() if line[:2] == "# ")
    return next(titles, ""), run if isinstance(run, dict) else {}


def _picture(frame: pd.DataFrame, chapter: chapters.Chapter | None) -> Picture:
    if len(frame) > _MOST_DRAWN:
        raise FrameError(f"{len(frame):,} rows are more than one picture shows")
    drawn = _as_drawn(frame)
    with warnings.catch_warnings():  # a name in a script that the font has not
        warnings.simplefilter("ignore")
        figure = chapter.figure(drawn) if chapter else _fitting(drawn)
        kind, data = "svg+xml", figures.svg(figure)
        if len(data) > _MOST_SVG_BYTES:
            kind, data = "png", figures.png(figure, 120)
    encoded = base64.b64encode(data).decode()
    return Picture(address=f"data:image/{kind};base64,{encoded}", words=_words(figure))


def _as_drawn(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with names that a picture can show: no formulas, no control characters."""
    if "source" not in frame:
        return frame
    return frame.assign(source=[clean(str(s)).replace("$", r"\$") for s in frame["source"]])


def _fitting(frame: pd.DataFrame) -> Figure:
    """Draw a frame that belongs to no chapter."""
    if "dram_bytes" in frame and "event_ns" in frame and "scheme" not in frame:
        return figures.pareto_front(frame)
    return figures.schemes(frame) if "scheme" in frame else figures.any_sweep(frame)


def _words(figure: Figure) -> str:
    """Describe a figure to those who can't see it: its title, panels, axes and lines."""
    axes = [one for one in figure.axes if one.get_xlabel()]
    titles = dict.fromkeys(title for one in axes if (title := one.get_title(loc="left")))
    shown = dict.fromkeys(
        " against ".join(label for label in (one.get_ylabel(), one.get_xlabel()) if label)
        for one in axes
    )
    legends = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    said = [figure.get_suptitle(), "Drawn: " + "; ".join(shown)]
    said += [f"Panels: {', '.join(titles)}"] if titles else []
    said += [f"Key: {', '.join(legends)}"] if legends else []
    return ". ".join(" ".join(text.split()) for text in said).replace(r"\$", "$") + "."
