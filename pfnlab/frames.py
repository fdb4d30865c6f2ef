"""Sweep frames: what they must have, how they are kept, and how a person reads them."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pfnlab.errors import FrameError
from pfnlab.files import whole_file
from pfnlab.params import PARAMETERS
from pfnlab.units import short_bytes, short_ns

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


def read_frame(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a frame of rows from Parquet or, for measurements, from CSV.

    Raises
    ------
    FrameError
        If there is no such file, or it holds no table.
    """
    file = Path(path)
    if not file.is_file():
        raise FrameError(f"{file}: can't be read (no such file)")
    try:
        return pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)
    except OSError as error:
        raise FrameError(f"{file}: can't be read ({error.strerror or error})") from error
    except (ValueError, UnicodeError) as error:
        raise FrameError(f"{file}: holds no table of rows ({_first_line(error)})") from error


def about_frame(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what the metadata of a Parquet file say of its frame; nothing if they are silent."""
    try:
        metadata = pq.read_schema(Path(path)).metadata or {}
        about = json.loads(metadata.get(METADATA_KEY, b"{}"))
    except (OSError, ValueError) as error:
        raise FrameError(f"{path}: has no readable metadata ({_first_line(error)})") from error
    return about if isinstance(about, dict) else {}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame as text for people: ``16 GiB``, ``2.79 s``, ``4.20%``, ``1,024``.

    Columns keep their names. What is NA is empty, and rows have no numbers of their own.
    """
    text = {name: frame[name].map(_writer(str(name))) for name in frame}
    return pd.DataFrame(text).set_axis([""] * len(frame))


def _writer(name: str) -> Callable[[object], str]:
    """Return what writes the values of a column."""
    number = _WRITTEN.get(name.rpartition("_")[2], _number)

    def write(value: object) -> str:
        if isinstance(value, str):
            return value
        return "" if pd.isna(value) else number(float(value))  # type: ignore[call-overload,arg-type]

    return write


def _number(value: float) -> str:
    if math.isinf(value):
        return str(value)
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"


def _percent(value: float) -> str:
    return f"{value:.2%}"


_WRITTEN = {"bytes": short_bytes, "ns": short_ns, "share": _percent, "ratio": _percent}
