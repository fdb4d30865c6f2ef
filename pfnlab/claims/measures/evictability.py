"""What a reclaim pass could unmap: chunks without a live pin, replayed, beside (1-q)^n (T13)."""

from dataclasses import dataclass

import numpy as np

from pfnlab.engine import replay
from pfnlab.params import PARAMETERS, Params
from pfnlab.params.geometry import Geometry
from pfnlab.traces.edits import ops_of
from pfnlab.traces.requests import GET, LOOKUP, PUT, Int64s
from pfnlab.traces.trace import Trace
from pfnlab.traces.workloads.random_words import below, key_of, words


@dataclass(frozen=True, slots=True, kw_only=True)
class Evictability:
    """How many of the chunks that a trace has touched one reclaim pass could unmap.

    Attributes
    ----------
    chunks, evictable_chunks
        Chunks with a resident granule, and those of them without a live pin, as replayed.
    unevictable_bytes
        Descriptors that stay resident, pinned or beside a pin in their chunk: no threshold below
        this bounds DRAM.
    pinned_pages, pages
        Pages with a live pin, and all pages of these chunks.
    chunk_pages
        Pages of one chunk.
    """

    chunks: int
    evictable_chunks: int
    unevictable_bytes: int
    pinned_pages: int
    pages: int
    chunk_pages: int

    @property
    def evictable_share(self) -> float:
        """Share of the chunks that can be unmapped; 1.0 if there are none."""
        return self.evictable_chunks / self.chunks if self.chunks else 1.0

    @property
    def pinned_page_share(self) -> float:
        """The q of the closed form: share of the pages that are pinned."""
        return self.pinned_pages / self.pages if self.pages else 0.0

    @property
    def independent_share(self) -> float:
        """What `evictable_share` would be, were each page pinned by chance alone: (1-q)^n."""
        return float((1.0 - self.pinned_page_share) ** self.chunk_pages)


def evictability(trace: Trace, params: Params, n_events: int | None = None) -> Evictability:
    """Return what one reclaim pass could unmap after the first `n_events` events (None: all).

    It is replayed: nothing is evicted before, then one fault elsewhere makes a pass that may
    unmap everything. `params.threshold_bytes` and `batch_chunks` are not looked at; callers can
    all sleep.

    Raises
    ------
    TraceError
        If the trace does not fit the region.
    """
    trace.check(params)
    n = len(trace) if n_events is None else min(n_events, len(trace))
    pfns, ops = trace.pfns[:n].astype(np.int64), ops_of(trace)[:n]
    geometry = Geometry.of(params)
    # Behind the region: a chunk that is filled, so that no threshold is below one chunk, and
    # one whose first fault finds everything resident that there is room for.
    behind = params.first_pfn + geometry.n_chunks * geometry.chunk_pfns
    filler = behind + np.arange(0, geometry.chunk_pfns, geometry.granule_pfns)
    added = np.append(filler, behind + geometry.chunk_pfns)
    touched = geometry.footprint_bytes(pfns[ops != PUT]) if n else 0
    full = params.replace(
        region_bytes=(geometry.n_chunks + 2) * geometry.chunk_pfns * params.page_bytes,
        threshold_bytes=touched + params.chunk_bytes,
        batch_chunks=PARAMETERS["batch_chunks"].maximum,
        policy="lra",
    )
    probed = Trace(
        np.concatenate([pfns, added]),
        ops=np.concatenate([ops, np.full(len(added), LOOKUP, np.uint8)]),
        page_bytes=trace.page_bytes,
    )
    result = replay(probed, full)
    evictable = result.evicted_chunks - 1  # the filler
    chunks = evictable + result.pinned_skips
    return Evictability(
        chunks=chunks,
        evictable_chunks=evictable,
        unevictable_bytes=result.resident_bytes - params.granule_bytes,  # the last fault's
        pinned_pages=len(pinned_pages(trace, n)),
        pages=chunks * geometry.chunk_pfns,
        chunk_pages=geometry.chunk_pfns,
    )


def pinned_pages(trace: Trace, n_events: int) -> Int64s:
    """Return the pfns that have a live pin after the first `n_events` events, in order, int64.

    A PUT without a GET drops nothing, as in DESIGN 5.
    """
    ops = ops_of(trace)[:n_events]
    counted = np.flatnonzero(ops != LOOKUP)
    if not len(counted):
        return np.zeros(0, np.int64)
    counted = counted[np.argsort(trace.pfns[counted], kind="stable")]  # page by page
    pages = trace.pfns[counted].astype(np.int64)
    step = np.where(ops[counted] == GET, 1, -1)
    balance = np.cumsum(step)
    first = np.flatnonzero(np.diff(pages, prepend=pages[0] - 1))
    last = np.append(first[1:], len(pages)) - 1
    before = balance[first] - step[first]
    # The balance without the PUTs that found no GET: each of those made a new least.
    low = np.minimum(np.minimum.reduceat(balance, first), before)
    return np.asarray(pages[first][balance[last] > low])


def scattered(
    trace: Trace, params: Params, n_events: int, pinned_page_share: float, seed: int = 0
) -> Trace:
    """Return a trace of the same chunks, with pins placed independently at random.

    It touches one page of every chunk that the first `n_events` events touch, then pins pages of
    these chunks, drawn one by one, until each is pinned with probability `pinned_page_share`.
    """
    geometry = Geometry.of(params)
    accessed = ops_of(trace)[:n_events] != PUT
    chunks = _distinct(geometry.chunks_of(trace.pfns[:n_events][accessed]), geometry.n_chunks)
    touched = geometry.first_pfns_of(chunks)
    n_pages = len(touched) * geometry.chunk_pfns
    # 1 - (1 - 1/N)^draws is the share; all pages are pinned by hand, for no draws are enough.
    everything = pinned_page_share >= 1
    missed = 0.0 if everything or n_pages < 2 else np.log1p(-pinned_page_share)
    n_draws = round(missed / np.log1p(-1 / n_pages)) if n_pages > 1 else 0
    draws = below(words(key_of(seed, "scattered"), 0, n_draws), max(n_pages, 1)).astype(np.int64)
    pages = np.arange(n_pages) if everything else draws
    gets = touched[pages // geometry.chunk_pfns] + pages % geometry.chunk_pfns
    ops = np.repeat(np.array([LOOKUP, GET], np.uint8), (len(touched), len(gets)))
    return Trace(np.concatenate([touched, gets]), ops=ops, page_bytes=trace.page_bytes)


def _distinct(chunks: Int64s, n_chunks: int) -> Int64s:
    """Return the distinct chunks in order, by a table where that is no larger than the events."""
    if n_chunks > 64 * len(chunks):
        chunks = np.sort(chunks)
        return chunks[np.diff(chunks, prepend=-1) > 0]
    touched = np.zeros(n_chunks, np.bool_)
    touched[chunks] = True
    return np.flatnonzero(touched)
