"""Uniformly random accesses: the case without any locality."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

from pfnlab.params import Params
from pfnlab.traces.workloads.pieces import Piece
from pfnlab.traces.workloads.random_words import PIECE, below, key_of, words
from pfnlab.traces.workloads.spec import Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform(Spec):
    """Sleepable lookups, each of a page drawn uniformly from the whole region."""

    name: ClassVar[str] = "uniform"

    def pages_needed(self, page_bytes: int) -> int:
        """Return one page."""
        return 1

    def draw(self, params: Params, seed: int) -> Iterator[Piece]:
        """Return the endless lookups."""
        key = key_of(seed, self.name, "page")
        for start in count(0, PIECE):
            yield Piece(below(words(key, start, PIECE), params.n_pages))
