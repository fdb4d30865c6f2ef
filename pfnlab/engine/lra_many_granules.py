"""LRA where a chunk has several granules, for lookups: `pfnlab.kernels.lra.many_granules`."""

from pfnlab.engine.buffers import Buffers
from pfnlab.engine.counters import layout_of, named, result_of
from pfnlab.engine.result import Result
from pfnlab.engine.runs import Runs
from pfnlab.kernels.lra import many_granules as kernel
from pfnlab.kernels.lra import many_granules_state as tables
from pfnlab.params import Params
from pfnlab.params.geometry import Geometry
from pfnlab.traces.columns import Events
from pfnlab.traces.sources import Replayable


class Chunked:
    """One replay by a log of faults, fed with events or with runs of accesses to a granule."""

    def __init__(self, trace: Replayable, params: Params) -> None:
        self.params, self.n_events = params, len(trace)
        geometry = Geometry.of(params)
        self.layout = tables.Layout(**layout_of(params))
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
        counts = named(tables, self.state.counts)
        return [result_of(self.params, self.n_events, counts)]
