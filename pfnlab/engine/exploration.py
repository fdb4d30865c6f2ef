"""What the explorer shows of one configuration: a sample of the trace at once, then all of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pfnlab.engine import replay_many, sampling
from pfnlab.engine.result import Result
from pfnlab.engine.timeline import Timeline, timeline
from pfnlab.params import Params
from pfnlab.params.geometry import Geometry
from pfnlab.traces.sources import Replayable

#: Columns of the timeline while a sample is shown, and later.
SAMPLE_COLUMNS, EXACT_COLUMNS = 80, 160
#: The curve goes from a chunk, or the footprint / 2**7, to the footprint, in half powers of two.
_SPAN_SHIFT = 7
#: Samples, curves and footprints that are kept for the next look.
_MOST_KEPT = 24

Look = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explored:
    """One configuration of one trace, looked at from four sides.

    Attributes
    ----------
    params
        The configuration.
    timeline
        The replay and its course; of a sample, sizes and counts stand for the whole trace.
    curve
        Results under other thresholds, ascending, all else the same.
    footprint_bytes
        Descriptors in the distinct granules that are touched.
    divisor
        1 if everything is exact; else N of `pfnlab.engine.sampling`.
    """

    params: Params
    timeline: Timeline
    curve: tuple[Result, ...]
    footprint_bytes: int
    divisor: int

    @property
    def result(self) -> Result:
        """What the replay counted, or the sample says it would."""
        return self.timeline.result

    @property
    def status(self) -> str:
        """How far the pictures can be trusted: ``exact`` or ``sample 1/N``."""
        return sampling.status(self.divisor)

    def on_cpus(self, n_cpus: int) -> Explored:
        """Return the same for another number of CPUs, which changes no counter."""
        params = self.params.replace(n_cpus=n_cpus)
        result = replace(self.result, params=self.result.params.replace(n_cpus=n_cpus))
        return replace(self, params=params, timeline=replace(self.timeline, result=result))


class Exploration:
    """A trace that is looked at under one configuration after another.

    Whatever a change of parameters leaves as it was is kept from the last look: the sample, the
    footprint, the curve while only the threshold moves.
    """

    def __init__(self, trace: Replayable) -> None:
        self.trace = trace
        self._kept: dict[Any, Any] = {}
        self._lock = threading.Lock()  # a sample and everything may be looked at in two threads

    def sample(self, params: Params) -> Explored | None:
        """Look at a sample; None where none would be smaller than the trace and tell something.

        Raises
        ------
        TraceError, ParameterError
            As `pfnlab.replay`.
        """
        self.trace.check(params)
        sizes = _sizes(params)
        touched = self._once(("chunks", sizes), lambda: sampling.touched_chunks(self.trace, params))
        divisor = sampling.divisor(self.trace, params, len(touched))
        if divisor == 1:
            return None
        small: sampling.Sample = self._once(
            ("sample", sizes, divisor),
            lambda: sampling.sampled(self.trace, params, touched, divisor),
        )
        seen = self._timeline(small, params)
        curve = self._once(
            ("curve", _but_threshold(params), divisor), lambda: self._curve_of(small, params)
        )
        return self._explored(params, seen, curve, divisor)

    def exact(self, params: Params, look: Look = lambda n: None) -> Explored:
        """Look at every event; `look` is told of events done, and may raise to stop it.

        Raises
        ------
        TraceError, ParameterError
            As `pfnlab.replay`.
        """
        seen = timeline(self.trace, params, n_columns=EXACT_COLUMNS, on_events=look)
        curve = self._once(
            ("curve", _but_threshold(params), 1),
            lambda: _results(self.trace, self._points(params), look),
        )
        return self._explored(params, seen, curve, 1)

    def _explored(
        self, params: Params, seen: Timeline, curve: tuple[Result, ...], divisor: int
    ) -> Explored:
        return Explored(
            params=params,
            timeline=seen,
            curve=curve,
            footprint_bytes=self._footprint(params),
            divisor=divisor,
        )

    def _timeline(self, sample: sampling.Sample, params: Params) -> Timeline:
        """Watch a replay of a sample; its columns end where those of the whole trace would."""
        ends = np.arange(1, SAMPLE_COLUMNS + 1) * sample.n_events // SAMPLE_COLUMNS
        within = np.searchsorted(sample.kept, ends)
        seen = timeline(sample.trace, sample.params(params), ends=within)
        scale = sample.scales(seen.columns.columns)
        of_whole = [
            replace(area, first_chunk=int(sample.chunks[area.first_chunk]),
                    last_chunk=int(sample.chunks[area.last_chunk]))
            for area in seen.areas
        ]  # fmt: skip
        return replace(
            seen,
            result=sample.enlarged(seen.result, params),
            n_events=sample.n_events,
            columns=(seen.columns * scale).round().assign(end=ends),
            areas=tuple(of_whole),
        )

    def thresholds(self, params: Params) -> list[int]:
        """Return the thresholds of the curve, ascending, in bytes."""
        return thresholds(params, self._footprint(params))

    def _points(self, params: Params) -> list[Params]:
        """Return the configurations of the curve."""
        return [params.replace(threshold_bytes=step) for step in self.thresholds(params)]

    def _curve_of(self, sample: sampling.Sample, params: Params) -> tuple[Result, ...]:
        """Return the curve of a sample, from where on it holds a chunk."""
        least = sample.divisor * params.chunk_bytes
        asked = [point for point in self._points(params) if point.threshold_bytes >= least]
        found = _results(sample.trace, [sample.params(point) for point in asked], lambda n: None)
        return tuple(
            sample.enlarged(result, point) for result, point in zip(found, asked, strict=True)
        )

    def _footprint(self, params: Params) -> int:
        geometry = Geometry.of(params.replace(chunk_bytes=params.granule_bytes))
        found: int = self._once(("footprint", geometry), lambda: self.trace.footprint_bytes(params))
        return found

    def _once(self, key: Any, find: Callable[[], Any]) -> Any:
        """Return what was found for `key`, or find it; what was not used for longest goes."""
        with self._lock:
            found = self._kept.pop(key, None)
        if found is None:
            found = find()
        with self._lock:
            self._kept[key] = found
            while len(self._kept) > _MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
        return found


def _results(trace: Replayable, points: list[Params], look: Look) -> tuple[Result, ...]:
    found = dict(replay_many(trace, points, look=look))
    return tuple(found[i] for i in range(len(points)))


def explore(trace: Replayable, params: Params, *, on_events: Look = lambda n: None) -> Explored:
    """Look at one configuration of a trace from four sides, exactly.

    Parameters
    ----------
    trace, params
        As for `pfnlab.replay`.
    on_events
        Called with the number of events done since the last call; it may raise.

    Raises
    ------
    TraceError, ParameterError
        As `pfnlab.replay`.
    """
    return Exploration(trace).exact(params, on_events)


def under_pressure(trace: Replayable, params: Params) -> Params:
    """Return `params` if its threshold evicts anything, else with about a quarter of the footprint.

    A power of two, or a chunk: where to begin to look.

    Raises
    ------
    TraceError
        As `pfnlab.replay`.
    """
    footprint = trace.footprint_bytes(params)
    if params.threshold_bytes < footprint:
        return params
    quarter = 1 << max(footprint // 4, 1).bit_length() - 1
    return params.replace(threshold_bytes=max(quarter, params.chunk_bytes))


def thresholds(params: Params, footprint_bytes: int) -> list[int]:
    """Return thresholds from a chunk up to the footprint, in half powers of two, in bytes."""
    top = (max(footprint_bytes, params.chunk_bytes) - 1).bit_length()
    bottom = max(params.chunk_bytes.bit_length() - 1, top - _SPAN_SHIFT)
    steps = {round(2 ** (half / 2)) for half in range(2 * bottom, 2 * top + 1)}
    granule = params.granule_bytes
    return sorted({max(step // granule * granule, params.chunk_bytes) for step in steps})


def _sizes(params: Params) -> tuple[Geometry, int]:
    """Return what decides which chunk a pfn is on."""
    return Geometry.of(params.replace(granule_bytes=params.chunk_bytes)), params.page_bytes


def _but_threshold(params: Params) -> Params:
    """Return what a curve is one of: nothing that moves along it, or that changes no counter."""
    return params.replace(threshold_bytes=params.chunk_bytes, n_cpus=1)
