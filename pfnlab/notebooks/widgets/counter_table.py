"""The counters under the explorer's pictures, one setting beside another."""

from collections.abc import Callable
from typing import Any

from jinja2 import Template

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
_TABLE = Template(
    """<table class='pfnlab-counted' style='line-height:1.35'>
<tr>{% for head in heads %}<th style='{{ cell }}'>{{ head }}</th>{% endfor %}</tr>
{% for row in rows %}<tr><td style='padding:1px 10px'>{{ row[0] }}</td>
{%- for value in row[1:] %}<td style='{{ cell }}'>{{ value }}</td>{% endfor %}</tr>
{% endfor %}</table>""",
    autoescape=True,
)


def table(now: Shown, beside: Shown | None) -> str:
    """Return the counters as HTML; with the ratio where a setting is pinned."""
    mine, theirs = _values(now), _values(beside) if beside else None
    heads, rows = ["", "now"], [[label, write(mine[name])] for name, label, write in _COUNTED]
    if beside is not None and theirs is not None:
        exact = beside.seen.divisor == 1
        heads += ["pinned" if exact else f"pinned, {beside.seen.status}", "now / pinned"]
        for row, (name, _, write) in zip(rows, _COUNTED, strict=True):
            row += [write(theirs[name]), _ratio(mine[name], theirs[name])]
    html: str = _TABLE.render(heads=heads, rows=rows, cell=_CELL)
    return html


def _values(shown: Shown) -> dict[str, Any]:
    result = shown.seen.result
    return result.counts() | result.cost(shown.costs).as_dict()


def _ratio(one: float, other: float) -> str:
    if not other:
        return "=" if not one else "–"
    return f"{one / other:.3g}"
