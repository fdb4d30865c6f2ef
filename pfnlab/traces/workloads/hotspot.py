"""A hot window that moves: a working set which eviction must follow."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import numpy as np

from pfnlab.params import Bytes, Params
from pfnlab.params.units import GIB, PIB
from pfnlab.traces.workloads.pieces import Piece
from pfnlab.traces.workloads.random_words import PIECE, Words, below, chances, key_of, words
from pfnlab.traces.workloads.spec import Spec, real, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Hotspot(Spec):
    """Sleepable lookups: a share inside a window, the rest anywhere, uniformly in both.

    After every `period_events` the window jumps to a random place or, with `drift_bytes`, moves
    up by that much and begins again at the region's start when it passes the end.
    """

    name: ClassVar[str] = "hotspot"

    hot_bytes: Bytes = whole(GIB, "bytes", "size of the window", minimum=1, maximum=32 * PIB)
    hot_share: float = real(0.9, "share of the accesses that fall into the window")
    period_events: int = whole(100_000, "", "events between two moves", minimum=1, maximum=2**33)
    drift_bytes: Bytes = whole(
        0, "bytes", "how far the window moves; 0 lets it jump anywhere", maximum=32 * PIB
    )

    def pages_needed(self, page_bytes: int) -> int:
        """Return the window."""
        return -(-self.hot_bytes // page_bytes)

    def draw(self, params: Params, seed: int) -> Iterator[Piece]:
        """Return the endless lookups."""
        hot_pages = self.pages_needed(params.page_bytes)
        hot, page = key_of(seed, self.name, "hot"), key_of(seed, self.name, "page")
        for start in count(0, PIECE):
            anywhere = words(page, start, PIECE)
            pages = below(anywhere, hot_pages) + self._windows(start, hot_pages, params, seed)
            cold = ~chances(words(hot, start, PIECE), self.hot_share)
            yield Piece(np.where(cold, below(anywhere, params.n_pages), pages))

    def _windows(self, start: int, hot_pages: int, params: Params, seed: int) -> Words:
        """Return where the window begins at each event of a piece, uint64."""
        first, last = start // self.period_events, (start + PIECE - 1) // self.period_events
        places = params.n_pages - hot_pages + 1
        if self.drift_bytes:
            step = -(-self.drift_bytes // params.page_bytes) % places
            origin = int(below(words(key_of(seed, self.name, "window"), 0, 1), places)[0])
            moved = [(origin + move * step) % places for move in range(first, last + 1)]
            windows = np.array(moved, np.uint64)
        else:
            windows = below(
                words(key_of(seed, self.name, "window"), first, last - first + 1), places
            )
        moves = np.arange(first, last + 2) * self.period_events
        moves[0], moves[-1] = start, start + PIECE
        return np.repeat(windows, np.diff(moves))
