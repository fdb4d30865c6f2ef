"""One pass over a trace for all schemes that evict nothing: splits, live pins, first touches."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pfnlab.engine.event_codes import Settler, kept_codes
from pfnlab.engine.feeding import drive
from pfnlab.engine.result import Result
from pfnlab.kernels import descriptor_use as kernel
from pfnlab.kernels import page_counts
from pfnlab.params import Params
from pfnlab.params.geometry import Geometry
from pfnlab.params.memory import check_region_fits
from pfnlab.params.units import GIB, MIB
from pfnlab.traces.columns import Events
from pfnlab.traces.sources import Replayable
from pfnlab.traces.trace import Trace

#: What a two-level memmap splits, and a lazy one initialises, at once; and the larger choice.
AREA_BYTES, LARGE_AREA_BYTES = 2 * MIB, GIB
#: Persistent memory writes lines of so many bytes, whatever the CPU writes (Optane).
LINE_BYTES = 256
_PLACES = 1 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """Counts of one pass over a trace.

    Attributes
    ----------
    lookups, gets, puts
        Events; `puts` are those that drop a live pin.
    atomic_accesses
        LOOKUPs and GETs whose caller can't sleep.
    shared_gets
        GETs of a page on which another pin is live.
    peak_live, mean_live
        Live pins, their peak and the mean after each event.
    areas, large_areas
        2 MiB and 1 GiB areas of the device that some access touched.
    split, mean_split, peak_live_areas
        2 MiB areas in which some page was pinned, never joined again; the mean of their number
        after each event; and the most areas that had a live pin at once.
    split_accesses, atomic_splits
        Accesses to split areas, and splits whose caller can't sleep.
    hottest
        Writes of the line of descriptors that is written most.
    """

    lookups: int = 0
    gets: int = 0
    puts: int = 0
    atomic_accesses: int = 0
    shared_gets: int = 0
    peak_live: int = 0
    mean_live: float = 0.0
    areas: int = 0
    large_areas: int = 0
    split: int = 0
    mean_split: float = 0.0
    peak_live_areas: int = 0
    split_accesses: int = 0
    atomic_splits: int = 0
    hottest: int = 0

    @property
    def accesses(self) -> int:
        """LOOKUPs and GETs."""
        return self.lookups + self.gets

    @property
    def writes(self) -> int:
        """Writes of a reference count."""
        return self.gets + self.puts


def follow(trace: Replayable, params: Params) -> Followed:
    """Follow all events of a trace.

    Raises
    ------
    TraceError
        If the trace's page size or one of its pfns is not the region's.
    ParameterError
        If the bitmaps of the region's areas would not fit in memory.
    """
    following = Following(trace, params)
    drive(trace, params, [following])
    return following.followed()


class Following:
    """A run, for `pfnlab.engine.feeding`, that replays nothing."""

    def __init__(self, trace: Replayable, params: Params) -> None:
        trace.check(params)
        self.n_events = len(trace)
        self.sizes = kernel.Sizes(
            first_pfn=params.first_pfn,
            area_shift=_shift(AREA_BYTES, params.page_bytes),
            large_shift=_shift(LARGE_AREA_BYTES, params.page_bytes),
            line_shift=_shift(LINE_BYTES, params.descriptor_bytes),
        )
        self.kept = kept_codes(trace) if isinstance(trace, Trace) else None
        self.settler = Settler(trace.name)
        self.state = _state(params, self.sizes)

    def feed(self, events: Events) -> None:
        """Follow the next events."""
        if self.kept is None:
            codes = self.settler.codes(events)
        else:
            codes = self.kept[events.start : events.start + len(events.pfns)]
        done, end = 0, len(events.pfns)
        while (done := kernel.follow(self.sizes, self.state, events.pfns, codes, done, end)) < end:
            self.state = _larger(self.state)

    def results(self) -> list[Result]:
        """Return nothing: what was counted is in `followed`."""
        return []

    def followed(self) -> Followed:
        """Return the counts, by their names."""
        count = [int(value) for value in self.state.counts]
        return Followed(
            lookups=count[kernel.LOOKUPS],
            gets=count[kernel.GETS],
            puts=count[kernel.PUTS],
            atomic_accesses=count[kernel.ATOMIC_ACCESSES],
            shared_gets=count[kernel.SHARED_GETS],
            peak_live=count[kernel.PEAK_LIVE],
            mean_live=count[kernel.LIVE_SUM] / max(self.n_events, 1),
            areas=count[kernel.AREAS],
            large_areas=count[kernel.LARGE_AREAS],
            split=count[kernel.SPLIT],
            mean_split=count[kernel.SPLIT_SUM] / max(self.n_events, 1),
            peak_live_areas=count[kernel.PEAK_LIVE_AREAS],
            split_accesses=count[kernel.SPLIT_ACCESSES],
            atomic_splits=count[kernel.ATOMIC_SPLITS],
            hottest=count[kernel.HOTTEST],
        )


def _shift(large: int, small: int) -> int:
    return max(0, (large // small).bit_length() - 1)


def _state(params: Params, sizes: kernel.Sizes) -> kernel.Following:
    n_pages = Geometry.of(params).n_pages
    n_words = [
        (n_pages >> shift) // 64 + 1
        for shift in (sizes.area_shift, sizes.large_shift, sizes.area_shift)
    ]
    check_region_fits(params, 8 * sum(n_words), "the bitmaps of its areas")
    touched, touched_large, split = (np.zeros(words, np.uint64) for words in n_words)
    live_pfns, pins = page_counts.table(_PLACES)
    live_areas, area_pins = page_counts.table(_PLACES)
    lines, writes = page_counts.table(_PLACES)
    return kernel.Following(
        touched, touched_large, split, live_pfns, pins, live_areas, area_pins, lines, writes,
        counts=np.zeros(kernel.N_COUNTS, np.int64),
    )  # fmt: skip


def _larger(state: kernel.Following) -> kernel.Following:
    """Return the state with every table that is half full four times as large."""
    counts = state.counts
    named = (
        ("live_pfns", "pins", kernel.LIVE_PFNS),
        ("live_areas", "area_pins", kernel.LIVE_AREAS),
        ("lines", "writes", kernel.LINES),
    )
    for keys_name, numbers_name, place in named:
        keys, numbers = getattr(state, keys_name), getattr(state, numbers_name)
        if counts[place] >= len(keys) // 2:
            grown = page_counts.larger(keys, numbers)
            larger: dict[str, Any] = dict(zip((keys_name, numbers_name), grown, strict=True))
            state = state._replace(**larger)
    return state
