"""What several test processes need is made by one of them, while the others make something else."""

import fcntl
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path


def make_once(folder: Path, names: Iterable[str], make: Callable[[str], object]) -> None:
    """Call `make` with each name, once for all processes; return when everything is made.

    Parameters
    ----------
    folder
        The same for all processes, for nothing but their locks.
    """
    folder.mkdir(exist_ok=True)
    for wait in (fcntl.LOCK_NB, 0):  # take what nobody makes yet, then wait for the rest
        for name in names:
            made = folder / f"{name}.made"
            with (folder / f"{name}.lock").open("w") as lock, suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | wait)
                if not made.exists():
                    make(name)
                    made.touch()
