"""Sweep frames: what they must have, and how they are kept."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pfnlab.errors import FrameError
from pfnlab.files import whole_file
from pfnlab.params import PARAMETERS

METADATA_KEY = b"pfnlab.frame"
VERSIONS_OF = ("numba", "numpy", "pandas", "pfnlab", "pyarrow")


def require(frame: pd.DataFrame, columns: Iterable[str]) -> None:
    """Refuse a frame that lacks one of `columns`, or has no rows."""
    missing = [name for name in columns if name not in frame]
    if missing or not len(frame):
        lack = f"columns {', '.join(missing)}" if missing else "rows"
        raise FrameError(f"frame: has no {lack}; it must come from a sweep that gives them")


def write_frame(frame: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write a sweep's frame as Parquet, whole or not at all.

    The metadata hold the values that each parameter took, and the versions that made it.
    """
    versions = {name: version(name) for name in VERSIONS_OF}
    values = {name: frame[name].unique().tolist() for name in PARAMETERS if name in frame}
    about = {"python": platform.python_version(), **versions, "parameters": values}
    table = pa.Table.from_pandas(frame, preserve_index=False)
    metadata = {**(table.schema.metadata or {}), METADATA_KEY: json.dumps(about).encode()}
    with whole_file(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="zstd")
    return Path(path)
