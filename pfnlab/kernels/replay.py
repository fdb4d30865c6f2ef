"""The mechanism: translation, fault handling, chunk eviction, replay (DESIGN 3 and 5).

The file reads in the order a page lives: its pfn is translated, its granule faulted in, pinned
and unpinned, its chunk evicted; `replay` at the end drives them. It is one file because numba's
disk cache notices edits of the file it caches only, not of callees elsewhere.

Preconditions, checked by `pfnlab.engine`: every pfn lies in the region, ops are LOOKUP, GET or
PUT, sizes are powers of two with granule <= chunk <= threshold, the tables of `State` are as
large as `Layout` says, and `pin_pfns` has a free place for every GET up to the next growth.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.kernels.compiled import kernel

GET, PUT = 1, 2

# Places in `State.counts`.
(
    PUTS,
    UNMATCHED_PUTS,
    FAULTS,
    COLD_FAULTS,
    ATOMIC_FAULTS,
    RESERVE_FAULTS,
    OVERCOMMITS,
    SHOOTDOWNS,
    FUTILE_PASSES,
    PINNED_SKIPS,
    EVICTED_CHUNKS,
    EVICTED_GRANULES,
    RANGED_FLUSH_PAGES,
    FULL_FLUSHES,
    RESIDENT,  # granules resident now
    PEAK_RESIDENT,
    RESIDENT_SUM,  # of the resident granules after each event
    WINDOWS,  # 2 MiB windows that hold a resident granule now
    PEAK_WINDOWS,
    WINDOWS_EVER,
    RESERVE,  # granules left in the reserve
    PINNED_PFNS,  # entries of the pin table
    N_COUNTS,
) = range(23)

# Columns of `State.chunks`: one row is one cache-line quarter, and a fault touches one row or two.
PREV, NEXT, GRANULES, PINS = range(4)
# Rows of `State.chunks`: a link of 0 means "in no list", so fresh zeroed memory is a valid state.
HEAD, FIRST_ROW = 1, 2
# Columns of `State.pins`.
LIVE, FAILED = range(2)

ONE = np.uint64(1)
FREE = -1


class Layout(NamedTuple):
    """Sizes that stay as they are during a replay; shifts are log2."""

    first_pfn: int
    granule_shift: int  # of pfns in a granule
    chunk_shift: int  # of granules in a chunk
    window_shift: int  # of granules in a 2 MiB window; -1 where granules need no PTEs
    hashed: bool  # whether chunks find their row by hash instead of by index
    chunk_bits: int  # log2 of the places in `chunk_keys`, if hashed
    limit_granules: int  # threshold
    batch_chunks: int
    reserve_granules: int
    flush_pages: int  # 4 KiB pages of one chunk if its flush is ranged, else 0


class State(NamedTuple):
    """All that changes during a replay; every array starts zeroed but for the key tables."""

    resident: npt.NDArray[np.uint64]  # a bit a granule
    ever: npt.NDArray[np.uint64]  # a bit a granule: was it ever populated?
    windows: npt.NDArray[np.int32]  # resident granules of each 2 MiB window
    windows_ever: npt.NDArray[np.bool_]
    chunks: npt.NDArray[np.int32]  # (rows, 4): PREV, NEXT, GRANULES, PINS
    chunk_keys: npt.NDArray[np.int64]  # chunk of each row if hashed, FREE where none
    pin_pfns: npt.NDArray[np.int64]  # open-addressing table of pages with pins or failed GETs
    pins: npt.NDArray[np.int32]  # (places, 2): LIVE, FAILED
    counts: npt.NDArray[np.int64]


# --- Translation ---------------------------------------------------------------------------


@kernel
def granule_of(layout: Layout, pfn: int) -> int:
    """Index of the granule that holds the ``struct page`` of `pfn`."""
    return (pfn - layout.first_pfn) >> layout.granule_shift


@kernel
def place_of(key: int, bits: int) -> int:
    """First place to look for `key` in a table of ``2**bits`` places, bits <= 32.

    Fibonacci hashing of 31 bits, kept below 2**63 so that it is the same with the JIT off.
    """
    folded = (key ^ (key >> 31)) & 0x7FFFFFFF
    return ((folded * 0x9E3779B1) & 0xFFFFFFFF) >> (32 - bits)


@kernel
def row_of(layout: Layout, state: State, chunk: int) -> int:
    """Row of `chunk` in ``state.chunks``; a hashed chunk seen for the first time gets one."""
    if not layout.hashed:
        return chunk + FIRST_ROW
    mask = len(state.chunk_keys) - 1
    place = place_of(chunk, layout.chunk_bits)
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
    return ((bitmap[granule >> 6] >> np.uint64(granule & 63)) & ONE) != 0  # type: ignore[no-any-return]


# --- The LRA order: a circular list of chunks, least recently allocated first -----------------


@kernel
def list_del(chunks: npt.NDArray[np.int32], row: int) -> None:
    """Take a chunk out of the order."""
    before, after = chunks[row, PREV], chunks[row, NEXT]
    chunks[before, NEXT] = after
    chunks[after, PREV] = before
    chunks[row, NEXT] = 0


@kernel
def list_add_tail(chunks: npt.NDArray[np.int32], row: int) -> None:
    """Make a chunk that is in no list the most recently allocated."""
    last = chunks[HEAD, PREV]
    chunks[row, PREV] = last
    chunks[row, NEXT] = HEAD
    chunks[last, NEXT] = row
    chunks[HEAD, PREV] = row


@kernel
def list_move_tail(chunks: npt.NDArray[np.int32], row: int) -> None:
    """Make a chunk the most recently allocated, wherever it is."""
    if chunks[HEAD, PREV] == row:
        return
    if chunks[row, NEXT] != 0:
        list_del(chunks, row)
    list_add_tail(chunks, row)


# --- Fault handling --------------------------------------------------------------------------


@kernel
def fault(layout: Layout, state: State, granule: int, atomic: bool) -> bool:
    """Handle a fault on a granule that is not resident; False if the caller must not sleep."""
    counts = state.counts
    if atomic and counts[RESERVE] == 0:
        counts[ATOMIC_FAULTS] += 1
        return False
    row = row_of(layout, state, granule >> layout.chunk_shift)
    if atomic:
        counts[RESERVE] -= 1
        counts[RESERVE_FAULTS] += 1
    else:
        counts[RESERVE] = layout.reserve_granules
        if counts[RESIDENT] + 1 > layout.limit_granules:
            reclaim(layout, state, row)
    if counts[RESIDENT] + 1 > layout.limit_granules:
        counts[OVERCOMMITS] += 1
    populate(layout, state, granule)
    state.chunks[row, GRANULES] += 1
    list_move_tail(state.chunks, row)
    return True


@kernel
def populate(layout: Layout, state: State, granule: int) -> None:
    """Make a granule resident."""
    counts = state.counts
    word, bit = granule >> 6, ONE << np.uint64(granule & 63)
    counts[FAULTS] += 1
    if state.ever[word] & bit == 0:
        state.ever[word] |= bit
        counts[COLD_FAULTS] += 1
    state.resident[word] |= bit
    counts[RESIDENT] += 1
    counts[PEAK_RESIDENT] = max(counts[PEAK_RESIDENT], counts[RESIDENT])
    if layout.window_shift >= 0:
        populate_window(state, granule >> layout.window_shift)


@kernel
def populate_window(state: State, window: int) -> None:
    """Count one more granule in a window, and its page of PTEs if it is the first."""
    counts = state.counts
    state.windows[window] += 1
    if state.windows[window] == 1:
        counts[WINDOWS] += 1
        counts[PEAK_WINDOWS] = max(counts[PEAK_WINDOWS], counts[WINDOWS])
        if not state.windows_ever[window]:
            state.windows_ever[window] = True
            counts[WINDOWS_EVER] += 1


# --- Pins ------------------------------------------------------------------------------------


@kernel
def find_pin(state: State, pin_bits: int, pfn: int) -> int:
    """Place of `pfn` in the pin table, or the free place where it belongs."""
    mask = len(state.pin_pfns) - 1
    place = place_of(pfn, pin_bits)
    while state.pin_pfns[place] != pfn and state.pin_pfns[place] != FREE:
        place = (place + 1) & mask
    return place


@kernel
def get(layout: Layout, state: State, pin_bits: int, pfn: int, failed: bool) -> None:
    """Remember a GET of `pfn`: a live pin, or a failed one for its PUT to cancel."""
    place = find_pin(state, pin_bits, pfn)
    if state.pin_pfns[place] == FREE:
        state.pin_pfns[place] = pfn
        state.counts[PINNED_PFNS] += 1
    if failed:
        state.pins[place, FAILED] += 1
        return
    state.pins[place, LIVE] += 1
    chunk = granule_of(layout, pfn) >> layout.chunk_shift
    state.chunks[row_of(layout, state, chunk), PINS] += 1


@kernel
def put(layout: Layout, state: State, pin_bits: int, pfn: int) -> None:
    """Drop what a GET of `pfn` left: a failed one first, else a live pin, else nothing."""
    state.counts[PUTS] += 1
    place = find_pin(state, pin_bits, pfn)
    if state.pin_pfns[place] == FREE:
        state.counts[UNMATCHED_PUTS] += 1
        return
    if state.pins[place, FAILED] > 0:
        state.pins[place, FAILED] -= 1
    else:
        state.pins[place, LIVE] -= 1
        unpin(layout, state, granule_of(layout, pfn) >> layout.chunk_shift)
    if state.pins[place, FAILED] == 0 and state.pins[place, LIVE] == 0:
        forget(state, pin_bits, place)


@kernel
def unpin(layout: Layout, state: State, chunk: int) -> None:
    """Drop one live pin of a chunk; the last one brings a chunk set aside back into the order."""
    row = row_of(layout, state, chunk)
    state.chunks[row, PINS] -= 1
    if state.chunks[row, PINS] == 0 and state.chunks[row, NEXT] == 0:
        list_add_tail(state.chunks, row)


@kernel
def forget(state: State, pin_bits: int, place: int) -> None:
    """Free a place of the pin table and close the gap, so that the table holds live pages only."""
    mask = len(state.pin_pfns) - 1
    state.counts[PINNED_PFNS] -= 1
    hole, place = place, (place + 1) & mask
    while state.pin_pfns[place] != FREE:
        home = place_of(state.pin_pfns[place], pin_bits)
        # An entry may fill the hole unless its home lies cyclically between hole and place.
        if ((place - home) & mask) >= ((place - hole) & mask):
            state.pin_pfns[hole] = state.pin_pfns[place]
            state.pins[hole, LIVE] = state.pins[place, LIVE]
            state.pins[hole, FAILED] = state.pins[place, FAILED]
            hole = place
        place = (place + 1) & mask
    state.pin_pfns[hole] = FREE
    state.pins[hole, LIVE] = 0
    state.pins[hole, FAILED] = 0


# --- Chunk eviction --------------------------------------------------------------------------


@kernel
def reclaim(layout: Layout, state: State, filling: int) -> None:
    """One pass over the LRA order: unmap chunks until a granule fits, then flush every CPU once.

    `filling` is the row of the chunk being populated, which the pass leaves alone.
    """
    counts, chunks = state.counts, state.chunks
    n_evicted = 0
    row = chunks[HEAD, NEXT]
    while row != HEAD:
        if counts[RESIDENT] + 1 <= layout.limit_granules and n_evicted >= layout.batch_chunks:
            break
        after = chunks[row, NEXT]
        if row != filling:
            list_del(chunks, row)
            if chunks[row, PINS] > 0:
                counts[PINNED_SKIPS] += 1  # set aside, like a page on the unevictable list
            else:
                evict(layout, state, row)
                n_evicted += 1
        row = after
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
    if layout.window_shift >= 0:
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
def replay(
    layout: Layout, state: State, pfns: Any, ops: Any, atomic: Any, start: int, stop: int
) -> int:
    """Replay events ``[start, stop)``; return where it stopped, early if the pin table is full.

    `ops` and `atomic` may be None, which compiles a loop without them. Nothing is counted on a
    hit: hits and accesses follow from the other counts, and the resident granules are added to
    their sum only when they change.
    """
    counts = state.counts
    pin_limit = len(state.pin_pfns) // 2
    pin_bits = 0
    while (1 << pin_bits) < len(state.pin_pfns):
        pin_bits += 1
    summed = start  # events before this one are in RESIDENT_SUM
    for event in range(start, stop):
        pfn: Any = np.int64(pfns[event])  # uint32 would turn differences into floats
        op: Any = 0
        if ops is not None:
            op = np.int64(ops[event])
            if op == PUT:
                put(layout, state, pin_bits, pfn)
                continue
            if op == GET and counts[PINNED_PFNS] >= pin_limit:
                stop = event
                break
        granule = granule_of(layout, pfn)
        failed = False
        if not is_set(state.resident, granule):
            counts[RESIDENT_SUM] += counts[RESIDENT] * (event - summed)
            summed = event
            can_sleep = True
            if atomic is not None:
                can_sleep = not atomic[event]
            failed = not fault(layout, state, granule, not can_sleep)
        if op == GET:
            get(layout, state, pin_bits, pfn, failed)
    counts[RESIDENT_SUM] += counts[RESIDENT] * (stop - summed)
    return stop


@kernel
def move_pins(old: State, new: State) -> None:
    """Copy the pin table of `old` into the larger, empty one of `new`."""
    pin_bits = 0
    while (1 << pin_bits) < len(new.pin_pfns):
        pin_bits += 1
    for place in range(len(old.pin_pfns)):
        if old.pin_pfns[place] != FREE:
            target = find_pin(new, pin_bits, old.pin_pfns[place])
            new.pin_pfns[target] = old.pin_pfns[place]
            new.pins[target, LIVE] = old.pins[place, LIVE]
            new.pins[target, FAILED] = old.pins[place, FAILED]
