"""Bytes of a file in blocks, decompressed on the way: plain, gzip, zstd and xz, told by content."""

import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from pfnlab.errors import TraceError
from pfnlab.traces.native import file_stamp
from pfnlab.traces.native.file_stamp import Stamp

#: Bytes of one block, decompressed.
BLOCK_BYTES = 1 << 22
#: Memory that decompressing xz may take, four times what its level 9 does; zstd keeps to 128 MiB.
_XZ_BYTES, _READ_BYTES = 1 << 28, 1 << 16
#: What a compressed file that is cut or damaged raises, by who reads it.
_DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError, pa.ArrowException, ValueError)


def _zstd(file: IO[bytes]) -> Any:
    stream: Any = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")
    return io.BufferedReader(stream, _READ_BYTES)  # its own read() leaks when it fails


class _Xz:
    """Streams of xz one after another, in bounded memory; `lzma.LZMAFile` has no limit.

    It also passes over, in silence, all that follows a stream and is none.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._stream = _xz_stream()

    def read(self, n_bytes: int) -> bytes:
        """Return some bytes, none at the end only."""
        part = b""
        while not part:
            data = b""
            if self._stream.eof:
                if not (data := self._next_stream()):
                    return b""
                self._stream = _xz_stream()
            elif self._stream.needs_input and not (data := self._file.read(_READ_BYTES)):
                raise EOFError("ends within a stream")
            part = self._stream.decompress(data, n_bytes)
        return part

    def _next_stream(self) -> bytes:
        """Return the first bytes of the next stream, past the zeros that may stand before it."""
        data = self._stream.unused_data.lstrip(b"\0")
        while not data and (read := self._file.read(_READ_BYTES)):
            data = read.lstrip(b"\0")
        return data


def _xz_stream() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_BYTES)


_OPENERS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"\x28\xb5\x2f\xfd": _zstd,
    b"\xfd7zXZ\0": _Xz,
}


def check_regular(path: Path) -> None:
    """Refuse a pipe or a device: it is read several times, and opening it may wait forever."""
    if path.exists() and not path.is_file():
        raise TraceError(f"{path}: must be a file, it is a folder, a pipe or a device")


def stamp_of(path: Path) -> Stamp:
    """Return what changes when the file does."""
    check_regular(path)
    with file_stamp.opened(path) as descriptor:
        return file_stamp.stamp_of(descriptor)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading what it holds, decompressed.

    Raises
    ------
    TraceError
        If it can't be read.
    """
    check_regular(path)
    try:
        with path.open("rb") as file:
            head = file.read(8)
            file.seek(0)
            opener = next((o for magic, o in _OPENERS.items() if head.startswith(magic)), None)
            yield opener(file) if opener else file
    except OSError as error:
        if isinstance(error, TraceError):
            raise
        raise TraceError(f"{path}: can't be read ({error.strerror or error})") from error


def read_block(path: Path, file: IO[bytes], at: int, n_bytes: int = BLOCK_BYTES) -> bytes:
    """Read the next bytes, fewer only at the end; `at` is how many came before.

    Raises
    ------
    TraceError
        If the file is compressed and damaged or cut, with the byte up to which it could be read.
    """
    parts, left = [], n_bytes
    while left:
        try:
            part = file.read(left)
        except _DAMAGED as error:
            got = at + n_bytes - left
            why = str(error) or type(error).__name__
            raise TraceError(
                f"{path}: can be decompressed up to byte {got} only, it must be whole ({why})"
            ) from error
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def head_of(path: Path, n_bytes: int = 1 << 16) -> bytes:
    """Return the first bytes, decompressed, to tell a format by."""
    with opened(path) as file:
        return read_block(path, file, 0, n_bytes)
