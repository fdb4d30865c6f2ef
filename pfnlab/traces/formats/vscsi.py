"""VMware vscsi block traces: little-endian records of 32 or 40 bytes of one virtual disk.

Serial number, length in bytes, scatter-gather elements, SCSI command, version, logical block of 512
bytes, time in microseconds. Version 2 has the command and the version first, and a response time at
the end, which is not used: nobody says its unit. Commands that move no data are counted and left
out.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pfnlab.traces.formats import Format
from pfnlab.traces.formats.compressed import head_of
from pfnlab.traces.formats.reading import Reading, Requests, records, requests, times
from pfnlab.traces.requests import Flags

_SIZES = [("sn", "<u4"), ("length", "<u4"), ("nsg", "<u4")]
_COMMAND = [("command", "<u2"), ("version", "<u2")]
_PLACE = [("block", "<u8"), ("time_us", "<u8")]
RECORD = np.dtype([*_SIZES, *_COMMAND, *_PLACE])
RECORD_2 = np.dtype([*_COMMAND, *_SIZES, *_PLACE, ("response", "<u8")])
SECTOR_BYTES, US_NS = 512, 1000
#: READ and WRITE of 6, 10, 12 and 16 bytes (SCSI block commands).
MOVES_DATA = (0x08, 0x0A, 0x28, 0x2A, 0xA8, 0xAA, 0x88, 0x8A)
_LARGEST_COMMAND, _MOST_BLOCKS, _MOST_US = 0xFF, 2**47, 2**53


def looks_so(head: bytes) -> bool:
    """Whether the first records can be such, of either version."""
    return is_version_2(head) or _fits(_first(head, RECORD))


def is_version_2(head: bytes) -> bool:
    """Whether the first records can be of version 2, and say so."""
    some = _first(head, RECORD_2)
    return _fits(some) and bool(some["version"][0] >> 8 == 2)


def _first(head: bytes, record: np.dtype[Any]) -> npt.NDArray[Any]:
    return np.frombuffer(head, record, min(len(head) // record.itemsize, 64))


def _fits(some: npt.NDArray[Any]) -> bool:
    return bool(len(some) and not wrong(some).any() and np.isin(some["command"], MOVES_DATA).any())


def wrong(some: npt.NDArray[Any]) -> Flags:
    """Whether each record holds what can't be: then it is shifted, or of the other endianness."""
    bad: Flags = (
        (some["command"] > _LARGEST_COMMAND)
        | (some["block"] > _MOST_BLOCKS)
        | (some["time_us"] > _MOST_US)
        | (some["version"] != some["version"][0])
    )
    return bad


def read(reading: Reading) -> Iterator[Requests]:
    """Yield the requests of a file."""
    record = RECORD_2 if is_version_2(head_of(reading.path)) else RECORD
    for number, some in records(reading, record):
        bad = wrong(some)
        for row in np.flatnonzero(bad):
            where = f"record {number + row}, byte {(number + row) * record.itemsize}"
            reading.bad(where, f"must have a command, version, block and time, it has {some[row]}")
        moves = np.isin(some["command"], MOVES_DATA)
        reading.counts["commands without data"] += int((~moves & ~bad).sum())
        good = some[moves & ~bad]
        yield requests(
            reading,
            "record",
            number + np.flatnonzero(moves & ~bad),
            offset_bytes=good["block"].astype(np.int64) * SECTOR_BYTES,
            length_bytes=good["length"].astype(np.int64),
            submit_ns=times(good["time_us"].astype(np.int64), US_NS),
        )


FORMAT = Format(
    name="vscsi",
    summary="VMware vscsi block trace (binary, versions 1 and 2)",
    looks_so=looks_so,
    read=read,
)
