"""From what a fast kernel counted to the counters of DESIGN 5, where a chunk is one granule."""

from dataclasses import dataclass
from typing import NamedTuple

from pfnlab.engine.result import Result
from pfnlab.params import Params
from pfnlab.params.geometry import WINDOW_BYTES, Geometry
from pfnlab.params.units import log2
from pfnlab.traces.sources import Replayable
from pfnlab.traces.trace import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Chunks and windows that a replay of lookups counted, each chunk one granule."""

    faults: int
    cold_faults: int
    passes: int
    single_passes: int  # those that evicted one chunk
    evicted: int
    resident: int
    peak_resident: int
    resident_sum: int  # over the events, of the resident chunks after each
    peak_windows: int  # 2 MiB windows of the vmemmap that held a resident granule at once
    windows_ever: int

    def result(self, params: Params, n_events: int) -> Result:
        """Name the counts."""
        granule, pages = params.granule_bytes, params.chunk_bytes // 4096
        ranged = self.single_passes if pages <= params.flush_ceiling_pages else 0
        return Result(
            params=params,
            accesses=n_events,
            hits=n_events - self.faults,
            faults=self.faults,
            cold_faults=self.cold_faults,
            shootdowns=self.passes,
            evicted_chunks=self.evicted,
            evicted_granules=self.evicted,
            ranged_flush_pages=ranged * pages,
            full_flushes=self.passes - ranged,
            peak_resident_bytes=self.peak_resident * granule,
            resident_bytes=self.resident * granule,
            mean_resident_bytes=self.resident_sum * granule / max(n_events, 1),
            page_table_bytes=self.peak_windows * 4096 if has_ptes(params) else 0,
            page_table_kept_bytes=self.windows_ever * 4096 if has_ptes(params) else 0,
        )


def has_ptes(params: Params) -> bool:
    """Whether granules are smaller than what one PMD entry maps, so that they need PTEs."""
    return params.granule_bytes < WINDOW_BYTES


class Span(NamedTuple):
    """Part of a region that a trace touches, from a window and a chunk on to the end of both."""

    first_pfn: int
    n_chunks: int
    n_windows: int


def span_of(trace: Replayable, params: Params) -> Span:
    """Return what tables of chunks must cover: less than the region if the trace says so."""
    geometry = Geometry.of(params)
    extent = trace.extent if isinstance(trace, Trace) else None
    low, high = extent or (params.first_pfn, params.first_pfn + params.n_pages - 1)
    area = max(params.chunk_bytes, WINDOW_BYTES) // params.descriptor_bytes
    first = params.first_pfn + (low - params.first_pfn) // area * area
    n_windows = (high - first) * params.descriptor_bytes // WINDOW_BYTES + 1
    return Span(first, (high - first) // geometry.chunk_pfns + 1, n_windows)


def limit_chunks(params: Params) -> int:
    """Most chunks that may be resident; more than the region has are as good as all."""
    return min(params.threshold_bytes // params.granule_bytes, Geometry.of(params).n_chunks)


def chunk_shift(params: Params) -> int:
    """Log2 of the pfns in a chunk."""
    return log2(params.chunk_bytes // params.descriptor_bytes)


def window_shift(params: Params) -> int:
    """Log2 of the chunks in a 2 MiB window, where a chunk is a granule; -1 without PTEs."""
    return log2(WINDOW_BYTES // params.chunk_bytes) if has_ptes(params) else -1


def lookups_only(trace: Replayable) -> bool:
    """Whether every event is a LOOKUP by a caller that can sleep."""
    return not trace.has_ops and not trace.has_atomic


def fits_dense(trace: Replayable, n_bytes: int) -> bool:
    """Whether tables of a place for every chunk are in proportion to the trace, not the region."""
    return n_bytes <= max(1 << 28, 64 * len(trace))
