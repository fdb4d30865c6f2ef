"""What a sweep would take, from passes over the first events of its source: nothing is kept."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from pfnlab.engine.many import most_table_bytes
from pfnlab.params import Params
from pfnlab.sweeps.axes import Grid, Point
from pfnlab.sweeps.per_region import Drawn
from pfnlab.sweeps.rows import ROW_BYTES, rows_of
from pfnlab.sweeps.scheduling import looks_up_only, passes
from pfnlab.traces.sources import Source
from pfnlab.traces.trace import Trace
from pfnlab.traces.views import first_events
from pfnlab.traces.workloads import Spec

#: Events of a sample, and passes that are timed on it.
_SAMPLE_EVENTS, _SAMPLED_PASSES = 1 << 20, 8
#: A shorter trace, by this factor, tells what a pass takes before its first event.
_SHORTER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a sweep would take on this machine.

    Attributes
    ----------
    n_points, n_passes
        Points of the grid, and passes over the trace that count them.
    n_events
        Events of the trace.
    seconds
        Time of all passes on `n_workers` at once, by what a sample of `sampled_events` took.
    memory_bytes
        Trace, tables of the passes that run at once, and rows; tables count whole, though pages
        of them that no event touches take nothing.
    """

    n_points: int
    n_passes: int
    n_events: int
    seconds: float
    memory_bytes: int
    sampled_events: int
    n_workers: int


def estimate(
    source: Source,
    params: Params | None = None,
    axes: Mapping[str, Sequence[Any]] | None = None,
    *,
    n_workers: int = 1,
    skip_invalid: bool = False,
) -> Estimate:
    """Say what `sweep` would take for the same arguments.

    Up to 8 of its passes are run over the first 2**20 events and over a quarter of them, which
    tells what an event more takes. What passes of one sweep share is not seen, so the sweep
    itself may take half as long.

    Raises
    ------
    ParameterError, TraceError
        As `sweep`, before anything is replayed.
    """
    grid = Grid(params or Params(), axes or {}, skip_invalid)
    n_points = sum(1 for _ in grid)
    every = list(passes(grid.sharing(), cache(partial(looks_up_only, source))))
    chosen = [every[place] for place in _spread(len(every))]
    samples: dict[tuple[int | str, ...], tuple[Trace, int]] = {}
    for first, *_ in chosen:
        if first.region not in samples:
            samples[first.region] = _sample(source, first.params)
    sampled = [_Sampled(*samples[group[0].region], group) for group in chosen]
    n_events, at_once = sampled[0].n_events, min(n_workers, len(every))
    tables = max(each.table_bytes() for each in sampled)
    return Estimate(
        n_points=n_points,
        n_passes=len(every),
        n_events=n_events,
        seconds=float(np.mean([each.seconds() for each in sampled])) * len(every) / at_once,
        memory_bytes=sampled[0].trace_bytes() + tables * at_once + ROW_BYTES * n_points,
        sampled_events=len(sampled[0].trace),
        n_workers=n_workers,
    )


def _spread(n_passes: int) -> list[int]:
    """Return which passes are timed: evenly spread, for neighbours take alike."""
    n_chosen = min(n_passes, _SAMPLED_PASSES)
    return [(2 * i + 1) * n_passes // (2 * n_chosen) for i in range(n_chosen)]


@dataclass(frozen=True, slots=True)
class _Sampled:
    """A pass, and the first events of the trace that it goes over."""

    trace: Trace
    n_events: int
    points: list[Point]

    def seconds(self) -> float:
        """Time of the pass over all events: a straight line through those over two samples."""
        short = first_events(self.trace, len(self.trace) // _SHORTER)
        self._time(short)  # compiles
        less, more = self._time(short), self._time(self.trace)
        a_event = max(more - less, 0.0) / max(len(self.trace) - len(short), 1)
        return more + a_event * (self.n_events - len(self.trace))

    def _time(self, trace: Trace) -> float:
        started = time.perf_counter()
        for _ in rows_of(Drawn.of(trace, self.points, {})):
            pass
        return time.perf_counter() - started

    def table_bytes(self) -> int:
        """Most bytes of the tables of the pass."""
        return most_table_bytes(self.trace, Drawn.of(self.trace, self.points, {}).configurations)

    def trace_bytes(self) -> int:
        """Bytes of the events in memory."""
        an_event = sum(column.itemsize for column in self.trace.columns().values())
        return an_event * self.n_events


def _sample(source: Source, params: Params) -> tuple[Trace, int]:
    """Return the first events of a source in a region, and how many there are in all."""
    if isinstance(source, Spec):
        short = source.replace(n_events=min(source.n_events, _SAMPLE_EVENTS))
        return short.trace(params), source.n_events
    whole = source.trace(params)
    return first_events(whole, _SAMPLE_EVENTS, params), len(whole)
