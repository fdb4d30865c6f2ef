"""Event codes: columns packed into a byte an event, and every PUT's fate settled.

Whether a PUT finds a GET of its page, live or failed, depends on the trace alone: so it is
found out once a trace, and a replay needs no table of pages with live pins.

Preconditions: ops are LOOKUP, GET or PUT, and the table is one of `pfnlab.kernels.page_counts`.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.kernels import page_counts
from pfnlab.kernels.compiled import kernel
from pfnlab.kernels.state import ATOMIC, FREE, GET, PUT, UNMATCHED_PUT

# Places in `Outstanding.totals`: pages in the table, GETs that wait for a PUT, the most of these.
PAGES, GETS, PEAK_GETS = range(3)


class Outstanding(NamedTuple):
    """GETs that wait for their PUT, by page."""

    pfns: npt.NDArray[np.int64]
    gets: npt.NDArray[np.int64]
    totals: npt.NDArray[np.int64]


@kernel
def settle(
    table: Outstanding, pfns: Any, ops: Any, atomic: Any, codes: Any, start: int, stop: int
) -> int:
    """Write the codes of events ``[start, stop)``; return where it stopped for want of places."""
    limit = len(table.pfns) // 2
    bits = page_counts.bits_of(table.pfns)
    for event in range(start, stop):
        code: Any = np.int64(ops[event])
        if code == GET:
            if table.totals[PAGES] >= limit:
                return event
            take(table, bits, np.int64(pfns[event]))
        elif code == PUT and not drop(table, bits, np.int64(pfns[event])):
            code = UNMATCHED_PUT
        if atomic is not None:
            code |= np.int64(atomic[event]) * ATOMIC
        codes[event] = code
    return stop


@kernel
def take(table: Outstanding, bits: int, pfn: Any) -> None:
    """Count one more GET of `pfn`."""
    totals = table.totals
    place = page_counts.find(table.pfns, bits, pfn)
    if table.pfns[place] == FREE:
        table.pfns[place] = pfn
        totals[PAGES] += 1
    table.gets[place] += 1
    totals[GETS] += 1
    totals[PEAK_GETS] = max(totals[PEAK_GETS], totals[GETS])


@kernel
def drop(table: Outstanding, bits: int, pfn: Any) -> bool:
    """Let a PUT of `pfn` answer a GET; False if none waits for it."""
    place = page_counts.find(table.pfns, bits, pfn)
    if table.pfns[place] == FREE:
        return False
    table.totals[GETS] -= 1
    table.gets[place] -= 1
    if table.gets[place] == 0:
        table.totals[PAGES] -= 1
        page_counts.forget(table.pfns, table.gets, bits, place)
    return True
