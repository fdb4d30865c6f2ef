"""Files that come, live and go: every page of a file is pinned for as long as the file lives."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import ClassVar

import numpy as np

from pfnlab.params import Params
from pfnlab.traces.requests import GET, LOOKUP, PUT
from pfnlab.traces.workloads.pieces import Piece
from pfnlab.traces.workloads.random_words import Words, below, key_of, words
from pfnlab.traces.workloads.spec import Spec, whole
from pfnlab.traces.workloads.zipf_ranks import ZipfRanks

_FILES = 1024
_OPS = np.array([PUT, GET, LOOKUP], np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Churn(Spec):
    """Files of contiguous pages, each pinned from creation to deletion (lifetime pins).

    Creating and mapping a file of 1 to `max_file_pages` pages is a GET of each, one by one,
    deleting it a PUT of each. Once `live_files` live, a randomly chosen one is deleted before
    the next is created. After each creation come `lookups_per_file` lookups of random pages of
    random live files. Sizes are log-uniform: size s has probability in proportion to 1/s. All
    callers can sleep.
    """

    name: ClassVar[str] = "churn"

    live_files: int = whole(512, "", "most files alive at once", minimum=1, maximum=2**20)
    max_file_pages: int = whole(4096, "pages", "largest file", minimum=1, maximum=2**30)
    lookups_per_file: int = whole(2048, "", "lookups after each creation", maximum=2**20)

    def pages_needed(self, page_bytes: int) -> int:
        """Return twice the largest live set: then some hole always holds the largest file."""
        return 2 * self.live_files * self.max_file_pages

    def draw(self, params: Params, seed: int) -> Iterator[Piece]:
        """Return the endless events, one piece a file."""
        space = NextFit.of(params.n_pages)
        first, n_pages = np.zeros((2, self.live_files), np.uint64)
        sizes = ZipfRanks.of(self.max_file_pages, 1.0, key_of(seed, self.name, "size"))
        victim_key = key_of(seed, self.name, "victim")
        for batch in count(0, _FILES):
            created = zip(
                (sizes.draw(batch, _FILES) + np.uint64(1)).tolist(),
                below(words(victim_key, batch, _FILES), self.live_files).tolist(),
                strict=True,
            )
            for file, (size, victim) in enumerate(created, batch):
                slot = file if file < self.live_files else victim
                old = int(first[slot]), int(n_pages[slot])
                if old[1]:
                    space.release(*old)
                new = space.take(size), size
                first[slot], n_pages[slot] = new
                live = min(file + 1, self.live_files)
                looked_up = self._lookups(file, first[:live], n_pages[:live], seed)
                yield _events(old, new, looked_up)

    def _lookups(
        self,
        file: int,
        first: Words,
        n_pages: Words,
        seed: int,
    ) -> Words:
        """Return random pages of random live files."""
        start, n = file * self.lookups_per_file, self.lookups_per_file
        which = below(words(key_of(seed, self.name, "file"), start, n), len(first)).view(np.int64)
        within = below(words(key_of(seed, self.name, "page"), start, n), n_pages[which])
        return first[which] + within


def _events(old: tuple[int, int], new: tuple[int, int], looked_up: Words) -> Piece:
    """Delete the old file, create the new one, then look up."""
    deleted, created = (
        np.arange(first, first + size, dtype=np.uint64) for first, size in (old, new)
    )
    ops = np.repeat(_OPS, (len(deleted), len(created), len(looked_up)))
    return Piece(np.concatenate([deleted, created, looked_up]), ops)


@dataclass(slots=True)
class NextFit:
    """Allocates extents: the first hole large enough, from where the last search ended.

    So extents are laid one after another up to the end of the space, then holes are filled.

    Attributes
    ----------
    starts, sizes
        First page and pages of each hole, in order; no two holes touch.
    last
        Where the search begins.
    """

    starts: list[int]
    sizes: list[int]
    last: int = field(default=0)

    @classmethod
    def of(cls, n_pages: int) -> NextFit:
        """Return a space that is one hole."""
        return cls([0], [n_pages])

    def take(self, size: int) -> int:
        """Return the first page of a new extent; some hole must be large enough."""
        begin = bisect_left(self.starts, self.last)
        n = len(self.starts)
        for turn in range(n):
            hole = (begin + turn) % n
            if self.sizes[hole] >= size:
                break
        start = self.starts[hole]
        self.last = start + size
        if self.sizes[hole] == size:
            del self.starts[hole], self.sizes[hole]
        else:
            self.starts[hole] += size
            self.sizes[hole] -= size
        return start

    def release(self, start: int, size: int) -> None:
        """Make an extent a hole again, one with the holes that it touches."""
        hole = bisect_left(self.starts, start)
        if hole < len(self.starts) and self.starts[hole] == start + size:
            # The search must not skip the hole that it stopped at because that grew downwards.
            self.last = start if self.last == start + size else self.last
            size += self.sizes[hole]
            del self.starts[hole], self.sizes[hole]
        if hole and self.starts[hole - 1] + self.sizes[hole - 1] == start:
            grown = self.starts[hole - 1]
            self.last = grown if self.last == start else self.last
            self.sizes[hole - 1] += size
        else:
            self.starts.insert(hole, start)
            self.sizes.insert(hole, size)
