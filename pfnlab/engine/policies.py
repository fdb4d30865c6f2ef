"""The other victim orders where a chunk is one granule, for lookups: a kernel file for each."""

from importlib import import_module
from typing import Any

from pfnlab.engine.buffers import Buffers
from pfnlab.engine.counters import (
    chunk_shift,
    limit_chunks,
    named,
    random_key,
    span_of,
    whole_chunk_result,
    window_shift,
)
from pfnlab.engine.result import Result
from pfnlab.errors import ParameterError
from pfnlab.params import Params
from pfnlab.traces.columns import Events
from pfnlab.traces.sources import Replayable
from pfnlab.traces.trace import Trace

#: The file of `pfnlab.kernels.policies` that replays each policy.
KERNELS = {
    "lru": "lru",
    "clock": "clock",
    "sieve": "sieve",
    "s3fifo": "s3fifo",
    "random": "random_order",
    "opt": "opt",
}


class Order:
    """One replay by the kernel of its policy.

    Parameters
    ----------
    trace, params
        The events and the configuration.
    paper
        Whether s3fifo follows the paper where its authors' simulator differs.

    Raises
    ------
    ParameterError
        If the policy looks ahead, and the trace is not in memory.
    """

    def __init__(self, trace: Replayable, params: Params, *, paper: bool = True) -> None:
        self.params, self.n_events = params, len(trace)
        self.kernel: Any = import_module(f"pfnlab.kernels.policies.{KERNELS[params.policy]}")
        self.counts: Any = import_module("pfnlab.kernels.policies.shared")
        span, limit = span_of(trace, params), limit_chunks(params)
        self.layout = self.counts.Layout(
            span.first_pfn, chunk_shift(params), limit, params.batch_chunks, window_shift(params)
        )
        self.buffers = Buffers()
        options: dict[str, Any] = {"empty": self.buffers.empty}
        if params.policy == "random":
            options["seed"] = random_key(params.seed)
        if params.policy == "s3fifo":
            options["paper"] = paper
        if params.policy == "opt":
            options["n_events"] = len(trace)
        self.state = self.kernel.state(span.n_chunks, limit, window_shift(params), **options)
        if params.policy == "opt":
            self._look_ahead(trace)

    def _look_ahead(self, trace: Replayable) -> None:
        if not isinstance(trace, Trace):
            requirement = f"must have a trace in memory, unlike {trace.name!r}: it looks ahead"
            raise ParameterError("policy", "opt", requirement)
        self.kernel.look_ahead(self.layout, self.state, trace.pfns, 0, len(trace))

    @staticmethod
    def table_bytes(trace: Replayable, params: Params) -> int:
        """Bytes of the tables of chunks; opt has one of events, too."""
        of_events = 12 * len(trace) if params.policy == "opt" else 0
        return 5 * span_of(trace, params).n_chunks + 16 * limit_chunks(params) + of_events

    def feed(self, events: Events) -> None:
        """Replay the next events."""
        self.kernel.replay(self.layout, self.state, events.pfns, 0, len(events.pfns))

    def results(self) -> list[Result]:
        """Return the counters, by their names."""
        counts = named(self.counts, self.state.counts)
        counts["shootdowns"] = passes = int(self.state.counts[self.counts.PASSES])
        of_one = min(self.layout.batch_chunks, self.layout.limit_chunks) == 1
        single = passes if of_one else 0
        if self.params.policy == "s3fifo":  # whose passes evict one chunk or more
            single = int(self.state.marks[self.kernel.SINGLE_PASSES])
        return [whole_chunk_result(self.params, self.n_events, counts, single)]
