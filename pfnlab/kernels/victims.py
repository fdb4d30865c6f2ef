"""The victim orders of the full mechanism: which chunk a pass unmaps next (DESIGN 5).

A chunk enters with `insert` at the most recent end and leaves with `remove`; in between `access`
tells of hits and of faults on its other granules. `next_victim` names the next to go. Lists
serve lra, lru, clock and sieve, an array random; a user's policy (`own`) brings its own order.

`policy` is None for lra, so that the default is compiled without the others (with a branch for
each at run time it took 7 % longer a fault), and RANDOM to SIEVE for another built-in order;
`own` is None unless the order is the user's.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from pfnlab.kernels.compiled import kernel
from pfnlab.kernels.state import (
    BAD_VICTIM,
    CLOCK,
    DRAWS,
    FIRST_ROW,
    HAND,
    HEAD,
    LRU,
    NAMED_VICTIM,
    NEXT,
    ORDERED,
    PREV,
    RANDOM,
    Layout,
    State,
)

NONE = 0  # a row that no chunk has


@kernel
def insert(state: State, policy: Any, own: Any, row: int) -> None:
    """Let a chunk enter the order at its most recent end.

    Its mark is clear: a victim has none, and out of the order nothing sets one.
    """
    chunks, counts = state.chunks, state.counts
    if own is not None:
        own.insert(own.table, own.scalars, row)
        chunks[row, NEXT] = 1
        counts[ORDERED] += 1
        return
    if policy is not None and policy == RANDOM:
        chunks[row, NEXT] = 1
        chunks[row, PREV] = counts[ORDERED]
        state.places[counts[ORDERED]] = row
        counts[ORDERED] += 1
        return
    list_add_tail(chunks, row)


@kernel
def access(state: State, policy: Any, own: Any, row: int, faulted: bool) -> None:
    """Note an access to a chunk that is in the order."""
    if own is not None:
        if own.access(own.table, own.scalars, row, faulted):
            own.remove(own.table, own.scalars, row)
            own.insert(own.table, own.scalars, row)
    elif policy is not None:
        if policy >= CLOCK:
            state.marks[row] = 1
        elif policy == LRU:
            list_move_tail(state.chunks, row)
    elif faulted:
        list_move_tail(state.chunks, row)


@kernel
def remove(state: State, policy: Any, own: Any, row: int) -> None:
    """Take a victim out of the order."""
    chunks, counts = state.chunks, state.counts
    if own is not None:
        own.remove(own.table, own.scalars, row)
        chunks[row, NEXT] = 0
        counts[ORDERED] -= 1
        return
    if policy is not None and policy == RANDOM:
        counts[ORDERED] -= 1
        last = state.places[counts[ORDERED]]
        state.places[chunks[row, PREV]] = last
        chunks[last, PREV] = chunks[row, PREV]
        chunks[row, NEXT] = 0
        return
    list_del(chunks, row)


@kernel
def next_victim(layout: Layout, state: State, policy: Any, own: Any, filling: int) -> int:
    """Row of the next chunk to go, other than the one being filled; NONE if there is none."""
    if own is not None:
        return own_victim(state, own, filling)
    chunks = state.chunks
    if policy is not None and policy == RANDOM:
        return random_victim(layout, state, filling)
    oldest: int = chunks[HEAD, NEXT]
    if oldest == HEAD or (oldest == filling and chunks[HEAD, PREV] == filling):
        return NONE
    if policy is not None and policy >= CLOCK:
        return clock_victim(state, filling) if policy == CLOCK else sieve_victim(state, filling)
    return chunks[oldest, NEXT] if oldest == filling else oldest


@kernel
def clock_victim(state: State, filling: int) -> int:
    """Find the oldest unmarked chunk; older ones go to the newest end, their marks cleared.

    The chunk being filled goes there too, but keeps its mark. Another chunk is in the list.
    """
    row: int = state.chunks[HEAD, NEXT]
    while row == filling or state.marks[row]:
        if row != filling:
            state.marks[row] = 0
        list_move_tail(state.chunks, row)
        row = state.chunks[HEAD, NEXT]
    return row


@kernel
def sieve_victim(state: State, filling: int) -> int:
    """Find the first unmarked chunk from the hand on, towards the newest and around.

    Marks on the way are cleared and places kept; the chunk being filled is passed over. Another
    chunk is in the list. HEAD stands for "at the oldest", so a hand that passes the newest end is
    there before a new chunk arrives (Zhang et al., NSDI'24).
    """
    row: int = state.counts[HAND]
    while True:
        if row != HEAD and row != filling:
            if not state.marks[row]:
                break
            state.marks[row] = 0
        row = state.chunks[row, NEXT]
    state.counts[HAND] = state.chunks[row, NEXT]
    return row


@kernel
def random_victim(layout: Layout, state: State, filling: int) -> int:
    """Draw a chunk, every one as likely, until it is not the one being filled."""
    counts = state.counts
    if counts[ORDERED] <= state.chunks[filling, NEXT]:  # 1 if it is in the order
        return NONE
    row = filling
    while row == filling:
        row = state.places[(word(layout.key, counts[DRAWS]) * int(counts[ORDERED])) >> 32]
        counts[DRAWS] += 1
    return row


@kernel
def word(key: int, draw: Any) -> int:
    """32 random bits: MurmurHash3's finaliser over the halves of the counter and of the key."""
    low = int(draw) & 0xFFFFFFFF
    high = int(draw) >> 32
    return mixed(mixed(low ^ (key & 0xFFFFFFFF)) ^ high ^ (key >> 32))


@kernel
def mixed(bits: int) -> int:
    """Mix 32 bits, so that each depends on all; products are cut to their low half."""
    bits = ((bits ^ (bits >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    bits = ((bits ^ (bits >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return bits ^ (bits >> 16)


@kernel
def own_victim(state: State, own: Any, filling: int) -> int:
    """Ask a user's policy; what can't be a victim is noted, and ends the pass."""
    chunks, counts = state.chunks, state.counts
    named = int(own.victim(own.table, own.scalars, filling))
    if named == NONE and counts[ORDERED] <= chunks[filling, NEXT]:
        return NONE
    if FIRST_ROW <= named < len(chunks) and named != filling and chunks[named, NEXT] != 0:
        return named
    counts[BAD_VICTIM] = 1
    counts[NAMED_VICTIM] = named
    return NONE


# --- Circular lists of chunks, the oldest first ------------------------------------------------


@kernel
def list_del(chunks: npt.NDArray[np.int32], row: int) -> None:
    """Take a chunk out of the list."""
    before, after = chunks[row, PREV], chunks[row, NEXT]
    chunks[before, NEXT] = after
    chunks[after, PREV] = before
    chunks[row, NEXT] = 0


@kernel
def list_add_tail(chunks: npt.NDArray[np.int32], row: int) -> None:
    """Make a chunk that is in no list the newest."""
    last = chunks[HEAD, PREV]
    chunks[row, PREV] = last
    chunks[row, NEXT] = HEAD
    chunks[last, NEXT] = row
    chunks[HEAD, PREV] = row


@kernel
def list_move_tail(chunks: npt.NDArray[np.int32], row: int) -> None:
    """Make a chunk of the list the newest."""
    if chunks[HEAD, PREV] != row:
        list_del(chunks, row)
        list_add_tail(chunks, row)
