"""Threads that touch the same fresh pages, each waiting for the others at every page."""

import numpy as np
import numpy.typing as npt

from pfnlab.kernels.compiled import kernel
from pfnlab.kernels.host.system_calls import minor_faults

Int64s = npt.NDArray[np.int64]

PAGE_WORDS, LINE_WORDS = 512, 8
_STOPPED = -1


@kernel
def touch_together(
    words: Int64s, n_pages: int, progress: Int64s, mine: int, n_threads: int, usage: Int64s
) -> int:
    """Store to each page when every thread has come to it; the minor faults of this thread.

    `progress` has a cache line a thread, and one more into which it stores while it waits: a loop
    without a store would wait on what was loaded once. A thread whose progress is negative has
    ended, and is not waited for.
    """
    before = minor_faults(usage)
    spins = (n_threads + mine) * LINE_WORDS
    for page in range(n_pages):
        progress[mine * LINE_WORDS] = page + 1
        for other in range(n_threads):
            while True:
                reached = progress[other * LINE_WORDS]
                if reached > page or reached == _STOPPED:
                    break
                progress[spins] += 1
        words[page * PAGE_WORDS + mine] = 1
    return minor_faults(usage) - before
