"""LRU: the victim is the chunk whose last access is longest ago.

Every access that leaves the chunk of the access before gets a stamp, one more than the last. A
ring remembers the chunk of each stamp and has a bit that says whether the stamp is still its
chunk's last. `tail` is the oldest such stamp of a resident chunk, so a chunk is resident iff
``last[chunk] >= tail``: a hit is one table entry and two bits, and there are no links to mend.

    table           dtype    length             starts as
    State.last      uint32   chunks             0 (never accessed)
    State.log       uint32   a power of two     anything
    State.alive     uint64   len(log) / 64      anything
    State.marks     int64    N_MARKS            HEAD, TAIL 64; LAST_CHUNK -1; STAMP_LIMIT >= 4 logs
    State.counts    int64    N_COUNTS           0

The log is at least 4 times the limit, so that squeezing the dead stamps out of it costs less than
one step an access.
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
HEAD, TAIL, LAST_CHUNK, STAMP_LIMIT, N_MARKS = range(5)

ONE, ONES = np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF)


class State(NamedTuple):
    """All that changes during a replay."""

    last: npt.NDArray[np.uint32]  # stamp of each chunk's last access
    log: npt.NDArray[np.uint32]  # chunk of each stamp, by the stamp's low bits
    alive: npt.NDArray[np.uint64]  # a bit a stamp: is it still its chunk's last?
    marks: npt.NDArray[np.int64]
    windows: Windows | None
    counts: npt.NDArray[np.int64]


def state(
    n_chunks: int,
    limit_chunks: int,
    window_shift: int = -1,
    stamp_limit: int = 2**32 - 64,
    *,
    empty: Empty = np.empty,
) -> State:
    """Return the state before the first event."""
    n_stamps = 1 << max(8, (4 * min(limit_chunks, n_chunks) - 1).bit_length())
    made = State(
        empty(n_chunks, np.uint32),
        empty(n_stamps, np.uint32),
        empty(n_stamps >> 6, np.uint64),
        np.array([0, 0, 0, stamp_limit], np.int64),
        windows(n_chunks, window_shift, empty),
        empty(N_COUNTS, np.int64),
    )
    reset(made)
    return made


def reset(state: State) -> None:
    """Put a used state back before the first event."""
    state.last.fill(0)
    state.marks[:STAMP_LIMIT] = 64, 64, -1
    state.counts.fill(0)
    clear_windows(state.windows)


@kernel
def next_alive(alive: npt.NDArray[np.uint64], stamp: int) -> int:
    """First stamp from `stamp` on that is alive; those not given yet count as alive."""
    mask = len(alive) - 1
    bits = alive[U((stamp >> 6) & mask)] >> U(stamp & 63)
    while bits == 0:
        stamp = (stamp | 63) + 1
        bits = alive[U((stamp >> 6) & mask)]
    return stamp + lowest_bit(bits)


@kernel
def open_word(state: State) -> None:
    """Make the 64 stamps from HEAD on usable, with room in the log and below STAMP_LIMIT."""
    marks = state.marks
    if marks[HEAD] - marks[TAIL] > len(state.log) - 64:
        squeeze(state)
    if marks[HEAD] >= marks[STAMP_LIMIT]:
        renumber(state)
    state.alive[U((marks[HEAD] >> 6) & (len(state.alive) - 1))] = ONES


@kernel
def squeeze(state: State) -> None:
    """Move the living stamps up to HEAD, in their order."""
    last, log, marks = state.last, state.log, state.marks
    mask = len(log) - 1
    to = marks[HEAD] - 1
    for stamp in range(marks[HEAD] - 1, marks[TAIL] - 1, -1):
        # Branch-free: a dead stamp's chunk is written too, and overwritten by the next living one.
        chunk = log[U(stamp & mask)]
        living = last[U(chunk)] == stamp
        log[U(to & mask)] = chunk
        last[U(chunk)] = to if living else last[U(chunk)]
        to -= int(living)
    marks[TAIL] = to + 1
    for word in range(marks[TAIL] >> 6, marks[HEAD] >> 6):
        state.alive[U(word & (len(state.alive) - 1))] = ONES


@kernel
def renumber(state: State) -> None:
    """Lower all stamps by a whole number of logs; a chunk evicted long ago keeps stamp 1."""
    marks = state.marks
    base = (marks[TAIL] - 2) // len(state.log) * len(state.log)
    for chunk in range(len(state.last)):
        stamp = np.int64(state.last[U(chunk)])
        state.last[U(chunk)] = max(stamp - base, min(stamp, 1))
    marks[HEAD] -= base
    marks[TAIL] -= base


@kernel
def reclaim(layout: Layout, state: State, held: Any, head: int, tail: int) -> int:
    """One pass: evict the least recently accessed; return the new tail."""
    counts = state.counts
    n_evicted = 0
    while counts[RESIDENT] > 0 and (
        counts[RESIDENT] + 1 > layout.limit_chunks or n_evicted < layout.batch_chunks
    ):
        if held is not None:
            unmap_chunk(layout, held, counts, np.int64(state.log[U(tail & (len(state.log) - 1))]))
        counts[RESIDENT] -= 1
        n_evicted += 1
        tail = min(next_alive(state.alive, tail + 1), head)
    counts[PASSES] += 1
    counts[EVICTED_CHUNKS] += n_evicted
    return tail


@kernel
def fill(
    layout: Layout, state: State, held: Any, pfns: Any, start: int, stop: int, stop_full: bool
) -> int:
    """Replay events with any batch, if `stop_full` only up to the event that fills the limit.

    Returns the first event not replayed.
    """
    last, log, alive, marks, counts = state.last, state.log, state.alive, state.marks, state.counts
    mask = len(log) - 1
    head, tail, last_chunk = marks[HEAD], marks[TAIL], marks[LAST_CHUNK]
    summed = start  # events before this one are in RESIDENT_SUM
    for event in range(start, stop):
        chunk = (np.int64(pfns[U(event)]) - layout.first_pfn) >> layout.chunk_shift
        if chunk == last_chunk:
            continue
        last_chunk = chunk
        if head & 63 == 0:
            marks[HEAD], marks[TAIL] = head, tail
            open_word(state)
            head, tail = marks[HEAD], marks[TAIL]
        old = np.int64(last[U(chunk)])
        last[U(chunk)] = head
        log[U(head & mask)] = chunk
        head += 1
        if old >= tail:
            alive[U((old & mask) >> 6)] &= ~(U(1) << U(old & 63))
            if old == tail:
                tail = next_alive(alive, tail)
            continue
        counts[RESIDENT_SUM] += counts[RESIDENT] * (event - summed)
        summed = event
        counts[FAULTS] += 1
        counts[COLD_FAULTS] += int(old == 0)
        if counts[RESIDENT] + 1 > layout.limit_chunks:
            tail = reclaim(layout, state, held, head - 1, tail)
        if held is not None:
            map_chunk(layout, held, counts, chunk)
        counts[RESIDENT] += 1
        counts[PEAK_RESIDENT] = max(counts[PEAK_RESIDENT], counts[RESIDENT])
        if stop_full and counts[RESIDENT] == layout.limit_chunks:
            stop = event + 1
            break
    counts[RESIDENT_SUM] += counts[RESIDENT] * (stop - summed)
    marks[HEAD], marks[TAIL], marks[LAST_CHUNK] = head, tail, last_chunk
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
    """Replay events from a full threshold on with batch 1: each fault evicts one chunk.

    Branch-free, because where it matters hits are as unpredictable as faults. The tail's word of
    `alive` is kept in a local, less what is older than the tail, because the way through memory
    took 16 cycles an access. Lines of the table are asked for `ahead` events early, or not at all
    if that is None.
    """
    last, log, alive, marks, counts = state.last, state.log, state.alive, state.marks, state.counts
    mask = len(log) - 1
    head, tail, last_chunk = marks[HEAD], marks[TAIL], marks[LAST_CHUNK]
    chunk = last_chunk
    bits = alive[U((tail & mask) >> 6)] & (ONES << U(tail & 63))
    first_stamp = tail & ~63  # of `bits`
    n_faults, n_cold = 0, 0
    event = start - 1
    while event + 1 < stop:
        event += 1
        if ahead is not None:
            soon = np.int64(pfns[U(min(event + ahead, stop - 1))]) - layout.first_pfn
            prefetch(last, soon >> layout.chunk_shift)
        chunk = (np.int64(pfns[U(event)]) - layout.first_pfn) >> layout.chunk_shift
        if runs is not None:
            if chunk == last_chunk:
                event = next_elsewhere(layout, pfns, event, stop, chunk) - 1
                continue
            last_chunk = chunk
        if head & 63 == 0:
            marks[HEAD], marks[TAIL] = head, first_stamp + lowest_bit(bits)
            open_word(state)
            head, tail = marks[HEAD], marks[TAIL]
            bits = alive[U((tail & mask) >> 6)] & (ONES << U(tail & 63))
            first_stamp = tail & ~63
        old = np.int64(last[U(chunk)])
        tail = first_stamp + lowest_bit(bits)
        fault = old < tail
        last[U(chunk)] = head
        if held is not None and fault:
            unmap_chunk(layout, held, counts, np.int64(log[U(tail & mask)]))
            map_chunk(layout, held, counts, chunk)
        log[U(head & mask)] = chunk
        head += 1
        n_faults += int(fault)
        n_cold += int(old == 0)
        alive[U((old & mask) >> 6)] &= ~(U(not fault) << U(old & 63))
        moved = U(old & ~63 == first_stamp) << U(old & 63)
        bits &= (bits - ONE) if fault else ~moved
        while bits == 0:
            first_stamp += 64
            bits = alive[U((first_stamp & mask) >> 6)]
    counts[FAULTS] += n_faults
    counts[COLD_FAULTS] += n_cold
    counts[PASSES] += n_faults
    counts[EVICTED_CHUNKS] += n_faults
    counts[RESIDENT_SUM] += layout.limit_chunks * (stop - start)
    marks[HEAD], marks[TAIL] = head, first_stamp + lowest_bit(bits)
    marks[LAST_CHUNK] = chunk


@kernel
def replay(layout: Layout, state: State, pfns: Any, start: int, stop: int) -> None:
    """Replay the lookups ``pfns[start:stop]``."""
    held = state.windows
    one = layout.batch_chunks == 1
    if not one or state.counts[RESIDENT] < layout.limit_chunks:
        start = fill(layout, state, held, pfns, start, stop, one)
    if start == stop:
        return
    if runs_long(layout, pfns, start, stop):
        turn_over(layout, state, held, True, None, pfns, start, stop)
    elif len(state.last) > BIG:
        turn_over(layout, state, held, None, AHEAD, pfns, start, stop)
    else:
        turn_over(layout, state, held, None, None, pfns, start, stop)
