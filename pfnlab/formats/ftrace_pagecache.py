"""ftrace of the page cache: real pfns, GET when a page enters, PUT when it leaves, else LOOKUP.

A folio of order n is 2**n pages; the LRU's events name its first page only. Counted and left out:
pages that leave without having entered in the text, and LRU events of pages that are not in
the cache as far as the text tells (anonymous memory, mostly). Contexts are as recorded.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pfnlab.formats import ftrace
from pfnlab.formats.ftrace import Lines
from pfnlab.formats.reading import Accesses, Int64s, Reading
from pfnlab.requests import GET, LOOKUP, PUT

FAMILY = "ftrace_pagecache"
_FOLIO = "{*}pfn=0x{pfn:x} {*}order={order:d} "
_PAGE = "{*}pfn=0x{pfn:x} ofs={ofs:d} "
_LRU = "{*}pfn=0x{pfn:x} {...}"
#: The most frequent first.
_EVENTS = (
    ("mm_lru_insertion: " + _LRU, LOOKUP),
    ("mm_lru_activate: " + _LRU, LOOKUP),
    ("mm_filemap_add_to_page_cache: " + _FOLIO, GET),
    ("mm_filemap_add_to_page_cache: " + _PAGE, GET),
    ("mm_filemap_delete_from_page_cache: " + _FOLIO, PUT),
    ("mm_filemap_delete_from_page_cache: " + _PAGE, PUT),
)
PATTERNS = ftrace.patterns_of([body for body, _ in _EVENTS])
looks_so = ftrace.looks_so(FAMILY)
_OPS = np.array([op for _, op in _EVENTS], np.uint8)
_HAS_ORDER = np.array(["order=" in body for body, _ in _EVENTS])
#: Largest folio, a hugetlb page of 1 GiB, and what no pfn reaches.
_MOST_ORDER, _MOST_PFN = 18, 1 << 44
#: Pages that are looked at together.
_AT_ONCE = 1 << 20


def read(reading: Reading) -> Iterator[Accesses]:
    """Yield the events of pages, times from the first."""
    cached, began = np.zeros(0, np.int64), None
    for lines in ftrace.lines_of(reading, PATTERNS, FAMILY):
        order = np.where(_HAS_ORDER[lines.matched.kinds], lines.column("order"), 0)
        good = (order <= _MOST_ORDER) & (lines.column("pfn") < _MOST_PFN)
        for row in np.flatnonzero(~good):
            what = f"must have a pfn below 2**44 and an order of at most {_MOST_ORDER}"
            reading.bad(f"line {lines.matched.line_numbers[row]}", what)
        n_pages = np.where(good, 1 << np.where(good, order, 0), 0)
        parts = np.cumsum(n_pages) // _AT_ONCE
        for part in np.unique(parts):
            some = good & (parts == part)
            cached, accesses = _happened(reading, cached, lines.some(some), n_pages[some])
            if len(accesses.pfns):
                times: Int64s = accesses.time_ns  # type: ignore[assignment]
                began = int(times[0]) if began is None else began
                yield accesses._replace(time_ns=np.maximum(times - began, 0))
    reading.counts["pages still cached at the end"] = len(cached)


def _happened(
    reading: Reading, cached: Int64s, lines: Lines, n_pages: Int64s
) -> tuple[Int64s, Accesses]:
    """Return the pages that are cached afterwards, and the events of pages known to be."""
    line = np.repeat(np.arange(len(n_pages)), n_pages)
    within = np.arange(len(line)) - np.repeat(np.cumsum(n_pages) - n_pages, n_pages)
    pages, ops = lines.column("pfn")[line] + within, _OPS[lines.matched.kinds][line]
    was, cached = follow(cached, pages, ops)
    _count(reading, lines, ops, was)
    kept = was | (ops == GET)
    at = line[kept]
    return cached, Accesses(
        pages[kept], ops[kept], lines.atomic[at], lines.column("cpu")[at], lines.time_ns[at]
    )


def _count(
    reading: Reading, lines: Lines, ops: npt.NDArray[np.uint8], was: npt.NDArray[np.bool_]
) -> None:
    folios = np.bincount(_OPS[lines.matched.kinds], minlength=3)
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


def follow(
    cached: Int64s, pages: Int64s, ops: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.bool_], Int64s]:
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
