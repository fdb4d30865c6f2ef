"""ftrace of ``block_rq_issue`` and ``block_rq_complete``: requests with their real completions.

A request is a device, a sector and a length, from its issue to the next completion of the same.
Counted and left out: what moves no data (flush, discard), what is issued again while in flight, and
requests of which one half is not in the text. Halves of one microsecond, the clock's step, are put
a nanosecond apart, in the order of the text.
"""

from collections.abc import Iterator

import numpy as np

from pfnlab.traces.formats import Format, ftrace
from pfnlab.traces.formats.ftrace import Lines
from pfnlab.traces.formats.issue_pairs import Halves, paired
from pfnlab.traces.formats.reading import Reading, Requests, device_numbers, texts
from pfnlab.traces.requests import Int64s

FAMILY = "ftrace_block"
_DEVICE = "{major:d},{minor:d} {rwbs:w} "
_PLACE = "({*}) {sector:d} + {sectors:d}{...}"
_NOWHERE = "({*}) 18446744073709551615 + 0{...}"  # a request without a place has the sector -1
_ISSUE, _COMPLETE = "block_rq_issue: " + _DEVICE + "{bytes:d} ", "block_rq_complete: " + _DEVICE
PATTERNS = ftrace.patterns_of(
    [_ISSUE + _PLACE, _COMPLETE + _PLACE, _ISSUE + _NOWHERE, _COMPLETE + _NOWHERE]
)
_COMPLETES, _FIRST_NOWHERE = 1, 2
looks_so = ftrace.looks_so(FAMILY)
_MINOR_BITS = 20


def read(reading: Reading) -> Iterator[Requests]:
    """Yield the requests in the order of their issue, times from the first line."""
    return paired(reading, _stamped(reading))


def _stamped(reading: Reading) -> Iterator[Halves]:
    last, began = -1, None
    for lines in ftrace.lines_of(reading, PATTERNS, FAMILY):
        moving = lines.some(_moves(reading, lines))
        if not len(moving.time_ns):
            continue
        began = int(moving.time_ns[0]) if began is None else began
        stamps = _apart(moving.time_ns - began, last)
        last = int(stamps[-1])
        yield _halves(reading, moving, stamps)


def _moves(reading: Reading, lines: Lines) -> np.typing.NDArray[np.bool_]:
    """Whether each line is of a request that moves data."""
    names, which = texts(lines.matched, lines.at["rwbs"])
    discards = np.array(["D" in name for name in names], np.bool_)
    moves = lines.matched.kinds < _FIRST_NOWHERE
    moves &= lines.column("sectors") > 0
    moves &= ~discards[which] if names else True
    reading.counts["without data (halves)"] += int((~moves).sum())
    return moves


def _apart(time_ns: Int64s, last: int) -> Int64s:
    """Let times rise by a nanosecond at least, from after `last`."""
    index = np.arange(len(time_ns))
    return np.maximum(np.maximum.accumulate(time_ns - index), last + 1) + index


def _halves(reading: Reading, lines: Lines, stamps: Int64s) -> Halves:
    device = (lines.column("major") << _MINOR_BITS) | lines.column("minor")
    return Halves(
        device=device_numbers(reading, device, _device_name),
        sector=lines.column("sector"),
        n_sectors=lines.column("sectors"),
        time_ns=stamps,
        completes=lines.matched.kinds == _COMPLETES,
        lines=lines.matched.line_numbers,
    )


def _device_name(number: int) -> str:
    return f"{number >> _MINOR_BITS},{number & ((1 << _MINOR_BITS) - 1)}"


FORMAT = Format(
    name="ftrace_block",
    summary="ftrace text: block_rq_issue and block_rq_complete",
    looks_so=looks_so,
    read=read,
)
