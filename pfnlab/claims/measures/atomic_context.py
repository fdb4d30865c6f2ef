"""Callers that can't sleep (T11): how often they would fault, and what each remedy changes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pfnlab.engine import replay, smallest_reserve
from pfnlab.errors import TraceError
from pfnlab.frames.labels import HELD, NONE, PINNED, PREFAULTED, RESERVE, SMALLEST, UNPINNED
from pfnlab.params import PARAMETERS, Params
from pfnlab.params.costs import Costs
from pfnlab.params.units import whole
from pfnlab.sweeps import priced
from pfnlab.traces.edits import Added, atomic_of, ops_of, replaced, with_events
from pfnlab.traces.requests import GET, LOOKUP, PUT
from pfnlab.traces.sources import Replayable
from pfnlab.traces.trace import Trace

#: Events that a prefault comes before its atomic call, where the caller names no others.
LEAD_EVENTS = (1024, 65536)
#: Granules of the reserves tried, where the caller names no others.
RESERVES = (64, 1024)
#: What `note` says where there is nothing to remedy.
NO_ATOMIC_CALLS = "no call that looks up a descriptor is atomic"

Flags = npt.NDArray[np.bool_]
Int64s = npt.NDArray[np.int64]


def atomic_calls(trace: Trace) -> Flags:
    """Return which events are LOOKUPs or GETs of a caller that can't sleep, bool."""
    return np.asarray(atomic_of(trace) & (ops_of(trace) != PUT))


def prefaulted(trace: Trace, lead_events: int = 0, *, held: bool = False) -> Trace:
    """Return a trace whose atomic calls were prefaulted: looked up before, by a caller that sleeps.

    Each atomic LOOKUP or GET gets a sleepable LOOKUP of its page `lead_events` events earlier (at
    the start of the trace if that is earlier still). Eviction in between can undo it, unless it is
    `held`: then it is a GET, dropped right after the atomic call, and no such call can fault. That
    a PUT without a GET drops it is not prevented.

    Parameters
    ----------
    lead_events
        Events between the prefault and its call; 0 is right before it, where the caller is about
        to take a lock. A submitter in softirq has no such moment: for it this is what somebody
        earlier, who can sleep, would have to do.
    held
        Whether the prefault takes a reference for the time in between.

    Raises
    ------
    ParameterError
        If `lead_events` is negative or no int.
    """
    lead = whole("lead_events", lead_events, 0)
    calls = np.flatnonzero(atomic_calls(trace))
    if not len(calls):
        return trace
    op = np.full(len(calls), GET if held else LOOKUP, np.uint8)
    added = Added(before=np.maximum(calls - min(lead, len(trace)), 0), of=calls, ops=op)
    if held:
        drops = np.full(len(calls), PUT, np.uint8)
        added = Added.all(Added(before=calls + 1, of=calls, ops=drops), added)
    made_by = f"prefaulted(lead_events={lead}, held={held})"
    return with_events(trace, added, made_by=made_by)


def pinned_for_io(trace: Trace) -> Trace:
    """Return a trace whose requests pin what their completions look up.

    An atomic LOOKUP is taken for the completion of the latest sleepable LOOKUP of its page that
    has no completion yet: that one becomes a GET and the completion a PUT. Others stay as they
    are. Which of two requests for one page completes first does not matter: their pins are alike.
    """
    atomic = atomic_of(trace)
    lookups = np.flatnonzero(ops_of(trace) == LOOKUP)
    if not atomic[lookups].any() or atomic[lookups].all():
        return trace
    lookups = lookups[np.argsort(trace.pfns[lookups], kind="stable")]  # page by page
    completes = atomic[lookups]
    paired = _paired(trace.pfns[lookups], completes)
    ops = ops_of(trace).copy()
    ops[lookups[paired]] = np.where(completes[paired], PUT, GET)
    return replaced(trace, {"ops": ops}, made_by="pinned_for_io()")


def unpinned(trace: Trace) -> Trace:
    """Return a trace that takes no references: GETs and PUTs look their pages up instead.

    Its completions are those of requests that pinned nothing; `pinned_for_io` is the inverse for
    requests whose submitters sleep and whose completions do not.
    """
    if trace.ops is None:
        return trace
    return replaced(trace, {"ops": None}, made_by="unpinned()")


def _paired(pages: npt.NDArray[Any], closes: Flags) -> Flags:
    """Return which brackets of each page have a partner, bool; pages are in order.

    A closing bracket has none if it takes its page's balance below all that was before; an
    opening one has one if the balance later falls below what it rose to.
    """
    page = np.cumsum(np.diff(pages, prepend=pages[:1]) != 0, dtype=np.int64)
    balance = np.cumsum(np.where(closes, -1, 1), dtype=np.int64)
    first = np.flatnonzero(np.diff(page, prepend=-1))
    before = balance[first] - np.where(closes[first], -1, 1)
    balance -= before[page]
    # Apart by more than any balance, so that one page's least is never another's.
    apart = page * (2 * len(pages) + 2)
    low = np.minimum.accumulate(np.minimum(balance, 0) - apart) + apart
    low_before = np.concatenate([[0], low[:-1]])
    low_before[first] = 0
    later = np.minimum.accumulate((balance + apart)[::-1])[::-1] - apart
    low_after = np.append(later[1:], 0)
    last = np.append(first[1:], len(pages)) - 1
    low_after[last] = balance[last]
    return np.where(closes, balance >= low_before, low_after < balance)


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
