"""MQSim block traces: ``ns device sector sectors type``, a sector of 512 bytes, type 1 a read.

Layout: CMU-SAFARI MQSim, ``traces/``.
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

SECTOR_BYTES = 512
PATTERNS = Patterns.of(["{time:d} {device:d} {sector:d} {sectors:d} {type:d} "])


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
            submit_ns=numbers[:, at["time"]],
        )
