"""Tencent Cloud block traces (2018): ``seconds,offset,size,0|1,volume``, sectors of 512 bytes.

Layout: SNIA IOTTA, Tencent block storage.
"""

from collections.abc import Iterator

from pfnlab.traces.formats.patterns import Patterns
from pfnlab.traces.formats.reading import (
    Reading,
    Requests,
    device_numbers,
    matched_lines,
    requests,
    times,
)

SECTOR_BYTES, S_NS = 512, 10**9
PATTERNS = Patterns.of(["{time:d},{sector:d},{sectors:d}," + op + ",{device:d} " for op in "01"])


def read(reading: Reading) -> Iterator[Requests]:
    """Yield the requests of a file."""
    at = PATTERNS.columns
    for matched in matched_lines(reading, PATTERNS):
        numbers = matched.numbers
        yield requests(
            reading,
            "line",
            matched.line_numbers,
            offset_bytes=times(numbers[:, at["sector"]], SECTOR_BYTES),
            length_bytes=times(numbers[:, at["sectors"]], SECTOR_BYTES),
            device=device_numbers(reading, numbers[:, at["device"]]),
            submit_ns=times(numbers[:, at["time"]], S_NS),
        )
