"""What all readers share: the blocks of a file, its lines and records, and its bad ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.errors import ParameterError, TraceError
from pfnlab.kernels import scan
from pfnlab.traces.formats.compressed import BLOCK_BYTES, opened, read_block, stamp_of
from pfnlab.traces.formats.patterns import Patterns
from pfnlab.traces.native.file_stamp import Stamp
from pfnlab.traces.requests import Flags, Int64s

_MOST_LINES = 1 << 15
_SHOWN_BYTES = 60
_MOST_FIT = 0.9  # share of the first lines by which a format is told


class Requests(NamedTuple):
    """Some block requests in a row, int64 each; `device` are indices of ``Reading.devices``."""

    offset_bytes: Int64s
    length_bytes: Int64s
    device: Int64s | None = None
    submit_ns: Int64s | None = None
    complete_ns: Int64s | None = None


class Accesses(NamedTuple):
    """Some events in a row, as of `pfnlab.Trace`."""

    pfns: Int64s
    ops: npt.NDArray[np.uint8] | None = None
    atomic: Flags | None = None
    cpus: Int64s | None = None
    time_ns: Int64s | None = None


@dataclass(slots=True)
class Reading:
    """One file while it is read: its path, its devices, and counts of what was left out.

    Attributes
    ----------
    path, skip_bad
        The file, and how many bad lines or records are skipped.
    page_bytes
        Size of the pages that addresses are cut into.
    devices
        Names of devices in the order they came.
    counts
        What was left out and how often, for the provenance.
    on_bytes
        Told of bytes read, for progress.
    io_depth
        Set by a reader whose requests complete in a known order, instead of the one asked for.
    stamp
        Size and times that the file must keep, if they are known.
    """

    path: Path
    skip_bad: int = 0
    page_bytes: int = 4096
    devices: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    options: dict[str, Any] = field(default_factory=dict)
    on_bytes: Callable[[int], None] = lambda n: None
    io_depth: int | None = None
    stamp: Stamp | None = None

    def bad(self, where: str, what: str) -> None:
        """Count a bad line or record and skip it, or refuse it.

        Raises
        ------
        TraceError
            If there are more than `skip_bad`.
        """
        self.counts["bad, skipped"] += 1
        n_bad = self.counts["bad, skipped"]
        if n_bad > self.skip_bad:
            borne = f" ({n_bad} are bad, skip_bad={self.skip_bad})" if self.skip_bad else ""
            raise TraceError(f"{self.path}: {where}: {what}{borne}")

    def device_of(self, name: str) -> int:
        """Return the index of a device, by its name."""
        return self.devices.setdefault(name, len(self.devices))

    def blocks(self, n_bytes: int = BLOCK_BYTES) -> Iterator[tuple[int, bytes]]:
        """Yield the file's bytes, decompressed, and how many came before.

        Raises
        ------
        TraceError
            If the file is changed meanwhile: what was found when it was read first does not hold.
        """
        with opened(self.path) as file:
            at = 0
            while True:
                block = read_block(self.path, file, at, n_bytes)
                if self.stamp is not None and stamp_of(self.path) != self.stamp:
                    raise TraceError(f"{self.path}: was changed while it was read, read it again")
                if not block:
                    break
                yield at, block
                self.on_bytes(len(block))
                at += len(block)


#: Beyond any device: addresses that are no mistake lie below; lengths as well, of 32 bits in Linux.
_MOST_OFFSET, _MOST_LENGTH = 1 << 56, 1 << 32
_MOST_DEVICES, _MOST_NS = 1 << 18, 1 << 62


def times(values: Int64s, unit: int) -> Int64s:
    """Multiply by a unit; what would overflow becomes -1, which `requests` refuses."""
    return np.where((values < 0) | (values > np.iinfo(np.int64).max // unit), -1, values * unit)


def requests(
    reading: Reading,
    what: str,
    numbers: Int64s,
    offset_bytes: Int64s,
    length_bytes: Int64s,
    device: Int64s | None = None,
    submit_ns: Int64s | None = None,
    complete_ns: Int64s | None = None,
) -> Requests:
    """Return requests, without those that can't be; `numbers` are those of their lines or records.

    Raises
    ------
    TraceError
        For an offset of 64 PiB and more, a length of 4 GiB and more, or a time below 0, if more are
        bad than may be; for 2**18 devices and more.
    """
    columns = Requests(offset_bytes, length_bytes, device, submit_ns, complete_ns)
    bounds = (_MOST_OFFSET, _MOST_LENGTH, _MOST_DEVICES, _MOST_NS, _MOST_NS)
    good = np.ones(len(numbers), np.bool_)
    for name, column, most in zip(Requests._fields, columns, bounds, strict=True):
        if column is None:
            continue
        wrong = (column < 0) | (column >= most)
        for row in np.flatnonzero(wrong & good):
            reading.bad(f"{what} {numbers[row]}", f"{name} must be between 0 and {most - 1}")
        good &= ~wrong
    kept: Any = (None if column is None else column[good] for column in columns)
    return Requests(*kept)


def check_skip_bad(skip_bad: object) -> int:
    """Refuse what is no number of bad lines."""
    if isinstance(skip_bad, bool) or not isinstance(skip_bad, int) or skip_bad < 0:
        raise ParameterError("skip_bad", skip_bad, "must be a number of bad lines")
    return skip_bad


class Matched(NamedTuple):
    """Lines that fit a pattern, in the order of the file."""

    kinds: Int64s  # which pattern
    numbers: Int64s  # (lines, columns)
    line_numbers: Int64s  # from 1 on
    block: npt.NDArray[np.uint8]  # which words point into

    def some(self, rows: Flags) -> Matched:
        """Keep some lines."""
        if rows.all():
            return self
        return Matched(self.kinds[rows], self.numbers[rows], self.line_numbers[rows], self.block)


def matched_lines(
    reading: Reading, patterns: Patterns, *, header: bool = False
) -> Iterator[Matched]:
    """Yield the lines that fit a pattern; blank lines and comments are passed over.

    With `header` a first line that fits none is one.

    Raises
    ------
    TraceError
        For a line that fits none, with its number, its byte and what was expected there, if more
        are bad than `Reading.skip_bad`.
    """
    lines = _lines(patterns)
    found = np.zeros(1, np.int64)
    line = 1
    for at, data in _whole_lines(reading):
        block, start = np.frombuffer(data, np.uint8), 0
        while start < len(block):
            start = scan.scan(block, start, len(block), patterns.program, lines, found)
            n = int(found[0])
            kinds = lines.kinds[:n]
            for bad in np.flatnonzero(kinds == scan.BAD):
                if header and line + bad == 1:
                    continue
                where = int(lines.begins[bad])
                reading.bad(
                    *_explained(patterns, lines, int(bad), line + int(bad), at, data, where)
                )
            fits = kinds >= 0
            if fits.any():
                numbers = np.arange(line, line + n)[fits]
                yield Matched(kinds[fits], lines.numbers[:n][fits], numbers, block)
            line += n


def fits(patterns: Patterns, head: bytes) -> bool:
    """Return whether the first line and most of the whole lines of a head fit a pattern."""
    kinds = _kinds(patterns, head)
    return bool(len(kinds) and kinds[0] >= 0 and (kinds >= 0).mean() > _MOST_FIT)


def n_fitting(patterns: Patterns, head: bytes) -> int:
    """Return how many of the whole lines of a head fit a pattern."""
    return int((_kinds(patterns, head) >= 0).sum())


def _kinds(patterns: Patterns, head: bytes) -> Int64s:
    data = head if head.endswith(b"\n") else head[: head.rfind(b"\n") + 1] or head + b"\n"
    block, found = np.frombuffer(data, np.uint8), np.zeros(1, np.int64)
    lines = _lines(patterns)
    scan.scan(block, 0, len(block), patterns.program, lines, found)
    kinds: Int64s = lines.kinds[: found[0]]
    told: Int64s = kinds[kinds != scan.BLANK]
    return told


def _lines(patterns: Patterns) -> scan.Lines:
    return scan.Lines(
        kinds=np.zeros(_MOST_LINES, np.int64),
        begins=np.zeros(_MOST_LINES, np.int64),
        numbers=np.zeros((_MOST_LINES, patterns.n_columns), np.int64),
        failed=np.zeros(_MOST_LINES, np.int64),
        failed_at=np.zeros(_MOST_LINES, np.int64),
    )


def _whole_lines(reading: Reading) -> Iterator[tuple[int, bytes]]:
    """Yield blocks that end with a line, the last one's missing end added."""
    left, begin = b"", 0
    for at, block in reading.blocks():
        data = left + block
        end = data.rfind(b"\n") + 1
        if end == 0 and len(data) > BLOCK_BYTES:
            raise TraceError(
                f"{reading.path}: byte {begin}: a line must end within {BLOCK_BYTES} bytes"
            )
        if end:
            yield begin, data[:end]
        left, begin = data[end:], at + len(block) - (len(data) - end)
    if left:
        yield begin, left + b"\n"


def _explained(
    patterns: Patterns, lines: scan.Lines, bad: int, number: int, at: int, data: bytes, where: int
) -> tuple[str, str]:
    """Say where a line is bad, what was expected there and what stands there."""
    stopped = int(lines.failed_at[bad])
    end = data.find(b"\n", stopped)
    shown = data[stopped:end][:_SHOWN_BYTES].decode("ascii", "backslashreplace")
    wanted = patterns.wanted[int(lines.failed[bad])]
    there = repr(shown) if shown else "the end of the line"
    return f"line {number}, byte {at + stopped} (column {stopped - where + 1})", (
        f"must have {wanted} there, it has {there}"
    )


def device_words(
    reading: Reading, matched: Matched, column: int, number: int | None = None
) -> Int64s:
    """Return the device indices of a column of words, int64.

    With `number`, a column, a device is a word and a number: ``host 1``.
    """
    numbers = matched.numbers
    keys = numbers[:, column] if number is None else numbers[:, [column, number]]
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    indices = np.zeros(len(first), np.int64)
    for i in np.argsort(first):  # devices are numbered as they come
        line = numbers[first[i]]
        begin, length = line[column + 1], line[column + 2]
        text = matched.block[begin : begin + length].tobytes().decode("utf-8", "replace")
        name = text if number is None else f"{text} {line[number]}"
        indices[i] = reading.device_of(name)
    return indices[inverse.ravel()]


def texts(matched: Matched, column: int) -> tuple[list[str], Int64s]:
    """Return the different words of a column, and which of them each line has."""
    numbers = matched.numbers
    _, first, inverse = np.unique(numbers[:, column], return_index=True, return_inverse=True)
    found = []
    for begin, length in numbers[first][:, [column + 1, column + 2]]:
        found.append(matched.block[begin : begin + length].tobytes().decode("utf-8", "replace"))
    return found, inverse.ravel()


def pass_over(
    reading: Reading, matched: Matched, what: str, column: int, ours: Collection[str]
) -> None:
    """Count lines of other things; those of our own fit none of their patterns, and so are bad."""
    names, which = texts(matched, column)
    mine = np.array([name in ours for name in names], np.bool_)[which] if names else which > 0
    for row in np.flatnonzero(mine):
        where = f"line {matched.line_numbers[row]}"
        reading.bad(where, f"must be {names[which[row]]} as it is known, with all its fields")
    reading.counts[what] += int((~mine).sum())


def device_numbers(reading: Reading, numbers: Int64s, named: Callable[[int], str] = str) -> Int64s:
    """Return the device indices of devices that have numbers, int64."""
    values, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    indices = np.zeros(len(values), np.int64)
    for i in np.argsort(first):
        indices[i] = reading.device_of(named(int(values[i])))
    return indices[inverse]


def records(reading: Reading, dtype: np.dtype[Any]) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Yield binary records and the number of the first.

    Raises
    ------
    TraceError
        If the file ends within a record, with its byte.
    """
    size = dtype.itemsize
    for at, block in reading.blocks(BLOCK_BYTES // size * size):
        n = len(block) // size
        if n:
            yield at // size, np.frombuffer(block, dtype, n)
        if len(block) % size:
            where = f"byte {at + n * size}"
            reading.bad(
                where, f"must be a whole record of {size} bytes, {len(block) % size} are left"
            )
