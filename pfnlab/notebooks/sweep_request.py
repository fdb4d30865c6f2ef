"""A request by flat names: fields of `Params`, lists of them to sweep, sources and costs.

A parameters cell, a parameter file and the flags of a sweep use the same names.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import pandas as pd

from pfnlab.errors import ParameterError, TraceError, near
from pfnlab.frames import write_frame
from pfnlab.notebooks.sources import opener_of, text_of
from pfnlab.params import PARAMETERS, Params
from pfnlab.params.costs import DEFAULT_PRESET, Costs, costs_of
from pfnlab.params.regions import Region
from pfnlab.params.regions import region as region_of
from pfnlab.sweeps import drawn, sweep
from pfnlab.sweeps.axes import AXES, REGION, THRESHOLDS, Grid, check_axes, points
from pfnlab.sweeps.failures import Failed, PointError, StoreError, SweepInterrupted
from pfnlab.sweeps.provenance import flat, remembered
from pfnlab.traces.sources import Replayable, Source
from pfnlab.traces.streamed import StreamedTrace
from pfnlab.traces.trace import Trace

RUN_NAMES = ("source", "costs", "out")
AXIS_NAMES = tuple(f"{name}_axis" for name in AXES)
#: Every name that a request may have.
NAMES = (*PARAMETERS, *RUN_NAMES, *AXIS_NAMES)
#: Points of a grid, each of which is checked before the first is replayed.
MOST_POINTS = 10**6

T = TypeVar("T")
#: Gets a source's events, the parameters and the costs; returns rows.
Measure = Callable[[Replayable, Params, str], pd.DataFrame]
#: The same on a device, whose latency is among the costs.
MeasureDevice = Callable[[Replayable, Params, Costs], pd.DataFrame]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A checked request: sources, parameters, axes, costs, and where the frame goes.

    Attributes
    ----------
    params
        The fields of `Params`.
    texts
        The text of each source, see `pfnlab.notebooks.sources.find_source`.
    axes
        The non-empty ``<field>_axis`` lists, by field.
    costs
        Name of a cost preset.
    out
        Path of the frame, or None.
    sources
        A trace or workload for each of `texts`, once they are opened.
    digests
        sha256 of each trace among them, by its text.
    regions
        Devices, for a notebook that measures on several.
    """

    params: Params
    axes: Mapping[str, list[Any]]
    costs: str
    out: str | None
    texts: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    regions: tuple[Region, ...] = ()

    def opened(self) -> Self:
        """Return the same request with its sources: workloads, and traces read from their files."""
        openers = [opener_of(text) for text in self.texts]  # all are checked before one is read
        sources = tuple(opener() for opener in openers)
        named = list(zip(self.texts, sources, strict=True))
        digests = {t: s.digest() for t, s in named if isinstance(s, Trace | StreamedTrace)}
        texts = tuple(text_of(text, source) for text, source in named)
        return replace(self, texts=texts, sources=sources, digests=digests)

    def effective(self) -> dict[str, Any]:
        """Return every parameter by its name, as a user would type it."""
        source = self.texts[0] if len(self.texts) == 1 else list(self.texts)
        run = {"source": source, "costs": self.costs, "out": self.out}
        return flat(self.params, self.axes, run)

    def sweep(
        self, params: Params | None = None, *, executor: Any = None, store: Any = None
    ) -> pd.DataFrame:
        """Sweep every source over the axes; a point whose sizes can't stand together is skipped.

        Parameters
        ----------
        params
            Parameters in place of the request's own (a slider's), see `moved_to`.
        executor, store
            As for `pfnlab.sweep`; by default, a thread for each CPU.

        Raises
        ------
        SweepInterrupted, PointError, StoreError
            With the finished rows of all sources.
        """
        chosen = self.moved_to(params)
        chosen.check_sources()
        options: dict[str, Any] = {"executor": n_cpus() if executor is None else executor}
        options |= chosen.axes
        options |= {} if store is None else {"store": store}
        frames: list[pd.DataFrame] = []
        failed: list[Failed] = []
        try:
            for source in chosen.placed():
                try:
                    frame = sweep(
                        source, chosen.params, costs=self.costs, skip_invalid=True, **options
                    )
                except PointError as failure:
                    failed += [
                        replace(each, reason=f"{source.name}: {each.reason}")
                        for each in failure.failed
                    ]
                    frame = failure.frame
                frames.append(frame)
        except KeyboardInterrupt as stop:
            finished = chosen.joined([*frames, getattr(stop, "frame", pd.DataFrame())])
            raise SweepInterrupted(finished, chosen.n_points * len(self.sources)) from None
        except StoreError as stop:
            stop.frame = chosen.joined([*frames, stop.frame])
            raise
        if failed:
            raise PointError(chosen.joined(frames), failed, tuple(chosen.axes))
        return chosen.joined(frames)

    def joined(self, frames: list[pd.DataFrame]) -> pd.DataFrame:
        """Return the rows of all sources in one frame, which keeps the request."""
        filled = [frame for frame in frames if len(frame)]
        frame = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()
        if self.texts:
            frame.attrs.update(remembered(self.effective(), self.digests))
        return frame

    def check_sources(self) -> None:
        """Refuse a source that a region can't hold before another one is replayed for hours."""
        if len(self.sources) < 2:
            return  # the sweep itself does so at its start
        regions = {name: values for name, values in self.axes.items() if name in REGION}
        for source in self.placed():
            placed = isinstance(source, Trace) and source.placement is not None  # so it fits
            if (check := getattr(source, "check", None)) is not None and not placed:
                for point in Grid(self.params, regions, skip_invalid=True):
                    check(point.params)

    @property
    def n_points(self) -> int:
        """Number of points per source."""
        return sum(1 for _ in Grid(self.params, self.axes, skip_invalid=True))

    def save(self, frame: pd.DataFrame) -> str:
        """Write the frame to `out` if there is one, and say so."""
        if not self.out:
            return f"{len(frame)} points; set `out` to keep the frame"
        return f"{len(frame)} points in {write_frame(frame, self.out)}"

    def placed(self) -> Iterator[Source]:
        """Yield the sources; where regions are swept, a trace is spread over each of them."""
        regions = self.axes.get("region_bytes", [])
        for source in self.sources:
            if regions and isinstance(source, Trace):
                smallest = min(PARAMETERS["region_bytes"].parse(value) for value in regions)
                yield source.placed(smallest, "spread", first_pfn=self.params.first_pfn)
            else:
                yield source

    def moved_to(self, params: Params | None) -> Self:
        """Return the request for other parameters, without the axes of the fields that differ."""
        chosen = params or self.params
        moved = {n for n in PARAMETERS if getattr(chosen, n) != getattr(self.params, n)}
        if "threshold_bytes" in moved:
            moved |= {*THRESHOLDS}
        axes = {name: values for name, values in self.axes.items() if name not in moved}
        return replace(self, params=chosen, axes=axes)

    def gather(
        self, measure: Measure, params: Params | None = None, *, walk: bool = True
    ) -> pd.DataFrame:
        """Measure every source at every point of the axes; each row names source and parameters.

        `measure` gets a source's events, the parameters and the costs; its own columns win.
        Axes are dropped for other `params` as in `sweep`. Without `walk` they are all left to
        `measure`, which gets `params` as they are.
        """
        frames = [
            _after(_about(trace, len(trace), point), measure(trace, point, self.costs))
            for trace, point in self._each(params, walk)
        ]
        return pd.concat(frames, ignore_index=True)

    def collect(
        self, measure: Callable[[Replayable, Params], T], params: Params | None = None
    ) -> list[T]:
        """Return the result of `measure` for every source at every point, without costs."""
        return [measure(trace, point) for trace, point in self._each(params, walk=True)]

    def _each(self, params: Params | None, walk: bool) -> Iterator[tuple[Replayable, Params]]:
        chosen = self.moved_to(params)
        todo = points(chosen.params, chosen.axes if walk else {}, skip_invalid=True)
        for source in chosen.placed() if walk else self.sources:
            for region in drawn(source, todo):
                for point in region.configurations:
                    yield region.trace, point

    def viewed(self, view: Callable[[Source], Source]) -> Self:
        """Return the same request for another view of each source."""
        return replace(self, sources=tuple(view(source) for source in self.sources))

    def gather_by_region(
        self, measure: MeasureDevice, params: Params | None = None
    ) -> pd.DataFrame:
        """Gather on each of the regions, with its size, pages, CPUs and latency.

        Columns ``region`` and ``device`` are added. A source that does not fit a region has one
        row there, with nothing but the reason in ``note``.
        """
        frames: list[pd.DataFrame] = []
        for device in self.regions:
            own = {n: getattr(device, n) for n in ("region_bytes", "page_bytes", "n_cpus")}
            chosen = (params or self.params).replace(**own)
            priced = _on(device, measure)
            for source in self.sources:
                try:
                    rows = replace(self, sources=(source,)).gather(priced, chosen)
                except (ParameterError, TraceError) as error:
                    rows = pd.DataFrame([_about(source, 0, chosen) | {"note": str(error)}])
                frames.append(rows.assign(region=device.name, device=device.device))
        return pd.concat(frames, ignore_index=True)


def _about(source: Replayable | Source, n_events: int, params: Params) -> dict[str, Any]:
    about = {"source": source.name, "evidence": source.evidence, "n_events": n_events}
    return about | params.as_dict()


def _after(about: Mapping[str, Any], rows: pd.DataFrame) -> pd.DataFrame:
    known = {name: value for name, value in about.items() if name not in rows}
    return pd.concat([pd.DataFrame(known, index=rows.index), rows], axis=1)


def _on(device: Region, measure: MeasureDevice) -> Measure:
    return lambda trace, params, costs: measure(trace, params, device.costs(costs))


def request(given: Mapping[str, Any]) -> Request:
    """Return the request of some names and values, checked; no trace is read.

    Raises
    ------
    ParameterError
        For an unknown name or source (near matches are named), or a value that its field refuses.
    """
    for name, value in given.items():
        if name not in NAMES:
            raise ParameterError(name, value, f"no such parameter; {near(name, NAMES)}")
    return check(given)


def check(given: Mapping[str, Any]) -> Request:
    """Return the request of names and values; all but `NAMES` and ``regions`` are passed over."""
    params = Params(**{n: _single(n, given[n]) for n in PARAMETERS if n in given})
    lists = {name: given.get(f"{name}_axis") for name in AXES}
    filled = {name: values for name, values in lists.items() if values not in (None, [], ())}
    check_axes(filled)
    if (n_points := math.prod(len(values) for values in filled.values())) > MOST_POINTS:
        swept = ", ".join(filled)
        raise ParameterError(swept, f"{n_points:,} points", f"must be at most {MOST_POINTS:,}")
    axes = {name: [_value(name, value) for value in values] for name, values in filled.items()}
    for _ in Grid(params, axes, skip_invalid=True):  # each point is checked
        pass
    costs, out = given.get("costs") or DEFAULT_PRESET, given.get("out")
    costs_of(costs)
    if out is not None:
        check_out(out)
    texts = tuple(_names_in("source", given.get("source", ()), "a trace file or a workload"))
    for text in texts:
        opener_of(text)
    devices = _names_in("regions", given["regions"], "a region") if "regions" in given else []
    regions = tuple(region_of(name) for name in devices)
    return Request(params=params, texts=texts, axes=axes, costs=costs, out=out, regions=regions)


def check_out(out: object) -> None:
    """Refuse a path to which no frame can be written."""
    if not isinstance(out, str) or Path(out).is_dir() or Path(out).suffix != ".parquet":
        raise ParameterError("out", out, "must be None or the path of a Parquet file, NAME.parquet")


def _names_in(name: str, value: object, what: str) -> list[str]:
    """Return one name, or a list of some, as a list."""
    names = [value] if isinstance(value, str) else value
    if isinstance(names, list | tuple) and names and all(isinstance(n, str) for n in names):
        return list(names)
    raise ParameterError(name, value, f"must name {what}, or list some")


def overlay(given: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `given` with the values of `over` in place of its own.

    A field in `over` also replaces an axis of that field; a threshold, or an axis of it, replaces
    every axis that sets the threshold.
    """
    fields = {name.removesuffix("_axis") for name in over}
    fields |= {*THRESHOLDS} if fields & {*THRESHOLDS} else set()
    dropped = {f"{name}_axis" for name in fields}
    return {name: value for name, value in given.items() if name not in dropped} | dict(over)


def n_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _single(name: str, value: object) -> Any:
    if isinstance(value, list | tuple | dict | set):
        requirement = f"must be one value; a list of them is {name}_axis"
        raise ParameterError(name, value, requirement)
    return value


def _value(name: str, value: Any) -> Any:
    """Return a value of an axis as it is stored; YAML 1.1 reads 1e-3, a share, as text."""
    if name in PARAMETERS:
        return PARAMETERS[name].parse(value)
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        raise ParameterError(name, value, "must be a number above 0") from None
