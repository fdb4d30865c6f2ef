"""The explorer's four pictures of one configuration, still for a paper or live under sliders."""

from collections.abc import Hashable
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase, SubFigure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from pfnlab.engine.exploration import Explored
from pfnlab.figures import palette
from pfnlab.figures.drawing import bytes_axis
from pfnlab.figures.panels import (
    BESIDE,
    PLAIN,
    Panel,
    axes_in,
    events_limit,
    nice,
    place_in,
    power_of_two,
    share_limit,
    steps_of,
)
from pfnlab.params.costs import Costs, costs_of
from pfnlab.params.units import short_bytes, short_ns

#: Inches of one picture.
WIDTH, HEIGHT = 4.4, 2.7
#: Parts of an access's time; all but the last are spent by who asks.
_PARTS = ("lookup", "fault", "zero", "init", "unmap", "shootdown", "rebuild", "stolen")


class Shown(NamedTuple):
    """What pictures show: a configuration as it was seen, and what its operations take.

    `moment` is a share of the events; what was then is marked in the pictures that have time.
    """

    seen: Explored
    costs: Costs
    moment: float = 1.0


class Course(Panel):
    """Faults and resident bytes over the trace."""

    def __init__(self, figure: FigureBase) -> None:
        super().__init__(figure, "Faults, and what stays resident")
        self.faults, self.resident = axes_in(figure, 0.57, 0.31), axes_in(figure, 0.17, 0.31)
        fault, level = palette.cost_part("fault").colour, palette.place(2).colour
        self.behind = [self.line(axes, BESIDE, lw=2) for axes in (self.faults, self.resident)]
        self.fault_line = self.line(self.faults, fault, lw=1.4)
        self.level_line = self.line(self.resident, level, lw=1.8)
        self.limit = self.line(self.resident, palette.THRESHOLD, ls="--", lw=1.2)
        self.said = self.note(self.resident, palette.THRESHOLD, va="bottom")
        self.moments = [self.line(each, palette.INK, lw=1) for each in (self.faults, self.resident)]
        self.then = self.note(self.resident, va="bottom")
        self.faults.set_ylabel("faults/access", fontsize=PLAIN)
        self.resident.set_ylabel("resident", fontsize=PLAIN)
        self.resident.set_xlabel("events replayed", fontsize=PLAIN)
        self.faults.tick_params(labelbottom=False)
        self.resident.yaxis.set_major_formatter(FuncFormatter(lambda v, _: short_bytes(v)))

    def show(self, now: Shown, beside: Shown | None) -> Hashable:
        """Show two lines over the events, and the threshold."""
        self.stamp.set_text(now.seen.status)
        n_events = now.seen.timeline.n_events
        mine, theirs = _course(now, n_events), _course(beside, n_events)
        lines = (self.fault_line, self.level_line, *self.behind)
        for line, course in zip(lines, (*mine, *theirs), strict=True):
            line.set_data(*course)
        threshold = now.seen.params.threshold_bytes
        peak = max([*mine[1][1], *theirs[1][1]], default=0)
        top = power_of_two(1.1 * max(peak, min(threshold, 2 * peak), 1))
        self._threshold(threshold, top, n_events)
        self._moment(now, top)
        self.resident.set_ylim(0, top)
        self.resident.yaxis.set_major_locator(FixedLocator([0, top / 2, top]))
        events_limit(self.faults, n_events)
        most = max([*mine[0][1], *theirs[0][1]], default=0.0)
        return top, events_limit(self.resident, n_events), share_limit(self.faults, most)

    def _moment(self, now: Shown, top: float) -> None:
        """Mark a moment, and say how it was then."""
        columns = now.seen.timeline.columns
        x = now.moment * now.seen.timeline.n_events
        marked = now.moment < 1 and len(columns) > 0
        for line in self.moments:
            line.set_data([x, x] if marked else [], [0, top] if marked else [])
        if not marked:
            self.then.set_text("")
            return
        then = columns.iloc[min(int(columns["end"].searchsorted(x)), len(columns) - 1)]
        share = then["faults"] / max(then["accesses"], 1)
        self.then.set_text(f"{share:.1%} fault, {short_bytes(then['resident_bytes'])}")
        self.then.set_position((x, 0.03 * top))
        self.then.set_horizontalalignment("right" if now.moment > 0.5 else "left")

    def _threshold(self, threshold: int, top: float, n_events: int) -> None:
        beyond = threshold > top
        self.limit.set_data([0, n_events], [threshold, threshold])
        self.limit.set_visible(not beyond)
        low = not beyond and threshold < 0.8 * top
        self.said.set_text(f"threshold {short_bytes(threshold)}{', far above' if beyond else ''}")
        self.said.set_position((0.012 * n_events, min(threshold, top)))
        self.said.set_verticalalignment("bottom" if low else "top")


class Curve(Panel):
    """Faults under other thresholds, and where this configuration stands."""

    def __init__(self, figure: FigureBase) -> None:
        super().__init__(figure, "What another threshold would do")
        self.axes = axes_in(figure, 0.17, 0.71)
        fault = palette.cost_part("fault").colour
        self.behind = self.line(self.axes, BESIDE, lw=2.2)
        self.behind_at = self.line(self.axes, BESIDE, marker="o", ms=8, mfc="white", ls="")
        self.first = self.line(self.axes, palette.GREY, ls=":", lw=1.2)
        self.curve = self.line(self.axes, fault, marker=".", lw=1.8)
        self.at = self.line(self.axes, palette.INK, marker="o", ms=9, ls="")
        self.said = self.note(self.axes, fontweight="bold")
        self.said_first = self.note(self.axes, palette.GREY, va="top")
        self.axes.set_ylabel("faults an access", fontsize=PLAIN)
        bytes_axis(self.axes, "x", "threshold")
        self.axes.xaxis.label.set_fontsize(PLAIN)

    def show(self, now: Shown, beside: Shown | None) -> Hashable:
        """Show a line over thresholds, a point on it, and what no threshold can save."""
        self.stamp.set_text(now.seen.status)
        sizes: list[float] = []
        ratios: list[float] = []
        for line, point, each in (
            (self.curve, self.at, now),
            (self.behind, self.behind_at, beside),
        ):
            results = (*each.seen.curve, each.seen.result) if each else ()
            x = [float(result.params.threshold_bytes) for result in results]
            y = [result.miss_ratio for result in results]
            line.set_data(x[:-1], y[:-1])
            point.set_data(x[-1:], y[-1:])
            sizes, ratios = sizes + x, ratios + y
        low, high = power_of_two(min(sizes)) / 2, power_of_two(max(sizes)) * 2
        top = share_limit(self.axes, max(ratios))
        self.axes.set_xlim(low, high)
        self._say(now, low, high)
        return low, high, top

    def _say(self, now: Shown, low: float, high: float) -> None:
        result = now.seen.result
        cold = result.cold_faults / max(result.accesses, 1)
        self.first.set_data([low, high], [cold, cold])
        self.said_first.set_text(f" first touches {cold:.2%}")
        self.said_first.set_position((low, cold))
        x, y = float(result.params.threshold_bytes), result.miss_ratio
        self.said.set_text(f"{y:.2%} at {short_bytes(x)}")
        right = x * x > low * high
        self.said.set_position((x / 1.25 if right else x * 1.25, y))
        top = self.axes.get_ylim()[1]
        self.said.set(ha="right" if right else "left", va="top" if right else "bottom")
        if y > 0.85 * top:
            self.said.set_verticalalignment("top")
        if right and y < 0.2 * top:
            self.said.set_verticalalignment("bottom")


class Times(Panel):
    """Where the time of an access goes, and what is stolen from other CPUs."""

    def __init__(self, figure: FigureBase) -> None:
        super().__init__(figure, "Where the time goes")
        self.axes = axes_in(figure, 0.17, 0.73, grid="x")
        places = list(range(len(_PARTS)))
        self.bars = [self._bar(y - 0.34, 0.42, palette.cost_part(part).colour)
                     for y, part in enumerate(_PARTS)]  # fmt: skip
        self.behind = [self._bar(y + 0.1, 0.2, BESIDE) for y in places]
        self.texts = [self.note(self.axes, va="center") for _ in places]
        self.axes.set_yticks(places, list(_PARTS), fontsize=8)
        self.axes.set_ylim(len(_PARTS) - 0.4, -0.6)
        self.axes.tick_params(axis="y", length=0)
        self.axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: short_ns(v)))
        self.axes.set_xlabel("time an access", fontsize=PLAIN)
        self.axes.set_ylabel("part", fontsize=PLAIN)
        self.axes.yaxis.set_label_coords(-0.222, 0.5)

    def _bar(self, y: float, height: float, colour: str) -> Rectangle:
        bar = Rectangle((0, y), 0, height, color=colour, lw=0)
        self.axes.add_patch(bar)
        return self.moves(bar)

    def show(self, now: Shown, beside: Shown | None) -> Hashable:
        """Show a bar for each part; the last one is what others lose."""
        self.stamp.set_text(now.seen.status)
        mine, theirs = _parts(now), _parts(beside)
        top = nice(1.3 * max(*mine, *theirs, 1.0))
        for place, (width, other) in enumerate(zip(mine, theirs, strict=True)):
            for bar, size in ((self.bars[place], width), (self.behind[place], other)):
                bar.set_width(size)
                bar.set_visible(size > 0)
            was = f"  (pinned {short_ns(other)})" if beside else ""
            self.texts[place].set_text(short_ns(width) + was if width or other else "")
            self.texts[place].set_position((max(width, other) + 0.012 * top, place))
        own, stolen = short_ns(sum(mine[:-1])), short_ns(mine[-1])
        self.title.set_text(f"An access takes {own}, others lose {stolen}")
        self.axes.set_xlim(0, top)
        self.axes.xaxis.set_major_locator(MaxNLocator(4))
        return top


class Residency(Panel):
    """What is resident where, and when: chunks come and go."""

    def __init__(self, figure: FigureBase) -> None:
        super().__init__(figure, "Resident descriptors: the darker, the more")
        self.low, self.high = axes_in(figure, 0.17, 0.71), axes_in(figure, 0.56, 0.32)
        for axes in (self.low, self.high):
            axes.grid(False)
        look = {"aspect": "auto", "cmap": "Blues", "vmin": 0, "vmax": 1, "origin": "lower"}
        self.images: list[AxesImage] = [
            self.moves(axes.imshow([[0.0]], interpolation="nearest", **look))  # type: ignore[arg-type]
            for axes in (self.low, self.high)
        ]
        self.said = self.note(self.low, va="center")
        self.moment = self.line(self.low, palette.INK, lw=1)
        self.low.set_xlabel("events replayed", fontsize=PLAIN)
        self.high.tick_params(labelbottom=False)

    def show(self, now: Shown, beside: Shown | None) -> Hashable:
        """Show a map, a row for each area of the vmemmap; a second one above for what is pinned."""
        self.stamp.set_text(now.seen.status)
        two = beside is not None
        self.high.set_visible(two)
        self.images[1].set_visible(two)  # one artist is painted also where its axes are not
        place_in(self.low, 0.17, 0.32 if two else 0.71)
        self.low.set_ylabel("place, now" if two else "place in the vmemmap", fontsize=PLAIN)
        self.high.set_ylabel("place, pinned" if two else "", fontsize=PLAIN)
        looks = [_map(self.low, self.images[0], now.seen)]
        shown = self.images[: 1 + two]
        if beside is not None:
            looks.append(_map(self.high, self.images[1], beside.seen))
        most = max(float(cast(Any, image.get_array()).max()) for image in shown)
        for image in shown:
            image.set_clim(0, most or 1)
        x = now.moment * now.seen.timeline.n_events
        marked = now.moment < 1
        self.moment.set_data([x, x] if marked else [], self.low.get_ylim() if marked else [])
        tells = now.seen.timeline.residency is not None
        policy = now.seen.params.policy
        self.said.set_text("" if tells else f"the kernel of {policy} does not tell")
        self.said.set_position(
            (0.05 * now.seen.timeline.n_events, len(now.seen.timeline.areas) / 2)
        )
        return tuple(looks)


#: The four pictures, by name.
VIEWS: dict[str, type[Course | Curve | Times | Residency]] = {
    "timeline": Course,
    "curve": Curve,
    "time": Times,
    "residency": Residency,
}


def exploration(
    seen: Explored,
    costs: str | Costs = "hvo-8s",
    beside: Explored | None = None,
    beside_costs: str | Costs | None = None,
) -> Figure:
    """Draw one configuration from four sides, as the explorer does.

    Parameters
    ----------
    seen
        What `pfnlab.explore` returned.
    costs
        A preset's name or a `Costs`.
    beside, beside_costs
        Another configuration, pinned behind it in grey, and its costs if they are others.
    """
    now = Shown(seen, costs_of(costs))
    other = None if beside is None else Shown(beside, costs_of(beside_costs or costs))
    height = 2 * HEIGHT + 0.4
    figure = Figure(figsize=(2 * WIDTH, height), dpi=100)
    figure.suptitle(claim(now), x=0.01, ha="left", fontsize=12, fontweight="bold")
    (_, below) = cast(
        tuple[SubFigure, ...], figure.subfigures(2, 1, height_ratios=[0.4, height - 0.4])
    )
    places = cast(npt.NDArray[Any], below.subfigures(2, 2)).flat
    for place, view in zip(places, VIEWS.values(), strict=True):
        view(place).show(now, other)
    return figure


def claim(now: Shown) -> str:
    """Say in a line what the pictures show."""
    result, params = now.seen.result, now.seen.params
    return (
        f"{now.seen.timeline.source} under {params.policy}: {result.miss_ratio:.2%} of accesses "
        f"fault, {short_ns(result.cost(now.costs).event_ns)} an access, "
        f"{short_bytes(result.peak_resident_bytes)} in place of "
        f"{short_bytes(params.vmemmap_bytes)}"
    )


def _course(shown: Shown | None, n_events: int) -> list[tuple[Any, Any]]:
    """Return x and y of faults an access, and of resident bytes, over as many events."""
    if shown is None:
        return [([], []), ([], [])]
    columns = shown.seen.timeline.columns
    shares = (columns["faults"] / columns["accesses"].clip(lower=1)).to_numpy()
    # Another trace is laid over this one from its beginning to its end.
    end = columns["end"].to_numpy() * (n_events / max(shown.seen.timeline.n_events, 1))
    return [steps_of(shares, end), (end, columns["resident_bytes"].to_numpy())]


def _parts(shown: Shown | None) -> list[float]:
    """Return ns an access of each part."""
    if shown is None:
        return [0.0] * len(_PARTS)
    result = shown.seen.result
    parts = shown.costs.parts(result.counts(), result.params)
    return [float(parts[name]) / max(result.accesses, 1) for name in _PARTS]


def _map(axes: Axes, image: AxesImage, seen: Explored) -> Hashable:
    """Put what is resident on a map, a row an area; return what the axes say."""
    told, areas = seen.timeline.residency, seen.timeline.areas
    touched = np.array([[max(area.n_granules, 1)] for area in areas]).reshape(-1, 1)
    image.set_data(np.zeros((1, 1)) if told is None or not len(areas) else told / touched)
    n_rows = max(len(areas), 1)
    image.set_extent((0, max(seen.timeline.n_events, 1), 0, n_rows))
    rows = sorted({round(share * (n_rows - 1)) for share in (0, 0.25, 0.5, 0.75, 1)})
    chunk_bytes = seen.params.chunk_bytes
    labels = [short_bytes(areas[row].first_chunk * chunk_bytes) for row in rows if areas]
    axes.set_yticks([row + 0.5 for row in rows][: len(labels)], labels)
    axes.set_ylim(0, n_rows)
    return events_limit(axes, seen.timeline.n_events), tuple(labels)
