"""The front of DRAM against time, over every point of the grid that it was chosen from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from pfnlab.advice import Advice
from pfnlab.advice.pareto import DRAM, TIME, front_of, knee_of, legal
from pfnlab.figures.drawing import COLOURS, GREY, INK, bytes_axis, new_figure
from pfnlab.frames import require
from pfnlab.units import short_bytes


def pareto_front(points: Advice | pd.DataFrame) -> Figure:
    """Draw an advice, or the grid of one: DRAM against time, the front, the knee, the budget."""
    grid = points.grid if isinstance(points, Advice) else points
    shown = ["granule_bytes", "chunk_bytes", "batch_chunks", "policy"]
    require(grid, ["source", "evidence", DRAM, TIME, "atomic_faults", *shown])
    front = front_of(grid)
    kept = f"{len(front)} of {len(grid):,} points of {grid['source'].iloc[0]}"
    figure, ((axes,),) = new_figure(
        f"More DRAM buys time, up to a point: {kept} are worth choosing", 1, 1, 10.4, 5.0
    )
    _cloud(axes, legal(grid))
    axes.plot(front[DRAM], front[TIME], color=INK, lw=1.5, marker="o", ms=4, label="front")
    place = knee_of(front)
    if place is not None:
        _mark(axes, front.iloc[place].to_dict(), "knee", "D", COLOURS[4])
    if isinstance(points, Advice):
        _choice(axes, points)
    axes.set_title(
        f"{grid['source'].iloc[0]} ({grid['evidence'].iloc[0]})", loc="left", fontsize=10
    )
    bytes_axis(axes, "x", "DRAM at the peak: descriptors, page tables, reserve")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f} ns"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("time an access")
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    return figure


def _cloud(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw every legal point, coloured by granule: what sets the points apart most."""
    for colour, (granule, some) in zip(COLOURS, rows.groupby("granule_bytes"), strict=False):
        label = f"granule {short_bytes(float(str(granule)))}"
        axes.scatter(some[DRAM], some[TIME], s=10, color=colour, alpha=0.45, lw=0, label=label)


def _choice(axes: Axes, advice: Advice) -> None:
    if advice.dram_budget:
        axes.axvline(advice.dram_budget, color=GREY, ls="--", lw=1)
        text = f"budget {short_bytes(advice.dram_budget)} "
        axes.text(advice.dram_budget, 0.98, text, color=GREY, ha="right", va="top", fontsize=9,
                  transform=axes.get_xaxis_transform())  # fmt: skip
    if advice.best is not None:
        _mark(axes, advice.row(advice.best), "best", "*", COLOURS[1])
    if advice.lra is not None and advice.lra != advice.best:
        _mark(axes, advice.row(advice.lra), "best with lra", "^", COLOURS[3])


def _mark(axes: Axes, row: Mapping[Any, Any], name: str, mark: str, colour: str) -> None:
    text = (
        f"{name}: {row['policy']}, granule {short_bytes(row['granule_bytes'])}, chunk "
        f"{short_bytes(row['chunk_bytes'])} x {row['batch_chunks']}\n"
        f"{short_bytes(row[DRAM])}, {row[TIME]:,.0f} ns"
    )
    axes.scatter([row[DRAM]], [row[TIME]], s=120 if mark == "*" else 55, marker=mark, color=colour,
                 edgecolor=INK, zorder=4, label=text)  # fmt: skip
