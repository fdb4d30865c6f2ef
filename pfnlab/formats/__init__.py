"""Files to traces: `load` finds out which format a file has."""

from __future__ import annotations

import os
from pathlib import Path

from pfnlab.errors import TraceError
from pfnlab.native import load_native
from pfnlab.trace import Trace

PARQUET_MAGIC = b"PAR1"


def load(path: str | os.PathLike[str]) -> Trace:
    """Read a trace in any known format: native Parquet, or a folder of ``.npy`` columns.

    Raises
    ------
    TraceError
        If there is no such file, or it is truncated, foreign or of an unknown format.
    """
    source = Path(path)
    try:
        if source.is_dir():
            return load_native(source)
        with source.open("rb") as file:
            head = file.read(len(PARQUET_MAGIC))
    except OSError as error:
        raise TraceError(f"{source}: can't be read ({error.strerror})") from error
    if head != PARQUET_MAGIC:
        raise TraceError(f"{source}: must be a native Parquet trace or a folder of .npy columns")
    return load_native(source)
