"""How a sweep ends that did not do all its points: what is finished comes with the error."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pfnlab.errors import FileError, PfnlabError
from pfnlab.params import Params

_NAMED_FAILURES = 5


@dataclass(frozen=True, slots=True)
class Failed:
    """A point that could not be replayed, and why.

    `share` and `value` are the axis that sets its threshold, if one does, as a share.
    """

    params: Params
    share: str
    value: float
    reason: str


class SweepInterrupted(KeyboardInterrupt):
    """A sweep was interrupted; `frame` holds the rows of the points that were finished."""

    def __init__(self, frame: pd.DataFrame, n_points: int) -> None:
        super().__init__(f"{len(frame)} of {n_points} points are done; they are in `.frame`")
        self.frame = frame


class PointError(PfnlabError):
    """Some points could not be replayed; all others were.

    Attributes
    ----------
    frame
        The rows of the points that were finished.
    failed
        A `Failed` for each of the others: its parameters, and why.
    """

    def __init__(self, frame: pd.DataFrame, failed: list[Failed], names: Sequence[str]) -> None:
        n_points = len(frame) + len(failed)
        lines = [f"{len(failed)} of {n_points} points failed, the others are in `.frame`"]
        lines += [_line(each, names) for each in failed[:_NAMED_FAILURES]]
        if (more := len(failed) - _NAMED_FAILURES) > 0:
            lines.append(f"and {more} more")
        super().__init__("; ".join(lines))
        self.frame, self.failed = frame, failed


def _line(failed: Failed, names: Sequence[str]) -> str:
    """Name a failed point by its place on the axes."""
    values = {name: getattr(failed.params, name, failed.value) for name in names}
    shown = ", ".join(f"{name}={value}" for name, value in values.items())
    return f"{shown or 'the point'}: {failed.reason}"


class StoreError(FileError):
    """The store can't be written any more; `frame` holds the rows that were finished."""

    def __init__(self, why: FileError, frame: pd.DataFrame) -> None:
        super().__init__(f"{why}; {len(frame)} finished points are in `.frame`")
        self.frame = frame
