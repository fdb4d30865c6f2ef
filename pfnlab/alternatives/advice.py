"""`advise`: choose granule, chunk, batch, threshold and policy, or another scheme that wins."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd

from pfnlab.alternatives import PROPERTIES, counted
from pfnlab.alternatives.advice_answer import Advice, params_of
from pfnlab.engine.descriptor_use import follow
from pfnlab.errors import ParameterError, TraceError, near
from pfnlab.frames.best import DRAM, front_of, knee_of, with_dram
from pfnlab.params import Params
from pfnlab.params.costs import DEFAULT_PRESET, Costs, costs_of
from pfnlab.params.units import format_bytes, parse_bytes
from pfnlab.sweeps import SweepInterrupted, Where, check_axes, sweep
from pfnlab.traces.sources import Replayable, Source

__all__ = ["GRID", "RESERVES", "Advice", "advise", "front_of"]

#: The grid: 960 points, for a granule above its chunk is left out. Belady's bound is no advice,
#: and s3fifo knows neither pins nor batches.
GRID: Mapping[str, Sequence[Any]] = MappingProxyType(
    {
        "granule_bytes": ("4KiB", "64KiB", "2MiB"),
        "chunk_bytes": ("4KiB", "64KiB", "2MiB"),
        "batch_chunks": (1, 8, 64, 512),
        "threshold_of_footprint": (0.02, 0.05, 0.1, 0.15, 0.25, 0.35, 0.5, 0.65, 0.8, 1.0),
        "policy": ("lra", "lru", "clock", "sieve"),
    }
)
#: Reserves that are tried as well if the trace has atomic accesses.
RESERVES = (0, 64, 1024)
#: Thresholds that are tried as well, as shares of a budget: page tables come on top of them.
OF_BUDGET = (0.5, 15 / 16)
_SMALLEST_BYTES = 2 * 4096  # one granule and the page of page tables that maps it


def advise(
    source: Source,
    params: Params | None = None,
    *,
    dram_budget: int | str | None = None,
    costs: str | Costs = DEFAULT_PRESET,
    needs: Iterable[str] = (),
    executor: Where = None,
    grid: Mapping[str, Sequence[Any]] = GRID,
) -> Advice:
    """Replay a trace over a grid and say what to choose, with every point that was tried.

    Parameters
    ----------
    source
        A `Trace`, a placed trace or a workload spec.
    params
        Region and host; what the grid sets is overruled.
    dram_budget
        Most bytes of DRAM for descriptors, page tables and reserve: an int, or "64MiB". Without
        one the knee of the front is advised.
    costs
        A preset's name or a `Costs`.
    needs
        Properties that a scheme must keep, of `pfnlab.alternatives.PROPERTIES`.
    executor
        As in `pfnlab.sweep`.
    grid
        Axes as of `pfnlab.sweep`; one of ``reserve_granules`` is added if an access is atomic.

    Raises
    ------
    ParameterError
        Before anything is replayed: for a budget below one granule and its page table, an
        unknown need, preset or axis.
    TraceError
        If the trace does not fit the region, or has no accesses.
    SweepInterrupted
        On Ctrl-C, with the finished points in ``.frame``.
    """
    params, chosen = params or Params(), costs_of(costs)
    budget, wanted = _budget(dram_budget), _needs(needs)
    if not callable(getattr(source, "trace", None)):
        raise ParameterError("source", source, "must be a Trace or a workload")
    trace = source.trace(params)
    seen = follow(trace, params)
    if not seen.accesses:
        raise TraceError(f"trace {trace.name!r}: has no accesses to advise on")
    check_axes(grid)
    axes = dict(grid)
    if seen.atomic_accesses and "reserve_granules" not in axes:
        axes["reserve_granules"] = RESERVES
    frame = _points(trace, params, chosen, executor, axes, budget)
    lra = chosen_of(frame[frame["policy"] == "lra"], budget)
    try:
        table = counted(trace, lra or free_sizes(params)).table(chosen)
    except KeyboardInterrupt:
        raise SweepInterrupted(frame, len(frame)) from None
    return Advice(
        trace=trace.name,
        evidence=trace.evidence,
        params=params,
        costs=chosen,
        dram_budget=budget,
        needs=wanted,
        grid=frame,
        best=chosen_of(frame, budget),
        lra=lra,
        all_schemes=table,
        gets=seen.gets,
    )


def _budget(value: int | str | None) -> int | None:
    if value is None:
        return None
    budget = parse_bytes(value, "dram_budget")
    if budget < _SMALLEST_BYTES:
        smallest = format_bytes(_SMALLEST_BYTES)
        requirement = f"must hold one granule and the page table that maps it ({smallest})"
        raise ParameterError("dram_budget", value, requirement)
    return budget


def _needs(needs: Iterable[str]) -> tuple[str, ...]:
    if isinstance(needs, str):
        raise ParameterError("needs", needs, "must be a list of properties")
    wanted = tuple(needs)
    for need in wanted:
        if need not in PROPERTIES:
            raise ParameterError("needs", need, f"no such property; {near(str(need), PROPERTIES)}")
    return wanted


def _points(
    trace: Replayable,
    params: Params,
    costs: Costs,
    executor: Where,
    axes: Mapping[str, Sequence[Any]],
    budget: int | None,
) -> pd.DataFrame:
    """Replay the grid, and points whose threshold follows from the budget."""
    grids = [axes, *_within(axes, budget)]
    frames: list[pd.DataFrame] = []
    try:
        for some in grids:
            frame = sweep(
                trace, free_sizes(params), costs=costs, executor=executor, skip_invalid=True, **some
            )
            frames.append(frame)
    except SweepInterrupted as interrupt:
        interrupt.frame = pd.concat([*frames, interrupt.frame], ignore_index=True)
        raise
    return with_dram(pd.concat(frames, ignore_index=True))


def _within(axes: Mapping[str, Sequence[Any]], budget: int | None) -> list[dict[str, Any]]:
    """Return the axes of points whose threshold follows from the budget, if one is large enough."""
    if budget is None:
        return []
    chunks = [parse_bytes(size, "chunk_bytes") for size in axes.get("chunk_bytes", [4096])]
    thresholds = [int(share * budget) for share in OF_BUDGET if share * budget >= min(chunks)]
    others = {name: axis for name, axis in axes.items() if not name.startswith("threshold_")}
    return [others | {"threshold_bytes": thresholds}] if thresholds else []


def free_sizes(params: Params) -> Params:
    """Return the parameters with what the grid sets at its least, which makes no point invalid."""
    return params.replace(policy="lra", batch_chunks=1, granule_bytes=4096, chunk_bytes=4096)


def chosen_of(frame: pd.DataFrame, budget: int | None) -> Params | None:
    """Return the fastest legal point within the budget, or the knee without one."""
    front = front_of(frame) if len(frame) else frame
    if budget is None:
        place = knee_of(front)
        return None if place is None else params_of(front.iloc[place])
    fits = front[front[DRAM] <= budget]
    return None if fits.empty else params_of(fits.iloc[-1])
