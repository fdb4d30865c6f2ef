"""ftrace of the page cache: real pfns, GET when a page enters, PUT when it leaves, else LOOKUP.

A folio of order n is 2**n pages; the LRU's events name its first page only. Counted and left out:
pages that leave without having entered in the text, and LRU events of pages that are not in
the cache as far as the text tells (anonymous memory, mostly). Contexts are as recorded.
"""

from collections.abc import Iterator

import numpy as np

from pfnlab.traces.formats import Format, ftrace
from pfnlab.traces.formats.ftrace import Lines
from pfnlab.traces.formats.reading import Accesses, Reading, texts
from pfnlab.traces.requests import GET, LOOKUP, PUT, Flags, Int64s, Ops

FAMILY = "ftrace_pagecache"
_PFN = "{*}pfn=0x{pfn:x} "
PATTERNS = ftrace.patterns_of(
    [
        "mm_lru_{lru:w}: " + _PFN + "{...}",
        "mm_filemap_{filemap:w}: " + _PFN + "ofs={ofs:d} order={order:d} ",
        "mm_filemap_{filemap:w}: " + _PFN + "ofs={ofs:d} ",
    ]
)
_LRU, _FOLIO = 0, 1
looks_so = ftrace.looks_so(FAMILY)
_OPS = {"add_to_page_cache": GET, "delete_from_page_cache": PUT}
_OTHER = 3
#: Largest folio, a hugetlb page of 1 GiB, and what no pfn reaches.
_MOST_ORDER, _MOST_PFN = 18, 1 << 44
#: Pages that are looked at together.
_AT_ONCE = 1 << 20


def read(reading: Reading) -> Iterator[Accesses]:
    """Yield the events of pages, times from the first."""
    cached, began = np.zeros(0, np.int64), None
    for lines in ftrace.lines_of(reading, PATTERNS, FAMILY):
        ops = _ops_of(lines)
        reading.counts["other events"] += int((ops == _OTHER).sum())
        good = _are_pages(reading, lines) & (ops != _OTHER)
        order = np.where(good & (lines.matched.kinds == _FOLIO), lines.column("order"), 0)
        n_pages = np.where(good, 1 << order, 0)
        parts = np.cumsum(n_pages) // _AT_ONCE
        for part in np.unique(parts):
            some = good & (parts == part)
            cached, accesses = _happened(
                reading, cached, lines.some(some), ops[some], n_pages[some]
            )
            if len(accesses.pfns):
                times: Int64s = accesses.time_ns  # type: ignore[assignment]
                began = int(times[0]) if began is None else began
                yield accesses._replace(time_ns=np.maximum(times - began, 0))
    reading.counts["pages still cached at the end"] = len(cached)


def _are_pages(reading: Reading, lines: Lines) -> Flags:
    """Whether each line names pages that can be."""
    folios = lines.matched.kinds == _FOLIO
    good = lines.column("pfn") < _MOST_PFN
    good &= ~folios | (lines.column("order") <= _MOST_ORDER)
    for row in np.flatnonzero(~good):
        what = f"must have a pfn below 2**44 and an order of at most {_MOST_ORDER}"
        reading.bad(f"line {lines.matched.line_numbers[row]}", what)
    return good


def _ops_of(lines: Lines) -> Ops:
    """Return what each line does to its pages."""
    ops = np.full(len(lines.matched.kinds), LOOKUP, np.uint8)
    filemap = lines.matched.kinds != _LRU
    names, which = texts(lines.matched.some(filemap), lines.at["filemap"])
    if names:
        ops[filemap] = np.array([_OPS.get(name, _OTHER) for name in names], np.uint8)[which]
    return ops


def _happened(
    reading: Reading,
    cached: Int64s,
    lines: Lines,
    of_line: Ops,
    n_pages: Int64s,
) -> tuple[Int64s, Accesses]:
    """Return the pages that are cached afterwards, and the events of pages known to be."""
    line = np.repeat(np.arange(len(n_pages)), n_pages)
    within = np.arange(len(line)) - np.repeat(np.cumsum(n_pages) - n_pages, n_pages)
    pages, ops = lines.column("pfn")[line] + within, of_line[line]
    was, cached = follow(cached, pages, ops)
    _count(reading, of_line, ops, was)
    kept = was | (ops == GET)
    at = line[kept]
    return cached, Accesses(
        pages[kept], ops[kept], lines.atomic[at], lines.column("cpu")[at], lines.time_ns[at]
    )


def _count(
    reading: Reading,
    of_line: Ops,
    ops: Ops,
    was: Flags,
) -> None:
    folios = np.bincount(of_line, minlength=3)
    counts = {
        "folios added": folios[GET],
        "folios deleted": folios[PUT],
        "pages added twice": (was & (ops == GET)).sum(),
        "pages deleted, not added in the text": (~was & (ops == PUT)).sum(),
        "LRU events": (was & (ops == LOOKUP)).sum(),
        "LRU events of no cached page": (~was & (ops == LOOKUP)).sum(),
    }
    for what, n in counts.items():
        reading.counts[what] += int(n)


def follow(cached: Int64s, pages: Int64s, ops: Ops) -> tuple[Flags, Int64s]:
    """Whether each page was cached before its event; and which are after all, in ascending order.

    `cached` are those that were before all, in ascending order.
    """
    order = np.argsort(pages, kind="stable")
    page, changes = pages[order], ops[order] != LOOKUP
    starts = np.flatnonzero(np.diff(page, prepend=-1))
    start = np.repeat(starts, np.diff(starts, append=len(page)))
    last = np.maximum.accumulate(np.where(changes, np.arange(len(page)), -1))  # change up to here
    before = np.concatenate([[-1], last])[:-1]
    enters = ops[order] == GET
    initially = np.isin(page, cached)
    was = np.zeros(len(pages), np.bool_)
    was[order] = np.where(before >= start, enters[before], initially)
    ends = np.append(starts[1:], len(page))[: len(starts)] - 1
    stays = np.where(last[ends] >= starts, enters[last[ends]], initially[ends])
    left = np.setdiff1d(cached, page[starts][~stays], assume_unique=True)
    return was, np.union1d(left, page[starts][stays])


FORMAT = Format(
    name="ftrace_pagecache",
    summary="ftrace text: pages entering, touched in and leaving the page cache (real pfns)",
    looks_so=looks_so,
    read=read,
    evidence="direct",
)
