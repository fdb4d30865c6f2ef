"""Block traces of one request a line, numbers between commas or blanks: five layouts, one reader.

msr: ``time,host,disk,Read|Write,offset,size,response``; SNIA IOTTA, MSR Cambridge.
spc: ``ASU,LBA,size,r|w,seconds`` and optional fields; SPC trace file format 1.0.1.
alibaba: ``device,R|W,offset,length,time``; the repository alibaba/block-traces (2020).
tencent: ``seconds,offset,size,0|1,volume``; SNIA IOTTA, Tencent block storage (2018).
mqsim: ``ns device sector sectors type``, type 1 is a read; CMU-SAFARI MQSim, ``traces/``.

Offsets and sizes are bytes where a template has ``offset`` and ``length``, else sectors. Times of
`msr` are ticks of 100 ns (Windows file time); its requests complete a response time later.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from pfnlab.traces.formats import Format
from pfnlab.traces.formats.patterns import Patterns
from pfnlab.traces.formats.reading import (
    Matched,
    Reading,
    Requests,
    device_numbers,
    device_words,
    fits,
    matched_lines,
    requests,
    times,
)
from pfnlab.traces.requests import Int64s

#: Bytes of one unit of a field.
_UNITS = {"offset": 1, "length": 1, "sector": 512, "sectors": 512}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a format writes a request.

    Attributes
    ----------
    name, summary
        As of its `Format`.
    templates
        Of its lines; their fields are ``device`` (or ``host`` and ``disk``), ``offset`` or
        ``sector``, ``length`` or ``sectors``, ``time`` and, where it is known, ``response``.
    time_ns
        Nanoseconds of one unit of time.
    """

    name: str
    summary: str
    templates: tuple[str, ...]
    time_ns: int = 1

    def format(self) -> Format:
        """Return the record of this format."""
        patterns = Patterns.of(self.templates)
        looks_so, read = partial(fits, patterns), partial(_read, self, patterns)
        return Format(name=self.name, summary=self.summary, looks_so=looks_so, read=read)


def _each(template: str, operations: tuple[str, ...]) -> tuple[str, ...]:
    """Return a template once for each operation, which is a word of the line."""
    return tuple(template.replace("OP", operation) for operation in operations)


def _read(layout: Layout, patterns: Patterns, reading: Reading) -> Iterator[Requests]:
    """Yield the requests of a file."""
    at, began = patterns.columns, None
    offset = "offset" if "offset" in at else "sector"
    length = "length" if "length" in at else "sectors"
    for matched in matched_lines(reading, patterns):
        time = matched.numbers[:, at["time"]]
        complete = None
        if "response" in at:
            began = int(time[0]) if began is None else began
            # A few may have been submitted before the first of the file.
            time = np.maximum(time - began, 0)
        submit = _scaled(time, layout.time_ns)
        if "response" in at:
            complete = submit + times(matched.numbers[:, at["response"]], layout.time_ns)
        yield requests(
            reading,
            "line",
            matched.line_numbers,
            offset_bytes=_scaled(matched.numbers[:, at[offset]], _UNITS[offset]),
            length_bytes=_scaled(matched.numbers[:, at[length]], _UNITS[length]),
            device=_devices(reading, matched, at),
            submit_ns=submit,
            complete_ns=complete,
        )


def _scaled(values: Int64s, unit: int) -> Int64s:
    return values if unit == 1 else times(values, unit)


def _devices(reading: Reading, matched: Matched, at: dict[str, int]) -> Int64s:
    if "host" in at:
        return device_words(reading, matched, at["host"], at["disk"])
    return device_numbers(reading, matched.numbers[:, at["device"]])


LAYOUTS = (
    Layout(
        name="msr",
        summary="MSR Cambridge block trace (CSV)",
        templates=_each(
            "{time:d},{host:w},{disk:d},OP,{offset:d},{length:d},{response:d} ", ("Read", "Write")
        ),
        time_ns=100,
    ),
    Layout(
        name="spc",
        summary="SPC block trace, as UMass WebSearch and Financial (CSV)",
        templates=_each("{device:d},{sector:d},{length:d},OP,{time:.9}{...}", ("r", "R", "w", "W")),
    ),
    Layout(
        name="alibaba",
        summary="Alibaba Cloud block trace (CSV)",
        templates=_each("{device:d},OP,{offset:d},{length:d},{time:d} ", ("R", "W")),
        time_ns=1000,
    ),
    Layout(
        name="tencent",
        summary="Tencent Cloud block trace (CSV)",
        templates=_each("{time:d},{sector:d},{sectors:d},OP,{device:d} ", ("0", "1")),
        time_ns=10**9,
    ),
    Layout(
        name="mqsim",
        summary="MQSim block trace (five numbers a line)",
        templates=("{time:d} {device:d} {sector:d} {sectors:d} {type:d} ",),
    ),
)
FORMATS = tuple(layout.format() for layout in LAYOUTS)
