"""vmalloc's lazy purge on the vmemmap: unmapped granules are withheld until one flush frees them.

vmalloc clears page tables at once but delays the flush. A granule of descriptors that was unmapped
may still be in the TLB of some CPU, so it can't be given away before the flush: it is withheld,
and what is withheld counts against the threshold. See `pfnlab.kernels.lazy_purge` for the rule.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from pfnlab.errors import ParameterError
from pfnlab.kernels import lazy_purge as kernel
from pfnlab.params import Params
from pfnlab.params.geometry import Geometry
from pfnlab.params.memory import check_fits
from pfnlab.params.units import MIB, OS_PAGE_BYTES, format_bytes
from pfnlab.traces.sources import Replayable
from pfnlab.traces.views import accesses

#: Full flushes of a replay below which the refills of one are no average.
LEAST_FLUSHES = 20
#: Second-level data TLB of a server core; a judgement: 1536 (Skylake) to 3072 (Zen 4) entries.
TLB_ENTRIES = 2048
_LAZY_BYTES = 32 * MIB
_EVENT_BYTES = 120  # of one access and, at most, of the granule and the chunk that it touches


def lazy_max_pages(n_cpus: int) -> int:
    """Return the 4 KiB pages that vmalloc leaves unflushed (``lazy_max_pages()``, mm/vmalloc.c)."""
    return n_cpus.bit_length() * _LAZY_BYTES // OS_PAGE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """What a replay with a quarantine counted.

    Attributes
    ----------
    accesses, faults, shootdowns, evicted_chunks, evicted_granules
        As in DESIGN 5; a shootdown is a purge.
    peak_withheld_bytes, mean_withheld_bytes
        Bytes unmapped and not yet flushed, at most and after each event on average.
    mean_mapped_bytes, peak_held_bytes
        Bytes mapped, on average; mapped and withheld, at most.
    cold_walks, refills_if_full
        Accesses that miss a TLB that sees them all: because their translation was not in it, or
        only because a purge for other granules dropped it, if every purge is a full flush.
    """

    accesses: int
    faults: int
    shootdowns: int
    evicted_chunks: int
    evicted_granules: int
    peak_withheld_bytes: int
    mean_withheld_bytes: float
    mean_mapped_bytes: float
    peak_held_bytes: int
    cold_walks: int
    refills_if_full: int

    @property
    def miss_ratio(self) -> float:
        """Faults an access; 0.0 without any."""
        return self.faults / self.accesses if self.accesses else 0.0


#: The counts of `Purged`, by name.
COUNTED = tuple(f.name for f in fields(Purged))


@dataclass(frozen=True, slots=True, kw_only=True)
class GranuleAccesses:
    """The accesses of a trace as the kernel wants them: granules numbered as they are touched.

    PUTs are left out, GETs look up, and everybody may sleep.

    Attributes
    ----------
    params
        The configuration they were numbered for.
    granules
        Number of the granule of each access, int32.
    touched
        Index of each numbered granule in the vmemmap, int64, ascending.
    """

    params: Params
    granules: npt.NDArray[np.int32]
    touched: npt.NDArray[np.int64]

    @classmethod
    def of(cls, trace: Replayable, params: Params) -> GranuleAccesses:
        """Give each granule that a trace touches its number.

        Raises
        ------
        TraceError, ParameterError
            If the trace does not fit the region, or its granules not the memory.
        """
        trace.check(params)
        check_fits(_EVENT_BYTES * len(trace), "trace", trace.name, "its granules")
        geometry = Geometry.of(params)
        pieces = [geometry.granules_of(accesses(events)) for events in trace.pieces(params)]
        every = np.concatenate(pieces) if pieces else np.zeros(0, np.int64)
        touched, granules = np.unique(every, return_inverse=True)
        return cls(params=params, granules=granules.astype(np.int32), touched=touched)

    def purged(
        self,
        params: Params,
        *,
        withheld_bytes: int,
        ahead: bool = False,
        tlb_entries: int = TLB_ENTRIES,
    ) -> Purged:
        """Replay under LRA with a quarantine of at most `withheld_bytes` and one chunk.

        Parameters
        ----------
        params
            As those the accesses were numbered for, but for chunk and threshold. Its
            `batch_chunks` is not used: the quarantine decides when a flush comes.
        withheld_bytes
            A purge comes once more than this is withheld; 0 flushes after each chunk.
        ahead
            Whether chunks are unmapped so early that the quarantine has room beside what is
            mapped; else only when a fault finds the threshold reached.
        tlb_entries
            Of the TLB whose refills are counted, a power of two.

        Raises
        ------
        ParameterError
            If the quarantine leaves no room for a chunk below the threshold, or the policy is not
            lra.
        """
        limits = self._limits(params, withheld_bytes, ahead)
        if tlb_entries < 1 or tlb_entries & (tlb_entries - 1):
            raise ParameterError("tlb_entries", tlb_entries, "must be a power of two")
        chunks = self.touched // (params.chunk_bytes // params.granule_bytes)
        starts = np.flatnonzero(np.diff(chunks, prepend=-1))
        state = _state(len(self.touched), len(starts), tlb_entries)
        kernel.replay(
            limits,
            state,
            np.append(starts, len(self.touched)).astype(np.int32),
            (np.cumsum(np.diff(chunks, prepend=-1) != 0) - 1).astype(np.int32),
            (self.touched & (tlb_entries - 1)).astype(np.int32),
            self.granules,
        )
        return self._named(state.counts, params.granule_bytes)

    def _limits(self, params: Params, withheld_bytes: int, ahead: bool) -> kernel.Limits:
        if params.policy != "lra":
            raise ParameterError("policy", params.policy, "must be lra where unmapping is lazy")
        for name in ("granule_bytes", "descriptor_bytes", "first_pfn", "page_bytes"):
            if getattr(params, name) != getattr(self.params, name):
                requirement = f"must be {getattr(self.params, name)}, as when numbered"
                raise ParameterError(name, getattr(params, name), requirement)
        room = params.threshold_bytes - params.chunk_bytes * (1 + ahead)
        if not 0 <= withheld_bytes <= max(room, 0):
            requirement = f"must be at least 0 and leave {1 + ahead} chunks below threshold_bytes"
            requirement += f" ({format_bytes(params.threshold_bytes)})"
            raise ParameterError("withheld_bytes", withheld_bytes, requirement)
        limit = params.threshold_bytes // params.granule_bytes
        withheld = withheld_bytes // params.granule_bytes
        return kernel.Limits(
            limit=limit,
            mapped_limit=limit - withheld if ahead else limit,
            purge_above=withheld,
        )

    def _named(self, counts: npt.NDArray[np.int64], granule_bytes: int) -> Purged:
        n = len(self.granules)
        mean = granule_bytes / n if n else 0.0
        return Purged(
            accesses=n,
            faults=int(counts[kernel.FAULTS]),
            shootdowns=int(counts[kernel.PURGES]),
            evicted_chunks=int(counts[kernel.EVICTED_CHUNKS]),
            evicted_granules=int(counts[kernel.EVICTED_GRANULES]),
            peak_withheld_bytes=int(counts[kernel.PEAK_WITHHELD]) * granule_bytes,
            mean_withheld_bytes=int(counts[kernel.WITHHELD_SUM]) * mean,
            mean_mapped_bytes=int(counts[kernel.MAPPED_SUM]) * mean,
            peak_held_bytes=int(counts[kernel.PEAK_HELD]) * granule_bytes,
            cold_walks=int(counts[kernel.COLD_WALKS]),
            refills_if_full=int(counts[kernel.COLLATERAL]),
        )


def _state(n_granules: int, n_chunks: int, tlb_entries: int) -> kernel.State:
    """Return empty tables: nothing mapped, no chunk in the order but the head linked to itself."""
    links = np.full(n_chunks + 1, kernel.NONE, np.int32)
    links[n_chunks] = n_chunks
    return kernel.State(
        mapped=np.zeros(n_granules, np.bool_),
        n_mapped=np.zeros(n_chunks, np.int32),
        next=links,
        previous=links.copy(),
        tags=np.full(tlb_entries, kernel.NONE, np.int32),
        epochs=np.zeros(tlb_entries, np.int64),
        counts=np.zeros(kernel.N_COUNTS, np.int64),
    )
