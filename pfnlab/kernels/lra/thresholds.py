"""LRA for many thresholds in one pass, where a chunk is one granule and nothing is pinned.

What `pfnlab.kernels.lra.one_granule` keeps of a chunk is kept here for 16, 32 or 64 thresholds
side by side: a row of numbers of faults, compared with a row of the faults so far. All thresholds
see a run of accesses to a chunk at once, so the cost does not depend on how many of them miss.

A block of runs is gone over twice. `scan` does what is the same for all thresholds: it notes when
each chunk is accessed for the first time ever, and asks for the rows. `advance` compares them: one
vector a row, in `advance_vectors`, or lane by lane in `advance_lanes`, with the same answers.

Faults are numbered from 2, so that a 1 in `gone` is always past and a 0 means never accessed.

Preconditions: `faults` starts at 1, all else zeroed; `gone` has a row for every chunk, `firsts` and
`chunks` an element for each; no block lets faults + limit pass what `gone` can hold: `renumber`
starts over below that.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from pfnlab.kernels.bits import prefetch
from pfnlab.kernels.compiled import kernel

#: Thresholds to a row.
WIDTHS = (16, 32, 64)
_LINE = 16  # lanes to a cache line

U = np.uint64


class State(NamedTuple):
    """All that changes during a pass, and the limits."""

    gone: npt.NDArray[
        Any
    ]  # uint16 or uint32, (chunks * lanes): number of the fault that unmaps the chunk
    faults: npt.NDArray[Any]  # the same, a lane: the number of the last fault
    limits: npt.NDArray[Any]  # the same, a lane: most chunks that may be resident
    renumbered: npt.NDArray[np.int64]  # a lane: faults before `renumber` last started over
    firsts: npt.NDArray[np.int64]  # events of the first accesses ever, in order
    chunks: npt.NDArray[np.uint32]  # their chunks
    totals: npt.NDArray[np.int64]  # [0]: their number


@kernel
def scan(state: State, chunks: Any, ends: Any, first_event: int, start: int, stop: int) -> None:
    """Note first accesses among the runs ``[start, stop)``, and fetch the rows of all of them.

    A run begins where the one before ends; events are counted from `first_event`.
    """
    gone, lanes, n_firsts = state.gone, U(len(state.faults)), U(state.totals[0])
    began: Any = np.int64(ends[start - 1]) if start > 0 else 0
    for run in range(U(start), U(stop)):
        row = U(chunks[run]) * lanes
        for line in range(U(_LINE), lanes, U(_LINE)):
            prefetch(gone, np.int64(row + line))
        if gone[row] == 0:
            gone[row] = 1
            state.firsts[n_firsts] = first_event + began
            state.chunks[n_firsts] = chunks[run]
            n_firsts += U(1)
        began = np.int64(ends[run])
    state.totals[0] = n_firsts


@kernel
def advance_lanes(state: State, chunks: Any, start: int, stop: int) -> None:
    """Let every threshold hit or fault on the chunks of the runs ``[start, stop)``."""
    gone, faults, limits, lanes = state.gone, state.faults, state.limits, U(len(state.faults))
    for run in range(U(start), U(stop)):
        row = U(chunks[run]) * lanes
        for lane in range(lanes):
            then = gone[row + lane]
            miss = then <= faults[lane]
            number = U(faults[lane]) + U(miss)
            faults[lane] = number
            gone[row + lane] = number + U(limits[lane]) if miss else U(then)


@kernel
def lower_lanes(state: State) -> None:
    """Lower the numbers in `gone` by the faults so far but one; what is past becomes 1."""
    gone, lanes = state.gone, len(state.faults)
    for row in range(0, len(gone), lanes):
        if gone[row] != 0:
            for lane in range(lanes):
                before = np.int64(state.faults[lane]) - 1
                gone[row + lane] = max(np.int64(gone[row + lane]) - before, 1)


def _vectors(lanes: int, bits: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the loops of `advance_lanes` and `lower_lanes` with one vector a row.

    Written as LLVM instructions because numba keeps the row of faults in memory: a load after
    each store, twice the time. Any target runs them, by as many registers as it needs.
    """
    row, index = ir.VectorType(ir.IntType(bits), lanes), ir.IntType(64)
    zero, one = ir.Constant(row, None), ir.Constant(row, [1] * lanes)

    def pointers(context: Any, builder: Any, kinds: Any, arrays: Any) -> list[Any]:
        data = (
            context.make_array(kind)(context, builder, array).data
            for kind, array in zip(kinds, arrays, strict=True)
        )
        return [builder.bitcast(pointer, row.as_pointer()) for pointer in data]

    @intrinsic
    def advance(
        typing: Any, gone: Any, faults: Any, limits: Any, chunks: Any, start: Any, stop: Any
    ) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            rows, counters, bounds = pointers(context, builder, signature.args[:3], arguments[:3])
            runs = context.make_array(signature.args[3])(context, builder, arguments[3]).data
            limit = builder.load(bounds, align=2)
            so_far = cgutils.alloca_once_value(  # type: ignore[no-untyped-call]
                builder, builder.load(counters, align=2)
            )
            with cgutils.for_range(builder, arguments[5], start=arguments[4]) as loop:
                chunk = builder.zext(builder.load(builder.gep(runs, [loop.index])), index)
                place = builder.gep(rows, [chunk])
                then, before = builder.load(place, align=2), builder.load(so_far)
                miss = builder.icmp_unsigned("<=", then, before)
                number = builder.sub(before, builder.sext(miss, row))
                # A hit leaves more than the faults so far, a miss more than was there: so a
                # maximum selects. A select would become a masked store, from which a later load
                # of the row is not forwarded: half the speed on scattered zipf.
                larger = builder.add(number, builder.select(miss, limit, zero))
                keeps = builder.icmp_unsigned(">", then, larger)
                builder.store(builder.select(keeps, then, larger), place, align=2)
                builder.store(number, so_far)
            builder.store(builder.load(so_far), counters, align=2)
            return context.get_dummy_value()

        return types.void(gone, faults, limits, chunks, types.int64, types.int64), emit

    @intrinsic
    def lower(typing: Any, gone: Any, faults: Any, n_rows: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            rows, counters = pointers(context, builder, signature.args[:2], arguments[:2])
            passed = builder.sub(builder.load(counters, align=2), one)
            with cgutils.for_range(builder, arguments[2]) as loop:
                place = builder.gep(rows, [loop.index])
                then = builder.load(place, align=2)
                stays = builder.icmp_unsigned(">", then, passed)
                number = builder.select(stays, builder.sub(then, passed), one)
                never = builder.icmp_unsigned("==", then, zero)
                builder.store(builder.select(never, zero, number), place, align=2)
            return context.get_dummy_value()

        return types.void(gone, faults, types.int64), emit

    return advance, lower


_of_16x16, _of_32x16, _of_64x16 = (_vectors(lanes, 16) for lanes in WIDTHS)
_of_16x32, _of_32x32, _of_64x32 = (_vectors(lanes, 32) for lanes in WIDTHS)
(_advance_16x16, _lower_16x16), (_advance_16x32, _lower_16x32) = _of_16x16, _of_16x32
(_advance_32x16, _lower_32x16), (_advance_32x32, _lower_32x32) = _of_32x16, _of_32x32
(_advance_64x16, _lower_64x16), (_advance_64x32, _lower_64x32) = _of_64x16, _of_64x32


@kernel
def advance_vectors(state: State, chunks: Any, start: int, stop: int) -> None:
    """Do what `advance_lanes` does, a row at a time; numbers of faults have 16 or 32 bits."""
    gone, faults, limits, lanes = state.gone, state.faults, state.limits, len(state.faults)
    if gone.itemsize == 2:
        if lanes == 16:
            _advance_16x16(gone, faults, limits, chunks, start, stop)
        elif lanes == 32:
            _advance_32x16(gone, faults, limits, chunks, start, stop)
        else:
            _advance_64x16(gone, faults, limits, chunks, start, stop)
    elif lanes == 16:
        _advance_16x32(gone, faults, limits, chunks, start, stop)
    elif lanes == 32:
        _advance_32x32(gone, faults, limits, chunks, start, stop)
    else:
        _advance_64x32(gone, faults, limits, chunks, start, stop)


@kernel
def lower_vectors(state: State) -> None:
    """Do what `lower_lanes` does, a row at a time."""
    gone, faults, lanes = state.gone, state.faults, len(state.faults)
    n_rows = len(gone) // lanes
    if gone.itemsize == 2:
        if lanes == 16:
            _lower_16x16(gone, faults, n_rows)
        elif lanes == 32:
            _lower_32x16(gone, faults, n_rows)
        else:
            _lower_64x16(gone, faults, n_rows)
    elif lanes == 16:
        _lower_16x32(gone, faults, n_rows)
    elif lanes == 32:
        _lower_32x32(gone, faults, n_rows)
    else:
        _lower_64x32(gone, faults, n_rows)


if config.DISABLE_JIT:  # type: ignore[attr-defined]
    advance_vectors, lower_vectors = advance_lanes, lower_lanes


@kernel
def renumber(state: State, lanes: Any) -> None:
    """Start the numbers of faults over at 1: what is gone stays gone, what is resident resident."""
    if lanes is None:
        lower_vectors(state)
    else:
        lower_lanes(state)
    for lane in range(len(state.faults)):
        state.renumbered[lane] += np.int64(state.faults[lane]) - 1
        state.faults[lane] = 1


#: Runs that `scan` goes over before `advance` does: their rows of 256 bytes stay in L2.
BLOCK_RUNS = 256


@kernel
def replay(
    state: State, lanes: Any, chunks: Any, ends: Any, first_event: int, start: int, stop: int
) -> None:
    """Replay runs ``[start, stop)`` for all thresholds, by vectors if `lanes` is None."""
    while start < stop:
        end = min(start + BLOCK_RUNS, stop)
        scan(state, chunks, ends, first_event, start, end)
        if lanes is None:
            advance_vectors(state, chunks, start, end)
        else:
            advance_lanes(state, chunks, start, end)
        start = end
