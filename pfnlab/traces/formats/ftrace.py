"""The kernel's own ``trace`` texts: ``comm-pid [cpu] flags seconds: event: fields``.

What they have in common: the five context flags (irqs or BH off, need-resched, hard or soft
interrupt, preempt depth, migrate-disable depth; older kernels lack the last), and which of three
kinds of events a file is read for: of the page cache if it has any, else of block devices, else
page faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pfnlab.traces.formats.patterns import Patterns
from pfnlab.traces.formats.reading import Matched, Reading, fits, matched_lines, pass_over
from pfnlab.traces.requests import Flags, Int64s

_HEAD = "{*}[{cpu:d}] {flags:w} {time:.9}: "
_ENDS = (
    _HEAD + "{event:w}:{...}",
    "CPU:{cpu:d} [LOST {lost:d} EVENTS] ",
    "CPU:{cpu:d} [LOST {...}",
)
_IRQS_OFF, _INTERRUPT, _PREEMPT_DEPTH, _LEAST_FLAGS = 0, 2, 3, 4
_POINT = ord(".")
#: Events by what they are read for, in the order in which a file is.
FAMILIES = {
    "ftrace_pagecache": (
        "mm_filemap_add_to_page_cache",
        "mm_filemap_delete_from_page_cache",
        "mm_lru_insertion",
        "mm_lru_activate",
    ),
    "ftrace_block": ("block_rq_issue", "block_rq_complete"),
    "ftrace_faults": ("page_fault_user",),
}


class Lines(NamedTuple):
    """Lines of the events that a reader is for; their kinds are the indices of its templates."""

    matched: Matched
    at: dict[str, int]

    @property
    def time_ns(self) -> Int64s:
        """Times by the kernel's clock."""
        return self.column("time")

    @property
    def atomic(self) -> Flags:
        """Whether the context flags say that the caller could not sleep."""
        begins = self.matched.numbers[:, self.at["flags"] + 1]
        atomic = np.zeros(len(begins), np.bool_)
        for flag in (_IRQS_OFF, _INTERRUPT, _PREEMPT_DEPTH):
            atomic |= self.matched.block[begins + flag] != _POINT
        return atomic

    def column(self, name: str) -> Int64s:
        """Return the numbers of a field."""
        return self.matched.numbers[:, self.at[name]]

    def some(self, rows: Flags) -> Lines:
        """Keep some lines."""
        return self._replace(matched=self.matched.some(rows))


def patterns_of(bodies: Sequence[str]) -> Patterns:
    """Compile templates of events, and of what else there may be."""
    return Patterns.of([*(_HEAD + body for body in bodies), *_ENDS])


_ANY = patterns_of([])


def looks_so(family: str) -> Callable[[bytes], bool]:
    """Return what tells a text that is read for these events."""
    return lambda head: fits(_ANY, head) and _family_of(head) == family


def _family_of(head: bytes) -> str | None:
    there = (
        family
        for family, events in FAMILIES.items()
        if any(f" {event}: ".encode() in head for event in events)
    )
    return next(there, None)


def lines_of(reading: Reading, patterns: Patterns, family: str) -> Iterator[Lines]:
    """Yield the lines of a family's events; other events, and those that were lost, are counted.

    Raises
    ------
    TraceError
        For a line that is none, or one of the family that lacks its fields, if more are bad than
        may be.
    """
    at = patterns.columns
    other = len(patterns.program.starts) - 1 - len(_ENDS)
    for matched in matched_lines(reading, patterns):
        kinds, numbers = matched.kinds, matched.numbers
        lost = kinds == other + 1
        reading.counts["events lost by the kernel's buffer"] += int(numbers[lost, at["lost"]].sum())
        reading.counts["events lost by the kernel's buffer"] += int((kinds == other + 2).sum())
        rest = matched.some(kinds == other)
        pass_over(reading, rest, "other events", at["event"], FAMILIES[family])
        yield Lines(_flagged(reading, matched.some(kinds < other), at["flags"]), at)


def _flagged(reading: Reading, matched: Matched, flags: int) -> Matched:
    good = matched.numbers[:, flags + 2] >= _LEAST_FLAGS
    for row in np.flatnonzero(~good):
        where = f"line {matched.line_numbers[row]}"
        reading.bad(where, "must have four or five context flags after the CPU")
    return matched.some(good)
