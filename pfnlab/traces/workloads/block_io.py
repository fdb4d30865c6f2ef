"""Block requests: references taken by the submitter, dropped by an atomic completion."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pfnlab.params import Params
from pfnlab.traces.requests import GET, PUT, Flags, Int64s
from pfnlab.traces.workloads.page_calls import ATOMIC, Calls, Extents, play
from pfnlab.traces.workloads.pieces import Piece
from pfnlab.traces.workloads.random_words import chances, key_of, words
from pfnlab.traces.workloads.spec import Spec, real, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockIO(Spec):
    """Requests of 1 to `max_request_pages` pages: sleepable GETs, then atomic PUTs.

    A share of the requests begins where the one before it ended; the others go to extents of
    `max_request_pages` pages, of Zipf popularity. A request completes once `io_depth` later
    ones were submitted.
    """

    name: ClassVar[str] = "block_io"

    max_request_pages: int = whole(64, "pages", "longest request", minimum=1, maximum=2**20)
    io_depth: int = whole(32, "", "later requests submitted before one completes", maximum=2**20)
    sequential_share: float = real(0.3, "share of the requests that continue the one before")
    alpha: float = real(0.9, "exponent of the extents' popularity: 0 is uniform", maximum=1000.0)

    def pages_needed(self, page_bytes: int) -> int:
        """Return the longest request."""
        return self.max_request_pages

    def draw(self, params: Params, seed: int) -> Iterator[Piece]:
        """Return the endless events."""
        extents = Extents.of(
            params.n_pages, self.max_request_pages, self.alpha, key_of(seed, self.name, "extent")
        )
        continues = key_of(seed, self.name, "continues")
        places = params.n_pages - self.max_request_pages + 1
        end = 0

        def calls(start: int, count: int) -> Calls:
            nonlocal end
            first, n_pages = extents.draw(start, count)
            follows = chances(words(continues, start, count), self.sequential_share)
            first = chained(first, n_pages, follows, end) % places
            end = int(first[-1] + n_pages[-1])
            code = np.ones(count, np.uint8)
            return Calls(first, n_pages, code * np.uint8(GET), code * np.uint8(PUT + ATOMIC))

        return play(calls, self.io_depth, (self.max_request_pages + 1) / 2)


def chained(first: Int64s, n_pages: Int64s, follows: Flags, end: int) -> Int64s:
    """Return first pages where a request that follows begins where the one before it ended.

    Parameters
    ----------
    first, n_pages
        First page and number of pages of each request, int64; `first` counts where it is not
        a follower's.
    follows
        Whether each request follows the one before, bool.
    end
        Where the request before the first of these ended.
    """
    request = np.arange(1, len(first) + 1)
    head = np.maximum.accumulate(np.where(follows, 0, request))
    begin = np.concatenate([[0], np.cumsum(n_pages)])
    # Entry 0 stands for what came before: a chain that goes on from the last piece starts there.
    origin = np.concatenate([[end], first])
    since = begin[request - 1] - begin[np.maximum(head - 1, 0)]
    return np.asarray(origin[head] + since)
