"""Regions of DAMON: ``damon:damon_aggregated`` of perf script or ftrace, and damo's raw report.

DAMON looks at one page of a region a sample and takes the others to be alike. So a region with
accesses in an aggregation interval is a lookup of each of its pages, once and in their order; how
often it was accessed, and in which order within the interval, is not told. Regions without
accesses are counted. Each further target lies 2**48 bytes beyond the one before.
"""

from collections.abc import Iterator

import numpy as np

from pfnlab.traces.formats import Format
from pfnlab.traces.formats.patterns import Patterns
from pfnlab.traces.formats.reading import Accesses, Matched, Reading, device_words, matched_lines
from pfnlab.traces.requests import Flags, Int64s, pages_of_runs

_PERF, _FTRACE = "{*}[{_cpu:d}] {_time:.9}: damon:", "{*}[{_cpu:d}] {_flags:w} {_time:.9}: "
_EVENT = "damon_aggregated: target_id={target:w} nr_regions={_n:d} {from:d}-{to:d}: {accesses:d} "
_REGION = "{from:x}-{to:x} ({*})"
_EVENTS = [_PERF + _EVENT, _FTRACE + _EVENT]
_TEMPLATES = [
    *(event + "{_age:d} " for event in _EVENTS),
    *_EVENTS,
    _REGION + ": {accesses:d} ",
    _REGION + " {accesses:d} {_age:+d} ",
    "target_id: {target:w} ",
    "# start_addr end_addr length nr_accesses age ",
    "# start_addr {...}",
    "#{...}",
    *(f"{name}: {{...}}" for name in ("base_time_absolute", "data source", "monitoring_start",
                                     "monitoring_end", "monitoring_duration", "nr_regions")),
    _PERF.removesuffix("damon:") + "{...}",
    _FTRACE + "{...}",
]  # fmt: skip
_N_EVENTS, _TARGET, _STRANGE, _N_REPORT = 4, 6, 8, 16
PATTERNS = Patterns.of(_TEMPLATES, comment="")
_MOST_ADDRESS, _MOST_LENGTH = 1 << 48, 1 << 38


def looks_so(head: bytes) -> bool:
    """Whether the first lines are of a raw report, or there is an aggregation among them."""
    return b"damon_aggregated: target_id=" in head or (
        b"\nmonitoring_start:" in head and b"\ntarget_id:" in head
    )


def read(reading: Reading) -> Iterator[Accesses]:
    """Yield a lookup of each page of each region that was accessed."""
    target = 0
    for matched in matched_lines(reading, PATTERNS):
        targets, target = _targets(reading, matched, target)
        good = _good(reading, matched)
        at, numbers = PATTERNS.columns, matched.numbers
        idle = good & (numbers[:, at["accesses"]] == 0)
        reading.counts["regions without accesses"] += int(idle.sum())
        rows = numbers[good & ~idle]
        first = rows[:, at["from"]] // reading.page_bytes
        end = -(-rows[:, at["to"]] // reading.page_bytes)
        first, end = (
            page + targets[good & ~idle] * (_MOST_ADDRESS // reading.page_bytes)
            for page in (first, end)
        )
        for _, pages in pages_of_runs(first, end - first):
            yield Accesses(pfns=pages)


def _targets(reading: Reading, matched: Matched, before: int) -> tuple[Int64s, int]:
    """Return the index of each line's target, and that of the last."""
    kinds = matched.kinds
    names = np.flatnonzero((kinds < _N_EVENTS) | (kinds == _TARGET))
    index = np.full(len(kinds) + 1, before)
    named = matched._replace(numbers=matched.numbers[names])
    if len(names):
        index[names + 1] = device_words(reading, named, PATTERNS.columns["target"])
    last = np.zeros(len(kinds) + 1, np.int64)
    last[names + 1] = names + 1
    index = index[np.maximum.accumulate(last)]
    return index[1:], int(index[-1])


def _good(reading: Reading, matched: Matched) -> Flags:
    """Whether each line is a region that can be; other lines are counted."""
    at, kinds = PATTERNS.columns, matched.kinds
    reading.counts["other events"] += int((kinds >= _N_REPORT).sum())
    for line in matched.line_numbers[kinds == _STRANGE]:
        reading.bad(f"line {line}", "must have a report with nr_accesses and age (damo's default)")
    region = kinds < _TARGET
    begin, end = matched.numbers[:, at["from"]], matched.numbers[:, at["to"]]
    idle = matched.numbers[:, at["accesses"]] == 0
    small = idle | (end - begin <= _MOST_LENGTH)
    fits: Flags = (begin < end) & (end <= _MOST_ADDRESS) & small
    for line in matched.line_numbers[region & ~fits]:
        what = f"a region must be of 1 to {_MOST_LENGTH} bytes, below {_MOST_ADDRESS}"
        reading.bad(f"line {line}", what)
    return region & fits


FORMAT = Format(
    name="damon",
    summary="DAMON: damon:damon_aggregated lines, or damo's raw report",
    looks_so=looks_so,
    read=read,
)
