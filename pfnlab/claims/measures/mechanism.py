"""A region small enough to look at, a story of events for it, and any trace cut down to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from pfnlab.engine.steps import cpus_of, steps
from pfnlab.params import Params
from pfnlab.params.geometry import Geometry
from pfnlab.traces.requests import GET, LOOKUP, PUT
from pfnlab.traces.sources import Evidence, Replayable, Source
from pfnlab.traces.trace import Trace

CHUNK_GRANULES, N_CHUNKS, THRESHOLD_CHUNKS = 4, 6, 3
#: CPUs of the toy's machine, at most: few enough to draw each.
N_CPUS = 4
#: Events of a longer trace that are shown.
SHOWN_EVENTS = 60

#: Name of the story as a source.
TOY = "toy"
#: ``CPU:`` and then what it does: look up (L), get (G) or put (P) a page of granule g in chunk c,
#: as ``Lc.g``; in lower case the caller can't sleep.
STORY = """
    0: L0.0 L0.0 L0.1    1: G1.0 L1.1    2: L2.0 L2.1 L2.2 L2.3    0: L0.0
    3: L3.0 L3.1 L3.2 L3.3    0: L0.1    1: L4.0    0: L0.0    1: L4.1    2: L1.0    3: l2.1
    2: p1.0    1: L5.0 L5.1 L5.2 L5.3    3: L3.0    0: G2.0 L2.1
    2: g4.3 p4.3    0: P2.0    3: L4.2
"""
_OPS = {"L": LOOKUP, "G": GET, "P": PUT}


def sized(params: Params) -> Params:
    """Return `params` with region, chunk, threshold and CPUs of a toy; granules stay as they are.

    Six chunks of four granules, of which three chunks' worth may be resident, and 4 CPUs.
    """
    geometry = Geometry.of(params)
    chunk = CHUNK_GRANULES * params.granule_bytes
    n_pages = N_CHUNKS * CHUNK_GRANULES * geometry.granule_pfns
    return params.replace(
        region_bytes=n_pages * params.page_bytes,
        chunk_bytes=chunk,
        threshold_bytes=THRESHOLD_CHUNKS * chunk,
        n_cpus=min(params.n_cpus, N_CPUS),
    )


@dataclass(frozen=True, slots=True)
class Story:
    """A source of 32 events in which everything that the model knows happens once."""

    name: str = TOY
    evidence: Evidence = "proxy"

    def trace(self, params: Params) -> Trace:
        """Return the events, for a region of a toy's size or larger."""
        acts = list(_acts())
        pages = [_page(i, act, Geometry.of(params).granule_pfns) for i, act in enumerate(acts)]
        return Trace(
            np.array(pages, np.int64) + params.first_pfn,
            ops=np.array([_OPS[act.op.upper()] for act in acts], np.uint8),
            atomic=np.array([act.op.islower() for act in acts]),
            cpus=np.array([act.cpu % params.n_cpus for act in acts], np.uint16),
            page_bytes=params.page_bytes,
            name=self.name,
            evidence=self.evidence,
            provenance={"made": "by hand, to show the mechanism"},
        )


class _Act(NamedTuple):
    cpu: int
    op: str
    granule: int


def _acts() -> Iterator[_Act]:
    """Read the story."""
    cpu = 0
    for word in STORY.split():
        if word.endswith(":"):
            cpu = int(word[:-1])
            continue
        chunk, granule = word[1:].split(".")
        yield _Act(cpu, word[0], CHUNK_GRANULES * int(chunk) + int(granule))


def _page(event: int, act: _Act, granule_pfns: int) -> int:
    """Choose a page of the granule: any for a lookup, the first where GET and PUT must meet."""
    within = 7 * event % granule_pfns if act.op in "Ll" else 0
    return act.granule * granule_pfns + within


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
        trace = self.source.trace(whole)
        piece = next(trace.pieces(whole, SHOWN_EVENTS), None)
        pfns = np.zeros(0, np.int64) if piece is None else piece.pfns.astype(np.int64)
        return Trace(
            pfns % params.n_pages + params.first_pfn,
            ops=None if piece is None or piece.ops is None else piece.ops.copy(),
            atomic=None if piece is None or piece.atomic is None else piece.atomic.copy(),
            cpus=cpus_of(trace, len(pfns)) % params.n_cpus,
            page_bytes=params.page_bytes,
            name=self.name,
            evidence=self.evidence,
            provenance={"view": f"first {SHOWN_EVENTS} events, folded into the region"},
        )


def stepped(trace: Replayable, params: Params, costs: str) -> pd.DataFrame:
    """Return the steps of a trace, as a notebook's `gather` asks for them; `costs` change none."""
    return steps(trace, params)
