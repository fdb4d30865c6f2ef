"""What pfnlab does in the races: one replay, or a sweep over thresholds."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import pfnlab
from benchmarks.race import Contestant, Mark

FRACTIONS = tuple(i / 128 for i in range(1, 65))  # 0.8 to 50 % of the vmemmap
SAMPLED = (0, 15, 31, 47, 63)  # of these thresholds libCacheSim runs, and its rate is that of all


def replayed(
    trace: pfnlab.Trace,
    params: pfnlab.Params,
    name: str = "pfnlab",
    answer: Callable[[pfnlab.Result], Mapping[str, Hashable]] | None = None,
    mark: Mark | None = None,
) -> Contestant:
    """Return pfnlab's replay; the answer is the misses unless told otherwise."""
    return Contestant(
        name=name,
        n=len(trace),
        run=partial(pfnlab.replay, trace, params),
        answer=answer or (lambda result: {"misses": result.faults}),
        mark=mark,
    )


def counted(name: str, result: pfnlab.Result) -> dict[str, Hashable]:
    """Return all counters as one answer called `name`."""
    return {name: tuple(result.counts().items())}


def sweep_of(
    trace: pfnlab.Trace,
    params: pfnlab.Params,
    answer: Callable[[Any], Mapping[str, Hashable]],
    *,
    threads: int | None = None,
    fractions: Sequence[float] = FRACTIONS,
    mark: Mark | None = None,
) -> Contestant:
    """Return pfnlab's sweep over thresholds."""
    return Contestant(
        name=f"pfnlab.sweep of {len(fractions)}" + (f", {threads} thread(s)" if threads else ""),
        n=len(trace) * len(fractions),
        run=lambda: pfnlab.sweep(trace, params, executor=threads, threshold_fraction=fractions),
        answer=answer,
        mark=mark,
    )
