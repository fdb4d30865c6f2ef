"""Files to traces: `load` finds out which format a file has.

Each module of a format has its record, a `Format`, and `known` lists the modules. A reader yields
block requests or events from blocks of bytes (`reading`); text is matched by patterns (`patterns`)
that one compiled machine runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from pfnlab.errors import TraceError
from pfnlab.traces.formats.compressed import check_regular
from pfnlab.traces.native import load_native, remember
from pfnlab.traces.sources import Evidence
from pfnlab.traces.streamed import StreamedTrace
from pfnlab.traces.trace import Trace

if TYPE_CHECKING:
    from pfnlab.traces.formats.devices import Devices
    from pfnlab.traces.formats.reading import Accesses, Reading, Requests

PARQUET_MAGIC = b"PAR1"
Path_ = str | os.PathLike[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One foreign format.

    Attributes
    ----------
    name, summary
        What `load` and the command line call it, and what it is.
    looks_so
        Whether the first bytes of a file, decompressed, can be of this format.
    read
        Yields the requests, or the events, of a file.
    evidence
        What its records stand for.
    """

    name: str
    summary: str
    looks_so: Callable[[bytes], bool]
    read: Callable[[Reading], Iterator[Requests | Accesses]]
    evidence: Evidence = "proxy"


@overload
def load(path: Path_, *, stream: Literal[False], format: str | None = ..., io_depth: int = ...,
         devices: Devices = ..., skip_bad: int = ..., page_bytes: int | str = ...,
         columns: Sequence[str] | None = ...) -> Trace: ...  # fmt: skip
@overload
def load(path: Path_, *, stream: Literal[True]) -> StreamedTrace: ...
@overload
def load(path: Path_, *, stream: bool | None = None, format: str | None = ..., io_depth: int = ...,
         devices: Devices = ..., skip_bad: int = ..., page_bytes: int | str = ...,
         columns: Sequence[str] | None = ...) -> Trace | StreamedTrace: ...  # fmt: skip
def load(
    path: Path_,
    *,
    stream: bool | None = None,
    format: str | None = None,
    io_depth: int = 32,
    devices: Devices = "apart",
    skip_bad: int = 0,
    page_bytes: int | str = 4096,
    columns: Sequence[str] | None = None,
) -> Trace | StreamedTrace:
    """Read a trace in any known format.

    Parameters
    ----------
    path
        A native trace, Parquet or a folder of ``.npy`` columns, or a file of one of
        `pfnlab.traces.formats.known.formats`, compressed by gzip, zstd or xz or not.
    stream
        For native traces: True leaves the events in their file, to be read and checked while
        they are replayed, in a few MiB of memory; False reads them all now. None streams a trace
        that would take more than a quarter of the available memory.
    format, io_depth, devices, skip_bad, page_bytes, columns
        For foreign files, see `pfnlab.traces.formats.foreign.Options`.

    Raises
    ------
    TraceError
        If there is no such file, or it is truncated, damaged or of an unknown format: with the
        line, record or byte, and what was expected.
    ParameterError
        For an option that has no such value.
    """
    source = Path(path)
    if is_native(source):
        return load_native(source, stream)
    from pfnlab.traces.formats.foreign import Foreign, Options  # which bring the compiler

    options = Options(
        format=format,
        io_depth=io_depth,
        devices=devices,
        skip_bad=skip_bad,
        page_bytes=page_bytes,
        columns=columns,
    )
    if stream:
        how = "'pfnlab trace convert' makes one"
        raise TraceError(f"{source}: must be a native trace to be streamed; {how}")
    trace = Foreign(source, options).trace()
    return remember(trace, source) if options == Options() else trace


def is_native(path: Path) -> bool:
    """Whether there is a native trace.

    Raises
    ------
    TraceError
        If there is nothing that can be read.
    """
    if path.is_dir():
        return True
    check_regular(path)
    try:
        with path.open("rb") as file:
            return file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
    except OSError as error:
        raise TraceError(f"{path}: can't be read ({error.strerror})") from error
