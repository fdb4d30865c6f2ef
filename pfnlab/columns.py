"""Columns of a trace: checked once, held read-only in the dtype that the kernels take."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pfnlab.errors import TraceError

Column = npt.NDArray[Any]

#: Events checked or hashed at a time, so that a memory-mapped trace is never loaded whole.
PIECE_EVENTS = 1 << 22


def int64_column(name: str, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return integers as int64, refusing what does not fit."""
    array = _integers(name, values)
    if array.dtype == np.uint64 and len(array) and int(array.max()) >= 2**63:
        raise TraceError(f"{name}={int(array.max())}: must be below 2**63")
    return array.astype(np.int64, copy=False)


def pfn_column(values: npt.ArrayLike) -> Column:
    """Hold pfns as uint32 or int64: kept as they are where they are one of these."""
    array = _integers("pfns", values)
    if array.dtype == np.bool_:
        raise TraceError("pfns: has dtype bool, must be integers")
    if array.dtype.kind == "i" and len(array) and int(array.min()) < 0:
        event = int(np.argmax(array < 0))
        raise TraceError(f"pfn={int(array[event])} in event {event}: must not be negative")
    if array.dtype not in (np.uint32, np.int64):
        small = array.dtype.itemsize < 4 or not len(array) or int(array.max()) < 2**32
        array = array.astype(np.uint32) if small else int64_column("pfns", array)
    return _frozen(array)


def fit_column(name: str, values: npt.ArrayLike | None, dtype: type[np.integer]) -> Column | None:
    """Hold an integer column as `dtype`, refusing a value that does not fit."""
    if values is None:
        return None
    array, limits = _integers(name, values), np.iinfo(dtype)
    if array.dtype != dtype:
        bad = np.flatnonzero((array < limits.min) | (array > limits.max))
        if len(bad):
            event, value = int(bad[0]), int(array[bad[0]])
            raise TraceError(f"{name}={value} in event {event}: must fit {np.dtype(dtype).name}")
    return _frozen(array.astype(dtype, copy=False))


def code_column(
    name: str, values: npt.ArrayLike | None, dtype: type[Any], rule: tuple[int, str]
) -> Column | None:
    """Hold codes from 0 to the largest that `rule` allows; its text is what a refusal says."""
    if values is None:
        return None
    array, (largest, requirement) = _integers(name, values), rule
    for start in range(0, len(array) if array.dtype != np.bool_ else 0, PIECE_EVENTS):
        piece = array[start : start + PIECE_EVENTS]
        if int(piece.min()) < 0 or int(piece.max()) > largest:
            event = start + int(np.argmax((piece < 0) | (piece > largest)))
            raise TraceError(f"{name}={int(array[event])} in event {event}: {requirement}")
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
