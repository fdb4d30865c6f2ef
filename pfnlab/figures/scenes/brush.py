"""What the parts of a scene are drawn with: one axes in tenths of an inch, colours, words.

Artists are added as they are: `Axes.add_patch` and `Axes.plot` also keep data limits, which nobody
asks for here, and take half of the time of a picture with that.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from pfnlab.figures.palette import COLOURS, ILLEGAL, INK

#: Tenths of an inch. As wide as JupyterLab shows unscaled beside its file list, 1280 pixels wide.
WIDTH, HEIGHT = 84.0, 66.0
#: What happens now, and what only parts the rest.
NOW, LINE = "#FFF0A8", "#DDDDDD"
SMALL, PLAIN, LARGE = 8.0, 9.0, 11.0

Look = dict[str, Any]
_BOX: Look = {"facecolor": "white", "edgecolor": LINE, "lw": 1.0}
_PILL: Look = _BOX | {"edgecolor": "none"}
_WORDS: Look = {"fontsize": SMALL, "color": INK, "ha": "left", "va": "center"}
_ARROW: Look = {"arrowstyle": "-|>", "mutation_scale": 11, "color": INK, "lw": 1.6}
_CROSS: Look = {"color": ILLEGAL, "lw": 2.2, "solid_capstyle": "round"}


def new_axes(dpi: int) -> Axes:
    """Return axes as large as their figure, in tenths of an inch."""
    figure = Figure(figsize=(WIDTH / 10, HEIGHT / 10), dpi=dpi)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(0, HEIGHT)
    return axes


def colour_of(chunk: int) -> str:
    """Return the colour that a chunk has everywhere."""
    return COLOURS[chunk % len(COLOURS)]


def tint(colour: str, share: float = 0.42) -> tuple[float, float, float]:
    """Mix a colour with white, so that ink can be read on it."""
    red, green, blue = (1 - share * (1 - part) for part in to_rgb(colour))
    return red, green, blue


def box(axes: Axes, x: float, y: float, width: float, height: float, **look: Any) -> None:
    """Draw a box by its lower left corner."""
    axes.add_artist(Rectangle((x, y), width, height, **_BOX | look))


def pill(axes: Axes, x: float, y: float, width: float, height: float, **look: Any) -> None:
    """Draw a box with round corners."""
    shape = f"round,pad=0,rounding_size={min(width, height) / 3}"
    axes.add_artist(FancyBboxPatch((x, y), width, height, boxstyle=shape, **_PILL | look))


def words(axes: Axes, x: float, y: float, text: str, **look: Any) -> None:
    """Write words, centred on `y` and from `x` on."""
    axes.text(x, y, text, **_WORDS | look)


def heading(axes: Axes, x: float, y: float, text: str) -> None:
    """Write what a part of the scene is."""
    words(axes, x, y, text, fontsize=PLAIN, fontweight="bold")


def line(axes: Axes, xs: Sequence[float], ys: Sequence[float], **look: Any) -> None:
    """Draw a line through some places, or a mark at each."""
    axes.add_artist(Line2D(xs, ys, **look))


def arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], bend: float = 0.0, **look: Any
) -> None:
    """Draw an arrow, bent to the right by `bend` of its length."""
    ends: Look = {"connectionstyle": f"arc3,rad={bend}", "shrinkA": 0, "shrinkB": 0}
    axes.add_artist(FancyArrowPatch(start, end, **_ARROW | ends | look))


def cross(axes: Axes, x: float, y: float, size: float, **look: Any) -> None:
    """Cross something out, around its middle."""
    for slope in (-1, 1):
        ends = [y - slope * size, y + slope * size]
        line(axes, [x - size, x + size], ends, **_CROSS | look)
