"""Axes to points to a tidy frame: `sweep` replays one source under every point of a grid."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from numbers import Real
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
import pandas as pd
from tqdm import tqdm

from pfnlab.costs import Costs, costs_of
from pfnlab.engine import replay_many
from pfnlab.errors import ParameterError, near
from pfnlab.frames import require
from pfnlab.params import PARAMETERS, Params, parameter_of
from pfnlab.replayable import Evidence, Replayable
from pfnlab.result import Result

#: Axes that give the threshold as a share of the vmemmap, or of the granules the trace touches.
SHARES = ("threshold_fraction", "threshold_of_footprint")
AXES = (*PARAMETERS, *SHARES)
#: Columns from which times follow.
_SIZES = ("granule_bytes", "descriptor_bytes", "n_cpus")
_COUNTED = (
    *("accesses", "atomic_faults", "faults", "refaults", "evicted_granules"),
    *("shootdowns", "ranged_flush_pages", "full_flushes"),
)


class Source(Protocol):
    """Whatever gives a trace for a region: a `Trace`, a placed one, or a workload spec."""

    @property
    def name(self) -> str:
        """What reports call it."""

    @property
    def evidence(self) -> Evidence:
        """Whether its events are references on descriptors or stand in for them."""

    def trace(self, params: Params) -> Replayable:
        """Return the events for the region of `params`."""


class SweepInterrupted(KeyboardInterrupt):
    """A sweep was interrupted; `frame` holds the rows of the points that were finished."""

    def __init__(self, frame: pd.DataFrame, n_points: int) -> None:
        super().__init__(f"{len(frame)} of {n_points} points are done; they are in `.frame`")
        self.frame = frame


@dataclass(frozen=True, slots=True)
class Point:
    """One configuration of a grid; `share` is the axis that sets its threshold, if one does."""

    index: int
    params: Params
    share: str = ""
    value: float = 0.0

    def with_threshold(self, whole_bytes: int) -> Params:
        """Return the parameters with the threshold a share of `whole_bytes`, one chunk at least."""
        # Beyond any region a larger share changes nothing, and a float may be as large as it likes.
        largest = PARAMETERS["threshold_bytes"].maximum
        threshold = max(int(min(self.value * whole_bytes, largest)), self.params.chunk_bytes)
        return self.params.replace(threshold_bytes=threshold)


def points(
    params: Params, axes: Mapping[str, Sequence[Any]], *, skip_invalid: bool = False
) -> list[Point]:
    """Return every point of the grid that `axes` span around `params`, the last axis fastest.

    Raises
    ------
    ParameterError
        For an unknown or empty axis, two axes that both set the threshold, or a point whose
        parameters can't stand together (with `skip_invalid` such points are left out).
    """
    check_axes(axes)
    found: list[Point] = []
    for values in product(*axes.values()):
        point = _point(len(found), params, dict(zip(axes, values, strict=True)), skip_invalid)
        if point is not None:
            found.append(point)
    if not found:
        names = ", ".join(axes)
        raise ParameterError(
            names, "?", "no point of the grid has parameters that can stand together"
        )
    return found


def check_axes(axes: Mapping[str, Sequence[Any]]) -> None:
    """Refuse an axis that is unknown, no list, empty or set twice."""
    for name, values in axes.items():
        if name not in AXES:
            raise ParameterError(name, values, f"no such axis; {near(name, AXES)}")
        if isinstance(values, str | bytes) or not hasattr(values, "__len__") or not len(values):
            raise ParameterError(name, values, "an axis must be a list of values, at least one")
    setting = [name for name in (*SHARES, "threshold_bytes") if name in axes]
    if len(setting) > 1:
        raise ParameterError(setting[0], axes[setting[0]], f"{setting[1]} sets the threshold too")


def _point(index: int, params: Params, values: dict[str, Any], skip: bool) -> Point | None:
    share = next((name for name in SHARES if name in values), "")
    value = _share(share, values.pop(share)) if share else 0.0
    try:
        if share:  # stands in until the share's whole is known
            chunk = values.get("chunk_bytes", params.chunk_bytes)
            values["threshold_bytes"] = parameter_of("chunk_bytes").parse(chunk)
        return Point(index, params.replace(**values), share, value)
    except ParameterError:
        # A value that is wrong by itself is a mistake; only what can't stand together is skipped.
        for name, single in values.items():
            parameter_of(name).parse(single)
        if skip:
            return None
        raise


def _share(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ParameterError(name, value, "must be a number above 0")
    if not 0 < float(value) < math.inf:
        raise ParameterError(name, value, "must be a number above 0")
    return float(value)


def sweep(
    source: Source,
    params: Params | None = None,
    *,
    costs: str | Costs | None = None,
    executor: int | None = None,
    skip_invalid: bool = False,
    **axes: Sequence[Any],
) -> pd.DataFrame:
    """Replay `source` under every point of a grid and return a tidy frame, one row a point.

    Parameters
    ----------
    source
        A `Trace`, a placed trace or a workload spec; the last two are drawn anew for every region.
    params
        What the axes do not set.
    costs
        A preset's name or a `Costs`, which adds ``*_ns`` columns.
    executor
        None replays one point after the other, an int on so many threads.
    skip_invalid
        Leave out points whose parameters can't stand together (a granule above its chunk)
        instead of refusing the grid.
    **axes
        Lists of values by the names of `Params` fields, ``threshold_fraction`` (of the vmemmap)
        or ``threshold_of_footprint`` (of the granules the trace touches, in bytes).

    Returns
    -------
    pandas.DataFrame
        Every parameter, counter and derived ratio by its name, ``source`` and ``evidence``.

    Raises
    ------
    ParameterError, TraceError
        Before anything is replayed for parameters; before its first replay for a trace.
    SweepInterrupted
        On Ctrl-C, with the finished rows in ``.frame``.
    """
    if not callable(getattr(source, "trace", None)):
        raise ParameterError(
            "source", source, "must be a Trace or a workload, not its name or file"
        )
    todo = points(params or Params(), axes, skip_invalid=skip_invalid)
    chosen = None if costs is None else costs_of(costs)
    n_threads = _n_threads(executor)
    rows: dict[int, dict[str, Any]] = {}
    try:
        with tqdm(total=len(todo), desc=source.name, unit="point", disable=None) as bar:
            for point, row in _rows(source, todo, n_threads):
                rows[point.index] = row
                bar.update()
    except KeyboardInterrupt:
        raise SweepInterrupted(_frame(rows, chosen), len(todo)) from None
    return _frame(rows, chosen)


def _n_threads(executor: object) -> int:
    if executor is None:
        return 1
    if isinstance(executor, bool) or not isinstance(executor, int) or executor < 1:
        raise ParameterError("executor", executor, "must be None or a number of threads")
    return executor


def _region_of(point: Point) -> tuple[int, int, int, int]:
    """Return what a source is drawn for: points that agree in it share one trace."""
    params = point.params
    return params.region_bytes, params.first_pfn, params.page_bytes, params.seed


@dataclass(frozen=True, slots=True)
class Drawn:
    """The points of one region, with the events of a source that was drawn for it."""

    trace: Replayable
    points: list[Point]
    footprints: Mapping[int, int]  # bytes, by granule size, as far as they are needed
    configurations: list[Params]  # of the points, shares turned into thresholds


def drawn(source: Source, todo: list[Point]) -> Iterator[Drawn]:
    """Draw a source for one region after another, so that one trace is in memory at a time."""
    for _, group in groupby(sorted(todo, key=_region_of), key=_region_of):
        same_region = list(group)
        trace = source.trace(same_region[0].params)
        footprints = _footprints(trace, same_region)
        configurations = [_with_threshold(point, footprints) for point in same_region]
        yield Drawn(trace, same_region, footprints, configurations)


def _rows(
    source: Source, todo: list[Point], n_threads: int
) -> Iterator[tuple[Point, dict[str, Any]]]:
    """Replay all points and yield their rows as they are finished."""
    for region in drawn(source, todo):
        replays = replay_many(region.trace, region.configurations, n_threads=n_threads)
        for index, result in replays:
            point, granule = region.points[index], result.params.granule_bytes
            footprint = region.footprints.get(granule, result.cold_faults * granule)
            yield point, _row(region.trace, point, footprint, result)


def _with_threshold(point: Point, footprints: Mapping[int, int]) -> Params:
    """Return the parameters of a point, its share turned into a threshold."""
    if not point.share:
        return point.params
    of_footprint = point.share == "threshold_of_footprint"
    whole = footprints[point.params.granule_bytes] if of_footprint else point.params.vmemmap_bytes
    return point.with_threshold(whole)


def _footprints(trace: Replayable, same_region: list[Point]) -> dict[int, int]:
    """Footprint of the trace in bytes, by granule size.

    It is left out where a replay finds it anyway: every granule that a sleepable lookup touches
    is populated once for the first time.
    """
    found_anyway = not trace.has_ops and not trace.has_atomic
    needed = [p for p in same_region if not found_anyway or p.share == "threshold_of_footprint"]
    by_granule = {point.params.granule_bytes: point.params for point in needed}
    return {granule: trace.footprint_bytes(params) for granule, params in by_granule.items()}


def _row(trace: Replayable, point: Point, footprint: int, result: Result) -> dict[str, Any]:
    params = result.params
    return {
        "source": trace.name,
        "evidence": trace.evidence,
        "n_events": len(trace),
        **params.as_dict(),
        "vmemmap_bytes": params.vmemmap_bytes,
        "footprint_bytes": footprint,
        **({point.share: point.value} if point.share else {}),
        **result.counts(),
    }


def _frame(rows: Mapping[int, dict[str, Any]], costs: Costs | None) -> pd.DataFrame:
    ordered = [rows[index] for index in sorted(rows)]
    return priced(pd.DataFrame(ordered), costs) if costs and ordered else pd.DataFrame(ordered)


def priced(frame: pd.DataFrame, costs: str | Costs) -> pd.DataFrame:
    """Return `frame` with the ``*_ns`` columns of `costs`; nothing is replayed.

    Raises
    ------
    FrameError
        If the frame lacks a parameter or a counter that times follow from.
    """
    chosen = costs_of(costs)
    require(frame, [*_SIZES, *_COUNTED])
    columns = {name: frame[name].to_numpy(np.float64) for name in (*_SIZES, *_COUNTED)}
    sizes = SimpleNamespace(**{name: columns[name] for name in _SIZES})
    times = {"costs": chosen.name} | chosen.times(columns, sizes)
    return frame.drop(columns=[name for name in times if name in frame]).assign(**times)
