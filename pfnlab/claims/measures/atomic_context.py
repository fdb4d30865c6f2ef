"""Callers that can't sleep (T11): how often they would fault, and what each remedy changes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pfnlab.engine import replay, smallest_reserve
from pfnlab.errors import TraceError
from pfnlab.frames.labels import HELD, NONE, PINNED, PREFAULTED, RESERVE, SMALLEST, UNPINNED
from pfnlab.params import PARAMETERS, Params
from pfnlab.params.costs import Costs
from pfnlab.params.units import whole
from pfnlab.sweeps import priced
from pfnlab.traces.pins import atomic_calls, pinned_for_io, prefaulted, unpinned
from pfnlab.traces.sources import Replayable
from pfnlab.traces.trace import Trace

#: Events that a prefault comes before its atomic call, where the caller names no others.
LEAD_EVENTS = (1024, 65536)
#: Granules of the reserves tried, where the caller names no others.
RESERVES = (64, 1024)
#: What `note` says where there is nothing to remedy.
NO_ATOMIC_CALLS = "no call that looks up a descriptor is atomic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """One row of `atomic_remedies`: what is replayed, and its atomic calls before the remedy."""

    name: str
    trace: Trace
    n_calls: int
    reserve_granules: int = 0
    lead_events: int = 0


def atomic_remedies(
    trace: Replayable,
    params: Params,
    costs: str | Costs | None = None,
    *,
    lead_events: Sequence[int] = LEAD_EVENTS,
    reserves: Sequence[int] = RESERVES,
) -> pd.DataFrame:
    """Replay a trace as it is and under every remedy; one row a remedy.

    Parameters
    ----------
    trace, params, costs
        As for `sweep`; the trace must be in memory.
    lead_events
        How early prefaults come, as for `prefaulted`; one that is held is tried with the last.
    reserves
        Granules of the reserves to try, beside that of `params` (if it has one) and the smallest
        that leaves no illegal call. The other rows have none.

    Returns
    -------
    pandas.DataFrame
        ``remedy`` (``none``, ``pin for the I/O``, ``prefault``, ``prefault and pin``, ``reserve``,
        ``smallest reserve``; and ``pins taken away``, what would be illegal without those that the
        trace has), ``lead_events``, parameters and counters; ``atomic_calls`` before the remedy,
        ``illegal_share`` (those that fail, of these), ``events_added``, ``faults_added`` (a call
        that fails does not fault, so one that no longer fails may add one), ``dram_bytes`` (peak
        of descriptors and of page tables, and the reserve), and ``note``, which says so if no
        call is atomic.

    Raises
    ------
    TraceError, ParameterError
        As `sweep`; also for a trace that is not in memory, or a negative lead.
    """
    if not isinstance(trace, Trace):
        raise TraceError(f"trace {trace.name!r}: must be in memory for remedies to change it")
    leads = [whole("lead_events", lead, 0) for lead in lead_events]
    remedies = [*_changed(trace, leads), *_reserves(trace, params, reserves)]
    rows = [_row(remedy, len(trace), params) for remedy in remedies]
    frame = pd.DataFrame(rows).assign(footprint_bytes=trace.footprint_bytes(params))
    before = frame.loc[frame["remedy"] == NONE, "faults"].iloc[0]
    frame = frame.assign(faults_added=frame["faults"] - before)
    return priced(frame, costs) if costs is not None else frame


def _changed(trace: Trace, leads: list[int]) -> Iterator[Remedy]:
    """Yield what needs no reserve."""
    bare = unpinned(trace)
    if trace.has_ops:
        yield Remedy(name=UNPINNED, trace=bare, n_calls=_n_calls(bare))
    n_calls = _n_calls(trace)
    yield Remedy(name=NONE, trace=trace, n_calls=n_calls)
    yield Remedy(name=PINNED, trace=pinned_for_io(trace), n_calls=n_calls)
    for lead in leads:
        ahead = prefaulted(trace, lead)
        yield Remedy(name=PREFAULTED, trace=ahead, n_calls=n_calls, lead_events=lead)
    for lead in leads[-1:]:
        ahead = prefaulted(trace, lead, held=True)
        yield Remedy(name=HELD, trace=ahead, n_calls=n_calls, lead_events=lead)


def _n_calls(trace: Trace) -> int:
    return int(np.count_nonzero(atomic_calls(trace)))


def _reserves(trace: Trace, params: Params, reserves: Sequence[Any]) -> Iterator[Remedy]:
    asked = [int(PARAMETERS["reserve_granules"].parse(value)) for value in reserves]
    own = [params.reserve_granules] if params.reserve_granules else []
    tried = [(RESERVE, reserve) for reserve in dict.fromkeys([*own, *asked])]
    for name, reserve in [*tried, (SMALLEST, smallest_reserve(trace, params))]:
        yield Remedy(name=name, trace=trace, n_calls=_n_calls(trace), reserve_granules=reserve)


def _row(remedy: Remedy, n_events: int, params: Params) -> dict[str, Any]:
    chosen = params.replace(reserve_granules=remedy.reserve_granules)
    result = replay(remedy.trace, chosen)
    reserve_bytes = chosen.reserve_granules * chosen.granule_bytes
    n_calls = remedy.n_calls
    return {
        "remedy": remedy.name,
        "lead_events": remedy.lead_events,
        **chosen.as_dict(),
        **result.counts(),
        "atomic_calls": n_calls,
        "illegal_share": result.atomic_faults / n_calls if n_calls else 0.0,
        "events_added": len(remedy.trace) - n_events,
        "dram_bytes": result.peak_resident_bytes + result.page_table_bytes + reserve_bytes,
        "note": "" if n_calls else NO_ATOMIC_CALLS,
    }
