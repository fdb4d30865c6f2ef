"""Zipf-popular pages: ranks drawn and scattered over a region, by compiled code or by numpy."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pfnlab.traces.workloads.random_words import Words, laps, scatter
from pfnlab.traces.workloads.zipf_ranks import ZipfRanks

_BATCH = 1024
#: Attempts whose keys are at hand from the start. Exponents up to 1.5 reject a draw of a hundred.
_ATTEMPTS = 4


def scatter_blocks(ranks: Words, n_pages: int, block_pages: int, key: int) -> Words:
    """Permute ``[0, n_pages)`` in whole blocks of `block_pages`; a partial last one stays."""
    n_blocks = n_pages // block_pages
    if block_pages == 1:
        return scatter(ranks, n_blocks, key)
    shift = np.uint64(block_pages.bit_length() - 1)
    block = ranks >> shift
    whole_blocks = np.minimum(block, np.uint64(max(n_blocks, 1) - 1))
    placed = scatter(whole_blocks, max(n_blocks, 1), key)
    placed = np.where(block < np.uint64(n_blocks), placed, block)
    return (placed << shift) | (ranks & np.uint64(block_pages - 1))


@dataclass(frozen=True, slots=True)
class ZipfPages:
    """Draws pages of a region by the popularity of their ranks.

    Attributes
    ----------
    ranks
        What draws the ranks; they are as many as the region's pages, or fewer.
    n_pages
        Pages of the region.
    block_pages
        Successive ranks that stay together, a power of two.
    key
        Of the permutation that scatters the blocks.
    """

    ranks: ZipfRanks
    n_pages: int
    block_pages: int
    key: int

    def draw(self, start: int, pages: npt.NDArray[Any]) -> None:
        """Write the pages of draws `start` and on over all of `pages`."""
        # Loads numba, so not before a draw.
        from pfnlab.kernels import draw

        if draw.COMPILED:
            self.draw_compiled(start, pages)
        else:
            pages[:] = self.draw_plain(start, len(pages))

    def draw_plain(self, start: int, count: int) -> Words:
        """Return the pages of draws `start` to ``start + count`` without compiled code, uint64."""
        ranks = self.ranks.draw(start, count)
        return scatter_blocks(ranks, self.n_pages, self.block_pages, self.key)

    def draw_compiled(self, start: int, pages: npt.NDArray[Any], attempts: int = _ATTEMPTS) -> None:
        """Write what `draw_plain` would return over all of `pages`, by compiled code."""
        from pfnlab.kernels import draw

        words, within, accept = np.empty((3, _BATCH), np.uint64)
        batch = draw.Batch(words, within, accept, left=np.empty(_BATCH + 1, np.int64))
        places, counter = self._places(), np.uint64(start)
        done = 0
        while True:
            done = draw.zipf(self._tables(attempts), places, batch, counter, pages, done)
            if done == len(pages):
                return
            attempts *= 2

    def _tables(self, attempts: int) -> Any:
        from pfnlab.kernels.draw import Ranks

        ranks, coin_bits = self.ranks, self.ranks.coin_bits
        return Ranks(
            coin_bits=np.uint64(coin_bits),
            coin_mask=np.uint64((1 << coin_bits) - 1),
            sure=np.uint64(ranks.sure),
            shares=ranks.shares,
            first=ranks.first,
            length=ranks.length,
            growth=np.array(ranks.growth),
            keys=np.array([ranks.keys(attempt) for attempt in range(attempts)], np.uint64),
        )

    def _places(self) -> Any:
        from pfnlab.kernels.draw import Places

        n_blocks = self.n_pages // self.block_pages
        bits = (max(n_blocks, 1) - 1).bit_length()
        odds, offsets = zip(*laps(self.key), strict=True)
        return Places(
            n_blocks=np.uint64(n_blocks),
            block_shift=np.uint64(self.block_pages.bit_length() - 1),
            within=np.uint64(self.block_pages - 1),
            mask=np.uint64((1 << bits) - 1),
            fold=np.uint64((bits + 1) // 2),
            odds=odds,
            offsets=offsets,
        )
