"""LRA where a chunk is one granule, for lookups: `pfnlab.kernels.lra.one_granule`."""

from typing import Any

import numpy as np

from pfnlab.engine.buffers import Buffers
from pfnlab.engine.counters import (
    chunk_shift,
    has_ptes,
    limit_chunks,
    result_of_faults,
    span_of,
    window_shift,
)
from pfnlab.engine.result import Result
from pfnlab.kernels.lra import one_granule as kernel
from pfnlab.params import Params
from pfnlab.traces.columns import Events
from pfnlab.traces.sources import Replayable

#: Events between two choices of a loop; fewer where the faults are gone over again.
PART_EVENTS = 1 << 19
FOLLOWED_EVENTS = 1 << 14
#: One miss in so many: from here on a branch costs more than it saves.
RARE_SHARE = 16
#: More than one miss in so many is often.
OFTEN_SHARE = 2
#: Tables above this outgrow L2.
_L2_BYTES = 1 << 19


class Expiry:
    """One replay whose faults say when their chunk will be gone."""

    numbers: Any = np.uint32  # of faults; a test takes a smaller one

    def __init__(self, trace: Replayable, params: Params) -> None:
        self.params, self.n_events = params, len(trace)
        span, limit, buffers = span_of(trace, params), limit_chunks(params), Buffers()
        self.layout = kernel.Layout(
            first_pfn=span.first_pfn,
            chunk_shift=chunk_shift(params),
            window_shift=max(window_shift(params), 0),
            limit_chunks=limit,
            batch_chunks=min(params.batch_chunks, limit),
        )
        self.windows = span.n_windows if has_ptes(params) else 0
        n_logged = 1 << (limit - 1).bit_length() if self.windows else 0
        self.state = kernel.State(
            gone=buffers.zeros(span.n_chunks + 1, self.numbers),
            missed=buffers.empty(FOLLOWED_EVENTS if self.windows else 0, np.int64),
            last=buffers.zeros(self.windows, np.int64),
            log=buffers.empty(n_logged, np.int32),
            counts=np.zeros(kernel.N_COUNTS, np.int64),
        )
        kernel.fresh(self.layout, self.state)
        self.buffers = buffers
        self.batched = True if self.layout.batch_chunks > 1 else None
        self.ahead = True if self.state.gone.nbytes > _L2_BYTES else None
        self.full = False
        self.follows = bool(self.windows)
        self.rare = False
        self.often = True

    @staticmethod
    def table_bytes(trace: Replayable, params: Params) -> int:
        """Bytes of the table of chunks."""
        return 4 * span_of(trace, params).n_chunks

    @classmethod
    def counts_far_enough(cls, params: Params) -> bool:
        """Whether the numbers of the faults of two thresholds and a part fit."""
        largest = int(np.iinfo(cls.numbers).max)
        return 3 * limit_chunks(params) + 2 * PART_EVENTS < largest

    def feed(self, events: Events) -> None:
        """Replay the next events."""
        start, end = 0, len(events.pfns)
        while start < end:
            self._keep_numbers_small()
            part = FOLLOWED_EVENTS if self.follows else PART_EVENTS
            stop = min(start + part, end)
            if self.full:
                self._replay(events.pfns, start, stop)
                start = stop
            else:
                start = self._warm_up(events.pfns, start, stop)

    def _warm_up(self, pfns: Any, start: int, stop: int) -> int:
        faults = self.state.counts[kernel.FAULTS]
        done = kernel.warm_up(self.layout, self.state, pfns, start, stop)
        if self.follows:
            kernel.follow(self.layout, self.state, self.state.counts[kernel.FAULTS] - faults)
        self.full = done < stop
        self.rare = (self.state.counts[kernel.FAULTS] - faults) * RARE_SHARE < done - start
        return done

    def _replay(self, pfns: Any, start: int, stop: int) -> None:
        counts = self.state.counts
        # Once all windows there are hold a granule, no later moment can have more of them.
        if self.follows and counts[kernel.PEAK_WINDOWS] >= self.windows:
            self.follows = False
        loop = kernel.rare if self.rare else kernel.steady
        follows = True if self.follows else None
        n_missed = loop(
            self.layout,
            self.state,
            self.batched,
            follows,
            self.ahead,
            None if self.often else True,
            pfns,
            start,
            stop,
        )
        if self.follows:
            kernel.follow(self.layout, self.state, n_missed)
        self.rare = n_missed * RARE_SHARE < stop - start
        self.often = n_missed * OFTEN_SHARE > stop - start

    def _keep_numbers_small(self) -> None:
        counts = self.state.counts
        ahead = PART_EVENTS + self.layout.batch_chunks
        numbers = max(counts[kernel.FAULTS] + self.layout.limit_chunks, counts[kernel.NEXT_GONE])
        if numbers + ahead > np.iinfo(self.numbers).max:
            kernel.renumber(self.state)

    def results(self) -> list[Result]:
        """Return the counters, by their names."""
        counts = [int(count) for count in self.state.counts]
        faults = counts[kernel.FAULTS] + counts[kernel.RENUMBERED]
        window_chunks = 1 << self.layout.window_shift
        windows_ever = kernel.touched(self.state.gone, window_chunks) if self.windows else 0
        result = result_of_faults(
            self.params,
            self.n_events,
            faults=faults,
            cold_faults=int(np.count_nonzero(self.state.gone[:-1])),
            resident_sum=counts[kernel.RESIDENT_SUM],
            peak_windows=counts[kernel.PEAK_WINDOWS],
            windows_ever=windows_ever,
        )
        return [result]
