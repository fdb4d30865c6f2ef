"""A folder that keeps every finished point: parts of rows, each whole, synced and known by name.

A part is a Parquet file named after the digest of its bytes, so that a damaged one is seen, and two
sweeps that write to one folder can only add to it. Each row bears the key of its point: the
digest of its parameters, of what its events are, and of the code that counts. A sweep takes from
all parts the rows whose keys are its own, and replays what is missing.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pfnlab.errors import FileError, ParameterError
from pfnlab.files import check_writable, named, whole_file
from pfnlab.params.policies import REGISTERED, meaning
from pfnlab.sweeps.axes import Point
from pfnlab.sweeps.code_version import code_version
from pfnlab.sweeps.rows import Row, columns_of

Keys = npt.NDArray[np.bytes_]
Found = tuple[npt.NDArray[np.intp], dict[str, npt.NDArray[Any]]]

KEY_BYTES = 16
_KEY, _GONE = "point_key", "gone"
#: What comes within this time goes into one part: a crash costs so much, and no more.
_GATHER_SECONDS = 0.1


class StoreWarning(UserWarning):
    """A part of a store is damaged or gone; its points are replayed again."""


class Store:
    """Finished points in a folder.

    Parameters
    ----------
    folder
        Made if it does not exist. Several sweeps may share it, at the same time too.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if not os.fspath(folder):
            raise ParameterError("store", folder, "must name a folder")
        self.folder = Path(folder)
        with named(self.folder):
            if self.folder.exists() and not self.folder.is_dir():
                raise FileError(f"{self.folder}: can't be written, it must be a folder")
        self._parts = self.folder / "parts"
        self._list = self.folder / "parts.txt"  # what was written, so that a loss is noticed

    def found(self, keys: Keys) -> Iterator[Found]:
        """Yield, part by part, the indices of keys that are there and their rows by column."""
        own, own_place = np.unique(keys, return_inverse=True)
        self._report_lost()
        for path in sorted(self._parts.glob("*.parquet")):
            if (data := _bytes_of(path)) is None:
                continue
            try:
                table = _parsed(path, data)
            except (pa.ArrowException, KeyError, ValueError) as error:
                self._set_aside(path, error)
                continue
            row_of = np.full(len(own), -1)
            theirs = _keys_of(table)
            place = np.minimum(np.searchsorted(own, theirs), len(own) - 1)
            hit = own[place] == theirs
            row_of[place[hit]] = np.flatnonzero(hit)
            rows = row_of[own_place]
            indices = np.flatnonzero(rows >= 0)
            if len(indices):
                yield indices, _columns(table, rows[indices])
            del table
            pa.default_memory_pool().release_unused()  # else it keeps some MiB of every part

    def add(self, keys: Sequence[bytes], rows: list[Row]) -> None:
        """Write rows as a part; they are on the disk when this returns.

        Raises
        ------
        FileError
            If that can't be done; what was there stays as it was.
        """
        whole = [bytes(key).ljust(KEY_BYTES, b"\0") for key in keys]  # numpy cuts zeros off
        columns: dict[str, Any] = {_KEY: pa.array(whole, pa.binary(KEY_BYTES)), **columns_of(rows)}
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(columns), sink, compression="zstd")
        data = sink.getvalue()
        name = f"{hashlib.sha256(data).hexdigest()[:32]}.parquet"
        with whole_file(self._parts / name) as temporary:
            temporary.write_bytes(data)
        self._note(f"{name} {len(rows)}")

    def check_writable(self) -> None:
        """Refuse a folder in which nothing can be written, before anything is replayed."""
        check_writable(self.folder / "parts.txt")

    def _note(self, line: str) -> None:
        with named(self._list), self._list.open("a") as file:
            file.write(f"\n{line}\n")  # a line that a kill cut off stays apart

    def _report_lost(self) -> None:
        """Say which parts are gone, once each."""
        lines = self._list.read_text().splitlines() if self._list.exists() else []
        parts = dict(line.split(" ", 1) for line in lines if " " in line)
        for name, n_points in parts.items():
            if n_points != _GONE and not (self._parts / name).exists():
                _warn(f"{self._parts / name} is gone; its {n_points} points are replayed again")
                with suppress(FileError):  # of a read-only folder
                    self._note(f"{name} {_GONE}")

    def _set_aside(self, path: Path, error: Exception) -> None:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        _warn(f"{path} is damaged ({why}); its points are replayed again")
        with suppress(OSError):  # likewise
            path.rename(path.with_suffix(".damaged"))
            self._note(f"{path.name} {_GONE}")


class Saver:
    """Writes rows to a store from a thread of its own, so that replays never wait for the disk.

    `on_stored` is told of the number of rows that have reached the disk.
    """

    def __init__(self, store: Store, on_stored: Callable[[int], object]) -> None:
        self._store, self._on_stored = store, on_stored
        self._queue: queue.SimpleQueue[tuple[bytes, Row] | None] = queue.SimpleQueue()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._write_all, name="pfnlab-store", daemon=True)

    def __enter__(self) -> Saver:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()
        if self._error and kind is None:
            raise self._error

    def put(self, key: bytes, row: Row) -> None:
        """Take a row; raise what an earlier one met with.

        Raises
        ------
        FileError
            If rows can't be written any more.
        """
        if self._error:
            raise self._error
        self._queue.put((key, row))

    def _write_all(self) -> None:
        ended = False
        while not ended:
            taken = [self._queue.get()]
            if taken[0] is not None:
                time.sleep(_GATHER_SECONDS)
            while not self._queue.empty():
                taken.append(self._queue.get())
            ended = None in taken
            self._write([item for item in taken if item is not None])

    def _write(self, items: list[tuple[bytes, Row]]) -> None:
        if not items or self._error:
            return
        try:
            self._store.add([key for key, _ in items], [row for _, row in items])
        except Exception as error:  # it is raised where the rows come from
            self._error = error
        else:
            self._on_stored(len(items))


def keyed(about: str) -> Callable[[Point], bytes]:
    """Return what makes keys of points whose rows depend on `about` and the code that counts."""
    start = hashlib.blake2b(f"{code_version()} {about}".encode(), digest_size=KEY_BYTES)

    @cache
    def does(policy: str) -> bytes:
        return meaning(REGISTERED[policy]).encode() if policy in REGISTERED else b""

    def key(point: Point) -> bytes:
        own = start.copy()
        own.update(repr((point.params, point.share, point.value)).encode())
        own.update(does(point.params.policy))
        return own.digest()

    return key


def _bytes_of(path: Path) -> bytes | None:
    """Return what is in a part, None if another sweep has just set it aside."""
    try:
        with named(path, "read"):
            return path.read_bytes()
    except FileError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def _parsed(path: Path, data: bytes) -> pa.Table:
    if hashlib.sha256(data).hexdigest()[:32] != path.stem:
        raise ValueError("its bytes are not those that were written")
    return pq.read_table(pa.BufferReader(data))


def _keys_of(table: pa.Table) -> Keys:
    keys = table[_KEY].combine_chunks()
    return np.frombuffer(keys.buffers()[1], f"S{KEY_BYTES}", len(keys))


def _columns(table: pa.Table, rows: npt.NDArray[np.intp]) -> dict[str, npt.NDArray[Any]]:
    """Return the rows by column, names as objects that they share."""
    found = {}
    for name in table.column_names:
        if name == _KEY:
            continue
        column = table[name].combine_chunks()
        if pa.types.is_string(column.type):
            coded = column.dictionary_encode()
            words = np.array(coded.dictionary.to_pylist(), object)
            found[name] = words[coded.indices.to_numpy()[rows]]
        else:
            found[name] = column.to_numpy(zero_copy_only=False)[rows]
    return found


def _warn(text: str) -> None:
    warnings.warn(text, StoreWarning, stacklevel=2)
