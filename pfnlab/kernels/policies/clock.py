"""CLOCK, that is FIFO with reinsertion: a chunk accessed since the hand last passed it is spared.

The resident chunks stand in a ring of as many slots as the limit; the hand is at the least
recent. A chunk that is spared moves to the most recent end, which in a full ring means that the
hand moves on. So a fault looks for the next slot whose bit is clear, 64 slots at a time. A chunk is
resident iff the slot that it was given last still holds it, so eviction leaves its entry alone.
Chunks count from 1 and slots from 64 here: row 0 of either table takes stores that are idle.

    table           dtype    length                starts as
    State.slots     uint32   chunks + 1            NEVER
    State.ring      uint32   limit + 64            NOBODY at NEVER, else anything
    State.accessed  uint64   limit / 64, up, + 1   0
    State.marks     int64    N_MARKS               HEAD, HAND 64; LAST_CHUNK -1
    State.counts    int64    N_COUNTS              0
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.kernels.bits import lowest_bit, prefetch
from pfnlab.kernels.compiled import kernel
from pfnlab.kernels.policies.shared import (
    AHEAD,
    BIG,
    COLD_FAULTS,
    EVICTED_CHUNKS,
    FAULTS,
    N_COUNTS,
    PASSES,
    PEAK_RESIDENT,
    RESIDENT,
    RESIDENT_SUM,
    Empty,
    Layout,
    U,
    Windows,
    clear_windows,
    map_chunk,
    next_elsewhere,
    runs_long,
    unmap_chunk,
    windows,
)

# Places in `State.marks`.
HEAD, HAND, LAST_CHUNK, N_MARKS = range(4)

NEVER, FIRST = 1, 64  # slot of a chunk never resident, and the first one that may hold a chunk
NOBODY = 0  # "chunk" of an empty slot: chunks count from 1
ONE, ONES = np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF)


class State(NamedTuple):
    """All that changes during a replay."""

    slots: npt.NDArray[np.uint32]  # slot of each chunk
    ring: npt.NDArray[np.uint32]  # chunk of each slot
    accessed: npt.NDArray[np.uint64]  # a bit a slot
    marks: npt.NDArray[np.int64]
    windows: Windows | None
    counts: npt.NDArray[np.int64]


def state(
    n_chunks: int, limit_chunks: int, window_shift: int = -1, *, empty: Empty = np.empty
) -> State:
    """Return the state before the first event."""
    n_slots = FIRST + min(limit_chunks, n_chunks)
    made = State(
        empty(n_chunks + 1, np.uint32),
        empty(n_slots, np.uint32),
        empty(((n_slots - 1) >> 6) + 1, np.uint64),
        empty(N_MARKS, np.int64),
        windows(n_chunks, window_shift, empty),
        empty(N_COUNTS, np.int64),
    )
    reset(made)
    return made


def reset(state: State) -> None:
    """Put a used state back before the first event."""
    state.slots.fill(NEVER)
    state.ring[NEVER] = NOBODY
    state.accessed.fill(0)
    state.marks[:] = FIRST, FIRST, -1
    state.counts.fill(0)
    clear_windows(state.windows)


@kernel
def next_slot(state: State, slot: int) -> int:
    """Slot behind `slot` in the ring."""
    return slot + 1 if slot + 1 < len(state.ring) else FIRST


@kernel
def spare(state: State, hand: int) -> int:
    """Clear the bits from the hand on, up to a slot whose bit is clear already; return that."""
    accessed = state.accessed
    end = len(state.ring)
    while True:
        word = hand >> 6
        waiting = ONES << U(hand & 63)
        clear = ~accessed[U(word)] & waiting
        slot = (word << 6) + lowest_bit(clear)
        if clear != 0 and slot < end:
            accessed[U(word)] &= ~(waiting & (clear ^ (clear - ONE)))
            return slot
        accessed[U(word)] &= ~waiting
        hand = (word + 1) << 6
        if hand >= end:
            hand = FIRST


@kernel
def spare_into(state: State, hand: int, head: int) -> tuple[int, int]:
    """Move chunks that were accessed from the hand to the head of a ring with empty slots.

    Returns the slot of the first chunk that was not accessed, and the new head.
    """
    while state.accessed[U(hand >> 6)] >> U(hand & 63) & ONE:
        state.accessed[U(hand >> 6)] &= ~(ONE << U(hand & 63))
        chunk = state.ring[U(hand)]
        state.ring[U(head)] = chunk
        state.slots[U(chunk)] = head
        hand, head = next_slot(state, hand), next_slot(state, head)
    return hand, head


@kernel
def serve(
    layout: Layout, state: State, held: Any, pfns: Any, start: int, stop: int, stop_full: bool
) -> int:
    """Replay events with any batch, if `stop_full` only up to the event that fills the limit.

    Returns the first event not replayed.
    """
    slots, ring, marks, counts = state.slots, state.ring, state.marks, state.counts
    head, hand, last_chunk = marks[HEAD], marks[HAND], marks[LAST_CHUNK]
    resident, peak = counts[RESIDENT], counts[PEAK_RESIDENT]
    n_faults, n_cold, n_passes, n_evicted, resident_sum = 0, 0, 0, 0, 0
    summed = start  # events before this one are in `resident_sum`
    base = layout.first_pfn - (1 << layout.chunk_shift)
    chunk = last_chunk
    event = start
    while event < stop:
        soon = np.int64(pfns[U(min(event + AHEAD, stop - 1))]) - base
        prefetch(slots, soon >> layout.chunk_shift)
        chunk = (np.int64(pfns[U(event)]) - base) >> layout.chunk_shift
        event += 1
        slot = np.int64(slots[U(chunk)])
        if ring[U(slot)] == chunk:
            state.accessed[U(slot >> 6)] |= ONE << U(slot & 63)
            if chunk == last_chunk:
                event = next_elsewhere(layout, pfns, event, stop, chunk - 1)
            last_chunk = chunk
            continue
        last_chunk = chunk
        n_faults += 1
        n_cold += int(slot == NEVER)
        resident_sum += resident * (event - 1 - summed)
        summed = event - 1
        if resident + 1 > layout.limit_chunks:
            n_passes += 1
            n_before = n_evicted
            while resident > 0 and (
                resident + 1 > layout.limit_chunks or n_evicted - n_before < layout.batch_chunks
            ):
                if head == hand:
                    head = hand = spare(state, hand)
                else:
                    hand, head = spare_into(state, hand, head)
                if held is not None:
                    unmap_chunk(layout, held, counts, np.int64(ring[U(hand)]) - 1)
                ring[U(hand)] = NOBODY
                hand = next_slot(state, hand)
                resident -= 1
                n_evicted += 1
        if held is not None:
            map_chunk(layout, held, counts, chunk - 1)
        slots[U(chunk)] = head
        ring[U(head)] = chunk
        head = next_slot(state, head)
        resident += 1
        peak = max(peak, resident)
        if stop_full and resident == layout.limit_chunks:
            stop = event
    counts[FAULTS] += n_faults
    counts[COLD_FAULTS] += n_cold
    counts[PASSES] += n_passes
    counts[EVICTED_CHUNKS] += n_evicted
    counts[RESIDENT], counts[PEAK_RESIDENT] = resident, peak
    counts[RESIDENT_SUM] += resident_sum + resident * (stop - summed)
    marks[HEAD], marks[HAND] = head, hand
    marks[LAST_CHUNK] = chunk
    return stop


@kernel
def turn_over(
    layout: Layout,
    state: State,
    held: Any,
    runs: Any,
    ahead: Any,
    pfns: Any,
    start: int,
    stop: int,
) -> None:
    """Replay events from a full ring on with batch 1: each fault evicts one chunk.

    Branch-free, because where it matters hits are as unpredictable as faults: one table entry,
    one word of bits (of the slot hit, or of the hand) and one slot of the ring change an event,
    row 0 of the tables where nothing is to change. Lines of the table are asked for `ahead` events
    early, or not at all if that is None; repeats are skipped unless `runs` is None.
    """
    slots, ring, accessed, counts = state.slots, state.ring, state.accessed, state.counts
    hand, last_chunk = state.marks[HAND], state.marks[LAST_CHUNK]
    last_word = (len(ring) - 1) >> 6
    last_bits = ONES >> U(63 - ((len(ring) - 1) & 63))
    word = hand >> 6
    waiting = ONES << U(hand & 63)  # slots of the hand's word that it has not passed
    if word == last_word:
        waiting &= last_bits
    bits = accessed[U(word)]
    clear = ~bits & waiting  # and that it would not spare
    n_faults, n_cold = 0, 0
    chunk = last_chunk
    base = layout.first_pfn - (1 << layout.chunk_shift)
    event = start
    while event < stop:
        if ahead is not None:
            soon = np.int64(pfns[U(min(event + ahead, stop - 1))]) - base
            prefetch(slots, soon >> layout.chunk_shift)
        chunk = (np.int64(pfns[U(event)]) - base) >> layout.chunk_shift
        event += 1
        slot = np.int64(slots[U(chunk)])
        if runs is not None:
            if chunk == last_chunk:
                accessed[U(slot >> 6)] |= ONE << U(slot & 63)
                near_bit = U(slot >> 6 == word) << U(slot & 63)
                bits |= near_bit
                clear &= ~near_bit
                event = next_elsewhere(layout, pfns, event, stop, chunk - 1)
                continue
            last_chunk = chunk
        fault = ring[U(slot)] != chunk
        n_faults += int(fault)
        n_cold += int(slot == NEVER)
        while clear == 0 and fault:
            accessed[U(word)] = bits & ~waiting
            word = word + 1 if word < last_word else 1
            waiting = last_bits if word == last_word else ONES
            bits = accessed[U(word)]
            clear = ~bits & waiting
        place = (word << 6) + lowest_bit(clear)  # of the victim, on a fault
        if held is not None and fault:
            unmap_chunk(layout, held, counts, np.int64(ring[U(place)]) - 1)
            map_chunk(layout, held, counts, chunk - 1)
        # Selected by masks, because of an `if` the compiler makes a branch.
        on_fault = -int(fault)
        through = (clear ^ (clear - U(fault))) & waiting  # bits up to the victim's
        accessed[U(slot >> 6)] |= U(not fault) << U(slot & 63)
        near_bit = U((slot >> 6 == word) & (not fault)) << U(slot & 63)
        bits = (bits | near_bit) & ~through
        clear &= ~(through | near_bit)
        waiting &= ~through
        slots[U(chunk & on_fault)] = place
        ring[U(place & on_fault)] = chunk
    counts[FAULTS] += n_faults
    counts[COLD_FAULTS] += n_cold
    counts[PASSES] += n_faults
    counts[EVICTED_CHUNKS] += n_faults
    counts[RESIDENT_SUM] += layout.limit_chunks * (stop - start)
    accessed[U(word)] = bits
    hand = (word << 6) + lowest_bit(waiting)
    state.marks[HAND] = hand if hand < len(ring) else FIRST
    state.marks[HEAD] = state.marks[HAND]
    state.marks[LAST_CHUNK] = chunk


@kernel
def replay(layout: Layout, state: State, pfns: Any, start: int, stop: int) -> None:
    """Replay the lookups ``pfns[start:stop]``."""
    held = state.windows
    one = layout.batch_chunks == 1
    if not one or state.counts[RESIDENT] < layout.limit_chunks:
        start = serve(layout, state, held, pfns, start, stop, one)
    if start == stop:
        return
    if runs_long(layout, pfns, start, stop):
        turn_over(layout, state, held, True, None, pfns, start, stop)
    elif len(state.slots) > BIG:
        turn_over(layout, state, held, None, AHEAD, pfns, start, stop)
    else:
        turn_over(layout, state, held, None, None, pfns, start, stop)
