"""Kill a sweep with -9 at random moments, again and again: ``python -m tests.kill_points N SEED``.

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


def start(folder: Path, where: str) -> subprocess.Popen[bytes]:
    names = [str(folder / name) for name in ("store", "out.parquet")]
    command = [sys.executable, "-m", "tests.driver", *names, where, str(folder / "log")]
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL)


def end(process: subprocess.Popen[bytes], after_seconds: float) -> bool:
    """Kill the driver and its workers after a while; whether it had come to its end before."""
    try:
        assert process.wait(after_seconds) == 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False
    return True


def _seconds(where: str) -> float:
    """Time of a whole sweep that nobody kills, its start included."""
    with TemporaryDirectory() as name:
        started = time.monotonic()
        assert end(start(Path(name), where), 600.0)
        return time.monotonic() - started


class Toll(NamedTuple):
    """Kills, those that came between the first point and the last, stored points that were lost."""

    kills: int = 0
    midway: int = 0
    lost: int = 0
    ends: int = 0  # sweeps that came to their end, each as if undisturbed


def disturbed(n_kills: int, seed: int, where: str, undisturbed: pd.DataFrame) -> Toll:
    """Kill so often, and let the last sweep run to its end."""
    chance, whole = random.Random(seed), _seconds(where)
    kills = midway = lost = ends = 0
    while kills < n_kills:
        with TemporaryDirectory() as name:
            folder = Path(name)
            complete = False
            while not complete:
                patience = chance.uniform(0.3 * whole, 1.1 * whole) if kills < n_kills else 600.0
                complete = end(start(folder, where), patience)
                kills += not complete
                found, promised = stored_points(folder / "store"), noted_points(folder / "log")
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
