"""LRU for all thresholds in one pass: the distribution of stack distances (Mattson, 1970).

The stack distance of an access is the number of chunks accessed since this chunk's last access,
itself included: a hit for thresholds of at least so many chunks. Accesses get places in a log;
a place is alive while it is its chunk's last, and the distance is the number of places alive from
the old one on. They are counted by a bit a place and a binary tree over words of 64: one walk from
the word to the root adds up what is alive to the right and takes the old place out, 9 steps for
8192 chunks, whose addresses are known at once.

    table             dtype    length                     starts as
    State.last        int32    chunks                     -1
    State.log         int32    places                     anything; >= 4 * touched chunks or 64
    State.alive       uint64   words: places / 64         all ones: a place not given yet is alive
    State.sums        int32    2 * words                  64 a leaf; node n holds 2n and 2n + 1
    State.distances   int64    chunks + 1                 0; number of accesses at each distance
    State.fills       int64    chunks + 1                 0; events with so many chunks touched
    State.marks       int64    N_MARKS                    HEAD 0, LAST_CHUNK -1, TOUCHED 0

A threshold of C chunks, batch 1, has ``TOUCHED + sum(distances[C + 1:])`` faults, as many less
``min(C, TOUCHED)`` evictions, and ``sum(min(C, n) * fills[n])`` as its resident sum.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.kernels.bits import popcount, prefetch
from pfnlab.kernels.compiled import kernel
from pfnlab.kernels.policies.shared import AHEAD, BIG, Empty, Layout, U, next_elsewhere

# Places in `State.marks`.
HEAD, LAST_CHUNK, TOUCHED, N_MARKS = range(4)

ONE, ONES = np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF)


class State(NamedTuple):
    """All that changes during a replay."""

    last: npt.NDArray[np.int32]  # place of each chunk's last access
    log: npt.NDArray[np.int32]  # chunk of each place
    alive: npt.NDArray[np.uint64]  # a bit a place: is it still its chunk's last?
    sums: npt.NDArray[np.int32]  # tree of the places alive
    distances: npt.NDArray[np.int64]
    fills: npt.NDArray[np.int64]
    marks: npt.NDArray[np.int64]


def state(n_chunks: int, n_touched: int | None = None, *, empty: Empty = np.empty) -> State:
    """Return the state before the first event; `n_touched` bounds the chunks that events touch."""
    most = min(n_chunks, n_touched or n_chunks)
    n_places = 1 << max(7, (4 * most - 1).bit_length())
    made = State(
        empty(n_chunks, np.int32),
        empty(n_places, np.int32),
        empty(n_places >> 6, np.uint64),
        empty(n_places >> 5, np.int32),
        empty(most + 1, np.int64),
        empty(most + 1, np.int64),
        empty(N_MARKS, np.int64),
    )
    reset(made)
    return made


def reset(state: State) -> None:
    """Put a used state back before the first event."""
    state.last.fill(-1)
    state.distances.fill(0)
    state.fills.fill(0)
    state.marks[:] = 0, -1, 0
    fill_tree(state)


def fill_tree(state: State) -> None:
    """Make all places alive."""
    n_words = len(state.alive)
    state.alive.fill(ONES)
    for depth in range(n_words.bit_length()):
        state.sums[1 << depth : 2 << depth] = 64 * (n_words >> depth)


@kernel
def squeeze(state: State) -> None:
    """Close the gaps of a full log."""
    last, log, alive, sums = state.last, state.log, state.alive, state.sums
    to = 0
    for place in range(len(log)):
        chunk = log[U(place)]
        if last[U(chunk)] == place:
            log[U(to)] = chunk
            last[U(chunk)] = to
            to += 1
    state.marks[HEAD] = to
    n_words = len(alive)
    for word in range(n_words):
        alive[U(word)] = ONES
        sums[U(n_words + word)] = 64
    for node in range(n_words - 1, 0, -1):
        sums[U(node)] = sums[U(2 * node)] + sums[U(2 * node + 1)]


@kernel
def serve(layout: Layout, state: State, ahead: Any, pfns: Any, start: int, stop: int) -> None:
    """Measure events; lines of the table are asked for `ahead` events early, or not if None."""
    last, log, alive, sums, marks = state.last, state.log, state.alive, state.sums, state.marks
    n_words, n_places = len(alive), len(log)
    head, last_chunk, touched = marks[HEAD], marks[LAST_CHUNK], marks[TOUCHED]
    n_repeats = 0
    summed = start  # events before this one are in `fills`
    event = start
    while event < stop:
        if ahead is not None:
            soon = np.int64(pfns[U(min(event + ahead, stop - 1))]) - layout.first_pfn
            prefetch(last, soon >> layout.chunk_shift)
        chunk = (np.int64(pfns[U(event)]) - layout.first_pfn) >> layout.chunk_shift
        event += 1
        if chunk == last_chunk:
            n_repeats -= event - 1
            event = next_elsewhere(layout, pfns, event, stop, chunk)
            n_repeats += event
            continue
        last_chunk = chunk
        old = np.int64(last[U(chunk)])
        last[U(chunk)] = head
        log[U(head)] = chunk
        head += 1
        if old < 0:
            state.fills[touched] += event - 1 - summed
            summed = event - 1
            touched += 1
        else:
            node = n_words + (old >> 6)
            right = alive[U(old >> 6)] >> U(old & 63)
            alive[U(old >> 6)] ^= ONE << U(old & 63)
            distance = popcount(right) + head - 1 - n_places  # less the places not given yet
            while node > 1:
                sums[U(node)] -= 1
                # The sibling, if it is to the right.
                distance += np.int64(sums[U(node | 1)]) & ((node & 1) - 1)
                node >>= 1
            state.distances[distance] += 1
        if head == n_places:
            marks[HEAD] = head
            squeeze(state)
            head = marks[HEAD]
    state.fills[touched] += stop - summed
    state.distances[1] += n_repeats
    marks[HEAD], marks[LAST_CHUNK], marks[TOUCHED] = head, last_chunk, touched


@kernel
def replay(layout: Layout, state: State, pfns: Any, start: int, stop: int) -> None:
    """Measure the lookups ``pfns[start:stop]``; of the layout only the translation counts."""
    if len(state.last) > BIG:
        serve(layout, state, AHEAD, pfns, start, stop)
    else:
        serve(layout, state, None, pfns, start, stop)
