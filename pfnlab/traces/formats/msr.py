"""MSR Cambridge block traces: ``time,host,disk,Read|Write,offset,size,response``.

Times are ticks of 100 ns (Windows file time), offset and size bytes. A request is submitted at its
time and completed a response time later. Layout: SNIA IOTTA, MSR Cambridge.
"""

from collections.abc import Iterator

import numpy as np

from pfnlab.traces.formats.patterns import Patterns
from pfnlab.traces.formats.reading import (
    Reading,
    Requests,
    device_words,
    matched_lines,
    requests,
    times,
)

TICK_NS = 100
_ENDS = ",{offset:d},{length:d},{response:d} "
PATTERNS = Patterns.of(["{time:d},{host:w},{disk:d}," + op + _ENDS for op in ("Read", "Write")])


def read(reading: Reading) -> Iterator[Requests]:
    """Yield the requests of a file, times from its first."""
    at, began = PATTERNS.columns, None
    for matched in matched_lines(reading, PATTERNS):
        numbers = matched.numbers
        began = int(numbers[0, at["time"]]) if began is None else began
        # A few may have been submitted before the first of the file.
        submit = times(np.maximum(numbers[:, at["time"]] - began, 0), TICK_NS)
        yield requests(
            reading,
            "line",
            matched.line_numbers,
            offset_bytes=numbers[:, at["offset"]],
            length_bytes=numbers[:, at["length"]],
            device=device_words(reading, matched, at["host"], at["disk"]),
            submit_ns=submit,
            complete_ns=submit + times(numbers[:, at["response"]], TICK_NS),
        )
