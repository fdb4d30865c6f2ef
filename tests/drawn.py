"""What is wrong with a figure as it is drawn: each flaw a line of text, and none if it is fine."""

import re
from collections.abc import Iterator
from itertools import combinations

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

from pfnlab.figures import palette
from tests import seeing

Box = tuple[float, float, float, float]
MOST_LEGEND_ENTRIES = 8
#: A title says something: one of these it must have.
VERBS = re.compile(
    r"\b(are|buys|come|costs?|covers|faults?|goes|has|is|keeps?|leave|lie|makes|moves|populate|"
    r"reach|reaches|stay|takes?|touches|unmap|wait|wins|withholds)\b"
)
#: What a bare number on an axis may count; the label must say which.
COUNTED = re.compile(
    r"\b(ns|us|ms|%|pages|chunks|granules|CPUs|events|accesses|faults?|refaults?|shootdowns?|refills"
    r"|references|operations|interrupts|thresholds|event|bytes)\b"
)
_NUMBER = re.compile(r"[−-]?[\d.,]+|\$\\mathdefault\{.*\}\$")
_WITH_UNIT = re.compile(r"[−-]?[\d.,]+ ?(B|[KMGTP]iB|%|ns|us|ms|s|Ki)")
_BYTES = re.compile(r"[\d.,]+ ([KMGTP]i)?B")
#: Too light to be taken for anything that is drawn: grids, bands.
_BACKGROUND_CONTRAST = 1.4
#: Fills that let through more are tints behind what is written on them, which names them.
_TINT = 0.5
_TOLERANCE_PIXELS = 1.0


def flaws(figure: Figure) -> list[str]:
    """All flaws of a figure."""
    figure.draw_without_rendering()
    return [
        *title_flaws(figure), *axis_flaws(figure), *text_flaws(figure), *legend_flaws(figure),
        *colour_flaws(figure),
    ]  # fmt: skip


def title_flaws(figure: Figure) -> Iterator[str]:
    """A title is a claim, that is, a sentence."""
    title = figure.get_suptitle()
    words = re.findall(r"[\w-]+", title)
    if len(words) < 5 or not VERBS.search(title) or re.search(r"\b(vs|versus|against)\b", title):
        yield f"no claim: {title!r}"


# --- Axes -------------------------------------------------------------------------------------


def axis_flaws(figure: Figure) -> Iterator[str]:
    """Each axis has a label, a unit where it counts something, and bytes at powers of two."""
    for axes in shown_axes(figure):
        for axis in (axes.xaxis, axes.yaxis):
            ticks = tick_labels(axis)
            label = axis.get_label_text()
            where = f"{axis.axis_name} of {name_of(axes)}"
            if ticks and not label:
                yield f"no label on {where}"
            bare = [text for text in ticks if _NUMBER.fullmatch(text)]
            united = [text for text in ticks if _WITH_UNIT.fullmatch(text)]
            if bare and (united or not COUNTED.search(label)) and {*bare} != {"0"}:
                yield f"no unit on {where}: {label!r}, {bare[:3]}"
            yield from bytes_flaws(axis, where)


def bytes_flaws(axis: Axis, where: str) -> Iterator[str]:
    """Sizes stand at powers of two, and none but sizes are written as bytes."""
    if "place" in axis.get_label_text():  # where in the region a row of a heat map begins
        return
    low, high = sorted(axis.get_view_interval())
    for tick in axis.get_major_ticks():
        text, at = tick.label1.get_text(), float(tick.get_loc())
        whole = int(at) == at and not int(at) & (int(at) - 1)
        if low <= at <= high and _BYTES.fullmatch(text) and not whole:
            yield f"{text} on {where} is no power of two"


def shown_axes(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.axison and axes.get_visible()]


def name_of(axes: Axes) -> str:
    return repr(axes.get_title(loc="left") or axes.get_title() or axes.get_ylabel() or "axes")


def tick_labels(axis: Axis) -> list[str]:
    return [text.get_text() for text in tick_texts(axis)]


def tick_texts(axis: Axis) -> list[Text]:
    low, high = sorted(axis.get_view_interval())
    slack = 1e-9 * (high - low)
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    within = [tick for tick in ticks if low - slack <= tick.get_loc() <= high + slack]
    labels = [label for tick in within for label in (tick.label1, tick.label2)]
    return [label for label in labels if label.get_visible() and label.get_text().strip()]


# --- Texts ------------------------------------------------------------------------------------


def text_flaws(figure: Figure) -> Iterator[str]:
    """No text lies over another or in another's axes, is cut off, or too faint to read."""
    boxes = [(text, box_of(text)) for text in texts(figure)]
    page = (0.0, 0.0, float(figure.bbox.width), float(figure.bbox.height))
    panels = [(axes, box_of(axes.patch)) for axes in shown_axes(figure)]
    for (one, box), (other, its) in combinations(boxes, 2):
        if overlap(box, its):
            yield f"{one.get_text()!r} lies over {other.get_text()!r}"
    for text, box in boxes:
        if not inside(box, page):
            yield f"{text.get_text()!r} is cut off"
        for axes, panel in panels:
            if axes is not text.axes and overlap(box, panel):
                yield f"{text.get_text()!r} lies in {name_of(axes)}"
        if seeing.contrast(to_hex(text.get_color())) < 4.5:
            yield f"{text.get_text()!r} is too faint"


def texts(figure: Figure) -> list[Text]:
    """Every text that is drawn: tick labels within the axes only."""
    axes = [each for each in figure.axes if each.axison]
    axis_of = [axis for each in axes for axis in (each.xaxis, each.yaxis)]
    ticks = {id(label) for axis in axis_of for tick in
             (*axis.get_major_ticks(), *axis.get_minor_ticks())
             for label in (tick.label1, tick.label2)}  # fmt: skip
    shown = {id(label) for axis in axis_of for label in tick_texts(axis)}
    found = [artist for artist in figure.findobj(Text) if isinstance(artist, Text)]
    return [
        text
        for text in found
        if text.get_visible() and text.get_text().strip() and (id(text) not in ticks - shown)
    ]


def box_of(artist: Artist) -> Box:
    x0, y0, x1, y1 = artist.get_window_extent().extents
    return float(x0), float(y0), float(x1), float(y1)


def overlap(one: Box, other: Box) -> bool:
    """Whether two boxes share more than what rounding to pixels makes them share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return min(width, height) > _TOLERANCE_PIXELS


def inside(box: Box, page: Box) -> bool:
    grown = [page[0] - 1, page[1] - 1, page[2] + 1, page[3] + 1]
    return grown[0] <= box[0] and grown[1] <= box[1] and box[2] <= grown[2] and box[3] <= grown[3]


def legend_flaws(figure: Figure) -> Iterator[str]:
    """What stands in a legend must be little; lines are named where they end."""
    legends = [*figure.legends, *(a.get_legend() for a in figure.axes if a.get_legend())]
    entries = sum(len(legend.get_texts()) for legend in legends if legend)
    if entries > MOST_LEGEND_ENTRIES:
        yield f"{entries} entries of legends, {MOST_LEGEND_ENTRIES} at most"


# --- Colours ----------------------------------------------------------------------------------


def colour_flaws(figure: Figure) -> Iterator[str]:
    """Colours are told apart; those of sizes, which are ordered, may be nearer to each other."""
    sizes = size_colours()
    for one, other in combinations(sorted(colours(figure)), 2):
        floor = seeing.ORDERED_FLOOR if {one, other} <= sizes else seeing.FLOOR
        found = seeing.distance(one, other)
        if found < floor:
            yield f"{one} and {other} are {found:.2f} apart, {floor} at least"


def size_colours() -> set[str]:
    return {palette.size(1 << shift).colour for shift in range(12, 31)}


def colours(figure: Figure) -> set[str]:
    """Colours of what is drawn as data, as they look on white."""
    found: set[str] = set()
    for axes in shown_axes(figure):
        frame = {id(axes.patch), *map(id, axes.spines.values())}
        grid = {id(line) for axis in (axes.xaxis, axes.yaxis) for line in axis.get_gridlines()}
        for artist in axes.get_children():
            if id(artist) not in frame | grid and artist.get_visible():
                found |= {on_white(colour) for colour in drawn_colours(artist)}
    return {colour for colour in found if seeing.contrast(colour) > _BACKGROUND_CONTRAST}


def drawn_colours(artist: Artist) -> list[tuple[float, ...]]:
    alpha = artist.get_alpha()
    if isinstance(artist, Line2D):
        drawn = [artist.get_color()] if artist.get_linestyle() != "None" else []
        if artist.get_marker() not in ("None", ""):
            drawn += [artist.get_markeredgecolor(), artist.get_markerfacecolor()]
        drawn = drawn if len(artist.get_xdata()) else []  # type: ignore[arg-type]
        return [to_rgba(colour, alpha) for colour in drawn if colour != "none"]
    if isinstance(artist, PathCollection | PolyCollection):
        return [(*row,) for row in np.atleast_2d(np.asarray(artist.get_facecolor()))]
    if isinstance(artist, Patch) and (alpha is None or alpha >= _TINT) and has_area(artist):
        return [to_rgba(artist.get_facecolor())]
    return []


def has_area(patch: Patch) -> bool:
    """Whether anything is seen of it: a bar of nothing has a colour, too."""
    x0, y0, x1, y1 = box_of(patch)
    return min(x1 - x0, y1 - y0) >= 1


def on_white(colour: tuple[float, ...]) -> str:
    red, green, blue, alpha = colour
    white = 1 - alpha
    return to_hex((alpha * red + white, alpha * green + white, alpha * blue + white))
