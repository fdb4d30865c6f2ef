"""The cells of paired rows that differ: counts, times that do not follow, figures beyond noise."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pfnlab.frames.changes.column_kinds import kind_of
from pfnlab.frames.changes.row_pairs import Codes, Pairs, plain

#: Rounding: a mean of counts may differ in its last digits from machine to machine.
_ROUNDING = 1e-12
_COLUMNS = ("before_row", "after_row", "column", "kind", "before", "after", "ratio")

Booleans = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


class Cells:
    """The cells of paired rows that differ, column by column."""

    def __init__(
        self, before: pd.DataFrame, after: pd.DataFrame, pairs: Pairs, codes: Mapping[str, Codes],
        noise: float,
    ) -> None:  # fmt: skip
        self.before, self.after = before.iloc[pairs.before], after.iloc[pairs.after]
        self.pairs, self.noise = pairs, noise
        self.unequal = {
            name: column[pairs.before] != column[len(before) + pairs.after]
            for name, column in codes.items()
        }
        self.n_following = self.n_within_noise = 0

    def presets(self) -> tuple[tuple[Any, Any], ...]:
        """Return the costs that differ, each pair once."""
        differ = self.unequal.get("costs", np.zeros(0, bool))
        if not differ.any():
            return ()
        both = (map(plain, frame["costs"][differ]) for frame in (self.before, self.after))
        return tuple(dict.fromkeys(zip(*both, strict=True)))

    def table(self, columns: list[str], *, times_follow: bool) -> pd.DataFrame:
        """Return a row a change, the largest first; counts before times that may follow."""
        moved = np.full(len(self.pairs.before), times_follow)
        moved |= self.unequal.get("costs", False)
        tables: list[pd.DataFrame] = []
        for name in sorted(columns, key=lambda name: kind_of(name) == "time"):
            differ, kind = self._beyond_rounding(name), kind_of(name)
            if kind == "count":
                moved |= differ
            elif kind == "time":
                self.n_following += int((differ & moved).sum())
                differ &= ~moved
            else:
                noisy = differ & self._within_noise(name)
                self.n_within_noise += int(noisy.sum())
                differ &= ~noisy
            if differ.any():
                tables.append(self._rows(name, np.flatnonzero(differ)))
        if not tables:
            return pd.DataFrame(columns=list(_COLUMNS))
        return _largest_first(pd.concat(tables, ignore_index=True))

    def _numbers(self, name: str) -> tuple[Floats, Floats]:
        return _as_numbers(self.before[name]), _as_numbers(self.after[name])

    def _beyond_rounding(self, name: str) -> Booleans:
        differ: Booleans = self.unequal[name].copy()
        if differ.any() and any(f[name].dtype.kind == "f" for f in (self.before, self.after)):
            first, second = self._numbers(name)
            differ &= ~np.isclose(first, second, rtol=_ROUNDING, atol=0.0)
        return differ

    def _within_noise(self, name: str) -> Booleans:
        first, second = self._numbers(name)
        with np.errstate(divide="ignore", invalid="ignore"):
            near = np.abs(np.log(second / first)) <= np.log1p(self._noise())
        ends = [f"{name}_min", f"{name}_max"]
        if all(end in frame for end in ends for frame in (self.before, self.after)):
            (low, low_after), (high, high_after) = map(self._numbers, ends)
            near |= (low <= high_after) & (low_after <= high)
        return np.asarray(near)

    def _noise(self) -> Floats:
        """Return the noise of each row: the larger of its recorded spreads."""
        noise = np.full(len(self.pairs.before), self.noise)
        for frame in (self.before, self.after):
            if "spread" in frame:
                noise = np.fmax(noise, _as_numbers(frame["spread"]))
        return noise

    def _rows(self, name: str, places: Codes) -> pd.DataFrame:
        first, second = (values[places] for values in self._numbers(name))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = second / first
        cells = [
            [plain(value) for value in frame[name].iloc[places]]
            for frame in (self.before, self.after)
        ]
        return pd.DataFrame(
            {
                "before_row": self.pairs.before[places],
                "after_row": self.pairs.after[places],
                "column": name,
                "kind": kind_of(name),
                "before": pd.Series(cells[0], dtype="object"),
                "after": pd.Series(cells[1], dtype="object"),
                "ratio": ratio,
            }
        )


def _as_numbers(column: pd.Series) -> Floats:
    """Return a column as floats, NaN where it holds no number."""
    numbers = pd.to_numeric(column.astype("object"), errors="coerce")
    return np.asarray(numbers.to_numpy(np.float64, na_value=np.nan))


def _largest_first(cells: pd.DataFrame) -> pd.DataFrame:
    """Order by ratio; changes from zero, and of text, come first."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.abs(np.log(cells["ratio"].to_numpy(np.float64)))
    order = np.argsort(-np.where(np.isnan(size), np.inf, size), kind="stable")
    return cells.iloc[order].reset_index(drop=True)
