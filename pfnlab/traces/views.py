"""Other views of the same events: as plain lookups, or the first of them only."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np

from pfnlab.params import Params
from pfnlab.traces.columns import Column, Events
from pfnlab.traces.requests import PUT
from pfnlab.traces.sources import Evidence, Replayable, Source
from pfnlab.traces.trace import Trace


def accesses(events: Events) -> Column:
    """Return the pfns of the events that are no PUTs; views where all are."""
    return events.pfns if events.ops is None else events.pfns[events.ops != PUT]


def lookups(source: Source) -> Source:
    """Return a source whose events are all lookups of callers that can sleep.

    PUTs are left out, and each GET becomes a LOOKUP: nothing is pinned and nothing is illegal, so
    every victim order can replay it. A trace of such lookups is returned as it is.
    """
    return _Lookups(source)


@dataclass(frozen=True, slots=True)
class _Lookups:
    source: Source

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def evidence(self) -> Evidence:
        return self.source.evidence

    def trace(self, params: Params) -> Replayable:
        trace = self.source.trace(params)
        if not trace.has_ops and not trace.has_atomic:
            return trace
        parts = [accesses(piece).copy() for piece in trace.pieces(params)]
        return Trace(
            np.concatenate(parts) if parts else np.zeros(0, np.int64),
            page_bytes=trace.page_bytes,
            name=trace.name,
            evidence=trace.evidence,
            provenance={**trace.provenance, "view": "accesses as sleepable lookups, no PUTs"},
        )


@overload
def first_events(trace: Trace, n_events: int) -> Trace: ...
@overload
def first_events(trace: Replayable, n_events: int, params: Params) -> Trace: ...
def first_events(trace: Replayable, n_events: int, params: Params | None = None) -> Trace:
    """Return the first events of a trace, in memory.

    Parameters
    ----------
    trace, n_events
        Fewer events are returned if the trace has no more.
    params
        The region that the events must fit; a trace in memory needs none.

    Raises
    ------
    TraceError
        If the trace does not fit the region.
    """
    if params is not None:
        trace.check(params)
    if isinstance(trace, Trace):
        columns: dict[str, Any] = {n: column[:n_events] for n, column in trace.columns().items()}
        return replace(trace, **columns, placement=None)
    about: Any = {"page_bytes": trace.page_bytes, "name": trace.name, "evidence": trace.evidence}
    found: dict[str, list[Column]] = {"pfns": [np.zeros(0, np.uint32)]}
    for piece in _pieces(trace, n_events, params or Params(page_bytes=trace.page_bytes)):
        for name in ("pfns", "ops", "atomic"):
            if (column := getattr(piece, name)) is not None:
                found.setdefault(name, []).append(column.copy())
    columns = {name: np.concatenate(parts) for name, parts in found.items()}
    return Trace(**columns, **about)


def _pieces(trace: Replayable, n_events: int, params: Params) -> Iterator[Events]:
    """Yield the pieces of the first events, the last one cut."""
    with closing(trace.pieces(params, n_events)) as pieces:  # type: ignore[type-var]
        while n_events > 0 and (piece := next(pieces, None)) is not None:
            yield piece.part(0, n_events)
            n_events -= len(piece.pfns)
