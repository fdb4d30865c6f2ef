"""Drawing events: SplitMix64 words, Zipf ranks by alias and acceptance, scattered without a table.

The same arithmetic as `pfnlab.traces.workloads.random_words` and `ranks`, bit for bit; those stay
as the plain form, and serve where the JIT is off.

Events are drawn by the batch, in loops that do one thing each: all but the look into the tables
become vector code, and the few draws that were rejected or left the region are listed and settled
apart. That takes 5 ns an event; one loop over all steps takes 12, numpy 27.

Preconditions, kept by `pfnlab.traces.workloads`: every integer is uint64, so that sums and
products wrap modulo 2**64 (an int64 beside one would make a float); tables and constants are those
that `ranks` and `draws` set up; the column's dtype holds every pfn. Interpreted, the wrapping
warns unless ``np.errstate(over="ignore")`` holds.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import config

from pfnlab.kernels.compiled import kernel

#: Whether kernels are machine code. Interpreted, the draws here are slower than numpy's.
COMPILED = not config.DISABLE_JIT  # type: ignore[attr-defined]  # set when numba is imported

Words = npt.NDArray[np.uint64]
Four = tuple[np.uint64, np.uint64, np.uint64, np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S11, _S27, _S30, _S31, _S32 = (np.uint64(shift) for shift in (11, 27, 30, 31, 32))
_LOW = np.uint64(0xFFFFFFFF)
_ZERO, _ONE = np.uint64(0), np.uint64(1)
#: No rank: every attempt whose keys are in the table was rejected.
_REJECTED = np.uint64(0xFFFFFFFFFFFFFFFF)


class Ranks(NamedTuple):
    """Tables of `pfnlab.traces.workloads.zipf_ranks.ZipfRanks`, by its names."""

    coin_bits: np.uint64
    coin_mask: np.uint64  # the bits of a word that are the coin
    sure: np.uint64
    shares: Words
    first: Words
    length: Words
    growth: npt.NDArray[np.float64]
    keys: Words  # a row an attempt: of the block, of the rank inside it, of its acceptance


class Batch(NamedTuple):
    """Room for some draws, of any number; 1024 stay in the L1 cache."""

    words: Words  # that choose a block, then the rank
    within: Words  # words that choose a rank inside its block, then where the rank's block goes
    accept: Words
    left: npt.NDArray[np.int64]  # draws that are not settled yet, one place more than draws


class Places(NamedTuple):
    """The permutation of `workloads.zipf_pages.scatter_blocks`: blocks move, ranks in them stay.

    The laps are scalars: of arrays, the compiler would load the elements again for every event.
    """

    n_blocks: np.uint64
    block_shift: np.uint64  # log2 of the ranks in a block
    within: np.uint64  # the bits of a rank that its block keeps
    mask: np.uint64  # of the bits that blocks are permuted in
    fold: np.uint64  # half of those bits, rounded up
    odds: Four  # factor of each lap
    offsets: Four


@kernel
def mixed(z: np.uint64) -> np.uint64:
    """Finalise a word as SplitMix64 does."""
    z = (z ^ (z >> _S30)) * _FIRST
    z = (z ^ (z >> _S27)) * _SECOND
    return z ^ (z >> _S31)


@kernel
def words(key: np.uint64, counter: np.uint64, out: Words, n: int) -> None:
    """Write words `counter` and on of a stream to the first `n` places of `out`."""
    z = key + counter * _GOLDEN
    for i in range(n):
        out[i] = mixed(z + np.uint64(i) * _GOLDEN)


@kernel
def below(word: np.uint64, n: np.uint64) -> np.uint64:
    """Return ``word * n >> 64``, by 32-bit halves."""
    high, low = word >> _S32, word & _LOW
    n_low, n_high = n & _LOW, n >> _S32
    cross = high * n_low + ((low * n_low) >> _S32)
    middle = low * n_high + (cross & _LOW)
    return high * n_high + (cross >> _S32) + (middle >> _S32)


@kernel
def entry_of(ranks: Ranks, word: np.uint64) -> np.uint64:
    """Return the entry of `first` and `length` that a word draws: a cell's own or its alias."""
    cell = word >> ranks.coin_bits
    return cell + cell + np.uint64((word & ranks.coin_mask) >= ranks.shares[cell])


@kernel
def draw_ranks(ranks: Ranks, batch: Batch, n: int) -> int:
    """Turn words into ranks from 0, list those that may be rejected, and return their number."""
    n_left = 0
    for i in range(n):
        entry = entry_of(ranks, batch.words[i])
        beyond = below(batch.within[i], ranks.length[entry])
        batch.words[i] = ranks.first[entry] + beyond - _ONE
        # The first of a block is always accepted: steep exponents draw little else.
        batch.left[n_left] = i
        n_left += int((batch.accept[i] >= ranks.sure) & (beyond > _ZERO))
    return n_left


@kernel
def is_accepted(growth: npt.NDArray[np.float64], t: float, accept: np.uint64) -> bool:
    """Return whether a coin accepts a rank that is ``1 + t`` times the first of its block.

    Multiplied and added in the order of `pfnlab.traces.workloads.zipf_ranks`, or the last bit may
    differ.
    """
    value = 0.0
    for coefficient in growth:
        value = value * t + coefficient
    return bool((accept >> _S11) * 2.0**-53 * value < 1.0)


@kernel
def settled_rank(ranks: Ranks, counter: np.uint64) -> np.uint64:
    """Return the rank, from 0, of one draw, from its first attempt on, or `_REJECTED`."""
    step = counter * _GOLDEN
    for attempt in range(len(ranks.keys)):
        entry = entry_of(ranks, mixed(step + ranks.keys[attempt, 0]))
        first: np.uint64 = ranks.first[entry]
        beyond = below(mixed(step + ranks.keys[attempt, 1]), ranks.length[entry])
        accept = mixed(step + ranks.keys[attempt, 2])
        sure = accept < ranks.sure or beyond == _ZERO
        if sure or is_accepted(ranks.growth, beyond / first, accept):
            return first + beyond - _ONE
    return _REJECTED


@kernel
def settle_ranks(ranks: Ranks, counter: np.uint64, batch: Batch, n_left: int) -> bool:
    """Draw the listed ranks to the end; return False if the keys of more attempts are needed."""
    for at in range(n_left):
        i = batch.left[at]
        rank = settled_rank(ranks, counter + np.uint64(i))
        if rank == _REJECTED:
            return False
        batch.words[i] = rank
    return True


@kernel
def lap(places: Places, x: np.uint64) -> np.uint64:
    """Permute the blocks once; the result may lie beyond the last block."""
    x = (x * places.odds[0] + places.offsets[0]) & places.mask
    x ^= x >> places.fold
    x = (x * places.odds[1] + places.offsets[1]) & places.mask
    x ^= x >> places.fold
    x = (x * places.odds[2] + places.offsets[2]) & places.mask
    x ^= x >> places.fold
    x = (x * places.odds[3] + places.offsets[3]) & places.mask
    return x ^ (x >> places.fold)


@kernel
def place_blocks(places: Places, batch: Batch, n: int) -> None:
    """Write where each rank's block goes to `within`; for a partial last block, anything."""
    for i in range(n):
        batch.within[i] = lap(places, batch.words[i] >> places.block_shift)
    if places.mask < places.n_blocks:  # as many blocks as a power of two, and none left the region
        return
    n_left = 0
    for i in range(n):
        batch.left[n_left] = i
        # The cycle of a partial block need not ever enter the region.
        moves = (batch.words[i] >> places.block_shift) < places.n_blocks
        n_left += int(moves & (batch.within[i] >= places.n_blocks))
    while n_left:
        n_again = 0
        for at in range(n_left):
            i = batch.left[at]
            block = lap(places, batch.within[i])
            batch.within[i] = block
            batch.left[n_again] = i
            n_again += int(block >= places.n_blocks)
        n_left = n_again


@kernel
def write_pages(places: Places, batch: Batch, n: int, pages: npt.NDArray[Any], at: int) -> None:
    """Write the pages of a batch's ranks from place `at` on."""
    for i in range(n):
        rank = batch.words[i]
        moves = (rank >> places.block_shift) < places.n_blocks
        page = (batch.within[i] << places.block_shift) | (rank & places.within)
        pages[at + i] = page if moves else rank


@kernel
def zipf(
    ranks: Ranks,
    places: Places,
    batch: Batch,
    counter: np.uint64,
    pages: npt.NDArray[Any],
    at: int,
) -> int:
    """Write pages from place `at` on, page ``i`` being draw number ``counter + i``.

    Returns how many pages are there: fewer than all if the keys of more attempts are needed.
    """
    while at < len(pages):
        n = min(len(batch.words), len(pages) - at)
        here = counter + np.uint64(at)
        words(ranks.keys[0, 0], here, batch.words, n)
        words(ranks.keys[0, 1], here, batch.within, n)
        words(ranks.keys[0, 2], here, batch.accept, n)
        n_left = draw_ranks(ranks, batch, n)
        if not settle_ranks(ranks, here, batch, n_left):
            return at
        place_blocks(places, batch, n)
        write_pages(places, batch, n, pages, at)
        at += n
    return at
