"""LRA whose unmapped granules are withheld until a purge flushes every CPU; and a TLB beside it.

A fault unmaps the least recently allocated chunks while the mapped granules exceed `mapped_limit`,
or mapped and withheld ones together `limit`. What was unmapped may still be in a TLB, so it is
withheld: it counts toward `limit` and nobody may use it until a purge, one flush of every CPU,
frees all of it. A purge comes once more than `purge_above` granules are withheld.

The TLB is direct-mapped, sees every access and is emptied by every purge, as by a full flush. An
access that finds its translation there, but from before the last purge, must walk the page table
again only because of that flush: a collateral refill.

Preconditions: granules and chunks are numbered from 0 in the order of their addresses, and only
those that are touched; `first_granules` has one entry more than there are chunks; one chunk fits
into `limit - purge_above` and into `mapped_limit`; links and tables start
as `pfnlab.engine.lazy_purge` makes them.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.kernels.compiled import kernel

# Places in `State.counts`.
(
    FAULTS,
    PURGES,
    EVICTED_CHUNKS,
    EVICTED_GRANULES,
    MAPPED,  # granules mapped now
    WITHHELD,  # granules unmapped and not yet flushed
    MAPPED_SUM,  # after each event
    WITHHELD_SUM,
    PEAK_WITHHELD,
    PEAK_HELD,  # mapped and withheld
    COLD_WALKS,  # accesses whose translation was not in the TLB
    COLLATERAL,
    N_COUNTS,
) = range(13)

NONE = -1


class Limits(NamedTuple):
    """What stays as it is, in granules."""

    limit: int
    mapped_limit: int
    purge_above: int


class State(NamedTuple):
    """All that changes; chunks are linked from the least recently allocated on."""

    mapped: npt.NDArray[np.bool_]  # a granule
    n_mapped: npt.NDArray[np.int32]  # a chunk
    next: npt.NDArray[np.int32]  # a chunk, and a head at the end; NONE: in no order
    previous: npt.NDArray[np.int32]
    tags: npt.NDArray[np.int32]  # granule of each place of the TLB, NONE where none
    epochs: npt.NDArray[np.int64]  # purges until each place was filled
    counts: npt.NDArray[np.int64]


@kernel
def unlink(state: State, chunk: int) -> None:
    """Take a chunk out of the order."""
    before, after = state.previous[chunk], state.next[chunk]
    state.next[before] = after
    state.previous[after] = before
    state.next[chunk] = NONE


@kernel
def append(state: State, chunk: int) -> None:
    """Make a chunk the most recently allocated."""
    head = len(state.n_mapped)
    newest = state.previous[head]
    state.next[newest] = chunk
    state.previous[chunk] = newest
    state.next[chunk] = head
    state.previous[head] = chunk


@kernel
def purge(counts: Any) -> None:
    """Flush every CPU and free what was withheld."""
    counts[PURGES] += 1
    counts[WITHHELD] = 0


@kernel
def unmap(limits: Limits, state: State, first_granules: Any, chunk: int) -> None:
    """Unmap a chunk and withhold its granules; purge once there are too many."""
    counts = state.counts
    unlink(state, chunk)
    for granule in range(first_granules[chunk], first_granules[chunk + 1]):
        state.mapped[granule] = False
    n = np.int64(state.n_mapped[chunk])
    state.n_mapped[chunk] = 0
    counts[EVICTED_CHUNKS] += 1
    counts[EVICTED_GRANULES] += n
    counts[MAPPED] -= n
    counts[WITHHELD] += n
    counts[PEAK_WITHHELD] = max(counts[PEAK_WITHHELD], counts[WITHHELD])
    if counts[WITHHELD] > limits.purge_above:
        purge(counts)


@kernel
def is_full(limits: Limits, counts: Any) -> bool:
    """Whether one more granule would exceed a limit."""
    over = counts[MAPPED] + 1 > limits.mapped_limit
    full = over or counts[MAPPED] + counts[WITHHELD] + 1 > limits.limit
    return full  # type: ignore[no-any-return]


@kernel
def make_room(limits: Limits, state: State, first_granules: Any, filling: int) -> None:
    """Unmap chunks until a granule fits, but not the one being filled.

    If nothing else is left it does fit, for `limit` has room for a chunk beside the quarantine.
    """
    counts = state.counts
    head = len(state.n_mapped)
    while is_full(limits, counts):
        oldest = state.next[head]
        if oldest == filling:
            oldest = state.next[filling]
        if oldest == head:
            break
        unmap(limits, state, first_granules, oldest)


@kernel
def fault(limits: Limits, state: State, first_granules: Any, granule: int, chunk: int) -> None:
    """Make a granule mapped, and its chunk the most recently allocated."""
    counts = state.counts
    counts[FAULTS] += 1
    if is_full(limits, counts):
        make_room(limits, state, first_granules, chunk)
    state.mapped[granule] = True
    state.n_mapped[chunk] += 1
    counts[MAPPED] += 1
    counts[PEAK_HELD] = max(counts[PEAK_HELD], counts[MAPPED] + counts[WITHHELD])
    if state.next[chunk] != NONE:
        unlink(state, chunk)
    append(state, chunk)


@kernel
def translate(state: State, granule: int, place: int) -> None:
    """Look a translation up in the TLB; put it there if it is missing or was flushed."""
    counts = state.counts
    if state.tags[place] != granule:
        counts[COLD_WALKS] += 1
        state.tags[place] = granule
    elif state.epochs[place] != counts[PURGES]:
        counts[COLLATERAL] += 1
    state.epochs[place] = counts[PURGES]


@kernel
def replay(
    limits: Limits, state: State, first_granules: Any, chunk_of: Any, place_of: Any, granules: Any
) -> None:
    """Replay lookups whose callers can sleep: `granules` has one entry an event."""
    counts = state.counts
    for event in range(len(granules)):
        granule: Any = np.int64(granules[event])  # one type for all callees
        place = place_of[granule]
        if not state.mapped[granule]:
            if state.tags[place] == granule:  # unmapped since: flushed for its own sake
                state.tags[place] = NONE
            fault(limits, state, first_granules, granule, chunk_of[granule])
        translate(state, granule, place)
        counts[MAPPED_SUM] += counts[MAPPED]
        counts[WITHHELD_SUM] += counts[WITHHELD]
