"""RANDOM: the victim is any resident chunk, all equally likely.

The draws are a function of the seed and their number, the same on every machine.

    table           dtype    length        starts as
    State.known     uint8    chunks        0; then ABSENT or HERE
    State.residents uint32   limit         anything; the resident chunks, in no order
    State.marks     int64    N_MARKS       DRAWS 0, SEED, LAST_CHUNK -1
    State.counts    int64    N_COUNTS      0
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
from pfnlab.kernels.victims import word

# Places in `State.marks`.
DRAWS, SEED, LAST_CHUNK, N_MARKS = range(4)

ABSENT, HERE = 1, 2


class State(NamedTuple):
    """All that changes during a replay."""

    known: npt.NDArray[np.uint8]  # of each chunk: was it ever resident, and is it?
    residents: npt.NDArray[np.uint32]
    marks: npt.NDArray[np.int64]
    windows: Windows | None
    counts: npt.NDArray[np.int64]


def state(
    n_chunks: int,
    limit_chunks: int,
    window_shift: int = -1,
    *,
    empty: Empty = np.empty,
    seed: int = 0,
) -> State:
    """Return the state before the first event; `seed` counts modulo 2**62."""
    made = State(
        empty(n_chunks, np.uint8),
        empty(min(limit_chunks, n_chunks), np.uint32),
        np.zeros(N_MARKS, np.int64),
        windows(n_chunks, window_shift, empty),
        empty(N_COUNTS, np.int64),
    )
    made.marks[SEED] = seed % 2**62
    reset(made)
    return made


def reset(state: State) -> None:
    """Put a used state back before the first event."""
    state.known.fill(0)
    state.marks[DRAWS], state.marks[LAST_CHUNK] = 0, -1
    state.counts.fill(0)
    clear_windows(state.windows)


@kernel
def drawn(seed: int, draw: int, n: int) -> int:
    """Return the draw's number below `n`, the one that the full mechanism draws."""
    return (word(int(seed), draw) * int(n)) >> 32


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
    """Replay events; ask for lines of the table `ahead` events early, or not if that is None.

    Unless `runs` is None, repeats are looked for and skipped.
    """
    known, residents, marks, counts = state.known, state.residents, state.marks, state.counts
    draws, seed, last_chunk = marks[DRAWS], marks[SEED], marks[LAST_CHUNK]
    summed = start  # events before this one are in RESIDENT_SUM
    chunk = last_chunk
    event = start
    while event < stop:
        if ahead is not None:
            soon = np.int64(pfns[U(min(event + ahead, stop - 1))]) - layout.first_pfn
            prefetch(known, soon >> layout.chunk_shift)
        chunk = (np.int64(pfns[U(event)]) - layout.first_pfn) >> layout.chunk_shift
        event += 1
        if known[U(chunk)] == HERE:
            if runs is not None:
                if chunk == last_chunk:
                    event = next_elsewhere(layout, pfns, event, stop, chunk)
                last_chunk = chunk
            continue
        if runs is not None:
            last_chunk = chunk
        counts[FAULTS] += 1
        counts[COLD_FAULTS] += int(known[U(chunk)] == 0)
        resident = counts[RESIDENT]
        counts[RESIDENT_SUM] += resident * (event - 1 - summed)
        summed = event - 1
        if resident + 1 > layout.limit_chunks:
            n_before = resident
            while resident > 0 and (
                resident + 1 > layout.limit_chunks or n_before - resident < layout.batch_chunks
            ):
                place = drawn(seed, draws, resident)
                draws += 1
                resident -= 1
                known[U(residents[U(place)])] = ABSENT
                if held is not None:
                    unmap_chunk(layout, held, counts, np.int64(residents[U(place)]))
                residents[U(place)] = residents[U(resident)]
            counts[PASSES] += 1
            counts[EVICTED_CHUNKS] += n_before - resident
        residents[U(resident)] = chunk
        known[U(chunk)] = HERE
        counts[RESIDENT] = resident + 1
        counts[PEAK_RESIDENT] = max(counts[PEAK_RESIDENT], resident + 1)
        if held is not None:
            map_chunk(layout, held, counts, chunk)
    counts[RESIDENT_SUM] += counts[RESIDENT] * (stop - summed)
    marks[DRAWS], marks[LAST_CHUNK] = draws, chunk


@kernel
def replay(layout: Layout, state: State, pfns: Any, start: int, stop: int) -> None:
    """Replay the lookups ``pfns[start:stop]``."""
    held = state.windows
    if runs_long(layout, pfns, start, stop):
        serve(layout, state, held, True, None, pfns, start, stop)
    elif len(state.known) > BIG:
        serve(layout, state, held, None, AHEAD, pfns, start, stop)
    else:
        serve(layout, state, held, None, None, pfns, start, stop)
