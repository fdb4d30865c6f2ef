"""One event of a stepped trace as a scene: CPUs, vmemmap, victim order, and what came of it."""

import io
import textwrap
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from pfnlab.figures.palette import GREY, ILLEGAL, INK, PIN
from pfnlab.figures.scenes import brush, cpus, order, strip, vmemmap
from pfnlab.figures.scenes.moments import Kind, Moment, Tale, tale_of
from pfnlab.figures.scenes.sentences import asked, told

_DPI = 100
#: Pictures that are kept: 10 MB of them.
KEPT = 256
_LINE_CHARACTERS = 112
_BADGES: dict[Kind, tuple[str, str]] = {
    "refusal": ("REFUSED", ILLEGAL),
    "skip": ("PIN SKIPPED", PIN),
    "eviction": ("EVICTION", ILLEGAL),
    "fault": ("FAULT", INK),
    "hit": ("HIT", GREY),
    "put": ("PUT", PIN),
}


def scene(frame: pd.DataFrame, event: int) -> Figure:
    """Draw what one event of the first replay does, with what is held before and after it.

    Parameters
    ----------
    frame
        What `pfnlab.steps` gives, with the parameters and the source's name as columns, of a
        region of a few chunks (`pfnlab.claims.measures.mechanism`).
    event
        Number of the event, from 0.

    Raises
    ------
    FrameError
        If the frame lacks columns or events, its region is too large to draw, or it has no such
        event.
    """
    tale = tale_of(frame)
    moment = tale.at(event)
    axes = brush.new_axes(_DPI)
    _draw_still(axes, tale, vmemmap.drawn_granules(moment))
    _draw_moment(axes, tale, moment)
    return axes.figure  # type: ignore[return-value]  # it is no subfigure


def _draw_still(axes: Axes, tale: Tale, covered: frozenset[int] = frozenset()) -> None:
    """Draw what is the same for all events, but for granules that will be drawn over."""
    setting = tale.setting
    sizes = f"{setting.chunk_granules} granules, {setting.granule_pfns} pages each"
    brush.heading(axes, cpus.LEFT, 54.6, "CPUs")
    brush.heading(axes, vmemmap.LEFT, 54.6, f"vmemmap: chunks of {sizes}")
    brush.heading(axes, order.LEFT, 54.6, order.title(tale))
    vmemmap.draw_names(axes, tale, covered)
    order.draw_ends(axes, tale)
    strip.draw_lanes(axes, tale)


def _draw_moment(axes: Axes, tale: Tale, moment: Moment) -> Text:
    """Draw what belongs to one event, and return the title, which is not in the axes."""
    title = _banner(axes, tale, moment)
    cpus.draw_cpus(axes, tale, moment)
    vmemmap.draw_vmemmap(axes, tale, moment)
    _request(axes, tale, moment)
    order.draw_order(axes, tale, moment)
    _reserve(axes, tale, moment)
    strip.draw_strip(axes, tale, moment)
    return title


def _banner(axes: Axes, tale: Tale, moment: Moment) -> Text:
    """Write who asked for what, and, as the title of the figure, what came of it."""
    text, colour = next(look for kind, look in _BADGES.items() if kind in moment.kinds)
    brush.pill(axes, 2, 61.9, 14, 3.0, facecolor=brush.tint(colour, 0.12), edgecolor=colour, lw=2)
    brush.words(axes, 9, 63.4, text, ha="center", color=colour, fontweight="bold",
                fontsize=brush.PLAIN)  # fmt: skip
    brush.words(axes, 17.5, 63.4, f"event {moment.event}: {asked(moment)}", fontweight="bold",
                fontsize=brush.LARGE)  # fmt: skip
    source = f"{tale.setting.source} ({tale.setting.evidence})"
    brush.words(axes, brush.WIDTH - 2, 63.4, source, ha="right", color=GREY)
    lines = textwrap.wrap(told(moment, tale.setting), _LINE_CHARACTERS)
    look: brush.Look = {"ha": "left", "va": "top", "fontsize": brush.PLAIN, "linespacing": 1.3}
    place = {"x": 2 / brush.WIDTH, "y": 60.9 / brush.HEIGHT}
    title: Text = axes.figure.suptitle("\n".join(lines), **place, **look, color=INK)
    return title


def _request(axes: Axes, tale: Tale, moment: Moment) -> None:
    """Draw the way from the caller to the chunk it asks for."""
    start = (cpus.RIGHT + 0.4, cpus.middle(tale, moment))
    end = (vmemmap.LEFT - 0.3, vmemmap.row_of(tale, moment.chunk))
    colour = ILLEGAL if moment.refused else INK
    brush.arrow(axes, start, end, color=colour)
    if moment.refused:
        brush.cross(axes, (start[0] + end[0]) / 2, (start[1] + end[1]) / 2, 1.2, lw=3)


def _reserve(axes: Axes, tale: Tale, moment: Moment) -> None:
    """Write what is left for callers that can't sleep."""
    whole, left = tale.setting.reserve_granules, moment.after.reserve_left
    text = f"reserve: {left} of {whole} granules left" if whole else "no reserve for atomic callers"
    used = left < moment.before.reserve_left
    look = {"color": INK, "fontweight": "bold"} if used else {"color": GREY}
    brush.words(axes, cpus.LEFT, 17.0, text, **look)


def _canvas_of(axes: Axes) -> Any:  # whose methods have no annotations
    return FigureCanvasAgg(axes.figure)  # type: ignore[arg-type]  # it is no subfigure


class Film:
    """The scenes of all events of a frame as PNG, drawn when first asked for; the last are kept.

    Parameters
    ----------
    frame
        As for `scene`.

    Raises
    ------
    FrameError
        As `scene`.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._tale = tale_of(frame)
        self._axes = brush.new_axes(_DPI)
        _draw_still(self._axes, self._tale)
        self._canvas = _canvas_of(self._axes)
        self._canvas.draw()
        self._still = self._canvas.copy_from_bbox(self._axes.bbox)
        self._pictures: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self._tale.moments)

    def told(self, event: int) -> str:
        """Return the sentence that says what an event did."""
        moment = self._tale.at(event)
        return f"event {event}: {asked(moment)}. {told(moment, self._tale.setting)}"

    def kinds(self, event: int) -> frozenset[Kind]:
        """Return what a person may look for in an event."""
        return self._tale.at(event).kinds

    def events(self, kind: Kind) -> list[int]:
        """Return the events of a kind, ascending."""
        return [moment.event for moment in self._tale.moments if kind in moment.kinds]

    def png(self, event: int) -> bytes:
        """Return the scene of an event as a PNG file's bytes."""
        picture = self._pictures.pop(event, None) or self._drawn(self._tale.at(event))
        self._pictures[event] = picture  # now the last that was asked for
        if len(self._pictures) > KEPT:
            del self._pictures[next(iter(self._pictures))]
        return picture

    def is_drawn(self, event: int) -> bool:
        """Whether the scene of an event is kept."""
        return event in self._pictures

    def _drawn(self, moment: Moment) -> bytes:
        """Draw what moves over what stays, and take it away again."""
        self._canvas.restore_region(self._still)
        stays = {*self._axes.get_children()}
        title = _draw_moment(self._axes, self._tale, moment)
        moving = [artist for artist in self._axes.get_children() if artist not in stays]
        for artist in sorted([*moving, title], key=lambda artist: artist.zorder):
            self._axes.draw_artist(artist)
        for artist in moving:
            artist.remove()
        return _encoded(np.asarray(self._canvas.buffer_rgba())[..., :3])


def _encoded(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return RGB pixels as a PNG file's bytes.

    In 256 colours by octree they take 4 ms and 40 kB, in true colour 13 ms and 100 kB, which also
    the browser must read for each key press.
    """
    buffer = io.BytesIO()
    picture = Image.fromarray(pixels).quantize(256, method=Image.Quantize.FASTOCTREE)
    picture.putpalette([255 if level > 252 else level for level in picture.getpalette() or []])
    picture.save(buffer, "png", compress_level=1)
    return buffer.getvalue()
