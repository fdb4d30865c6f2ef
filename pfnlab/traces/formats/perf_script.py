"""Text of ``perf script``, one event a line: block requests, the page cache, page faults.

A file may hold events of all three; each is a format of its own, for which the lines of the
others count as other events. There is no context on the lines: what enters or is issued can
sleep, what leaves or completes can't.
"""

from collections.abc import Callable, Iterator

import numpy as np

from pfnlab.traces.formats import Format
from pfnlab.traces.formats.issue_pairs import Halves, moves_data, paired, words_are
from pfnlab.traces.formats.page_cache import ENTERS, LEAVES, LRU, REFERENCE, Folios, PageCache
from pfnlab.traces.formats.patterns import Patterns
from pfnlab.traces.formats.reading import (
    Accesses,
    Matched,
    Reading,
    Requests,
    device_words,
    fits,
    matched_lines,
)
from pfnlab.traces.requests import Flags, Int64s

_AT = "{*}[{cpu:d}] {time:.9}: "
#: What is no event of the family: other events, with a CPU or without, and stacks (-g).
_OTHER = [
    _AT + "{...}",
    "{_comm:w} {_pid:w} {time:.9}: {...}",
    "{_ip:x} {*} ({...}",
    "ffff{_ip:x} {*} ({...}",
]
_REQUEST = "({*}) {sector:d} + {sectors:d} {...}"
#: A flush has no sector: that is -1, as an unsigned number.
_FLUSH = _AT + "block:block_rq_complete: {*}) 18446744073709551615 + 0 {...}"


def _strange(*names: str) -> list[str]:
    """Return patterns of events of the family that fit none of its own: those are bad."""
    return [_AT + name + "{...}" for name in names]


BLOCK = Patterns.of(
    [
        _AT + "block:block_rq_issue: {device:w} {rwbs:w} {_bytes:d} " + _REQUEST,
        _AT + "block:block_rq_complete: {device:w} {rwbs:w} " + _REQUEST,
        _FLUSH,
        *_strange("block:block_rq_issue:", "block:block_rq_complete:"),
        *_OTHER,
    ]
)

#: How a folio is written: since Linux 5.18, since 5.14, before.
_FOLIO = ("pfn=0x{pfn:x} ofs={_ofs:d} order={order:d} ", "pfn=0x{pfn:x} ofs={_ofs:d} ",
          "pfn={pfn:d} ofs={_ofs:d} ")  # fmt: skip
_CACHE: list[tuple[int, str]] = [
    *((ENTERS, "filemap:mm_filemap_add_to_page_cache: {*}" + folio) for folio in _FOLIO),
    *((LEAVES, "filemap:mm_filemap_delete_from_page_cache: {*}" + folio) for folio in _FOLIO),
    (LRU, "pagemap:mm_lru_insertion: {*}pfn=0x{pfn:x} lru={...}"),
    (LRU, "pagemap:mm_lru_insertion: {*}pfn={pfn:d} lru={...}"),
    (LRU, "pagemap:mm_lru_activate: {*}pfn=0x{pfn:x} "),
    (LRU, "pagemap:mm_lru_activate: {*}pfn={pfn:d} "),
    (REFERENCE, "page_ref:{_event:w}: pfn=0x{pfn:x} flags={...}"),
]
_WHAT = np.array([what for what, _ in _CACHE], np.int64)
_CACHE_EVENTS = (
    "filemap:mm_filemap_add_to_page_cache:", "filemap:mm_filemap_delete_from_page_cache:",
    "pagemap:mm_lru_", "page_ref:",
)  # fmt: skip
PAGECACHE = Patterns.of([*(_AT + text for _, text in _CACHE), *_strange(*_CACHE_EVENTS), *_OTHER])
_MOST_ORDER, _MOST_PFN, _MOST_CPU = 20, (1 << 52) - 1, (1 << 16) - 1

_SAMPLE = ("{_comm:w} {_pid:w} {time:.9}: {_period:d} ", "{_comm:w} {_pid:w} {time:.9}: ",
           "{*}[{_cpu:d}] {time:.9}: {_period:d} ", "{*}[{_cpu:d}] {time:.9}: ")  # fmt: skip
#: Where the access came from: the program, or the kernel, whose addresses need 64 bits.
_FROM = ("{ip:x} {...}", "ffff{ip:x} {...}")
_FAULTS = [
    *(
        _AT + f"exceptions:page_fault_{who}: address=0x{{address:x}} {{...}}"
        for who in ("user", "kernel")
    ),
    *(
        sample + f"{event}: {{address:x}} {{*}}) {came}"
        for sample in _SAMPLE
        for event in ("page-faults", "page-faults:u")
        for came in _FROM
    ),
]
_NO_ADDRESS = [
    _AT + "exceptions:page_fault_{...}",
    *(sample + "page-faults:{...}" for sample in _SAMPLE),
]
FAULTS = Patterns.of([*_FAULTS, *_NO_ADDRESS, *_OTHER])
#: No program lies below: what stands there for the second address is a word.
_LEAST_IP = 1 << 16


def looks_so(patterns: Patterns, *names: bytes) -> Callable[[bytes], bool]:
    """Return what tells whether lines are of perf script, and some of these events."""
    return lambda head: fits(patterns, head) and any(name in head for name in names)


def read_block(reading: Reading) -> Iterator[Requests]:
    """Yield the requests of a file, from their issues and completions."""
    return paired(reading, _halves(reading))


def _halves(reading: Reading) -> Iterator[Halves]:
    at = BLOCK.columns
    for every in _matched(reading, BLOCK, 3, 2):
        halves = every.kinds < 2
        reading.counts["issues and completions without data"] += int((~halves).sum())
        few = _some(every, halves)
        numbers = few.numbers
        data = words_are(few, at["rwbs"], moves_data)
        yield Halves(
            lines=few.line_numbers,
            device=device_words(reading, few, at["device"]),
            sector=numbers[:, at["sector"]],
            n_sectors=np.where(data, numbers[:, at["sectors"]], 0),
            time_ns=numbers[:, at["time"]],
            completes=few.kinds == 1,
        )


def read_pagecache(reading: Reading) -> Iterator[Accesses]:
    """Yield what becomes of the pages of the page cache, by their pfns."""
    return PageCache(reading).events(_folios(reading))


def _folios(reading: Reading) -> Iterator[Folios]:
    at = PAGECACHE.columns
    for few in _matched(reading, PAGECACHE, len(_CACHE), len(_CACHE_EVENTS)):
        order = np.where(_has_order(few.kinds), few.numbers[:, at["order"]], 0)
        limits = {"order": (order, _MOST_ORDER),
                  "pfn": (few.numbers[:, at["pfn"]], _MOST_PFN),
                  "cpu": (few.numbers[:, at["cpu"]], _MOST_CPU)}  # fmt: skip
        wrong = np.zeros(len(order), np.bool_)
        for name, (column, most) in limits.items():
            for line in few.line_numbers[(column > most) & ~wrong]:
                reading.bad(f"line {line}", f"{name} must be between 0 and {most}")
            wrong |= column > most
        rows = few.numbers[~wrong]
        yield Folios(
            what=_WHAT[few.kinds[~wrong]],
            first=rows[:, at["pfn"]],
            n_pages=1 << order[~wrong],
            cpus=rows[:, at["cpu"]],
            time_ns=rows[:, at["time"]],
        )


def _has_order(kinds: Int64s) -> Flags:
    return np.isin(kinds, [i for i, (_, text) in enumerate(_CACHE) if "{order:d}" in text])


def read_faults(reading: Reading) -> Iterator[Accesses]:
    """Yield a lookup of the page of each fault's address."""
    at = FAULTS.columns
    for few in _matched(reading, FAULTS, len(_FAULTS) + len(_NO_ADDRESS), 0):
        known = few.kinds < len(_FAULTS)
        known &= (few.kinds < 2) | (few.numbers[:, at["ip"]] >= _LEAST_IP)
        reading.counts["faults without an address"] += int((~known).sum())
        rows = few.numbers[known]
        yield Accesses(
            pfns=rows[:, at["address"]] // reading.page_bytes, time_ns=rows[:, at["time"]]
        )


def _matched(
    reading: Reading, patterns: Patterns, n_kinds: int, n_strange: int
) -> Iterator[Matched]:
    """Yield the lines of the family's `n_kinds` patterns; those of the next are bad."""
    for matched in matched_lines(reading, patterns):
        mine = matched.kinds < n_kinds
        strange = ~mine & (matched.kinds < n_kinds + n_strange)
        for line in matched.line_numbers[strange]:
            reading.bad(f"line {line}", "must have all that perf script writes of its event")
        reading.counts["other events"] += int((~mine & ~strange).sum())
        if mine.any():
            yield _some(matched, mine)


def _some(matched: Matched, which: Flags) -> Matched:
    columns = (matched.kinds[which], matched.numbers[which], matched.line_numbers[which])
    return Matched(*columns, matched.block)


FORMATS = (
    Format(
        name="perf_block",
        summary="perf script text: block:block_rq_issue and block_rq_complete",
        looks_so=looks_so(BLOCK, b"block:block_rq_"),
        read=read_block,
    ),
    Format(
        name="perf_pagecache",
        summary="perf script text: pfns of filemap:, pagemap: and page_ref: events",
        looks_so=looks_so(
            PAGECACHE, b"filemap:mm_filemap_", b"pagemap:mm_lru_", b"page_ref:page_ref_"
        ),
        read=read_pagecache,
        evidence="direct",
    ),
    Format(
        name="perf_faults",
        summary="perf script text: exceptions:page_fault_* and page-faults with addresses",
        looks_so=looks_so(FAULTS, b"exceptions:page_fault_", b" page-faults:"),
        read=read_faults,
    ),
)
