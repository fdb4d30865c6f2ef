"""A trace's runs of accesses to one granule, found once and replayed for many configurations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.kernels import runs as kernel
from pfnlab.kernels.policies.shared import Layout
from pfnlab.params import Params
from pfnlab.params.geometry import Geometry
from pfnlab.params.memory import available_bytes
from pfnlab.params.units import log2
from pfnlab.traces.columns import Events
from pfnlab.traces.sources import Replayable

PIECE_EVENTS = 1 << 20
#: Runs are kept where there is one for at least so many events; the sample says how many.
KEPT_SHARE = 4
#: From so many events a run on, skipping within runs pays.
LONG_EVENTS = 16
_SLICES, _SLICE_EVENTS = 16, 1 << 12
_RUN_BYTES = 8


class Runs(NamedTuple):
    """The runs of some events in a row: where each ends, counted from the first of them."""

    first_event: int
    n_events: int
    granules: npt.NDArray[np.uint32]
    ends: npt.NDArray[np.uint32]


class Collapser:
    """Collapses pieces of events into buffers that the next piece takes over."""

    def __init__(self, params: Params, n_events: int) -> None:
        shift = log2(Geometry.of(params).granule_pfns)
        self.layout = Layout(params.first_pfn, shift, 1, 1, -1)
        self.long = False  # whether the last piece had long runs
        self.granules = np.empty(n_events, np.uint32)
        self.ends = np.empty(n_events, np.uint32)

    def runs(self, events: Events) -> Runs:
        """Return the runs of a piece, valid until the next."""
        n = len(events.pfns)
        if self.long:
            n_runs = kernel.collapse_long(self.layout, events.pfns, n, self.granules, self.ends)
        else:
            n_runs = kernel.collapse(*self.layout[:2], events.pfns, n, self.granules, self.ends)
        self.long = n_runs * LONG_EVENTS < n
        return Runs(events.start, n, self.granules[:n_runs], self.ends[:n_runs])


@dataclass(frozen=True, slots=True)
class Collapsed:
    """All runs of a trace, for one size of granule."""

    granule_bytes: int
    pieces: list[Runs]

    @classmethod
    def of(
        cls, trace: Replayable, params: Params, look: Callable[[], None] = lambda: None
    ) -> Collapsed:
        """Find the runs of a trace; `look` is called now and then, and may raise."""
        collapser, pieces = Collapser(params, PIECE_EVENTS), []
        for events in trace.pieces(params, PIECE_EVENTS):
            look()
            runs = collapser.runs(events)
            pieces.append(runs._replace(granules=runs.granules.copy(), ends=runs.ends.copy()))
        return cls(params.granule_bytes, pieces)

    def coarser(self, granule_bytes: int) -> Collapsed:
        """Return the runs for larger granules, from these instead of from the events."""
        shift = log2(granule_bytes // self.granule_bytes)
        return Collapsed(granule_bytes, [_coarser(runs, shift) for runs in self.pieces])


def _coarser(runs: Runs, shift: int) -> Runs:
    granules, ends = np.empty_like(runs.granules), np.empty_like(runs.ends)
    n_runs = kernel.coarsen(shift, runs.granules, runs.ends, len(granules), granules, ends)
    return runs._replace(granules=granules[:n_runs].copy(), ends=ends[:n_runs].copy())


def worth_collapsing(trace: Replayable, params: Params) -> bool:
    """Whether a sample of the trace has long runs, and all of them would fit in memory."""
    geometry, n_pairs, n_new = Geometry.of(params), 0, 0
    if geometry.n_granules >= 2**32:
        return False
    for pfns in trace.sample(_SLICES, _SLICE_EVENTS):
        granules = geometry.granules_of(pfns)
        n_pairs += len(granules)
        n_new += int(np.count_nonzero(np.diff(granules))) + 1
    kept_bytes = _RUN_BYTES * len(trace) * n_new // max(n_pairs, 1)
    return KEPT_SHARE * n_new <= n_pairs and kept_bytes < available_bytes() // 8
