"""Kill a sweep with -9 around random parts of its store: ``python -m tests.kill_points N SEED``.

After each kill the store must hold every point that was reported as stored, and whenever a sweep
comes to its end its frame must be the undisturbed one, bit for bit.
"""

import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pandas as pd
import pyarrow.parquet as pq

import pfnlab
from pfnlab.sweeps import StoreWarning
from tests import driver

ROOT = Path(__file__).resolve().parents[1]


def stored_points(folder: Path) -> int:
    """Count the distinct points in the parts of a store; every part must be whole."""
    parts = list((folder / "parts").glob("*.parquet"))
    keys = (pq.read_table(part, columns=["point_key"])["point_key"].to_pylist() for part in parts)
    return len({key for some in keys for key in some})


def noted_points(log: Path) -> int:
    return sum(map(int, log.read_text().split())) if log.exists() else 0


def _lines(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def start(folder: Path, where: str) -> subprocess.Popen[bytes]:
    names = [str(folder / name) for name in ("store", "out.parquet")]
    command = [sys.executable, "-m", "tests.driver", *names, where, str(folder / "log")]
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL)


def end(process: subprocess.Popen[bytes], reached: Callable[[], bool], more: float) -> bool:
    """Kill the driver and its workers `more` seconds after an event, unless it has ended before.

    Returns
    -------
    bool
        Whether it had come to its end.
    """
    while process.poll() is None and not reached():
        time.sleep(0.005)
    with suppress(subprocess.TimeoutExpired):
        assert process.wait(more) == 0
        return True
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return False


def _parts(where: str) -> int:
    """Count the parts that a whole sweep stores which nobody kills."""
    with TemporaryDirectory() as name:
        assert end(start(Path(name), where), never, 0.0)
        return len((Path(name) / "log").read_text().splitlines())


def never() -> bool:
    return False


def _moment(chance: random.Random, folder: Path, n_parts: int) -> tuple[Callable[[], bool], float]:
    """Return the event some parts from now, or that the store is there, and seconds after it."""
    log, more = folder / "log", chance.randrange(n_parts)
    reached = more and _lines(log) + more
    return lambda: (folder / "store").exists() and _lines(log) >= reached, chance.uniform(0, 0.15)


class Toll(NamedTuple):
    """Kills, those that came between the first point and the last, stored points that were lost."""

    kills: int = 0
    midway: int = 0
    lost: int = 0
    ends: int = 0  # sweeps that came to their end, each as if undisturbed


def disturbed(n_kills: int, seed: int, where: str, undisturbed: pd.DataFrame) -> Toll:
    """Kill so often, and let the last sweep run to its end."""
    chance, whole = random.Random(seed), _parts(where)
    kills = midway = lost = ends = 0
    while kills < n_kills:
        with TemporaryDirectory() as name:
            folder = Path(name)
            complete, log, store = False, folder / "log", folder / "store"
            while not complete:
                complete = end(
                    start(folder, where),
                    *(_moment(chance, folder, whole) if kills < n_kills else (never, 0.0)),
                )
                kills += not complete
                found, promised = stored_points(store), noted_points(log)
                lost += max(0, promised - found)
                midway += not complete and 0 < found < len(undisturbed)
            pd.testing.assert_frame_equal(pd.read_parquet(folder / "out.parquet"), undisturbed)
            ends += 1
    return Toll(kills, midway, lost, ends)


def main(n_kills: int, seed: int) -> int:
    warnings.simplefilter("error", StoreWarning)
    undisturbed = pfnlab.sweep(driver.source(), driver.PARAMS, **driver.AXES)
    started, lost = time.monotonic(), 0
    for number, where in enumerate(driver.EXECUTORS):
        toll = disturbed(n_kills // len(driver.EXECUTORS), seed + number, where, undisturbed)
        lost += toll.lost
        print(f"{where}: {toll}", flush=True)
    print(f"{lost} points lost; {time.monotonic() - started:.0f} s")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
