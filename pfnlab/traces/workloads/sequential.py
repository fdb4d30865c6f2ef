"""Single random accesses between sequential runs: scans over a region that is also probed."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import numpy as np

from pfnlab.params import Params
from pfnlab.traces.requests import Int64s
from pfnlab.traces.workloads.pieces import Piece
from pfnlab.traces.workloads.random_words import PIECE, below, chances, key_of, words
from pfnlab.traces.workloads.spec import Spec, real, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequential(Spec):
    """Sleepable lookups in runs of successive pages, each run at a random place.

    A share of the runs is one page long, the others 1 to `max_run_pages`, uniformly drawn.
    """

    name: ClassVar[str] = "sequential"

    single_share: float = real(0.5, "share of the runs that are a single access")
    max_run_pages: int = whole(512, "pages", "longest run", minimum=1, maximum=2**20)

    def pages_needed(self, page_bytes: int) -> int:
        """Return the longest run."""
        return self.max_run_pages

    def draw(self, params: Params, seed: int) -> Iterator[Piece]:
        """Return the endless lookups."""
        single, length, place = (key_of(seed, self.name, x) for x in ("single", "length", "place"))
        mean_pages = 1 + (1 - self.single_share) * (self.max_run_pages - 1) / 2
        n_runs = max(1, int(PIECE / mean_pages))
        for run in count(0, n_runs):
            n_pages = below(words(length, run, n_runs), self.max_run_pages) + np.uint64(1)
            n_pages[chances(words(single, run, n_runs), self.single_share)] = 1
            first = below(words(place, run, n_runs), np.uint64(params.n_pages + 1) - n_pages)
            yield Piece(run_pages(first.view(np.int64), n_pages.view(np.int64)))


def run_pages(first: Int64s, n_pages: Int64s) -> Int64s:
    """Return the pages of runs one after another, int64."""
    ends = np.cumsum(n_pages)
    pages = np.repeat(first - ends + n_pages, n_pages)
    pages += np.arange(len(pages))
    return pages
