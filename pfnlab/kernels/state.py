"""What the mechanism works on: sizes that stay, tables that change, places of the counts."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# Places in `State.counts`.
(
    PUTS,
    UNMATCHED_PUTS,
    FAULTS,
    COLD_FAULTS,
    ATOMIC_FAULTS,
    RESERVE_FAULTS,
    OVERCOMMITS,
    SHOOTDOWNS,
    FUTILE_PASSES,
    PINNED_SKIPS,
    EVICTED_CHUNKS,
    EVICTED_GRANULES,
    RANGED_FLUSH_PAGES,
    FULL_FLUSHES,
    RESIDENT,  # granules resident now
    PEAK_RESIDENT,
    RESIDENT_SUM,  # of the resident granules after each event
    WINDOWS,  # 2 MiB windows that hold a resident granule now
    PEAK_WINDOWS,
    WINDOWS_EVER,
    RESERVE,  # granules left in the reserve
    RESERVE_TAKEN,  # most that was taken out of it between two refills
    FAILED_PFNS,  # entries of the table of failed GETs
    ORDERED,  # chunks in the order, where it is no list
    HAND,  # row that sieve looks at next; HEAD is the oldest
    DRAWS,  # random words used up
    BAD_VICTIM,  # 1 once a user's policy has named a victim that can't be one
    NAMED_VICTIM,  # the row it named
    N_COUNTS,
) = range(29)

# Columns of `State.chunks`: one row is one cache-line quarter, and a fault touches one row or two.
# An order that is no list keeps a chunk's place in PREV, and in NEXT that it is in the order.
PREV, NEXT, GRANULES, PINS = range(4)
# Rows of `State.chunks`: a link of 0 means "in no order", so fresh zeroed memory is a valid state.
HEAD, FIRST_ROW = 1, 2

# Event codes, a byte an event: what it does, and ATOMIC if its caller can't sleep.
LOOKUP, GET, PUT, UNMATCHED_PUT = range(4)
ATOMIC = 4

# Orders other than lra, in an order of their own: from LRU on a hit counts, from CLOCK on it marks.
RANDOM, LRU, CLOCK, SIEVE = range(4)

ONE = np.uint64(1)
FREE = -1


class Layout(NamedTuple):
    """Sizes that stay as they are during a replay; shifts are log2."""

    first_pfn: int
    granule_shift: int  # of pfns in a granule
    chunk_shift: int  # of granules in a chunk
    window_shift: int  # of granules in a 2 MiB window; -1 where granules need no PTEs
    hashed: bool  # whether chunks find their row by hash instead of by index
    chunk_bits: int  # log2 of the places in `chunk_keys`, if hashed
    limit_granules: int  # threshold
    batch_chunks: int
    reserve_granules: int
    flush_pages: int  # 4 KiB pages of one chunk if its flush is ranged, else 0
    key: int  # of the random policy's words, below 2**62


class State(NamedTuple):
    """All that changes during a replay; every array starts zeroed but for the key tables."""

    resident: npt.NDArray[np.uint64]  # a bit a granule
    ever: npt.NDArray[np.uint64]  # a bit a granule: was it ever populated?
    windows: npt.NDArray[np.int32]  # resident granules of each 2 MiB window
    windows_ever: npt.NDArray[np.bool_]
    chunks: npt.NDArray[np.int32]  # (rows, 4): PREV, NEXT, GRANULES, PINS
    marks: npt.NDArray[np.uint8]  # referenced bit of each row, for clock and sieve
    places: npt.NDArray[np.int32]  # row at each place of the random policy's order
    chunk_keys: npt.NDArray[np.int64]  # chunk of each row if hashed, FREE where none
    failed_pfns: npt.NDArray[np.int64]  # open-addressing table of pages with failed GETs
    failed: npt.NDArray[np.int64]  # GETs of each that failed and were not yet cancelled
    counts: npt.NDArray[np.int64]
