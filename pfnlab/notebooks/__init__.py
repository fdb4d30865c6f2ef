"""What notebooks share: strict parameters, and what they measure of the sources they name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pandas as pd

from pfnlab.errors import NotebookError, ParameterError, TraceError, near
from pfnlab.notebooks import sweep_request
from pfnlab.notebooks.papermill_runs import ALLOWED, FOLDER, execute, targets_of
from pfnlab.notebooks.sources import ROOT, find_source, shipped_traces
from pfnlab.params import Params
from pfnlab.params.costs import Costs
from pfnlab.params.regions import Region
from pfnlab.sweeps import Source, drawn, points
from pfnlab.traces.sources import Replayable

__all__ = ["ALLOWED", "FOLDER", "ROOT", "Request", "execute", "find_source", "measured", "request",
           "shipped_traces"]  # fmt: skip

T = TypeVar("T")

#: What a notebook measures of each source that is no sweep.
Measure = Callable[[Replayable, Params, str], pd.DataFrame]
#: The same for a device, whose latency is among the costs.
MeasureDevice = Callable[[Replayable, Params, Costs], pd.DataFrame]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(sweep_request.Request):
    """What the parameters cell of a notebook asks for; what it measures need be no sweep."""

    def gather(
        self, measure: Measure, params: Params | None = None, *, walk: bool = True
    ) -> pd.DataFrame:
        """Measure every source at every point of the axes; each row names source and parameters.

        `measure` gets a source's events, the parameters and the costs; columns of its own stand.
        Axes are dropped for other `params` as in `sweep`. Without `walk` they are all left to
        `measure`, which gets `params` as they are.
        """
        frames = [
            _about(trace, point, measure(trace, point, self.costs))
            for trace, point in self._each(params, walk)
        ]
        return pd.concat(frames, ignore_index=True)

    def collect(
        self, measure: Callable[[Replayable, Params], T], params: Params | None = None
    ) -> list[T]:
        """Return what `measure` says of every source at every point, before any cost."""
        return [measure(trace, point) for trace, point in self._each(params, walk=True)]

    def _each(self, params: Params | None, walk: bool) -> Iterator[tuple[Replayable, Params]]:
        chosen = self.moved_to(params)
        todo = points(chosen.params, chosen.axes if walk else {}, skip_invalid=True)
        for source in chosen.placed() if walk else self.sources:
            for region in drawn(source, todo):
                for point in region.configurations:
                    yield region.trace, point

    def viewed(self, view: Callable[[Source], Source]) -> Request:
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
            priced = _priced(measure, device)
            for source in self.sources:
                alone = replace(self, sources=(source,))
                try:
                    rows = alone.gather(priced, chosen)
                except (ParameterError, TraceError) as error:
                    rows = _about_source(source, chosen).assign(note=str(error))
                frames.append(rows.assign(region=device.name, device=device.device))
        return pd.concat(frames, ignore_index=True)


def _about(trace: Replayable, params: Params, rows: pd.DataFrame) -> pd.DataFrame:
    """Return `rows` after the source and the parameters they come from."""
    about = {"source": trace.name, "evidence": trace.evidence, "n_events": len(trace)}
    known = {n: v for n, v in (about | params.as_dict()).items() if n not in rows}
    return pd.concat([pd.DataFrame(known, index=rows.index), rows], axis=1)


def _priced(measure: MeasureDevice, device: Region) -> Measure:
    return lambda trace, params, costs: measure(trace, params, device.costs(costs))


def _about_source(source: Source, params: Params) -> pd.DataFrame:
    about = {"source": source.name, "evidence": source.evidence, "n_events": 0}
    return pd.DataFrame([about | params.as_dict()])


def request(namespace: Mapping[str, Any]) -> Request:
    """Check the parameters of a notebook and return what they ask for.

    Call it in the cell after the parameters: ``run = notebooks.request(globals())``. It reads
    the cells that were executed, so a name injected by papermill is refused if it is unknown.

    Raises
    ------
    NotebookError
        For a name that is no parameter (near matches are named), an unknown source.
    ParameterError
        For a value that its field refuses.
    """
    assigned, injected = _assigned(namespace.get("In", ()))
    for name in sorted({*assigned, *injected}):
        if name not in ALLOWED:
            raise NotebookError(f"{name}: no such notebook parameter; {near(name, ALLOWED)}")
    own = {name: namespace[name] for name in ALLOWED if name in namespace}
    over = {name: own[name] for name in injected if name in own}
    return Request(**sweep_request.checked(sweep_request.overlaid(own, over))).opened()


def _assigned(cells: Iterable[str]) -> tuple[set[str], set[str]]:
    """Names assigned by the parameters cell, and by the cell that papermill injected after it."""
    assigned: set[str] = set()
    injected: set[str] = set()
    for cell in cells:
        try:
            targets = {*targets_of(cell)}
        except SyntaxError:  # a cell of magics
            continue
        if cell.startswith("# Parameters"):
            injected |= targets
        elif {"source", "costs"} <= targets:
            assigned |= targets
    return assigned, injected


def measured(name: str) -> pd.DataFrame:
    """Return the measurement recorded in ``data/measured/<name>.csv``, machine and date with it."""
    path = ROOT / "data" / "measured" / f"{name}.csv"
    if not path.exists():
        known = [path.stem for path in path.parent.glob("*.csv")]
        raise NotebookError(f"measured={name!r}: no such measurement; {near(name, known)}")
    return pd.read_csv(path)
