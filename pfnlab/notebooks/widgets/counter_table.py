"""The counters under the explorer's pictures, one setting beside another."""

from collections.abc import Callable
from html import escape
from typing import Any

from pfnlab.figures.explorer import Shown
from pfnlab.params.units import short_bytes, short_ns

Row = tuple[str, str, Callable[[Any], str]]


def _whole(value: float) -> str:
    return f"{value:,.0f}"


_COUNTED: tuple[Row, ...] = (
    ("accesses", "accesses", _whole),
    ("faults", "faults", _whole),
    ("refaults", "refaults", _whole),
    ("miss_ratio", "miss_ratio", lambda value: f"{value:.2%}"),
    ("shootdowns", "shootdowns", _whole),
    ("full_flushes", "full_flushes", _whole),
    ("evicted_chunks", "evicted_chunks", _whole),
    ("pinned_skips", "pinned_skips", _whole),
    ("overcommits", "overcommits", _whole),
    ("atomic_faults", "atomic_faults (illegal)", _whole),
    ("peak_resident_bytes", "peak_resident_bytes", short_bytes),
    ("mean_resident_bytes", "mean_resident_bytes", short_bytes),
    ("event_ns", "event_ns", short_ns),
    ("stolen_ns", "stolen_ns, of all", short_ns),
)
_CELL = "padding:1px 10px;text-align:right;font-variant-numeric:tabular-nums"


def table(now: Shown, beside: Shown | None) -> str:
    """Return the counters as HTML; with the ratio where a setting is pinned."""
    mine, theirs = _values(now), _values(beside) if beside else None
    exact = beside is None or beside.seen.divisor == 1
    pinned = "pinned" if exact or beside is None else f"pinned, {beside.seen.status}"
    head = ["", "now", *([pinned, "now / pinned"] if theirs else [])]
    rows = ["".join(f"<th style='{_CELL}'>{escape(text)}</th>" for text in head)]
    for name, label, write in _COUNTED:
        cells = [write(mine[name])]
        if theirs is not None:
            cells += [write(theirs[name]), _ratio(mine[name], theirs[name])]
        row = "".join(f"<td style='{_CELL}'>{escape(cell)}</td>" for cell in cells)
        rows.append(f"<td style='padding:1px 10px'>{escape(label)}</td>{row}")
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table class='pfnlab-counted' style='line-height:1.35'>{body}</table>"


def _values(shown: Shown) -> dict[str, Any]:
    result = shown.seen.result
    return result.counts() | result.cost(shown.costs).as_dict()


def _ratio(one: float, other: float) -> str:
    if not other:
        return "=" if not one else "–"
    return f"{one / other:.3g}"
