"""Many thresholds in one pass: `pfnlab.kernels.lra.thresholds` for LRA, stack distances for LRU."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import binding  # type: ignore[import-untyped]

from pfnlab.engine.buffers import Buffers
from pfnlab.engine.counters import chunk_shift, limit_chunks, result_of_faults, window_shift
from pfnlab.engine.result import Result
from pfnlab.engine.runs import Collapser, Runs
from pfnlab.kernels.lra import thresholds as kernel
from pfnlab.kernels.policies import lru_distances
from pfnlab.kernels.policies.shared import Layout
from pfnlab.params import Params
from pfnlab.params.geometry import Geometry
from pfnlab.traces.columns import Events
from pfnlab.traces.sources import Replayable

PART_EVENTS = 1 << 16


def has_vectors() -> bool:
    """Whether this CPU has registers that a row of faults fits, so that a vector a row pays."""
    features = binding.get_host_cpu_features()
    return any(features.get(name) for name in ("avx512f", "avx2", "sve"))


def numbers_for(n_chunks: int, limit: int) -> Any:
    """Return the type of the numbers of faults: half as wide where they seldom start over.

    A row of 64 then takes 128 bytes, and 8192 of them fit L2.
    """
    return np.uint16 if 4 * n_chunks + limit < 2**16 else np.uint32


class Thresholds:
    """LRA where a chunk is one granule, batch 1, for up to 64 thresholds at once.

    `points` differ in nothing but the threshold. A point whose page tables can't be told from
    what all thresholds share has no result.
    """

    def __init__(self, trace: Replayable, points: Sequence[Params]) -> None:
        self.points, self.n_events = points, len(trace)
        params, buffers = points[0], Buffers()
        self.limits = [limit_chunks(point) for point in points]
        lanes = next(width for width in kernel.WIDTHS if width >= len(points))
        n_chunks = Geometry.of(params).n_chunks
        n_firsts = min(n_chunks, max(self.n_events, 1))
        self.numbers = numbers_for(n_chunks, max(self.limits))
        limits = np.full(lanes, self.limits[0], self.numbers)
        limits[: len(points)] = self.limits
        self.state = kernel.State(
            gone=buffers.zeros(n_chunks * lanes, self.numbers),
            faults=np.ones(lanes, self.numbers),
            limits=limits,
            renumbered=np.zeros(lanes, np.int64),
            firsts=buffers.empty(n_firsts, np.int64),
            chunks=buffers.empty(n_firsts, np.uint32),
            totals=np.zeros(1, np.int64),
        )
        self.buffers = buffers
        self.collapser = Collapser(params, PART_EVENTS)
        self.lanes = None if self.numbers != np.uint8 and has_vectors() else lanes

    @staticmethod
    def table_bytes(points: Sequence[Params]) -> int:
        """Bytes of the table of chunks and thresholds."""
        lanes = next(width for width in kernel.WIDTHS if width >= len(points))
        return (4 * lanes + 12) * Geometry.of(points[0]).n_chunks

    def feed(self, events: Events) -> None:
        """Replay the next events."""
        for start in range(0, len(events.pfns), PART_EVENTS):
            part = events.part(start, min(start + PART_EVENTS, len(events.pfns)))
            self.feed_runs(self.collapser.runs(part))

    def feed_runs(self, runs: Runs) -> None:
        """Replay the next runs of accesses to a granule."""
        n_runs, start, step = len(runs.granules), 0, self._far_enough()
        while start < n_runs:
            stop = min(start + step, n_runs)
            largest = int(self.state.faults.max()) + max(self.limits) + stop - start
            if largest > np.iinfo(self.numbers).max:
                kernel.renumber(self.state, self.lanes)
            kernel.replay(
                self.state, self.lanes, runs.granules, runs.ends, runs.first_event, start, stop
            )
            start = stop

    def _far_enough(self) -> int:
        """Return how many runs may pass between two looks at the numbers."""
        return min(1 << 20, int(np.iinfo(self.numbers).max) - max(self.limits) - 1)

    def results(self) -> list[Result | None]:
        """Return the counters of each point, by their names."""
        n_firsts = int(self.state.totals[0])
        before = np.concatenate([[0], np.cumsum(self.state.firsts[:n_firsts])])
        shift = window_shift(self.points[0])
        windows = (self.state.chunks[: n_firsts if shift >= 0 else 0] >> max(shift, 0)).astype(int)
        # Of several values for one index the last stands: written backwards, the first access.
        begin = np.full(int(windows.max(initial=-1)) + 1 if shift >= 0 else 0, -1)
        begin[windows[::-1]] = np.arange(len(windows))[::-1]
        begins = np.sort(begin[begin >= 0])
        found: list[Result | None] = []
        for lane, (params, limit) in enumerate(zip(self.points, self.limits, strict=True)):
            faults = int(self.state.faults[lane]) - 1 + int(self.state.renumbered[lane])
            n_filled = min(n_firsts, limit)
            # Until the first eviction all first accesses are resident, and so are their windows.
            peak_windows = int(np.searchsorted(begins, n_filled))
            result = result_of_faults(
                params,
                self.n_events,
                faults=faults,
                cold_faults=n_firsts,
                resident_sum=n_filled * self.n_events - int(before[n_filled]),
                peak_windows=peak_windows,
                windows_ever=len(begins),
            )
            found.append(result if peak_windows == len(begins) else None)
        return found


class StackDistances:
    """LRU for all thresholds at once, where a chunk is one granule without PTEs, batch 1."""

    def __init__(self, trace: Replayable, points: Sequence[Params]) -> None:
        self.points, self.n_events = points, len(trace)
        params, self.buffers = points[0], Buffers()
        self.layout = Layout(params.first_pfn, chunk_shift(params), 1, 1, -1)
        self.state = lru_distances.state(
            Geometry.of(params).n_chunks, max(len(trace), 1), empty=self.buffers.empty
        )

    @staticmethod
    def table_bytes(points: Sequence[Params]) -> int:
        """Bytes of the tables of chunks and distances."""
        return 48 * Geometry.of(points[0]).n_chunks

    def feed(self, events: Events) -> None:
        """Replay the next events."""
        lru_distances.replay(self.layout, self.state, events.pfns, 0, len(events.pfns))

    def results(self) -> list[Result | None]:
        """Return the counters of each point, by their names."""
        state, touched = self.state, int(self.state.marks[lru_distances.TOUCHED])
        beyond = np.concatenate([np.cumsum(state.distances[::-1])[::-1], [0]])
        sizes = np.arange(len(state.fills))
        found: list[Result | None] = []
        for params in self.points:
            limit = limit_chunks(params)
            faults = touched + int(beyond[min(limit + 1, len(beyond) - 1)])
            result = result_of_faults(
                params,
                self.n_events,
                faults=faults,
                cold_faults=touched,
                resident_sum=int((np.minimum(sizes, limit) * state.fills).sum()),
            )
            found.append(result)
        return found
