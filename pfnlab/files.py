"""Files that are there whole or not at all: written beside the final name, then renamed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from pfnlab.errors import FileError


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path in the same folder; on success it is synced and takes the final name.

    On an error, a full disk or Ctrl-C the temporary file is removed, and what stood under
    the final name before stands there still.
    """
    target = Path(path)
    if target.exists() and not target.is_file():
        raise FileError(f"{target}: can't be written, it exists and is no regular file")
    with named(target):
        temporary = _parent(target) / f".{target.name}.{uuid4().hex}.tmp"
        try:  # made inside, for Ctrl-C may come right after
            temporary.touch(0o600, exist_ok=False)
            yield temporary
            sync(temporary)
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(target)
            sync(target.parent)  # the name, too, must outlive a power cut
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def whole_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary folder beside `path`; on success it takes the final, still free, name."""
    target = Path(path)
    if target.exists():
        raise FileError(f"{target}: can't be written, it must not exist yet")
    with named(target):
        temporary = _parent(target) / f".{target.name}.{uuid4().hex}"
        try:
            temporary.mkdir(0o700)
            yield temporary
            for file in temporary.iterdir():
                sync(file)
            temporary.chmod(0o777 & ~_umask())
            temporary.rename(target)
            sync(target.parent)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse a file that could not be written, before there is anything to write.

    Raises
    ------
    FileError
        For a folder that can't be made or is read-only, or a name that is no file's.
    """
    target = Path(path)
    if target.exists() and not target.is_file():
        raise FileError(f"{target}: can't be written, it exists and is no regular file")
    probe = target.with_name(f".{uuid4().hex}.probe")
    try:
        with whole_file(probe):
            pass
        probe.unlink()
    except FileError as error:
        raise FileError(str(error).replace(str(probe), str(target))) from error


@contextmanager
def named(target: Path, done: str = "written") -> Iterator[None]:
    """Say which file could not be written, or read; libraries name a temporary one, or none."""
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        why = error.strerror or str(error)
        raise FileError(f"{target}: can't be {done} ({why})") from error


def sync(path: Path) -> None:
    """Wait until the contents of a file, or the names in a folder, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parent(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.parent


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
