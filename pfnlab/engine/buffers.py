"""Tables that outlive a replay: the next one of a sweep, or of a slider, takes them over.

Touching a fresh table of 1 GiB for the first time takes seconds, because the kernel hands out and
zeroes its pages one by one; clearing one that was used takes hundredths of that.
"""

import threading
from math import prod
from typing import Any
from weakref import finalize

import numpy as np
import numpy.typing as npt

from pfnlab.params.memory import available_bytes

#: Smaller tables are not worth keeping.
_LEAST_BYTES = 1 << 16
#: Share of the available memory that idle tables may hold.
_IDLE_SHARE = 1 / 8
_LINE_BYTES = 64

_idle: list[npt.NDArray[np.uint8]] = []
_lock = threading.Lock()


class Buffers:
    """Hands out tables, and takes all of them back when it is no longer referenced."""

    def __init__(self) -> None:
        self._lent: list[npt.NDArray[np.uint8]] = []
        finalize(self, _take_back, self._lent).atexit = False

    def empty(self, shape: int | tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
        """Return a table like ``np.empty``, aligned to a cache line."""
        kind = np.dtype(dtype)
        dimensions = shape if isinstance(shape, tuple) else (shape,)
        n_bytes = prod(dimensions) * kind.itemsize
        if n_bytes < _LEAST_BYTES:
            return np.empty(dimensions, kind)
        table: npt.NDArray[Any] = self._taken(n_bytes)[:n_bytes].view(kind)
        return table.reshape(dimensions)

    def zeros(self, shape: int | tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
        """Return a table like ``np.zeros``."""
        table = self.empty(shape, dtype)
        table.fill(0)
        return table

    def _taken(self, n_bytes: int) -> npt.NDArray[np.uint8]:
        with _lock:
            fitting = [i for i, table in enumerate(_idle) if n_bytes <= len(table) <= 4 * n_bytes]
            best = min(fitting, key=lambda i: len(_idle[i]), default=None)
            table = _aligned(n_bytes) if best is None else _idle.pop(best)
        self._lent.append(table)
        return table


def _take_back(lent: list[npt.NDArray[np.uint8]]) -> None:
    with _lock:
        _idle.extend(lent)
        most = available_bytes() * _IDLE_SHARE
        while _idle and sum(map(len, _idle)) > most:
            _idle.pop(0)


def _aligned(n_bytes: int) -> npt.NDArray[np.uint8]:
    whole = np.empty(n_bytes + _LINE_BYTES, np.uint8)
    start = -whole.ctypes.data % _LINE_BYTES
    return whole[start : start + n_bytes]
