"""The front of DRAM against time, over every point of the grid that it was chosen from."""

from collections.abc import Mapping
from typing import Any, Protocol

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from pfnlab.figures import palette
from pfnlab.figures.drawing import bytes_axis, heading, new_figure, of_source, short
from pfnlab.figures.palette import INK
from pfnlab.frames import require
from pfnlab.frames.best import DRAM, TIME, front_of, knee_of, legal
from pfnlab.params import Params
from pfnlab.params.units import short_bytes


class Advice(Protocol):
    """A choice among the points of a grid, such as `pfnlab.advise` returns."""

    @property
    def grid(self) -> pd.DataFrame:
        """The points, a row each."""

    @property
    def dram_budget(self) -> int | None:
        """Most bytes of DRAM, None for no limit."""

    @property
    def best(self) -> Params | None:
        """The point to choose, None if none fits."""

    @property
    def lra(self) -> Params | None:
        """The point to choose among those of policy ``lra``."""

    def row(self, point: Params) -> dict[str, Any]:
        """Return the row of `grid` with these parameters."""


def pareto_front(points: Advice | pd.DataFrame) -> Figure:
    """Draw an advice, or the grid of one: DRAM against time, the front, the knee, the budget."""
    grid = points if isinstance(points, pd.DataFrame) else points.grid
    shown = ["granule_bytes", "chunk_bytes", "batch_chunks", "policy"]
    require(grid, ["source", "evidence", DRAM, TIME, "atomic_faults", *shown])
    front = front_of(grid)
    kept = f"{len(front)} of {len(grid):,} points of {short(grid['source'].iloc[0])}"
    figure, ((axes,),) = new_figure(
        f"More DRAM buys time, up to a point: {kept} are worth choosing", 1, 1, 10.4, 5.0
    )
    _cloud(axes, legal(grid))
    axes.plot(front[DRAM], front[TIME], color=INK, lw=1.5, marker="o", ms=4, label="front")
    place = knee_of(front)
    if place is not None:
        _mark(axes, front.iloc[place].to_dict(), "knee", "D")
    if not isinstance(points, pd.DataFrame):
        _choice(axes, points)
    heading(axes, of_source(grid["source"].iloc[0], grid["evidence"].iloc[0]))
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
    for granule, some in rows.groupby("granule_bytes"):
        size = float(str(granule))
        look = palette.size(size)
        axes.plot(some[DRAM], some[TIME], **look.marks(), ms=4, mew=0,
                  label=f"granule {short_bytes(size)}")  # fmt: skip


def _choice(axes: Axes, advice: Advice) -> None:
    if advice.dram_budget:
        axes.axvline(advice.dram_budget, color=INK, ls="--", lw=1)
        text = f" budget {short_bytes(advice.dram_budget)}"
        axes.text(advice.dram_budget, 0.98, text, color=INK, ha="left", va="top", fontsize=9,
                  transform=axes.get_xaxis_transform())  # fmt: skip
    if advice.best is not None:
        _mark(axes, advice.row(advice.best), "best", "*")
    if advice.lra is not None and advice.lra != advice.best:
        _mark(axes, advice.row(advice.lra), "best with lra", "^")


def _mark(axes: Axes, row: Mapping[Any, Any], name: str, mark: str) -> None:
    text = (
        f"{name}: {row['policy']}, granule {short_bytes(row['granule_bytes'])}, chunk "
        f"{short_bytes(row['chunk_bytes'])} x {row['batch_chunks']}\n"
        f"{short_bytes(row[DRAM])}, {row[TIME]:,.0f} ns"
    )
    axes.scatter([row[DRAM]], [row[TIME]], s=120 if mark == "*" else 55, marker=mark, color="white",
                 edgecolor=INK, linewidth=1.5, zorder=4, label=text)  # fmt: skip
