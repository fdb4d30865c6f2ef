"""The mechanism: translation, fault handling, chunk eviction, replay (DESIGN 3 and 5).

The file reads in the order a page lives: its pfn is translated, its granule faulted in, pinned
and unpinned, its chunk evicted; `replay` at the end drives them. Which chunk goes next, and what
`policy` and `own` are, is in `pfnlab.kernels.victims`.

Preconditions, checked by `pfnlab.engine`: every pfn lies in the region, codes are those of
`pfnlab.kernels.event_codes`, sizes are powers of two with granule <= chunk <= threshold, the
tables of `State` are as large as `Layout` and its policy say, and fewer than 2**31 pins live at
once.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from pfnlab.kernels import page_counts
from pfnlab.kernels.compiled import kernel
from pfnlab.kernels.state import (
    ATOMIC,
    ATOMIC_FAULTS,
    BAD_VICTIM,
    COLD_FAULTS,
    EVICTED_CHUNKS,
    EVICTED_GRANULES,
    FAILED_PFNS,
    FAULTS,
    FIRST_ROW,
    FREE,
    FULL_FLUSHES,
    FUTILE_PASSES,
    GET,
    GRANULES,
    LOOKUP,
    LRU,
    NEXT,
    ONE,
    OVERCOMMITS,
    PEAK_RESIDENT,
    PEAK_WINDOWS,
    PINNED_SKIPS,
    PINS,
    PUT,
    PUTS,
    RANGED_FLUSH_PAGES,
    RESERVE,
    RESERVE_FAULTS,
    RESERVE_TAKEN,
    RESIDENT,
    RESIDENT_SUM,
    SHOOTDOWNS,
    UNMATCHED_PUT,
    UNMATCHED_PUTS,
    WINDOWS,
    WINDOWS_EVER,
    Layout,
    State,
)
from pfnlab.kernels.victims import NONE, access, insert, next_victim, remove

# --- Translation ---------------------------------------------------------------------------


@kernel
def granule_of(layout: Layout, pfn: Any) -> int:
    """Index of the granule that holds the ``struct page`` of `pfn`."""
    return (pfn - layout.first_pfn) >> layout.granule_shift  # type: ignore[no-any-return]


@kernel
def row_of(layout: Layout, state: State, chunk: int) -> int:
    """Row of `chunk` in ``state.chunks``; a hashed chunk seen for the first time gets one."""
    if not layout.hashed:
        return chunk + FIRST_ROW
    mask = len(state.chunk_keys) - 1
    place = page_counts.place_of(chunk, layout.chunk_bits)
    while state.chunk_keys[place] != chunk:
        if state.chunk_keys[place] == FREE:
            state.chunk_keys[place] = chunk
            break
        place = (place + 1) & mask
    return place + FIRST_ROW


@kernel
def chunk_in(layout: Layout, state: State, row: int) -> int:
    """Chunk that has `row`: the inverse of `row_of`."""
    if layout.hashed:
        return state.chunk_keys[row - FIRST_ROW]  # type: ignore[no-any-return]
    return row - FIRST_ROW


@kernel
def is_set(bitmap: npt.NDArray[np.uint64], granule: int) -> bool:
    """Whether the granule's bit is set."""
    # numba looks whether a signed index is negative; this one can't be: 9 % of a hit's time.
    word = np.uint64(granule >> 6)
    return ((bitmap[word] >> np.uint64(granule & 63)) & ONE) != 0  # type: ignore[no-any-return]


# --- Fault handling --------------------------------------------------------------------------


@kernel
def fault(layout: Layout, state: State, policy: Any, own: Any, granule: int, atomic: bool) -> bool:
    """Handle a fault on a granule that is not resident; False if the caller must not sleep."""
    counts = state.counts
    if atomic and counts[RESERVE] == 0:
        counts[ATOMIC_FAULTS] += 1
        return False
    row = row_of(layout, state, granule >> layout.chunk_shift)
    in_order = state.chunks[row, NEXT] != 0
    if in_order:
        access(state, policy, own, row, True)
    if atomic:
        counts[RESERVE] -= 1
        counts[RESERVE_FAULTS] += 1
        counts[RESERVE_TAKEN] = max(
            counts[RESERVE_TAKEN], layout.reserve_granules - counts[RESERVE]
        )
    else:
        counts[RESERVE] = layout.reserve_granules
        if counts[RESIDENT] + 1 > layout.limit_granules:
            reclaim(layout, state, policy, own, row)
    if counts[RESIDENT] + 1 > layout.limit_granules:
        counts[OVERCOMMITS] += 1
    populate(layout, state, row, granule)
    if not in_order:
        insert(state, policy, own, row)
    return True


@kernel
def populate(layout: Layout, state: State, row: int, granule: int) -> None:
    """Make a granule of the chunk with `row` resident."""
    counts = state.counts
    word, bit = granule >> 6, np.uint64(granule & 63)
    counts[FAULTS] += 1
    # No branch, because nobody can predict it: a tenth of the time of a fault on zipf.
    seen = state.ever[word]
    state.ever[word] = seen | (ONE << bit)
    counts[COLD_FAULTS] += 1 - np.int64((seen >> bit) & ONE)
    state.resident[word] |= ONE << bit
    counts[RESIDENT] += 1
    state.chunks[row, GRANULES] += 1
    if layout.window_shift == layout.chunk_shift:  # a chunk's granules are its window's
        if state.chunks[row, GRANULES] == 1:
            populate_window(state, granule >> layout.window_shift)
    elif layout.window_shift >= 0:
        window = granule >> layout.window_shift
        state.windows[window] += 1
        if state.windows[window] == 1:
            populate_window(state, window)


@kernel
def populate_window(state: State, window: int) -> None:
    """Count a window's page of PTEs, for the first of its granules."""
    counts = state.counts
    counts[WINDOWS] += 1
    if not state.windows_ever[window]:
        state.windows_ever[window] = True
        counts[WINDOWS_EVER] += 1


@kernel
def note_peaks(counts: npt.NDArray[np.int64]) -> None:
    """Raise the peaks; called before anything is evicted, and at the end."""
    counts[PEAK_RESIDENT] = max(counts[PEAK_RESIDENT], counts[RESIDENT])
    counts[PEAK_WINDOWS] = max(counts[PEAK_WINDOWS], counts[WINDOWS])


# --- Pins ------------------------------------------------------------------------------------


@kernel
def get_failed(state: State, failed_bits: int, pfn: int) -> None:
    """Remember a GET of `pfn` that failed, for its PUT to cancel."""
    place = page_counts.find(state.failed_pfns, failed_bits, pfn)
    if state.failed_pfns[place] == FREE:
        state.failed_pfns[place] = pfn
        state.counts[FAILED_PFNS] += 1
    state.failed[place] += 1


@kernel
def cancel(state: State, failed_bits: int, pfn: int) -> bool:
    """Cancel a failed GET of `pfn`; False if there is none."""
    place = page_counts.find(state.failed_pfns, failed_bits, pfn)
    if state.failed_pfns[place] == FREE:
        return False
    state.failed[place] -= 1
    if state.failed[place] == 0:
        state.counts[FAILED_PFNS] -= 1
        page_counts.forget(state.failed_pfns, state.failed, failed_bits, place)
    return True


# --- Chunk eviction --------------------------------------------------------------------------


@kernel
def reclaim(layout: Layout, state: State, policy: Any, own: Any, filling: int) -> None:
    """One pass: unmap victims until a granule fits, then flush every CPU once.

    `filling` is the row of the chunk being populated, which the pass leaves alone.
    """
    counts, chunks = state.counts, state.chunks
    note_peaks(counts)
    n_evicted = 0
    while counts[RESIDENT] + 1 > layout.limit_granules or n_evicted < layout.batch_chunks:
        row = next_victim(layout, state, policy, own, filling)
        if row == NONE:
            break
        remove(state, policy, own, row)
        if chunks[row, PINS] > 0:
            counts[PINNED_SKIPS] += 1  # set aside, like a page on the unevictable list
        else:
            evict(layout, state, row)
            n_evicted += 1
    flush(layout, counts, n_evicted)


@kernel
def evict(layout: Layout, state: State, row: int) -> None:
    """Unmap all resident granules of a chunk."""
    counts = state.counts
    n_granules = state.chunks[row, GRANULES]
    state.chunks[row, GRANULES] = 0
    first = chunk_in(layout, state, row) << layout.chunk_shift
    clear(state.resident, first, 1 << layout.chunk_shift)
    counts[RESIDENT] -= n_granules
    counts[EVICTED_CHUNKS] += 1
    counts[EVICTED_GRANULES] += n_granules
    if layout.window_shift == layout.chunk_shift:
        counts[WINDOWS] -= 1
    elif layout.window_shift >= 0:
        evict_windows(layout, state, first, n_granules)


@kernel
def clear(bitmap: npt.NDArray[np.uint64], first: int, n: int) -> None:
    """Clear `n` bits from `first` on: a power of two, aligned, cut at the bitmap's end."""
    if n < 64:
        bitmap[first >> 6] &= ~(((ONE << np.uint64(n)) - ONE) << np.uint64(first & 63))
        return
    for word in range(first >> 6, min((first + n) >> 6, len(bitmap))):
        bitmap[word] = 0


@kernel
def evict_windows(layout: Layout, state: State, first: int, n_granules: int) -> None:
    """Take the granules of a chunk that starts at `first` out of the windows' counts."""
    counts, windows = state.counts, state.windows
    window = first >> layout.window_shift
    if layout.chunk_shift <= layout.window_shift:
        windows[window] -= n_granules
        if windows[window] == 0:
            counts[WINDOWS] -= 1
        return
    end = min((first + (1 << layout.chunk_shift)) >> layout.window_shift, len(windows))
    for inside in range(window, end):
        if windows[inside] > 0:
            windows[inside] = 0
            counts[WINDOWS] -= 1


@kernel
def flush(layout: Layout, counts: npt.NDArray[np.int64], n_evicted: int) -> None:
    """Count the pass: futile, or one remote TLB shootdown, ranged or full."""
    if n_evicted == 0:
        counts[FUTILE_PASSES] += 1
        return
    counts[SHOOTDOWNS] += 1
    if n_evicted == 1 and layout.flush_pages > 0:
        counts[RANGED_FLUSH_PAGES] += layout.flush_pages
    else:
        counts[FULL_FLUSHES] += 1


# --- Replay ----------------------------------------------------------------------------------


@kernel
def hit(layout: Layout, state: State, policy: Any, own: Any, granule: int) -> None:
    """Tell the order of an access to a resident granule, unless its chunk was set aside."""
    if own is not None or (policy is not None and policy >= LRU):
        row = row_of(layout, state, granule >> layout.chunk_shift)
        if state.chunks[row, NEXT] != 0:
            access(state, policy, own, row, False)


@kernel
def replay_lookups(
    layout: Layout, state: State, policy: Any, own: Any, pfns: Any, start: int, stop: int
) -> int:
    """Replay lookups ``[start, stop)`` whose callers can sleep; return where it stopped.

    Nothing is counted on a hit: hits and accesses follow from the other counts, and the resident
    granules are added to their sum only when they change.
    """
    counts = state.counts
    summed = start  # events before this one are in RESIDENT_SUM
    for event in range(start, stop):
        # int64, because uint32 would turn differences into floats
        granule = granule_of(layout, np.int64(pfns[event]))
        if is_set(state.resident, granule):
            hit(layout, state, policy, own, granule)
            continue
        counts[RESIDENT_SUM] += counts[RESIDENT] * (event - summed)
        summed = event
        fault(layout, state, policy, own, granule, False)
        if own is not None and counts[BAD_VICTIM] != 0:
            stop = event
            break
    note_peaks(counts)
    counts[RESIDENT_SUM] += counts[RESIDENT] * (stop - summed)
    return stop


@kernel
def run_of_pins(
    layout: Layout, state: State, pfns: Any, codes: Any, event: int, stop: int, held: Any
) -> tuple[int, Any, int]:
    """Go on while events hit the chunk of the last one; return the next, live pins, and PUTs.

    Also stops at what takes more than a look: a fault, an unmatched PUT, the last PUT of a chunk.
    For lra without failed GETs only, where neither a hit nor a PUT changes anything else.
    """
    n_puts = 0
    chunk = granule_of(layout, np.int64(pfns[event - 1])) >> layout.chunk_shift
    while event < stop:
        op = np.int64(codes[event]) & 3
        granule = granule_of(layout, np.int64(pfns[event]))
        if granule >> layout.chunk_shift != chunk:
            break
        if op >= PUT:
            if held < 2 or op != PUT:
                break
            held -= 1
            n_puts += 1
        elif is_set(state.resident, granule):
            held += op
        else:
            break
        event += 1
    return event, held, n_puts


@kernel
def replay(
    layout: Layout,
    state: State,
    policy: Any,
    own: Any,
    pfns: Any,
    codes: Any,
    start: int,
    stop: int,
) -> int:
    """Replay events ``[start, stop)``; return where it stopped.

    It stops early if the table of failed GETs is full, or a user's policy named no victim.
    `held` are the live pins of the last chunk pinned or unpinned: in a register, because in memory
    each would wait for the one before. While events stay in that chunk, as those of a long
    request do, `run_of_pins` goes through them, which makes traces of long requests 1.4 times
    as fast and takes nothing from others.
    """
    counts = state.counts
    failed_limit = len(state.failed_pfns) // 2
    failed_bits = page_counts.bits_of(state.failed_pfns)
    summed = start  # events before this one are in RESIDENT_SUM
    n_puts, n_unmatched = 0, 0
    held_row, held, again = np.uint64(0), np.int64(0), False
    event = start
    while event < stop:
        code: Any = np.int64(codes[event])
        op = code & 3
        pfn: Any = np.int64(pfns[event])
        granule = granule_of(layout, pfn)
        if op == UNMATCHED_PUT:
            n_unmatched += 1
            event += 1
            continue
        if op == PUT:
            n_puts += 1
            if counts[FAILED_PFNS] > 0 and cancel(state, failed_bits, pfn):
                event += 1
                continue
        elif is_set(state.resident, granule):
            hit(layout, state, policy, own, granule)
        else:
            atomic = code >= ATOMIC
            if atomic and counts[FAILED_PFNS] >= failed_limit:
                stop = event
                break
            counts[RESIDENT_SUM] += counts[RESIDENT] * (event - summed)
            summed = event
            state.chunks[held_row, PINS] = held
            if not fault(layout, state, policy, own, granule, atomic):
                if op == GET:
                    get_failed(state, failed_bits, pfn)
                event += 1
                continue
            if own is not None and counts[BAD_VICTIM] != 0:
                stop = event
                break
        event += 1
        if op == LOOKUP:
            continue
        row: Any = np.uint64(row_of(layout, state, granule >> layout.chunk_shift))
        again = row == held_row
        if not again:
            state.chunks[held_row, PINS] = held
            held_row, held = row, np.int64(state.chunks[row, PINS])
        if op == GET:
            held += 1
        else:
            held -= 1
            if held == 0 and state.chunks[row, NEXT] == 0:  # set aside until now
                insert(state, policy, own, int(row))
        if own is None and policy is None and again and counts[FAILED_PFNS] == 0:
            event, held, more = run_of_pins(layout, state, pfns, codes, event, stop, held)
            n_puts += more
    state.chunks[held_row, PINS] = held
    note_peaks(counts)
    counts[PUTS] += n_puts + n_unmatched
    counts[UNMATCHED_PUTS] += n_unmatched
    counts[RESIDENT_SUM] += counts[RESIDENT] * (stop - summed)
    return stop
