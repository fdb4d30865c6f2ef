"""A picture of any sweep: one column against the parameter that takes most values."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, PercentFormatter
from pandas.api.types import is_numeric_dtype

from pfnlab.figures import palette
from pfnlab.figures.drawing import (
    bytes_axis,
    end_label,
    heading,
    legend_below,
    new_figure,
    of_source,
    short,
)
from pfnlab.frames import require, writer
from pfnlab.params import PARAMETERS

_COLUMNS = 2
#: Lines of one panel that still can be named where they end.
_MOST_NAMED = 12
_MOST_EXPLAINED = 8
_SHARES = ("_ratio", "_share", "_fraction", "_of_footprint")


def any_sweep(frame: pd.DataFrame, y: str = "miss_ratio") -> Figure:
    """Draw one column of any sweep against the parameter that takes most values.

    A source has a panel, a configuration of the other parameters a line.
    """
    require(frame, ["source", y])
    varying = _varying(frame)
    # Numbers before names: what lies between two names means nothing.
    x = max(varying, key=lambda n: (is_numeric_dtype(frame[n]), frame[n].nunique()),
            default="threshold_bytes")  # fmt: skip
    require(frame, [x])
    others = [name for name in varying if name != x]
    frame = frame.dropna(subset=[x, *others])
    require(frame, [x])
    sources = list(frame["source"].unique())
    n_rows, n_columns = -(-len(sources) // _COLUMNS), min(len(sources), _COLUMNS)
    figure, grid = new_figure(
        _claim(frame, y, [x, *others]), n_rows, n_columns, 2.6 + 4.4 * n_columns, 0.8 + 3.6 * n_rows
    )
    panels = [axes for row in grid for axes in row]
    looks = _looks(frame, others)
    for axes, source in zip(panels, sources, strict=False):
        rows = frame[frame["source"] == source]
        _lines(axes, rows, x, y, others, looks)
        known = "evidence" in rows
        heading(axes, of_source(source, rows["evidence"].iloc[0]) if known else short(source))
        _scale(axes, "x", x, frame[x])
        _scale(axes, "y", y, frame[y])
    for axes in panels[len(sources) :]:
        axes.remove()
    if len(looks) > _MOST_NAMED:
        _key(figure, frame, others)
    return figure


def _claim(frame: pd.DataFrame, y: str, varying: Sequence[str]) -> str:
    """Say where the column is least, and how large it gets."""
    write, known = writer(y), frame[frame[y].notna()]
    if known.empty:
        return f"{y} is not known in any of these {len(frame):,} rows"
    low, high = known[y].min(), known[y].max()
    if low == high:
        return f"{y} is {write(low)} in all of these {len(known):,} rows"
    best = known.sort_values(y).iloc[0].to_dict()
    at = ", ".join(_named(name, best[name]) for name in varying)
    place = short(best["source"]) + (f": {at}" if at else "")
    return f"{y} reaches {write(high)}; it is least, {write(low)}, for {place}"


def _named(name: str, value: object) -> str:
    return f"{name} {writer(name)(value)}"


def _looks(frame: pd.DataFrame, others: Sequence[str]) -> dict[Hashable, palette.Look]:
    """Return a look for each configuration: a policy's or a size's own if that is what varies."""
    if not others:
        return {(): palette.place(0)}
    keys: list[tuple[Any, ...]] = list(dict.fromkeys(frame[[*others]].itertuples(index=False)))
    first = _first(frame, others)
    rest = list(dict.fromkeys(_without(key, others, first) for key in keys))
    values = list(dict.fromkeys(frame[first]))
    looks: dict[Hashable, palette.Look] = {}
    for key in keys:
        value = key[others.index(first)]
        look = _own_look(first, value, values.index(value))
        lap = rest.index(_without(key, others, first))
        lines = (look.line, *(line for line in palette.LINES if line != look.line))
        looks[tuple(key)] = look._replace(line=lines[lap % len(lines)])
    return looks


def _key(figure: Figure, frame: pd.DataFrame, others: Sequence[str]) -> None:
    """Say what the colours stand for where lines are too many to be named."""
    first = _first(frame, others)
    values = list(dict.fromkeys(frame[first]))[:_MOST_EXPLAINED]
    looks = [_own_look(first, value, number) for number, value in enumerate(values)]
    legend_below(figure, [Line2D([], [], **look.lines()) for look in looks],
                 [_named(first, value) for value in values])  # fmt: skip


def _first(frame: pd.DataFrame, others: Sequence[str]) -> str:
    """Return the parameter that gives a line its colour; the others give its style."""
    return max(others, key=lambda name: (name == "policy", frame[name].nunique()))


def _without(key: tuple[Any, ...], others: Sequence[str], first: str) -> tuple[Any, ...]:
    return tuple(v for name, v in zip(others, key, strict=True) if name != first)


def _own_look(name: str, value: Any, number: int) -> palette.Look:
    if name == "policy":
        return palette.policy(value)
    return palette.size(value) if name.endswith("_bytes") else palette.place(number)


def _lines(
    axes: Axes,
    rows: pd.DataFrame,
    x: str,
    y: str,
    others: Sequence[str],
    looks: dict[Hashable, palette.Look],
) -> None:
    """Draw a line for each configuration, named where it ends unless there are too many."""
    groups: list[tuple[Any, pd.DataFrame]] = (
        list(rows.groupby([*others], sort=False)) if others else [((), rows)]
    )
    for key, some in groups:
        line = some.sort_values(x).dropna(subset=[y])
        look = looks[tuple(key)]
        (drawn,) = axes.plot(line[x], line[y], **look.lines(), ms=5, lw=1.8)
        if others and len(line) and len(looks) <= _MOST_NAMED:
            name = ", ".join(_named(n, v) for n, v in zip(others, key, strict=True))
            end_label(axes, *_end(drawn), name, look.colour)


def _end(line: Line2D) -> tuple[float, float]:
    """Return where a line ends: names stand at 0, 1, 2 ... on its axis."""
    x, y = np.asarray(line.get_xydata())[-1]
    return float(x), float(y)


def _scale(axes: Axes, which: str, name: str, values: pd.Series[Any]) -> None:
    """Label an axis by its column, with the unit that the column's name or `Params` tells."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    unit: str = PARAMETERS[name].unit if name in PARAMETERS else ""
    if name.endswith("_bytes") and values.min() > 0:
        return bytes_axis(axes, which, name)
    if name.endswith("_ns"):
        unit = "ns"
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    elif name.endswith(_SHARES):
        axis.set_major_formatter(PercentFormatter(1.0))
    axis.set_label_text(f"{name}, {unit}" if unit not in ("", "name", "bytes") else name)


def _varying(frame: pd.DataFrame) -> list[str]:
    """Return the parameters that take more than one value, a share of something before bytes."""
    last = frame.columns.get_loc("accesses") if "accesses" in frame else len(frame.columns)
    skipped = {"source", "evidence", "n_events", "footprint_bytes", "vmemmap_bytes"}
    names = [name for name in frame.columns[: int(str(last))] if name not in skipped]
    shares = [n for n in names if n.startswith("threshold_") and n != "threshold_bytes"]
    if any(frame[name].notna().all() for name in shares):
        names.remove("threshold_bytes")  # it follows from the share
    return [name for name in names if frame[name].nunique() > 1]
