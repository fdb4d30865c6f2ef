"""`changes`: the differences between two frames, in any order of rows."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pfnlab.errors import FrameError, ParameterError
from pfnlab.frames.changes.cells import Cells
from pfnlab.frames.changes.column_kinds import kind_of, naming
from pfnlab.frames.changes.row_pairs import Codes, Pairs, codes_of, joint, paired, plain
from pfnlab.params.units import format_bytes, short_ns

__all__ = ["NOISE", "Changes", "changes"]

#: How far a measured figure may move, as a share, where no spread was recorded with it.
NOISE = 0.05
_SHOWN = 10  # changes of a kind in a text
_LABEL = 12
_SIDES = "AB"
_SECTIONS = {"count": "values", "time": "times", "measured": "measured"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Changes:
    """The differences between two frames; `str` writes them line by line.

    Attributes
    ----------
    before
        The first frame.
    n_before, n_after, n_paired
        Rows of each, and how many belong together.
    only_before_columns, only_after_columns
        Columns that the other frame lacks; they are not compared.
    constants
        Parameters that have one value in each frame, and not the same: before and after. Rows
        are paired as if they had not.
    values
        Parameters that take values which they do not take in the other frame: only before, only
        after.
    names
        The columns by which rows were paired.
    only_before, only_after
        The names of rows that the other frame lacks.
    costs
        Presets that differ in paired rows, before and after.
    cells
        A row per change: positions ``before_row`` and ``after_row``, ``column``, ``kind`` (count,
        time or measured), ``before``, ``after`` and ``ratio``, the largest first.
    n_following
        Times of the model that differ because costs, counts or `constants` do; not in `cells`.
    n_within_noise
        Measured figures that differ by no more than their noise; not in `cells`.
    """

    before: pd.DataFrame = field(repr=False)
    n_before: int
    n_after: int
    n_paired: int
    only_before_columns: tuple[str, ...]
    only_after_columns: tuple[str, ...]
    constants: Mapping[str, tuple[Any, Any]]
    values: Mapping[str, tuple[list[Any], list[Any]]]
    names: tuple[str, ...]
    only_before: pd.DataFrame = field(repr=False)
    only_after: pd.DataFrame = field(repr=False)
    costs: tuple[tuple[Any, Any], ...]
    cells: pd.DataFrame = field(repr=False)
    n_following: int
    n_within_noise: int

    @property
    def equal(self) -> bool:
        """True if both frames hold the same."""
        differing = (
            *(self.only_before_columns, self.only_after_columns, self.constants, self.costs),
            *(self.only_before, self.only_after, self.cells),
        )
        return not any(len(some) for some in differing)

    @property
    def head(self) -> str:
        """The first line of the text."""
        if not self.equal:
            rows = f"{self.n_before:,} and {self.n_after:,} rows"
            return f"differs ({rows}, {self.n_paired:,} paired)"
        n_moved = self.n_within_noise
        noisy = f"; {n_moved:,} measured figures moved within their noise" if n_moved else ""
        return f"equal ({self.n_paired:,} rows{noisy})"

    def __str__(self) -> str:
        return "\n".join([self.head, *self.lines(_SHOWN)])

    def lines(self, most: int) -> Iterator[str]:
        """Yield the text after `head`, with no more than `most` changes of each kind."""
        return labelled(self._texts(most))

    def _texts(self, most: int) -> Iterator[tuple[str, str]]:
        columns = self.only_before_columns, self.only_after_columns
        for side, names in zip(_SIDES, columns, strict=True):
            if names:
                yield "columns", f"only in {side}: {', '.join(names)}"
        for name, (first, second) in self.constants.items():
            yield "parameters", f"{name} {_show(name, first)} -> {_show(name, second)} in every row"
        for name, sides in self.values.items():
            both = zip(_SIDES, sides, strict=True)
            only = [f"{_listed(name, some, most)} only in {side}" for side, some in both if some]
            yield "parameters", f"{name} {'; '.join(only)}"
        for side, rows in zip(_SIDES, (self.only_before, self.only_after), strict=True):
            yield from (("rows", text) for text in self._unpaired(rows, side, most))
        for first, second in self.costs:
            yield "costs", f"{first} -> {second}"
        for kind, label in _SECTIONS.items():
            yield from ((label, text) for text in self._cells(kind, most))
        if self.n_following:
            yield "times", f"{self.n_following:,} follow from the above"
        if self.n_within_noise and not self.equal:
            yield "measured", f"{self.n_within_noise:,} moved within their noise"

    def _unpaired(self, rows: pd.DataFrame, side: str, most: int) -> Iterator[str]:
        shown = rows.head(most if self.names else 0)
        columns = [n for n in self.names if n in self.values or rows[n].nunique() > 1]
        for row in shown.to_dict("records"):
            yield f"only in {side}: {_row_name(row, columns)}"
        if len(rows) > len(shown):
            yield f"only in {side}: {len(rows) - len(shown):,} {'more' if len(shown) else 'rows'}"

    def _cells(self, kind: str, most: int) -> Iterator[str]:
        some = self.cells[self.cells["kind"] == kind]
        varying = [name for name in self.names if self.before[name].nunique() > 1]
        for cell in some.head(most).to_dict("records"):
            column = cell["column"]
            first, second = _show(column, cell["before"]), _show(column, cell["after"])
            row = _row_name(self.before.iloc[cell["before_row"]].to_dict(), varying)
            yield f"{column} {first} -> {second}{_times(cell['ratio'])}  [{row}]"
        if len(some) > most:
            n_rows = some["before_row"].nunique()
            yield f"{len(some):,} in {n_rows:,} rows, of which the largest {most:,} are shown"


def labelled(texts: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a line for each text; a label that stands in the line before is left out."""
    before = ""
    for label, text in texts:
        yield f"  {'' if label == before else label:{_LABEL}}{text}"
        before = label


def _times(ratio: float) -> str:
    if not 0 < ratio < float("inf"):
        return ""
    return f" ({100 * (ratio - 1):+.2g}%)" if 0.5 < ratio < 2 else f" (x {ratio:.3g})"


def _row_name(row: Mapping[Any, Any], columns: list[str]) -> str:
    values = [(name, plain(row[name])) for name in columns]
    texts = [f"{name} {_show(name, value)}" for name, value in values if value is not None]
    return ", ".join(texts) or "any row"


def _listed(name: str, values: list[Any], most: int) -> str:
    shown = ", ".join(_show(name, value) for value in values[: max(most, 1)])
    more = len(values) - max(most, 1)
    return f"{shown} and {more:,} more" if more > 0 else shown


def _show(name: str, value: object) -> str:
    """Write a value as the tables do, exactly where it is a count."""
    if value is None:
        return "NA"
    if isinstance(value, bool | str) or not isinstance(value, int | float):
        return str(value)
    if name.endswith("_bytes") and float(value).is_integer():
        return format_bytes(int(value))
    if name.endswith("_ns"):
        return short_ns(value)
    return f"{int(value):,}" if float(value).is_integer() else f"{value:.6g}"


def changes(before: pd.DataFrame, after: pd.DataFrame, *, noise: float = NOISE) -> Changes:
    """Return the differences between two frames.

    Rows are paired by their parameters and what else names them, in any order. Counts differ if
    they are not the same; measured figures if they differ by more than the spread recorded with
    them, and `noise`. Machine, date and spread of a measurement are no difference.

    Parameters
    ----------
    before, after
        Frames of `pfnlab.sweep`, of a notebook, or of a measurement.
    noise
        A share, such as 0.05.

    Raises
    ------
    ParameterError
        If `noise` is no share of 0 or more.
    FrameError
        If two columns of a frame have the same name.
    """
    if isinstance(noise, bool) or not isinstance(noise, int | float) or not 0 <= noise < np.inf:
        raise ParameterError("noise", noise, "must be a share of 0 or more, such as 0.05")
    before, after = _named(before), _named(after)
    common = [str(name) for name in before if name in after]
    codes = {name: codes_of(before[name], after[name]) for name in common}
    names = naming(before, after)
    constants = {} if before.empty or after.empty else _constants(before, after, codes, names)
    names = [name for name in names if name not in constants]
    pairs = _pairs(codes, names, len(before), len(after))
    compared = [n for n in common if n not in names and n not in constants and n != "costs"]
    found = Cells(before, after, pairs, codes, noise)
    values = [name for name in compared if kind_of(name) != "about"]
    cells = found.table(values, times_follow=bool(constants))
    return Changes(
        before=before,
        n_before=len(before),
        n_after=len(after),
        n_paired=len(pairs.before),
        only_before_columns=tuple(str(name) for name in before if name not in after),
        only_after_columns=tuple(str(name) for name in after if name not in before),
        constants=constants,
        values=_values(before, after, names),
        names=tuple(names),
        only_before=before.iloc[pairs.only_before][names],
        only_after=after.iloc[pairs.only_after][names],
        costs=found.presets(),
        cells=cells,
        n_following=found.n_following,
        n_within_noise=found.n_within_noise,
    )


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with text as names of columns; refuse a name that stands twice."""
    named = frame.rename(columns=str)
    if not named.columns.is_unique:
        twice = named.columns[named.columns.duplicated()][0]
        raise FrameError(f"{twice}: stands for several columns, and must for one")
    return named


def _constants(
    before: pd.DataFrame, after: pd.DataFrame, codes: Mapping[str, Codes], names: list[str]
) -> dict[str, tuple[Any, Any]]:
    found: dict[str, tuple[Any, Any]] = {}
    for name in names:
        first, second = codes[name][: len(before)], codes[name][len(before) :]
        if np.ptp(first) == np.ptp(second) == 0 and first[0] != second[0]:
            found[name] = plain(before[name].iloc[0]), plain(after[name].iloc[0])
    return found


def _values(
    before: pd.DataFrame, after: pd.DataFrame, names: list[str]
) -> dict[str, tuple[list[Any], list[Any]]]:
    found: dict[str, tuple[list[Any], list[Any]]] = {}
    for name in names:
        first, second = (dict.fromkeys(map(plain, f[name])) for f in (before, after))
        only = [v for v in first if v not in second], [v for v in second if v not in first]
        if any(only):
            found[name] = only
    return found


def _pairs(codes: Mapping[str, Codes], names: list[str], n_before: int, n_after: int) -> Pairs:
    n_rows = n_before + n_after
    named = joint((codes[name] for name in names), n_rows)
    others = (column for name, column in codes.items() if kind_of(name) != "about")
    return paired(named, joint([named, *others], n_rows), n_before)
