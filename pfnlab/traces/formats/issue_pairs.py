"""Issues and completions of block requests, each a line of its own, to requests.

A completion belongs to the first issue of the same device, sector and length since the last
such completion. Left out and counted: a further issue of what is in flight (the driver had
put the request back), a completion without an issue, an issue without a completion, and what
moves no data (flush, discard).
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from pfnlab.traces.formats.reading import Matched, Reading, Requests, requests, times
from pfnlab.traces.requests import Flags, Int64s

SECTOR_BYTES = 512
#: Requests that are kept back, in the order of their issues, until one is known to be lost.
_MOST_HELD = 1 << 17
_NEVER = -1


class Halves(NamedTuple):
    """Some issues and completions in the order of their lines, int64 but `completes`."""

    lines: Int64s
    device: Int64s
    sector: Int64s
    n_sectors: Int64s
    time_ns: Int64s
    completes: Flags


class _Issues(NamedTuple):
    """Issues in their order, int64; `complete_ns` is `_NEVER` for those in flight."""

    lines: Int64s
    device: Int64s
    sector: Int64s
    n_sectors: Int64s
    time_ns: Int64s
    complete_ns: Int64s


def moves_data(rwbs: str) -> bool:
    """Return whether a request of that kind moves data, which a discard does not."""
    return "D" not in rwbs


def words_are(matched: Matched, column: int, is_so: Callable[[str], bool]) -> Flags:
    """Return whether `is_so` holds for each line's word in `column`, bool; one call per word."""
    numbers = matched.numbers
    _, first, inverse = np.unique(numbers[:, column], return_index=True, return_inverse=True)
    found = np.zeros(len(first), np.bool_)
    for i, line in enumerate(first):
        begin, length = numbers[line, column + 1], numbers[line, column + 2]
        found[i] = is_so(matched.block[begin : begin + length].tobytes().decode("ascii", "replace"))
    return found[inverse.ravel()]


def paired(reading: Reading, batches: Iterator[Halves]) -> Iterator[Requests]:
    """Yield requests in the order of their issues."""
    none = np.zeros(0, np.int64)
    held = _Issues(none, none, none, none, none, none)
    for halves in batches:
        held = _completed(reading, held, _with_data(reading, halves))
        n_ready = _n_ready(held.complete_ns)
        yield _requests(reading, _some(held, slice(n_ready)))
        held = _some(held, slice(n_ready, None))
        if len(held.lines) > _MOST_HELD:
            lost = held.complete_ns == _NEVER
            lost[_MOST_HELD // 2 :] = False
            reading.counts["requests issued, not completed"] += int(lost.sum())
            held = _some(held, ~lost)
    lost = held.complete_ns == _NEVER
    reading.counts["requests issued, not completed"] += int(lost.sum())
    yield _requests(reading, _some(held, ~lost))


def _with_data(reading: Reading, halves: Halves) -> Halves:
    good = halves.n_sectors > 0
    reading.counts["issues and completions without data"] += int((~good).sum())
    kept: Any = (column[good] for column in halves)
    return Halves(*kept)


def _n_ready(complete_ns: Int64s) -> int:
    """Return how many come before the first that is in flight."""
    flying = np.flatnonzero(complete_ns == _NEVER)
    return int(flying[0]) if len(flying) else len(complete_ns)


def _some(issues: _Issues, which: Any) -> _Issues:
    kept: Any = (column[which] for column in issues)
    return _Issues(*kept)


def _completed(reading: Reading, held: _Issues, halves: Halves) -> _Issues:
    """Return the issues held and the new ones, with their completions as far as known."""
    n_held = len(held.lines)
    fresh = _Issues(*halves[:5], np.full(len(halves.lines), _NEVER))
    both: Any = (np.concatenate(pair) for pair in zip(held, fresh, strict=True))
    rows = _Issues(*both)
    completes = np.concatenate([np.zeros(n_held, np.bool_), halves.completes])
    # A row per half in flight or new; in each group of equals the order is that of the lines.
    open_ = np.flatnonzero(rows.complete_ns == _NEVER)
    order = open_[np.lexsort((rows.n_sectors[open_], rows.sector[open_], rows.device[open_]))]
    key = np.stack([rows.device[order], rows.sector[order], rows.n_sectors[order]])
    same = np.zeros(len(order), np.bool_)
    same[1:] = (key[:, 1:] == key[:, :-1]).all(axis=0)
    done = completes[order]
    flying = np.zeros(len(order), np.bool_)  # whether an issue stands before, in flight
    flying[1:] = same[1:] & ~done[:-1]
    begins = np.maximum.accumulate(np.where(~done & ~flying, np.arange(len(order)), 0))
    pairs = np.flatnonzero(done & flying)
    rows.complete_ns[order[begins[pairs]]] = rows.time_ns[order[pairs]]
    reading.counts["requests issued again while in flight"] += int((~done & flying).sum())
    reading.counts["requests completed, not issued"] += int((done & ~flying).sum())
    kept = ~completes
    kept[order[~done & flying]] = False
    return _some(rows, kept)


def _requests(reading: Reading, issues: _Issues) -> Requests:
    early = issues.complete_ns < issues.time_ns
    reading.counts["requests completed before their issue"] += int(early.sum())
    return requests(
        reading,
        "line",
        issues.lines,
        offset_bytes=times(issues.sector, SECTOR_BYTES),
        length_bytes=times(issues.n_sectors, SECTOR_BYTES),
        device=issues.device,
        submit_ns=issues.time_ns,
        complete_ns=np.maximum(issues.complete_ns, issues.time_ns),
    )
