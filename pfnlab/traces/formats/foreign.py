"""A foreign file to events: read in blocks, its requests completed, its devices placed."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from shutil import rmtree
from typing import Any
from uuid import uuid4

import numpy as np

from pfnlab.errors import FileError, TraceError
from pfnlab.params import PARAMETERS
from pfnlab.params.memory import available_bytes
from pfnlab.traces.columns import Column
from pfnlab.traces.formats import Format
from pfnlab.traces.formats.completions import Timed, by_depth, check_io_depth
from pfnlab.traces.formats.compressed import stamp_of
from pfnlab.traces.formats.devices import Devices, Places, only
from pfnlab.traces.formats.known import format_named, format_of
from pfnlab.traces.formats.reading import Accesses, Reading, Requests, check_skip_bad
from pfnlab.traces.native import STORED, save
from pfnlab.traces.native.file_stamp import Stamp
from pfnlab.traces.native.npy_folder import NpyFolder, NpyWriter
from pfnlab.traces.streamed import StreamedTrace
from pfnlab.traces.trace import Trace

#: Largest share of the available memory that `load` fills.
_SHARE = 0.5
_MOST_CPUS = 1 << 16
_DTYPES = {"ops": np.uint8, "atomic": np.bool_, "cpus": np.uint16, "time_ns": np.int64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a foreign file is read.

    Attributes
    ----------
    format
        Name of its format; None tells it by the content.
    io_depth
        A request without a completion time completes once so many later ones were submitted.
    devices
        ``"apart"``: each device after the other, in whole areas of 128 MiB; ``"packed"``: the
        touched areas one after another; or the name of the one that is wanted.
    skip_bad
        Bad lines or records that are skipped and counted, at most.
    page_bytes
        Size of the pages into which addresses are cut.
    columns
        For text without a header: what its columns are.
    """

    format: str | None = None
    io_depth: int = 32
    devices: Devices = "apart"
    skip_bad: int = 0
    page_bytes: int | str = 4096
    columns: Sequence[str] | None = None

    def __post_init__(self) -> None:
        check_io_depth(self.io_depth)
        check_skip_bad(self.skip_bad)
        PARAMETERS["page_bytes"].parse(self.page_bytes)
        if self.format is not None:
            format_named(self.format)


@dataclass(slots=True)
class Foreign:
    """A foreign file and its events; what is known of them once they were read.

    `on_bytes` is told of bytes read; `command`, what was typed, goes into the provenance.
    """

    path: Path
    options: Options
    on_bytes: Callable[[int], None] = lambda n: None
    command: str = ""
    known: Format = field(init=False)
    stamp: Stamp = field(init=False)
    provenance: dict[str, str] = field(default_factory=dict, init=False)
    counts: Counter[str] = field(default_factory=Counter, init=False)

    def __post_init__(self) -> None:
        self.stamp = stamp_of(self.path)
        named = self.options.format
        self.known = format_of(self.path) if named is None else format_named(named)

    @property
    def page_bytes(self) -> int:
        """Size of the pages, in bytes."""
        return int(PARAMETERS["page_bytes"].parse(self.options.page_bytes))

    def events(self) -> Iterator[Accesses]:
        """Yield all events; the provenance is known afterwards.

        Raises
        ------
        TraceError
            For what is bad, or a file without any event.
        """
        reading, places = self._reading(), self._places()
        batches = self._batches(reading)
        late, n_events = 0, 0
        first = next(batches, None)
        every = batches if first is None else chain([first], batches)
        if isinstance(first, Requests):
            timed = Timed(self.page_bytes)
            by_time = first.complete_ns is not None
            depth = self._io_depth(reading)
            found = timed.events(every) if by_time else by_depth(every, depth, self.page_bytes)  # type: ignore[arg-type]
        else:
            found, timed = every, None  # type: ignore[assignment]
        for accesses in found:
            if len(accesses.pfns):
                self._check_cpus(accesses)
                n_events += len(accesses.pfns)
                yield places.move(accesses) if places is not None else accesses
        late = timed.n_late if timed is not None else 0
        if not n_events:
            counted = ", ".join(f"{what}: {n:,}" for what, n in reading.counts.items())
            raise TraceError(
                f"{self.path}: has no event, must have one ({counted or 'no records'})"
            )
        self._describe(reading, places, late)

    def _check_cpus(self, accesses: Accesses) -> None:
        """Refuse a CPU that a trace has no room for."""
        cpu = 0 if accesses.cpus is None else int(accesses.cpus.max())
        if cpu >= _MOST_CPUS:
            raise TraceError(f"{self.path}: cpu={cpu}: must be below {_MOST_CPUS}")

    def _io_depth(self, reading: Reading) -> int:
        return self.options.io_depth if reading.io_depth is None else reading.io_depth

    def _reading(self, on_bytes: Callable[[int], None] | None = None) -> Reading:
        return Reading(
            path=self.path,
            skip_bad=self.options.skip_bad,
            page_bytes=self.page_bytes,
            options={"columns": self.options.columns},
            on_bytes=on_bytes or self.on_bytes,
            stamp=self.stamp,
        )

    def _batches(self, reading: Reading) -> Iterator[Requests | Accesses]:
        """Yield what the file holds, of the devices that are wanted."""
        batches = self.known.read(reading)
        if self.options.devices in ("apart", "packed"):
            return batches
        return only(reading, batches, self.options.devices)

    def _places(self) -> Places | None:
        """Look through the file for the areas that its devices touch; None if it names none."""
        reading = self._reading(lambda n: None)
        batches = self._batches(reading)
        first = next(batches, None)
        if not isinstance(first, Requests):
            return None
        if first.device is None and self.options.devices != "packed":
            return None
        every: Any = chain([first], batches)
        return Places.of(every, self.options.devices, self.page_bytes)

    def _describe(self, reading: Reading, places: Places | None, n_late: int) -> None:
        about = {
            "origin": f"{self.known.summary}: {self.path.name}",
            "format": self.known.name,
            "source_sha256": _sha256(self.path),
            "command": self.command,
        }
        if self.known.evidence == "proxy":
            about["notes"] = f"page = address // {self.page_bytes}, as a pfn under DAX"
        if reading.devices:
            about["devices"] = self.options.devices
            if places is not None:
                about["placed"] = places.starts(reading.devices)
        if n_late:
            reading.counts["requests submitted late"] = n_late
        about["io_depth"] = str(self._io_depth(reading))
        about["counts"] = "; ".join(
            f"{what}: {n:,}" for what, n in sorted(reading.counts.items()) if n
        )
        self.counts = reading.counts
        self.provenance = {name: text for name, text in about.items() if text}

    def about(self) -> dict[str, Any]:
        """Return what `Trace` wants to know beside the columns."""
        return {
            "name": _name_of(self.path),
            "page_bytes": self.page_bytes,
            "evidence": self.known.evidence,
            "provenance": self.provenance,
        }

    def trace(self) -> Trace:
        """Read all events into memory.

        Raises
        ------
        TraceError
            If they don't fit: they can be converted and streamed.
        """
        parts: list[Accesses] = []
        left = available_bytes() * _SHARE
        for accesses in self.events():
            parts.append(accesses)
            left -= sum(column.nbytes for column in accesses if column is not None)
            if left < 0:
                raise TraceError(
                    f"{self.path}: its events must fit in half of the available memory; "
                    f"'pfnlab trace convert {self.path.name} OUT.parquet' makes a file that streams"
                )
        columns: Any = zip(*parts, strict=True)
        joined = (None if some[0] is None else np.concatenate(some) for some in columns)
        named: dict[str, Any] = dict(zip(Accesses._fields, joined, strict=True))
        return Trace(**named, **self.about())

    @contextmanager
    def spooled(self, beside: Path) -> Iterator[StreamedTrace]:
        """Write all events to a temporary folder, in bounded memory, and stream them from there."""
        folder = beside / f".pfnlab-{uuid4().hex}"
        try:  # made inside, for Ctrl-C may come right after
            try:
                folder.mkdir(0o700, parents=True)
            except OSError as error:
                raise FileError(f"{beside}: can't be written ({error.strerror})") from error
            self._spool(folder)
            yield StreamedTrace(source=NpyFolder(folder, STORED), **self.about())
        finally:
            rmtree(folder, ignore_errors=True)

    def _spool(self, folder: Path) -> None:
        events = self.events()
        first = next(events)
        present = [name for name, column in first._asdict().items() if column is not None]
        dtypes = {name: np.dtype(_DTYPES.get(name, np.int64)) for name in present}
        try:
            with NpyWriter(folder, {STORED[name]: dtypes[name] for name in present}) as writer:
                for accesses in chain([first], events):
                    columns: dict[str, Column] = accesses._asdict()
                    writer.write({STORED[n]: columns[n].astype(dtypes[n]) for n in present})
        except OSError as error:
            if isinstance(error, TraceError):
                raise
            raise FileError(f"{folder.parent}: can't be written ({error.strerror})") from error


def convert(foreign: Foreign, target: Path) -> None:
    """Write a foreign file as a native trace, in bounded memory.

    Raises
    ------
    TraceError
        For what is bad in the file, or a target of another suffix.
    FileError
        If the disk is full or the folder read-only, or a folder of that name is there; nothing is
        left under the final name.
    """
    if target.suffix not in ("", ".parquet"):
        raise TraceError(f"{target}: suffix must be .parquet, or none for a folder of .npy columns")
    if target.is_dir() or (target.exists() and not target.suffix):
        raise FileError(f"{target}: can't be written, it must not exist yet")
    with foreign.spooled(target.parent) as trace:
        save(trace, target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _name_of(path: Path) -> str:
    """Return the file's name without what says how it is written."""
    name = path.name
    for suffix in (".gz", ".zst", ".xz"):
        name = name.removesuffix(suffix)
    return name.rpartition(".")[0] or name
