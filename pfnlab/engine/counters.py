"""The counters of DESIGN 5: the sizes and keys that a kernel starts from, and its counts by name.

A counter has one name. The constant ``FAULTS`` of a kernel is the place of `faults` in its counts,
and `Result` has a field of that name; so whoever reports counters finds their places here.
"""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from types import ModuleType
from typing import Any, NamedTuple

from pfnlab.engine.result import COUNTERS, Result
from pfnlab.kernels import state as at
from pfnlab.params import Params
from pfnlab.params.geometry import WINDOW_BYTES, Geometry
from pfnlab.params.units import OS_PAGE_BYTES, log2
from pfnlab.traces.sources import Replayable
from pfnlab.traces.trace import Trace

#: Counts in granules and 2 MiB windows, which `Result` has in bytes.
SIZES = ("resident", "peak_resident", "resident_sum", "peak_windows", "windows_ever")


@cache  # 22 us of the 170 us that a replay takes at least
def places(kernel: ModuleType) -> dict[str, int]:
    """Return the place of each counter in the counts of a kernel; those it has not are left out."""
    names = [name for name in (*COUNTERS, *SIZES) if hasattr(kernel, name.upper())]
    return {name: int(getattr(kernel, name.upper())) for name in names}


#: Counters that the mechanism adds to, event by event, and their places.
ADDED = {name: place for name, place in places(at).items() if name not in SIZES}


def named(kernel: ModuleType, counts: Any) -> dict[str, int]:
    """Return the counts of a kernel by name."""
    return {name: int(counts[place]) for name, place in places(kernel).items()}


def result_of(params: Params, n_events: int, counts: Mapping[str, int]) -> Result:
    """Return the result of a replay from its counts by name; one that is missing is 0."""
    granule, added = params.granule_bytes, {n: counts[n] for n in COUNTERS if n in counts}
    accesses = n_events - added.get("puts", 0)
    return Result(
        params=params,
        accesses=accesses,
        hits=accesses - added["faults"] - added.get("atomic_faults", 0),
        peak_resident_bytes=counts["peak_resident"] * granule,
        resident_bytes=counts["resident"] * granule,
        mean_resident_bytes=counts["resident_sum"] * granule / max(n_events, 1),
        page_table_bytes=counts["peak_windows"] * OS_PAGE_BYTES,
        page_table_kept_bytes=counts["windows_ever"] * OS_PAGE_BYTES,
        **added,
    )


def whole_chunk_result(
    params: Params, n_events: int, counts: Mapping[str, int], single_passes: int
) -> Result:
    """Return the result where a chunk is one granule; `single_passes` evicted one chunk each."""
    pages = flush_pages(params)
    ranged = single_passes if pages else 0
    return result_of(
        params,
        n_events,
        {
            **counts,
            "evicted_granules": counts["evicted_chunks"],
            "ranged_flush_pages": ranged * pages,
            "full_flushes": counts["shootdowns"] - ranged,
        },
    )


def result_of_faults(
    params: Params,
    n_events: int,
    *,
    faults: int,
    cold_faults: int,
    resident_sum: int,
    peak_windows: int = 0,
    windows_ever: int = 0,
) -> Result:
    """Return the result where a chunk is one granule and a full threshold evicts one batch."""
    limit = limit_chunks(params)
    batch = min(params.batch_chunks, limit)
    passes = max(-(-(faults - limit) // batch), 0)
    counts = {
        "faults": faults,
        "cold_faults": cold_faults,
        "shootdowns": passes,
        "evicted_chunks": passes * batch,
        "resident": faults - passes * batch,
        "peak_resident": min(faults, limit),
        "resident_sum": resident_sum,
        "peak_windows": peak_windows,
        "windows_ever": windows_ever,
    }
    return whole_chunk_result(params, n_events, counts, passes if batch == 1 else 0)


def has_ptes(params: Params) -> bool:
    """Whether granules are smaller than what one PMD entry maps, so that they need PTEs."""
    return params.granule_bytes < WINDOW_BYTES


def flush_pages(params: Params) -> int:
    """Return the 4 KiB pages of one chunk if its flush is ranged, else 0."""
    pages = params.chunk_bytes // OS_PAGE_BYTES
    return pages if pages <= params.flush_ceiling_pages else 0


def layout_of(params: Params) -> dict[str, int]:
    """Return the sizes that every layout of granules has, by their names in the kernels."""
    windows = log2(WINDOW_BYTES // params.granule_bytes) if has_ptes(params) else -1
    return {
        "first_pfn": params.first_pfn,
        "granule_shift": log2(params.granule_bytes // params.descriptor_bytes),
        "chunk_shift": log2(params.chunk_bytes // params.granule_bytes),
        "window_shift": windows,
        "limit_granules": params.threshold_bytes // params.granule_bytes,
        "batch_chunks": params.batch_chunks,
        "flush_pages": flush_pages(params),
    }


def random_key(seed: int) -> int:
    """Return the 56-bit key under which the random policy draws its victims."""
    return int.from_bytes(sha256(f"random:{seed}".encode()).digest()[:7], "little")


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
    """Return how many chunks may be resident: at most all of the region."""
    return min(params.threshold_bytes // params.granule_bytes, Geometry.of(params).n_chunks)


def chunk_shift(params: Params) -> int:
    """Return log2 of the pfns in a chunk."""
    return log2(params.chunk_bytes // params.descriptor_bytes)


def window_shift(params: Params) -> int:
    """Return log2 of the chunks in a 2 MiB window, where a chunk is a granule; -1 without PTEs."""
    return log2(WINDOW_BYTES // params.chunk_bytes) if has_ptes(params) else -1


def lookups_only(trace: Replayable) -> bool:
    """Whether every event is a LOOKUP by a caller that can sleep."""
    return not trace.has_ops and not trace.has_atomic


def fits_dense(trace: Replayable, n_bytes: int) -> bool:
    """Whether tables with a place for every chunk are no larger than the trace justifies."""
    return n_bytes <= max(1 << 28, 64 * len(trace))
