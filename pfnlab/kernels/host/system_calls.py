"""Linux system calls for compiled code: by symbol, so that what calls them is cached on disk.

Each returns what the C function returns. The caller has checked that it runs on Linux.
"""

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import config, types

from pfnlab.kernels.compiled import kernel

Int64s = npt.NDArray[np.int64]

#: Longs that a ``struct rusage`` or a ``struct timespec`` takes.
USAGE_WORDS, CLOCK_WORDS = 18, 2
_RUSAGE_THREAD, _MINOR_FAULTS = 1, 8
#: Advice to ``madvise``, and the flag of ``mlock2`` that locks pages as they come.
MADV_DONTNEED, MADV_POPULATE_WRITE, MLOCK_ONFAULT = 4, 23, 1
#: Most ranges that one ``process_madvise`` takes.
MOST_RANGES = 1024
_CLOCK_MONOTONIC = 1
_PROCESS_MADVISE = 440  # the same on every architecture


def _external(name: str, result: Any, *arguments: Any) -> Any:
    """Return the C function: a symbol for compiled code, a foreign function for the interpreter."""
    symbol = types.ExternalFunction(name, result(*arguments))
    return foreign(symbol) if config.DISABLE_JIT else symbol  # type: ignore[attr-defined]


def foreign(symbol: types.ExternalFunction) -> Any:
    """Return the C function of a symbol, for the interpreter to call."""
    c_types = {types.intc: ctypes.c_int, types.intp: ctypes.c_ssize_t, types.uintp: ctypes.c_size_t}
    function = ctypes.CDLL(None)[symbol.symbol]
    function.restype = c_types[symbol.sig.return_type]
    function.argtypes = [c_types[argument] for argument in symbol.sig.args]
    return function


madvise = _external("madvise", types.intc, types.uintp, types.uintp, types.intc)
mlock2 = _external("mlock2", types.intc, types.uintp, types.uintp, types.intc)
munlock = _external("munlock", types.intc, types.uintp, types.uintp)
mincore = _external("mincore", types.intc, types.uintp, types.uintp, types.uintp)
_getrusage = _external("getrusage", types.intc, types.intc, types.uintp)
_clock_gettime = _external("clock_gettime", types.intc, types.intc, types.uintp)
_syscall = _external("syscall", types.intp, *[types.intp] * 7)


@kernel
def process_madvise(pidfd: int, ranges: Int64s, n_ranges: int, advice: int) -> int:
    """Advise on (address, length) pairs; the bytes advised on, or -1."""
    return _syscall(_PROCESS_MADVISE, pidfd, ranges.ctypes.data, n_ranges, advice, 0, 0)  # type: ignore[no-any-return]


@kernel
def minor_faults(usage: Int64s) -> int:
    """Minor faults of this thread so far; `usage` is a buffer of `USAGE_WORDS`."""
    _getrusage(_RUSAGE_THREAD, usage.ctypes.data)
    return usage[_MINOR_FAULTS]  # type: ignore[no-any-return]


@kernel
def now_ns(clock: Int64s) -> int:
    """Monotonic time in ns; `clock` is a buffer of `CLOCK_WORDS`."""
    _clock_gettime(_CLOCK_MONOTONIC, clock.ctypes.data)
    return clock[0] * 1_000_000_000 + clock[1]  # type: ignore[no-any-return]
