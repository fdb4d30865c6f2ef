"""pfnlab: what a demand-faulted, chunk-evicted vmemmap would have cost and saved.

Names are loaded when first used, so ``import pfnlab`` loads nothing but itself.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Costs": "params.costs",
    "FileError": "errors",
    "Geometry": "params.geometry",
    "NotebookError": "errors",
    "ParameterError": "errors",
    "Params": "params",
    "PfnlabError": "errors",
    "PointError": "sweeps",
    "Policy": "params.policies",
    "Result": "engine.result",
    "SweepInterrupted": "sweeps",
    "StoreError": "sweeps",
    "StoreWarning": "sweeps",
    "StreamedTrace": "traces.streamed",
    "Trace": "traces.trace",
    "TraceError": "errors",
    "advise": "alternatives.advice",
    "atomic_remedies": "claims.measures.atomic_context",
    "changes": "frames.changes",
    "evictability": "claims.measures.evictability",
    "explore": "engine.exploration",
    "format_bytes": "params.units",
    "load": "traces.formats",
    "parse_bytes": "params.units",
    "pinned_for_io": "traces.pins",
    "pins_compared": "claims.measures.pins",
    "processes": "sweeps",
    "prefaulted": "traces.pins",
    "region": "params.regions",
    "register": "params.policies",
    "repinned": "traces.pins",
    "replay": "engine",
    "save": "traces.native",
    "schemes": "alternatives",
    "smallest_reserve": "engine",
    "steps": "engine.steps",
    "sweep": "sweeps",
    "timeline": "engine.timeline",
    "unpinned": "traces.pins",
    "workload": "traces.workloads",
}
#: Packages that users reach by a shorter name, as in ``pfnlab.theory.fifo_exact``.
_ALIASES = {"theory": "claims.theory", "widgets": "notebooks.widgets"}

__all__ = sorted([*_HOMES, "__version__"])  # noqa: PLE0605 - one list of names, not two

if TYPE_CHECKING:
    from pfnlab.alternatives import schemes as schemes
    from pfnlab.alternatives.advice import advise as advise
    from pfnlab.claims import theory as theory
    from pfnlab.claims.measures.atomic_context import atomic_remedies as atomic_remedies
    from pfnlab.claims.measures.evictability import evictability as evictability
    from pfnlab.claims.measures.pins import pins_compared as pins_compared
    from pfnlab.engine import replay as replay
    from pfnlab.engine import smallest_reserve as smallest_reserve
    from pfnlab.engine.exploration import explore as explore
    from pfnlab.engine.result import Result as Result
    from pfnlab.engine.steps import steps as steps
    from pfnlab.engine.timeline import timeline as timeline
    from pfnlab.errors import FileError as FileError
    from pfnlab.errors import NotebookError as NotebookError
    from pfnlab.errors import ParameterError as ParameterError
    from pfnlab.errors import PfnlabError as PfnlabError
    from pfnlab.errors import TraceError as TraceError
    from pfnlab.frames.changes import changes as changes
    from pfnlab.notebooks import widgets as widgets
    from pfnlab.params import Params as Params
    from pfnlab.params.costs import Costs as Costs
    from pfnlab.params.geometry import Geometry as Geometry
    from pfnlab.params.policies import Policy as Policy
    from pfnlab.params.policies import register as register
    from pfnlab.params.regions import region as region
    from pfnlab.params.units import format_bytes as format_bytes
    from pfnlab.params.units import parse_bytes as parse_bytes
    from pfnlab.sweeps import PointError as PointError
    from pfnlab.sweeps import StoreError as StoreError
    from pfnlab.sweeps import StoreWarning as StoreWarning
    from pfnlab.sweeps import SweepInterrupted as SweepInterrupted
    from pfnlab.sweeps import processes as processes
    from pfnlab.sweeps import sweep as sweep
    from pfnlab.traces.formats import load as load
    from pfnlab.traces.native import save as save
    from pfnlab.traces.pins import pinned_for_io as pinned_for_io
    from pfnlab.traces.pins import prefaulted as prefaulted
    from pfnlab.traces.pins import repinned as repinned
    from pfnlab.traces.pins import unpinned as unpinned
    from pfnlab.traces.streamed import StreamedTrace as StreamedTrace
    from pfnlab.traces.trace import Trace as Trace
    from pfnlab.traces.workloads import workload as workload


def __getattr__(name: str) -> Any:
    if name in _ALIASES:
        return import_module(f"{__name__}.{_ALIASES[name]}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ALIASES})
