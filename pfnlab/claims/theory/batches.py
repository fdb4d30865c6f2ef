"""Evicting the k oldest at once: what it does to misses, what it saves, and the best k."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pfnlab.claims.theory.checked import capacity_of, distribution
from pfnlab.claims.theory.references import fifo_approximate, fifo_slope
from pfnlab.params.units import real, whole

_GRID = 48


def chunked_lra(probabilities: npt.ArrayLike, capacity: int, batch: int) -> float:
    """Return the miss ratio of LRA that evicts the `batch` oldest items once `capacity` are held.

    An item lives for C - k + 1 to C insertions, so it does as FIFO with C - (k - 1) / 2 items does:
    within 0.2 % for k up to C / 4, 4 % too many at k = C (Zipf 0.8, 10,000 items, C = 1000).

    Parameters
    ----------
    probabilities
        Of each item, shape (N,), summing to 1.
    capacity
        Items held at most, 1 to N - 1.
    batch
        Items evicted at once, 1 to `capacity`.

    Raises
    ------
    ParameterError
        Naming the argument that is refused.
    """
    p = distribution(probabilities)
    held = capacity_of(p, capacity)
    return fifo_approximate(p, held - (whole("batch", batch, 1, held) - 1) / 2)


def cost_per_reference(
    probabilities: npt.ArrayLike, capacity: int, batch: int, *, fault_ns: float, pass_ns: float
) -> float:
    """Return the time in ns of faults and passes, a reference: M(C - (k - 1) / 2) (c_f + c_s / k).

    `fault_ns` is what a fault takes and `pass_ns` what a pass takes with its shootdown, in ns; the
    others are those of `chunked_lra`.
    """
    fault, shootdown = real("fault_ns", fault_ns, 0), real("pass_ns", pass_ns, 0)
    misses = chunked_lra(probabilities, capacity, batch)
    return misses * (fault + shootdown / batch)


def best_batch_estimate(
    probabilities: npt.ArrayLike, capacity: int, *, fault_ns: float, pass_ns: float
) -> float:
    """Return the best batch to first order, ``sqrt(2 M c_s / (c_f |dM/dC|))``, up to `capacity`.

    Arguments and errors are those of `cost_per_reference`. A fault that takes no time makes the
    largest batch the best.
    """
    p = distribution(probabilities)
    held = capacity_of(p, capacity)
    fault, shootdown = real("fault_ns", fault_ns, 0), real("pass_ns", pass_ns, 0)
    gain = 2 * fifo_approximate(p, held) * shootdown
    loss = fault * -fifo_slope(p, held)
    if loss == 0:
        return float(held) if gain else 1.0
    return min(max(math.sqrt(gain / loss), 1.0), float(held))


def best_batch(
    probabilities: npt.ArrayLike, capacity: int, *, fault_ns: float, pass_ns: float
) -> int:
    """Return the batch from 1 to `capacity` with the least `cost_per_reference`.

    Arguments and errors are those of `cost_per_reference`. Some tens of batches are tried over the
    whole range, then between the neighbours of the best, until these are next to it: the cost has
    one valley as a rule, and where it has several the lowest one found is returned.
    """
    p = distribution(probabilities)
    held = capacity_of(p, capacity)

    def cost(batch: int) -> float:
        return cost_per_reference(p, held, batch, fault_ns=fault_ns, pass_ns=pass_ns)

    return _lowest(cost, 1, held)


def _lowest(cost: Callable[[int], float], low: int, high: int) -> int:
    """Return the argument in ``[low, high]`` where `cost` is least, were there one valley."""
    while high - low > 2:
        tried = np.unique(np.rint(np.geomspace(low, high, _GRID)).astype(np.int64)).tolist()
        costs = [cost(batch) for batch in tried]
        best = costs.index(min(costs))
        low, high = tried[max(best - 1, 0)], tried[min(best + 1, len(tried) - 1)]
    return min(range(low, high + 1), key=cost)
