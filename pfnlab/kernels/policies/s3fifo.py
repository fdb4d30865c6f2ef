"""S3-FIFO (Yang and others, SOSP 2023): a small FIFO filters what enters the main one.

A chunk enters the small queue, or the main one if the ghost queue remembers it. The tail of the
small queue moves to the main one if it was accessed twice there, else it is evicted and the ghost
queue remembers it. The tail of the main queue is reinserted, one access forgotten, until it has
none left. Accesses count up to 3. The small queue gets a tenth of the limit, rounded down but at
least one chunk.

Where the paper and its authors' simulator differ, `paper` says which rules hold:

* eviction: the paper's small queue, when a chunk that it passes on overfills the main queue,
  evicts from that too, and so one fault may evict several; the simulator never does;
* first fill: until something was evicted, what overflows the small queue enters it in the paper,
  and the main queue in the simulator;
* a fault: the paper makes room before it asks the ghost queue, which may forget the chunk by
  that; the simulator asks first;
* ghosts: as many as the main queue has places in the paper, 90 % rounded down in the simulator.

    table           dtype    length                starts as
    State.levels    uint8    chunks + 1            0; then GONE, SMALL or MAIN plus accesses
    State.ghosts    uint32   chunks + 1            0; then the place in the ghost log, 0 if in none
    State.small     uint32   limit                 anything
    State.main      uint32   limit                 anything
    State.log       uint32   >= 4 * ghosts + 64    anything; ghosts in order of arrival, from 1
    State.marks     int64    N_MARKS               sizes, rules; LAST_CHUNK -1, GHOST_* 1, else 0
    State.counts    int64    N_COUNTS              0

Precondition: ``batch_chunks`` is 1. Chunks count from 1 here.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.kernels.bits import prefetch
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
(
    SMALL_LIMIT,
    MAIN_LIMIT,
    GHOST_LIMIT,
    PAPER,  # 1: the paper's rules, 0: its authors' simulator's
    LAST_CHUNK,
    SMALL_TAIL,
    N_SMALL,
    MAIN_TAIL,
    N_MAIN,
    GHOST_TAIL,  # the oldest ghost is not before it
    GHOST_HEAD,
    N_GHOSTS,
    SINGLE_PASSES,  # those that evicted one chunk, not more
    N_MARKS,
) = range(14)

ACCESSES, GONE, SMALL, MAIN = 3, 4, 8, 16  # of a level: mask of the accesses, and the kinds


class State(NamedTuple):
    """All that changes during a replay."""

    levels: npt.NDArray[np.uint8]  # of each chunk: where it is, and its accesses
    ghosts: npt.NDArray[np.uint32]  # place of each chunk in the ghost log
    small: npt.NDArray[np.uint32]  # ring of chunks
    main: npt.NDArray[np.uint32]  # ring of chunks
    log: npt.NDArray[np.uint32]  # chunk of each place of the ghost log
    marks: npt.NDArray[np.int64]
    windows: Windows | None
    counts: npt.NDArray[np.int64]


def state(
    n_chunks: int,
    limit_chunks: int,
    window_shift: int = -1,
    *,
    empty: Empty = np.empty,
    paper: bool = True,
) -> State:
    """Return the state before the first event."""
    small_limit = max(1, limit_chunks // 10)
    main_limit = limit_chunks - small_limit
    ghost_limit = main_limit if paper else 9 * limit_chunks // 10
    places = min(limit_chunks, n_chunks)
    made = State(
        empty(n_chunks + 1, np.uint8),
        empty(n_chunks + 1, np.uint32),
        empty(places, np.uint32),
        empty(places, np.uint32),
        empty(4 * min(ghost_limit, n_chunks) + 64, np.uint32),
        np.zeros(N_MARKS, np.int64),
        windows(n_chunks, window_shift, empty),
        empty(N_COUNTS, np.int64),
    )
    made.marks[: PAPER + 1] = small_limit, main_limit, ghost_limit, paper
    reset(made)
    return made


def reset(state: State) -> None:
    """Put a used state back before the first event."""
    state.levels.fill(0)
    state.ghosts.fill(0)
    state.marks[LAST_CHUNK:] = -1, 0, 0, 0, 0, 1, 1, 0, 0
    state.counts.fill(0)
    clear_windows(state.windows)


@kernel
def wrapped(place: int, n_places: int) -> int:
    """Place in a ring, of one less than two rounds."""
    return place if place < n_places else place - n_places


@kernel
def squeeze_ghosts(state: State) -> None:
    """Close the gaps of a full ghost log."""
    ghosts, log, marks = state.ghosts, state.log, state.marks
    to = 1
    for place in range(marks[GHOST_TAIL], marks[GHOST_HEAD]):
        chunk = log[U(place)]
        if ghosts[U(chunk)] == place:
            log[U(to)] = chunk
            ghosts[U(chunk)] = to
            to += 1
    marks[GHOST_TAIL], marks[GHOST_HEAD] = 1, to


@kernel
def remember(state: State, chunk: Any) -> None:
    """Add a ghost; the oldest is forgotten if there are too many."""
    ghosts, log, marks = state.ghosts, state.log, state.marks
    if marks[GHOST_LIMIT] == 0:
        return
    if marks[N_GHOSTS] == marks[GHOST_LIMIT]:
        tail = marks[GHOST_TAIL]
        while ghosts[U(log[U(tail)])] != tail:
            tail += 1
        ghosts[U(log[U(tail)])] = 0
        marks[GHOST_TAIL] = tail + 1
        marks[N_GHOSTS] -= 1
    if marks[GHOST_HEAD] == len(log):
        squeeze_ghosts(state)
    log[U(marks[GHOST_HEAD])] = chunk
    ghosts[U(chunk)] = marks[GHOST_HEAD]
    marks[GHOST_HEAD] += 1
    marks[N_GHOSTS] += 1


@kernel
def recall(state: State, chunk: Any) -> Any:
    """Whether the chunk is a ghost; it is none any more."""
    was_ghost = state.ghosts[U(chunk)] != 0
    state.ghosts[U(chunk)] = 0
    state.marks[N_GHOSTS] -= int(was_ghost)
    return was_ghost


@kernel
def add_small(state: State, chunk: Any) -> None:
    """Put a chunk at the head of the small queue."""
    marks, small = state.marks, state.small
    small[U(wrapped(marks[SMALL_TAIL] + marks[N_SMALL], len(small)))] = chunk
    marks[N_SMALL] += 1
    state.levels[U(chunk)] = SMALL


@kernel
def add_main(state: State, chunk: Any, accesses: Any) -> None:
    """Put a chunk at the head of the main queue."""
    marks, main = state.marks, state.main
    main[U(wrapped(marks[MAIN_TAIL] + marks[N_MAIN], len(main)))] = chunk
    marks[N_MAIN] += 1
    state.levels[U(chunk)] = MAIN + accesses


@kernel
def drop(layout: Layout, state: State, held: Any, chunk: Any) -> None:
    """Evict a chunk that was taken out of its queue."""
    state.levels[U(chunk)] = GONE
    state.counts[RESIDENT] -= 1
    state.counts[EVICTED_CHUNKS] += 1
    if held is not None:
        unmap_chunk(layout, held, state.counts, chunk - 1)


@kernel
def evict_main(layout: Layout, state: State, held: Any) -> None:
    """Evict one chunk from the main queue, if it has any."""
    marks, main = state.marks, state.main
    while marks[N_MAIN] > 0:
        chunk = np.int64(main[U(marks[MAIN_TAIL])])
        marks[MAIN_TAIL] = wrapped(marks[MAIN_TAIL] + 1, len(main))
        marks[N_MAIN] -= 1
        accesses = np.int64(state.levels[U(chunk)]) & ACCESSES
        if accesses == 0:
            drop(layout, state, held, chunk)
            return
        add_main(state, chunk, accesses - 1)


@kernel
def evict_small(layout: Layout, state: State, held: Any) -> None:
    """Pass chunks on to the main queue, up to one to evict."""
    marks, small = state.marks, state.small
    while marks[N_SMALL] > 0:
        chunk = np.int64(small[U(marks[SMALL_TAIL])])
        marks[SMALL_TAIL] = wrapped(marks[SMALL_TAIL] + 1, len(small))
        marks[N_SMALL] -= 1
        if state.levels[U(chunk)] & ACCESSES < 2:
            drop(layout, state, held, chunk)
            remember(state, chunk)
            return
        add_main(state, chunk, 0)
        if marks[PAPER] != 0 and marks[N_MAIN] > marks[MAIN_LIMIT]:
            evict_main(layout, state, held)


@kernel
def fault(layout: Layout, state: State, held: Any, chunk: Any) -> None:
    """Make room for a chunk that is not resident, and let it in."""
    marks, counts = state.marks, state.counts
    paper = marks[PAPER] != 0
    was_ghost = False
    if not paper:
        was_ghost = recall(state, chunk)
    evicted = counts[EVICTED_CHUNKS]
    counts[PASSES] += int(counts[RESIDENT] == layout.limit_chunks)
    while counts[RESIDENT] == layout.limit_chunks:
        from_small = marks[N_MAIN] <= marks[MAIN_LIMIT]
        if paper:
            from_small = marks[N_SMALL] >= marks[SMALL_LIMIT]
        if (from_small and marks[N_SMALL] > 0) or marks[N_MAIN] == 0:
            evict_small(layout, state, held)
        else:
            evict_main(layout, state, held)
    marks[SINGLE_PASSES] += int(counts[EVICTED_CHUNKS] == evicted + 1)
    if paper:
        was_ghost = recall(state, chunk)
    first_fill = not paper and counts[EVICTED_CHUNKS] == 0
    if was_ghost or (first_fill and marks[N_SMALL] >= marks[SMALL_LIMIT]):
        add_main(state, chunk, 0)
    else:
        add_small(state, chunk)
    counts[RESIDENT] += 1
    counts[PEAK_RESIDENT] = max(counts[PEAK_RESIDENT], counts[RESIDENT])
    if held is not None:
        map_chunk(layout, held, counts, chunk - 1)


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

    Unless `runs` is None, repeats are looked for and skipped.
    """
    levels, marks, counts = state.levels, state.marks, state.counts
    last_chunk = marks[LAST_CHUNK]
    summed = start  # events before this one are in RESIDENT_SUM
    base = layout.first_pfn - (1 << layout.chunk_shift)
    chunk = last_chunk
    event = start
    while event < stop:
        if ahead is not None:
            soon = np.int64(pfns[U(min(event + ahead, stop - 1))]) - base
            prefetch(levels, soon >> layout.chunk_shift)
            prefetch(state.ghosts, soon >> layout.chunk_shift)
        chunk = (np.int64(pfns[U(event)]) - base) >> layout.chunk_shift
        event += 1
        level = np.int64(levels[U(chunk)])
        if level >= SMALL:
            n_accesses: Any = 1
            if runs is not None:
                if chunk == last_chunk:
                    n_accesses -= event
                    event = next_elsewhere(layout, pfns, event, stop, chunk - 1)
                    n_accesses += event
                last_chunk = chunk
            levels[U(chunk)] = level + min(n_accesses, ACCESSES - (level & ACCESSES))
            continue
        if runs is not None:
            last_chunk = chunk
        counts[FAULTS] += 1
        counts[COLD_FAULTS] += int(level == 0)
        counts[RESIDENT_SUM] += counts[RESIDENT] * (event - 1 - summed)
        summed = event - 1
        fault(layout, state, held, chunk)
    counts[RESIDENT_SUM] += counts[RESIDENT] * (stop - summed)
    marks[LAST_CHUNK] = chunk


@kernel
def replay(layout: Layout, state: State, pfns: Any, start: int, stop: int) -> None:
    """Replay the lookups ``pfns[start:stop]``."""
    held = state.windows
    if runs_long(layout, pfns, start, stop):
        serve(layout, state, held, True, None, pfns, start, stop)
    elif len(state.levels) > BIG:
        serve(layout, state, held, None, AHEAD, pfns, start, stop)
    else:
        serve(layout, state, held, None, None, pfns, start, stop)
