"""The victim order of a scene, before and after the event, and what moved in it."""

from typing import Any

from matplotlib.axes import Axes

from pfnlab.figures.palette import GREY, ILLEGAL, INK, PIN
from pfnlab.figures.scenes import brush
from pfnlab.figures.scenes.moments import Held, Moment, Tale

LEFT = 63.0
_BEFORE, _AFTER, _WIDTH = 63.0, 76.8, 5.2
_TOP, _BOTTOM, _GAP = 50.2, 18.5, 2.4
_ENDS = {
    "lra": ("newest", "goes next"),
    "lru": ("last used", "goes next"),
    "clock": ("newest", "looked at next"),
    "sieve": ("newest", "oldest"),
    "random": ("", "any may be drawn"),
}


def draw_ends(axes: Axes, tale: Tale) -> None:
    """Draw what stays: the columns' names and the ends of the order."""
    brush.words(axes, _BEFORE + _WIDTH / 2, 52.0, "before", ha="center", color=GREY)
    brush.words(axes, _AFTER + _WIDTH / 2, 52.0, "after", ha="center", color=GREY)
    _, next_to_go = _ENDS[tale.setting.policy]
    y = _height(tale, 0)
    below = y - _step(tale) * 0.5 - 0.9
    brush.words(axes, _BEFORE + _WIDTH / 2, below, f"▲ {next_to_go}", ha="center")


def title(tale: Tale) -> str:
    """Say what the order is, and which end is up."""
    newest, _ = _ENDS[tale.setting.policy]
    return f"{tale.setting.policy} order" + (f", {newest} on top" if newest else "")


def draw_order(axes: Axes, tale: Tale, moment: Moment) -> None:
    """Draw both orders, and a line from where each chunk was to where it is."""
    before, after = _places(tale, moment.before), _places(tale, moment.after)
    if moment.before.set_aside or moment.after.set_aside:
        middle = (_BEFORE + _AFTER + _WIDTH) / 2
        brush.words(axes, middle, _BOTTOM - 1.0, "set aside: pinned", ha="center", color=PIN)
    for chunk, start in before.items():
        _link(axes, moment, chunk, start, after.get(chunk))
    for chunk, y in before.items():
        edge = {"edgecolor": ILLEGAL, "lw": 1.6} if chunk in moment.evicted else {}
        look = _edge(moment.before, chunk) | edge | {"gid": f"before-{chunk}"}
        _pill(axes, tale, _BEFORE, y, chunk, **look)
    for chunk, y in after.items():
        moved = chunk in moment.after.order and _moved(moment, chunk)
        edge = {"edgecolor": INK, "lw": 2.2} if moved else {}
        look = _edge(moment.after, chunk) | edge | {"gid": f"after-{chunk}"}
        _pill(axes, tale, _AFTER, y, chunk, **look)


def _step(tale: Tale) -> float:
    n_places = max(tale.peak_order, 1) + tale.peak_set_aside
    return min((_TOP - _BOTTOM - _GAP) / n_places, 3.6)


def _height(tale: Tale, place: int) -> float:
    """Return the height of a place in the order; those set aside lie below 0, after a gap."""
    gap = _GAP if place >= 0 else 0.0
    return _BOTTOM + gap + (place + tale.peak_set_aside + 0.5) * _step(tale)


def _places(tale: Tale, held: Held) -> dict[int, float]:
    order = {chunk: _height(tale, place) for place, chunk in enumerate(held.order)}
    return order | {chunk: _height(tale, -1 - i) for i, chunk in enumerate(held.set_aside)}


def _moved(moment: Moment, chunk: int) -> bool:
    """Whether a chunk is somewhere else among those that are still there."""
    stayed = [c for c in moment.before.order if c in moment.after.order]
    if chunk not in stayed:
        return True
    others = [c for c in moment.after.order if c in stayed]
    return stayed.index(chunk) < others.index(chunk)


def _link(axes: Axes, moment: Moment, chunk: int, start: float, end: float | None) -> None:
    if end is None:
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
        look: brush.Look = {"color": ILLEGAL, "bbox": ground}
        brush.words(axes, _BEFORE + _WIDTH + 0.6, start, "× unmapped", **look)
        return
    aside = chunk in moment.skipped
    moved = chunk in moment.after.order and _moved(moment, chunk)
    colour = PIN if aside else INK if moved else brush.LINE
    width = 2.0 if aside or moved else 1.2
    brush.line(axes, [_BEFORE + _WIDTH, _AFTER], [start, end], color=colour, lw=width, zorder=1)


def _edge(held: Held, chunk: int) -> dict[str, Any]:
    return {"edgecolor": PIN, "ls": "--", "lw": 1.6} if chunk in held.set_aside else {}


def _pill(axes: Axes, tale: Tale, x: float, y: float, chunk: int, **edge: Any) -> None:
    height = _step(tale) * 0.78
    look = {"facecolor": brush.tint(brush.colour_of(chunk)), "zorder": 2} | edge
    brush.pill(axes, x, y - height / 2, _WIDTH, height, **look)
    brush.words(axes, x + _WIDTH / 2, y, str(chunk), ha="center", zorder=5)
