"""`timeline`: a replay watched as it goes: what it counts by and by, and what is resident where."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pfnlab.engine import counters
from pfnlab.engine.mechanism import Mechanism
from pfnlab.engine.plan import planned
from pfnlab.engine.policies import Order
from pfnlab.engine.result import Result
from pfnlab.kernels import state as tables
from pfnlab.kernels.bits import count_portions
from pfnlab.kernels.policies import s3fifo, shared
from pfnlab.params import Params, units
from pfnlab.params.geometry import Geometry
from pfnlab.params.memory import check_region_fits
from pfnlab.params.policies import WHOLE_CHUNK_POLICIES
from pfnlab.traces.columns import Events
from pfnlab.traces.sources import Replayable

N_COLUMNS, N_ROWS = 160, 72
#: Events of a streamed trace that are looked at together, so that Ctrl-C never waits long.
_PIECE_EVENTS = 1 << 20

Indices = npt.NDArray[np.int64]

#: Counters of a timeline's columns.
_COUNTED = ("faults", "cold_faults", "atomic_faults", "puts", "shootdowns", "pinned_skips",
            "evicted_chunks")  # fmt: skip
#: What an order that has a kernel of its own tells of them; the others are 0.
_BY_ORDERS = {
    "faults": shared.FAULTS,
    "shootdowns": shared.PASSES,
    "evicted_chunks": shared.EVICTED_CHUNKS,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Area:
    """A part of the vmemmap that one row of a map stands for.

    Attributes
    ----------
    first_chunk, last_chunk
        Both inclusive; chunks between them that nothing touches take no part.
    n_chunks, n_granules
        Chunks and granules of it that the trace touches.
    """

    first_chunk: int
    last_chunk: int
    n_chunks: int
    n_granules: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timeline:
    """A replay and its course.

    Attributes
    ----------
    result
        All counters, equal to those of `pfnlab.replay`.
    source, n_events
        Name and events of the trace.
    columns
        A row for each column of time: ``end`` (events replayed by then), ``accesses``,
        ``faults``, ``cold_faults``, ``atomic_faults``, ``puts``, ``shootdowns``, ``pinned_skips``
        and ``evicted_chunks`` within it, and ``resident_bytes`` at its end.
    areas
        What the rows of `residency` stand for, by ascending place in the vmemmap.
    residency
        Resident granules at the end of each column, int64, shape (areas, columns); None for a
        policy whose kernel does not tell.
    """

    result: Result
    source: str
    n_events: int
    columns: pd.DataFrame
    areas: tuple[Area, ...]
    residency: Indices | None


def timeline(
    trace: Replayable,
    params: Params,
    *,
    n_columns: int = N_COLUMNS,
    n_rows: int = N_ROWS,
    on_events: Callable[[int], None] = lambda n: None,
    ends: Indices | None = None,
) -> Timeline:
    """Replay a trace and watch it: faults and resident bytes by and by, and what is resident where.

    Parameters
    ----------
    trace, params
        As for `pfnlab.replay`.
    n_columns
        Moments at which it is looked at, equal numbers of events apart.
    n_rows
        Areas of the vmemmap that are told apart at most; each has as many touched chunks.
    on_events
        Called with the number of events done since the last call; it may raise.
    ends
        Events after which to look instead, ascending, the last one the trace's length.

    Raises
    ------
    TraceError, ParameterError
        As `pfnlab.replay`; also for fewer than one column or row.
    """
    for name, value in (("n_columns", n_columns), ("n_rows", n_rows)):
        units.whole(name, value, 1)
    trace.check(params)
    whole = params.policy in WHOLE_CHUNK_POLICIES
    run = planned(trace, params) if whole else Mechanism(trace, params)
    places = _Places(trace, params, n_rows)
    if ends is None:
        ends = np.arange(1, n_columns + 1) * len(trace) // n_columns
    course = _Course(run, places, len(ends))
    for column, events in _by_column(trace, params, ends):
        run.feed(events)
        on_events(len(events.pfns))
        if events.start + len(events.pfns) == ends[column]:
            course.look(column)
    return course.told(trace, ends)


def _by_column(trace: Replayable, params: Params, ends: Indices) -> Iterator[tuple[int, Events]]:
    """Yield the events piece by piece, none of which goes beyond the end of its column."""
    for piece in trace.pieces(params, _PIECE_EVENTS):
        done, stop = piece.start, piece.start + len(piece.pfns)
        while done < stop:
            column = int(np.searchsorted(ends, done, side="right"))
            upto = min(stop, int(ends[column]))
            yield column, piece.part(done - piece.start, upto - piece.start)
            done = upto


class _Places:
    """What a trace touches of the vmemmap, in areas of about as many touched chunks."""

    def __init__(self, trace: Replayable, params: Params, n_rows: int) -> None:
        geometry = Geometry.of(params)
        of_chunk = params.chunk_bytes // params.granule_bytes
        needed = geometry.n_granules // 64 + geometry.n_chunks
        check_region_fits(params, needed, "the map of a replay")
        touched = np.zeros(-(-geometry.n_granules // 64), np.bool_)
        chunks = np.zeros(geometry.n_chunks, np.bool_)
        for events in trace.pieces(params, _PIECE_EVENTS):
            granules = geometry.granules_of(events.pfns)
            touched[granules >> 6] = True
            chunks[granules // of_chunk] = True
        self.words, self.chunks = np.flatnonzero(touched), np.flatnonzero(chunks)
        n_areas = min(n_rows, len(self.chunks))
        cuts = np.arange(n_areas + 1) * len(self.chunks) // max(n_areas, 1)
        self.n_chunks = np.diff(cuts)
        self.first_chunk, self.last_chunk = self.chunks[cuts[:-1]], self.chunks[cuts[1:] - 1]
        self.first, self.last = self.first_chunk * of_chunk, (self.last_chunk + 1) * of_chunk - 1
        low = np.searchsorted(self.words, self.first >> 6)
        high = np.searchsorted(self.words, self.last >> 6, side="right")
        # Two areas may share a word, so each has a list of its own.
        lists = [self.words[a:b] for a, b in zip(low, high, strict=True)]
        self.places = np.concatenate([np.zeros(0, np.int64), *lists])
        self.starts = np.concatenate([[0], np.cumsum(high - low)]).astype(np.int64)

    def count(self, bitmap: npt.NDArray[np.uint64]) -> Indices:
        """Return the granules of each area whose bits are set."""
        out = np.zeros(len(self.first), np.int64)
        if len(out):
            count_portions(bitmap, self.places, self.starts, self.first, self.last, out)
        return out

    def count_chunks(self, chunks: Indices) -> Indices:
        """Return how many of some chunks, all of them touched, each area has."""
        area = np.searchsorted(self.last_chunk, chunks)
        return np.bincount(area, minlength=len(self.first)).astype(np.int64)

    def areas(self, n_granules: Indices) -> tuple[Area, ...]:
        """Return the areas, told how many granules of each are ever populated."""
        columns = (self.first_chunk, self.last_chunk, self.n_chunks, n_granules)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return tuple(
            Area(first_chunk=first, last_chunk=last, n_chunks=n, n_granules=granules)
            for first, last, n, granules in rows
        )


class _Course:
    """What is seen of a run at the ends of the columns."""

    def __init__(self, run: object, places: _Places, n_columns: int) -> None:
        self.run, self.places = run, places
        n_counts = tables.N_COUNTS if isinstance(run, Mechanism) else shared.N_COUNTS
        self.counts = np.zeros((n_columns + 1, n_counts), np.int64)
        self.seen = np.zeros(n_columns, np.bool_)
        self.maps = np.zeros((n_columns, len(places.first)), np.int64)
        self.tells = True

    def look(self, column: int) -> None:
        """Note what the run has counted by the end of a column, and what is resident."""
        run = self.run
        assert isinstance(run, Mechanism | Order)
        self.counts[column + 1] = run.state.counts
        self.seen[column] = True
        if isinstance(run, Mechanism):
            self.maps[column] = self.places.count(run.state.resident)
        elif run.params.policy == "s3fifo":
            levels = run.state.levels[self.places.chunks + 1]
            self.maps[column] = self.places.count_chunks(self.places.chunks[levels >= s3fifo.SMALL])
        else:
            self.tells = False

    def told(self, trace: Replayable, ends: Indices) -> Timeline:
        """Return everything, once all events are replayed."""
        run = self.run
        assert isinstance(run, Mechanism | Order)
        for column in np.flatnonzero(~self.seen):  # no event ended here
            self.counts[column + 1] = self.counts[column]
            if column:  # before the first event nothing is resident
                self.maps[column] = self.maps[column - 1]
        (result,) = run.results()
        is_mechanism = isinstance(run, Mechanism)
        ever = self.places.count(run.state.ever) if is_mechanism else self.places.n_chunks
        resident = tables.RESIDENT if is_mechanism else shared.RESIDENT
        return Timeline(
            result=result,
            source=trace.name,
            n_events=len(trace),
            columns=self._columns(ends, is_mechanism, resident, run.params.granule_bytes),
            areas=self.places.areas(ever),
            residency=self.maps.T if self.tells else None,
        )

    def _columns(
        self, ends: Indices, is_mechanism: bool, resident: int, granule_bytes: int
    ) -> pd.DataFrame:
        added = np.diff(self.counts, axis=0)
        known = counters.ADDED if is_mechanism else _BY_ORDERS
        zeros = np.zeros(len(ends), np.int64)
        counted = {n: added[:, known[n]] if n in known else zeros for n in _COUNTED}
        accesses = np.diff(ends, prepend=0) - counted["puts"]
        return pd.DataFrame(
            {"end": ends, "accesses": accesses}
            | counted
            | {"resident_bytes": self.counts[1:, resident] * granule_bytes}
        )
