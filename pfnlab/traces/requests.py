"""Block requests to events (DESIGN 4): GETs when submitted, then PUTs when completed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pfnlab.errors import ParameterError, TraceError

Int64s = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Ops = npt.NDArray[np.uint8]

LOOKUP, GET, PUT = 0, 1, 2

#: Requests are expanded in memory, at tens of bytes an event; more events than this are refused.
MAX_EVENTS = 2**31
#: Pages that are written out at once: a run may be a whole memory.
PAGES_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """The two halves of every request, submission and completion, in the order they happen.

    Attributes
    ----------
    request
        Index of the request that each half belongs to, int64, two per request.
    completes
        Whether the half is the completion, bool.
    """

    request: Int64s
    completes: npt.NDArray[np.bool_]


def by_depth(n_requests: int, io_depth: int) -> Halves:
    """Order halves so that a request completes once `io_depth` later ones were submitted."""
    if isinstance(io_depth, bool) or not isinstance(io_depth, int) or io_depth < 0:
        raise ParameterError("io_depth", io_depth, "must be 0 (synchronous) or more")
    request = np.arange(n_requests, dtype=np.int64)
    return _in_order(2 * request, 2 * (request + io_depth) + 1)


def by_time(submit_ns: Int64s, complete_ns: Int64s) -> Halves:
    """Order halves by time; at one instant completions come first, save a request's own."""
    early = np.flatnonzero(complete_ns < submit_ns)
    if len(early):
        request = int(early[0])
        raise TraceError(
            f"complete_ns={int(complete_ns[request])} of request {request}: "
            f"must not be before submit_ns ({int(submit_ns[request])})"
        )
    own_instant = complete_ns == submit_ns
    n = len(submit_ns)
    rank = np.concatenate([np.ones(n, np.int8), np.where(own_instant, 2, 0).astype(np.int8)])
    order = np.lexsort((rank, np.concatenate([submit_ns, complete_ns])))
    return Halves(request=order % n if n else order, completes=order >= n)


def _in_order(submit_key: Int64s, complete_key: Int64s) -> Halves:
    n = len(submit_key)
    order = np.argsort(np.concatenate([submit_key, complete_key]), kind="stable")
    return Halves(request=order % n if n else order, completes=order >= n)


def page_runs(offsets: Int64s, lengths: Int64s, page_bytes: int) -> tuple[Int64s, Int64s]:
    """First page and number of pages of byte ranges; an empty range touches no page."""
    for name, values in (("offset_bytes", offsets), ("length_bytes", lengths)):
        negative = np.flatnonzero(values < 0)
        if len(negative):
            request = int(negative[0])
            value = int(values[request])
            raise TraceError(f"{name}={value} of request {request}: must not be negative")
    beyond = np.flatnonzero(offsets > np.iinfo(np.int64).max - lengths)
    if len(beyond):
        request = int(beyond[0])
        value = int(lengths[request])
        raise TraceError(f"length_bytes={value} of request {request}: must end below 2**63 bytes")
    first = offsets // page_bytes
    last = (offsets + lengths - 1) // page_bytes
    return first, np.where(lengths > 0, last - first + 1, 0)


def expand(halves: Halves, first_page: Int64s, n_pages: Int64s) -> tuple[Int64s, Int64s]:
    """Return one page, and the half it belongs to, for every event of `halves`."""
    # Summed as floats, which can't overflow; the bound is far from their rounding.
    if n_pages.sum(dtype=np.float64) >= MAX_EVENTS / 2:
        pages = n_pages.sum(dtype=np.float64)
        raise TraceError(
            f"length_bytes: requests cover {pages:.0f} pages, must be < {MAX_EVENTS // 2}"
        )
    pages_of_half = n_pages[halves.request]
    half = np.repeat(np.arange(len(halves.request), dtype=np.int64), pages_of_half)
    start = np.cumsum(pages_of_half) - pages_of_half
    within = np.arange(len(half), dtype=np.int64) - start[half]
    return first_page[halves.request[half]] + within, half


def pages_of_runs(first: Int64s, n_pages: Int64s) -> Iterator[tuple[Int64s, Int64s]]:
    """Yield the run's index and the page of each page of each run, int64."""
    ends = np.cumsum(n_pages)
    shift = first - (ends - n_pages)
    total = int(ends[-1]) if len(ends) else 0
    for begin in range(0, total, PAGES_AT_ONCE):
        places = np.arange(begin, min(begin + PAGES_AT_ONCE, total))
        runs = np.searchsorted(ends, places, "right")
        yield runs, shift[runs] + places
