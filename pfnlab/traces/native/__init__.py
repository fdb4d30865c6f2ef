"""Native trace files: Parquet, and a folder of ``.npy`` columns; both are read in pieces."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from pfnlab.errors import TraceError
from pfnlab.files import whole_file, whole_folder
from pfnlab.params.memory import available_bytes, check_fits
from pfnlab.traces.columns import Column
from pfnlab.traces.native.npy_folder import NpyFolder, NpyWriter
from pfnlab.traces.native.parquet import ParquetColumns, ParquetWriter
from pfnlab.traces.streamed import BLOCK_EVENTS, ColumnSource, StreamedTrace
from pfnlab.traces.trace import Trace

#: Column names on disk (DESIGN 4) by the arguments of `Trace` that they fill.
STORED = {"pfns": "pfn", "ops": "op", "atomic": "atomic", "cpus": "cpu", "time_ns": "time_ns"}
METADATA_KEY = b"pfnlab.trace"
ABOUT = "trace.json"
FACTS = ("name", "page_bytes", "evidence", "provenance", "n_events")
#: Events of a row group.
BATCH_EVENTS = 1 << 20
#: A trace that would take a larger share of the available memory than this is streamed.
STREAM_SHARE = 0.25


#: The files that traces in memory were read from, as they were named.
_files: WeakKeyDictionary[Trace, str] = WeakKeyDictionary()


def remember(trace: Trace, path: Path) -> Trace:
    """Note the file that a trace is the content of."""
    _files[trace] = str(path)
    return trace


def file_of(trace: Trace) -> str | None:
    """Return the file that a trace was read from, None if it was made in memory."""
    return _files.get(trace)


def save(trace: Trace | StreamedTrace, path: str | os.PathLike[str]) -> Path:
    """Write a trace: ``NAME.parquet`` gives one Parquet file, a name without suffix a folder.

    A streamed trace is copied in pieces (and read once more for its sha256), so that either
    format of a trace larger than memory can be made from the other.

    Raises
    ------
    TraceError
        For another suffix; for a streamed trace whose file is not what it must be.
    FileError
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


def load_native(path: Path, stream: bool | None = None) -> Trace | StreamedTrace:
    """Read a trace that `save` wrote, or stream it; None streams what is large for the memory."""
    source, about, sha256 = _opened(path)
    n_events = about.pop("n_events")
    if source.n_events != n_events:
        raise TraceError(f"{path}: has {source.n_events} pfns, its metadata promises {n_events}")
    size_bytes = source.n_events * sum(dtype.itemsize for dtype in source.dtypes.values())
    if stream is None:
        stream = size_bytes > STREAM_SHARE * available_bytes()
    columns: dict[str, Any] = {}
    if not stream:
        check_fits(size_bytes, "stream", False, "a trace that is not streamed")
        columns = _whole(source)
    try:
        if stream:
            return StreamedTrace(source=source, sha256=sha256, **about)
        trace = Trace(**columns, **about)
    except (ValueError, TypeError) as error:
        raise TraceError(f"{path}: {error}") from error
    # A flipped bit can be valid Parquet; in a folder it can't hide, and hashing costs a replay.
    if path.is_file() and sha256 is not None and trace.digest() != sha256:
        raise TraceError(f"{path}: its events are not those that were saved (sha256 differs)")
    return remember(trace, path)


def mapped(path: Path) -> Trace:
    """Map the columns of a folder that `save` wrote: processes that map it share the memory.

    Nothing protects a map from a file that shrinks under it, so this is for folders of our own.
    """
    source, about, _ = _opened(path)
    if not isinstance(source, NpyFolder):
        raise TraceError(f"{path}: must be a folder of .npy columns to be mapped")
    about.pop("n_events")
    columns: dict[str, Any] = source.mapped()
    return Trace(**columns, **about)


def _opened(path: Path) -> tuple[ColumnSource, dict[str, Any], str | None]:
    if path.is_dir():
        file = path / ABOUT
        facts = _parse_about(path, file.read_bytes() if file.is_file() else None)
        return NpyFolder(path, STORED), *facts
    columns = ParquetColumns(path, STORED)
    facts = _parse_about(path, columns.metadata.get(METADATA_KEY))
    if "pfns" not in columns.dtypes:
        raise TraceError(f"{path}: must have a column of pfns, {STORED['pfns']}")
    return columns, *facts


def _whole(source: ColumnSource) -> dict[str, Column]:
    """Read all columns into memory."""
    columns = {name: np.empty(source.n_events, dtype) for name, dtype in source.dtypes.items()}
    for start, block in source.blocks(list(columns), BLOCK_EVENTS):
        for name, values in block.items():
            columns[name][start : start + len(values)] = values
    return columns


def _about(trace: Trace | StreamedTrace) -> str:
    facts = {
        "name": trace.name,
        "page_bytes": trace.page_bytes,
        "evidence": trace.evidence,
        "provenance": dict(trace.provenance),
        "n_events": len(trace),
        "sha256": trace.digest(),
    }
    return json.dumps(facts, sort_keys=True, default=str)


def _dtypes(trace: Trace | StreamedTrace) -> dict[str, np.dtype[Any]]:
    """Return the dtypes to store, by the names on disk and in their order."""
    if isinstance(trace, StreamedTrace):
        dtypes = trace.dtypes
    else:
        dtypes = {name: column.dtype for name, column in trace.columns().items()}
    return {stored: dtypes[name] for name, stored in STORED.items() if name in dtypes}


def _blocks(trace: Trace | StreamedTrace) -> Iterator[dict[str, Column]]:
    """Yield the columns in pieces, by the names on disk and in their order."""
    names = [name for name, stored in STORED.items() if stored in _dtypes(trace)]
    if isinstance(trace, StreamedTrace):
        for _, block in trace.blocks(names, BATCH_EVENTS):
            yield {STORED[name]: block[name] for name in names}
        return
    columns = trace.columns()
    for start in range(0, len(trace), BATCH_EVENTS):
        yield {STORED[name]: columns[name][start : start + BATCH_EVENTS] for name in names}


def _save_parquet(trace: Trace | StreamedTrace, target: Path) -> None:
    about = _about(trace).encode()
    with (
        whole_file(target) as temporary,
        ParquetWriter(temporary, _dtypes(trace), about, METADATA_KEY) as writer,
    ):
        for columns in _blocks(trace):
            writer.write(columns)


def _save_folder(trace: Trace | StreamedTrace, target: Path) -> None:
    about = _about(trace)
    with whole_folder(target) as temporary:
        with NpyWriter(temporary, _dtypes(trace)) as writer:
            for columns in _blocks(trace):
                writer.write(columns)
        (temporary / ABOUT).write_text(about)


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
