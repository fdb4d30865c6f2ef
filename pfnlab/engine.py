"""`replay`: check everything, lay out the tables, run the compiled mechanism, name the counts."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from pfnlab.errors import ParameterError, TraceError
from pfnlab.geometry import WINDOW_BYTES, Geometry
from pfnlab.kernels import replay as mechanism
from pfnlab.memory import check_fits
from pfnlab.params import PARAMETERS, Params
from pfnlab.replayable import Replayable
from pfnlab.requests import MAX_EVENTS
from pfnlab.result import Result

#: Events replayed before the first look at the clock; a piece then grows while it takes less than
#: `PIECE_S`, so that Ctrl-C and progress never wait long, however dear an event is.
FIRST_PIECE_EVENTS = 1 << 16
PIECE_S = 0.05
LARGEST_PIECE_EVENTS = 1 << 26
STATE = "the state of a replay"
_PIN_PLACES = 1 << 10
_OS_PAGE_BYTES = 4096


def replay(
    trace: Replayable, params: Params, *, on_events: Callable[[int], None] | None = None
) -> Result:
    """Replay a trace through the mechanism of DESIGN 5.

    Parameters
    ----------
    trace
        The events; checked whole before the first is replayed.
    params
        Region, sizes, threshold and policy.
    on_events
        Called with the number of events done since the last call, for progress.

    Raises
    ------
    TraceError
        If the trace's page size or one of its pfns is not the region's.
    ParameterError
        If the state of the replay would not fit in memory.
    """
    trace.check(params)
    layout = _layout(trace, params)
    state = _state(trace, params, layout)
    piece = FIRST_PIECE_EVENTS
    for events in trace.pieces(params, LARGEST_PIECE_EVENTS):
        event, end = 0, len(events.pfns)
        while event < end:
            started = time.perf_counter()
            stop = min(event + piece, end)
            done = mechanism.replay(layout, state, *events[1:], event, stop)
            if on_events is not None:
                on_events(done - event)
            if done < stop:
                state = _with_larger_pin_table(state)
            elif time.perf_counter() - started < PIECE_S:
                piece *= 2
            event = done
    return _result(trace, params, state)


def _layout(trace: Replayable, params: Params) -> mechanism.Layout:
    geometry = Geometry.of(params)
    hashed = _is_hashed(trace, geometry)
    flush_pages = params.chunk_bytes // 4096
    return mechanism.Layout(
        first_pfn=params.first_pfn,
        granule_shift=_log2(geometry.granule_pfns),
        chunk_shift=_log2(params.chunk_bytes // params.granule_bytes),
        window_shift=_log2(WINDOW_BYTES // params.granule_bytes) if _needs_ptes(params) else -1,
        hashed=hashed,
        chunk_bits=_log2(_chunk_places(trace, geometry)) if hashed else 0,
        limit_granules=params.threshold_bytes // params.granule_bytes,
        batch_chunks=params.batch_chunks,
        reserve_granules=params.reserve_granules,
        flush_pages=flush_pages if flush_pages <= params.flush_ceiling_pages else 0,
    )


def _needs_ptes(params: Params) -> bool:
    return params.granule_bytes < WINDOW_BYTES


def _is_hashed(trace: Replayable, geometry: Geometry) -> bool:
    """Whether rows by hash take less memory than a row for every chunk of the region."""
    return geometry.n_chunks > max(2 * _chunk_places(trace, geometry), 1 << 16)


def _chunk_places(trace: Replayable, geometry: Geometry) -> int:
    """Places of a hash table that is at most half full, whatever the trace touches."""
    return 1 << max(4, (2 * min(len(trace), geometry.n_chunks) - 1).bit_length())


def _state(trace: Replayable, params: Params, layout: mechanism.Layout) -> mechanism.State:
    """Allocate the tables, after a look at what they would take."""
    geometry = Geometry.of(params)
    n_words = -(-geometry.n_granules // 64)
    n_windows = geometry.n_windows if _needs_ptes(params) else 0
    n_keys = 1 << layout.chunk_bits if layout.hashed else 0
    n_rows = (n_keys or geometry.n_chunks) + mechanism.FIRST_ROW
    table_bytes = (8 * n_words, 8 * n_words, 5 * n_windows, 16 * n_rows, 8 * n_keys)
    # An event touches one page of each table at most.
    needed = sum(min(size, len(trace) * _OS_PAGE_BYTES) for size in table_bytes)
    region = PARAMETERS["region_bytes"].show(params.region_bytes)
    check_fits(needed, "region_bytes", region, STATE)
    if n_rows >= MAX_EVENTS or len(trace) >= MAX_EVENTS:
        raise TraceError(f"trace {trace.name!r}: must have fewer than 2**31 events and chunks")
    try:
        state = mechanism.State(
            resident=np.zeros(n_words, np.uint64),
            ever=np.zeros(n_words, np.uint64),
            windows=np.zeros(n_windows, np.int32),
            windows_ever=np.zeros(n_windows, np.bool_),
            chunks=np.zeros((n_rows, 4), np.int32),
            chunk_keys=np.full(n_keys, mechanism.FREE, np.int64),
            pin_pfns=np.full(_PIN_PLACES, mechanism.FREE, np.int64),
            pins=np.zeros((_PIN_PLACES, 2), np.int32),
            counts=np.zeros(mechanism.N_COUNTS, np.int64),
        )
    except MemoryError:
        requirement = f"{STATE} must fit in the memory that can be allocated"
        raise ParameterError("region_bytes", region, requirement) from None
    state.chunks[mechanism.HEAD, (mechanism.PREV, mechanism.NEXT)] = mechanism.HEAD
    state.counts[mechanism.RESERVE] = params.reserve_granules
    return state


def _with_larger_pin_table(state: mechanism.State) -> mechanism.State:
    """Return the state with its pinned pages moved into a table four times as large."""
    n_places = 4 * len(state.pin_pfns)
    larger = state._replace(
        pin_pfns=np.full(n_places, mechanism.FREE, np.int64), pins=np.zeros((n_places, 2), np.int32)
    )
    mechanism.move_pins(state, larger)
    return larger


def _result(trace: Replayable, params: Params, state: mechanism.State) -> Result:
    count = [int(value) for value in state.counts]
    accesses = len(trace) - count[mechanism.PUTS]
    faults, atomic_faults = count[mechanism.FAULTS], count[mechanism.ATOMIC_FAULTS]
    granule = params.granule_bytes
    return Result(
        params=params,
        accesses=accesses,
        hits=accesses - faults - atomic_faults,
        faults=faults,
        cold_faults=count[mechanism.COLD_FAULTS],
        atomic_faults=atomic_faults,
        reserve_faults=count[mechanism.RESERVE_FAULTS],
        overcommits=count[mechanism.OVERCOMMITS],
        puts=count[mechanism.PUTS],
        unmatched_puts=count[mechanism.UNMATCHED_PUTS],
        shootdowns=count[mechanism.SHOOTDOWNS],
        futile_passes=count[mechanism.FUTILE_PASSES],
        pinned_skips=count[mechanism.PINNED_SKIPS],
        evicted_chunks=count[mechanism.EVICTED_CHUNKS],
        evicted_granules=count[mechanism.EVICTED_GRANULES],
        ranged_flush_pages=count[mechanism.RANGED_FLUSH_PAGES],
        full_flushes=count[mechanism.FULL_FLUSHES],
        peak_resident_bytes=count[mechanism.PEAK_RESIDENT] * granule,
        resident_bytes=count[mechanism.RESIDENT] * granule,
        mean_resident_bytes=count[mechanism.RESIDENT_SUM] * granule / max(len(trace), 1),
        page_table_bytes=count[mechanism.PEAK_WINDOWS] * 4096,
        page_table_kept_bytes=count[mechanism.WINDOWS_EVER] * 4096,
    )


def _log2(power_of_two: int) -> int:
    return power_of_two.bit_length() - 1
