"""What all pictures share: empty axes, axes of bytes, labels, legends, and files."""

import io
import re
from collections.abc import Sequence
from math import ceil, floor, isfinite, log2
from textwrap import fill
from typing import Any

from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from matplotlib.transforms import IdentityTransform
from PIL import Image  # matplotlib brings it

from pfnlab.figures import palette
from pfnlab.figures.palette import COLOURS, FAINT, GREY, INK
from pfnlab.params.units import short_bytes

__all__ = ["COLOURS", "GREY", "INK", "PowersOfTwo", "apart", "bytes_axis", "end_label", "heading",
           "legend_below", "new_figure", "of_source", "pdf", "png", "short", "svg"]  # fmt: skip

_PNG_COLOURS = 256
_WHITE = 253  # an octree rounds levels; paper must stay white
_MOST_TICKS = {"x": 5, "y": 7}
_LONGEST_NAME = 24
# Points that a letter takes on average: in a title, a panel's heading, a legend.
_TITLE_POINTS, _HEADING_POINTS, _TEXT_POINTS = 7.6, 5.9, 5.3
_MARGIN_POINTS, _HANDLE_POINTS = 45, 45
_LABEL_POINTS, _LINE_POINTS = 9, 11.5


def new_figure(
    title: str, n_rows: int, n_columns: int, width: float, height: float
) -> tuple[Figure, list[list[Axes]]]:
    """Return a titled figure of empty axes, row by row; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained", dpi=80)
    wrapped = fill(title, int(72 * width / _TITLE_POINTS))
    figure.suptitle(wrapped, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color=FAINT, linewidth=0.8)
        axes.set_axisbelow(True)
    return figure, [list(row) for row in grid]


def heading(axes: Axes, text: str, **about: Any) -> None:
    """Write what a panel shows above it, in lines that fit its width."""
    place = axes.get_subplotspec()
    columns = place.get_gridspec().ncols if place else 1
    points = 72 * axes.get_figure(root=True).get_figwidth() / columns  # type: ignore[union-attr]
    wrapped = fill(text, int((points - _MARGIN_POINTS) / _HEADING_POINTS))
    axes.set_title(wrapped, loc="left", fontsize=10, **about)


def short(name: object, longest: int = _LONGEST_NAME) -> str:
    """Return a name as text to draw, without its middle if it is long: paths differ at their ends.

    A dollar sign, which would begin a formula, is escaped.
    """
    text, head = str(name), (longest - 1) // 2
    if len(text) > longest:
        text = f"{text[:head]}…{text[head + 1 - longest :]}"
    return re.sub(r"(?<!\\)\$", r"\\$", text)


def of_source(source: object, evidence: object) -> str:
    """Return a source's name with what its events stand for."""
    return f"{short(source)} ({evidence})"


def bytes_axis(axes: Axes, which: str, label: str) -> None:
    """Logarithmic to base 2, ticks at powers of two as KiB, MiB, GiB."""
    scale = axes.set_xscale if which == "x" else axes.set_yscale
    scale("log", base=2)
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(PowersOfTwo(_MOST_TICKS[which]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: short_bytes(value)))
    axis.set_label_text(label)


class PowersOfTwo(LogLocator):
    """Ticks at powers of two: two at least, whatever the range, and at most `most`."""

    def __init__(self, most: int) -> None:
        super().__init__(base=2, numticks=most)

    def nonsingular(self, vmin: float, vmax: float) -> tuple[float, float]:
        """Widen a range in which fewer than two powers of two lie."""
        low, high = super().nonsingular(vmin, vmax)
        if floor(log2(high)) - ceil(log2(low)) >= 1:
            return low, high
        return 2.0 ** (ceil(log2(low)) - 1), 2.0 ** (floor(log2(high)) + 1)


# --- Labels -----------------------------------------------------------------------------------


class _EndLabel(Annotation):
    """A label at the end of a line; it gives way to its neighbours wherever the layout puts it."""

    def update_positions(self, renderer: RendererBase) -> None:
        if isinstance(self.axes, Axes):
            _give_way(self.axes)
        super().update_positions(renderer)


def end_label(axes: Axes, x: float, y: float, text: str, colour: str) -> None:
    """Write `text` right of the end of a line, clear of the axes' other labels of this kind."""
    if not (isfinite(x) and isfinite(y)):
        return
    label = _EndLabel(
        text, (x, y), xytext=(6, 0), textcoords="offset points",
        color=palette.text(colour), fontsize=_LABEL_POINTS, va="center", annotation_clip=False,
        clip_on=False,
    )  # fmt: skip
    label.set_transform(IdentityTransform())  # or its offset would be taken for data
    axes.add_artist(label)


def _give_way(axes: Axes) -> None:
    """Raise and lower the labels of `axes` until none lies over another."""
    labels = [each for each in axes.texts if isinstance(each, _EndLabel)]
    points = 72 / axes.get_figure(root=True).dpi  # type: ignore[union-attr]
    low, high = axes.bbox.y0 * points + _LINE_POINTS / 2, axes.bbox.y1 * points - _LINE_POINTS / 2
    ends = [float(axes.transData.transform(label.xy)[1]) * points for label in labels]
    for label, end, place in zip(labels, ends, apart(ends, _LINE_POINTS, low, high), strict=True):
        label.xyann = (6, place - end)


def apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places as near to the wanted ones as can be, `gap` apart and from `low` to `high`.

    In the order that is wanted; what does not fit between the bounds goes beyond `high`.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    blocks: list[tuple[float, int]] = []  # mean, members; each block's labels touch
    for rank, i in enumerate(order):
        mean, members = wanted[i] - rank * gap, 1
        while blocks and blocks[-1][0] > mean:
            before, some = blocks.pop()
            mean, members = (before * some + mean * members) / (some + members), some + members
        blocks.append((mean, members))
    packed = [mean for mean, members in blocks for _ in range(members)]
    most = max(high - (len(wanted) - 1) * gap, low)
    places = [min(max(mean, low), most) + rank * gap for rank, mean in enumerate(packed)]
    return [place for _, place in sorted(zip(order, places, strict=True))]


def legend_below(figure: Figure, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """Explain marks and lines under the panels, in as many columns as fit."""
    widths = [_HANDLE_POINTS + len(label) * _TEXT_POINTS for label in labels]
    room = 72 * figure.get_figwidth()
    columns = len(labels) if sum(widths) < room else max(1, int(room // max(widths)))
    figure.legend(handles, labels, loc="outside lower center", frameon=False, fontsize=9,
                  ncols=max(columns, 1))  # fmt: skip


# --- Files ------------------------------------------------------------------------------------


def svg(figure: Figure) -> bytes:
    """Return the figure as an SVG file's bytes: the same for the same figure, and without date."""
    with rc_context({"svg.hashsalt": "pfnlab"}):
        return _saved(figure, format="svg", metadata={"Date": None})


def pdf(figure: Figure) -> bytes:
    """Return the figure as a PDF file's bytes, as `svg`; publishers take its fonts (TrueType)."""
    with rc_context({"pdf.fonttype": 42}):
        return _saved(figure, format="pdf", metadata={"CreationDate": None})


def png(figure: Figure, dpi: int = 80) -> bytes:
    """Return the figure as a PNG file's bytes, in 256 colours: a third of what true colour takes.

    Pictures are committed inside notebooks, and sent to the browser for every move of a slider.
    """
    buffer = io.BytesIO()
    true_colour = Image.open(io.BytesIO(_saved(figure, format="png", dpi=dpi)))
    # An octree keeps the colours of few small marks, which median cut blends with others.
    few = true_colour.convert("RGB").quantize(_PNG_COLOURS, Image.Quantize.FASTOCTREE)
    levels = few.getpalette() or []
    few.putpalette([255 if level >= _WHITE else level for level in levels])
    few.save(buffer, format="png")
    return buffer.getvalue()


def _saved(figure: Figure, **how: Any) -> bytes:
    if layout := figure.get_layout_engine():  # once: every run of it moves panels a little
        layout.execute(figure)
        figure.set_layout_engine("none")
    buffer = io.BytesIO()
    figure.savefig(buffer, **how)
    return buffer.getvalue()
