"""OPT (Belady's MIN): the victim is the chunk whose next access is farthest off.

`look_ahead` walks the trace backwards and notes the next access of every event's chunk. A chunk
that is never accessed again gets a place behind the trace's end, so that of several such the one
goes first whose last access is longest ago. In the replay a resident chunk is one bit at the
place of its next access: an event is a hit iff its own bit is set, and the victim is the highest
bit, found through three levels that say which words below are not 0. Bits behind the replay are
never looked at again.

    table             dtype            length                   starts as
    State.next_uses   uint32 or int64  events                   anything
    State.latest      as next_uses     chunks                   0; then 1 + event, from the end
    State.bits        uint64           places / 64, up          0; places: events + chunks touched
    State.words       uint64           places / 2**12, up       0
    State.blocks      uint64           places / 2**18, up       0
    State.spans       uint64           places / 2**24, up       0
    State.owners      uint32           places, or 0             chunk of each place, with windows
    State.marks       int64            N_MARKS                  N_EVENTS, LEFT events; else 0
    State.counts      int64            N_COUNTS                 0

Preconditions: ``batch_chunks`` is 1; `look_ahead` was given all events, the last piece first,
before `replay` is given the first piece. `look_ahead` counts all COLD_FAULTS.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.kernels.bits import highest_bit, prefetch
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
    words: npt.NDArray[np.uint64]  # a bit a word of `bits`: is it not 0?
    blocks: npt.NDArray[np.uint64]  # the same of `words`
    spans: npt.NDArray[np.uint64]  # the same of `blocks`
    owners: npt.NDArray[np.uint32]  # chunk that waits at each place, with windows only
    marks: npt.NDArray[np.int64]
    windows: Windows | None
    counts: npt.NDArray[np.int64]


def state(
    n_chunks: int,
    limit_chunks: int,
    window_shift: int = -1,
    *,
    empty: Empty = np.empty,
    n_events: int,
) -> State:
    """Return the state before the first event of `n_events`; the limit does not change its size."""
    n_places = n_events + min(n_chunks, n_events) + 1
    dtype = np.uint32 if n_places < 2**32 else np.int64
    made = State(
        empty(n_events, dtype),
        empty(n_chunks, dtype),
        empty((n_places >> 6) + 1, np.uint64),
        empty((n_places >> 12) + 1, np.uint64),
        empty((n_places >> 18) + 1, np.uint64),
        empty((n_places >> 24) + 1, np.uint64),
        empty(n_places if window_shift >= 0 else 0, np.uint32),
        empty(N_MARKS, np.int64),
        windows(n_chunks, window_shift, empty),
        empty(N_COUNTS, np.int64),
    )
    made.marks[N_EVENTS] = n_events
    reset(made)
    return made


def reset(state: State) -> None:
    """Put a used state back before the first event."""
    state.latest.fill(0)
    for level in (state.bits, state.words, state.blocks, state.spans):
        level.fill(0)
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
def wait_at(state: State, place: Any) -> None:
    """Set the bit of a place, and say so in all the levels above: no branch to guess wrong."""
    state.bits[U(place >> 6)] |= ONE << U(place & 63)
    state.words[U(place >> 12)] |= ONE << U((place >> 6) & 63)
    state.blocks[U(place >> 18)] |= ONE << U((place >> 12) & 63)
    state.spans[U(place >> 24)] |= ONE << U((place >> 18) & 63)


@kernel
def take_farthest(state: State, top: int) -> int:
    """Clear the highest bit in the highest block that is not empty, `top`; return its place."""
    bits, words, blocks = state.bits, state.words, state.blocks
    block = (top << 6) + highest_bit(blocks[U(top)])
    word = (block << 6) + highest_bit(words[U(block)])
    bit = highest_bit(bits[U(word)])
    bits[U(word)] ^= ONE << U(bit)
    words[U(block)] ^= U(bits[U(word)] == 0) << U(word & 63)
    blocks[U(top)] ^= U(words[U(block)] == 0) << U(block & 63)
    return (word << 6) + bit


@kernel
def next_top(state: State, top: int) -> int:
    """Say that the block of blocks `top` is empty; return the highest that is not, or 0."""
    state.spans[U(top >> 6)] &= ~(ONE << U(top & 63))
    for span in range(top >> 6, -1, -1):
        if state.spans[U(span)] != 0:
            return (span << 6) + highest_bit(state.spans[U(span)])
    return 0


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
                place = take_farthest(state, top)
                if held is not None:
                    unmap_chunk(layout, held, counts, np.int64(state.owners[U(place)]))
                if state.blocks[U(top)] == 0:
                    top = next_top(state, top)
                resident -= 1
                n_evicted += 1
            resident += 1
            if held is not None:
                pfn = np.int64(pfns[U(start + event - first)])
                map_chunk(layout, held, counts, (pfn - layout.first_pfn) >> layout.chunk_shift)
        next_use = np.int64(next_uses[U(event)])
        while next_use == event + 1 and next_use < end:  # a repeat
            event += 1  # not `next_use`, which would wait for memory
            next_use = np.int64(next_uses[U(event)])
        if held is not None:
            pfn = np.int64(pfns[U(start + event - first)])
            state.owners[U(next_use)] = (pfn - layout.first_pfn) >> layout.chunk_shift
        wait_at(state, next_use)
        top = max(top, next_use >> 18)
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
