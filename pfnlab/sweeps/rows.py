"""Rows of a sweep: a point and its result by name, a table of them, and times on top."""

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pfnlab.engine import replay_many
from pfnlab.engine.result import Result
from pfnlab.engine.threads import Look
from pfnlab.frames import require
from pfnlab.params.costs import Costs, costs_of
from pfnlab.sweeps.axes import Point
from pfnlab.sweeps.per_region import Drawn
from pfnlab.traces.sources import Replayable

Row = dict[str, Any]
Column = npt.NDArray[Any]
Indices = int | npt.NDArray[np.intp]

#: Bytes that a row takes in a table, or a little less.
ROW_BYTES = 400
#: Columns from which times follow.
_SIZES = ("granule_bytes", "descriptor_bytes", "n_cpus")
_COUNTED = (
    *("accesses", "atomic_faults", "faults", "refaults", "evicted_granules"),
    *("shootdowns", "ranged_flush_pages", "full_flushes"),
)


def rows_of(
    region: Drawn, n_threads: int = 1, n_sharing: int = 1, look: Look = lambda n: None
) -> Iterator[tuple[Point, Row]]:
    """Replay the points of a region and yield their rows as they are finished."""
    replays = replay_many(
        region.trace, region.configurations, n_threads=n_threads, n_sharing=n_sharing, look=look
    )
    for index, result in replays:
        point, granule = region.points[index], result.params.granule_bytes
        footprint = region.footprints.get(granule, result.cold_faults * granule)
        yield point, row_of(region.trace, point, footprint, result)


def row_of(trace: Replayable, point: Point, footprint: int, result: Result) -> Row:
    """Return what a point counted, by the names of a frame's columns."""
    params = result.params
    return {
        "source": trace.name,
        "evidence": trace.evidence,
        "n_events": len(trace),
        **params.as_dict(),
        "vmemmap_bytes": params.vmemmap_bytes,
        "footprint_bytes": footprint,
        **({point.share: point.value} if point.share else {}),
        **result.counts(),
    }


class Table:
    """Rows by the index of their point, held by column: a tenth of what dicts would take."""

    def __init__(self, size: int) -> None:
        self.there = np.zeros(size, np.bool_)
        self._columns: dict[str, Column] = {}

    def __len__(self) -> int:
        return int(np.count_nonzero(self.there))

    def put(self, indices: Indices, columns: Mapping[str, npt.ArrayLike]) -> None:
        """Take the rows of the points `indices`, given by column."""
        for name, values in columns.items():
            if name not in self._columns:
                dtype = np.asarray(values).dtype
                names = dtype.kind == "U"
                self._columns[name] = np.empty(len(self.there), object if names else dtype)
            self._columns[name][indices] = values
        self.there[indices] = True

    def frame(self, costs: Costs | None, attributes: Mapping[str, str]) -> pd.DataFrame:
        """Return the rows that are there, in the order of their points."""
        every = self.there.all()
        columns = {n: c if every else c[self.there] for n, c in self._columns.items()}
        frame = pd.DataFrame(columns, copy=False)
        frame = priced(frame, costs) if costs and len(frame) else frame
        frame.attrs.update(attributes)
        return frame


def columns_of(rows: list[Row]) -> dict[str, list[Any]]:
    """Return rows, which all have the same names, by column."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def priced(frame: pd.DataFrame, costs: str | Costs) -> pd.DataFrame:
    """Return `frame` with the ``*_ns`` columns of `costs`; nothing is replayed.

    Raises
    ------
    FrameError
        If the frame lacks a parameter or a counter that times follow from.
    """
    chosen = costs_of(costs)
    require(frame, [*_SIZES, *_COUNTED])
    columns = {name: frame[name].to_numpy(np.float64) for name in (*_SIZES, *_COUNTED)}
    sizes = SimpleNamespace(**{name: columns[name] for name in _SIZES})
    times = {"costs": chosen.name} | chosen.times(columns, sizes)
    return frame.drop(columns=[name for name in times if name in frame]).assign(**times)
