"""GUP-fast: references taken with interrupts off, dropped later in either context."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pfnlab.params import Params
from pfnlab.traces.requests import GET, PUT
from pfnlab.traces.workloads.page_calls import ATOMIC, Calls, Extents, play
from pfnlab.traces.workloads.pieces import Piece
from pfnlab.traces.workloads.random_words import chances, key_of, words
from pfnlab.traces.workloads.spec import Spec, real, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class GupFast(Spec):
    """Calls of 1 to `max_run_pages` pages: atomic GETs, then PUTs `hold_calls` calls later.

    The PUTs of a share of the calls are atomic (a completion drops them), the others sleepable.
    Calls go to extents of `max_run_pages` pages, of Zipf popularity.
    """

    name: ClassVar[str] = "gup_fast"

    max_run_pages: int = whole(32, "pages", "longest call", minimum=1, maximum=2**20)
    hold_calls: int = whole(16, "", "later calls made before one drops its pages", maximum=2**20)
    atomic_put_share: float = real(0.5, "share of the calls that drop their pages atomically")
    alpha: float = real(0.9, "exponent of the extents' popularity: 0 is uniform", maximum=1000.0)

    def pages_needed(self, page_bytes: int) -> int:
        """Return the longest call."""
        return self.max_run_pages

    def draw(self, params: Params, seed: int) -> Iterator[Piece]:
        """Return the endless events."""
        extents = Extents.of(
            params.n_pages, self.max_run_pages, self.alpha, key_of(seed, self.name, "extent")
        )
        context = key_of(seed, self.name, "context")

        def calls(start: int, count: int) -> Calls:
            first, n_pages = extents.draw(start, count)
            drops_atomic = chances(words(context, start, count), self.atomic_put_share)
            complete = np.where(drops_atomic, PUT + ATOMIC, PUT).astype(np.uint8)
            return Calls(first, n_pages, np.full(count, GET + ATOMIC, np.uint8), complete)

        return play(calls, self.hold_calls, (self.max_run_pages + 1) / 2)
