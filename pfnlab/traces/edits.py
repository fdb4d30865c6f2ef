"""Changes to the events of a trace that keep its other columns in step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pfnlab.traces.requests import LOOKUP, Flags, Int64s, Ops
from pfnlab.traces.trace import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """Events to insert; all of them are sleepable.

    Attributes
    ----------
    before
        Number of the event that each goes before, int64; the number of events for the end. Those
        before one event stay in the order given.
    of
        Event that each is made for, int64: it has its pfn and CPU.
    ops
        What each does, uint8.
    """

    before: Int64s
    of: Int64s
    ops: Ops

    @classmethod
    def all(cls, *several: Added) -> Added:
        """Return several together; before one event, those of the first come first."""
        columns = {
            name: np.concatenate([getattr(added, name) for added in several])
            for name in ("before", "of", "ops")
        }
        return cls(**columns)


def ops_of(trace: Trace) -> Ops:
    """Return the ops of a trace, LOOKUPs where it has no such column; uint8."""
    return np.full(len(trace), LOOKUP, np.uint8) if trace.ops is None else trace.ops


def atomic_of(trace: Trace) -> Flags:
    """Return whether each event's caller can't sleep, bool."""
    return np.zeros(len(trace), np.bool_) if trace.atomic is None else trace.atomic


def with_events(trace: Trace, added: Added, *, made_by: str = "") -> Trace:
    """Return a trace with more events; each has the time of the event it goes before.

    `made_by` is added to the provenance. A placement is forgotten: the events are no longer those
    of the trace that was placed.
    """
    near = np.minimum(added.before, max(len(trace) - 1, 0))
    values: dict[str, npt.NDArray[Any]] = {
        "pfns": trace.pfns[added.of],
        "ops": added.ops,
        "atomic": np.zeros(len(added.of), np.bool_),
    }
    columns = trace.columns() | {"ops": ops_of(trace), "atomic": atomic_of(trace)}
    if trace.cpus is not None:
        values["cpus"] = trace.cpus[added.of]
    if trace.time_ns is not None:
        values["time_ns"] = trace.time_ns[near]
    merged = {name: np.insert(columns[name], added.before, values[name]) for name in values}
    return replaced(trace, merged, made_by=made_by)


def without_events(trace: Trace, dropped: Flags, *, made_by: str = "") -> Trace:
    """Return a trace without the events of a mask, bool."""
    columns = {name: column[~dropped] for name, column in trace.columns().items()}
    return replaced(trace, columns, made_by=made_by)


def replaced(trace: Trace, columns: dict[str, Any], *, made_by: str = "") -> Trace:
    """Return a trace with other columns, what made them in its provenance, and no placement.

    A change that is one of several steps names none.
    """
    steps = "; ".join(step for step in (trace.provenance.get("made_by"), made_by) if step)
    provenance = {**trace.provenance, "made_by": steps} if steps else trace.provenance
    return replace(trace, **columns, provenance=provenance, placement=None)
