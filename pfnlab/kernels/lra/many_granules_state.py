"""What a replay of lookups in chunks of granules keeps (see `pfnlab.kernels.lra.many_granules`).

`state` allocates it, `reset` makes it new again, `squeeze` makes room in the log, and
`count_populated` settles the two counts that a replay leaves open.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.kernels.bits import popcount
from pfnlab.kernels.compiled import kernel

# Places in `State.counts`.
(
    FAULTS,
    COLD_FAULTS,  # up to date after `count_populated`
    SHOOTDOWNS,
    EVICTED_CHUNKS,
    EVICTED_GRANULES,
    RANGED_FLUSH_PAGES,
    FULL_FLUSHES,
    RESIDENT,  # granules resident now
    PEAK_RESIDENT,
    RESIDENT_SUM,  # of the resident granules after each event
    WINDOWS,  # 2 MiB windows that hold a resident granule now
    PEAK_WINDOWS,
    WINDOWS_EVER,  # up to date after `count_populated`
    TAIL,  # place of the oldest entry of the log, live or not
    HEAD,  # place of the next entry
    OFTEN,  # whether the last block missed often
    N_COUNTS,
) = range(17)

# Places of the log start here, so that a `last` of 0 means "no resident granule".
FIRST_PLACE = 1
#: Places of the log, if the events are as many and the chunks few. A log that is full is squeezed,
#: and live entries are walked once more: 32768 places took 5 to 50 % longer for 8192 chunks.
LEAST_PLACES = 1 << 19

#: Events that are replayed between two looks at the room left in the log.
BLOCK_EVENTS = 4096

ONE = np.uint64(1)


#: What makes a table: `np.empty`, or the same of tables used before.
Empty = Callable[[int, Any], Any]


class Layout(NamedTuple):
    """Sizes that stay as they are during a replay; shifts are log2."""

    first_pfn: int
    granule_shift: int  # of pfns in a granule
    chunk_shift: int  # of granules in a chunk
    window_shift: int  # of granules in a 2 MiB window; -1 where granules need no PTEs
    limit_granules: int  # threshold
    batch_chunks: int
    flush_pages: int  # 4 KiB pages of one chunk if its flush is ranged, else 0


class State(NamedTuple):
    """All that changes during a replay."""

    resident: npt.NDArray[np.uint64]  # a bit a granule
    ever: npt.NDArray[np.uint64]  # a bit a granule: was it populated, and evicted since?
    windows: npt.NDArray[np.int32]  # resident granules of each window; empty if windows are chunks
    last: npt.NDArray[np.int32]  # place in the log of each chunk's last fault; 0 if not resident
    log: npt.NDArray[np.uint32]  # granules, in the order of their faults
    counts: npt.NDArray[np.int64]


def state(
    layout: Layout, n_granules: int, n_events: int, log_places: int = 0, empty: Empty = np.empty
) -> State:
    """Return the state before the first event.

    Parameters
    ----------
    layout
        The sizes; `limit_granules`, `batch_chunks` and `flush_pages` don't matter here.
    n_granules
        Of the region, fewer than 2**31.
    n_events
        Events that will be replayed at most: the log need not be longer.
    log_places
        Places of the log if not 0, for tests.
    empty
        What makes a table: `np.empty`, or the same of tables used before.
    """
    n_chunks = ((n_granules - 1) >> layout.chunk_shift) + 1
    n_windows = 0
    if layout.window_shift not in (-1, layout.chunk_shift):
        n_windows = ((n_granules - 1) >> layout.window_shift) + 1
    places = log_places or min(max(4 * n_chunks, LEAST_PLACES), n_events) + BLOCK_EVENTS
    made = State(
        resident=empty((n_granules + 63) >> 6, np.uint64),
        ever=empty((n_granules + 63) >> 6, np.uint64),
        windows=empty(n_windows, np.int32),
        last=empty(n_chunks, np.int32),
        log=empty(max(places, min(n_chunks, n_events) + 1) + FIRST_PLACE, np.uint32),
        counts=empty(N_COUNTS, np.int64),
    )
    reset(made)
    return made


def reset(state: State) -> None:
    """Make a used state new again, for another replay with the same sizes and as many events.

    A sweep that keeps one state doesn't pay for the first touch of fresh memory at every point.
    """
    for array in (state.resident, state.ever, state.windows, state.last, state.counts):
        array.fill(0)
    state.counts[TAIL] = state.counts[HEAD] = FIRST_PLACE


@kernel
def squeeze(layout: Layout, state: State) -> None:
    """Drop the dead entries of the log, which leaves at most one a chunk; no branch on which."""
    log, last, counts = state.log, state.last, state.counts
    chunk_shift = np.uint32(layout.chunk_shift)
    kept: Any = FIRST_PLACE
    for place in range(counts[TAIL], counts[HEAD]):
        granule = log[np.uint64(place)]
        chunk = granule >> chunk_shift
        newest = np.int64(last[chunk])
        live = np.int64(newest == place)
        log[np.uint64(kept)] = granule
        last[chunk] = newest + (kept - newest) * live
        kept += live
    counts[TAIL], counts[HEAD] = FIRST_PLACE, kept


@kernel
def count_populated(layout: Layout, state: State) -> None:
    """Bring COLD_FAULTS and WINDOWS_EVER up to date, at any time between two pieces."""
    n_granules, n_windows = 0, 0
    shift = layout.window_shift if layout.window_shift >= 0 else 6
    for first in range(0, len(state.resident) << 6, 1 << shift):
        inside = populated_in(state, first, 1 << shift)
        n_granules += inside
        n_windows += inside > 0
    state.counts[COLD_FAULTS] = n_granules
    if layout.window_shift < 0:
        n_windows = 0
        state.counts[PEAK_WINDOWS] = 0  # chunks were counted, which need no PTEs
    state.counts[WINDOWS_EVER] = n_windows


@kernel
def populated_in(state: State, first: int, n: int) -> int:
    """Granules ever populated among `n` from `first` on: a power of two, aligned."""
    n_granules = 0
    for word in range(first >> 6, min((first + n + 63) >> 6, len(state.resident))):
        bits = state.resident[word] | state.ever[word]
        if n < 64:
            bits = (bits >> np.uint64(first & 63)) & ((ONE << np.uint64(n)) - ONE)
        n_granules += popcount(bits)
    return n_granules
