"""`Geometry`: where a descriptor lives. The vectorised translation of DESIGN 3, and its inverse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pfnlab.errors import TraceError
from pfnlab.params import Params

#: x86-64 maps a vmemmap window of this size by one page of PTEs or by one PMD entry.
WINDOW_BYTES = 1 << 21

#: Events translated at a time, so that temporaries stay small beside the trace.
PIECE_EVENTS = 1 << 20

Integers = npt.NDArray[np.integer]
Indices = npt.NDArray[np.int64]


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """The layout of one region's vmemmap, whose last granule and chunk may be partial.

    A `Params` that exists has been checked, so nothing is checked again here.
    """

    first_pfn: int
    n_pages: int
    descriptor_bytes: int
    granule_bytes: int
    chunk_bytes: int

    @classmethod
    def of(cls, params: Params) -> Geometry:
        """Return the geometry of a configuration."""
        return cls(
            first_pfn=params.first_pfn,
            n_pages=params.n_pages,
            descriptor_bytes=params.descriptor_bytes,
            granule_bytes=params.granule_bytes,
            chunk_bytes=params.chunk_bytes,
        )

    @property
    def vmemmap_bytes(self) -> int:
        """Length of the vmemmap."""
        return self.n_pages * self.descriptor_bytes

    @property
    def n_granules(self) -> int:
        """Granules of the region, a partial last one counted whole."""
        return _ceil_div(self.vmemmap_bytes, self.granule_bytes)

    @property
    def n_chunks(self) -> int:
        """Chunks of the region, a partial last one counted whole."""
        return _ceil_div(self.vmemmap_bytes, self.chunk_bytes)

    @property
    def n_windows(self) -> int:
        """2 MiB windows of the vmemmap, a partial last one counted whole."""
        return _ceil_div(self.vmemmap_bytes, WINDOW_BYTES)

    @property
    def granule_pfns(self) -> int:
        """Page frames whose descriptors share one granule."""
        return self.granule_bytes // self.descriptor_bytes

    @property
    def chunk_pfns(self) -> int:
        """Page frames whose descriptors share one chunk."""
        return self.chunk_bytes // self.descriptor_bytes

    def check(self, pfns: Integers, first_event: int = 0) -> None:
        """Refuse the first pfn that lies outside the region.

        Parameters
        ----------
        pfns
            Those of some events in a row.
        first_event
            Number of the first of these events in its trace, for errors.

        Raises
        ------
        TraceError
            Naming the pfn, the event that refers to it and the pfns of the region.
        """
        last = self.first_pfn + self.n_pages - 1
        # A least pfn that can't be too small is not sought: a fifth of reading a streamed trace.
        no_less = self.first_pfn == 0 and pfns.dtype.kind == "u"
        above = len(pfns) == 0 or no_less or int(pfns.min()) >= self.first_pfn
        if len(pfns) == 0 or (above and int(pfns.max()) <= last):
            return
        event = int(np.argmax((pfns < self.first_pfn) | (pfns > last)))
        raise TraceError(
            f"pfn={int(pfns[event])} in event {first_event + event}: "
            f"must be in the region, {self.first_pfn} <= pfn <= {last}"
        )

    def offsets_of(self, pfns: Integers) -> Indices:
        """Byte offsets of the descriptors of `pfns` into the vmemmap, int64."""
        return (pfns.astype(np.int64) - self.first_pfn) * self.descriptor_bytes

    def granules_of(self, pfns: Integers) -> Indices:
        """Granule indices of `pfns`, int64."""
        return self.offsets_of(pfns) // self.granule_bytes

    def chunks_of(self, pfns: Integers) -> Indices:
        """Chunk indices of `pfns`, int64."""
        return self.offsets_of(pfns) // self.chunk_bytes

    def first_pfns_of(self, chunks: Integers) -> Indices:
        """First pfn of each chunk: the inverse of `chunks_of`."""
        return chunks.astype(np.int64) * self.chunk_pfns + self.first_pfn

    def footprint_bytes(self, pfns: Integers) -> int:
        """Bytes of the distinct granules that `pfns` touch."""
        if self.n_granules > max(64 * len(pfns), 1 << 20):
            # Few events in a huge region: np.unique, which hashes, takes 140 times as long as this
            # for 20 million random granules (numpy 2.4).
            granules = np.sort(self.granules_of(pfns))
            n_distinct = int(np.count_nonzero(np.diff(granules))) + (len(granules) > 0)
            return n_distinct * self.granule_bytes
        touched = np.zeros(self.n_granules, dtype=np.bool_)
        for start in range(0, len(pfns), PIECE_EVENTS):
            touched[self.granules_of(pfns[start : start + PIECE_EVENTS])] = True
        return int(np.count_nonzero(touched)) * self.granule_bytes
