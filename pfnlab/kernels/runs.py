"""Collapse runs of accesses to one granule into its first access.

Under LRA and LRU all accesses of a run but the first are hits that move nothing, so a sweep
collapses a trace once and replays the runs for every threshold. Each run keeps the index of the
event just after it, from which the mean of the resident bytes follows.

Preconditions: no pfn is below `first_pfn`, the outputs are as long as the input, granules fit their
dtype, and `ends` are fewer than its dtype holds. The outputs of `coarsen` may be its inputs.
"""

from typing import Any

import numpy as np

from pfnlab.kernels.compiled import kernel
from pfnlab.kernels.policies.shared import next_elsewhere


@kernel
def collapse(
    first_pfn: int, granule_shift: int, pfns: Any, n_events: int, granules: Any, ends: Any
) -> int:
    """Write the granule of each run of ``pfns[:n_events]`` and where it ends; return their number.

    A run's end is the index of the event just after it.
    """
    if n_events == 0:
        return 0
    first, shift = np.uint64(first_pfn), np.uint64(granule_shift)
    n_runs = 0
    granule = (np.uint64(pfns[0]) - first) >> shift
    for event in range(1, n_events):
        following = (np.uint64(pfns[np.uint64(event)]) - first) >> shift
        granules[np.uint64(n_runs)] = granule
        ends[np.uint64(n_runs)] = event
        n_runs += following != granule
        granule = following
    granules[n_runs] = granule
    ends[n_runs] = n_events
    return n_runs + 1


@kernel
def collapse_long(layout: Any, pfns: Any, n_events: int, granules: Any, ends: Any) -> int:
    """Do what `collapse` does, skipping 16 events a step: twice as fast on long runs.

    `layout` has `first_pfn` and, as its `chunk_shift`, log2 of the pfns in a granule.
    """
    event, n_runs = 0, 0
    while event < n_events:
        granule = (np.int64(pfns[np.uint64(event)]) - layout.first_pfn) >> layout.chunk_shift
        event = next_elsewhere(layout, pfns, event + 1, n_events, granule)
        granules[np.uint64(n_runs)] = granule
        ends[np.uint64(n_runs)] = event
        n_runs += 1
    return n_runs


@kernel
def coarsen(
    shift: int, granules: Any, ends: Any, n_runs: int, coarse_granules: Any, coarse_ends: Any
) -> int:
    """Collapse runs once more, for granules ``2**shift`` times as large; return their number."""
    if n_runs == 0:
        return 0
    by = np.uint64(shift)
    n_coarse = 0
    granule = np.uint64(granules[0]) >> by
    for run in range(1, n_runs):
        following = np.uint64(granules[np.uint64(run)]) >> by
        coarse_granules[np.uint64(n_coarse)] = granule
        coarse_ends[np.uint64(n_coarse)] = ends[np.uint64(run - 1)]
        n_coarse += following != granule
        granule = following
    coarse_granules[n_coarse] = granule
    coarse_ends[n_coarse] = ends[n_runs - 1]
    return n_coarse + 1
