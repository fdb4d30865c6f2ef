"""LRA where a chunk has several granules, for lookups: `pfnlab.kernels.lra.many_granules`."""

from pfnlab.engine.buffers import Buffers
from pfnlab.engine.counters import has_ptes
from pfnlab.engine.result import Result
from pfnlab.engine.runs import Runs
from pfnlab.kernels.lra import many_granules as kernel
from pfnlab.kernels.lra import many_granules_state as tables
from pfnlab.params import Params
from pfnlab.params.geometry import WINDOW_BYTES, Geometry
from pfnlab.params.units import log2
from pfnlab.traces.columns import Events
from pfnlab.traces.sources import Replayable


class Chunked:
    """One replay by a log of faults, fed with events or with runs of accesses to a granule."""

    def __init__(self, trace: Replayable, params: Params) -> None:
        self.params, self.n_events = params, len(trace)
        geometry, pages = Geometry.of(params), params.chunk_bytes // 4096
        self.layout = tables.Layout(
            first_pfn=params.first_pfn,
            granule_shift=log2(geometry.granule_pfns),
            chunk_shift=log2(params.chunk_bytes // params.granule_bytes),
            window_shift=log2(WINDOW_BYTES // params.granule_bytes) if has_ptes(params) else -1,
            limit_granules=params.threshold_bytes // params.granule_bytes,
            batch_chunks=params.batch_chunks,
            flush_pages=pages if pages <= params.flush_ceiling_pages else 0,
        )
        self.buffers = Buffers()
        self.state = tables.state(
            self.layout, geometry.n_granules, max(len(trace), 1), empty=self.buffers.empty
        )

    @staticmethod
    def table_bytes(trace: Replayable, params: Params) -> int:
        """Bytes of the tables of granules and chunks."""
        geometry = Geometry.of(params)
        return geometry.n_granules // 4 + 20 * geometry.n_chunks

    @staticmethod
    def counts_far_enough(params: Params) -> bool:
        """Whether granules and places of the log can be counted in 32 bits."""
        geometry = Geometry.of(params)
        return geometry.n_granules < 2**31 and 5 * geometry.n_chunks < 2**31

    def feed(self, events: Events) -> None:
        """Replay the next events."""
        kernel.replay(self.layout, self.state, events.pfns, 0, len(events.pfns))

    def feed_runs(self, runs: Runs) -> None:
        """Replay the next runs of accesses to a granule."""
        kernel.replay_runs(self.layout, self.state, runs.granules, runs.ends, 0, len(runs.granules))

    def results(self) -> list[Result]:
        """Return the counters, by their names."""
        tables.count_populated(self.layout, self.state)
        count = [int(value) for value in self.state.counts]
        granule, faults = self.params.granule_bytes, count[tables.FAULTS]
        return [
            Result(
                params=self.params,
                accesses=self.n_events,
                hits=self.n_events - faults,
                faults=faults,
                cold_faults=count[tables.COLD_FAULTS],
                shootdowns=count[tables.SHOOTDOWNS],
                evicted_chunks=count[tables.EVICTED_CHUNKS],
                evicted_granules=count[tables.EVICTED_GRANULES],
                ranged_flush_pages=count[tables.RANGED_FLUSH_PAGES],
                full_flushes=count[tables.FULL_FLUSHES],
                peak_resident_bytes=count[tables.PEAK_RESIDENT] * granule,
                resident_bytes=count[tables.RESIDENT] * granule,
                mean_resident_bytes=count[tables.RESIDENT_SUM] * granule / max(self.n_events, 1),
                page_table_bytes=count[tables.PEAK_WINDOWS] * 4096,
                page_table_kept_bytes=count[tables.WINDOWS_EVER] * 4096,
            )
        ]
