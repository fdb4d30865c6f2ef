"""Sweep frames: required columns, files, and text for people."""

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
from pfnlab.params.units import short_bytes, short_ns

METADATA_KEY = b"pfnlab.frame"
#: Key of `DataFrame.attrs` that holds the request and the digests of the traces, as JSON.
ATTRIBUTE = "pfnlab"
VERSIONS_OF = ("numba", "numpy", "pandas", "pfnlab", "pyarrow")


def require(frame: pd.DataFrame, columns: Iterable[str]) -> None:
    """Refuse a frame that lacks one of `columns`, or has no rows."""
    missing = [name for name in columns if name not in frame]
    if missing or not len(frame):
        lack = f"columns {', '.join(missing)}" if missing else "rows"
        raise FrameError(f"frame: has no {lack}; it must come from a sweep that gives them")


def write_frame(frame: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write a sweep's frame as Parquet, whole or not at all.

    The metadata hold the values that each parameter took, the versions that made it, and the
    request if the frame has one (`pfnlab.notebooks.sweep_request`).
    """
    versions = {name: version(name) for name in VERSIONS_OF}
    values = {name: frame[name].unique().tolist() for name in PARAMETERS if name in frame}
    about = {"python": platform.python_version(), **versions, "parameters": values}
    about |= json.loads(frame.attrs.get(ATTRIBUTE, "{}"))
    table = pa.Table.from_pandas(frame, preserve_index=False)
    metadata = {**(table.schema.metadata or {}), METADATA_KEY: json.dumps(about).encode()}
    with whole_file(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="zstd")
    return Path(path)


def about_frame(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the metadata of a written frame.

    Raises
    ------
    FrameError
        If there is no such file, or `write_frame` did not write it.
    """
    if not Path(path).is_file():
        raise FrameError(f"{path}: can't be read as a frame (there is no such file)")
    try:
        metadata = pq.read_schema(path).metadata or {}
        about = json.loads(metadata.get(METADATA_KEY) or _from_attributes(metadata))
    except (OSError, pa.ArrowException) as error:
        raise FrameError(f"{path}: can't be read as a frame (it is no Parquet)") from error
    except (KeyError, ValueError):
        about = None
    if not isinstance(about, dict):
        raise FrameError(f"{path}: must be a frame that pfnlab wrote")
    return about


def _from_attributes(metadata: dict[bytes, bytes]) -> str:
    """Return what `DataFrame.to_parquet` kept of `DataFrame.attrs`."""
    said: str = json.loads(metadata[b"PANDAS_ATTRS"])[ATTRIBUTE]
    return said


def read_frame(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Return a written frame.

    Raises
    ------
    FrameError
        As `about_frame`, or if the file is damaged.
    """
    about_frame(path)
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise FrameError(f"{path}: can't be read as a frame (it is damaged)") from error


def read_rows(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Return any table of rows, from Parquet or, for measurements, from CSV.

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
    except (OSError, ValueError, pa.ArrowException) as error:
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise FrameError(f"{file}: holds no table of rows ({why})") from error


def about_rows(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the metadata as `about_frame` does; an empty dict for a file without any."""
    try:
        return about_frame(path)
    except FrameError:
        return {}


def differing(one: pd.DataFrame, other: pd.DataFrame) -> list[str]:
    """Return the columns that differ in any bit between two frames of equal length."""
    names = list(dict.fromkeys([*one, *other]))
    return [n for n in names if n not in one or n not in other or not _same(one[n], other[n])]


def _same(one: pd.Series[Any], other: pd.Series[Any]) -> bool:
    if one.dtype != other.dtype:
        return False
    if one.dtype.kind == "f":
        return one.to_numpy().tobytes() == other.to_numpy().tobytes()
    return one.equals(other)


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame as text for people: ``16 GiB``, ``2.79 s``, ``4.20%``, ``1,024``.

    Columns keep their names. NA is written as empty text; rows have no index.
    """
    text = {name: frame[name].map(writer(str(name))) for name in frame}
    return pd.DataFrame(text).set_axis([""] * len(frame))


def writer(name: str) -> Callable[[object], str]:
    """Return a function that writes values of the column `name` for people."""
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
