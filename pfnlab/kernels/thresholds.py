"""LRA for many thresholds in one pass, where a chunk is one granule and nothing is pinned.

What `pfnlab.kernels.expiry` keeps of a chunk is kept here for 16, 32 or 64 thresholds side by side:
a row of numbers of faults, compared with a row of the faults so far. All thresholds see a run of
accesses to a chunk at once, so the cost does not depend on how many of them miss.

A block of runs is gone over twice. `scan` does what is the same for all thresholds: it notes when
each chunk is accessed for the first time ever, and asks for the rows. `advance` compares them: one
vector a row, in `advance_vectors`, or lane by lane in `advance_lanes`, with the same answers.

Faults are numbered from 2, so that a 1 in `gone` is always past and a 0 means never accessed.

Preconditions: `faults` starts at 1, all else zeroed; `gone` has a row for every chunk, `firsts` and
`chunks` an element for each; no block lets faults + limit pass what `gone` can hold: `renumber`
starts over below that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import config, types
from numba.extending import intrinsic

from pfnlab.kernels.bits import prefetch
from pfnlab.kernels.compiled import kernel

#: Thresholds to a row.
WIDTHS = (16, 32, 64)
_LINE = 16  # lanes to a cache line

U = np.uint64


class State(NamedTuple):
    """All that changes during a pass, and the limits."""

    gone: npt.NDArray[Any]  # uint32, (chunks * lanes): number of the fault that unmaps the chunk
    faults: npt.NDArray[Any]  # uint32, a lane: the number of the last fault
    limits: npt.NDArray[Any]  # uint32, a lane: most chunks that may be resident
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
def renumber(state: State) -> None:
    """Start the numbers of faults over at 1: what is gone stays gone, what is resident resident."""
    gone, lanes = state.gone, len(state.faults)
    for row in range(0, len(gone), lanes):
        if gone[row] != 0:
            for lane in range(lanes):
                before = np.int64(state.faults[lane]) - 1
                gone[row + lane] = max(np.int64(gone[row + lane]) - before, 1)
    for lane in range(lanes):
        state.renumbered[lane] += np.int64(state.faults[lane]) - 1
        state.faults[lane] = 1


def _vectors(lanes: int) -> Callable[..., Any]:
    """Return the loop of `advance_lanes` for rows of so many lanes, one vector a row.

    Written as LLVM instructions because numba keeps the row of faults in memory: a load after
    each store, three times as long. Any target runs them, by as many registers as it needs.
    """

    @intrinsic
    def loop(
        typing: Any, gone: Any, faults: Any, limits: Any, chunks: Any, start: Any, stop: Any
    ) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            row = ir.VectorType(ir.IntType(32), lanes)
            data = [
                context.make_array(kind)(context, builder, value).data
                for kind, value in zip(signature.args[:4], arguments[:4], strict=True)
            ]
            rows, counters, bounds = (builder.bitcast(p, row.as_pointer()) for p in data[:3])
            limit, first = builder.load(bounds, align=4), builder.load(counters, align=4)
            before = builder.block
            body, after = (builder.append_basic_block(name) for name in ("body", "after"))
            begins = builder.icmp_signed("<", arguments[4], arguments[5])
            builder.cbranch(begins, body, after)
            builder.position_at_end(body)
            run, so_far = builder.phi(ir.IntType(64)), builder.phi(row)
            chunk = builder.zext(builder.load(builder.gep(data[3], [run])), ir.IntType(64))
            place = builder.gep(rows, [chunk])
            then = builder.load(place, align=4)
            miss = builder.icmp_unsigned("<=", then, so_far)
            number = builder.sub(so_far, builder.sext(miss, row))
            # A hit leaves more than the faults so far, a miss more than was there: so a maximum
            # selects. A select would become a masked store, from which a later load of the row
            # is not forwarded: half the speed on scattered zipf.
            added = builder.select(miss, limit, ir.Constant(row, None))
            larger = builder.add(number, added)
            keeps = builder.icmp_unsigned(">", then, larger)
            builder.store(builder.select(keeps, then, larger), place, align=4)
            following = builder.add(run, ir.IntType(64)(1))
            builder.cbranch(builder.icmp_signed("<", following, arguments[5]), body, after)
            for phi, entry, again in ((run, arguments[4], following), (so_far, first, number)):
                phi.add_incoming(entry, before)
                phi.add_incoming(again, body)
            builder.position_at_end(after)
            last = builder.phi(row)
            last.add_incoming(first, before)
            last.add_incoming(number, body)
            builder.store(last, counters, align=4)
            return context.get_dummy_value()

        return types.void(gone, faults, limits, chunks, types.int64, types.int64), emit

    return loop


_vectors_16, _vectors_32, _vectors_64 = (_vectors(lanes) for lanes in WIDTHS)


@kernel
def advance_vectors(state: State, chunks: Any, start: int, stop: int) -> None:
    """Do what `advance_lanes` does, a row at a time; `gone` and `chunks` are uint32."""
    gone, faults, limits = state.gone, state.faults, state.limits
    if len(faults) == 16:
        _vectors_16(gone, faults, limits, chunks, start, stop)
    elif len(faults) == 32:
        _vectors_32(gone, faults, limits, chunks, start, stop)
    else:
        _vectors_64(gone, faults, limits, chunks, start, stop)


if config.DISABLE_JIT:  # type: ignore[attr-defined]
    advance_vectors = advance_lanes

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
