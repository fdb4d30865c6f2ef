"""What all pictures share: palette, empty axes, axes of bytes, labels at the end of a line."""

from __future__ import annotations

import io

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from PIL import Image  # matplotlib brings it

from pfnlab.units import short_bytes

# Okabe and Ito's palette, told apart by the colour-blind too; one colour a role, everywhere.
INK, GREY = "#222222", "#767676"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

_PNG_COLOURS = 128


def new_figure(
    title: str, n_rows: int, n_columns: int, width: float, height: float
) -> tuple[Figure, list[list[Axes]]]:
    """Return a titled figure of empty axes, row by row; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained", dpi=80)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        axes.set_axisbelow(True)
    return figure, [list(row) for row in grid]


def bytes_axis(axes: Axes, which: str, label: str) -> None:
    """Logarithmic to base 2, ticks as KiB, MiB, GiB."""
    scale = axes.set_xscale if which == "x" else axes.set_yscale
    scale("log", base=2)
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(base=4 if which == "x" else 2, numticks=8))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: short_bytes(value)))
    axis.set_label_text(label)


def end_label(axes: Axes, x: float, y: float, text: str, colour: str, rise: float = 0.0) -> None:
    """Write `text` right of the end of a line, raised by `rise` points."""
    axes.annotate(
        text, (x, y), xytext=(6, rise), textcoords="offset points",
        color=colour, fontsize=9, va="center", annotation_clip=False,
    )  # fmt: skip


def svg(figure: Figure) -> bytes:
    """Return the figure as an SVG file's bytes: the same for the same figure, and without date."""
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "pfnlab"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def png(figure: Figure, dpi: int = 80) -> bytes:
    """Return the figure as a PNG file's bytes, in 128 colours: a third of what true colour takes.

    Pictures are committed inside notebooks, and sent to the browser for every move of a slider.
    """
    true_colour, buffer = io.BytesIO(), io.BytesIO()
    figure.savefig(true_colour, format="png", dpi=dpi)
    picture = Image.open(true_colour).convert("RGB").quantize(_PNG_COLOURS)
    picture.save(buffer, format="png")
    return buffer.getvalue()
