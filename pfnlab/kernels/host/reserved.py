"""Descriptors in reserved memory: touched, filled in and unmapped by the kernel itself.

Which granules are resident is known to the kernel alone. A touch is a store to the descriptor, and
a marker in each 4 KiB page tells whether the kernel has just given it, zeroed: that was a fault. A
descriptor keeps its own reference count, which its eviction would destroy.

Preconditions: tables have a row for every chunk that the trace touches, and were written to before,
so that no fault is theirs.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.kernels import page_counts
from pfnlab.kernels.compiled import kernel
from pfnlab.kernels.host.system_calls import (
    MADV_DONTNEED,
    MADV_POPULATE_WRITE,
    madvise,
    mincore,
    process_madvise,
)
from pfnlab.kernels.state import FREE

Int64s = npt.NDArray[np.int64]

# Words of a descriptor, and of the first descriptor in each page: has the kernel just given it?
TOUCHED, REFERENCES, MARKER = range(3)
PAGE_WORDS, PAGE_BYTES = 512, 4096
# Columns of `Tables.chunks`. Row 0 is nobody's: a link of 0 means "in no order".
PREV, NEXT, GRANULES, PINS, CHUNK = range(5)
HEAD, FIRST_ROW = 1, 2
# Places in `Tables.seen`, what the kernel and the clock said.
(
    MINOR_FAULTS,  # of this thread, while events ran
    ELAPSED_NS,
    EVICT_CALLS,
    SMALL_PAGES,  # granules that should have been one huge page
    REFUSED_LOCKS,
    WRONG_ANSWERS,  # a pinned chunk went, one without a pin was refused, or a count was lost
    ROWS,  # of `Tables.chunks` in use
    EVENTS,
    N_SEEN,
) = range(9)


class Range(NamedTuple):
    """The reserved range and the sizes in it; shifts are log2."""

    address: int
    first_pfn: int
    descriptor_words: int
    granule_shift: int  # of pfns in a granule
    chunk_shift: int  # of granules in a chunk
    window_shift: int  # of granules in a 2 MiB window; -1 where granules need no PTEs
    granule_pages: int
    limit_granules: int
    batch_chunks: int
    reserve_granules: int
    flush_pages: int  # 4 KiB pages of one chunk if its flush is ranged, else 0
    huge: bool  # whether a granule is one huge page, or should be
    pidfd: int  # of this process, to unmap a whole pass in one call; -1: a call a chunk


class Tables(NamedTuple):
    """What the twin keeps itself: order, pins and counts, but not what is resident."""

    chunks: Int64s  # (rows, 5)
    keys: Int64s  # open-addressing table: chunk ...
    rows: Int64s  # ... to its row
    failed_pfns: Int64s  # open-addressing table of pages with failed GETs
    failed: Int64s
    ever: npt.NDArray[np.uint64]  # a bit a granule: was it ever populated?
    windows: Int64s  # resident granules of each 2 MiB window
    windows_ever: npt.NDArray[np.uint8]
    counts: Int64s
    seen: Int64s
    victims: Int64s  # rows that one call unmaps
    ranges: Int64s  # their (address, length) pairs
    core: npt.NDArray[np.uint8]  # answer of mincore
    usage: Int64s
    clock: Int64s


@kernel
def row_of(tables: Tables, bits: int, chunk: int) -> int:
    """Row of a chunk; one that is seen for the first time gets the next."""
    place = page_counts.find(tables.keys, bits, chunk)
    if tables.keys[place] == FREE:
        row = FIRST_ROW + tables.seen[ROWS]
        tables.seen[ROWS] += 1
        tables.keys[place], tables.rows[place] = chunk, row
        tables.chunks[row, CHUNK] = chunk
    return tables.rows[place]  # type: ignore[no-any-return]


# --- The order: least recent allocation first ------------------------------------------------


@kernel
def append(chunks: Int64s, row: int) -> None:
    """Make a chunk that is in no order the most recently allocated."""
    last = chunks[HEAD, PREV]
    chunks[row, PREV], chunks[row, NEXT] = last, HEAD
    chunks[last, NEXT] = chunks[HEAD, PREV] = row


@kernel
def take_out(chunks: Int64s, row: int) -> None:
    """Take a chunk out of the order, if it is in it."""
    before, after = chunks[row, PREV], chunks[row, NEXT]
    if after == 0:
        return
    chunks[before, NEXT], chunks[after, PREV] = after, before
    chunks[row, PREV] = chunks[row, NEXT] = 0


# --- What the kernel does ----------------------------------------------------------------------


@kernel
def is_resident(place: Range, tables: Tables, pfn: int) -> bool:
    """Ask the kernel, without touching it, whether the page of a descriptor is there."""
    byte = (pfn - place.first_pfn) * place.descriptor_words * 8
    page = place.address + byte // PAGE_BYTES * PAGE_BYTES
    mincore(page, PAGE_BYTES, tables.core.ctypes.data)
    return (tables.core[0] & 1) != 0  # type: ignore[no-any-return]


@kernel
def touch(place: Range, words: Int64s, pfn: int) -> bool:
    """Store to the descriptor of `pfn`; whether the kernel had to give its page for that."""
    word = (pfn - place.first_pfn) * place.descriptor_words
    words[word + TOUCHED] = 1  # never read first: that would be a fault of its own
    return words[word // PAGE_WORDS * PAGE_WORDS + MARKER] == 0  # type: ignore[no-any-return]


@kernel
def fill(place: Range, tables: Tables, words: Int64s, granule: int, pfn: int) -> None:
    """Have the other pages of a granule given as well, and mark all that were."""
    first = granule * place.granule_pages
    if place.granule_pages > 1 and not (place.huge and came_whole(place, tables, granule, pfn)):
        n_bytes = place.granule_pages * PAGE_BYTES
        madvise(place.address + first * PAGE_BYTES, n_bytes, MADV_POPULATE_WRITE)
    for page in range(first, first + place.granule_pages):
        words[page * PAGE_WORDS + MARKER] = 1


@kernel
def came_whole(place: Range, tables: Tables, granule: int, pfn: int) -> bool:
    """Whether the fault at `pfn` brought all of its granule: one huge page."""
    mincore(
        place.address + granule * place.granule_pages * PAGE_BYTES,
        place.granule_pages * PAGE_BYTES,
        tables.core.ctypes.data,
    )
    for page in range(place.granule_pages):
        if tables.core[page] & 1 == 0:
            tables.seen[SMALL_PAGES] += 1
            return False
    return True


@kernel
def unmap(place: Range, tables: Tables, n_victims: int) -> int:
    """Unmap the first chunks in `victims`; how many went before one that is locked."""
    tables.seen[EVICT_CALLS] += 1
    size = (place.granule_pages << place.chunk_shift) * PAGE_BYTES
    if place.pidfd < 0:
        chunk = tables.chunks[tables.victims[0], CHUNK]
        return 1 if madvise(place.address + chunk * size, size, MADV_DONTNEED) == 0 else 0
    for victim in range(n_victims):
        chunk = tables.chunks[tables.victims[victim], CHUNK]
        tables.ranges[2 * victim] = place.address + chunk * size
        tables.ranges[2 * victim + 1] = size
    done = process_madvise(place.pidfd, tables.ranges, n_victims, MADV_DONTNEED)
    return max(done, 0) // size
