"""Victim orders side by side: any trace as lookups that every order can replay."""

from dataclasses import dataclass

import numpy as np

from pfnlab.params import Params
from pfnlab.sweeps import Source
from pfnlab.traces.requests import PUT
from pfnlab.traces.sources import Evidence, Replayable
from pfnlab.traces.trace import Trace


@dataclass(frozen=True, slots=True)
class Lookups:
    """A source whose events are all lookups that can sleep, so that every order can replay it.

    PUTs are left out, and each GET becomes a LOOKUP: nothing is pinned and nothing is illegal, so
    the orders differ in their victims alone.
    """

    source: Source

    @property
    def name(self) -> str:
        """What reports call it: as the source."""
        return self.source.name

    @property
    def evidence(self) -> Evidence:
        """Whether its events are references on descriptors or stand in for them."""
        return self.source.evidence

    def trace(self, params: Params) -> Replayable:
        """Return the lookups for the region of `params`; a trace of lookups is returned as it is.

        Raises
        ------
        TraceError
            If the trace does not fit the region.
        """
        trace = self.source.trace(params)
        if not trace.has_ops and not trace.has_atomic:
            return trace
        parts = [
            piece.pfns.copy() if piece.ops is None else piece.pfns[piece.ops != PUT]
            for piece in trace.pieces(params)
        ]
        return Trace(
            np.concatenate(parts) if parts else np.zeros(0, np.int64),
            page_bytes=trace.page_bytes,
            name=trace.name,
            evidence=trace.evidence,
            provenance={**trace.provenance, "view": "accesses as sleepable lookups, no PUTs"},
        )
