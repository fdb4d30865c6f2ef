"""Which row of one frame belongs to which of another, whatever their order."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

Codes = npt.NDArray[np.int64]


class Pairs(NamedTuple):
    """Positions of rows: of those that belong together, and of those that are alone."""

    before: Codes
    after: Codes
    only_before: Codes
    only_after: Codes


def codes_of(before: pd.Series, after: pd.Series) -> Codes:
    """Return an int a value of both columns, one after the other: the same for the same value.

    The ints are in the order of the values. NA, NaN and None are the same; 4096 and 4096.0 too.
    """
    kinds = {before.dtype, after.dtype}
    if len(kinds) == 1 and isinstance(before.dtype, np.dtype) and before.dtype.kind in "iufb":
        both = np.concatenate([before.to_numpy(), after.to_numpy()])
        return np.unique(both, return_inverse=True)[1].astype(np.int64)
    values = [plain(value) for column in (before, after) for value in column]
    places = {value: place for place, value in enumerate(sorted(set(values), key=_order))}
    return np.fromiter((places[value] for value in values), np.int64, len(values))


def plain(value: Any) -> Any:
    """Return a value as Python's own: None for what is NA, text for what is a list."""
    if isinstance(value, list | tuple | dict | set | np.ndarray):
        return str([plain(one) for one in value])
    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _order(value: Any) -> tuple[int, float, str]:
    if value is None:
        return 0, 0.0, ""
    return (1, float(value), "") if isinstance(value, int | float) else (2, 0.0, str(value))


def joint(codes: Iterable[Codes], n_rows: int) -> Codes:
    """Return an int a row, the same for rows that agree in every column, in their order."""
    found = np.zeros(n_rows, np.int64)
    for column in codes:  # each below n_rows, so that the product fits
        found = np.unique(found * (n_rows + 1) + column, return_inverse=True)[1].astype(np.int64)
    return found


def paired(names: Codes, rows: Codes, n_before: int) -> Pairs:
    """Pair rows of two frames, the second below the first.

    Rows that are the same in all are paired off first. Of the others those of one name are paired
    in their order, so that no order of rows in a frame makes a difference.

    Parameters
    ----------
    names, rows
        An int a row, as of `joint`: for what names it, and for all of it.
    n_before
        Rows of the first frame.
    """
    first, second = np.arange(n_before), np.arange(n_before, len(names))
    same = _matched(rows, first, second)
    left = [np.setdiff1d(every, taken) for every, taken in zip((first, second), same, strict=True)]
    ordered = [rest[np.argsort(rows[rest], kind="stable")] for rest in left]
    alike = _matched(names, *ordered)
    before, after = (np.concatenate(some) for some in zip(same, alike, strict=True))
    order = np.argsort(before)
    only = [np.setdiff1d(rest, taken) for rest, taken in zip(left, alike, strict=True)]
    return Pairs(before[order], after[order] - n_before, only[0], only[1] - n_before)


def _matched(names: Codes, first: Codes, second: Codes) -> tuple[Codes, Codes]:
    """Match the n-th row of a name in `first` with the n-th of that name in `second`."""
    ones, others = (_numbered(names[some], len(names)) for some in (first, second))
    _, i, j = np.intersect1d(ones, others, assume_unique=True, return_indices=True)
    return first[i], second[j]


def _numbered(names: Codes, n_rows: int) -> Codes:
    """Return each name together with how often it came before."""
    before = pd.Series(names).groupby(names).cumcount().to_numpy(np.int64)
    return names * (n_rows + 1) + before
