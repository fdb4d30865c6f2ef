"""What is asked for by flat names: fields of `Params`, lists of them to sweep, sources and costs.

The names are those of a notebook's parameters cell, so a parameter file, the command line and a
notebook say the same thing the same way.
"""

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import pandas as pd

from pfnlab.errors import ParameterError, near
from pfnlab.frames import write_frame
from pfnlab.notebooks.sources import opener_of, text_of
from pfnlab.params import PARAMETERS, Params
from pfnlab.params.costs import DEFAULT_PRESET, costs_of
from pfnlab.params.regions import Region
from pfnlab.params.regions import region as region_of
from pfnlab.sweeps import (
    AXES,
    SHARES,
    Failed,
    PointError,
    Source,
    StoreError,
    SweepInterrupted,
    check_axes,
    sweep,
)
from pfnlab.sweeps.axes import REGION, Grid
from pfnlab.sweeps.provenance import flat, remembered
from pfnlab.traces.streamed import StreamedTrace
from pfnlab.traces.trace import Trace

RUN_NAMES = ("source", "costs", "out")
AXIS_NAMES = tuple(f"{name}_axis" for name in AXES)
#: Every name that may be asked for.
NAMES = (*PARAMETERS, *RUN_NAMES, *AXIS_NAMES)
#: Points of a grid, each of which is checked before the first is replayed.
MOST_POINTS = 10**6
_THRESHOLDS = {*SHARES, "threshold_bytes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for, checked.

    Attributes
    ----------
    params
        The fields of `Params`.
    texts
        What each source is called by, see `pfnlab.notebooks.sources.find_source`.
    axes
        The non-empty ``<field>_axis`` lists, by field.
    costs
        Name of a cost preset.
    out
        Where the frame goes, or None.
    sources
        A trace or workload for each of `texts`, once they are opened.
    digests
        sha256 of each trace among them, by its text.
    regions
        Presets of devices, for a notebook that measures on some.
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
        """Return every parameter by its name, as a person would type it."""
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
            Other parameters than asked for (a slider's), see `moved_to`.
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
                    failed += _with_source(source, failure)
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
        """Return the rows of all sources in one frame, which says what was asked for."""
        filled = [frame for frame in frames if len(frame)]
        frame = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()
        if self.texts:
            frame.attrs.update(remembered(self.effective(), self.digests))
        return frame

    def check_sources(self) -> None:
        """Refuse a source that a region can't hold before another one is replayed for hours.

        Raises
        ------
        ParameterError, TraceError
            Naming what does not fit.
        """
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
        """Points that each source is replayed under."""
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
        """Return the same request for other parameters, which overrule axes of what they change."""
        chosen = params or self.params
        moved = {n for n in PARAMETERS if getattr(chosen, n) != getattr(self.params, n)}
        if "threshold_bytes" in moved:
            moved |= _THRESHOLDS
        axes = {name: values for name, values in self.axes.items() if name not in moved}
        return replace(self, params=chosen, axes=axes)


def _with_source(source: Source, failure: PointError) -> list[Failed]:
    """Return the points that failed, their reasons with the source in front."""
    return [replace(each, reason=f"{source.name}: {each.reason}") for each in failure.failed]


def request(given: Mapping[str, Any]) -> Request:
    """Check what is asked for by the names of `NAMES`; no trace is read.

    Raises
    ------
    ParameterError
        For an unknown name or source (near matches are named), or a value that its field refuses.
    """
    for name, value in given.items():
        if name not in NAMES:
            raise ParameterError(name, value, f"no such parameter; {near(name, NAMES)}")
    return Request(**checked(given))


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a `Request`; names beside `NAMES` and ``regions`` are passed over."""
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
    return {
        "params": params,
        "texts": texts,
        "axes": axes,
        "costs": costs,
        "out": out,
        "regions": regions,
    }


def check_out(out: object) -> None:
    """Refuse what no frame can be written to."""
    if not isinstance(out, str) or Path(out).is_dir() or Path(out).suffix != ".parquet":
        raise ParameterError("out", out, "must be None or the path of a Parquet file, NAME.parquet")


def _names_in(name: str, value: object, what: str) -> list[str]:
    """Return one name, or a list of some, as a list."""
    names = [value] if isinstance(value, str) else value
    if (
        not isinstance(names, list | tuple)
        or not all(isinstance(n, str) for n in names)
        or not names
    ):
        raise ParameterError(name, value, f"must name {what}, or list some")
    return list(names)


def overlaid(given: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked for by `given`, with what `over` says in its place.

    A field in `over` takes the place of an axis of that field in `given`; a threshold, or an axis
    of it, that of every axis that sets the threshold.
    """
    fields = {name.removesuffix("_axis") for name in over}
    fields |= _THRESHOLDS if fields & _THRESHOLDS else set()
    dropped = {f"{name}_axis" for name in fields}
    return {name: value for name, value in given.items() if name not in dropped} | dict(over)


def n_cpus() -> int:
    """Return the CPUs that this process may use."""
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
