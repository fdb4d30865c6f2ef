"""SIEVE: a hand moves from old to new and evicts the first chunk not accessed since it passed.

Chunks that it spares stay where they are in the order of arrival, and the next fault goes on from
where the hand stands.

The order is a log of arrivals in which an evicted chunk leaves a gap; gaps are squeezed out when
the log is full. The hand looks for the next bit that is neither `accessed` nor `gone`, 64 places
at a time. A chunk is resident iff the place that it was given last still holds it, so eviction
leaves its entry alone. Chunks count from 1 and places from 64 here: row 0 of either table takes
stores that are idle.

When the newest chunk is evicted, the hand goes back to the oldest; it must not wait for the next
arrival, which gives other counts.

    table           dtype    length                          starts as
    State.places    uint32   chunks + 1                      NEVER
    State.log       uint32   >= 4 * limit + 64, 64 divides   NOBODY at NEVER, else anything
    State.accessed  uint64   len(log) / 64                   0
    State.gone      uint64   len(log) / 64                   0
    State.marks     int64    N_MARKS                         HEAD, HAND 64; LAST_CHUNK -1
    State.counts    int64    N_COUNTS                        0
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

NEVER, FIRST = 1, 64  # place of a chunk never resident, and the first one that may hold a chunk
NOBODY = 0  # "chunk" of a gap: chunks count from 1
ONE, ONES = np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF)


class State(NamedTuple):
    """All that changes during a replay."""

    places: npt.NDArray[np.uint32]  # place of each chunk in the log
    log: npt.NDArray[np.uint32]  # chunk of each place
    accessed: npt.NDArray[np.uint64]  # a bit a place
    gone: npt.NDArray[np.uint64]  # a bit a place: was its chunk evicted?
    marks: npt.NDArray[np.int64]
    windows: Windows | None
    counts: npt.NDArray[np.int64]


def state(
    n_chunks: int, limit_chunks: int, window_shift: int = -1, *, empty: Empty = np.empty
) -> State:
    """Return the state before the first event."""
    n_words = 2 + (4 * min(limit_chunks, n_chunks) - 1) // 64
    made = State(
        empty(n_chunks + 1, np.uint32),
        empty(64 * n_words, np.uint32),
        empty(n_words, np.uint64),
        empty(n_words, np.uint64),
        empty(N_MARKS, np.int64),
        windows(n_chunks, window_shift, empty),
        empty(N_COUNTS, np.int64),
    )
    reset(made)
    return made


def reset(state: State) -> None:
    """Put a used state back before the first event."""
    state.places.fill(NEVER)
    state.log[NEVER] = NOBODY
    state.accessed.fill(0)
    state.gone.fill(0)
    state.marks[:] = FIRST, FIRST, -1
    state.counts.fill(0)
    clear_windows(state.windows)


@kernel
def squeeze(state: State) -> None:
    """Close the gaps of a full log."""
    places, log, accessed, marks = state.places, state.log, state.accessed, state.marks
    to, hand = FIRST, FIRST
    for word in range(1, len(state.gone)):
        living = ~state.gone[U(word)]
        bits = accessed[U(word)]
        accessed[U(word)] = 0
        state.gone[U(word)] = 0
        while living != 0:
            bit = lowest_bit(living)
            place = (word << 6) + bit
            if place >= marks[HAND] > 0:
                hand = to
                marks[HAND] = 0  # found
            chunk = log[U(place)]
            log[U(to)] = chunk
            places[U(chunk)] = to
            accessed[U(to >> 6)] |= ((bits >> U(bit)) & ONE) << U(to & 63)
            to += 1
            living &= living - ONE
    marks[HEAD], marks[HAND] = to, hand


@kernel
def spare(state: State, head: int, hand: int) -> int:
    """Clear the bits from the hand on, up to a chunk whose bit is clear already; return its place.

    At the head it goes on from the oldest.
    """
    accessed, gone = state.accessed, state.gone
    while True:
        word = hand >> 6
        waiting = ONES << U(hand & 63)
        clear = ~(accessed[U(word)] | gone[U(word)]) & waiting
        place = (word << 6) + lowest_bit(clear)
        if clear != 0 and place < head:
            accessed[U(word)] &= ~(waiting & (clear ^ (clear - ONE)))
            return place
        accessed[U(word)] &= ~waiting
        hand = (word + 1) << 6
        if hand >= head:
            hand = FIRST


@kernel
def none_later(state: State, head: int, place: int) -> bool:
    """Whether all chunks that arrived after the one at `place` are gone."""
    newest = head - 1
    if place < newest and (state.gone[U(newest >> 6)] >> U(newest & 63)) & ONE == 0:
        return False  # always, but after a batch or where the victim is the newest
    place += 1
    while place < head and place & 63 != 0:
        if (state.gone[U(place >> 6)] >> U(place & 63)) & ONE == 0:
            return False
        place += 1
    while place < head:
        if ~state.gone[U(place >> 6)] != 0:
            return False
        place += 64
    return True


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
    places, log, marks, counts = state.places, state.log, state.marks, state.counts
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
            prefetch(places, soon >> layout.chunk_shift)
            soon = np.int64(pfns[U(min(event + (ahead >> 1), stop - 1))]) - base
            prefetch(log, np.int64(places[U(soon >> layout.chunk_shift)]))
        chunk = (np.int64(pfns[U(event)]) - base) >> layout.chunk_shift
        event += 1
        place = np.int64(places[U(chunk)])
        if log[U(place)] == chunk:
            state.accessed[U(place >> 6)] |= ONE << U(place & 63)
            if runs is not None:
                if chunk == last_chunk:
                    event = next_elsewhere(layout, pfns, event, stop, chunk - 1)
                last_chunk = chunk
            continue
        if runs is not None:
            last_chunk = chunk
        n_faults += 1
        n_cold += int(place == NEVER)
        resident_sum += resident * (event - 1 - summed)
        summed = event - 1
        if resident + 1 > layout.limit_chunks:
            n_passes += 1
            n_before = n_evicted
            while resident > 0 and (
                resident + 1 > layout.limit_chunks or n_evicted - n_before < layout.batch_chunks
            ):
                victim = spare(state, head, hand)
                if held is not None:
                    unmap_chunk(layout, held, counts, np.int64(log[U(victim)]) - 1)
                log[U(victim)] = NOBODY
                state.gone[U(victim >> 6)] |= ONE << U(victim & 63)
                # Not `victim + 1` if that is where the next to arrive will be.
                hand = FIRST if none_later(state, head, victim) else victim + 1
                resident -= 1
                n_evicted += 1
        if held is not None:
            map_chunk(layout, held, counts, chunk - 1)
        places[U(chunk)] = head
        log[U(head)] = chunk
        head += 1
        if head == len(log):
            marks[HAND] = hand
            squeeze(state)
            head, hand = marks[HEAD], marks[HAND]
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
    elif len(state.places) > BIG:
        serve(layout, state, held, None, AHEAD, pfns, start, stop)
    else:
        serve(layout, state, held, None, None, pfns, start, stop)
