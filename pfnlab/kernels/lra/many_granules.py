"""LRA for lookups by sleepable callers, with no list to keep: a bit a granule and a log of faults.

Every fault appends its granule to a log and notes the place in ``last[chunk]``, so that the live
entries of the log, those whose chunk's `last` is their place, are the LRA order: two stores where
a linked list takes six. A pass walks the log from its tail, each entry once. Evicting a chunk
clears its bits, counts them, and adds them to `ever`, so that a fault need not ask whether it is
the first of its granule.

Two loops do the same, and `replay` takes the better one block by block: `replay_rare` branches at
a miss, `replay_frequent` never does, for a mispredicted branch costs more than all of an access.

Preconditions: every pfn lies in the region, sizes are powers of two with granule <= chunk <=
threshold, and the arrays of `State` come from `state`. No pins, no atomic callers. Any order of
chunk and 2 MiB window.
"""

from typing import Any

import numpy as np

from pfnlab.kernels.bits import popcount, prefetch
from pfnlab.kernels.compiled import kernel
from pfnlab.kernels.lra.many_granules_state import (
    BLOCK_EVENTS,
    EVICTED_CHUNKS,
    EVICTED_GRANULES,
    FAULTS,
    FULL_FLUSHES,
    HEAD,
    OFTEN,
    ONE,
    PEAK_RESIDENT,
    PEAK_WINDOWS,
    RANGED_FLUSH_PAGES,
    RESIDENT,
    RESIDENT_SUM,
    SHOOTDOWNS,
    TAIL,
    WINDOWS,
    Layout,
    State,
    squeeze,
)

#: The loop without branches is faster where one access in so many misses: 1.7 ns against 1.4 at 2 %
#: of unpredictable misses, 1.9 against 2.1 at 5 %, 2.7 against 4.4 at 20 %.
OFTEN_SHARE = 16

SIX = np.uint64(6)
LOW_SIX = np.uint64(63)


# --- Faults ----------------------------------------------------------------------------------


@kernel
def weight_between(ends: Any, start: int, stop: int) -> Any:
    """Return the accesses that events ``[start, stop)`` stand for."""
    if ends is None:
        return stop - start
    before = np.int64(0)
    if start > 0:
        before = np.int64(ends[start - 1])
    until = np.int64(0)
    if stop > 0:
        until = np.int64(ends[stop - 1])
    return until - before


@kernel
def replay_frequent(
    layout: Layout, state: State, pfns: Any, ends: Any, start: int, stop: int
) -> int:
    """Replay without a branch on the miss, up to the first event that needs a pass."""
    resident, log, counts = state.resident, state.log, state.counts
    first, granule_shift = np.uint64(layout.first_pfn), np.uint64(layout.granule_shift)
    head, event, head_sum = counts[HEAD], start, 0
    # The resident granules are a constant more than `head`, so one count serves for both.
    offset = counts[RESIDENT] - head
    limit = layout.limit_granules - offset
    while event < stop:
        granule = (np.uint64(pfns[np.uint64(event)]) - first) >> granule_shift
        word, bit = granule >> SIX, granule & LOW_SIX
        bits = resident[word]
        miss = 1 - np.int64((bits >> bit) & ONE)
        if head + miss > limit:
            break
        resident[word] = bits | (ONE << bit)
        log[np.uint64(head)] = granule
        head += miss
        head_sum += head * weight_between(ends, event, event + 1)
        event += 1
    counts[RESIDENT_SUM] += head_sum + offset * weight_between(ends, start, event)
    note_faults(layout, state, head)
    return event


@kernel
def replay_rare(layout: Layout, state: State, pfns: Any, ends: Any, start: int, stop: int) -> int:
    """Replay with a branch on the miss, up to the first event that needs a pass."""
    resident, log, counts = state.resident, state.log, state.counts
    first, granule_shift = np.uint64(layout.first_pfn), np.uint64(layout.granule_shift)
    head, event, head_sum = counts[HEAD], start, 0
    offset = counts[RESIDENT] - head
    limit = layout.limit_granules - offset
    summed = start  # events before this one are in `head_sum`
    while event < stop:
        granule = (np.uint64(pfns[np.uint64(event)]) - first) >> granule_shift
        word, bit = granule >> SIX, granule & LOW_SIX
        bits = resident[word]
        if (bits >> bit) & ONE == 0:
            if head >= limit:
                break
            head_sum += head * weight_between(ends, summed, event)
            summed = event
            resident[word] = bits | (ONE << bit)
            log[np.uint64(head)] = granule
            head += 1
        event += 1
    head_sum += head * weight_between(ends, summed, event)
    counts[RESIDENT_SUM] += head_sum + offset * weight_between(ends, start, event)
    note_faults(layout, state, head)
    return event


@kernel
def note_faults(layout: Layout, state: State, head: int) -> None:
    """Make the log's entries up to `head` count: their chunks become the most recent.

    The loops write bits and log alone, and leave this to a loop over the misses: a third faster
    than updating `last` at every access.
    """
    last, log, windows, counts = state.last, state.log, state.windows, state.counts
    chunk_shift, window_shift = (
        np.uint32(layout.chunk_shift),
        np.uint32(max(layout.window_shift, 0)),
    )
    n_windows, tracked = counts[WINDOWS], len(windows) > 0
    for place in range(counts[HEAD], head):
        granule = log[np.uint64(place)]
        chunk = granule >> chunk_shift
        if tracked:
            window = granule >> window_shift
            n_windows += windows[window] == 0
            windows[window] += 1
        else:
            n_windows += last[chunk] == 0
        last[chunk] = place
    n_faults = head - counts[HEAD]
    counts[FAULTS] += n_faults
    counts[RESIDENT] += n_faults
    counts[HEAD], counts[WINDOWS] = head, n_windows


# --- Passes ----------------------------------------------------------------------------------


@kernel
def fault_full(layout: Layout, state: State, pfn: Any) -> None:
    """Handle a fault that needs a pass first: evict, then populate."""
    last, counts = state.last, state.counts
    granule = (pfn - layout.first_pfn) >> layout.granule_shift
    chunk = granule >> layout.chunk_shift
    counts[PEAK_RESIDENT] = max(counts[PEAK_RESIDENT], counts[RESIDENT])
    counts[PEAK_WINDOWS] = max(counts[PEAK_WINDOWS], counts[WINDOWS])
    # The chunk being filled goes to the head first: the pass stops short of it.
    born = last[chunk] == 0
    head = counts[HEAD]
    state.log[head] = granule
    last[chunk] = head
    reclaim(layout, state)
    counts[HEAD] = head + 1
    counts[FAULTS] += 1
    counts[RESIDENT] += 1
    state.resident[granule >> 6] |= ONE << np.uint64(granule & 63)
    if len(state.windows) > 0:
        window = granule >> layout.window_shift
        born = state.windows[window] == 0
        state.windows[window] += 1
    counts[WINDOWS] += born


@kernel
def reclaim(layout: Layout, state: State) -> None:
    """One pass: unmap chunks until a granule fits, then flush every CPU once."""
    last, counts = state.last, state.counts
    n_evicted = 0
    place = oldest(layout, state, counts[TAIL])
    while place < counts[HEAD] and (
        counts[RESIDENT] >= layout.limit_granules or n_evicted < layout.batch_chunks
    ):
        chunk = np.int64(state.log[place]) >> layout.chunk_shift
        last[chunk] = 0
        evict(layout, state, chunk)
        n_evicted += 1
        place = oldest(layout, state, place + 1)
    prefetch_chunk(layout, state, np.int64(state.log[place]) >> layout.chunk_shift)
    counts[TAIL] = place
    counts[EVICTED_CHUNKS] += n_evicted
    counts[SHOOTDOWNS] += 1
    if n_evicted == 1 and layout.flush_pages > 0:
        counts[RANGED_FLUSH_PAGES] += layout.flush_pages
    else:
        counts[FULL_FLUSHES] += 1


@kernel
def oldest(layout: Layout, state: State, place: int) -> int:
    """First live entry of the log from `place` on; the one at the head stops the search."""
    chunk_shift = np.uint32(layout.chunk_shift)
    while state.last[state.log[np.uint64(place)] >> chunk_shift] != place:
        place += 1
    return place


@kernel
def prefetch_chunk(layout: Layout, state: State, chunk: Any) -> None:
    """Ask for the bits of the next pass's likely victim: saves up to 15 % where passes are many."""
    word = (chunk << layout.chunk_shift) >> 6
    prefetch(state.ever, word)
    prefetch(state.resident, word)


@kernel
def evict(layout: Layout, state: State, chunk: Any) -> None:
    """Unmap all resident granules of a chunk."""
    counts = state.counts
    n_granules = unmap(layout, state, chunk)
    counts[RESIDENT] -= n_granules
    counts[EVICTED_GRANULES] += n_granules
    if len(state.windows) == 0:
        counts[WINDOWS] -= 1
    else:
        evict_windows(layout, state, chunk << layout.chunk_shift, n_granules)


@kernel
def unmap(layout: Layout, state: State, chunk: int) -> int:
    """Clear the bits of a chunk, note that they were ever set, and return how many there were."""
    resident, ever = state.resident, state.ever
    if layout.chunk_shift < 6:
        n = 1 << layout.chunk_shift
        first = chunk << layout.chunk_shift
        mask = ((ONE << np.uint64(n)) - ONE) << np.uint64(first & 63)
        bits = resident[first >> 6] & mask
        resident[first >> 6] ^= bits
        ever[first >> 6] |= bits
        return popcount(bits)
    n_granules = 0
    n_words = 1 << (layout.chunk_shift - 6)
    for word in range(chunk * n_words, min((chunk + 1) * n_words, len(resident))):
        bits = resident[word]
        n_granules += popcount(bits)
        ever[word] |= bits
        resident[word] = 0
    return n_granules


@kernel
def evict_windows(layout: Layout, state: State, first: int, n_granules: int) -> None:
    """Take the granules of a chunk that starts at `first` out of the windows' counts."""
    counts, windows = state.counts, state.windows
    window = first >> layout.window_shift
    if layout.chunk_shift < layout.window_shift:
        windows[window] -= n_granules
        counts[WINDOWS] -= windows[window] == 0
        return
    end = min((first + (1 << layout.chunk_shift)) >> layout.window_shift, len(windows))
    for inside in range(window, end):
        counts[WINDOWS] -= windows[inside] > 0
        windows[inside] = 0


# --- Replay ----------------------------------------------------------------------------------


@kernel
def replay_block(layout: Layout, state: State, pfns: Any, ends: Any, start: int, stop: int) -> None:
    """Replay events ``[start, stop)``, for which the log has room."""
    counts = state.counts
    often = counts[OFTEN] > 0
    event = start
    while event < stop:
        if often:
            event = replay_frequent(layout, state, pfns, ends, event, stop)
        else:
            event = replay_rare(layout, state, pfns, ends, event, stop)
        if event < stop:
            fault_full(layout, state, np.int64(pfns[event]))
            counts[RESIDENT_SUM] += counts[RESIDENT] * weight_between(ends, event, event + 1)
            event += 1


@kernel
def replay_blocks(
    layout: Layout, state: State, pfns: Any, ends: Any, start: int, stop: int
) -> None:
    """Replay events ``[start, stop)`` block by block."""
    log, counts = state.log, state.counts
    event = start
    while event < stop:
        end = min(event + BLOCK_EVENTS, stop)
        if len(log) - counts[HEAD] < end - event:
            squeeze(layout, state)
            end = min(end, event + len(log) - counts[HEAD])
        faults = counts[FAULTS]
        replay_block(layout, state, pfns, ends, event, end)
        counts[OFTEN] = (counts[FAULTS] - faults) * OFTEN_SHARE > end - event
        event = end
    counts[PEAK_RESIDENT] = max(counts[PEAK_RESIDENT], counts[RESIDENT])
    counts[PEAK_WINDOWS] = max(counts[PEAK_WINDOWS], counts[WINDOWS])


@kernel
def replay(layout: Layout, state: State, pfns: Any, start: int, stop: int) -> None:
    """Replay lookups ``[start, stop)`` of `pfns`, a piece of a trace or all of it."""
    replay_blocks(layout, state, pfns, None, start, stop)


@kernel
def replay_runs(
    layout: Layout, state: State, granules: Any, ends: Any, start: int, stop: int
) -> None:
    """Replay runs ``[start, stop)`` of a piece that `runs.collapse` made for these granules.

    `ends` counts the events from the beginning of the piece.
    """
    of_granules = Layout(
        0,
        0,
        layout.chunk_shift,
        layout.window_shift,
        layout.limit_granules,
        layout.batch_chunks,
        layout.flush_pages,
    )
    replay_blocks(of_granules, state, granules, ends, start, stop)
