"""Requests to events (DESIGN 4), as they stream by: equal to `Trace.from_requests` on the whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pfnlab import requests as whole
from pfnlab.errors import ParameterError
from pfnlab.formats.reading import Accesses, Int64s, Requests
from pfnlab.requests import GET, PUT

#: Requests that are turned into events at once: a request may be of many pages.
_AT_ONCE = 1 << 14


def check_io_depth(io_depth: object) -> int:
    """Refuse what is no depth of a queue."""
    if isinstance(io_depth, bool) or not isinstance(io_depth, int) or io_depth < 0:
        raise ParameterError("io_depth", io_depth, "must be 0 (synchronous) or more")
    return io_depth


def by_depth(batches: Iterator[Requests], io_depth: int, page_bytes: int) -> Iterator[Accesses]:
    """Turn requests without completion times into events.

    A request is completed once `io_depth` later ones were submitted.
    """
    first = n = np.zeros(0, np.int64)
    submit: Int64s | None = None
    for batch in batches:
        for start in range(0, len(batch.offset_bytes), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            pages = whole.page_runs(batch.offset_bytes[some], batch.length_bytes[some], page_bytes)
            n_old = len(first)
            first, n = np.concatenate([first, pages[0]]), np.concatenate([n, pages[1]])
            if batch.submit_ns is not None:
                old = submit if submit is not None else np.zeros(0, np.int64)
                submit = np.concatenate([old, batch.submit_ns[some]])
            new = np.arange(n_old, len(first))
            yield _halves(first, n, submit, new, new - io_depth)
            kept = slice(max(len(first) - io_depth, 0), None)
            first, n = first[kept], n[kept]
            submit = submit[kept] if submit is not None else None
    if len(first):  # the last requests complete in order
        yield _expanded(first, n, submit, np.arange(len(first)), np.ones(len(first), np.bool_))


def _halves(
    first: Int64s, n: Int64s, submit: Int64s | None, submitted: Int64s, completed: Int64s
) -> Accesses:
    """Let each submission be followed by the completion that falls due, if there is one."""
    order = np.stack([submitted, completed], axis=1).ravel()
    completes = np.tile(np.array([False, True]), len(submitted))
    due = order >= 0
    return _expanded(first, n, submit, order[due], completes[due])


def _expanded(
    first: Int64s, n: Int64s, times: Int64s | None, request: Int64s, completes: Int64s
) -> Accesses:
    halves = whole.Halves(request=request, completes=completes.astype(np.bool_))
    pages, half = whole.expand(halves, first, n)
    done = halves.completes[half]
    return Accesses(
        pfns=pages,
        ops=np.where(done, PUT, GET).astype(np.uint8),
        atomic=done,
        time_ns=None if times is None else times[request][half],
    )


class Timed:
    """Requests with completion times, to events in the order of time.

    A submission that comes later in the file than others of a later time takes place when
    it comes: it is counted in `n_late`, and nothing waits for it.
    """

    def __init__(self, page_bytes: int) -> None:
        self.page_bytes = page_bytes
        self.n_late = 0
        self._first = self._n = self._due_ns = np.zeros(0, np.int64)
        self._now_ns = np.iinfo(np.int64).min

    def events(self, batches: Iterator[Requests]) -> Iterator[Accesses]:
        """Yield the events of all requests."""
        for batch in batches:
            for start in range(0, len(batch.offset_bytes), _AT_ONCE):
                yield self._some(batch, slice(start, start + _AT_ONCE))
        yield self._upto(
            *(np.zeros(0, np.int64),) * 3, np.zeros(0, np.int64), np.iinfo(np.int64).max
        )

    def _some(self, batch: Requests, some: slice) -> Accesses:
        first, n = whole.page_runs(
            batch.offset_bytes[some], batch.length_bytes[some], self.page_bytes
        )
        assert_times = batch.submit_ns, batch.complete_ns
        submit, complete = (np.asarray(t)[some] for t in assert_times)
        came = np.maximum.accumulate(np.maximum(submit, self._now_ns))
        self.n_late += int((came > submit).sum())
        complete = np.maximum(complete, came)
        self._now_ns = int(came[-1])
        return self._upto(first, n, came, complete, self._now_ns)

    def _upto(
        self, first: Int64s, n: Int64s, submit: Int64s, complete: Int64s, now_ns: int
    ) -> Accesses:
        """Return what happens until `now_ns`: all submissions, and the completions before it."""
        n_old = len(self._first)
        all_first, all_n = np.concatenate([self._first, first]), np.concatenate([self._n, n])
        due = np.concatenate([self._due_ns, complete])
        new = np.arange(n_old, len(all_first))
        goes = due < now_ns if now_ns < np.iinfo(np.int64).max else np.ones(len(due), np.bool_)
        request = np.concatenate([new, np.flatnonzero(goes)])
        times = np.concatenate([submit, due[goes]])
        completes = np.arange(len(request)) >= len(new)
        # At one instant completions come first, save a request's own.
        own = np.zeros(len(due), np.bool_)
        own[n_old:] = complete == submit
        rank = np.where(completes, np.where(own[request], 2, 0), 1)
        order = np.lexsort((rank, times))
        accesses = _expanded(all_first, all_n, None, request[order], completes[order])
        halves = np.repeat(times[order], all_n[request[order]])
        self._first, self._n, self._due_ns = all_first[~goes], all_n[~goes], due[~goes]
        return accesses._replace(time_ns=halves)
