"""Requests to events (DESIGN 4), as they stream by: equal to `Trace.from_requests` on the whole."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from pfnlab.errors import ParameterError
from pfnlab.traces import requests as whole
from pfnlab.traces.formats.reading import Accesses, Requests
from pfnlab.traces.requests import GET, PUT, Flags, Int64s

#: Log2 of the pages that a device may have: 64 PiB of 4 KiB pages.
DEVICE_SHIFT = 44
#: Requests that are looked at at once, and pages after which their events are cut.
_AT_ONCE, _PAGES_AT_ONCE = 1 << 14, 1 << 20


def check_io_depth(io_depth: object) -> int:
    """Refuse what is no depth of a queue."""
    if isinstance(io_depth, bool) or not isinstance(io_depth, int) or io_depth < 0:
        raise ParameterError("io_depth", io_depth, "must be 0 (synchronous) or more")
    return io_depth


def _page_runs(batch: Requests, some: slice, page_bytes: int) -> tuple[Int64s, Int64s]:
    """First page, the device in its upper bits, and number of pages of some requests."""
    first, n = whole.page_runs(batch.offset_bytes[some], batch.length_bytes[some], page_bytes)
    return first if batch.device is None else first | (batch.device[some] << DEVICE_SHIFT), n


def by_depth(batches: Iterator[Requests], io_depth: int, page_bytes: int) -> Iterator[Accesses]:
    """Turn requests without completion times into events.

    A request is completed once `io_depth` later ones were submitted, and at the time of the last.
    """
    first = n = np.zeros(0, np.int64)
    submit: Int64s | None = None
    for batch in batches:
        for start in range(0, len(batch.offset_bytes), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            pages = _page_runs(batch, some, page_bytes)
            n_old = len(first)
            first, n = np.concatenate([first, pages[0]]), np.concatenate([n, pages[1]])
            if batch.submit_ns is not None:
                old = submit if submit is not None else np.zeros(0, np.int64)
                submit = np.concatenate([old, batch.submit_ns[some]])
            new = np.arange(n_old, len(first))
            yield from _halves(first, n, submit, new, new - io_depth)
            kept = slice(max(len(first) - io_depth, 0), None)
            first, n = first[kept], n[kept]
            submit = submit[kept] if submit is not None else None
    if len(first):  # the last requests complete in order
        request = np.arange(len(first))
        when = None if submit is None else np.full(len(request), submit[-1])
        yield from _expanded(first, n, when, request, np.ones(len(first), np.bool_))


def _halves(
    first: Int64s, n: Int64s, submit: Int64s | None, submitted: Int64s, completed: Int64s
) -> Iterator[Accesses]:
    """Let each submission be followed by the completion that falls due, if there is one."""
    order = np.stack([submitted, completed], axis=1).ravel()
    completes = np.tile(np.array([False, True]), len(submitted))
    due = order >= 0
    when = None if submit is None else np.repeat(submit[submitted], 2)[due]
    return _expanded(first, n, when, order[due], completes[due])


def _expanded(
    first: Int64s, n: Int64s, when: Int64s | None, request: Int64s, completes: Flags
) -> Iterator[Accesses]:
    """Yield the events of halves, in pieces of bounded size: a request may be of 2**20 pages."""
    cuts = np.flatnonzero(np.diff(np.cumsum(n[request]) // _PAGES_AT_ONCE)) + 1
    for start, stop in pairwise([0, *cuts.tolist(), len(request)]):
        part = request[start:stop]
        halves = whole.Halves(request=np.arange(len(part)), completes=completes[start:stop])
        pages, half = whole.expand(halves, first[part], n[part])
        done = halves.completes[half]
        yield Accesses(
            pfns=pages,
            ops=np.where(done, PUT, GET).astype(np.uint8),
            atomic=done,
            time_ns=None if when is None else when[start + half],
        )


class Timed:
    """Requests with completion times, to events in the order of time.

    A submission that comes later in the file than others of a later time takes place when
    it comes: it is counted in `n_late`, and nothing waits for it.
    """

    def __init__(self, page_bytes: int) -> None:
        self.page_bytes = page_bytes
        self.n_late = 0
        none = np.zeros(0, np.int64)
        self._pending = _Pending(none, none, none, np.zeros(0, np.bool_))
        self._now_ns = np.iinfo(np.int64).min

    def events(self, batches: Iterator[Requests]) -> Iterator[Accesses]:
        """Yield the events of all requests."""
        for batch in batches:
            for start in range(0, len(batch.offset_bytes), _AT_ONCE):
                yield from self._some(batch, slice(start, start + _AT_ONCE))
        yield from self._happening(
            np.zeros(0, np.int64), np.ones(len(self._pending.due_ns), np.bool_)
        )

    def _some(self, batch: Requests, some: slice) -> Iterator[Accesses]:
        """Take in requests, and return what happens until the last of them was submitted."""
        first, n = _page_runs(batch, some, self.page_bytes)
        submit, complete = (np.asarray(time)[some] for time in (batch.submit_ns, batch.complete_ns))
        came = np.maximum.accumulate(np.maximum(submit, self._now_ns))
        self.n_late += int((came > submit).sum())
        due = complete + (came - submit)  # it takes as long as it did
        new = _Pending(first, n, due, due == came)
        pairs: Any = zip(self._pending, new, strict=True)
        self._pending = _Pending(*(np.concatenate(pair) for pair in pairs))
        self._now_ns = int(came[-1])
        pending = self._pending
        # A request that completes when it is submitted does so after all others of that instant,
        # of which the next may be one.
        now = (pending.due_ns == self._now_ns) & ~pending.at_once
        return self._happening(came, (pending.due_ns < self._now_ns) | now)

    def _happening(self, came: Int64s, goes: Flags) -> Iterator[Accesses]:
        """Return the submissions of the last ``len(came)`` requests and the completions of some."""
        pending = self._pending
        new = np.arange(len(goes) - len(came), len(goes))
        request = np.concatenate([new, np.flatnonzero(goes)])
        times = np.concatenate([came, pending.due_ns[goes]])
        completes = np.arange(len(request)) >= len(new)
        # At one instant completions come first, save a request's own.
        rank = np.where(completes, np.where(pending.at_once[request], 2, 0), 1)
        order = np.lexsort((rank, times))
        left: Any = (column[~goes] for column in pending)
        self._pending = _Pending(*left)
        return _expanded(pending.first, pending.n, times[order], request[order], completes[order])


class _Pending(NamedTuple):
    """Requests that were submitted and are not completed."""

    first: Int64s
    n: Int64s
    due_ns: Int64s
    at_once: Flags  # whether they complete at the instant of their submission
