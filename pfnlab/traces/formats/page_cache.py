"""Pages of the page cache: which are in it, and what happens to them.

GET when a page enters, PUT when it leaves, LOOKUP when an LRU list or a reference touches it. Left
out and counted: pages that leave without having entered in the window, and LRU events of pages that
are not in the cache as far as the window tells (anonymous memory, mostly).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pfnlab.traces.formats.reading import Accesses, Reading
from pfnlab.traces.requests import GET, LOOKUP, PUT, Flags, Int64s, pages_of_runs

ENTERS, LEAVES, LRU, REFERENCE = range(4)
_OPS = np.array([GET, PUT, LOOKUP, LOOKUP], np.uint8)


class Folios(NamedTuple):
    """Some events of folios in their order, int64: a folio is `n_pages` from `first` on."""

    what: Int64s  # ENTERS, LEAVES, LRU or REFERENCE
    first: Int64s
    n_pages: Int64s
    cpus: Int64s
    time_ns: Int64s


class PageCache:
    """Pages that are in the cache: they have entered it since the start and not left it."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._pages = np.zeros(0, np.int64)  # sorted

    def events(self, batches: Iterator[Folios]) -> Iterator[Accesses]:
        """Yield the events of each page."""
        for folios in batches:
            for event, pages in pages_of_runs(folios.first, folios.n_pages):
                what = folios.what[event]
                kept = self._kept(what, pages)
                self._count(what, kept)
                yield Accesses(
                    pfns=pages[kept],
                    ops=_OPS[what[kept]],
                    atomic=what[kept] == LEAVES,
                    cpus=folios.cpus[event[kept]],
                    time_ns=folios.time_ns[event[kept]],
                )
        self._reading.counts["pages still cached at the end"] = len(self._pages)

    def _kept(self, what: Int64s, pages: Int64s) -> Flags:
        """Whether each event is one of a page in the cache, or needs none there."""
        order = np.argsort(pages, kind="stable")
        page, kind = pages[order], what[order]
        begins = np.diff(page, prepend=-1) != 0
        place = np.arange(len(page))
        # The last change of the cache before each event, of the same page or it is none.
        change = np.maximum.accumulate(np.where(kind <= LEAVES, place, -1))
        before = np.concatenate([change[:1] * 0 - 1, change[:-1]])
        told = before >= np.maximum.accumulate(np.where(begins, place, 0))
        cached = np.where(told, kind[before] == ENTERS, self._holds(page))
        self._change(page, kind, place == change)
        kept = np.zeros(len(page), np.bool_)
        kept[order] = cached | (kind == ENTERS) | (kind == REFERENCE)
        twice = cached & (kind == ENTERS)
        self._reading.counts["pages that entered twice"] += int(twice.sum())
        return kept

    def _holds(self, pages: Int64s) -> Flags:
        if not len(self._pages):
            return np.zeros(len(pages), np.bool_)
        places = np.searchsorted(self._pages, pages).clip(max=len(self._pages) - 1)
        found: Flags = self._pages[places] == pages
        return found

    def _change(self, page: Int64s, kind: Int64s, changes: Flags) -> None:
        """Let the last change of each page be its state."""
        page, kind = page[changes], kind[changes]
        last = np.diff(page, append=-1) != 0
        page, enters = page[last], kind[last] == ENTERS
        known = self._holds(page)
        gone = page[known & ~enters]
        self._pages = np.delete(self._pages, np.searchsorted(self._pages, gone))
        new = page[~known & enters]
        self._pages = np.insert(self._pages, np.searchsorted(self._pages, new), new)

    def _count(self, what: Int64s, kept: Flags) -> None:
        left = np.bincount(what[~kept], minlength=LRU + 1)
        self._reading.counts["pages that left, not entered"] += int(left[LEAVES])
        self._reading.counts["LRU events of no cached page"] += int(left[LRU])
