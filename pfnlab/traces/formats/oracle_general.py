"""libCacheSim oracleGeneral: little-endian records of 24 bytes: seconds, object, size, next access.

Objects are numbers without a place, so that each stands for a page of its number: nothing is said
about neighbours, and a chunk of several pages has no meaning. Each record is one lookup.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pfnlab.traces.formats import Format
from pfnlab.traces.formats.reading import Accesses, Reading, records
from pfnlab.traces.requests import Flags

RECORD = np.dtype([("time_s", "<u4"), ("object", "<u8"), ("size", "<u4"), ("next", "<i8")])
S_NS = 10**9
_MOST_PAGES = 2**44


def wrong(some: npt.NDArray[Any]) -> Flags:
    """Return whether each record holds an impossible value, bool."""
    least: Flags = (some["next"] < -2) | (some["size"] == 0)
    return least | (some["object"] >= _MOST_PAGES)


def looks_so(head: bytes) -> bool:
    """Return whether the first records are possible ones whose times do not fall."""
    some = np.frombuffer(head, RECORD, min(len(head) // RECORD.itemsize, 64))
    rises = (np.diff(some["time_s"].astype(np.int64)) >= 0).all()
    return bool(len(some) and rises and not wrong(some).any() and some["next"].max() > 0)


def read(reading: Reading) -> Iterator[Accesses]:
    """Yield one lookup per record."""
    for number, some in records(reading, RECORD):
        bad = wrong(some)
        for row in np.flatnonzero(bad):
            where = f"record {number + row}, byte {(number + row) * RECORD.itemsize}"
            reading.bad(where, f"must have an object below 2**44 and a size, it has {some[row]}")
        good = some[~bad]
        yield Accesses(
            pfns=good["object"].astype(np.int64), time_ns=good["time_s"].astype(np.int64) * S_NS
        )


FORMAT = Format(
    name="oracle_general",
    summary="libCacheSim oracleGeneral (binary)",
    looks_so=looks_so,
    read=read,
)
