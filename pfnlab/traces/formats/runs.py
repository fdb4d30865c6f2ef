"""Runs of pages, page by page."""

from collections.abc import Iterator

import numpy as np

from pfnlab.traces.requests import Int64s

#: Pages that are written out at once: a run may be a whole memory.
AT_ONCE = 1 << 20


def pages(first: Int64s, n_pages: Int64s) -> Iterator[tuple[Int64s, Int64s]]:
    """Yield for each page of each run the run's index and the page, int64, `AT_ONCE` at most."""
    ends = np.cumsum(n_pages)
    shift = first - (ends - n_pages)
    total = int(ends[-1]) if len(ends) else 0
    for begin in range(0, total, AT_ONCE):
        places = np.arange(begin, min(begin + AT_ONCE, total))
        runs = np.searchsorted(ends, places, "right")
        yield runs, shift[runs] + places
