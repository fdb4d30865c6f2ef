"""Probabilities and capacities that the closed forms take, each error naming its field."""

import math

import numpy as np
import numpy.typing as npt

from pfnlab.errors import ParameterError
from pfnlab.params.units import whole

Reals = npt.NDArray[np.float64]

#: How far from 1 the sum of probabilities may be: rounding of some millions of them.
SUM_TOLERANCE = 1e-9


def distribution(probabilities: npt.ArrayLike) -> Reals:
    """Return probabilities as float64, or refuse what is no distribution over two items or more."""
    try:
        p = np.asarray(probabilities, np.float64)
    except (TypeError, ValueError):
        raise ParameterError("probabilities", probabilities, "must be numbers") from None
    if p.ndim != 1 or len(p) < 2:
        raise ParameterError("probabilities", p.shape, "must be one row of at least 2 numbers")
    wrong = np.flatnonzero(~np.isfinite(p) | (p < 0))
    if len(wrong):
        item = int(wrong[0])
        requirement = "must be finite and not negative"
        raise ParameterError(f"probabilities[{item}]", float(p[item]), requirement)
    total = math.fsum(p)
    if abs(total - 1) > SUM_TOLERANCE:
        raise ParameterError("sum of probabilities", total, "must be 1")
    return p


def capacity_of(p: Reals, capacity: object) -> int:
    """Return a whole capacity of 1 item to all but one, or refuse it."""
    return whole("capacity", capacity, 1, len(p) - 1)


def used(p: Reals) -> Reals:
    """Return the probabilities of the items that are ever drawn."""
    return p[p > 0]
