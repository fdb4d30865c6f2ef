"""Text with a byte range or a pfn a line: ``offset,bytes``, ``offset`` or ``pfn``, by the header.

Fields are separated by commas, semicolons or blanks. A header names them; other columns are passed
over. Without one, `columns` must say what they are.
"""

from collections.abc import Iterator

import numpy as np

from pfnlab.errors import ParameterError, TraceError, near
from pfnlab.traces.formats import Format
from pfnlab.traces.formats.compressed import head_of
from pfnlab.traces.formats.patterns import Patterns
from pfnlab.traces.formats.reading import (
    Accesses,
    Reading,
    Requests,
    matched_lines,
    requests,
    times,
)
from pfnlab.traces.requests import Int64s

_MOST_PFNS = 1 << 52
#: What a column may be called, by what it is.
NAMES = {
    "offset": "offset",
    "offset_bytes": "offset",
    "bytes": "length",
    "length": "length",
    "length_bytes": "length",
    "size": "length",
    "pfn": "pfn",
    "pfns": "pfn",
    "time_ns": "time_ns",
    "_": "_",
}


def header_of(head: bytes) -> list[str] | None:
    """Return the names of a header line, None if the first line is none."""
    line = head.split(b"\n", 1)[0].strip().decode("ascii", "replace").lower()
    names = [name.strip().strip('"') for name in line.split(_separator(line))]
    return names if {"offset", "pfn"} & {NAMES.get(name, "") for name in names} else None


def looks_so(head: bytes) -> bool:
    """Whether there is a header that tells the columns."""
    return header_of(head) is not None


def read(reading: Reading) -> Iterator[Requests | Accesses]:
    """Yield requests, or lookups of pfns."""
    head = head_of(reading.path)
    given = reading.options.get("columns")
    names = header_of(head) if given is None else [str(name) for name in given]
    if names is None:
        raise TraceError(
            f"{reading.path}: line 1: must be a header that names offset or pfn; or say columns="
        )
    known = _known(reading, names, given is not None)
    line = head.split(b"\n", 1)[0].decode("ascii", "replace")
    separator = _separator(line)
    fields = [
        "{*}" if name == "_" else f"{{{name}:d}}" for name in known
    ]  # a column that is passed over ends at the next separator
    if fields[-1] == "{*}":
        fields[-1] = "{...}"
    if separator is None:
        template = " ".join(fields).replace("{*}", "{_:w}")
    else:  # no blank after {*}: it ends at what stands next
        template = f" {separator} ".join(fields).replace("{*} ", "{*}")
    patterns = Patterns.of([template + " "])
    at = patterns.columns
    for matched in matched_lines(reading, patterns, header=True):
        column = {name: matched.numbers[:, place] for name, place in at.items()}
        time = column.get("time_ns")
        if "pfn" in at:
            yield _lookups(reading, matched.line_numbers, column["pfn"], time)
            continue
        length = column.get("length", np.ones(len(column["offset"]), np.int64))
        yield requests(
            reading, "line", matched.line_numbers, times(column["offset"], 1), length, None, time
        )


def _lookups(reading: Reading, numbers: Int64s, pfns: Int64s, time: Int64s | None) -> Accesses:
    """Return lookups, without pfns that no address space has."""
    good = pfns < _MOST_PFNS
    for row in np.flatnonzero(~good):
        reading.bad(f"line {numbers[row]}", f"pfn must be below 2**52, it is {pfns[row]}")
    return Accesses(pfns=pfns[good], time_ns=None if time is None else time[good])


def _separator(line: str) -> str | None:
    """Return what separates fields; None are blanks."""
    return next((mark for mark in (",", ";") if mark in line), None)


def _known(reading: Reading, names: list[str], given: bool) -> list[str]:
    """Return what each column is."""
    if given:
        for name in names:
            if name not in NAMES:
                raise ParameterError("columns", name, f"no such column; {near(name, NAMES)}")
    known = [NAMES.get(name, "_") for name in names]
    if ("offset" in known) == ("pfn" in known) or len({*known} - {"_"}) < len(known) - known.count(
        "_"
    ):
        requirement = "must name offset or pfn, each column once"
        if given:
            raise ParameterError("columns", names, requirement)
        raise TraceError(f"{reading.path}: line 1: the header {requirement}, it has {names}")
    return known


FORMAT = Format(
    name="offsets",
    summary="text: offset,bytes or offset or pfn, named by a header or by columns=",
    looks_so=looks_so,
    read=read,
)
