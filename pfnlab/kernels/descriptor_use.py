"""What a trace asks of other ways to hold descriptors: areas split or initialised, live pins, wear.

Nothing here is evicted, so one pass answers for all of them.

Preconditions: every pfn lies in the region, codes are those of `pfnlab.kernels.event_codes`,
bitmaps have a bit for every area, and the tables of pages start empty
(`pfnlab.kernels.page_counts`).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.kernels import page_counts
from pfnlab.kernels.compiled import kernel
from pfnlab.kernels.state import ATOMIC, GET, LOOKUP, ONE, PUT

# Places in `Following.counts`.
(
    LOOKUPS,
    GETS,
    PUTS,  # that drop a live pin
    ATOMIC_ACCESSES,
    SHARED_GETS,  # of a page on which somebody else holds a pin
    LIVE,  # pins now
    PEAK_LIVE,
    LIVE_SUM,  # of the live pins after each event
    AREAS,  # that were touched
    LARGE_AREAS,
    SPLIT,  # areas in which some page was pinned
    SPLIT_SUM,  # of the split areas after each event
    SPLIT_ACCESSES,  # to areas that are split
    ATOMIC_SPLITS,
    LIVE_AREAS,  # areas with a live pin now
    PEAK_LIVE_AREAS,
    LIVE_PFNS,  # entries of the table of pages with live pins
    LINES,  # entries of the table of written lines
    HOTTEST,  # writes of the line that is written most
    N_COUNTS,
) = range(20)


class Sizes(NamedTuple):
    """Sizes that stay; shifts are log2 of pages."""

    first_pfn: int
    area_shift: int  # what is initialised or split at once
    large_shift: int
    line_shift: int  # pages whose descriptors share a line of the device


class Following(NamedTuple):
    """Tables that change."""

    touched: npt.NDArray[np.uint64]  # bitmap of areas
    touched_large: npt.NDArray[np.uint64]
    split: npt.NDArray[np.uint64]
    live_pfns: npt.NDArray[np.int64]
    pins: npt.NDArray[np.int64]
    live_areas: npt.NDArray[np.int64]
    area_pins: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    writes: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]


@kernel
def set_bit(bitmap: npt.NDArray[np.uint64], index: int) -> int:
    """Set a bit; 1 if it was not set, else 0."""
    word, bit = np.uint64(index >> 6), ONE << np.uint64(index & 63)
    fresh = (bitmap[word] & bit) == 0
    bitmap[word] |= bit
    return int(fresh)


@kernel
def is_set(bitmap: npt.NDArray[np.uint64], index: int) -> bool:
    """Whether the bit is set."""
    return (bitmap[np.uint64(index >> 6)] >> np.uint64(index & 63)) & ONE != 0  # type: ignore[no-any-return]


@kernel
def add(keys: Any, numbers: Any, bits: int, key: int) -> int:
    """Count one more of `key`; return how many there are now."""
    place = page_counts.find(keys, bits, key)
    keys[place] = key
    numbers[place] += 1
    return numbers[place]  # type: ignore[no-any-return]


@kernel
def drop(keys: Any, numbers: Any, bits: int, key: int) -> int:
    """Count one less of `key`, which must be there; return how many are left."""
    place = page_counts.find(keys, bits, key)
    numbers[place] -= 1
    left = numbers[place]
    if left == 0:
        page_counts.forget(keys, numbers, bits, place)
    return left  # type: ignore[no-any-return]


@kernel
def written(state: Following, bits: int, line: int) -> None:
    """Count a write of a line of descriptors."""
    writes = add(state.lines, state.writes, bits, line)
    state.counts[LINES] += writes == 1
    state.counts[HOTTEST] = max(state.counts[HOTTEST], writes)


@kernel
def pinned(state: Following, pfn_bits: int, area_bits: int, pfn: int, area: int) -> None:
    """Count a GET."""
    counts = state.counts
    holders = add(state.live_pfns, state.pins, pfn_bits, pfn)
    counts[LIVE_PFNS] += holders == 1
    counts[SHARED_GETS] += holders > 1
    counts[LIVE_AREAS] += add(state.live_areas, state.area_pins, area_bits, area) == 1
    counts[LIVE] += 1
    counts[PEAK_LIVE] = max(counts[PEAK_LIVE], counts[LIVE])
    counts[PEAK_LIVE_AREAS] = max(counts[PEAK_LIVE_AREAS], counts[LIVE_AREAS])


@kernel
def unpinned(state: Following, pfn_bits: int, area_bits: int, pfn: int, area: int) -> None:
    """Count a PUT that drops a live pin."""
    counts = state.counts
    counts[LIVE_PFNS] -= drop(state.live_pfns, state.pins, pfn_bits, pfn) == 0
    counts[LIVE_AREAS] -= drop(state.live_areas, state.area_pins, area_bits, area) == 0
    counts[LIVE] -= 1


@kernel
def follow(sizes: Sizes, state: Following, pfns: Any, codes: Any, start: int, stop: int) -> int:
    """Follow events ``[start, stop)``; return where it stopped because a table is half full."""
    counts = state.counts
    pfn_bits, area_bits = (
        page_counts.bits_of(state.live_pfns),
        page_counts.bits_of(state.live_areas),
    )
    line_bits = page_counts.bits_of(state.lines)
    pfn_limit, line_limit = len(state.live_pfns) // 2, len(state.lines) // 2
    area_limit = len(state.live_areas) // 2
    for event in range(start, stop):
        if counts[LINES] >= line_limit or counts[LIVE_PFNS] >= pfn_limit:
            return event
        if counts[LIVE_AREAS] >= area_limit:
            return event
        code: Any = np.int64(codes[event])
        op, atomic = code & 3, code >= ATOMIC
        pfn: Any = np.int64(pfns[event]) - sizes.first_pfn
        area = pfn >> sizes.area_shift
        if op <= GET:
            counts[ATOMIC_ACCESSES] += atomic
            counts[AREAS] += set_bit(state.touched, area)
            counts[LARGE_AREAS] += set_bit(state.touched_large, pfn >> sizes.large_shift)
        if op == LOOKUP:
            counts[LOOKUPS] += 1
            counts[SPLIT_ACCESSES] += is_set(state.split, area)
        elif op == GET:
            counts[GETS] += 1
            fresh = set_bit(state.split, area)
            counts[SPLIT] += fresh
            counts[ATOMIC_SPLITS] += fresh * atomic
            counts[SPLIT_ACCESSES] += 1
            pinned(state, pfn_bits, area_bits, pfn, area)
            written(state, line_bits, pfn >> sizes.line_shift)
        elif op == PUT:
            counts[PUTS] += 1
            unpinned(state, pfn_bits, area_bits, pfn, area)
            written(state, line_bits, pfn >> sizes.line_shift)
        counts[LIVE_SUM] += counts[LIVE]
        counts[SPLIT_SUM] += counts[SPLIT]
    return stop
