"""Tencent Cloud block traces (2018): ``seconds,offset,size,0|1,volume``, sectors of 512 bytes.

Layout: SNIA IOTTA, Tencent block storage.
"""

from __future__ import annotations

from collections.abc import Iterator

from pfnlab.formats.patterns import Patterns
from pfnlab.formats.reading import Reading, Requests, device_numbers, matched_lines

SECTOR_BYTES, S_NS = 512, 10**9
PATTERNS = Patterns.of(["{time:d},{sector:d},{sectors:d},%s,{device:d} " % op for op in "01"])


def read(reading: Reading) -> Iterator[Requests]:
    """Yield the requests of a file."""
    at = PATTERNS.columns
    for matched in matched_lines(reading, PATTERNS):
        numbers = matched.numbers
        yield Requests(
            offset_bytes=numbers[:, at["sector"]] * SECTOR_BYTES,
            length_bytes=numbers[:, at["sectors"]] * SECTOR_BYTES,
            device=device_numbers(reading, numbers[:, at["device"]]),
            submit_ns=numbers[:, at["time"]] * S_NS,
        )
