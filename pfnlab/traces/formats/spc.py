"""SPC block traces (UMass WebSearch, Financial): ``ASU,LBA,size,r|w,seconds``.

LBA counts sectors of 512 bytes within the application storage unit, size is bytes. Fields after the
time are optional, and not looked at. Layout: SPC trace file format 1.0.1.
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
PATTERNS = Patterns.of(
    ["{device:d},{sector:d},{length:d}," + op + ",{time:.9}{...}" for op in "rRwW"]
)


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
            length_bytes=numbers[:, at["length"]],
            device=device_numbers(reading, numbers[:, at["device"]]),
            submit_ns=numbers[:, at["time"]],
        )
