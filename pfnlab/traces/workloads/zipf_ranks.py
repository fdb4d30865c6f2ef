"""Zipf-distributed ranks for any exponent and any number of ranks, by a table of some thousands.

Ranks are cut into blocks that grow by 1/64. A block is drawn by the alias method (Walker 1977,
tables by Vose 1991), a rank uniformly inside it, and the rank is accepted in proportion to its
weight, which differs by less than 1/64 * alpha inside a block: nearly always at once. The
distribution is exact up to rounding, not an approximation by blocks.

Only + - * / and exact scalings are used, never a library's pow or log: these differ in the last
bit between machines, and one bit may turn over an alias table and with it every event.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pfnlab.traces.requests import Int64s
from pfnlab.traces.workloads.random_words import Words, below, key_of, words, words_at

Reals = npt.NDArray[np.float64]

_GROWTH = 64
#: Blocks that end below this rank are summed weight by weight.
_SUMMED_RANKS = 4096
_LN2_HIGH, _LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10
_LOG_TERMS, _EXP_TERMS, _INTEGRAL_TERMS = 12, 16, 24


def powers(x: Reals, exponent: float) -> Reals:
    """Return ``x ** exponent`` for positive x, wrong by about as many ulps as its log is large."""
    mantissa, twos = np.frexp(x)
    low = mantissa < math.sqrt(0.5)
    mantissa, twos = np.where(low, 2 * mantissa, mantissa), twos - low
    t = (mantissa - 1) / (mantissa + 1)
    logs = np.zeros_like(t)
    for k in range(_LOG_TERMS, -1, -1):
        logs = logs * (t * t) + 1 / (2 * k + 1)
    logs = exponent * (twos * _LN2_HIGH + (twos * _LN2_LOW + 2 * t * logs))
    halvings = np.rint(logs / (_LN2_HIGH + _LN2_LOW))
    rest = (logs - halvings * _LN2_HIGH) - halvings * _LN2_LOW
    result = np.ones_like(rest)
    for k in range(_EXP_TERMS, 0, -1):
        result = 1 + result * rest / k
    return np.asarray(np.ldexp(result, halvings.astype(np.int32)))


def block_starts(n_ranks: int) -> list[int]:
    """Return the first rank (counted from 1) of each block, and ``n_ranks + 1`` at the end."""
    starts = [1]
    while (last := starts[-1]) <= n_ranks:
        starts.append(min(last + max(1, last // _GROWTH), n_ranks + 1))
    return starts


def block_weights(starts: list[int], alpha: float) -> list[float]:
    """Return the sum of ``rank ** -alpha`` over each block, relative error below 1e-12."""
    short = [start for start in starts if start <= _SUMMED_RANKS]
    each = powers(np.arange(1.0, short[-1] + 1), -alpha).tolist()
    summed = [math.fsum(each[start - 1 : end - 1]) for start, end in pairwise(short)]
    bounds = np.array(starts[len(summed) :], np.float64)
    integrated: list[float] = _integrated(bounds[:-1] - 0.5, bounds[1:] - 0.5, alpha).tolist()
    return summed + integrated


def _integrated(a: Reals, b: Reals, alpha: float) -> Reals:
    """Sum ``rank ** -alpha`` from a + 1/2 to b - 1/2 by Euler and Maclaurin's midpoint formula.

    The integral is ``a ** (1 - alpha)`` times that of the binomial series of
    ``(1 + t) ** -alpha`` from 0 to ``(b - a) / a``, so an exponent of 1 is no special case.
    The first term left out is below ``alpha**4 / 800 / a**4`` of the sum.
    """
    coefficient, coefficients = 1.0, []
    for k in range(_INTEGRAL_TERMS):
        coefficients.append(coefficient / (k + 1))
        coefficient *= (-alpha - k) / (k + 1)
    mean = polynomial(coefficients[::-1], (b - a) / a)
    at_a, at_b = powers(a, -alpha), powers(b, -alpha)
    return np.asarray(at_a * (b - a) * mean + alpha * (at_b / b - at_a / a) / 24)


def growth_of(alpha: float) -> list[float]:
    """Return the binomial coefficients of ``(1 + t) ** alpha`` that matter, highest power first."""
    coefficients, k = [1.0], 0
    while abs(coefficients[-1]) > 2.0**-60 * _GROWTH**k:
        coefficients.append(coefficients[-1] * (alpha - k) / (k + 1))
        k += 1
    return coefficients[::-1]


def polynomial(coefficients: list[float], x: Reals) -> Reals:
    """Return the polynomial with these coefficients, highest power first."""
    value = np.zeros_like(x)
    for coefficient in coefficients:
        value *= x
        value += coefficient
    return value


def alias_table(weights: list[float]) -> tuple[list[float], list[int]]:
    """Return, for each cell, the share of it that is its own and whose the rest is (Vose)."""
    total, n = math.fsum(weights), len(weights)
    own, other = [weight / total * n for weight in weights], list(range(n))
    small = [cell for cell in range(n) if own[cell] < 1]
    large = [cell for cell in range(n) if own[cell] >= 1]
    while small and large:
        poor, rich = small.pop(), large[-1]
        other[poor] = rich
        own[rich] = (own[rich] + own[poor]) - 1
        if own[rich] < 1:
            small.append(large.pop())
    for cell in small + large:  # equal to 1 but for rounding
        own[cell] = 1.0
    return own, other


@lru_cache(maxsize=256)  # hashing the keys of four attempts takes as long as 4000 draws
def _keys_of(key: int, attempt: int) -> tuple[int, ...]:
    return tuple(key_of(key, part, attempt) for part in ("block", "rank", "accept"))


@dataclass(frozen=True, slots=True)
class ZipfRanks:
    """Draws ranks 0 to ``n_ranks`` with probability in proportion to ``(rank + 1) ** -alpha``.

    Attributes
    ----------
    coin_bits
        Bits of a word that are the coin; those above are the cell of the alias table.
    shares
        Largest coin, exclusive, that stays with its own cell, uint64, one a cell.
    first, length
        First rank (from 1) and number of ranks of the block of each cell, uint64, two a cell:
        its own block and its alias.
    sure
        A coin below this accepts any rank of any block.
    growth
        Coefficients of ``(1 + t) ** alpha`` for t up to 1/64, highest power first.
    """

    key: int
    coin_bits: int
    shares: Words
    first: Words
    length: Words
    sure: int
    growth: list[float]

    @classmethod
    def of(cls, n_ranks: int, alpha: float, key: int) -> ZipfRanks:
        """Set the tables up; some milliseconds for any number of ranks."""
        starts = block_starts(n_ranks)
        n_blocks = len(starts) - 1
        cell_bits = max(1, (n_blocks - 1).bit_length())
        padding = (1 << cell_bits) - n_blocks
        own, other = alias_table(block_weights(starts, alpha) + [0.0] * padding)
        coins = 1 << (64 - cell_bits)
        bounds = np.array(starts + [starts[-1]] * padding, np.uint64)
        block = np.stack([np.arange(len(other)), np.array(other)], axis=1).ravel()
        slowest = powers(np.array([1 + 1 / _GROWTH]), -alpha)[0] * (1 - 1e-12)
        return cls(
            key=key,
            coin_bits=64 - cell_bits,
            shares=np.array([int(share * coins) for share in own], np.uint64),
            first=bounds[block],
            length=np.diff(bounds)[block],
            sure=int(slowest * 2**64),
            growth=growth_of(alpha),
        )

    def draw(self, start: int, count: int) -> Words:
        """Return the ranks (from 0) of draws `start` to ``start + count``, uint64."""
        keys = self.keys(0)
        ranks, again = self._attempt(*(words(key, start, count) for key in keys))
        attempt = 0
        while len(again):
            attempt += 1
            counters = start + again
            tried, rejected = self._attempt(*(words_at(k, counters) for k in self.keys(attempt)))
            ranks[again] = tried
            again = again[rejected]
        return ranks

    def keys(self, attempt: int) -> tuple[int, ...]:
        """Return the keys of the streams that an attempt draws block, rank and coin from."""
        return _keys_of(self.key, attempt)

    def _attempt(self, block: Words, within: Words, accept: Words) -> tuple[Words, Int64s]:
        """Return a rank for each draw, and which of the draws rejected theirs."""
        cell = (block >> np.uint64(self.coin_bits)).view(np.int64)
        block &= np.uint64((1 << self.coin_bits) - 1)
        entry = 2 * cell + (block >= self.shares[cell])
        first = self.first[entry]
        ranks = first + below(within, self.length[entry])
        unsure = np.flatnonzero(accept >= np.uint64(self.sure))
        beyond = (ranks[unsure] - first[unsure]) / first[unsure]
        ranks -= np.uint64(1)
        scaled = (accept[unsure] >> np.uint64(11)) * 2.0**-53
        scaled *= polynomial(self.growth, beyond)
        return ranks, unsure[scaled >= 1]
