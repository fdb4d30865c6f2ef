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

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.kernels.bits import lowest_bit, prefetch
from pfnlab.kernels.compiled import kernel
from pfnlab.kernels.orders import (
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


def state(n_chunks: int, limit_chunks: int, window_shift: int = -1) -> State:
    """Return the state before the first event."""
    n_slots = FIRST + min(limit_chunks, n_chunks)
    made = State(
        np.empty(n_chunks + 1, np.uint32),
        np.empty(n_slots, np.uint32),
        np.empty(((n_slots - 1) >> 6) + 1, np.uint64),
        np.empty(N_MARKS, np.int64),
        windows(n_chunks, window_shift),
        np.empty(N_COUNTS, np.int64),
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
    layout: Layout,
    state: State,
    held: Any,
    runs: Any,
    ahead: Any,
    pfns: Any,
    start: int,
    stop: int,
) -> None:
    """Replay events; ask for lines of the tables `ahead` events early, or not if that is None.

    Unless `runs` is None, repeats are looked for and skipped. A hit sets one bit, so a branch that
    is often guessed wrong is cheaper than a loop without branches: 24 cycles an event against NN.
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
        if ahead is not None:
            soon = np.int64(pfns[U(min(event + ahead, stop - 1))]) - base
            prefetch(slots, soon >> layout.chunk_shift)
            soon = np.int64(pfns[U(min(event + (ahead >> 1), stop - 1))]) - base
            prefetch(ring, np.int64(slots[U(soon >> layout.chunk_shift)]))
        chunk = (np.int64(pfns[U(event)]) - base) >> layout.chunk_shift
        event += 1
        slot = np.int64(slots[U(chunk)])
        if ring[U(slot)] == chunk:
            state.accessed[U(slot >> 6)] |= ONE << U(slot & 63)
            if runs is not None:
                if chunk == last_chunk:
                    event = next_elsewhere(layout, pfns, event, stop, chunk - 1)
                last_chunk = chunk
            continue
        if runs is not None:
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
    counts[FAULTS] += n_faults
    counts[COLD_FAULTS] += n_cold
    counts[PASSES] += n_passes
    counts[EVICTED_CHUNKS] += n_evicted
    counts[RESIDENT], counts[PEAK_RESIDENT] = resident, peak
    counts[RESIDENT_SUM] += resident_sum + resident * (stop - summed)
    marks[HEAD], marks[HAND] = head, hand
    marks[LAST_CHUNK] = chunk


@kernel
def replay(layout: Layout, state: State, pfns: Any, start: int, stop: int) -> None:
    """Replay the lookups ``pfns[start:stop]``."""
    held = state.windows
    if runs_long(layout, pfns, start, stop):
        serve(layout, state, held, True, None, pfns, start, stop)
    elif len(state.slots) > BIG:
        serve(layout, state, held, None, AHEAD, pfns, start, stop)
    else:
        serve(layout, state, held, None, None, pfns, start, stop)
