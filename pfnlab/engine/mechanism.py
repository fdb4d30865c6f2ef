"""The full mechanism: any events, sizes and list-like victim orders, a user's own among them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pfnlab.engine.buffers import Buffers
from pfnlab.engine.counters import has_ptes, layout_of, named, random_key, result_of
from pfnlab.engine.event_codes import Settler, kept_codes
from pfnlab.engine.result import Result
from pfnlab.errors import ParameterError
from pfnlab.kernels import page_counts
from pfnlab.kernels import replay as mechanism
from pfnlab.kernels import state as tables
from pfnlab.kernels.user_policy import HookError, Own, compiled_hook
from pfnlab.params import PARAMETERS, Params
from pfnlab.params.geometry import Geometry
from pfnlab.params.memory import check_fits, check_region_fits
from pfnlab.params.policies import BUILT_IN, PARTS, REGISTERED
from pfnlab.params.units import OS_PAGE_BYTES, log2
from pfnlab.traces.columns import Events
from pfnlab.traces.sources import Replayable
from pfnlab.traces.trace import Trace

STATE = "the state of a replay"
_FAILED_PLACES = 1 << 10
_MAX_ROWS = 2**31  # links are 32 bits
_TOUCHED_BYTES = 64  # of the tables, by an event, from where on to fear for them all


class Mechanism:
    """One replay through `pfnlab.kernels.replay`, the normative one.

    Raises
    ------
    ParameterError
        If its state would not fit in memory, or a user's policy can't be compiled.
    """

    def __init__(self, trace: Replayable, params: Params) -> None:
        self.params = params
        self.n_events = len(trace)
        built_in = BUILT_IN.get(params.policy)
        self.policy = built_in.code if built_in else None
        self.layout = _layout(trace, params)
        self.buffers = Buffers()
        self.state = _state(trace, params, self.layout, self.buffers)
        self.own = _own(params, self.state)
        plain = not trace.has_ops and not trace.has_atomic
        self.kept = None if plain or not isinstance(trace, Trace) else kept_codes(trace)
        self.settler = None if plain or self.kept is not None else Settler(trace.name)

    @staticmethod
    def table_bytes(trace: Replayable, params: Params) -> int:
        """Bytes of the tables, were every granule of the region touched."""
        geometry = Geometry.of(params)
        return geometry.n_granules // 4 + 5 * geometry.n_windows + 24 * geometry.n_chunks

    def feed(self, events: Events) -> None:
        """Replay the next events."""
        codes = self.codes(events)
        done = 0
        while (done := self._replay(events.pfns, codes, done)) < len(events.pfns):
            self.state = _with_larger_failed_table(self.state)

    def codes(self, events: Events) -> Any:
        """Return the codes of the next events, uint8; None if all are lookups that can sleep."""
        if self.kept is not None:
            return self.kept[events.start : events.start + len(events.pfns)]
        return self.settler.codes(events) if self.settler is not None else None

    def _replay(self, pfns: Any, codes: Any, done: int) -> int:
        layout, state, policy, own = self.layout, self.state, self.policy, self.own
        try:
            if codes is None:
                done = mechanism.replay_lookups(layout, state, policy, own, pfns, done, len(pfns))
            else:
                done = mechanism.replay(layout, state, policy, own, pfns, codes, done, len(pfns))
        except (IndexError, ArithmeticError) as error:
            if own is None:
                raise
            raise ParameterError(
                "policy", self.params.policy, f"{error} in a function of it"
            ) from error
        if state.counts[tables.BAD_VICTIM]:
            raise ParameterError("policy", self.params.policy, _bad_victim(state))
        return done

    def results(self) -> list[Result]:
        """Return the counters, by their names."""
        return [result_of(self.params, self.n_events, named(tables, self.state.counts))]

    @property
    def resident_granules(self) -> npt.NDArray[np.int64]:
        """Return the indices of the granules that are resident, ascending, int64."""
        words = np.flatnonzero(self.state.resident)  # few of many, in a large region
        bits = np.unpackbits(self.state.resident[words].view(np.uint8), bitorder="little")
        place = np.flatnonzero(bits)
        return words[place // 64] * 64 + place % 64

    @property
    def reserve_taken(self) -> int:
        """Most granules that atomic callers took out of the reserve between two refills."""
        return int(self.state.counts[tables.RESERVE_TAKEN])


def _bad_victim(state: tables.State) -> str:
    named = state.counts[tables.NAMED_VICTIM]
    return f"its victim must be in the order and not the one being filled; it returned {named}"


def _own(params: Params, state: tables.State) -> Own | None:
    """Return a user's policy with its functions compiled and its tables; None for a built-in."""
    policy = REGISTERED.get(params.policy)
    if policy is None:
        return None
    needed = 8 * len(state.chunks) * policy.columns
    check_fits(needed, "policy", policy.name, "the table of a policy")
    try:
        hooks = {name: compiled_hook(name, getattr(policy, name)) for name in PARTS}
    except HookError as error:
        raise ParameterError("policy", policy.name, str(error)) from error
    return Own(
        table=np.zeros((len(state.chunks), policy.columns), np.int64),
        scalars=np.zeros(policy.scalars, np.int64),
        **hooks,
    )


def _layout(trace: Replayable, params: Params) -> tables.Layout:
    geometry = Geometry.of(params)
    hashed = _is_hashed(trace, geometry)
    return tables.Layout(
        **layout_of(params),
        hashed=hashed,
        chunk_bits=log2(_chunk_places(trace, geometry)) if hashed else 0,
        reserve_granules=params.reserve_granules,
        key=random_key(params.seed),
    )


def _is_hashed(trace: Replayable, geometry: Geometry) -> bool:
    """Whether rows by hash take less memory than a row for every chunk of the region."""
    return geometry.n_chunks > max(2 * _chunk_places(trace, geometry), 1 << 16)


def _chunk_places(trace: Replayable, geometry: Geometry) -> int:
    """Places of a hash table that is at most half full, whatever the trace touches."""
    return 1 << max(4, (2 * min(len(trace), geometry.n_chunks) - 1).bit_length())


def _state(
    trace: Replayable, params: Params, layout: tables.Layout, buffers: Buffers
) -> tables.State:
    """Allocate the tables, after a look at what they would take."""
    geometry = Geometry.of(params)
    n_words = -(-geometry.n_granules // 64)
    n_windows = geometry.n_windows if has_ptes(params) else 0
    n_keys = 1 << layout.chunk_bits if layout.hashed else 0
    n_rows = (n_keys or geometry.n_chunks) + tables.FIRST_ROW
    policy = params.policy
    table_bytes = (8 * n_words, 8 * n_words, 5 * n_windows, 16 * n_rows, 8 * n_keys)
    # An event touches one page of each table at most.
    needed = sum(min(size, len(trace) * OS_PAGE_BYTES) for size in table_bytes)
    region = PARAMETERS["region_bytes"].show(params.region_bytes)
    check_region_fits(params, needed, STATE)
    if n_rows >= _MAX_ROWS:
        raise ParameterError("region_bytes", region, "must have fewer than 2**31 chunks")
    # Used tables must be cleared whole; fresh ones cost what is touched, which may be far less.
    few = sum(table_bytes) > _TOUCHED_BYTES * len(trace)
    zeros: Callable[..., Any] = np.zeros if few else buffers.zeros
    failed_pfns, failed = page_counts.table(_FAILED_PLACES)
    try:
        state = tables.State(
            resident=zeros(n_words, np.uint64),
            ever=zeros(n_words, np.uint64),
            windows=zeros(n_windows, np.int32),
            windows_ever=zeros(n_windows, np.bool_),
            chunks=zeros((n_rows, 4), np.int32),
            marks=zeros(n_rows if policy in ("clock", "sieve") else 0, np.uint8),
            places=zeros(n_rows if policy == "random" else 0, np.int32),
            chunk_keys=np.full(n_keys, tables.FREE, np.int64),
            failed_pfns=failed_pfns,
            failed=failed,
            counts=np.zeros(tables.N_COUNTS, np.int64),
        )
    except MemoryError:
        requirement = f"{STATE} must fit in the memory that can be allocated"
        raise ParameterError("region_bytes", region, requirement) from None
    state.chunks[tables.HEAD, (tables.PREV, tables.NEXT)] = tables.HEAD
    state.counts[tables.HAND] = tables.HEAD
    state.counts[tables.RESERVE] = params.reserve_granules
    return state


def _with_larger_failed_table(state: tables.State) -> tables.State:
    failed_pfns, failed = page_counts.larger(state.failed_pfns, state.failed)
    return state._replace(failed_pfns=failed_pfns, failed=failed)
