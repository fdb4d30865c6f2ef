"""The strip below a scene: all events by what they did, where we are, and the counters."""

from typing import NamedTuple

from matplotlib.axes import Axes

from pfnlab.figures.palette import GREY, ILLEGAL, INK, PIN
from pfnlab.figures.scenes import brush
from pfnlab.figures.scenes.moments import Moment, Tale

_NAMES, _MARKS, _END, _COUNTS = 2.0, 12.0, 69.0, 70.0
_TOP, _STEP = 12.4, 1.85


class _Lane(NamedTuple):
    name: str
    counter: str
    marker: str
    colour: str


_LANES = (
    _Lane("hits", "hits", "|", INK),
    _Lane("faults", "faults", "o", INK),
    _Lane("shootdowns", "shootdowns", "s", ILLEGAL),
    _Lane("pinned skips", "pinned_skips", "D", PIN),
    _Lane("illegal faults", "atomic_faults", "X", ILLEGAL),
    _Lane("PUTs", "puts", "v", PIN),
)


def draw_lanes(axes: Axes, tale: Tale) -> None:
    """Draw what stays: the lanes' names, and a pale mark for everything that will happen."""
    brush.line(axes, [0, brush.WIDTH], [14.2, 14.2], color=brush.LINE, lw=1)
    for place, lane in enumerate(_LANES):
        y = _TOP - place * _STEP
        brush.words(axes, _NAMES, y, lane.name)
        brush.line(axes, [_MARKS, _END], [y, y], color="#EEEEEE", lw=1, zorder=0)
        _marks(axes, tale, place, len(tale.moments), share=0.25)
    brush.words(axes, _NAMES, 1.2, "event", color=GREY)
    n = len(tale.moments)
    for event in range(0, n, _every(n)):
        brush.words(axes, _x(tale, event), 1.2, str(event), ha="center", color=GREY)


def draw_strip(axes: Axes, tale: Tale, moment: Moment) -> None:
    """Draw what happened up to the event, where it is, and how often each."""
    x = _x(tale, moment.event)
    brush.box(axes, x - 0.7, 2.2, 1.4, 11.4, facecolor=brush.NOW, edgecolor=INK, lw=1,
              zorder=0.5)  # fmt: skip
    for place, lane in enumerate(_LANES):
        _marks(axes, tale, place, moment.event + 1)
        _count(axes, moment, lane, _TOP - place * _STEP)


def _x(tale: Tale, event: int) -> float:
    return _MARKS + 1 + (_END - _MARKS - 2) * event / max(len(tale.moments) - 1, 1)


def _size(tale: Tale) -> float:
    """Return the points of a mark, so that neighbours do not cover each other."""
    apart = _x(tale, 1) - _x(tale, 0) if len(tale.moments) > 1 else 1.0
    return min(5.5, max(2.0, 7.2 * apart - 1.4))


def _every(n_events: int) -> int:
    return next(step for step in (5, 10, 50, 100, 500, 1000, 10_000) if n_events <= 16 * step)


def _marks(axes: Axes, tale: Tale, place: int, n_events: int, share: float = 1.0) -> None:
    """Mark the first events of a lane; a granule that comes back has an empty mark."""
    lane = _LANES[place]
    some = [m for m in tale.moments[:n_events] if m.added[lane.counter]]
    colour = brush.tint(lane.colour, share)
    look: brush.Look = {"ls": "", "marker": lane.marker, "mec": colour, "mew": 1.4}
    look["ms"] = _size(tale)
    for again, fill in ((False, colour), (True, "white")):
        xs = [_x(tale, m.event) for m in some if _again(m, lane) == again]
        if xs:
            brush.line(axes, xs, [_TOP - place * _STEP] * len(xs), mfc=fill, zorder=2, **look)


def _again(moment: Moment, lane: _Lane) -> bool:
    return lane.counter == "faults" and not moment.added["cold_faults"]


def _count(axes: Axes, moment: Moment, lane: _Lane, y: float) -> None:
    now, total = moment.added[lane.counter], moment.total[lane.counter]
    if now:
        brush.box(axes, _COUNTS - 0.4, y - 0.85, 2.8, 1.7, facecolor=brush.NOW, edgecolor="none")
    brush.words(axes, _COUNTS + 2, y, str(total), ha="right", color=lane.colour,
                fontweight="bold" if now else "normal")  # fmt: skip
    again = moment.total["faults"] - moment.total["cold_faults"]
    notes = {
        "hits": f"of {moment.total['accesses']} accesses",
        "faults": f"{again} again (empty)",
    }
    brush.words(axes, _COUNTS + 3.2, y, notes.get(lane.counter, ""), color=GREY)
