"""What the explorer's pictures are made of: axes with room for what moves, and limits on steps.

Limits move in steps, so that a slider seldom changes them: only then the background is drawn anew.
"""

from collections.abc import Hashable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pfnlab.figures import palette

SMALL, PLAIN = 8.5, 9.0
#: What is pinned for comparison stands behind, in this.
BESIDE = palette.BESIDE
_SHARES = (0.001, 0.002, 0.004, 0.01, 0.02, 0.04, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
_LEFT, _ACROSS = 0.205, 0.74
#: Behind a text that lies on lines.
_VEIL = {"facecolor": "white", "alpha": 0.75, "pad": 1.0, "lw": 0}

Moving = TypeVar("Moving", bound=Artist)


class Panel:
    """One picture: its axes are made once, whatever moves on them is told to `moving`."""

    def __init__(self, figure: FigureBase, title: str) -> None:
        self.moving: list[Artist] = []
        # A text of a figure belongs to no axes, and only those can be asked to paint one artist.
        whole = figure.add_axes((0, 0, 1, 1))
        whole.set_axis_off()
        bold = {"fontsize": 10, "fontweight": "bold", "color": palette.INK}
        self.title = self.moves(whole.text(0.015, 0.94, title, **bold))  # type: ignore[arg-type]
        stamp = whole.text(0.985, 0.94, "", ha="right", fontsize=SMALL, color=palette.GREY)
        self.stamp = self.moves(stamp)

    def moves(self, artist: Moving) -> Moving:
        """Note that an artist is painted anew for every picture, and return it."""
        self.moving.append(artist)
        return artist

    def line(self, axes: Axes, colour: str, **look: Any) -> Line2D:
        """Return a line without points, yet."""
        (line,) = axes.plot([], [], color=colour, **look)
        return self.moves(line)

    def note(self, axes: Axes, colour: str = palette.INK, **look: Any) -> Text:
        """Return a text that says nothing, yet."""
        text = axes.text(0, 0, "", fontsize=SMALL, color=colour, bbox=_VEIL, **look)
        return self.moves(text)


def axes_in(figure: FigureBase, bottom: float, height: float, grid: str = "y") -> Axes:
    """Return axes across a picture, in shares of its height."""
    axes = figure.add_axes((_LEFT, bottom, _ACROSS, height))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color=palette.FAINT, linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALL)
    return axes


def place_in(axes: Axes, bottom: float, height: float) -> None:
    """Move axes within their picture."""
    axes.set_position((_LEFT, bottom, _ACROSS, height))


def events_limit(axes: Axes, n_events: int) -> Hashable:
    """Let the x axis be all events of a trace."""
    axes.set_xlim(0, max(n_events, 1))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
    return n_events


def share_limit(axes: Axes, largest: float) -> Hashable:
    """Let the y axis go from 0 to the next step above a share."""
    top = next((step for step in _SHARES if step >= largest), 1.0)
    axes.set_ylim(0, 1.04 * top)
    axes.set_yticks([0, top / 2, top])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    return top


def power_of_two(size: float) -> float:
    """Return the least power of two that is no less."""
    return float(2 ** int(np.ceil(np.log2(max(size, 1)))))


def nice(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20 and so on that is no less."""
    unit = 10.0 ** np.floor(np.log10(value))
    return float(next(step * unit for step in (1, 2, 5, 10) if step * unit >= value))


def short_count(value: float) -> str:
    """Write a number of events to three digits."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"


def steps_of(values: npt.ArrayLike, ends: npt.ArrayLike) -> tuple[Any, Any]:
    """Return x and y of a line that stays at each value up to its end."""
    x = np.concatenate([[0], np.repeat(np.asarray(ends), 2)[:-1]])
    return x, np.repeat(np.asarray(values), 2)
