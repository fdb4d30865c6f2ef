"""Pairs of rows that belong together, in any order of the rows of two frames."""

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
    """Return an int for each value of both columns, the second below the first.

    Equal values have equal ints, in the order of the values. NA, NaN and None are equal; 4096 and
    4096.0 too.
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
    """Return an int for each row, equal for rows that agree in every column."""
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
        An int for each row, as of `joint`: for its name, and for all of its columns.
    n_before
        Rows of the first frame.
    """
    table = pd.DataFrame({"name": names, "row": rows, "place": np.arange(len(names))})
    first, second = table[:n_before], table[n_before:]
    same = _merged(first, second, "row")
    first, second = _without(first, same["before"]), _without(second, same["after"])
    alike = _merged(_by_row(first), _by_row(second), "name")
    found = pd.concat([same, alike]).sort_values("before")
    only_before, only_after = _without(first, alike["before"]), _without(second, alike["after"])
    return Pairs(
        before=found["before"].to_numpy(),
        after=found["after"].to_numpy() - n_before,
        only_before=only_before["place"].to_numpy(),
        only_after=only_after["place"].to_numpy() - n_before,
    )


def _by_row(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values("row", kind="stable")


def _without(rows: pd.DataFrame, places: pd.Series) -> pd.DataFrame:
    return rows[~rows["place"].isin(places)]


def _merged(before: pd.DataFrame, after: pd.DataFrame, key: str) -> pd.DataFrame:
    """Pair the n-th row of a key in one frame with the n-th of that key in the other."""
    first = before.assign(before=before["place"], nth=before.groupby(key).cumcount())
    second = after.assign(after=after["place"], nth=after.groupby(key).cumcount())
    return first.merge(second, on=[key, "nth"])[["before", "after"]]
