"""Miss ratios of FIFO (= lra), RANDOM, LRU and the static optimum under independent references."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pfnlab.claims.theory.checked import Reals, capacity_of, distribution, used
from pfnlab.errors import ParameterError
from pfnlab.params.units import real, whole

#: Most items whose subsets `lru_exact` goes through: 2**20 of them take 16 MiB and half a second.
MAX_LRU_ITEMS = 20
_TIME_TOLERANCE = 1e-14
_MAX_STEPS = 10_000


def zipf_probabilities(n_items: int, alpha: float) -> Reals:
    """Return the probabilities of `n_items`, that of rank r in proportion to ``r ** -alpha``.

    Returns
    -------
    numpy.ndarray
        float64, shape (`n_items`,), largest first, summing to 1.

    Raises
    ------
    ParameterError
        Unless there are at least 2 items and `alpha` is a number from 0 to 1000.
    """
    ranks = np.arange(1.0, whole("n_items", n_items, 2) + 1)
    weights = ranks ** -real("alpha", alpha, 0, 1000)
    return np.asarray(weights / weights.sum())


def fifo_exact(probabilities: npt.ArrayLike, capacity: int) -> float:
    """Return the exact miss ratio of FIFO, which is also RANDOM's, in O(items * capacity).

    It is ``(C + 1) e_{C+1} / e_C`` with the elementary symmetric polynomials e of the
    probabilities (King 1971; Gelenbe 1973, IEEE TC 22(6):611-618).

    Parameters
    ----------
    probabilities
        Of each item, shape (N,), summing to 1.
    capacity
        Items held, 1 to N - 1.

    Raises
    ------
    ParameterError
        Naming the argument that is refused.
    """
    p = distribution(probabilities)
    held = capacity_of(p, capacity)
    p = used(p)
    if held >= len(p):
        return 0.0
    # e_k * t**k over the product of all 1 + p * t is the chance that k of independent coins, with
    # chances p * t / (1 + p * t), show heads. With this t the mean is C, so that neither of the two
    # chances wanted underflows, however many items there are.
    t = _time_that_holds(held, p, _held_fifo)
    tails = np.zeros(held + 2)
    tails[0] = 1.0
    for heads in p * t / (1 + p * t):
        tails[1:] = tails[1:] * (1 - heads) + tails[:-1] * heads
        tails[0] *= 1 - heads
    return float((held + 1) * tails[held + 1] / tails[held] / t)


def lru_exact(probabilities: npt.ArrayLike, capacity: int) -> float:
    """Return the exact miss ratio of LRU (King 1971), by a recurrence over all subsets of items.

    The chance that a set holds the latest distinct items follows from those of the sets without
    its oldest, so 2**N sets do for the N! orders of King's sum.

    Parameters
    ----------
    probabilities
        Of each item, shape (N,), summing to 1.
    capacity
        Items held, 1 to N - 1.

    Raises
    ------
    ParameterError
        Naming the argument that is refused; N above `MAX_LRU_ITEMS` is too many.
    """
    p = distribution(probabilities)
    held = capacity_of(p, capacity)
    p = used(p)
    if held >= len(p):
        return 0.0
    if len(p) > MAX_LRU_ITEMS:
        requirement = f"must be at most {MAX_LRU_ITEMS} items; lru_approximate takes any number"
        raise ParameterError("probabilities", f"{len(p)} items", requirement)
    sets = np.arange(1 << len(p))
    outside, size = np.zeros(len(sets)), np.zeros(len(sets), np.int64)
    for item, probability in enumerate(p):
        inside = (sets >> item) & 1
        size += inside
        outside += probability * (1 - inside)
    chance = np.zeros(len(sets))
    chance[0] = 1.0
    for level in range(held):
        smaller = sets[size == level]
        for item, probability in enumerate(p):
            without = smaller[(smaller >> item) & 1 == 0]
            # Each set gets this item once, so no index is twice among those added to.
            chance[without | (1 << item)] += chance[without] * probability / outside[without]
    full = size == held
    return float(np.dot(chance[full], outside[full]))


def lru_approximate(probabilities: npt.ArrayLike, capacity: float) -> float:
    """Return the miss ratio of LRU by Che's approximation (2002; arXiv 1202.3974).

    Parameters
    ----------
    probabilities
        Of each item, shape (N,), summing to 1.
    capacity
        Items held, a number above 0 and below N; need not be whole.

    Raises
    ------
    ParameterError
        Naming the argument that is refused.
    """
    p = distribution(probabilities)
    held = _fraction_of(p, capacity)
    p = used(p)
    if held >= len(p):
        return 0.0
    t = _time_that_holds(held, p, _held_lru)
    return float(np.sum(p * np.exp(-p * t)))


def fifo_approximate(probabilities: npt.ArrayLike, capacity: float) -> float:
    """Return the miss ratio of FIFO and RANDOM by the approximation of arXiv 1307.6702.

    Arguments and errors are those of `lru_approximate` (Martina, Garetto, Leonardi 2014).
    """
    p = distribution(probabilities)
    held = _fraction_of(p, capacity)
    p = used(p)
    if held >= len(p):
        return 0.0
    t = _time_that_holds(held, p, _held_fifo)
    return float(np.sum(p / (1 + p * t)))


def fifo_slope(probabilities: npt.ArrayLike, capacity: float) -> float:
    """Return dM/dC, how `fifo_approximate` changes for each item more: never above 0.

    Arguments and errors are those of `lru_approximate`.
    """
    p = distribution(probabilities)
    held = _fraction_of(p, capacity)
    p = used(p)
    if held >= len(p):
        return 0.0
    odds = 1 + p * _time_that_holds(held, p, _held_fifo)
    return float(-np.sum(p**2 / odds**2) / np.sum(p / odds**2))


def optimum_static(probabilities: npt.ArrayLike, capacity: int) -> float:
    """Return the miss ratio of holding the most probable items for ever (A0).

    Without knowledge of the future nothing does better under independent references. Arguments and
    errors are those of `fifo_exact`.
    """
    p = distribution(probabilities)
    held = capacity_of(p, capacity)
    return float(np.sort(p)[: len(p) - held].sum())


def _fraction_of(p: Reals, capacity: object) -> float:
    held = real("capacity", capacity, 0, len(p))
    if not 0 < held < len(p):
        raise ParameterError("capacity", capacity, f"must be above 0 and below {len(p)} items")
    return held


Held = Callable[[Reals], tuple[Reals, Reals]]


def _held_fifo(x: Reals) -> tuple[Reals, Reals]:
    """Return the chance that an item with p * T = x is held, and its derivative by x."""
    return x / (1 + x), 1 / (1 + x) ** 2


def _held_lru(x: Reals) -> tuple[Reals, Reals]:
    gone = np.exp(-x)
    return -np.expm1(-x), gone


def _time_that_holds(capacity: float, p: Reals, held: Held) -> float:
    """Return the characteristic time T at which the items held add up to `capacity`.

    Their number is concave in T and never above it, so Newton's method climbs from T = `capacity`
    to the solution and never jumps over it.
    """
    t = float(capacity)
    for _ in range(_MAX_STEPS):
        chances, slopes = held(p * t)
        step = (capacity - float(chances.sum())) / float(np.dot(p, slopes))
        t += step
        if step <= _TIME_TOLERANCE * t:
            break
    return t
