"""Native trace files: Parquet, and a folder of ``.npy`` columns for memory-mapped replay."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pfnlab.errors import TraceError
from pfnlab.files import whole_file, whole_folder
from pfnlab.trace import Trace

#: Column names on disk (DESIGN 4) and the arguments of `Trace` that they fill.
COLUMNS = {"pfn": "pfns", "op": "ops", "atomic": "atomic", "cpu": "cpus", "time_ns": "time_ns"}
METADATA_KEY = b"pfnlab.trace"
ABOUT = "trace.json"
FACTS = ("name", "page_bytes", "evidence", "provenance", "n_events")
BATCH_EVENTS = 1 << 20
# What libraries raise for files that are cut, foreign or not there.
UNREADABLE = (OSError, ValueError, TypeError, KeyError, NotImplementedError)


def save(trace: Trace, path: str | os.PathLike[str]) -> Path:
    """Write a trace: ``NAME.parquet`` gives one Parquet file, a name without suffix a folder.

    Raises
    ------
    TraceError
        For another suffix.
    OSError
        If the disk is full or the folder read-only; nothing is left under the final name.
    """
    target = Path(path)
    if target.suffix == ".parquet":
        _save_parquet(trace, target)
    elif target.suffix == "":
        _save_folder(trace, target)
    else:
        raise TraceError(f"{target}: suffix must be .parquet, or none for a folder of .npy columns")
    return target


def load_native(path: Path) -> Trace:
    """Read a trace that `save` wrote; the columns of a folder stay memory-mapped."""
    return _load_folder(path) if path.is_dir() else _load_parquet(path)


def _about(trace: Trace) -> str:
    facts = {
        "name": trace.name,
        "page_bytes": trace.page_bytes,
        "evidence": trace.evidence,
        "provenance": dict(trace.provenance),
        "n_events": len(trace),
        "sha256": trace.digest(),
    }
    return json.dumps(facts, sort_keys=True, default=str)


def _columns(trace: Trace) -> dict[str, Any]:
    present = trace.columns()
    return {disk: present[name] for disk, name in COLUMNS.items() if name in present}


def _save_parquet(trace: Trace, target: Path) -> None:
    columns = _columns(trace)
    schema = pa.schema(
        [(name, pa.from_numpy_dtype(column.dtype)) for name, column in columns.items()],
        metadata={METADATA_KEY: _about(trace).encode()},
    )
    splits = {name: "BYTE_STREAM_SPLIT" for name in columns if name in ("pfn", "time_ns")}
    with (
        whole_file(target) as temporary,
        pq.ParquetWriter(
            temporary,
            schema,
            compression="zstd",
            compression_level=9,
            use_dictionary=[name for name in columns if name not in splits],
            column_encoding=splits,
        ) as writer,
    ):
        for start in range(0, len(trace), BATCH_EVENTS):
            piece = [pa.array(c[start : start + BATCH_EVENTS]) for c in columns.values()]
            writer.write_batch(pa.record_batch(piece, schema=schema))


def _save_folder(trace: Trace, target: Path) -> None:
    with whole_folder(target) as temporary:
        for name, column in _columns(trace).items():
            np.save(temporary / f"{name}.npy", column, allow_pickle=False)
        (temporary / ABOUT).write_text(_about(trace))


def _load_parquet(path: Path) -> Trace:
    try:
        with pq.ParquetFile(path) as file:
            about, sha256 = _parse_about(path, (file.schema_arrow.metadata or {}).get(METADATA_KEY))
            names = [name for name in COLUMNS if name in file.schema_arrow.names]
            columns = {name: _empty(file, name) for name in names}
            start = 0
            for batch in file.iter_batches(BATCH_EVENTS, columns=names):
                for name in names:
                    if batch.column(name).null_count:
                        raise TraceError(
                            f"{path}: column {name} has a missing value, must have none"
                        )
                    values = _values(batch.column(name))
                    columns[name][start : start + len(values)] = values
                start += batch.num_rows
    except (pa.ArrowException, *UNREADABLE) as error:
        if isinstance(error, TraceError):
            raise
        raise TraceError(f"{path}: must be a whole Parquet trace ({_first_line(error)})") from error
    trace = _trace(path, about, columns)
    # A flipped bit can be valid Parquet; a folder is mapped, so it is not read whole for this.
    if sha256 is not None and trace.digest() != sha256:
        raise TraceError(f"{path}: its events are not those that were saved (sha256 differs)")
    return trace


def _values(array: pa.Array) -> Any:
    """Return the values of an Arrow array without missing ones.

    The array's own ``to_numpy`` imports pandas, which takes longer than to replay 10**6 events.
    """
    part = slice(array.offset, array.offset + len(array))
    if len(array) and pa.types.is_integer(array.type):
        return np.frombuffer(array.buffers()[1], array.type.to_pandas_dtype())[part]
    if len(array) and pa.types.is_boolean(array.type):
        bits = np.frombuffer(array.buffers()[1], np.uint8)
        return np.unpackbits(bits, count=part.stop, bitorder="little")[part].view(np.bool_)
    return array.to_numpy(zero_copy_only=False)


def _empty(file: pq.ParquetFile, name: str) -> Any:
    dtype = file.schema_arrow.field(name).type.to_pandas_dtype()
    return np.empty(file.metadata.num_rows, dtype)


def _load_folder(path: Path) -> Trace:
    text = (path / ABOUT).read_bytes() if (path / ABOUT).is_file() else None
    about, _ = _parse_about(path, text)
    columns = {}
    for name in COLUMNS:
        file = path / f"{name}.npy"
        if file.exists():
            try:
                columns[name] = np.load(file, mmap_mode="r", allow_pickle=False)
            except (EOFError, *UNREADABLE) as error:
                # An empty column can't be mapped; np.load then says so, and reads it whole.
                columns[name] = _load_small(file, error)
    return _trace(path, about, columns)


def _load_small(file: Path, error: Exception) -> Any:
    try:
        column = np.load(file, allow_pickle=False)
    except (EOFError, *UNREADABLE):
        column = None
    if column is None or column.shape != (0,):
        raise TraceError(f"{file}: must be a whole .npy column ({_first_line(error)})") from error
    return column


def _parse_about(path: Path, text: bytes | None) -> tuple[dict[str, Any], str | None]:
    if text is None:
        raise TraceError(
            f"{path}: must be a trace written by pfnlab.save; for other tables, "
            f"make a pfnlab.Trace from their columns and save it"
        )
    try:
        about = json.loads(text)
        return {key: about[key] for key in FACTS}, about.get("sha256")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TraceError(f"{path}: its trace metadata must be whole ({error!r})") from error


def _trace(path: Path, about: dict[str, Any], columns: dict[str, Any]) -> Trace:
    n_events = about.pop("n_events")
    if "pfn" not in columns or len(columns["pfn"]) != n_events:
        found = len(columns["pfn"]) if "pfn" in columns else "no"
        raise TraceError(f"{path}: has {found} pfns, its metadata promises {n_events}")
    try:
        return Trace(**{COLUMNS[name]: column for name, column in columns.items()}, **about)
    except (ValueError, TypeError) as error:
        raise TraceError(f"{path}: {error}") from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
