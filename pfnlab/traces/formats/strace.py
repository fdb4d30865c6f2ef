"""``strace`` texts: calls that read or write a file at an offset: ``pread64``, ``pwritev2``, ....

Lines begin with a pid or not (``-f -o``, ``[pid 7]``), then seconds (``-ttt``) or not, and end with
the time a call took (``-T``) or not. A call is submitted when it is made and completed when it
returns; without ``-T``, before the next one is made. Files are told apart by their names (``-y``),
else by their descriptors. Other calls, those that failed and those that are cut into
``<unfinished ...>`` and ``resumed`` (several threads) are counted.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np

from pfnlab.errors import TraceError
from pfnlab.traces.formats import Format
from pfnlab.traces.formats.compressed import head_of
from pfnlab.traces.formats.patterns import Patterns
from pfnlab.traces.formats.reading import (
    Matched,
    Reading,
    Requests,
    device_numbers,
    device_words,
    fits,
    matched_lines,
    n_fitting,
    pass_over,
    requests,
    texts,
)
from pfnlab.traces.requests import Int64s

CALLS = ("pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2")
#: What a line begins with; a file's lines are of one kind.
_PREFIXES = (
    ("{pid:d} {time:.9} ",),
    ("{time:.9} ", "[pid {pid:d}] {time:.9} "),
    ("{pid:d} ",),
    ("", "[pid {pid:d}] "),
)
_DONE = " = {done:d}"
_AT_FILE = "{call:w}({fd:d}<{file:t}>{,}, {,}, {,}, {offset:+d}{)})" + _DONE
_AT = "{call:w}({fd:d}, {,}, {,}, {offset:+d}{)})" + _DONE
_TOOK = " <{took:.9}> "
_BODIES = (
    _AT_FILE + _TOOK,
    _AT + _TOOK,
    _AT_FILE + " ",
    _AT + " ",
    "{call:w}({)}) = -{...}",
    "{call:w}({)}) = ?{...}",
    "{call:w}({*}<unfinished ...>{...}",
    "<... {call:w} resumed>{...}",
    "{call:w}({)}) = {...}",
    "+++ {...}",
    "--- {...}",
    "strace: {...}",
)
_FAILED, _CUT, _OTHER = (4, 5), (6, 7), 8
#: Times below are differences (``-r``), not seconds since 1970.
_LEAST_NS = 10**8 * 10**9


@cache
def _patterns(prefix: int) -> Patterns:
    return Patterns.of(
        [start + body for body in _BODIES for start in _PREFIXES[prefix]], comment=""
    )


def _prefix_of(head: bytes) -> int:
    """Return what most lines begin with."""
    return max(range(len(_PREFIXES)), key=lambda i: n_fitting(_patterns(i), head))


def looks_so(head: bytes) -> bool:
    """Whether most of the first lines are of one of strace's forms."""
    return any(fits(_patterns(i), head) for i in range(len(_PREFIXES)))


def read(reading: Reading) -> Iterator[Requests]:
    """Yield a request a call, times from the first.

    Raises
    ------
    TraceError
        For a line that is none of strace's, or one with or without ``-T`` unlike those before.
    """
    prefix = _prefix_of(head_of(reading.path))
    patterns = _patterns(prefix)
    timed, began, took = "time" in patterns.columns, None, None
    reading.io_depth = 0
    for matched in matched_lines(reading, patterns):
        body = matched.kinds // len(_PREFIXES[prefix])
        calls = _calls(reading, patterns, matched, body)
        if not len(calls.kinds):
            continue
        at, numbers = patterns.columns, calls.numbers
        if took is None:
            took = bool(calls.kinds[0] < 2)
        calls = _alike(reading, calls, took)
        numbers = calls.numbers
        submit = numbers[:, at["time"]] if timed else None
        if submit is not None and len(submit):
            began = _first(reading, calls, submit) if began is None else began
            submit = np.maximum(submit - began, 0)
        done = numbers[:, at["done"]]
        complete = submit + numbers[:, at["took"]] if took and submit is not None else None
        device = _devices(reading, calls, at)
        yield requests(
            reading,
            "line",
            calls.line_numbers,
            numbers[:, at["offset"]],
            done,
            device,
            submit,
            complete,
        )


def _calls(reading: Reading, patterns: Patterns, matched: Matched, body: Int64s) -> Matched:
    """Keep the calls that moved data at an offset, their kinds those of bodies; count the rest."""
    column = patterns.columns["call"]
    named = body <= _OTHER
    ours = np.zeros(len(body), np.bool_)
    names, which = texts(matched.some(named), column)
    mine = np.array([name in CALLS for name in names], np.bool_)
    ours[named] = mine[which] if len(mine) else False
    reading.counts["calls that failed"] += int((ours & np.isin(body, _FAILED)).sum())
    cut = ours & np.isin(body, _CUT)
    reading.counts["calls cut into two lines (halves)"] += int(cut.sum())
    left = named & (~ours | (body == _OTHER))
    pass_over(reading, matched.some(left), "other calls", column, CALLS)
    moved = ours & (body < _FAILED[0])
    at_position = moved & (matched.numbers[:, patterns.columns["offset"]] == -1)
    reading.counts["calls at the file's position"] += int(at_position.sum())
    return matched._replace(kinds=body).some(moved & ~at_position)


def _alike(reading: Reading, calls: Matched, took: bool) -> Matched:
    """Leave out calls that lack the time they took, or have one, unlike the first."""
    unlike = (calls.kinds < 2) != took
    for row in np.flatnonzero(unlike):
        wanted = "the time that it took (-T)" if took else "no time that it took"
        reading.bad(f"line {calls.line_numbers[row]}", f"must have {wanted}, as the first call")
    return calls.some(~unlike)


def _first(reading: Reading, calls: Matched, submit: Int64s) -> int:
    if submit[0] < _LEAST_NS:
        where = f"{reading.path}: line {calls.line_numbers[0]}"
        raise TraceError(f"{where}: must have seconds since 1970 (-ttt), it has {submit[0] / 1e9}")
    return int(submit[0])


def _devices(reading: Reading, calls: Matched, at: dict[str, int]) -> Int64s:
    """Return the files by their names, where they have any, or descriptors."""
    named = calls.kinds % 2 == 0
    devices = np.zeros(len(named), np.int64)
    devices[named] = device_words(reading, calls.some(named), at["file"])
    devices[~named] = device_numbers(reading, calls.numbers[~named][:, at["fd"]])
    return devices


FORMAT = Format(
    name="strace",
    summary="strace text: pread64, pwrite64, preadv2, ...",
    looks_so=looks_so,
    read=read,
)
