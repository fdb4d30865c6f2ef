"""Zipf-popular pages, scattered over the region page by page or in hot areas."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import numpy as np

from pfnlab.params import Params
from pfnlab.traces.workloads.pieces import Piece
from pfnlab.traces.workloads.random_words import PIECE, key_of
from pfnlab.traces.workloads.spec import Spec, real, whole
from pfnlab.traces.workloads.zipf_pages import ZipfPages
from pfnlab.traces.workloads.zipf_ranks import ZipfRanks


@dataclass(frozen=True, slots=True, kw_only=True)
class Zipf(Spec):
    """Sleepable lookups; the page of rank r, counted from 1, has popularity r**-alpha.

    Ranks lie in blocks of `scatter_pages` successive pages, blocks in random places over the
    region: 1 scatters page by page, 2**15 makes hot areas of 128 MiB. A last, partial block of
    the region stays where it is.
    """

    name: ClassVar[str] = "zipf"

    alpha: float = real(0.9, "exponent: 0 is uniform", maximum=1000.0)
    n_pages: int | None = whole(
        None, "pages", "popular pages; None is all of the region's", minimum=1, maximum=2**43
    )
    scatter_pages: int = whole(
        1, "pages", "ranks that stay together", minimum=1, maximum=2**43, power_of_two=True
    )

    def pages_needed(self, page_bytes: int) -> int:
        """Return the popular pages."""
        return self.n_pages or 1

    def draw(self, params: Params, seed: int) -> Iterator[Piece]:
        """Return the endless lookups."""
        n_ranks = self.n_pages or params.n_pages
        ranks = ZipfRanks.of(n_ranks, self.alpha, key_of(seed, self.name, "rank"))
        key = key_of(seed, self.name, "scatter")
        drawn = ZipfPages(ranks, params.n_pages, self.scatter_pages, key)
        pages = np.empty(PIECE, np.uint32 if params.n_pages <= 2**32 else np.int64)
        for start in count(0, PIECE):
            drawn.draw(start, pages)
            yield Piece(pages)
