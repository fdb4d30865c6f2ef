"""The mechanism for real: descriptors in reserved memory, faulted in and unmapped by the kernel.

Which granules are resident is known to the kernel alone. A touch is a store to the descriptor,
and a marker in each 4 KiB page tells whether the kernel has just given it, zeroed: that was a fault.
A descriptor keeps its own reference count, which its eviction would destroy. A chunk with live
pins is locked (``mlock2``), so that the kernel itself refuses to unmap it.

Preconditions, checked by `pfnlab.reality.twin`: those of `pfnlab.kernels.replay`; tables have a row
for every chunk that the trace touches and were written to before, so that no fault is theirs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.kernels import pages
from pfnlab.kernels.compiled import kernel
from pfnlab.kernels.state import (
    ATOMIC,
    ATOMIC_FAULTS,
    COLD_FAULTS,
    EVICTED_CHUNKS,
    EVICTED_GRANULES,
    FAILED_PFNS,
    FAULTS,
    FREE,
    FULL_FLUSHES,
    FUTILE_PASSES,
    GET,
    OVERCOMMITS,
    PEAK_RESIDENT,
    PEAK_WINDOWS,
    PINNED_SKIPS,
    PUT,
    PUTS,
    RANGED_FLUSH_PAGES,
    RESERVE,
    RESERVE_FAULTS,
    RESIDENT,
    RESIDENT_SUM,
    SHOOTDOWNS,
    UNMATCHED_PUT,
    UNMATCHED_PUTS,
    WINDOWS,
    WINDOWS_EVER,
)
from pfnlab.kernels.system_calls import (
    MADV_DONTNEED,
    MADV_POPULATE_WRITE,
    MLOCK_ONFAULT,
    madvise,
    mincore,
    minor_faults,
    mlock2,
    munlock,
    now_ns,
    process_madvise,
)

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
    ever: npt.NDArray[np.uint8]  # a byte a granule: was it ever populated?
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
    place = pages.find(tables.keys, bits, chunk)
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
def touch(place: Range, words: Int64s, pfn: int, event: int) -> bool:
    """Store to the descriptor of `pfn`; whether the kernel had to give its page for that."""
    word = (pfn - place.first_pfn) * place.descriptor_words
    words[word + TOUCHED] = event + 1
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
def unmap(place: Range, tables: Tables, first: int, last: int) -> int:
    """Unmap the chunks in ``victims[first:last]``, in order; how many went before one was locked."""
    tables.seen[EVICT_CALLS] += 1
    size = (place.granule_pages << place.chunk_shift) * PAGE_BYTES
    if place.pidfd < 0:
        chunk = tables.chunks[tables.victims[first], CHUNK]
        return 1 if madvise(place.address + chunk * size, size, MADV_DONTNEED) == 0 else 0
    for victim in range(first, last):
        chunk = tables.chunks[tables.victims[victim], CHUNK]
        tables.ranges[2 * victim] = place.address + chunk * size
        tables.ranges[2 * victim + 1] = size
    done = process_madvise(place.pidfd, tables.ranges[2 * first :], last - first, MADV_DONTNEED)
    return max(done, 0) // size


# --- Fault, pin, evict -------------------------------------------------------------------------


@kernel
def take_in(place: Range, tables: Tables, words: Int64s, pfn: int, atomic: bool) -> int:
    """Do the rest of a fault once the kernel has given the page; the row of its chunk."""
    counts, chunks = tables.counts, tables.chunks
    granule = (pfn - place.first_pfn) >> place.granule_shift
    row = row_of(tables, pages.bits_of(tables.keys), granule >> place.chunk_shift)
    take_out(chunks, row)  # so that a pass does not meet it
    if atomic:
        counts[RESERVE] -= 1
        counts[RESERVE_FAULTS] += 1
    else:
        counts[RESERVE] = place.reserve_granules
        if counts[RESIDENT] + 1 > place.limit_granules:
            reclaim(place, tables)
    if counts[RESIDENT] + 1 > place.limit_granules:
        counts[OVERCOMMITS] += 1
    fill(place, tables, words, granule, pfn)
    count_in(place, tables, granule, row)
    append(chunks, row)
    return row


@kernel
def count_in(place: Range, tables: Tables, granule: int, row: int) -> None:
    """Count a granule that became resident."""
    counts = tables.counts
    counts[FAULTS] += 1
    counts[COLD_FAULTS] += 1 - tables.ever[granule]
    tables.ever[granule] = 1
    tables.chunks[row, GRANULES] += 1
    counts[RESIDENT] += 1
    counts[PEAK_RESIDENT] = max(counts[PEAK_RESIDENT], counts[RESIDENT])
    if place.window_shift < 0:
        return
    window = granule >> place.window_shift
    tables.windows[window] += 1
    if tables.windows[window] == 1:
        counts[WINDOWS] += 1
        counts[PEAK_WINDOWS] = max(counts[PEAK_WINDOWS], counts[WINDOWS])
        counts[WINDOWS_EVER] += 1 - tables.windows_ever[window]
        tables.windows_ever[window] = 1


@kernel
def reclaim(place: Range, tables: Tables) -> None:
    """One pass: unmap the least recently allocated chunks, as many in one call as may be."""
    counts, chunks, victims = tables.counts, tables.chunks, tables.victims
    most = 1 if place.pidfd < 0 else len(victims)
    n_evicted, n_victims, expected = 0, 0, counts[RESIDENT]
    while True:
        while n_victims < most and chunks[HEAD, NEXT] != HEAD:
            if expected < place.limit_granules and n_evicted + n_victims >= place.batch_chunks:
                break
            row = chunks[HEAD, NEXT]
            take_out(chunks, row)
            victims[n_victims] = row
            n_victims += 1
            expected -= chunks[row, GRANULES]
        if n_victims == 0:
            break
        n_gone = unmap(place, tables, 0, n_victims)
        for victim in range(n_gone):
            count_out(place, tables, victims[victim])
        n_evicted += n_gone
        n_left = n_victims - n_gone
        if n_left > 0:  # the kernel refused one, which stays out of the order: it is set aside
            refused = victims[n_gone]
            counts[PINNED_SKIPS] += 1
            tables.seen[WRONG_ANSWERS] += chunks[refused, PINS] == 0
            expected += chunks[refused, GRANULES]
            n_left -= 1
            for victim in range(n_left):
                victims[victim] = victims[n_gone + 1 + victim]
        n_victims = n_left
    flush(place, counts, n_evicted)


@kernel
def count_out(place: Range, tables: Tables, row: int) -> None:
    """Count a chunk that the kernel has unmapped."""
    counts, n_granules = tables.counts, tables.chunks[row, GRANULES]
    tables.seen[WRONG_ANSWERS] += tables.chunks[row, PINS] != 0
    tables.chunks[row, GRANULES] = 0
    counts[RESIDENT] -= n_granules
    counts[EVICTED_CHUNKS] += 1
    counts[EVICTED_GRANULES] += n_granules
    if place.window_shift < 0:
        return
    first = tables.chunks[row, CHUNK] << place.chunk_shift
    window, end = first >> place.window_shift, (first + (1 << place.chunk_shift) - 1)
    if place.chunk_shift <= place.window_shift:
        tables.windows[window] -= n_granules
        counts[WINDOWS] -= tables.windows[window] == 0
        return
    for inside in range(window, min((end >> place.window_shift) + 1, len(tables.windows))):
        counts[WINDOWS] -= tables.windows[inside] > 0
        tables.windows[inside] = 0


@kernel
def flush(place: Range, counts: Int64s, n_evicted: int) -> None:
    """Count what a kernel range would have needed: one shootdown for the pass, ranged or full."""
    if n_evicted == 0:
        counts[FUTILE_PASSES] += 1
        return
    counts[SHOOTDOWNS] += 1
    if n_evicted == 1 and place.flush_pages > 0:
        counts[RANGED_FLUSH_PAGES] += place.flush_pages
    else:
        counts[FULL_FLUSHES] += 1


@kernel
def pin(place: Range, tables: Tables, words: Int64s, pfn: int) -> None:
    """Take a reference, in the descriptor; the first of a chunk locks it."""
    words[(pfn - place.first_pfn) * place.descriptor_words + REFERENCES] += 1
    chunk = (pfn - place.first_pfn) >> (place.granule_shift + place.chunk_shift)
    row = row_of(tables, pages.bits_of(tables.keys), chunk)
    tables.chunks[row, PINS] += 1
    if tables.chunks[row, PINS] == 1:
        size = (place.granule_pages << place.chunk_shift) * PAGE_BYTES
        tables.seen[REFUSED_LOCKS] += mlock2(place.address + chunk * size, size, MLOCK_ONFAULT) != 0


@kernel
def unpin(place: Range, tables: Tables, words: Int64s, pfn: int) -> None:
    """Drop a reference; the last of a chunk unlocks it, and puts it back if it was set aside."""
    word = (pfn - place.first_pfn) * place.descriptor_words + REFERENCES
    tables.seen[WRONG_ANSWERS] += words[word] <= 0  # the state of the descriptor was lost
    words[word] -= 1
    chunk = (pfn - place.first_pfn) >> (place.granule_shift + place.chunk_shift)
    row = row_of(tables, pages.bits_of(tables.keys), chunk)
    tables.chunks[row, PINS] -= 1
    if tables.chunks[row, PINS] == 0:
        size = (place.granule_pages << place.chunk_shift) * PAGE_BYTES
        tables.seen[REFUSED_LOCKS] += munlock(place.address + chunk * size, size) != 0
        if tables.chunks[row, NEXT] == 0:
            append(tables.chunks, row)


# --- The events --------------------------------------------------------------------------------


@kernel
def run(
    place: Range, tables: Tables, words: Int64s, pfns: Any, codes: Any, start: int, stop: int
) -> int:
    """Run events ``[start, stop)``; stop early if the table of failed GETs is full.

    `words` is the reserved range itself; `pfns` and `codes` are the piece, whose first event is
    the trace's event ``tables.seen[EVENTS]``.
    """
    seen = tables.seen
    began_ns, began_faults = now_ns(tables.clock), minor_faults(tables.usage)
    event = start
    while event < stop:
        if tables.counts[FAILED_PFNS] * 2 >= len(tables.failed_pfns):
            break
        step(place, tables, words, np.int64(pfns[event]), np.int64(codes[event]))
        tables.counts[RESIDENT_SUM] += tables.counts[RESIDENT]
        event += 1
    seen[MINOR_FAULTS] += minor_faults(tables.usage) - began_faults
    seen[ELAPSED_NS] += now_ns(tables.clock) - began_ns
    seen[EVENTS] += event - start
    return event


@kernel
def step(place: Range, tables: Tables, words: Int64s, pfn: int, code: int) -> None:
    """Run one event."""
    op, atomic = code & 3, code >= ATOMIC
    if op == UNMATCHED_PUT:
        tables.counts[PUTS] += 1
        tables.counts[UNMATCHED_PUTS] += 1
    elif op == PUT:
        tables.counts[PUTS] += 1
        if not cancel(tables, pfn):
            unpin(place, tables, words, pfn)
    elif atomic and tables.counts[RESERVE] == 0 and not is_resident(place, tables, pfn):
        tables.counts[ATOMIC_FAULTS] += 1
        if op == GET:
            remember(tables, pfn)
    else:
        if touch(place, words, pfn, tables.seen[EVENTS]):
            take_in(place, tables, words, pfn, atomic)
        if op == GET:
            pin(place, tables, words, pfn)


@kernel
def remember(tables: Tables, pfn: int) -> None:
    """Remember a GET that failed: its descriptor has no page to hold that."""
    place = pages.find(tables.failed_pfns, pages.bits_of(tables.failed_pfns), pfn)
    if tables.failed_pfns[place] == FREE:
        tables.failed_pfns[place] = pfn
        tables.counts[FAILED_PFNS] += 1
    tables.failed[place] += 1


@kernel
def cancel(tables: Tables, pfn: int) -> bool:
    """Cancel a failed GET of `pfn`; False if there is none."""
    if tables.counts[FAILED_PFNS] == 0:
        return False
    bits = pages.bits_of(tables.failed_pfns)
    place = pages.find(tables.failed_pfns, bits, pfn)
    if tables.failed_pfns[place] == FREE:
        return False
    tables.failed[place] -= 1
    if tables.failed[place] == 0:
        tables.counts[FAILED_PFNS] -= 1
        pages.forget(tables.failed_pfns, tables.failed, bits, place)
    return True
