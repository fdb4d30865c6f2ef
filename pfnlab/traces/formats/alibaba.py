"""Alibaba Cloud block traces (2020): ``device,R|W,offset,length,time``, bytes and microseconds.

Layout: the repository of the traces, alibaba/block-traces.
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

US_NS = 1000
PATTERNS = Patterns.of(["{device:d}," + op + ",{offset:d},{length:d},{time:d} " for op in "RW"])


def read(reading: Reading) -> Iterator[Requests]:
    """Yield the requests of a file."""
    at = PATTERNS.columns
    for matched in matched_lines(reading, PATTERNS):
        numbers = matched.numbers
        yield requests(
            reading,
            "line",
            matched.line_numbers,
            offset_bytes=numbers[:, at["offset"]],
            length_bytes=numbers[:, at["length"]],
            device=device_numbers(reading, numbers[:, at["device"]]),
            submit_ns=times(numbers[:, at["time"]], US_NS),
        )
