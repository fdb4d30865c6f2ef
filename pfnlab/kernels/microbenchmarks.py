"""What one operation on memory takes: each function does it many times and returns the time.

Preconditions: the range that `words` is begins at `address`, a page boundary; before a touch that
should fault nothing of it is resident, and before an unmap all of it is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pfnlab.kernels.compiled import kernel
from pfnlab.kernels.system_calls import MADV_DONTNEED, MADV_POPULATE_WRITE, madvise, now_ns

Int64s = npt.NDArray[np.int64]
PAGE_WORDS, PAGE_BYTES = 512, 4096


@kernel
def populate(words: Int64s, address: int, n_granules: int, n_pages: int, clock: Int64s) -> int:
    """Populate granules of so many pages, by a store and then the others; ns in all."""
    began = now_ns(clock)
    for granule in range(n_granules):
        words[granule * n_pages * PAGE_WORDS] = 1
        if n_pages > 1:
            size = n_pages * PAGE_BYTES
            madvise(address + granule * size, size, MADV_POPULATE_WRITE)
    return now_ns(clock) - began


@kernel
def unmap(address: int, n_chunks: int, n_pages: int, clock: Int64s) -> int:
    """Unmap chunks of so many pages, a call each; ns in all."""
    began, size = now_ns(clock), n_pages * PAGE_BYTES
    for chunk in range(n_chunks):
        madvise(address + chunk * size, size, MADV_DONTNEED)
    return now_ns(clock) - began


@kernel
def touch(words: Int64s, order: Int64s, clock: Int64s) -> int:
    """Store to words, each known only once the one before was looked at; ns in all."""
    began, last = now_ns(clock), 0
    for i in range(len(order)):
        word = order[i] + last
        words[word] = 1
        last = words[word + 1]  # always 0, but who knows
    return now_ns(clock) - began
