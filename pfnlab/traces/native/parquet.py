"""One Parquet file: decoded a batch at a time in bounded memory, and written so."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pfnlab.errors import TraceError
from pfnlab.traces.columns import Column, spread_starts
from pfnlab.traces.native.file_stamp import opened, stamp_of, unchanged
from pfnlab.traces.streamed import Block

# What pyarrow raises for files that are cut or foreign.
_UNREADABLE = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, NotImplementedError)
#: Encoded bytes read at a time; without it a whole row group's column would be in memory.
READ_BYTES = 1 << 20


class ParquetColumns:
    """The columns of a file, by their names in `Trace`, and its metadata."""

    def __init__(self, path: Path, files: Mapping[str, str]) -> None:
        self.path = path
        with opened(path) as descriptor, self._parquet(descriptor) as file:
            self._stamp = stamp_of(descriptor)
            schema = file.schema_arrow
            self.metadata: dict[bytes, bytes] = schema.metadata or {}
            self.n_events: int = file.metadata.num_rows
            self._stored = {
                name: stored for name, stored in files.items() if stored in schema.names
            }
            self.dtypes = {n: _dtype(path, schema.field(s)) for n, s in self._stored.items()}
            groups = range(file.metadata.num_row_groups)
            self._group_rows = [file.metadata.row_group(group).num_rows for group in groups]

    def blocks(self, names: list[str], n_events: int, n_buffers: int = 1) -> Generator[Block]:
        """Yield columns as they are stored; see `ColumnSource`. Each batch has its own memory."""
        start = 0
        with unchanged(self.path, self._stamp) as descriptor, self._parquet(descriptor) as file:
            for columns in self._batches(file, names, n_events):
                yield start, columns
                start += len(columns[names[0]])
        if start != self.n_events:
            raise TraceError(f"{self.path}: has {start} events, it promised {self.n_events}")

    def slices(self, n_slices: int, n_events: int) -> list[Column]:
        """Return slices of the pfns, at the start of row groups that are evenly spread."""
        ends = np.cumsum(self._group_rows)
        starts = spread_starts(self.n_events, n_slices, n_events)
        groups = sorted({int(np.searchsorted(ends, start, side="right")) for start in starts})
        with unchanged(self.path, self._stamp) as descriptor, self._parquet(descriptor) as file:
            return [
                next(self._batches(file, ["pfns"], n_events, row_groups=[group]))["pfns"]
                for group in groups
            ]

    def _batches(
        self, file: Any, names: list[str], n_events: int, **which: Any
    ) -> Iterator[dict[str, Column]]:
        stored = [self._stored[name] for name in names]
        for batch in file.iter_batches(max(n_events, 1), columns=stored, **which):
            yield {name: self._values(batch, self._stored[name]) for name in names}

    def _values(self, batch: Any, stored: str) -> Column:
        column = batch.column(stored)
        if column.null_count:
            raise TraceError(f"{self.path}: column {stored} has a missing value, must have none")
        return values_of(column)

    @contextmanager
    def _parquet(self, descriptor: int) -> Iterator[Any]:
        """Read through a descriptor of ours, so that it is known which file is read."""
        try:
            # Not buffered: pyarrow asks for READ_BYTES.
            with (
                os.fdopen(descriptor, "rb", buffering=0, closefd=False) as raw,
                pq.ParquetFile(raw, buffer_size=READ_BYTES, pre_buffer=False) as file,
            ):
                yield file
        except TraceError:
            raise
        except _UNREADABLE as error:
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise TraceError(f"{self.path}: must be a whole Parquet trace ({why})") from error


def values_of(array: Any) -> Column:
    """Return the values of an Arrow array of integers or booleans, none of them missing.

    The array's own ``to_numpy`` imports pandas, which takes longer than to replay 10**6 events.
    """
    part = slice(array.offset, array.offset + len(array))
    if not pa.types.is_boolean(array.type):
        dtype = np.dtype(array.type.to_pandas_dtype())
        return np.frombuffer(array.buffers()[1], dtype)[part] if len(array) else np.empty(0, dtype)
    if not len(array):
        return np.empty(0, np.bool_)
    bits = np.frombuffer(array.buffers()[1], np.uint8)
    return np.unpackbits(bits, count=part.stop, bitorder="little")[part].view(np.bool_)


def _dtype(path: Path, field: Any) -> np.dtype[Any]:
    if not (pa.types.is_integer(field.type) or pa.types.is_boolean(field.type)):
        raise TraceError(f"{path}: column {field.name} has type {field.type}, must be integers")
    dtype: np.dtype[Any] = np.dtype(field.type.to_pandas_dtype())
    return dtype


class ParquetWriter:
    """Appends blocks, each a row group."""

    def __init__(self, path: Path, dtypes: Mapping[str, np.dtype[Any]], about: bytes, key: bytes):
        splits = {name: "BYTE_STREAM_SPLIT" for name in dtypes if name in ("pfn", "time_ns")}
        self._schema = pa.schema(
            [(name, pa.from_numpy_dtype(dtype)) for name, dtype in dtypes.items()],
            metadata={key: about},
        )
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            compression="zstd",
            compression_level=9,
            use_dictionary=[name for name in dtypes if name not in splits],
            column_encoding=splits,
        )

    def __enter__(self) -> ParquetWriter:
        return self

    def __exit__(self, *_error: object) -> None:
        self._writer.close()

    def write(self, columns: Mapping[str, Column]) -> None:
        """Append a block."""
        arrays = [pa.array(column) for column in columns.values()]
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))
