"""Requests that softirq submits, and completions that look up pages nobody pinned."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pfnlab.params import Params
from pfnlab.traces.requests import GET, LOOKUP, PUT
from pfnlab.traces.workloads.page_calls import ATOMIC, Calls, Extents, play
from pfnlab.traces.workloads.pieces import Piece
from pfnlab.traces.workloads.random_words import chances, key_of, words
from pfnlab.traces.workloads.spec import Spec, real, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Softirq(Spec):
    """Requests of 1 to `max_request_pages` pages: atomic GETs, then atomic PUTs.

    A share of them takes no references: a sleepable submission looks the pages up, and an atomic
    completion looks them up again. Requests go to extents of `max_request_pages` pages, of Zipf
    popularity, and complete once `io_depth` later ones were submitted.
    """

    name: ClassVar[str] = "softirq"

    max_request_pages: int = whole(32, "pages", "longest request", minimum=1, maximum=2**20)
    io_depth: int = whole(32, "", "later requests submitted before one completes", maximum=2**20)
    unpinned_share: float = real(0.25, "share of the requests that take no references")
    alpha: float = real(0.9, "exponent of the extents' popularity: 0 is uniform", maximum=1000.0)

    def pages_needed(self, page_bytes: int) -> int:
        """Return the longest request."""
        return self.max_request_pages

    def draw(self, params: Params, seed: int) -> Iterator[Piece]:
        """Return the endless events."""
        extents = Extents.of(
            params.n_pages, self.max_request_pages, self.alpha, key_of(seed, self.name, "extent")
        )
        pinning = key_of(seed, self.name, "pinning")

        def calls(start: int, count: int) -> Calls:
            first, n_pages = extents.draw(start, count)
            unpinned = chances(words(pinning, start, count), self.unpinned_share)
            submit = np.where(unpinned, LOOKUP, GET + ATOMIC).astype(np.uint8)
            complete = np.where(unpinned, LOOKUP + ATOMIC, PUT + ATOMIC).astype(np.uint8)
            return Calls(first, n_pages, submit, complete)

        return play(calls, self.io_depth, (self.max_request_pages + 1) / 2)
