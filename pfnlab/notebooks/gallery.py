"""A page of all figures: the picture, the claim that is its title, and the call that draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pandas as pd

from pfnlab import figures, notebooks
from pfnlab.alternatives.advice import advise
from pfnlab.claims.measures import against_theory
from pfnlab.engine.exploration import explore
from pfnlab.engine.trace_summary import portrait
from pfnlab.notebooks import chapters
from pfnlab.params import Params
from pfnlab.traces.formats import load

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = notebooks.ROOT / "docs"
_TRACE, _ADVISED = "data/traces/pgbench.parquet", "data/traces/sqlite.parquet"
_EXPLORED = Params(chunk_bytes="64KiB", threshold_bytes="8MiB", batch_chunks=32)
_EVENT = 17  # of the toy of notebook 00: all that can happen in a fault happens
#: Enough of `pfnlab.alternatives.advice.GRID` to see a front.
_GRID: Mapping[str, Any] = MappingProxyType(
    {
        "granule_bytes": ("4KiB", "64KiB", "2MiB"),
        "chunk_bytes": ("4KiB", "64KiB", "2MiB"),
        "batch_chunks": (1, 64),
        "threshold_of_footprint": (0.05, 0.1, 0.25, 0.5, 1.0),
        "policy": ("lra", "lru"),
    }
)
_HEAD = """# Gallery

Written by `./run demo`. Each picture comes from one call, most from a frame that the run leaves in
`results/`. A policy, a scheme, a size or a part of a cost has one colour in all of them, and eyes
without green cones tell them apart, too.

```python
from pathlib import Path

import pandas as pd

import pfnlab
from pfnlab import figures, notebooks
from pfnlab.engine.trace_summary import portrait
```

A file is made of each of them the same way: by `figures.svg`, `figures.pdf` or `figures.png`, as in

```python
Path("picture.pdf").write_bytes(figures.pdf(picture))
```
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture of the gallery: the figure's name, how it is made and what a user would type."""

    name: str
    draw: Callable[[Path], Figure]
    call: str
    title: str = ""  # of a drawing that has none


def entries() -> Iterator[Entry]:
    """Yield the entries of the page: the claim notebooks' in order, then the others."""
    for chapter in chapters.CHAPTERS:
        if chapter.claims or not chapter.measured:
            yield _of_frame(chapter.figure, chapter.notebook)
        else:
            yield _of_measurements(chapter.figure)
    yield _of_frame(figures.lazy_purge, "05_shootdowns")
    yield _of_frame(figures.beside_theory, "gallery/theory")
    yield _of_frame(figures.any_sweep, "09_is_lra_enough")
    yield _of_frame(figures.pareto_front, "gallery/advice")
    yield Entry(
        "heat_map",
        lambda results: figures.heat_map(portrait(load(notebooks.ROOT / _TRACE))),
        f'picture = figures.heat_map(portrait(pfnlab.load("{_TRACE}")))',
    )
    yield Entry(
        "exploration",
        lambda results: figures.exploration(explore(load(notebooks.ROOT / _ADVISED), _EXPLORED)),
        'params = pfnlab.Params(chunk_bytes="64KiB", threshold_bytes="8MiB", batch_chunks=32)\n'
        f'seen = pfnlab.explore(pfnlab.load("{_ADVISED}"), params)\n'
        "picture = figures.exploration(seen)",
    )
    yield Entry(
        "scene",
        lambda results: figures.scene(pd.read_parquet(results / "00_model.parquet"), _EVENT),
        f'picture = figures.scene(pd.read_parquet("results/00_model.parquet"), {_EVENT})',
        "A pinned chunk is passed over, and every other CPU flushes what is unmapped instead",
    )


def _of_frame(draw: Callable[[pd.DataFrame], Figure], frame: str) -> Entry:
    call = f'picture = figures.{draw.__name__}(pd.read_parquet("results/{frame}.parquet"))'
    return Entry(
        draw.__name__, lambda results: draw(pd.read_parquet(results / f"{frame}.parquet")), call
    )


def _of_measurements(draw: Callable[[pd.DataFrame], Figure]) -> Entry:
    """Draw recorded measurements, so that the page does not change with the machine."""
    names = tuple(sorted(name for each in chapters.CHAPTERS for _, name in each.measured))
    call = (
        f"names = {names}\n".replace("'", '"')
        + "frames = [notebooks.measured(name) for name in names]\n"
        f"picture = figures.{draw.__name__}(pd.concat(frames, ignore_index=True))"
    )
    return Entry(
        draw.__name__,
        lambda results: draw(pd.concat(map(notebooks.measured, names), ignore_index=True)),
        call,
    )


def leave_frames(results: Path) -> None:
    """Write the frames of figures that no claim notebook leaves: theory's and an advice's."""
    folder = results / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    against_theory.beside_theory().to_parquet(folder / "theory.parquet")
    advice = advise(load(notebooks.ROOT / _ADVISED), grid=_GRID)
    advice.grid.to_parquet(folder / "advice.parquet")


def write(results: Path, folder: Path = FOLDER) -> Path:
    """Draw all figures from the frames in `results`; return the page, ``gallery.md`` in `folder`.

    The pictures are PNG files in ``gallery/`` beside it.
    """
    pictures = folder / "gallery"
    pictures.mkdir(parents=True, exist_ok=True)
    parts = [_HEAD]
    for entry in entries():
        picture = entry.draw(results)
        (pictures / f"{entry.name}.png").write_bytes(figures.png(picture))
        parts.append(_part(entry, entry.title or " ".join(picture.get_suptitle().split())))
    page = folder / "gallery.md"
    page.write_text("\n".join(parts))
    return page


def _part(entry: Entry, title: str) -> str:
    return (
        f"## {title}\n\n![{title}](gallery/{entry.name}.png)\n\n"
        f"```python\n{entry.call}\n```\n"
    )  # fmt: skip
