"""LRA where a chunk is one granule and nothing is pinned: a chunk knows when it will be gone.

Faults are numbered from 1. With C chunks at most resident and k = min(batch, C) unmapped by a pass,
the first pass comes with fault C + 1, each later one k faults on, and each takes the k oldest. So
a chunk populated by fault s is gone with fault ``C + 1 + k * ((s - 1) // k)``. That number is all
that is kept of it, 0 standing for never populated: a hit is a comparison with the faults so far,
and a fault is one store to the line just loaded. There is no queue and no victim.

A replay has two parts: `warm_up` until C chunks are resident, then pieces of `steady` (any misses)
or `rare` (so few that a branch is well predicted).

What the faults of a piece populate is left in ``State.missed`` where asked for; `follow` counts
from it the 2 MiB windows that hold a resident granule.

Preconditions: every pfn lies in the region, all arrays start zeroed, `fresh` was called, `log` is a
power of two of at least C elements, `missed` is as long as the longest piece if it is written, and
faults + C + k never pass what `gone` can hold: `renumber` starts over below that.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.kernels.bits import prefetch
from pfnlab.kernels.compiled import kernel
from pfnlab.kernels.policies.shared import next_elsewhere

U = np.uint64
ZERO, ONE, AHEAD = U(0), U(1), U(64)

# Places in `State.counts`.
(
    FAULTS,  # since `renumber` last started over
    RENUMBERED,  # faults before that
    NEXT_GONE,  # number of the fault that will unmap what the next fault populates
    LEFT,  # faults for which it stays that number
    RESIDENT,
    RESIDENT_SUM,  # of the resident chunks after each event
    WINDOWS,  # of page tables, that hold a resident granule now
    PEAK_WINDOWS,
    FOLLOWED,  # faults that `follow` has seen
    UNMAPPED,  # of them, those whose chunk is gone
    N_COUNTS,
) = range(11)


class Layout(NamedTuple):
    """Sizes that stay as they are; shifts are log2."""

    first_pfn: int
    chunk_shift: int  # of pfns in a chunk
    window_shift: int  # of chunks in a 2 MiB window
    limit_chunks: int  # C
    batch_chunks: int  # k


class State(NamedTuple):
    """All that changes during a replay."""

    gone: npt.NDArray[Any]  # uint32, a chunk and one: number of the fault that unmaps it
    missed: npt.NDArray[np.int64]  # chunks that the faults of a piece populated
    last: npt.NDArray[np.int64]  # a window: number of the last fault in it
    log: npt.NDArray[np.int32]  # a ring: the windows of the latest faults
    counts: npt.NDArray[np.int64]


@kernel
def fresh(layout: Layout, state: State) -> None:
    """Set what does not start at 0."""
    state.counts[NEXT_GONE] = layout.limit_chunks + 1
    state.counts[LEFT] = layout.batch_chunks


@kernel
def warm_up(layout: Layout, state: State, pfns: Any, start: int, stop: int) -> int:
    """Replay events from `start` on until C chunks are resident; return where it stopped."""
    counts, gone = state.counts, state.gone
    first, shift = U(layout.first_pfn), U(layout.chunk_shift)
    faults, left, next_gone = counts[FAULTS], counts[LEFT], counts[NEXT_GONE]
    before, summed = faults, start
    for event in range(start, stop):
        chunk = (U(pfns[event]) - first) >> shift
        if gone[chunk] == 0:
            if faults == layout.limit_chunks:
                stop = event
                break
            counts[RESIDENT_SUM] += faults * (event - summed)
            summed = event
            if len(state.missed):
                state.missed[faults - before] = chunk
            gone[chunk] = next_gone
            faults += 1
            left -= 1
            if left == 0:
                left, next_gone = layout.batch_chunks, next_gone + layout.batch_chunks
    counts[RESIDENT_SUM] += faults * (stop - summed)
    counts[FAULTS], counts[LEFT], counts[NEXT_GONE] = faults, left, next_gone
    counts[RESIDENT] = faults
    return stop


@kernel
def steady(
    layout: Layout,
    state: State,
    batched: Any,
    follows: Any,
    ahead: Any,
    spares: Any,
    pfns: Any,
    start: int,
    stop: int,
) -> int:
    """Replay events ``[start, stop)`` without a branch; return the number of faults.

    `batched` is None where k is 1, so that the resident chunks stay C; `follows` is None where
    `missed` need not be written; `ahead` is None where `gone` fits L2, else its lines are fetched
    64 events ahead (4 times as fast on 4 million chunks). A hit stores what was there, on which
    the next access to the chunk would wait; unless `spares` is None it stores to the last element
    of `gone`, which no chunk has (an eighth faster where one in three misses, an eighth slower
    where nearly all do). Each None compiles a loop without.
    Everything is unsigned: numba looks whether a signed index is negative (a fifth of the time),
    and an unsigned comparison is added to the faults by one instruction.
    """
    counts, gone = state.counts, state.gone
    first, shift, limit = U(layout.first_pfn), U(layout.chunk_shift), U(layout.limit_chunks)
    batch, left, next_gone = U(layout.batch_chunks), U(counts[LEFT]), U(counts[NEXT_GONE])
    resident, resident_sum = U(counts[RESIDENT]), ZERO
    faults = before = U(counts[FAULTS])
    latest, spare = U(stop) - ONE, U(len(gone) - 1)
    for event in range(U(start), U(stop)):
        if ahead is not None:
            prefetch(gone, np.int64((U(pfns[min(event + AHEAD, latest)]) - first) >> shift))
        chunk = (U(pfns[event]) - first) >> shift
        then = U(gone[chunk])
        miss = then <= faults
        if follows is not None:
            state.missed[faults - before] = np.int64(chunk)
        faults += U(miss)
        later = faults + limit if batched is None else next_gone
        if spares is None:
            gone[chunk] = later if miss else then
        else:
            gone[chunk if miss else spare] = later
        if batched is not None:
            left -= U(miss)
            turn = batch if left == ZERO else ZERO
            left += turn
            next_gone += turn
            resident += U(miss)
            resident -= batch if resident > limit else ZERO
            resident_sum += resident
    if batched is None:
        next_gone += faults - before
        resident_sum = limit * (U(stop) - U(start))
    counts[FAULTS], counts[LEFT], counts[NEXT_GONE] = faults, left, next_gone
    counts[RESIDENT] = resident
    counts[RESIDENT_SUM] += np.int64(resident_sum)
    return np.int64(faults - before)  # type: ignore[return-value]


@kernel
def rare(
    layout: Layout,
    state: State,
    batched: Any,
    follows: Any,
    ahead: Any,
    spares: Any,
    pfns: Any,
    start: int,
    stop: int,
) -> int:
    """Do what `steady` does, with a branch, and skip runs 16 events a step.

    Three times as fast as `steady` on long sequential runs, and as `np.sum` of their uint64s.
    """
    counts, gone = state.counts, state.gone
    first, shift, limit = layout.first_pfn, layout.chunk_shift, U(layout.limit_chunks)
    faults = before = U(counts[FAULTS])
    summed: Any = U(start)
    event: Any = start
    last_chunk: Any = -1
    while event < stop:
        if ahead is not None:
            prefetch(gone, (np.int64(pfns[U(min(event + 64, stop - 1))]) - first) >> shift)
        chunk = (np.int64(pfns[U(event)]) - first) >> shift
        if U(gone[U(chunk)]) <= faults:
            if follows is not None:
                state.missed[faults - before] = chunk
            faults += ONE
            if batched is None:
                gone[U(chunk)] = faults + limit
            else:
                summed = fault_in_batches(layout, state, chunk, U(event), summed)
            event += 1
        elif chunk == last_chunk:
            event = next_elsewhere(layout, pfns, event + 1, stop, chunk)
        else:
            event += 1
        last_chunk = chunk
    if batched is None:
        counts[NEXT_GONE] += np.int64(faults - before)
    counts[RESIDENT_SUM] += counts[RESIDENT] * np.int64(U(stop) - summed)
    counts[FAULTS] = faults
    return np.int64(faults - before)  # type: ignore[return-value]


@kernel
def fault_in_batches(layout: Layout, state: State, chunk: Any, event: Any, summed: Any) -> Any:
    """Populate a chunk where a pass takes k; return the event up to which residents are summed."""
    counts = state.counts
    state.gone[chunk] = counts[NEXT_GONE]
    counts[LEFT] -= 1
    if counts[LEFT] == 0:
        counts[LEFT] = layout.batch_chunks
        counts[NEXT_GONE] += layout.batch_chunks
    counts[RESIDENT_SUM] += counts[RESIDENT] * np.int64(event - summed)
    counts[RESIDENT] += 1
    if counts[RESIDENT] > layout.limit_chunks:
        counts[RESIDENT] -= layout.batch_chunks
    return event


@kernel
def follow(layout: Layout, state: State, n_missed: int) -> None:
    """Count windows over the first `n_missed` faults of ``State.missed``, the next in order.

    A window is alive while the last fault in it is, so a pass need not know its other granules.
    """
    counts, last, log = state.counts, state.last, state.log
    limit, batch, mask = layout.limit_chunks, layout.batch_chunks, len(log) - 1
    windows, peak = counts[WINDOWS], counts[PEAK_WINDOWS]
    number, unmapped = counts[FOLLOWED], counts[UNMAPPED]
    for index in range(n_missed):
        window = state.missed[index] >> layout.window_shift
        number += 1
        if number - unmapped > limit:
            for gone in range(unmapped + 1, unmapped + 1 + batch):
                windows -= last[log[(gone - 1) & mask]] == gone
            unmapped += batch
        windows += last[window] <= unmapped
        last[window] = number
        log[(number - 1) & mask] = window
        peak = max(peak, windows)
    counts[WINDOWS], counts[PEAK_WINDOWS] = windows, peak
    counts[FOLLOWED], counts[UNMAPPED] = number, unmapped


@kernel
def renumber(state: State) -> None:
    """Start the numbers of faults over at 1: what is gone stays gone, what is resident resident."""
    counts, gone = state.counts, state.gone
    before = counts[FAULTS] - 1
    for chunk in range(len(gone)):
        if gone[chunk] != 0:
            gone[chunk] = max(np.int64(gone[chunk]) - before, 1)
    counts[FAULTS] = 1
    counts[NEXT_GONE] -= before
    counts[RENUMBERED] += before


@kernel
def touched(gone: Any, window_chunks: int) -> int:
    """Count groups of so many aligned chunks of which one was ever populated."""
    total: Any = 0
    for first in range(0, len(gone) - 1, window_chunks):
        largest = U(0)
        for chunk in range(U(first), U(min(first + window_chunks, len(gone) - 1))):
            largest = max(largest, U(gone[chunk]))
        total += np.int64(largest > ZERO)
    return total  # type: ignore[no-any-return]
