"""Sweeps on dask.distributed: a cluster of two processes, and one started by its own commands."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import pfnlab
from pfnlab.sweeps import executors, store
from tests import driver, kill_points, poison

distributed = pytest.importorskip("distributed")
# What a cluster on a busy machine says of its own start and end is no concern of ours.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]


@pytest.fixture(scope="module")
def client(root: Path) -> Iterator[Any]:
    """Two processes of a thread each, which can import the tests, and are restarted if killed."""
    os.environ["PYTHONPATH"] = str(root)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client
    del os.environ["PYTHONPATH"]


@pytest.fixture
def executor(client: Any) -> Any:
    return client.get_executor(pure=False, retries=2)


@pytest.fixture(scope="module")
def here() -> pd.DataFrame:
    return pfnlab.sweep(driver.source(), driver.PARAMS, executor=2, **driver.AXES)


def test_a_cluster_gives_the_rows_of_one_thread(executor: Any, here: pd.DataFrame) -> None:
    frame = pfnlab.sweep(driver.source(), driver.PARAMS, executor=executor, **driver.AXES)
    pd.testing.assert_frame_equal(frame, here)
    spec = pfnlab.workload("block_io", n_events=20_000)
    axes: dict[str, Any] = {"region_bytes": ["1GiB", "4GiB"], "threshold_fraction": [0.01, 0.1]}
    there = pfnlab.sweep(spec, executor=executor, **axes)
    pd.testing.assert_frame_equal(there, pfnlab.sweep(spec, **axes))


def test_no_events_travel(executor: Any, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job is a path and points: some KiB, whatever the length of the trace."""
    sizes: list[int] = []
    submit = type(executor).submit

    def measured(self: Any, function: Any, *arguments: Any) -> Any:
        sizes.append(len(pickle.dumps((function, arguments))))
        return submit(self, function, *arguments)

    monkeypatch.setattr(type(executor), "submit", measured)
    pfnlab.sweep(driver.source(), driver.PARAMS, executor=executor, **driver.AXES)
    assert 0 < max(sizes) < 64 << 10


def test_rows_are_kept_as_they_arrive(executor: Any, here: pd.DataFrame, tmp_path: Path) -> None:
    counted: list[int] = []
    add = store.Store.add

    def seen(self: store.Store, keys: Any, rows: Any) -> None:
        add(self, keys, rows)
        counted.append(len(rows))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.Store, "add", seen)
        frame = pfnlab.sweep(
            driver.source(), driver.PARAMS, executor=executor, store=tmp_path, **driver.AXES
        )
    pd.testing.assert_frame_equal(frame, here)
    assert len(counted) > 1
    assert sum(counted) == len(here) == kill_points.stored_points(tmp_path)


def test_kill_9_of_a_dask_worker(
    executor: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = driver.AXES | {"batch_chunks": list(range(1, 25))}
    whole = pfnlab.sweep(driver.source(), driver.PARAMS, executor=2, **axes)
    pids = list(client.run(os.getpid).values())
    submit, submitted = type(executor).submit, count(1)

    def submit_and_kill(self: Any, *arguments: Any) -> Any:
        future = submit(self, *arguments)
        if next(submitted) == 4:  # jobs are with the workers
            os.kill(pids[0], signal.SIGKILL)
        return future

    monkeypatch.setattr(type(executor), "submit", submit_and_kill)
    frame = pfnlab.sweep(driver.source(), driver.PARAMS, executor=executor, **axes)
    assert next(submitted) > 4
    pd.testing.assert_frame_equal(frame, whole)
    assert pids[0] not in client.run(os.getpid).values()


def test_a_point_that_always_kills_is_named_by_a_cluster_too(
    client: Any, executor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By default it takes four deaths and restarts, each time, before dask gives a job up.
    client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0))
    monkeypatch.setattr(executors, "work", poison.kills_always)
    axes: dict[str, Any] = {"batch_chunks": [1, 2, poison.BATCH, 4], "threshold_fraction": [1e-3]}
    with pytest.raises(pfnlab.PointError, match=f"1 of 4 points .*{poison.BATCH}") as caught:
        pfnlab.sweep(driver.source(), driver.PARAMS, executor=executor, **axes)
    assert [failed.params.batch_chunks for failed in caught.value.failed] == [poison.BATCH]
    assert caught.value.frame["batch_chunks"].tolist() == [1, 2, 4]


@pytest.fixture
def address(root: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler with two workers, each started by its own command."""
    file = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    scheduler = [*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    worker = [*dask, "worker", "--nthreads", "1", "--no-dashboard"]
    where = ["--scheduler-file", str(file)]
    running = [
        subprocess.Popen([*command, *where], cwd=tmp_path, stderr=subprocess.DEVNULL)
        for command in (scheduler, worker, worker)
    ]
    try:
        with distributed.Client(scheduler_file=str(file), timeout="300s") as client:
            client.wait_for_workers(2, timeout=300)
            yield client.scheduler.address
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            process.wait(300)


def test_a_scheduler_and_workers_started_as_commands(address: str, here: pd.DataFrame) -> None:
    with distributed.Client(address) as client:
        executor = client.get_executor(pure=False, retries=2)
        frame = pfnlab.sweep(driver.source(), driver.PARAMS, executor=executor, **driver.AXES)
    pd.testing.assert_frame_equal(frame, here)
