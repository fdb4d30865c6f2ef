"""Files that must stay as they are while they are read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pfnlab.errors import TraceError

#: Device, inode, size and time of the last change (ns) of a file.
Stamp = tuple[int, int, int, int]


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """Open a file for reading, give its descriptor and close it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise TraceError(f"{path}: can't be read ({error.strerror})") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def stamp_of(descriptor: int) -> Stamp:
    """Return what changes when the file does."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


@contextmanager
def unchanged(path: Path, stamp: Stamp) -> Iterator[int]:
    """Open a file that was loaded with `stamp`, and refuse it if it is changed meanwhile.

    A file whose name is removed or given to another stays what it was for who has it open.

    Raises
    ------
    TraceError
        On entry if it was changed since it was loaded; on exit without another error if it was
        changed while it was read.
    """
    with opened(path) as descriptor:
        if stamp_of(descriptor) != stamp:
            raise TraceError(f"{path}: was changed since it was loaded, load it again")
        yield descriptor
        if stamp_of(descriptor) != stamp:
            raise TraceError(f"{path}: was changed while it was replayed")


def read_into(path: Path, descriptor: int, buffer: memoryview, offset_bytes: int) -> int:
    """Fill `buffer` from a file and return how many bytes there were: fewer at the file's end."""
    done = 0
    while done < len(buffer):
        try:
            n_bytes = os.preadv(descriptor, [buffer[done:]], offset_bytes + done)
        except OSError as error:
            raise TraceError(f"{path}: can't be read ({error.strerror})") from error
        if n_bytes == 0:
            break
        done += n_bytes
    return done
