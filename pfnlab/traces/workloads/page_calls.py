"""Endless calls over runs of pages, each submitted and, some calls later, completed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

import numpy as np

from pfnlab.traces import requests
from pfnlab.traces.requests import Int64s, Ops
from pfnlab.traces.workloads.pieces import Piece
from pfnlab.traces.workloads.random_words import PIECE, Words, below, key_of, words
from pfnlab.traces.workloads.zipf_pages import ZipfPages
from pfnlab.traces.workloads.zipf_ranks import ZipfRanks

#: Added to an op (DESIGN 4) to say that its caller can't sleep.
ATOMIC = 4


class Calls(NamedTuple):
    """Some successive calls.

    Attributes
    ----------
    first, n_pages
        First page, from the region's start, and number of pages, int64.
    submit, complete
        Op at submission and completion, plus `ATOMIC` where the caller can't sleep, uint8.
    """

    first: Int64s
    n_pages: Int64s
    submit: Ops
    complete: Ops


def play(calls: Callable[[int, int], Calls], depth: int, mean_pages: float) -> Iterator[Piece]:
    """Return the events of endless calls, each completed once `depth` later ones were submitted.

    Parameters
    ----------
    calls
        Returns calls number `start` to ``start + count``.
    depth
        Calls between a submission and its completion; 0 completes at once.
    mean_pages
        About how many pages a call has, so that a piece has about `PIECE` events.
    """
    n_calls = max(1, int(PIECE / (2 * mean_pages)), depth)
    codes, pages = np.zeros(depth, np.uint8), np.zeros(depth, np.int64)
    open_calls = Calls(pages, pages, codes, codes)
    for start in count(0, n_calls):
        both = _appended(open_calls, calls(start, n_calls))
        yield interleaved(both, depth)
        open_calls = Calls._make(column[n_calls:] for column in both)


def _appended(a: Calls, b: Calls) -> Calls:
    columns = zip(a, b, strict=True)
    return Calls._make(np.concatenate([before, after]) for before, after in columns)


def interleaved(calls: Calls, depth: int) -> Piece:
    """Submit each call but the first `depth`, and after each complete the one `depth` before it."""
    from pfnlab.kernels import draw

    return interleaved_compiled(calls, depth) if draw.COMPILED else interleaved_plain(calls, depth)


def interleaved_compiled(calls: Calls, depth: int) -> Piece:
    """Return what `interleaved_plain` does, by compiled code."""
    from pfnlab.kernels import page_calls as kernel

    n = len(calls.first) - depth
    n_events = int(calls.n_pages[depth:].sum() + calls.n_pages[:n].sum())
    piece = Piece(
        np.empty(n_events, np.int64), np.empty(n_events, np.uint8), np.empty(n_events, np.bool_)
    )
    kernel.play(kernel.Calls._make(calls), depth, kernel.Events._make(piece))
    return piece


def interleaved_plain(calls: Calls, depth: int) -> Piece:
    """Return the events of some calls without compiled code."""
    n = len(calls.first) - depth
    request, codes = np.empty(2 * n, np.int64), np.empty(2 * n, np.uint8)
    request[::2], request[1::2] = np.arange(depth, depth + n), np.arange(n)
    codes[::2], codes[1::2] = calls.submit[depth:], calls.complete[:n]
    completes = np.arange(2 * n) % 2 == 1
    halves = requests.Halves(request=request, completes=completes)
    pages, half = requests.expand(halves, calls.first, calls.n_pages)
    code = codes[half]
    return Piece(pages, code & np.uint8(ATOMIC - 1), code >= ATOMIC)


@dataclass(frozen=True, slots=True)
class Extents:
    """Where calls go: the region is cut into extents, and their popularity is Zipf's.

    A call has 1 to `extent_pages` pages, uniformly drawn, at a uniform place inside its extent;
    a rest of the region that is no whole extent is left alone.
    """

    n_pages: int
    extent_pages: int
    key: int
    extents: ZipfPages

    @classmethod
    def of(cls, n_pages: int, extent_pages: int, alpha: float, key: int) -> Extents:
        """Set up the popularity of all whole extents."""
        n_extents = n_pages // extent_pages
        ranks = ZipfRanks.of(n_extents, alpha, key_of(key, "rank"))
        extents = ZipfPages(ranks, n_extents, 1, key_of(key, "scatter"))
        return cls(n_pages, extent_pages, key, extents)

    def draw(self, start: int, count: int) -> tuple[Int64s, Int64s]:
        """Return first page and number of pages of calls `start` to ``start + count``, int64."""
        n_pages = below(self._words("length", start, count), self.extent_pages) + np.uint64(1)
        room = np.uint64(self.extent_pages + 1) - n_pages
        first = np.empty(count, np.uint64)
        self.extents.draw(start, first)
        first *= np.uint64(self.extent_pages)
        first += below(self._words("place", start, count), room)
        return first.view(np.int64), n_pages.view(np.int64)

    def _words(self, purpose: str, start: int, count: int) -> Words:
        return words(key_of(self.key, purpose), start, count)
