"""OPT (Belady's MIN): the victim is the chunk whose next access is farthest off.

`look_ahead` walks the trace backwards and notes the next access of every event's chunk. A chunk
that is never accessed again gets a place behind the trace's end, so that of several such the one
goes first whose last access is longest ago. In the replay a resident chunk is one bit at the
place of its next access: an event is a hit iff its own bit is set, and the victim is the highest
bit, which a tree with 64 branches a node finds. Bits behind the replay are never looked at again.

    table             dtype            length                   starts as
    State.next_uses   uint32 or int64  events                   anything
    State.latest      as next_uses     chunks                   0; then 1 + event, from the end
    State.bits        uint64           places / 64, up          0; places: events + chunks touched
    State.upper       uint64           bits / 64 + ... + 1      0; a bit a word, levels in turn
    State.owners      uint32           places, or 0             chunk of each place, with windows
    State.marks       int64            N_MARKS                  N_EVENTS, LEFT events; else 0
    State.counts      int64            N_COUNTS                 0

Preconditions: ``batch_chunks`` is 1; `look_ahead` was given all events, the last piece first,
before `replay` is given the first piece. `look_ahead` counts all COLD_FAULTS.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.kernels.bits import highest_bit, prefetch
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
    unmap_chunk,
    windows,
)

# Places in `State.marks`.
N_EVENTS, LEFT, REPLAYED, NEVER_AGAIN, TOP, N_MARKS = range(6)

ONE = np.uint64(1)


class State(NamedTuple):
    """All that changes during a replay."""

    next_uses: npt.NDArray[Any]  # place of the next access of each event's chunk
    latest: npt.NDArray[Any]  # 1 + the event of each chunk that `look_ahead` met last
    bits: npt.NDArray[np.uint64]  # a bit a place: does a resident chunk wait there?
    upper: npt.NDArray[np.uint64]  # a bit a word of the level below: is it not 0?
    owners: npt.NDArray[np.uint32]  # chunk that waits at each place, with windows only
    marks: npt.NDArray[np.int64]
    windows: Windows | None
    counts: npt.NDArray[np.int64]


def state(n_chunks: int, limit_chunks: int, window_shift: int = -1, *, n_events: int) -> State:
    """Return the state before the first event of `n_events`; the limit does not change its size."""
    n_places = n_events + min(n_chunks, n_events) + 1
    dtype = np.uint32 if n_places < 2**32 else np.int64
    n_words = ((n_places - 1) >> 6) + 1
    n_upper, n_level = 0, n_words
    while n_level > 1:
        n_level = ((n_level - 1) >> 6) + 1
        n_upper += n_level
    made = State(
        np.empty(n_events, dtype),
        np.empty(n_chunks, dtype),
        np.empty(n_words, np.uint64),
        np.empty(n_upper, np.uint64),
        np.empty(n_places if window_shift >= 0 else 0, np.uint32),
        np.empty(N_MARKS, np.int64),
        windows(n_chunks, window_shift),
        np.empty(N_COUNTS, np.int64),
    )
    made.marks[N_EVENTS] = n_events
    reset(made)
    return made


def reset(state: State) -> None:
    """Put a used state back before the first event."""
    state.latest.fill(0)
    state.bits.fill(0)
    state.upper.fill(0)
    state.marks[LEFT:] = state.marks[N_EVENTS], 0, 0, 0
    state.counts.fill(0)
    clear_windows(state.windows)


@kernel
def note(layout: Layout, state: State, ahead: Any, pfns: Any, start: int, stop: int) -> None:
    """Note the next accesses of a piece; see `look_ahead`."""
    next_uses, latest, marks = state.next_uses, state.latest, state.marks
    left, never_again = marks[LEFT], marks[N_EVENTS] + marks[NEVER_AGAIN]
    first = never_again
    for event in range(stop - 1, start - 1, -1):
        if ahead is not None:
            soon = np.int64(pfns[U(max(event - ahead, start))]) - layout.first_pfn
            prefetch(latest, soon >> layout.chunk_shift)
        chunk = (np.int64(pfns[U(event)]) - layout.first_pfn) >> layout.chunk_shift
        next_use = np.int64(latest[U(chunk)]) - 1
        if next_use < 0:
            next_use = never_again
            never_again += 1
        latest[U(chunk)] = left
        left -= 1
        next_uses[U(left)] = next_use
    state.counts[COLD_FAULTS] += never_again - first
    marks[LEFT] = left
    marks[NEVER_AGAIN] += never_again - first


@kernel
def look_ahead(layout: Layout, state: State, pfns: Any, start: int, stop: int) -> None:
    """Note the next accesses of ``pfns[start:stop]``, which end where those noted before begin."""
    if len(state.latest) > BIG:
        note(layout, state, AHEAD, pfns, start, stop)
    else:
        note(layout, state, None, pfns, start, stop)


@kernel
def mark_upper(state: State, word: Any) -> None:
    """Say in the levels above that a word of `bits` is not 0."""
    offset, n_level = 0, len(state.bits)
    while n_level > 1:
        n_level = ((n_level - 1) >> 6) + 1
        bit = ONE << U(word & 63)
        word >>= 6
        before = state.upper[U(offset + word)]
        state.upper[U(offset + word)] = before | bit
        if before != 0:
            return
        offset += n_level


@kernel
def next_top(state: State, word: int) -> int:
    """Say in the levels above that the highest word is 0; return the highest word that is not.

    Climbs as long as words become 0, then descends along the highest bits. 0 if all are.
    """
    upper = state.upper
    offset, n_level, n_climbed = 0, len(state.bits), 0
    while n_level > 1:
        n_level = ((n_level - 1) >> 6) + 1
        bit = ONE << U(word & 63)
        word >>= 6
        n_climbed += 1
        upper[U(offset + word)] &= ~bit
        if upper[U(offset + word)] != 0:
            break
        offset += n_level
    if n_level == 1 and (n_climbed == 0 or upper[U(len(upper) - 1)] == 0):
        return 0
    while n_climbed > 0:
        word = (word << 6) + highest_bit(upper[U(offset + word)])
        n_climbed -= 1
        below = len(state.bits)  # size of the level that `offset` must start at next
        for _ in range(n_climbed):
            below = ((below - 1) >> 6) + 1
        offset -= below if n_climbed > 0 else 0
    return word


@kernel
def serve(layout: Layout, state: State, held: Any, pfns: Any, start: int, stop: int) -> None:
    """Replay events; words of `bits` are asked for AHEAD events early."""
    next_uses, bits, marks, counts = state.next_uses, state.bits, state.marks, state.counts
    top, resident = marks[TOP], counts[RESIDENT]
    first = marks[REPLAYED]
    end = first + stop - start
    n_faults, n_evicted, resident_sum = 0, 0, 0
    summed = first  # events before this one are in `resident_sum`
    event = first
    while event < end:
        prefetch(bits, np.int64(next_uses[U(min(event + AHEAD, end - 1))]) >> 6)
        if (bits[U(event >> 6)] >> U(event & 63)) & ONE == 0:
            n_faults += 1
            resident_sum += resident * (event - summed)
            summed = event
            if resident == layout.limit_chunks:
                bit = highest_bit(bits[U(top)])
                bits[U(top)] ^= ONE << U(bit)
                if held is not None:
                    unmap_chunk(layout, held, counts, np.int64(state.owners[(top << 6) + bit]))
                if bits[U(top)] == 0:
                    top = next_top(state, top)
                resident -= 1
                n_evicted += 1
            resident += 1
            if held is not None:
                pfn = np.int64(pfns[U(start + event - first)])
                map_chunk(layout, held, counts, (pfn - layout.first_pfn) >> layout.chunk_shift)
        next_use = np.int64(next_uses[U(event)])
        while next_use == event + 1 and next_use < end:  # a repeat
            event = next_use
            next_use = np.int64(next_uses[U(event)])
        if held is not None:
            pfn = np.int64(pfns[U(start + event - first)])
            state.owners[next_use] = (pfn - layout.first_pfn) >> layout.chunk_shift
        word = next_use >> 6
        if bits[U(word)] == 0:
            mark_upper(state, word)
        bits[U(word)] |= ONE << U(next_use & 63)
        top = max(top, word)
        event += 1
    counts[FAULTS] += n_faults
    counts[PASSES] += n_evicted
    counts[EVICTED_CHUNKS] += n_evicted
    counts[RESIDENT] = resident
    counts[PEAK_RESIDENT] = max(counts[PEAK_RESIDENT], resident)
    counts[RESIDENT_SUM] += resident_sum + resident * (end - summed)
    marks[REPLAYED], marks[TOP] = end, top


@kernel
def replay(layout: Layout, state: State, pfns: Any, start: int, stop: int) -> None:
    """Replay the lookups ``pfns[start:stop]``, which follow those replayed before."""
    serve(layout, state, state.windows, pfns, start, stop)
