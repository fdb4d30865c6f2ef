"""A trace at a glance: the figures that decide how its descriptors can be held, and a heat map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pfnlab.engine import replay_many
from pfnlab.engine.descriptor_use import follow
from pfnlab.params import PARAMETERS, Params
from pfnlab.params.geometry import Geometry
from pfnlab.params.units import KIB, MIB
from pfnlab.traces.columns import Events
from pfnlab.traces.footprint import Footprint
from pfnlab.traces.requests import PUT
from pfnlab.traces.sources import Evidence, Replayable
from pfnlab.traces.streamed import StreamedTrace
from pfnlab.traces.trace import Trace

#: Granules whose footprint is told, and shares of it that are tried as thresholds.
GRANULES = (4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 2 * MIB)
SHARES = (0.1, 0.25, 0.5)
#: A heat map's row is 128 MiB of pages at first, and twice as many whenever rows would be more.
_AREA_BYTES, _MOST_ROWS = 128 * MIB, 4096
_PIECE_EVENTS = 1 << 20

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heat:
    """Accesses by time and place.

    Attributes
    ----------
    areas
        Index of each touched area, ascending, int64; areas that nothing touches have no row.
    area_bytes
        Pages of one area, in bytes of the region.
    counts
        Accesses, int64, shape (areas, columns); columns are equal numbers of events.
    """

    areas: Counts
    area_bytes: int
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Portrait:
    """What one pass over a trace tells.

    Attributes
    ----------
    name, evidence, n_events, page_bytes
        Of the trace.
    lookups, gets, puts, atomic_accesses
        Events by what they do; accesses whose callers can't sleep.
    seconds
        From the first event to the last, None if it has no times.
    n_pages, span_bytes
        Distinct pages, and from the lowest to the highest.
    footprints
        Bytes of descriptors in the granules that are touched, by granule size.
    same_page, next_page, same_granule
        Accesses that follow one to the same page, to the page before, and in the same 4 KiB of
        descriptors.
    peak_references, unmatched_puts
        Live references at once, and PUTs without their GET.
    miss_ratios
        Of the mechanism at its default sizes, by the threshold's share of the footprint.
    heat
        Where it touches, and when.
    """

    name: str
    evidence: Evidence
    n_events: int
    page_bytes: int
    lookups: int
    gets: int
    puts: int
    atomic_accesses: int
    seconds: float | None
    n_pages: int
    span_bytes: int
    footprints: dict[int, int]
    same_page: int
    next_page: int
    same_granule: int
    peak_references: int
    unmatched_puts: int
    miss_ratios: dict[float, float]
    heat: Heat

    @property
    def accesses(self) -> int:
        """LOOKUPs and GETs."""
        return self.lookups + self.gets

    @property
    def descriptors_a_granule(self) -> dict[int, float]:
        """Descriptors that are used in a touched granule, on average, by granule size."""
        return {size: self.n_pages * size / max(n, 1) for size, n in self.footprints.items()}


def portrait(
    trace: Replayable, *, n_columns: int = 72, on_events: Callable[[int], None] = lambda n: None
) -> Portrait:
    """Look through a trace in bounded memory.

    Parameters
    ----------
    trace
        In memory or streamed.
    n_columns
        Columns of the heat map.
    on_events
        Told of events looked at, for progress; each is looked at five times.
    """
    params = _region(trace)
    sketch = _Sketch(trace, params, n_columns)
    for events in trace.pieces(params, _PIECE_EVENTS):
        sketch.add(events)
        on_events(len(events.pfns))
    seen = follow(trace, params)
    on_events(len(trace))
    first_ns, last_ns = _times(trace)
    return Portrait(
        name=trace.name,
        evidence=trace.evidence,
        n_events=len(trace),
        page_bytes=trace.page_bytes,
        lookups=seen.lookups,
        gets=seen.gets,
        puts=len(trace) - seen.accesses,
        atomic_accesses=seen.atomic_accesses,
        seconds=(last_ns - first_ns) / 1e9 if last_ns >= first_ns else None,
        n_pages=sketch.pages.footprint_bytes // params.descriptor_bytes,
        span_bytes=(sketch.highest - sketch.lowest + 1) * trace.page_bytes if len(trace) else 0,
        footprints={size: each.footprint_bytes for size, each in sketch.granules.items()},
        same_page=sketch.same_page,
        next_page=sketch.next_page,
        same_granule=sketch.same_granule,
        peak_references=seen.peak_live,
        unmatched_puts=len(trace) - seen.accesses - seen.puts,
        miss_ratios=_miss_ratios(trace, params, sketch, on_events),
        heat=sketch.heat(),
    )


def _region(trace: Replayable) -> Params:
    """Return the smallest region that holds every pfn of the trace.

    A streamed one is read once for that: tables for any region would be far larger and slower.
    """
    if isinstance(trace, Trace):
        last = trace.extent[1] if trace.extent else 0
    else:
        most = PARAMETERS["region_bytes"].maximum
        any_region = Params(region_bytes=most, page_bytes=trace.page_bytes)
        pieces = trace.pieces(any_region, _PIECE_EVENTS)
        last = max((int(events.pfns.max()) for events in pieces), default=0)
    return Params(region_bytes=(last + 1) * trace.page_bytes, page_bytes=trace.page_bytes)


def _times(trace: Replayable) -> tuple[int, int]:
    """Return the earliest and the latest time; the latter is less if there are none."""
    first, last = 0, -1
    if isinstance(trace, StreamedTrace):
        names = ["time_ns"] if "time_ns" in trace.dtypes else []
        blocks = (b["time_ns"] for _, b in trace.blocks(names, _PIECE_EVENTS)) if names else ()
    else:
        times = trace.time_ns if isinstance(trace, Trace) else None
        blocks = () if times is None or not len(times) else (times,)  # type: ignore[assignment]
    for times in blocks:
        low, high = int(times.min()), int(times.max())
        first, last = (low, high) if last < first else (min(first, low), max(last, high))
    return first, last


def _miss_ratios(
    trace: Replayable, params: Params, sketch: _Sketch, on_events: Callable[[int], None]
) -> dict[float, float]:
    """Replay the mechanism with thresholds that are shares of the footprint."""
    whole, least = sketch.granules[params.granule_bytes].footprint_bytes, params.chunk_bytes
    points = [params.replace(threshold_bytes=max(int(s * whole), least)) for s in SHARES]
    results = replay_many(trace, points, look=on_events)
    return dict(sorted((SHARES[i], result.miss_ratio) for i, result in results))


class _Sketch:
    """What grows with each piece of a trace."""

    def __init__(self, trace: Replayable, params: Params, n_columns: int) -> None:
        one = params.replace(granule_bytes=4096, chunk_bytes=2 * MIB)
        self.granules = {
            size: Footprint(Geometry.of(one.replace(granule_bytes=size))) for size in GRANULES
        }
        # Where a granule is one descriptor, the footprint counts pages.
        size = params.descriptor_bytes
        self.pages = Footprint(replace(Geometry.of(one), granule_bytes=size))
        self.same_page = self.next_page = self.same_granule = 0
        self.lowest, self.highest = 2**63, 0
        self._last = -2
        self._granule_shift = Geometry.of(one).granule_pfns.bit_length() - 1
        self._shift = max(_AREA_BYTES // params.page_bytes, 1).bit_length() - 1
        self._page_bytes = params.page_bytes
        self._columns = n_columns
        self._n_events = max(len(trace), 1)
        self._areas = np.zeros(0, np.int64)
        self._counts = np.zeros((0, n_columns), np.int64)

    def add(self, events: Events) -> None:
        """Look at a piece."""
        when = np.arange(events.start, events.start + len(events.pfns))
        pfns = np.asarray(events.pfns, np.int64)
        if events.ops is not None:
            accesses = events.ops != PUT
            when, pfns = when[accesses], pfns[accesses]
        if not len(pfns):
            return
        for footprint in (*self.granules.values(), self.pages):
            footprint.add(pfns)
        steps = np.diff(pfns, prepend=self._last)
        self.same_page += int((steps == 0).sum())
        self.next_page += int((steps == 1).sum())
        granules, last = pfns >> self._granule_shift, self._last >> self._granule_shift
        self.same_granule += int((np.diff(granules, prepend=last) == 0).sum())
        self._last = int(pfns[-1])
        self.lowest = min(self.lowest, int(pfns.min()))
        self.highest = max(self.highest, int(pfns.max()))
        self._paint(pfns, when * self._columns // self._n_events)

    def _paint(self, pfns: Counts, columns: Counts) -> None:
        """Add accesses to the heat map, whose rows grow coarser when they are too many."""
        areas = np.union1d(self._areas, np.unique(pfns >> self._shift))
        while len(areas) > _MOST_ROWS:
            self._shift += 1
            areas = np.unique(areas >> 1)
            self._areas, self._counts = _halved(self._areas, self._counts)
        counts = np.zeros((len(areas), self._columns), np.int64)
        counts[np.searchsorted(areas, self._areas)] = self._counts
        place = np.searchsorted(areas, pfns >> self._shift) * self._columns + columns
        counts += np.bincount(place, minlength=counts.size).reshape(counts.shape)
        self._areas, self._counts = areas, counts

    def heat(self) -> Heat:
        """Return the heat map."""
        return Heat(
            areas=self._areas, area_bytes=self._page_bytes << self._shift, counts=self._counts
        )


def _halved(areas: Counts, counts: Counts) -> tuple[Counts, Counts]:
    """Put each two neighbouring areas together."""
    halves, place = np.unique(areas >> 1, return_inverse=True)
    merged = np.zeros((len(halves), counts.shape[1]), np.int64)
    np.add.at(merged, place, counts)
    return halves, merged


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """Touched areas in a row, put together.

    Attributes
    ----------
    first_area, last_area
        Indices; what lies between them and is not touched is left out.
    begin_bytes
        Where the first begins in the region.
    counts
        Accesses by time, int64.
    """

    first_area: int
    last_area: int
    begin_bytes: int
    counts: Counts


def folded(heat: Heat, most_rows: int) -> list[Row]:
    """Put neighbouring rows of a heat map together until there are few enough to be looked at."""
    parts = np.array_split(np.arange(len(heat.areas)), min(most_rows, max(len(heat.areas), 1)))
    return [
        Row(
            first_area=int(heat.areas[part[0]]),
            last_area=int(heat.areas[part[-1]]),
            begin_bytes=int(heat.areas[part[0]]) * heat.area_bytes,
            counts=heat.counts[part].sum(axis=0),
        )
        for part in parts
        if len(part)
    ]
