"""A reserved range of this process, as large as a vmemmap, that the kernel populates on demand."""

import ctypes
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from pfnlab.errors import PfnlabError
from pfnlab.params.units import OS_PAGE_BYTES, short_bytes

Words = npt.NDArray[np.int64]

HUGE_BYTES = 1 << 21
_PAGES_AT_ONCE = 1 << 22
_MAP_NORESERVE, _MAP_FAILED = 0x4000, ctypes.c_size_t(-1).value
_PROT = mmap.PROT_READ | mmap.PROT_WRITE


@contextmanager
def reserved(n_bytes: int, *, huge: bool) -> Iterator[Words]:
    """Reserve address space and yield it as words; it is given back, and unlocked, at the end.

    Nothing is populated. It begins where a huge page may. Transparent huge pages are asked for, or
    kept out, so that the size of a fault is known.

    Raises
    ------
    PfnlabError
        If the kernel does not reserve that much, or has no transparent huge pages that were asked
        for.
    """
    libc = libc_of()
    size = n_bytes + HUGE_BYTES
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    start = libc.mmap(None, size, _PROT, flags, -1, 0)
    if start == _MAP_FAILED:
        why = os.strerror(ctypes.get_errno())
        raise PfnlabError(
            f"its vmemmap of {short_bytes(n_bytes)} must fit the address space that this process "
            f"may reserve ({why}; see ulimit -v and vm.overcommit_memory)"
        )
    try:
        advice = mmap.MADV_HUGEPAGE if huge else mmap.MADV_NOHUGEPAGE
        if libc.madvise(start, size, advice) != 0 and huge:
            raise PfnlabError("pages='huge': this kernel must have transparent huge pages")
        first = -(-start // HUGE_BYTES) * HUGE_BYTES
        memory = (ctypes.c_char * n_bytes).from_address(first)
        yield np.frombuffer(memory, np.int64)  # type: ignore[call-overload]
    finally:
        libc.munmap(start, size)


def libc_of() -> Any:
    """Return the C library, with the calls that this package makes from Python."""
    libc = ctypes.CDLL(None, use_errno=True)
    size, number = ctypes.c_size_t, ctypes.c_int
    libc.mmap.restype = size
    libc.mmap.argtypes = [ctypes.c_void_p, size, number, number, number, ctypes.c_long]
    libc.madvise.argtypes = [size, size, number]
    libc.munmap.argtypes = [size, size]
    libc.mlock.argtypes = [size, size]
    libc.mincore.argtypes = [size, size, size]
    return libc


def resident_granules(words: Words, granule_bytes: int) -> Words:
    """Return the indices of a range's resident granules, int64, as ``mincore`` tells.

    Raises
    ------
    PfnlabError
        If a granule is resident in part.
    """
    pages = _resident_pages(words)
    granules, n_pages = np.unique(pages // (granule_bytes // OS_PAGE_BYTES), return_counts=True)
    if (n_pages != granule_bytes // OS_PAGE_BYTES).any():
        raise PfnlabError("twin: the kernel holds a granule in part (is this machine swapping?)")
    return granules


def _resident_pages(words: Words) -> Words:
    n_pages = words.nbytes // OS_PAGE_BYTES
    core = np.empty(min(n_pages, _PAGES_AT_ONCE), np.uint8)
    found = [np.zeros(0, np.int64)]
    for first in range(0, n_pages, _PAGES_AT_ONCE):
        some = core[: n_pages - first]
        address = words.ctypes.data + first * OS_PAGE_BYTES
        libc_of().mincore(address, len(some) * OS_PAGE_BYTES, some.ctypes.data)
        found.append(np.flatnonzero(some & 1) + first)
    return np.concatenate(found)
