"""A folder of ``.npy`` columns: read a block at a time, and written so."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from pfnlab.errors import TraceError
from pfnlab.traces.columns import Column, spread_starts
from pfnlab.traces.native.file_stamp import Stamp, opened, read_into, stamp_of, unchanged
from pfnlab.traces.streamed import Block

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@dataclass(frozen=True, slots=True)
class NpyColumn:
    """Where the values of a ``.npy`` file are."""

    path: Path
    dtype: np.dtype[Any]
    n_events: int
    offset_bytes: int
    stamp: Stamp

    @classmethod
    def of(cls, path: Path) -> NpyColumn:
        """Read the header of a file and refuse one that is not whole."""
        with opened(path) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
            stamp = stamp_of(descriptor)
            try:
                shape, _, dtype = _HEADERS[npy.read_magic(file)](file)
            except (ValueError, EOFError, KeyError, OSError) as error:
                raise TraceError(f"{path}: must be a .npy column ({error})") from error
            offset, size_bytes = file.tell(), stamp[2]
        if len(shape) != 1 or dtype.kind not in "iub":
            raise TraceError(f"{path}: has shape {shape} of {dtype}, must be a column of integers")
        whole_bytes = offset + shape[0] * dtype.itemsize
        if size_bytes != whole_bytes:
            raise TraceError(
                f"{path}: must be a whole .npy column: "
                f"has {size_bytes} bytes, its header promises {whole_bytes}"
            )
        if dtype == np.bool_:  # a byte that is neither 0 nor 1 must be seen, and is refused
            dtype = np.dtype(np.uint8)
        return cls(path, dtype, shape[0], offset, stamp)

    def read(self, descriptor: int, buffer: Column, start: int) -> Column:
        """Read the events from `start` on into a buffer, as many as it takes or there are."""
        events = buffer[: self.n_events - start]
        at = self.offset_bytes + start * self.dtype.itemsize
        n_bytes = read_into(self.path, descriptor, events.view(np.uint8).data, at)
        if n_bytes < events.nbytes:
            event = start + n_bytes // self.dtype.itemsize
            raise TraceError(
                f"{self.path}: ends in event {event}, it had {self.n_events} when it was loaded"
            )
        return events


class NpyFolder:
    """The columns of a folder, by their names in `Trace`."""

    def __init__(self, path: Path, files: Mapping[str, str]) -> None:
        self.path = path
        found = {name: path / f"{file}.npy" for name, file in files.items()}
        self._columns = {name: NpyColumn.of(f) for name, f in found.items() if f.exists()}
        if "pfns" not in self._columns:
            raise TraceError(f"{path}: must have a column of pfns, {files['pfns']}.npy")
        self.n_events = self._columns["pfns"].n_events
        for column in self._columns.values():
            if column.n_events != self.n_events:
                requirement = f"must have as many as {files['pfns']}.npy ({self.n_events})"
                raise TraceError(f"{column.path}: has {column.n_events} events, {requirement}")
        self.dtypes = {name: column.dtype for name, column in self._columns.items()}

    def blocks(self, names: list[str], n_events: int, n_buffers: int = 1) -> Generator[Block]:
        """Yield columns as they are stored; see `ColumnSource`."""
        columns = {name: self._columns[name] for name in names}
        size = min(n_events, self.n_events)
        ring = [{n: np.empty(size, c.dtype) for n, c in columns.items()} for _ in range(n_buffers)]
        with ExitStack() as stack:
            files = {n: stack.enter_context(unchanged(c.path, c.stamp)) for n, c in columns.items()}
            for i, start in enumerate(range(0, self.n_events, n_events)):
                buffers = ring[i % n_buffers]
                yield start, {n: c.read(files[n], buffers[n], start) for n, c in columns.items()}

    def mapped(self) -> dict[str, Column]:
        """Map the columns, by their names in `Trace`."""
        return {
            name: np.memmap(c.path, c.dtype, "r", c.offset_bytes, (c.n_events,))
            for name, c in self._columns.items()
            if c.n_events
        } or {"pfns": np.empty(0, np.uint32)}

    def slices(self, n_slices: int, n_events: int) -> list[Column]:
        """Return slices of the pfns, evenly spread."""
        column = self._columns["pfns"]
        with unchanged(column.path, column.stamp) as descriptor:
            return [
                column.read(descriptor, np.empty(n_events, column.dtype), start)
                for start in spread_starts(self.n_events, n_slices, n_events)
            ]


class NpyWriter:
    """Appends blocks to the ``.npy`` files of a folder; how many events came is written last."""

    def __init__(self, folder: Path, dtypes: Mapping[str, np.dtype[Any]]) -> None:
        self._stack = ExitStack()
        self._dtypes = dtypes
        self.n_events = 0
        self._files = {
            name: self._stack.enter_context((folder / f"{name}.npy").open("wb")) for name in dtypes
        }
        self._write_headers()

    def __enter__(self) -> NpyWriter:
        return self

    def __exit__(self, *error: object) -> None:
        with self._stack:
            if error[0] is None:
                self._write_headers()

    def _write_headers(self) -> None:
        """Write headers that promise what was written; numpy leaves room for any number."""
        for name, file in self._files.items():
            about = {"descr": npy.dtype_to_descr(self._dtypes[name]), "fortran_order": False}
            file.seek(0)
            npy.write_array_header_1_0(file, about | {"shape": (self.n_events,)})

    def write(self, columns: Mapping[str, Column]) -> None:
        """Append a block."""
        for name, column in columns.items():
            self._files[name].write(np.ascontiguousarray(column).view(np.uint8).data)
        self.n_events += len(next(iter(columns.values())))
