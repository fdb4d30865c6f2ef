"""`steps`: the mechanism fed one event at a time, and what it holds after each."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from pfnlab.engine.counters import ADDED
from pfnlab.engine.mechanism import Mechanism
from pfnlab.errors import ParameterError, TraceError
from pfnlab.kernels import state as tables
from pfnlab.params import Params
from pfnlab.params.geometry import Geometry
from pfnlab.params.policies import BUILT_IN
from pfnlab.traces.columns import Column, Events
from pfnlab.traces.requests import PUT
from pfnlab.traces.sources import Replayable
from pfnlab.traces.streamed import StreamedTrace
from pfnlab.traces.trace import Trace

#: What a person can still look at, event by event.
MAX_GRANULES = 4096
MAX_EVENTS = 10_000

_OPS = ("LOOKUP", "GET", "PUT")


def steps(trace: Replayable, params: Params) -> pd.DataFrame:
    """Replay a small trace event by event, and return what the mechanism holds after each.

    The mechanism is the one of `pfnlab.replay`, not a copy of it.

    Parameters
    ----------
    trace
        At most `MAX_EVENTS` events.
    params
        A region of at most `MAX_GRANULES` granules, under an order that is a list of chunks or
        a draw from one: any of the built-in ones but s3fifo and opt.

    Returns
    -------
    pandas.DataFrame
        One row an event: ``event``, ``pfn``, ``op``, ``atomic``, ``cpu`` (0 where the trace does
        not say), ``granule`` and ``chunk``; ``accesses``, ``hits`` and the other counters of
        DESIGN 5 that events add to, as added by this one; then, after the event,
        ``resident_bytes``, ``reserve_left`` (granules) and the tuples ``resident`` (granules),
        ``order`` (chunks, the next victim first where the order is a list), ``pinned`` (chunks
        with live pins), ``pins`` (how many each of these has) and ``set_aside`` (chunks that a
        pass found pinned and took out of the order).

    Raises
    ------
    ParameterError
        For a region that is too large, or an order that can't be shown.
    TraceError
        For too many events, or a pfn outside the region.
    """
    _check(trace, params)
    mechanism, geometry = Mechanism(trace, params), Geometry.of(params)
    cpus = cpus_of(trace, len(trace))
    rows: list[dict[str, Any]] = []
    for piece in trace.pieces(params):
        for i in range(len(piece.pfns)):
            before = mechanism.state.counts.copy()
            event = piece.part(i, i + 1)
            mechanism.feed(event)
            added = mechanism.state.counts - before
            asked = _asked(event, geometry, int(cpus[event.start]))
            rows.append(asked | _counted(event, added) | _held(mechanism))
    return pd.DataFrame(rows)


def cpus_of(trace: Replayable, n_events: int) -> Column:
    """Return the CPU of each of the first events; zeros where the trace does not say."""
    column: Column | None = None
    if isinstance(trace, Trace):
        column = trace.cpus
    elif isinstance(trace, StreamedTrace) and "cpus" in trace.dtypes:
        # A block is a buffer of the iterator: copied before the next one.
        column = next((block["cpus"].copy() for _, block in trace.blocks(["cpus"], n_events)), None)
    return np.zeros(n_events, np.uint16) if column is None else column[:n_events]


def _check(trace: Replayable, params: Params) -> None:
    n_granules = Geometry.of(params).n_granules
    if n_granules > MAX_GRANULES:
        requirement = f"must have at most {MAX_GRANULES} granules to be stepped through"
        raise ParameterError("region_bytes", f"{n_granules} granules", requirement)
    known = [order.name for order in BUILT_IN.values() if not order.whole_chunks]
    if params.policy not in known:
        requirement = f"must be one of {', '.join(known)} to be stepped through"
        raise ParameterError("policy", params.policy, requirement)
    if len(trace) > MAX_EVENTS:
        requirement = f"must have at most {MAX_EVENTS} events to be stepped through"
        raise TraceError(f"trace {trace.name!r}: has {len(trace)} events, {requirement}")
    trace.check(params)


def _asked(event: Events, geometry: Geometry, cpu: int) -> dict[str, Any]:
    (granule,), (chunk,) = geometry.granules_of(event.pfns), geometry.chunks_of(event.pfns)
    return {
        "event": event.start,
        "pfn": int(event.pfns[0]),
        "op": _OPS[_op(event)],
        "atomic": event.atomic is not None and bool(event.atomic[0]),
        "cpu": cpu,
        "granule": int(granule),
        "chunk": int(chunk),
    }


def _op(event: Events) -> int:
    return int(event.ops[0]) if event.ops is not None else 0


def _counted(event: Events, added: Any) -> dict[str, int]:
    counted = {name: int(added[place]) for name, place in ADDED.items()}
    accesses = int(_op(event) != PUT)
    hits = accesses - counted["faults"] - counted["atomic_faults"]
    return {"accesses": accesses, "hits": hits} | counted


def _held(mechanism: Mechanism) -> dict[str, Any]:
    """Return what the tables of the mechanism hold."""
    state = mechanism.state
    bits = np.unpackbits(state.resident.astype("<u8").view(np.uint8), bitorder="little")
    # A region this small has a row for every chunk, so a row tells its chunk.
    chunks = state.chunks[tables.FIRST_ROW :]
    order = tuple(row - tables.FIRST_ROW for row in _order(state))
    filled = np.flatnonzero(chunks[:, tables.GRANULES]).tolist()
    pinned = np.flatnonzero(chunks[:, tables.PINS])
    return {
        "resident_bytes": int(state.counts[tables.RESIDENT]) * mechanism.params.granule_bytes,
        "reserve_left": int(state.counts[tables.RESERVE]),
        "resident": tuple(np.flatnonzero(bits).tolist()),
        "order": order,
        "pinned": tuple(pinned.tolist()),
        "pins": tuple(chunks[pinned, tables.PINS].tolist()),
        "set_aside": tuple(chunk for chunk in filled if chunk not in order),
    }


def _order(state: tables.State) -> Iterator[int]:
    """Yield the rows of the chunks in the order, the oldest first."""
    if len(state.places):
        yield from state.places[: state.counts[tables.ORDERED]].tolist()
        return
    row = int(state.chunks[tables.HEAD, tables.NEXT])
    while row != tables.HEAD:
        yield row
        row = int(state.chunks[row, tables.NEXT])
