"""What notebooks share: strict parameters, the sources they name, and runs without a browser."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from pfnlab.costs import DEFAULT_PRESET, Costs, costs_of
from pfnlab.errors import NotebookError, ParameterError, TraceError, near
from pfnlab.formats import load
from pfnlab.frames import write_frame
from pfnlab.grid import AXES, SHARES, Source, SweepInterrupted, drawn, points, sweep
from pfnlab.params import PARAMETERS, Params
from pfnlab.regions import Region
from pfnlab.regions import region as region_of
from pfnlab.replayable import Replayable
from pfnlab.studies.toy import TOY, Story
from pfnlab.trace import Trace
from pfnlab.workloads import WORKLOADS, workload

T = TypeVar("T")

#: Root of the checkout, where `notebooks/` and `data/` are.
ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
_NAMED = {"source": "a trace file or a workload", "regions": "a region"}
RUN_NAMES = ("source", "costs", "out", "regions")
AXIS_NAMES = tuple(f"{name}_axis" for name in AXES)
#: What a notebook measures of each source that is no sweep.
Measure = Callable[[Replayable, Params, str], pd.DataFrame]
#: The same for a device, whose latency is among the costs.
MeasureDevice = Callable[[Replayable, Params, Costs], pd.DataFrame]
ALLOWED = (*PARAMETERS, *RUN_NAMES, *AXIS_NAMES)
# ipykernel 7.3 warns of plain TCP on every start (older clients do not know the option), and logs
# the interrupt that a client sends before it shuts a kernel down as an error, now and then.
_QUIET = {
    "KernelManager": {"transport_encryption": "auto"},
    "NotebookClient": {"extra_arguments": ["--IPKernelApp.log_level=CRITICAL"]},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the parameters cell of a notebook asks for, checked.

    Attributes
    ----------
    params
        The fields of `Params`.
    sources
        A trace or workload for each name in `source`.
    axes
        The non-empty ``<field>_axis`` lists, by field.
    costs
        Name of a cost preset.
    out
        Where the frame goes, or None.
    regions
        Presets of devices, where the notebook has some.
    """

    params: Params
    sources: tuple[Source, ...]
    axes: Mapping[str, list[Any]]
    costs: str
    out: str | None
    regions: tuple[Region, ...] = ()

    def sweep(self, params: Params | None = None) -> pd.DataFrame:
        """Sweep every source over the axes; a point whose sizes can't stand together is skipped.

        With other `params` than asked for (a slider's), axes of the fields that differ are
        dropped, so that the slider decides them.
        """
        chosen = params or self.params
        axes = self._axes_for(chosen)
        frames: list[pd.DataFrame] = []
        try:
            for source in self._placed(axes):
                frame = sweep(
                    source, chosen, costs=self.costs, executor=_n_cpus(), skip_invalid=True, **axes
                )
                frames.append(frame)
        except SweepInterrupted as interrupt:
            interrupt.frame = pd.concat([*frames, interrupt.frame], ignore_index=True)
            raise
        return pd.concat(frames, ignore_index=True)

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
        chosen = params or self.params
        axes = self._axes_for(chosen) if walk else {}
        for source in self._placed(axes):
            for region in drawn(source, points(chosen, axes, skip_invalid=True)):
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

    def save(self, frame: pd.DataFrame) -> str:
        """Write the frame to `out` if there is one, and say so."""
        if not self.out:
            return f"{len(frame)} points; set `out` to keep the frame"
        return f"{len(frame)} points in {write_frame(frame, self.out)}"

    def _axes_for(self, params: Params) -> dict[str, Any]:
        moved = {n for n in PARAMETERS if getattr(params, n) != getattr(self.params, n)}
        if "threshold_bytes" in moved:
            moved |= {"threshold_fraction", "threshold_of_footprint"}
        return {name: values for name, values in self.axes.items() if name not in moved}

    def _placed(self, axes: Mapping[str, list[Any]]) -> Iterator[Source]:
        """Yield the sources; where regions are swept, a trace is spread over each of them."""
        for source in self.sources:
            if "region_bytes" in axes and isinstance(source, Trace):
                smallest = min(PARAMETERS["region_bytes"].parse(v) for v in axes["region_bytes"])
                yield source.placed(smallest, "spread", first_pfn=self.params.first_pfn)
            else:
                yield source


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
    params = Params(**{name: namespace[name] for name in PARAMETERS if name in namespace})
    dropped = _overruled(injected)
    given = {name: namespace.get(f"{name}_axis") for name in AXES if name not in dropped}
    axes = {name: values for name, values in given.items() if values not in (None, [], ())}
    points(params, axes, skip_invalid=True)
    costs, out = namespace.get("costs") or DEFAULT_PRESET, namespace.get("out")
    costs_of(costs)
    if out is not None and (not isinstance(out, str) or Path(out).is_dir()):
        raise NotebookError(f"out={out!r}: must be None or the path of a Parquet file")
    sources = tuple(find_source(name) for name in _names("source", namespace.get("source", ())))
    devices = _names("regions", namespace["regions"]) if "regions" in namespace else []
    regions = tuple(region_of(name) for name in devices)
    return Request(
        params=params,
        sources=sources,
        axes=axes,
        costs=costs,
        out=out,
        regions=regions,
    )


def _names(field: str, source: object) -> list[str]:
    names = [source] if isinstance(source, str) else source
    if (
        not isinstance(names, list | tuple)
        or not all(isinstance(n, str) for n in names)
        or not names
    ):
        raise NotebookError(f"{field}={source!r}: must name {_NAMED[field]}, or list some")
    return list(names)


def _overruled(injected: set[str]) -> set[str]:
    """Axes of the notebook's own that an injected field, or another axis of its, overrules."""
    fields = {name.removesuffix("_axis") for name in injected}
    dropped = fields | (
        {*SHARES, "threshold_bytes"} if fields & {*SHARES, "threshold_bytes"} else set()
    )
    return {name for name in dropped if f"{name}_axis" not in injected}


def _assigned(cells: Iterable[str]) -> tuple[set[str], set[str]]:
    """Names assigned by the parameters cell, and by the cell that papermill injected after it."""
    assigned: set[str] = set()
    injected: set[str] = set()
    for cell in cells:
        try:
            targets = {t for node in ast.parse(cell).body for t in _targets(node)}
        except SyntaxError:  # a cell of magics
            continue
        if cell.startswith("# Parameters"):
            injected |= targets
        elif {"source", "costs"} <= targets:
            assigned |= targets
    return assigned, injected


def _targets(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def find_source(name: str) -> Source:
    """Return the workload of that name, or the trace in that file.

    ``uniform:1000`` is a workload with so many events, and ``toy`` the story of 00_model. A
    relative path is looked up from the working folder, then from the root of the checkout.
    """
    if name == TOY:
        return Story()
    family, _, n_events = name.partition(":")
    if family in WORKLOADS:
        return workload(family, **({"n_events": _count(name, n_events)} if ":" in name else {}))
    for path in (Path(name), ROOT / name):
        if path.exists():
            return load(path)
    known = [*WORKLOADS, TOY, *shipped_traces()]
    raise NotebookError(f"source={name!r}: no such workload or trace file; {near(name, known)}")


def _count(name: str, n_events: str) -> int:
    if not (n_events.isascii() and n_events.isdigit()):
        requirement = "after ':' there must be a number of events, as in 'uniform:1000'"
        raise NotebookError(f"source={name!r}: {requirement}")
    return int(n_events)


def shipped_traces() -> list[str]:
    """Paths of the traces in `data/traces`, from the root of the checkout."""
    return sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("data/traces/*.parquet"))


def measured(name: str) -> pd.DataFrame:
    """Return the measurement recorded in ``data/measured/<name>.csv``, machine and date with it."""
    path = ROOT / "data" / "measured" / f"{name}.csv"
    if not path.exists():
        known = [path.stem for path in path.parent.glob("*.csv")]
        raise NotebookError(f"measured={name!r}: no such measurement; {near(name, known)}")
    return pd.read_csv(path)


def execute(name: str, parameters: Mapping[str, Any], output: Path) -> None:
    """Run ``notebooks/<name>.ipynb`` with papermill, from the root of the checkout.

    Raises
    ------
    NotebookError
        For an unknown notebook or parameter, before a kernel is started.
    papermill.PapermillExecutionError
        If a cell fails; the executed notebook is kept in `output`.
    """
    known = [path.stem for path in FOLDER.glob("*.ipynb")]
    if name not in known:
        raise NotebookError(f"notebook={name!r}: no such notebook; {near(name, known)}")
    for parameter in parameters:
        if parameter not in ALLOWED:
            raise NotebookError(
                f"{parameter}: no such notebook parameter; {near(parameter, ALLOWED)}"
            )
    import papermill
    from traitlets.config import Config

    output.parent.mkdir(parents=True, exist_ok=True)
    papermill.execute_notebook(
        FOLDER / f"{name}.ipynb",
        output,
        dict(parameters),
        cwd=ROOT,
        kernel_name="python3",
        progress_bar=False,
        config=Config(_QUIET),
    )


def _n_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
