"""Columns of a trace: checked once, held read-only in the dtype that the kernels take."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.errors import TraceError
from pfnlab.traces.requests import PUT, Flags, Int64s, Ops

Column = npt.NDArray[Any]

#: Events checked or hashed at a time, so that a memory-mapped trace is never loaded whole.
PIECE_EVENTS = 1 << 22
#: Events looked at twice in a row, so that the second look finds them in a cache of 512 KiB.
_CACHED_EVENTS = 1 << 16

Extent = tuple[int, int]


#: Largest code of a column of codes, and what a refusal says.
_RULES = {"ops": (PUT, "must be LOOKUP 0, GET 1 or PUT 2"), "atomic": (1, "must be 0 or 1")}
#: How a trace holds its columns beside the pfns.
HELD: dict[str, type[Any]] = {
    "ops": np.uint8,
    "atomic": np.bool_,
    "cpus": np.uint16,
    "time_ns": np.int64,
}


class Events(NamedTuple):
    """A piece of a trace: what a replay sees of some events in a row.

    The arrays are as long as one another; `ops` or `atomic` is None where the trace has no such
    column. They are read-only and may be buffers of the iterator that yielded them: copy what
    must outlive the next piece.
    """

    start: int  # number of the first of these events in the trace
    pfns: Column  # uint32 or int64
    ops: Ops | None
    atomic: Flags | None

    def part(self, start: int, stop: int) -> Events:
        """Return the events ``[start, stop)`` of this piece, as views."""
        ops = self.ops[start:stop] if self.ops is not None else None
        atomic = self.atomic[start:stop] if self.atomic is not None else None
        return Events(self.start + start, self.pfns[start:stop], ops, atomic)


def extent_of(pfns: Column) -> Extent | None:
    """Return the least and the largest of `pfns`, None if there are none.

    One pass over memory: two of them over 4 * 10**8 events cost as much as a replay.
    """
    extents = [(int(part.min()), int(part.max())) for part in cached_parts(pfns)]
    return (min(low for low, _ in extents), max(high for _, high in extents)) if extents else None


def cached_parts(column: Column) -> Iterator[Column]:
    """Cut a column into views that stay in cache between two looks."""
    for start in range(0, len(column), _CACHED_EVENTS):
        yield column[start : start + _CACHED_EVENTS]


def spread_starts(n_events: int, n_slices: int, slice_events: int) -> list[int]:
    """Return where `n_slices` slices of `slice_events` start, evenly spread and apart.

    A trace that is shorter than the slices together gets fewer of them.
    """
    n_slices = min(n_slices, -(-n_events // slice_events))
    last = max(n_events - slice_events, 0)
    return [last * i // max(n_slices - 1, 1) for i in range(n_slices)]


def int64_column(name: str, values: npt.ArrayLike) -> Int64s:
    """Return integers as int64, refusing what does not fit."""
    array = _integers(name, values)
    if array.dtype == np.uint64 and len(array) and int(array.max()) >= 2**63:
        raise TraceError(f"{name}={int(array.max())}: must be below 2**63")
    return array.astype(np.int64, copy=False)


def pfn_column(values: npt.ArrayLike, first_event: int = 0) -> tuple[Column, Extent | None]:
    """Hold pfns as uint32 or int64: kept as they are where they are one of these.

    Parameters
    ----------
    values
        One-dimensional integers.
    first_event
        Number of the first of these events in its trace, for errors.

    Returns
    -------
    column, extent
        The extent is None where holding the column did not take a pass over it.
    """
    array = _integers("pfns", values)
    if array.dtype == np.bool_:
        raise TraceError("pfns: has dtype bool, must be integers")
    extent = extent_of(array) if array.dtype != np.uint32 else None
    if extent and extent[0] < 0:
        event = int(np.argmax(array < 0))
        raise TraceError(
            f"pfn={int(array[event])} in event {first_event + event}: must not be negative"
        )
    if array.dtype not in (np.uint32, np.int64):
        small = extent is None or extent[1] < 2**32
        array = array.astype(np.uint32) if small else int64_column("pfns", array)
    return _frozen(array), extent


def held_column(name: str, values: npt.ArrayLike | None, first_event: int = 0) -> Column | None:
    """Hold any other column of a trace as `HELD` says, refusing a value that it can't have."""
    if values is None:
        return None
    if name in _RULES:
        return code_column(name, values, HELD[name], _RULES[name], first_event)
    return fit_column(name, values, HELD[name], first_event)


def digest_of(page_bytes: int, n_events: int, parts_of: Callable[[str], Iterable[Column]]) -> str:
    """Return the sha256 of page size, pfns, ops and contexts, each column given in parts.

    A column that is absent and one of zeros mean the same, and so digest the same.
    """
    sha = hashlib.sha256(f"page_bytes={page_bytes}".encode())
    for name, dtype in (("pfns", "<i8"), ("ops", "u1"), ("atomic", "u1")):
        without, matters = sha.copy(), name == "pfns"
        without.update(f";{name}=0:".encode())
        sha.update(f";{name}={n_events}:".encode())
        for part in parts_of(name):
            sha.update(part.astype(dtype).tobytes())
            matters = matters or bool(part.any())
        sha = sha if matters else without
    return sha.hexdigest()


def fit_column(
    name: str, values: npt.ArrayLike | None, dtype: type[np.integer], first_event: int = 0
) -> Column | None:
    """Hold an integer column as `dtype`, refusing a value that does not fit."""
    if values is None:
        return None
    array, limits = _integers(name, values), np.iinfo(dtype)
    if array.dtype != dtype:
        bad = np.flatnonzero((array < limits.min) | (array > limits.max))
        if len(bad):
            event, value = first_event + int(bad[0]), int(array[bad[0]])
            raise TraceError(f"{name}={value} in event {event}: must fit {np.dtype(dtype).name}")
    return _frozen(array.astype(dtype, copy=False))


def code_column(
    name: str,
    values: npt.ArrayLike | None,
    dtype: type[Any],
    rule: tuple[int, str],
    first_event: int = 0,
) -> Column | None:
    """Hold codes from 0 to the largest that `rule` allows; its text is what a refusal says."""
    if values is None:
        return None
    array, (largest, requirement) = _integers(name, values), rule
    for start in range(0, len(array) if array.dtype != np.bool_ else 0, PIECE_EVENTS):
        piece = array[start : start + PIECE_EVENTS]
        if int(piece.min()) < 0 or int(piece.max()) > largest:
            event = start + int(np.argmax((piece < 0) | (piece > largest)))
            raise TraceError(
                f"{name}={int(array[event])} in event {first_event + event}: {requirement}"
            )
    return _frozen(array.astype(dtype, copy=False))


def _integers(name: str, values: npt.ArrayLike) -> Column:
    array = np.asarray(values)
    if array.ndim != 1:
        raise TraceError(f"{name}: has shape {array.shape}, must be one-dimensional")
    if array.dtype.kind in "iub":
        return array
    if array.size == 0:
        return array.astype(np.int64)
    raise TraceError(f"{name}: has dtype {array.dtype}, must be integers")


def _frozen(array: Column) -> Column:
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
