"""Distinct granules of a trace that is seen piece by piece, in bounded memory."""

import numpy as np
import numpy.typing as npt

from pfnlab.params.geometry import Geometry
from pfnlab.traces.requests import Int64s

#: Largest region, in granules, that is counted in a table: 256 MiB of it.
TABLE_GRANULES = 1 << 28
#: Int64s sorted before they are merged with the others, at least.
RECENT_GRANULES = 1 << 20


class Footprint:
    """The granules that were touched so far.

    A table of one byte per granule, or, where the region is too large for that, the sorted granules
    themselves: 16 bytes and less for each that is touched.
    """

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        in_table = geometry.n_granules <= TABLE_GRANULES
        self._table = np.zeros(geometry.n_granules if in_table else 0, np.bool_)
        self._in_table = in_table
        self._sorted = np.zeros(0, np.int64)
        self._recent: list[Int64s] = []
        self._n_recent = 0

    def add(self, pfns: npt.NDArray[np.integer]) -> None:
        """Touch the granules of `pfns`, all of which lie in the region."""
        granules = self._geometry.granules_of(pfns)
        if self._in_table:
            self._table[granules] = True
            return
        self._recent.append(_distinct(granules))
        self._n_recent += len(self._recent[-1])
        # Merging no sooner than the set doubles keeps the cost of all merges in proportion.
        if self._n_recent > max(len(self._sorted), RECENT_GRANULES):
            self._merge()

    @property
    def footprint_bytes(self) -> int:
        """Bytes of the distinct granules."""
        if not self._in_table:
            self._merge()
        n_granules = np.count_nonzero(self._table) if self._in_table else len(self._sorted)
        return int(n_granules) * self._geometry.granule_bytes

    def _merge(self) -> None:
        self._sorted = _distinct(np.concatenate([self._sorted, *self._recent]))
        self._recent, self._n_recent = [], 0


def _distinct(granules: Int64s) -> Int64s:
    """Sort and drop repeats: np.unique, which hashes, is 140 times slower (numpy 2.4)."""
    granules = np.sort(granules)
    return granules[np.diff(granules, prepend=-1) > 0]
