"""Large tensors streamed layer by layer, forward and backward: a training step on a GPU."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pfnlab.params import Bytes, Params
from pfnlab.params.units import KIB, MIB, PIB
from pfnlab.traces.requests import GET, LOOKUP, PUT, Int64s
from pfnlab.traces.workloads.pieces import Piece
from pfnlab.traces.workloads.random_words import PIECE, Words, below, key_of, scatter, words
from pfnlab.traces.workloads.sequential import run_pages
from pfnlab.traces.workloads.spec import Spec, real, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuTensors(Spec):
    """Sleepable lookups of layer after layer, first to last and back again, without end.

    A layer is one contiguous tensor at a random place; a use of it touches one page in
    every `touch_bytes`, in order. A share of the layers, randomly chosen, is pinned in use: each
    touched page takes a GET before the lookups begin and a PUT after they end. Every `hot_every`
    lookups one more goes to the small hot tensors at the region's start.
    """

    name: ClassVar[str] = "gpu_tensors"

    n_layers: int = whole(32, "", "layers", minimum=1, maximum=2**16)
    layer_bytes: Bytes = whole(512 * MIB, "bytes", "one layer", minimum=1, maximum=32 * PIB)
    touch_bytes: Bytes = whole(
        64 * KIB, "bytes", "one touch in so much of a layer", minimum=1, maximum=32 * PIB
    )
    pinned_share: float = real(0.25, "share of the layers that are pinned in use")
    hot_bytes: Bytes = whole(
        MIB, "bytes", "all small hot tensors together", minimum=1, maximum=32 * PIB
    )
    hot_every: int = whole(16, "", "lookups between two of hot tensors; 0 for none", maximum=2**20)

    def pages_needed(self, page_bytes: int) -> int:
        """Return the pages of all tensors."""
        return self.n_layers * self._layer_pages(page_bytes) + self._hot_pages(page_bytes)

    def _layer_pages(self, page_bytes: int) -> int:
        return -(-self.layer_bytes // page_bytes)

    def _hot_pages(self, page_bytes: int) -> int:
        return -(-self.hot_bytes // page_bytes)

    def layer_starts(self, params: Params, seed: int) -> list[int]:
        """Return the first page of each layer, counted from the region's start."""
        hot_pages, pages = (f(params.page_bytes) for f in (self._hot_pages, self._layer_pages))
        places = (params.n_pages - hot_pages) // pages
        layers = np.arange(self.n_layers, dtype=np.uint64)
        placed = scatter(layers, places, key_of(seed, self.name, "layer"))
        return [hot_pages + int(place) * pages for place in placed]

    def draw(self, params: Params, seed: int) -> Iterator[Piece]:
        """Return the endless events."""
        hot_pages, key = self._hot_pages(params.page_bytes), key_of(seed, self.name, "hot")
        n_hot = 0
        for runs in self._grouped(params, seed):
            piece = self._touches(np.array(runs, np.int64).T, params.page_bytes)
            hot = np.flatnonzero(piece.pages < 0)
            piece.pages[hot] = below(words(key, n_hot, len(hot)), hot_pages)
            n_hot += len(hot)
            yield piece

    def _touches(self, runs: Int64s, page_bytes: int) -> Piece:
        """Expand runs of touches; a touch of a hot tensor is still page -1."""
        start, first, length, op = runs
        step = max(1, self.touch_bytes // page_bytes)
        ops = np.repeat(op.astype(np.uint8), length)
        touch = run_pages(first, length)
        pages = touch * step + np.repeat(start, length)
        if self.hot_every:
            looks = ops == LOOKUP
            lap = self.hot_every + 1
            layer_touch = touch - touch // lap
            pages = np.where(looks, layer_touch * step + np.repeat(start, length), pages)
            pages[looks & (touch % lap == self.hot_every)] = -1
        return Piece(pages, ops)

    def _grouped(self, params: Params, seed: int) -> Iterator[list[tuple[int, int, int, int]]]:
        """Group runs so that a piece has about `PIECE` events."""
        group: list[tuple[int, int, int, int]] = []
        size = 0
        for run in self._runs(params, seed):
            group.append(run)
            size += run[2]
            if size >= PIECE:
                yield group
                group, size = [], 0

    def _runs(self, params: Params, seed: int) -> Iterator[tuple[int, int, int, int]]:
        """Return (layer's first page, first touch, touches, op), of at most `PIECE` touches."""
        pages = self._layer_pages(params.page_bytes)
        touches = -(-pages // max(1, self.touch_bytes // params.page_bytes))
        looks = touches + (touches // self.hot_every if self.hot_every else 0)
        starts = self.layer_starts(params, seed)
        pinned = self._pinned(seed)
        plain, held = [(LOOKUP, looks)], [(GET, touches), (LOOKUP, looks), (PUT, touches)]
        order = [*range(self.n_layers), *reversed(range(self.n_layers))]
        while True:
            for layer in order:
                for op, length in held if pinned[layer] else plain:
                    for first in range(0, length, PIECE):
                        yield starts[layer], first, min(PIECE, length - first), op

    def _pinned(self, seed: int) -> list[bool]:
        layers: Words = np.arange(self.n_layers, dtype=np.uint64)
        shuffled = scatter(layers, self.n_layers, key_of(seed, self.name, "pinned"))
        return [int(place) < round(self.pinned_share * self.n_layers) for place in shuffled]
