"""The events of a trace, handed to one or several runs in pieces that the clock has sized."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from pfnlab.engine.result import Result
from pfnlab.params import Params
from pfnlab.traces.columns import Events
from pfnlab.traces.sources import Replayable

#: Events replayed before the first look at the clock; a piece then grows while it takes less than
#: `PIECE_S`, so that Ctrl-C and progress never wait long, however dear an event is.
FIRST_PIECE_EVENTS = 1 << 16
PIECE_S = 0.05
LARGEST_PIECE_EVENTS = 1 << 26
#: Events that several runs replay in turn, one after another, while they are in the cache.
SHARED_PIECE_EVENTS = 1 << 18


class Run(Protocol):
    """The replay of one configuration, or of several at once, fed with the events in order."""

    def feed(self, events: Events) -> None:
        """Replay the next events."""

    def results(self) -> list[Result]:
        """Return what was counted, a result for each configuration."""


def drive(
    trace: Replayable,
    params: Params,
    runs: Sequence[Run],
    on_events: Callable[[int], None] | None = None,
) -> None:
    """Feed all events of a trace to all runs, reading it once.

    Raises
    ------
    TraceError
        If the trace's page size or one of its pfns is not the region's.
    """
    largest = LARGEST_PIECE_EVENTS if len(runs) == 1 else SHARED_PIECE_EVENTS
    size = FIRST_PIECE_EVENTS
    for piece in trace.pieces(params, largest):
        start, end = 0, len(piece.pfns)
        while start < end:
            started = time.perf_counter()
            events = piece.part(start, min(start + size, end))
            for run in runs:
                run.feed(events)
                if on_events is not None:
                    on_events(len(events.pfns))
            if time.perf_counter() - started < PIECE_S and size < largest:
                size *= 2
            start += len(events.pfns)
