"""MSR Cambridge block traces (SNIA IOTTA): ``time,host,disk,Read|Write,offset,size,response``.

Times are ticks of 100 ns (Windows file time), offset and size bytes. A request is submitted at its
time and completed a response time later.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pfnlab.formats.patterns import Patterns
from pfnlab.formats.reading import Reading, Requests, device_words, matched_lines

TICK_NS = 100
_ENDS = ",{offset:d},{length:d},{response:d} "
PATTERNS = Patterns.of(
    ["{time:d},{device:w}" + _ENDS] if False else
    [f"{{time:d}},{{host:w}},{{disk:d}},{kind}{_ENDS}" for kind in ("Read", "Write")]
)  # fmt: skip


def read(reading: Reading) -> Iterator[Requests]:
    """Yield the requests of a file."""
    column, began = PATTERNS.columns, None
    for matched in matched_lines(reading, PATTERNS):
        numbers = matched.numbers
        time = numbers[:, column["time"]]
        began = int(time[0]) if began is None else began
        submit = (time - began) * TICK_NS
        hosts = device_words(reading, matched, column["host"])
        yield Requests(
            offset_bytes=numbers[:, column["offset"]],
            length_bytes=numbers[:, column["length"]],
            device=hosts * 64 + np.minimum(numbers[:, column["disk"]], 63),
            submit_ns=submit,
            complete_ns=submit + numbers[:, column["response"]] * TICK_NS,
        )
