"""Files to traces: `load` finds out which format a file has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, overload

from pfnlab.errors import TraceError
from pfnlab.native import load_native
from pfnlab.streamed import StreamedTrace
from pfnlab.trace import Trace

PARQUET_MAGIC = b"PAR1"


@overload
def load(path: str | os.PathLike[str], *, stream: Literal[False]) -> Trace: ...
@overload
def load(path: str | os.PathLike[str], *, stream: Literal[True]) -> StreamedTrace: ...
@overload
def load(path: str | os.PathLike[str], *, stream: bool | None = None) -> Trace | StreamedTrace: ...
def load(path: str | os.PathLike[str], *, stream: bool | None = None) -> Trace | StreamedTrace:
    """Read a trace in any known format: native Parquet, or a folder of ``.npy`` columns.

    Parameters
    ----------
    path
        The file or folder.
    stream
        True leaves the events in their file, to be read and checked while they are replayed, in
        a few MiB of memory; False reads them all now. None streams a trace that would take
        more than a quarter of the available memory.

    Raises
    ------
    TraceError
        If there is no such file, or it is truncated, foreign or of an unknown format.
    """
    source = Path(path)
    try:
        if source.is_dir():
            return load_native(source, stream)
        with source.open("rb") as file:
            head = file.read(len(PARQUET_MAGIC))
    except OSError as error:
        raise TraceError(f"{source}: can't be read ({error.strerror})") from error
    if head != PARQUET_MAGIC:
        raise TraceError(f"{source}: must be a native Parquet trace or a folder of .npy columns")
    return load_native(source, stream)
