"""Pins (T13): what may not be evicted, what eviction destroys, and how large DRAM really gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import pandas as pd

from pfnlab.claims.measures.evictability import evictability, scattered
from pfnlab.engine import replay
from pfnlab.errors import TraceError
from pfnlab.frames.labels import IDLE, LIFE, NO_PINS, RECORDED
from pfnlab.params import Params, units
from pfnlab.params.costs import DEFAULT_PRESET, Costs, costs_of
from pfnlab.params.geometry import Geometry
from pfnlab.sweeps import priced
from pfnlab.traces.edits import replaced
from pfnlab.traces.pins import repinned
from pfnlab.traces.requests import GET
from pfnlab.traces.sources import Replayable
from pfnlab.traces.trace import Trace

#: Accesses that a page stays pinned after its last one, and shares of pages that are ever pinned,
#: where the caller names no others.
HOLD_EVENTS = (64, 4096, 65536)
PINNED_SHARES = (1.0, 0.01)


def pins_compared(
    trace: Replayable,
    params: Params,
    costs: str | Costs = DEFAULT_PRESET,
    *,
    hold_events: Sequence[int] = HOLD_EVENTS,
    pinned_shares: Sequence[float] = PINNED_SHARES,
    at: float = 0.5,
) -> pd.DataFrame:
    """Replay the accesses of a trace under pins of every length; one row a kind.

    The kinds are the trace's pins ``as recorded``, ``none``, pins ``until idle`` for each of
    `hold_events` and pins ``for life``, the last two on each of `pinned_shares` of the pages (see
    `repinned`). All callers can sleep: what atomic ones may not do is the question of
    `atomic_remedies`.

    Parameters
    ----------
    trace, params, costs
        As for `sweep`; the trace must be in memory, and have GETs.
    at
        Share of a row's events after which it is asked what could be evicted.

    Returns
    -------
    pandas.DataFrame
        ``pins``, ``hold_events`` (those of the whole trace for life), ``pinned_share``, parameters,
        counters and times; of the moment `at` the ``evictable_share`` of the chunks, the
        ``pinned_page_share`` q, ``independent_share`` (1-q)^n, ``scattered_share``, the replay of
        as many pins placed at random, ``chunks`` and ``unevictable_bytes``; ``events_added``; and
        ``break_even_rebuild_ns``: what rebuilding the state that one refault finds destroyed may
        take before descriptors on the device, never evicted, would be faster (negative if they
        are anyway, NaN if nothing faults again).

    Raises
    ------
    TraceError
        If the trace is not in memory, has no GETs, or does not fit the region.
    ParameterError
        As `sweep`, and as `repinned`; also if `at` is no number from 0 to 1.
    """
    if not isinstance(trace, Trace):
        raise TraceError(f"trace {trace.name!r}: must be in memory for its pins to be changed")
    if trace.ops is None or not (trace.ops == GET).any():
        raise TraceError(f"ops of trace {trace.name!r}: has no GET; pins need some to compare with")
    asked = units.share("at", at)
    kinds = _kinds(trace, tuple(hold_events), tuple(pinned_shares), params.seed)
    rows = [_row(kind, len(trace), params, asked) for kind in kinds]
    frame = priced(pd.DataFrame(rows), costs)
    footprint = trace.footprint_bytes(params)
    break_even = _break_even(frame, costs_of(costs))
    return frame.assign(footprint_bytes=footprint, break_even_rebuild_ns=break_even)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of pins: the trace that has them, and what tells it from others."""

    pins: str
    trace: Trace
    hold_events: int = 0
    pinned_share: float = 0.0


#: The kinds of the last trace, which are asked for again at every point of a grid.
_kept: WeakKeyDictionary[Trace, tuple[object, list[Kind]]] = WeakKeyDictionary()


def _kinds(
    trace: Trace, holds: tuple[int, ...], shares: tuple[float, ...], seed: int
) -> list[Kind]:
    asked = (holds, shares, seed)
    if trace not in _kept or _kept[trace][0] != asked:
        made = list(_made(trace, holds, shares, seed))
        _kept.clear()
        _kept[trace] = asked, made
    return _kept[trace][1]


def _made(
    trace: Trace, holds: tuple[int, ...], shares: tuple[float, ...], seed: int
) -> Iterator[Kind]:
    asleep = replaced(trace, {"atomic": None}, made_by="callers can sleep")
    yield Kind(pins=RECORDED, trace=asleep, pinned_share=1.0)
    yield Kind(pins=NO_PINS, trace=repinned(trace, 0, pinned_share=0.0))
    for share in shares:
        for hold in [*holds, None]:
            changed = repinned(trace, hold, pinned_share=share, seed=seed)
            about = {"hold_events": len(trace) if hold is None else hold, "pinned_share": share}
            yield Kind(pins=LIFE if hold is None else IDLE, trace=changed, **about)  # type: ignore[arg-type]


def _row(kind: Kind, n_events: int, params: Params, at: float) -> dict[str, Any]:
    result = replay(kind.trace, params)
    moment = int(at * len(kind.trace))
    found = evictability(kind.trace, params, moment)
    pins = scattered(kind.trace, params, moment, found.pinned_page_share, params.seed)
    # The last chunk counts whole, so a pin may be placed behind the region's end.
    control = evictability(pins, params.replace(region_bytes=_whole_chunks(params)))
    return {
        "pins": kind.pins,
        "hold_events": kind.hold_events,
        "pinned_share": kind.pinned_share,
        **params.as_dict(),
        **result.counts(),
        "events_added": len(kind.trace) - n_events,
        "chunks": found.chunks,
        "pinned_pages": found.pinned_pages,
        "unevictable_bytes": found.unevictable_bytes,
        "evictable_share": found.evictable_share,
        "pinned_page_share": found.pinned_page_share,
        "independent_share": found.independent_share,
        "scattered_share": control.evictable_share,
    }


def _whole_chunks(params: Params) -> int:
    """Return the bytes of the region, its last chunk counted whole."""
    geometry = Geometry.of(params)
    return geometry.n_chunks * geometry.chunk_pfns * params.page_bytes


def _break_even(frame: pd.DataFrame, costs: Costs) -> pd.Series[float]:
    """Return the rebuild time at which descriptors on the device take as long; NaN without any."""
    on_device = frame["accesses"] * costs.device_latency
    without_rebuild = frame["initiator_ns"] - frame["refault_ns"]
    return (on_device - without_rebuild) / frame["refaults"].where(frame["refaults"] > 0)
