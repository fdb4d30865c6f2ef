"""A region small enough to look at, a story of events for it, and any trace cut down to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pfnlab.engine.stepping import steps
from pfnlab.geometry import Geometry
from pfnlab.grid import Source
from pfnlab.params import Params
from pfnlab.replayable import Evidence, Replayable
from pfnlab.requests import GET, LOOKUP, PUT
from pfnlab.trace import Trace

CHUNK_GRANULES, N_CHUNKS, THRESHOLD_CHUNKS = 4, 6, 3
#: Events of a longer trace that are shown.
SHOWN_EVENTS = 60

#: Name of the story as a source.
TOY = "toy"
#: Looks up (L), gets (G) or puts (P) a page of granule g in chunk c: ``Lc.g``; in lower case the
#: caller can't sleep.
STORY = """
    L0.0 L0.0 L0.1      G1.0 L1.1           L2.0 L2.1 L2.2 L2.3 L0.0
    L3.0 L3.1 L3.2 L3.3 L0.1                L4.0 L0.0 L4.1 L1.0 l2.1
    p1.0                L5.0 L5.1 L5.2 L5.3 L3.0 G2.0 L2.1
    g4.3 p4.3 P2.0      L4.2
"""
_OPS = {"L": LOOKUP, "G": GET, "P": PUT}


def sized(params: Params) -> Params:
    """Return `params` with region, chunk and threshold of a toy; granules stay as they are.

    Six chunks of four granules, of which three chunks' worth may be resident.
    """
    geometry = Geometry.of(params)
    chunk = CHUNK_GRANULES * params.granule_bytes
    n_pages = N_CHUNKS * CHUNK_GRANULES * geometry.granule_pfns
    return params.replace(
        region_bytes=n_pages * params.page_bytes,
        chunk_bytes=chunk,
        threshold_bytes=THRESHOLD_CHUNKS * chunk,
    )


@dataclass(frozen=True, slots=True)
class Story:
    """A source of 32 events in which everything that the model knows happens once."""

    name: str = TOY
    evidence: Evidence = "proxy"

    def trace(self, params: Params) -> Trace:
        """Return the events, for a region of a toy's size or larger."""
        geometry = Geometry.of(params)
        words = STORY.split()
        granules = [
            CHUNK_GRANULES * int(chunk) + int(granule)
            for chunk, granule in (word[1:].split(".") for word in words)
        ]
        return Trace(
            np.array(granules, np.int64) * geometry.granule_pfns + params.first_pfn,
            ops=np.array([_OPS[word[0].upper()] for word in words], np.uint8),
            atomic=np.array([word[0].islower() for word in words]),
            page_bytes=params.page_bytes,
            name=self.name,
            evidence=self.evidence,
            provenance={"made": "by hand, to show the mechanism"},
        )


@dataclass(frozen=True, slots=True)
class Folded:
    """The first events of another source, its pages folded into the region they are asked for."""

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
        """Return at most `SHOWN_EVENTS` events; page n becomes page n modulo the region's pages."""
        if isinstance(self.source, Story):
            return self.source.trace(params)
        whole = Params(page_bytes=params.page_bytes, seed=params.seed)
        piece = next(self.source.trace(whole).pieces(whole, SHOWN_EVENTS), None)
        pfns = np.zeros(0, np.int64) if piece is None else piece.pfns.astype(np.int64)
        return Trace(
            pfns % params.n_pages + params.first_pfn,
            ops=None if piece is None or piece.ops is None else piece.ops.copy(),
            atomic=None if piece is None or piece.atomic is None else piece.atomic.copy(),
            page_bytes=params.page_bytes,
            name=self.name,
            evidence=self.evidence,
            provenance={"view": f"first {SHOWN_EVENTS} events, folded into the region"},
        )


def stepped(trace: Replayable, params: Params, costs: str) -> pd.DataFrame:
    """Return the steps of a trace, as a notebook's `gather` asks for them; `costs` change none."""
    return steps(trace, params)
