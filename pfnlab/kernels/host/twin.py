"""The mechanism for real: DESIGN 5 on descriptors that the kernel gives and takes.

A chunk with live pins is locked (``mlock2``), so that the kernel itself refuses to unmap it. Room
is made once the kernel has given the page, for only then it is known that there was a fault.

Preconditions, checked by `pfnlab.host.twin`: those of `pfnlab.kernels.replay` and
`pfnlab.kernels.host.reserved`.
"""

from typing import Any

import numpy as np

from pfnlab.kernels import page_counts
from pfnlab.kernels.compiled import kernel
from pfnlab.kernels.host.reserved import (
    CHUNK,
    ELAPSED_NS,
    EVENTS,
    GRANULES,
    HEAD,
    MINOR_FAULTS,
    NEXT,
    PAGE_BYTES,
    PINS,
    REFERENCES,
    REFUSED_LOCKS,
    WRONG_ANSWERS,
    Int64s,
    Range,
    Tables,
    append,
    fill,
    is_resident,
    row_of,
    take_out,
    touch,
    unmap,
)
from pfnlab.kernels.host.system_calls import (
    MLOCK_ONFAULT,
    minor_faults,
    mlock2,
    munlock,
    now_ns,
)
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
    ONE,
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

# --- Fault, pin, evict -------------------------------------------------------------------------


@kernel
def take_in(place: Range, tables: Tables, words: Int64s, pfn: int, atomic: bool) -> int:
    """Do the rest of a fault once the kernel has given the page; the row of its chunk."""
    counts, chunks = tables.counts, tables.chunks
    granule = (pfn - place.first_pfn) >> place.granule_shift
    row = row_of(tables, page_counts.bits_of(tables.keys), granule >> place.chunk_shift)
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
    word, bit = granule >> 6, ONE << np.uint64(granule & 63)
    counts[COLD_FAULTS] += (tables.ever[word] & bit) == 0
    tables.ever[word] |= bit
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
        n_gone = unmap(place, tables, n_victims)
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
    row = row_of(tables, page_counts.bits_of(tables.keys), chunk)
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
    row = row_of(tables, page_counts.bits_of(tables.keys), chunk)
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
        pfn: Any = np.int64(pfns[event])
        code: Any = np.int64(codes[event])
        step(place, tables, words, pfn, code)
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
        if touch(place, words, pfn):
            take_in(place, tables, words, pfn, atomic)
        if op == GET:
            pin(place, tables, words, pfn)


@kernel
def remember(tables: Tables, pfn: int) -> None:
    """Remember a GET that failed: its descriptor has no page to hold that."""
    place = page_counts.find(tables.failed_pfns, page_counts.bits_of(tables.failed_pfns), pfn)
    if tables.failed_pfns[place] == FREE:
        tables.failed_pfns[place] = pfn
        tables.counts[FAILED_PFNS] += 1
    tables.failed[place] += 1


@kernel
def cancel(tables: Tables, pfn: int) -> bool:
    """Cancel a failed GET of `pfn`; False if there is none."""
    if tables.counts[FAILED_PFNS] == 0:
        return False
    bits = page_counts.bits_of(tables.failed_pfns)
    place = page_counts.find(tables.failed_pfns, bits, pfn)
    if tables.failed_pfns[place] == FREE:
        return False
    tables.failed[place] -= 1
    if tables.failed[place] == 0:
        tables.counts[FAILED_PFNS] -= 1
        page_counts.forget(tables.failed_pfns, tables.failed, bits, place)
    return True
