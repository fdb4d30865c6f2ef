"""Counter-based random numbers: word `i` of a stream is a hash of the stream's key and `i`.

Nothing is carried from one word to the next, so any event can be drawn alone and a trace of a
thousand events begins a trace of a million. Everything here is integer arithmetic modulo 2**64,
so every machine draws the same. The hash is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
"""

import hashlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pfnlab.traces.requests import Flags, Int64s

Words = npt.NDArray[np.uint64]

#: Events drawn at a time: 256 KiB a column, so that a few temporaries stay in L2.
PIECE = 1 << 15

_MODULUS = 1 << 64
_GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S32 = (np.uint64(shift) for shift in (27, 30, 31, 32))
_LOW = np.uint64(0xFFFFFFFF)


def key_of(seed: int, *names: object) -> int:
    """Return the 64-bit key of the stream that a seed and names (what it decides) stand for."""
    text = ":".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def words(key: int, start: int, count: int) -> Words:
    """Return words `start` to ``start + count`` of a stream, uint64."""
    return _mixed(_steps(count) + np.uint64((key + start * _GOLDEN) % _MODULUS))


def words_at(key: int, counters: Int64s) -> Words:
    """Return the words of a stream at `counters`, uint64."""
    return _mixed(counters.astype(np.uint64) * np.uint64(_GOLDEN) + np.uint64(key))


_steps_cache = np.arange(PIECE, dtype=np.uint64) * np.uint64(_GOLDEN)


def _steps(count: int) -> Words:
    if count <= PIECE:
        return _steps_cache[:count]
    return np.arange(count, dtype=np.uint64) * np.uint64(_GOLDEN)


def _mixed(z: Words) -> Words:
    """Apply the SplitMix64 finaliser in place."""
    z ^= z >> _S30
    z *= _FIRST
    z ^= z >> _S27
    z *= _SECOND
    z ^= z >> _S31
    return z


def below(random: Words, n: int | Words) -> Words:
    """Map each word to ``floor(word * n / 2**64)``, an integer in ``[0, n)``.

    Exact 128-bit product by 32-bit halves; no value is likelier than another by more than
    a factor of ``1 + n / 2**64``. An array `n` is one bound a word.
    """
    if isinstance(n, int) and n & (n - 1) == 0:
        return random >> np.uint64(65 - n.bit_length()) if n > 1 else np.zeros_like(random)
    bound: Words = np.asarray(n, np.uint64)
    if int(bound.max(initial=0)) >> 32:
        return _below_long(random, bound)
    return np.asarray(((random >> _S32) * bound + (((random & _LOW) * bound) >> _S32)) >> _S32)


def _below_long(random: Words, n: Words) -> Words:
    high, low, n_high, n_low = random >> _S32, random & _LOW, n >> _S32, n & _LOW
    cross = high * n_low + ((low * n_low) >> _S32)
    middle = low * n_high + (cross & _LOW)
    return np.asarray(high * n_high + (cross >> _S32) + (middle >> _S32))


def chances(random: Words, share: float) -> Flags:
    """Return True for words that fall within `share` (0 to 1), exact to 2**-64; bool."""
    if share >= 1.0:
        return np.ones(len(random), dtype=np.bool_)
    return random < np.uint64(int(share * _MODULUS))


def scatter(ranks: Words, n: int, key: int) -> Words:
    """Permute ``[0, n)``: a keyed bijection without a table, for any `n` from 1 to 2**62.

    The permutation is one of ``[0, 2**bits)``; what leaves ``[0, n)`` is permuted again until it
    is back (cycle walking), fewer than one more time on average. Four rounds of adding, multiplying
    by an odd number and folding the high half onto the low one take a third of the time of a
    Feistel network and, unlike a balanced one, serve an odd number of bits.
    """
    bits = (n - 1).bit_length()
    if bits == 0:
        return np.zeros_like(ranks)
    places = _permuted(ranks.copy(), bits, key)
    if n == 1 << bits:
        return places
    out = np.flatnonzero(places >= np.uint64(n))
    while len(out):
        again = _permuted(places[out], bits, key)
        places[out] = again
        out = out[again >= np.uint64(n)]
    return places


def _permuted(x: Words, bits: int, key: int) -> Words:
    """Apply the bijection of ``[0, 2**bits)`` in place."""
    mask, shift = np.uint64((1 << bits) - 1), np.uint64((bits + 1) // 2)
    for odd, offset in laps(key):
        x *= odd
        x += offset
        x &= mask
        x ^= x >> shift
    return x


@lru_cache(maxsize=64)
def laps(key: int) -> list[tuple[np.uint64, np.uint64]]:
    """Return factor and offset of each round."""
    rounds = range(4)
    return [(np.uint64(key_of(key, "x", i) | 1), np.uint64(key_of(key, "+", i))) for i in rounds]
