"""Rows about sweeps that outgrow a machine: many points, many workers, many stored points."""

import subprocess
import sys
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

import pfnlab
from benchmarks.race import AbsentError, Contestant, Mark, Race
from benchmarks.traces import REGION, ROOT, Scale, trace_of
from pfnlab.sweeps import executors, scheduling
from pfnlab.sweeps.jobs import Answer, Job, work

#: Points of a grid that one pass, or a pass for every 64, can count.
MANY_POINTS = 10_000
#: Of these the single replays are timed, and their rate is that of all.
SAMPLED = (0, 3333, 9999)
#: Batches of several chunks, of which no two share a pass: enough that a start of half a second
#: (each process reads the trace and looks whether it is the right one) is little beside them.
BATCHES = tuple(range(2, 102))
TASK_SECONDS, N_TASKS = 0.1, 40


def many_points(policy: str) -> Callable[[Scale], Race]:
    """Return a grid of 10^4 thresholds against a replay of each, by those that are sampled."""

    def build(scale: Scale) -> Race:
        trace = trace_of("zb", scale.accesses // 2)
        params = REGION.replace(granule_bytes="2MiB", chunk_bytes="2MiB", policy=policy)
        shares = [(i + 1) / MANY_POINTS for i in range(MANY_POINTS)]
        points = {i: pfnlab.sweeps.points(params, {"threshold_fraction": [shares[i]]})[0]
                  for i in SAMPLED}  # fmt: skip
        configurations = {
            i: point.with_threshold(params.vmemmap_bytes) for i, point in points.items()
        }
        return Race(
            contestants=[
                Contestant(
                    name=f"pfnlab.sweep of {MANY_POINTS:,}, {policy}",
                    n=len(trace) * MANY_POINTS,
                    run=lambda: pfnlab.sweep(trace, params, threshold_fraction=shares),
                    answer=lambda frame: {f"faults at {i}": int(frame["faults"][i])
                                          for i in SAMPLED},
                    warm=False,
                ),
                Contestant(
                    name="a replay of each",
                    n=len(trace) * len(SAMPLED),
                    run=lambda: {i: pfnlab.replay(trace, p) for i, p in configurations.items()},
                    answer=lambda found: {f"faults at {i}": result.faults
                                          for i, result in found.items()},
                ),
            ],
            note=f"{len(SAMPLED)} of the replays were timed; rates are compared",
        )  # fmt: skip

    return build


@lru_cache(maxsize=2)
def pool(number: int) -> Executor:
    """Return spawned processes that stay for the next race."""
    return pfnlab.processes(number)()


def two_workers(kind: str) -> Callable[[Scale], Race]:
    """Return points that share nothing on two workers against one."""

    def build(scale: Scale) -> Race:
        trace = trace_of("zb", scale.accesses // 2)
        params = REGION.replace(threshold_bytes="256MiB")

        def contestant(number: int, mark: Mark | None = None) -> Contestant:
            executor: Any = number if kind == "threads" else pool(number)
            return Contestant(
                name=f"{number} {kind}",
                n=len(trace) * len(BATCHES),
                run=lambda: pfnlab.sweep(trace, params, executor=executor, batch_chunks=BATCHES),
                answer=lambda frame: {"faults": tuple(frame["faults"])},
                mark=mark,
            )

        return Race(
            contestants=[contestant(2), contestant(1, Mark(1.7))],
            note="a ratio of 1.7 is a parallel efficiency of 0.85",
        )

    return build


def asleep(job: Job) -> Answer:
    """Take the time of a task without any work, so that what it costs to send one is seen."""
    time.sleep(TASK_SECONDS)
    return Answer([(point.index, {"batch_chunks": point.params.batch_chunks})
                   for point in job.points], TASK_SECONDS)  # fmt: skip


@contextmanager
def sleeping_workers() -> Iterator[None]:
    """Have workers sleep, a task a point."""
    before = scheduling.TARGET_SECONDS
    setattr(executors, "work", asleep)  # noqa: B010 - it is imported there, not exported
    scheduling.TARGET_SECONDS = TASK_SECONDS
    try:
        yield
    finally:
        setattr(executors, "work", work)  # noqa: B010
        scheduling.TARGET_SECONDS = before


def overhead(name: str, make: Callable[[], Executor], most: float) -> Callable[[Scale], Race]:
    """Return tasks of 100 ms on one worker elsewhere against as many naps in a row."""

    def build(scale: Scale) -> Race:
        executor, batches = make(), range(1, N_TASKS + 1)
        trace = pfnlab.Trace(np.arange(3))

        def sent() -> pd.DataFrame:
            with sleeping_workers():
                return pfnlab.sweep(trace, executor=executor, batch_chunks=batches)

        def slept() -> pd.DataFrame:
            for _ in batches:
                time.sleep(TASK_SECONDS)
            return pd.DataFrame({"batch_chunks": list(batches)})

        def answer(frame: pd.DataFrame) -> Mapping[str, Hashable]:
            return {"points": tuple(frame["batch_chunks"])}

        return Race(
            unit="s",
            contestants=[
                Contestant(name=f"tasks on {name}", n=N_TASKS, run=sent, answer=answer),
                Contestant(
                    name="naps", n=N_TASKS, run=slept, answer=answer, mark=Mark(1 - most)
                ),
            ],
            note=f"{N_TASKS} tasks of {TASK_SECONDS * 1e3:.0f} ms on one worker",
        )  # fmt: skip

    return build


@lru_cache(maxsize=1)
def dask_executor() -> Executor:
    """Return a worker process of dask.distributed; it ends with this process."""
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise AbsentError("dask.distributed is not installed") from error
    cluster = LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None
    )
    client = Client(cluster)  # type: ignore[no-untyped-call]
    executor: Executor = client.get_executor(pure=False, retries=2)  # type: ignore[no-untyped-call]
    return executor


# The peak of this process alone: ru_maxrss would start at what the parent held when it forked.
STORED = """
import re, sys
from pathlib import Path
import numpy as np, pfnlab
Path("/proc/self/clear_refs").write_text("5")
n_points, folder = int(sys.argv[1]), sys.argv[2]
trace = pfnlab.Trace(np.arange(1000) % 700 * 64)
frame = pfnlab.sweep(
    trace, pfnlab.Params(region_bytes="1GiB"), store=folder,
    threshold_fraction=list(np.linspace(0.01, 1, n_points // 100)), batch_chunks=range(1, 101),
)
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(len(frame), peak)
"""


class Stores:
    """Stores of few and of many points, filled before anything is measured."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self._folder = TemporaryDirectory()
        self.paths = {size: str(Path(self._folder.name) / str(size)) for size in sizes}
        for size in sizes:
            self.resume(size)

    def resume(self, size: int) -> tuple[int, float]:
        """Return the number of points and the peak of a process that takes them from the store."""
        command = [sys.executable, "-c", STORED, str(size), self.paths[size]]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        n_points, peak = done.stdout.split()
        return int(n_points), float(peak)


def driver_memory(scale: Scale) -> Race:
    """Return what a driver takes more at 10^5 stored points than at 10^3."""
    few, many = 1000, scale.accesses // 200
    stores = Stores((few, many))

    def resumed() -> dict[int, tuple[int, float]]:
        return {size: stores.resume(size) for size in (few, many)}

    return Race(
        contestants=[
            Contestant(
                name=f"driver of {many:,} stored points over {few:,}",
                n=many,
                run=resumed,
                answer=lambda found: {"points": tuple(n for n, _ in found.values())},
                measured=lambda found: found[many][1] - found[few][1],
                mark=Mark(50, "MiB", at_most=True),
                warm=False,
            )
        ],
        expected={"points": (few, many)},
    )


RACES: Mapping[str, Callable[[Scale], Race]] = {
    "grid/10^4 points, lru": many_points("lru"),
    "grid/10^4 points, lra": many_points("lra"),
    "grid/2 threads": two_workers("threads"),
    "grid/2 processes": two_workers("processes"),
    "grid/overhead, processes": overhead("a process", lambda: pool(1), 0.02),
    "grid/overhead, dask": overhead("dask", dask_executor, 0.05),
    "grid/driver memory": driver_memory,
}
