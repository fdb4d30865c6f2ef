"""Sweeps on any executor: the rows of a single thread, and workers that die on the way."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

import pfnlab
from pfnlab.params import Params
from pfnlab.sweeps import executors, jobs, scheduling
from pfnlab.sweeps.axes import Grid
from pfnlab.sweeps.transport import InFile
from pfnlab.traces.workloads import WORKLOADS
from tests import driver, kill_points, poison

PARAMS = Params(region_bytes="1TiB")
AXES: dict[str, Any] = {
    "policy": ["lra", "lru", "random"],
    "granule_bytes": ["4KiB", "64KiB"],
    "chunk_bytes": ["64KiB"],
    "n_cpus": [2, 64],
    "threshold_of_footprint": [0.05, 0.1, 0.2, 0.4, 0.8],
}
BATCHES: dict[str, Any] = {"batch_chunks": list(range(1, 33)), "threshold_fraction": [1e-3]}


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with pfnlab.processes(2)() as made:
        yield made


@pytest.fixture(scope="module")
def trace() -> pfnlab.Trace:
    return driver.source()


@pytest.fixture
def working(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], None]:
    """Have workers do something else than `work`."""
    return lambda work: monkeypatch.setattr(executors, "work", work)


def equal(source: Any, executor: Any, params: Params = PARAMS, **axes: Any) -> None:
    here = pfnlab.sweep(source, params, **axes)
    pd.testing.assert_frame_equal(pfnlab.sweep(source, params, executor=executor, **axes), here)


def test_processes_give_the_rows_of_one_thread(pool: Executor, trace: pfnlab.Trace) -> None:
    equal(trace, pool, **AXES)


def test_a_factory_and_threads_of_others_do_too(trace: pfnlab.Trace) -> None:
    equal(trace, pfnlab.processes(2), **AXES)
    with ThreadPoolExecutor(2) as threads:
        equal(trace, threads, **AXES)


def test_loky_does_too(trace: pfnlab.Trace) -> None:
    loky = pytest.importorskip("loky")
    with loky.ProcessPoolExecutor(2) as made:
        equal(trace, made, **AXES)


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_specs_are_drawn_by_the_workers(name: str, pool: Executor) -> None:
    spec = pfnlab.workload(name, n_events=20_000)
    equal(spec, pool, region_bytes=["256GiB", "1TiB"], seed=[1, 2], threshold_fraction=[1e-5, 1e-3])


def test_traces_with_references_placed_and_streamed(
    pool: Executor, trace: pfnlab.Trace, root: Path, tmp_path: Path
) -> None:
    axes: dict[str, Any] = {"threshold_of_footprint": [0.1, 0.5], "batch_chunks": [1, 4]}
    equal(pfnlab.load(root / "data/traces/pagecache.parquet"), pool, **axes)
    placed = trace.placed("512GiB", "spread")
    equal(placed, pool, region_bytes=["512GiB", "1TiB"], **axes)
    equal(trace.placed("512GiB", "tenants", tenants=2), pool, region_bytes=["1TiB"], **axes)
    for path in (tmp_path / "t.parquet", tmp_path / "folder"):
        pfnlab.save(trace, path)
        equal(pfnlab.load(path, stream=True), pool, **axes)
    equal(pfnlab.Trace(np.empty(0, np.int64)), pool, batch_chunks=[1, 2])


@pytest.mark.slow
def test_a_policy_of_ones_own_travels(pool: Executor, trace: pfnlab.Trace) -> None:
    own = pfnlab.Policy(
        name="travels", columns=2, insert=insert, access=access, remove=remove, victim=victim
    )
    pfnlab.register(own)
    equal(trace, pool, policy=["travels", "lra"], threshold_of_footprint=[0.2, 0.4])


def fresh(trace: pfnlab.Trace, share: int) -> pd.DataFrame:
    """A policy that moves only some chunks, by a number from around its function."""

    def some(table: Any, scalars: Any, chunk: Any, faulted: Any) -> Any:
        return chunk % 7 < share

    pfnlab.register(
        pfnlab.Policy(
            name="changes", columns=2, insert=insert, access=some, remove=remove, victim=victim
        )
    )
    return pfnlab.sweep(trace, PARAMS, **OWN)


OWN: dict[str, Any] = {"policy": ["changes"], "threshold_of_footprint": [0.2]}


@pytest.mark.slow
def test_workers_that_live_on_take_a_policy_that_was_changed(trace: pfnlab.Trace) -> None:
    loky = pytest.importorskip("loky")
    with loky.ProcessPoolExecutor(1) as made:
        frames = []
        for share in (0, 7):
            frames.append(fresh(trace, share))
            there = pfnlab.sweep(trace, PARAMS, executor=made, **OWN)
            pd.testing.assert_frame_equal(there, frames[-1])
    assert not frames[0].equals(frames[1])


def test_a_policy_that_cannot_travel_is_named(trace: pfnlab.Trace, pool: Executor) -> None:
    fresh(trace, 1)
    with pytest.raises(pfnlab.ParameterError, match="policy='changes': must be made of functions"):
        pfnlab.sweep(trace, PARAMS, executor=pool, **OWN)


@pytest.mark.parametrize("stream", [False, True])
def test_a_trace_keeps_the_name_it_has_here(stream: bool, pool: Executor, tmp_path: Path) -> None:
    """Though its events, in a store or in its file, were given another."""
    trace = pfnlab.Trace(np.arange(1000), name="first")
    source = pfnlab.load(pfnlab.save(trace, tmp_path / "trace"), stream=stream)
    for name in ("first", "second"):
        frame = pfnlab.sweep(
            replace(source, name=name, evidence="direct"),
            executor=pool, store=tmp_path / "store", batch_chunks=[1, 2],
        )  # fmt: skip
        assert frame["source"].tolist() == [name, name]
        assert set(frame["evidence"]) == {"direct"}


def test_a_damaged_trace_in_a_store_is_made_anew(pool: Executor, tmp_path: Path) -> None:
    trace = pfnlab.Trace(np.arange(1000))
    kept: dict[str, Any] = {"executor": pool, "store": tmp_path}
    pfnlab.sweep(trace, **kept)
    (column,) = tmp_path.glob("traces/*/pfn.npy")
    data = column.read_bytes()
    for damaged in (data[:-4], data[:-4] + b"\1\1\0\0", b""):
        column.unlink()  # the workers have the file mapped
        column.write_bytes(damaged)
        pfnlab.sweep(trace, batch_chunks=[2 + len(damaged)], **kept)
        assert column.read_bytes() == data


def test_two_sweeps_may_put_a_trace_into_a_store_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(trace: Any, path: Path) -> Path:
        pfnlab.save(trace, path)
        return pfnlab.save(trace, path)  # somebody was faster

    monkeypatch.setattr("pfnlab.sweeps.transport.save", slow)
    pfnlab.sweep(pfnlab.Trace(np.arange(9)), executor=ThreadPoolExecutor, store=tmp_path)


def insert(table: Any, scalars: Any, chunk: Any) -> None:
    newest = table[0, 0]
    table[chunk, 0], table[chunk, 1] = newest, 0
    table[newest, 1] = table[0, 0] = chunk


def access(table: Any, scalars: Any, chunk: Any, faulted: Any) -> Any:
    return faulted


def remove(table: Any, scalars: Any, chunk: Any) -> None:
    older, newer = table[chunk, 0], table[chunk, 1]
    table[older, 1], table[newer, 0] = newer, older


def victim(table: Any, scalars: Any, filling: Any) -> Any:
    oldest = table[0, 1]
    return table[oldest, 1] if oldest == filling else oldest


def test_a_changed_trace_under_the_same_name_is_refused(tmp_path: Path, pool: Executor) -> None:
    path = tmp_path / "trace"
    pfnlab.save(pfnlab.Trace(np.arange(1000)), path)
    streamed = pfnlab.load(path, stream=True)
    for file in path.iterdir():
        file.unlink()
    path.rmdir()
    pfnlab.save(pfnlab.Trace(np.arange(1, 1001)), path)
    with pytest.raises(pfnlab.TraceError, match="changed"):
        pfnlab.sweep(streamed, PARAMS, executor=pool, batch_chunks=[1, 2])


def test_what_shares_a_pass_stays_in_one_job() -> None:
    axes: dict[str, Any] = {
        "policy": ["lru", "lra", "clock"],
        "chunk_bytes": ["4KiB"],
        "threshold_fraction": list(np.linspace(0.001, 1, 100)),
    }
    groups = list(scheduling.passes(Grid(PARAMS, axes).sharing(), lambda _: True))
    assert [len(group) for group in groups] == [100, 64, 36, *[1] * 100]
    priced = Grid(
        PARAMS, axes | {"n_cpus": [2, 64]}
    )  # CPUs change no count: the passes are the same
    groups = list(scheduling.passes(priced.sharing(), lambda _: True))
    assert [len(group) for group in groups] == [200, 128, 72, *[2] * 100]
    groups = list(scheduling.passes(Grid(PARAMS, axes).sharing(), lambda _: False))
    assert [len(group) for group in groups] == [1] * 300


# ---- workers that die


def test_a_worker_that_is_killed_costs_nothing(
    working: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = tmp_path / "poison"
    once.touch()
    monkeypatch.setenv("PFNLAB_TEST_POISON", str(once))
    working(poison.kills_once)
    spec = pfnlab.workload("zipf", n_events=100_000)
    here = pfnlab.sweep(spec, PARAMS, **BATCHES)
    frame = pfnlab.sweep(spec, PARAMS, executor=pfnlab.processes(2), **BATCHES)
    pd.testing.assert_frame_equal(frame, here)
    assert not once.exists()


def test_workers_look_at_what_they_open(tmp_path: Path) -> None:
    """On another machine another file may stand under the path that a job names."""
    path = tmp_path / "trace"
    trace = pfnlab.Trace(np.arange(1000))
    pfnlab.save(trace, path)
    for stream in (False, True):
        good = InFile(str(path), trace.digest(), stream, "mine", "proxy")
        assert good.source().trace(PARAMS).digest() == trace.digest()
        with pytest.raises(pfnlab.TraceError, match="must be those that the sweep began with"):
            InFile(str(path), "0" * 64, stream, "mine", "proxy").source()


def test_workers_with_other_code_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their rows would be kept, and taken, for those of this code."""
    monkeypatch.setattr(jobs, "code_version", lambda: "another")
    with (
        ThreadPoolExecutor(1) as threads,
        pytest.raises(pfnlab.ParameterError, match="must run the same pfnlab as this sweep"),
    ):
        pfnlab.sweep(pfnlab.Trace(np.arange(10)), PARAMS, executor=threads)


@pytest.mark.slow
def test_who_was_there_when_another_killed_is_not_blamed(
    working: Any, trace: pfnlab.Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs of a point each: several are with the workers when the poisoned one kills them."""
    working(poison.kills_always)
    monkeypatch.setattr(scheduling, "TARGET_SECONDS", 0.0)
    with pytest.raises(pfnlab.PointError, match="1 of 32 points failed"):
        pfnlab.sweep(trace, PARAMS, executor=pfnlab.processes(2), **BATCHES)


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.slow
def test_a_point_that_always_kills_is_found_and_named(
    store: bool, working: Any, tmp_path: Path, trace: pfnlab.Trace
) -> None:
    working(poison.kills_always)
    kept: dict[str, Any] = {"store": tmp_path} if store else {}
    with pytest.raises(pfnlab.PointError) as caught:
        pfnlab.sweep(trace, PARAMS, executor=pfnlab.processes(2), **kept, **BATCHES)
    (failed,) = caught.value.failed
    assert (failed.params.batch_chunks, failed.share) == (poison.BATCH, "threshold_fraction")
    message = (
        r"1 of 32 points failed, .*; batch_chunks=13, threshold_fraction=0.001: its worker died"
    )
    assert re.match(message, str(caught.value))
    here = pfnlab.sweep(trace, PARAMS, **BATCHES)
    others = here[here["batch_chunks"] != poison.BATCH].reset_index(drop=True)
    pd.testing.assert_frame_equal(caught.value.frame, others)


@pytest.mark.slow
def test_an_executor_that_breaks_and_is_no_factory_says_so(working: Any) -> None:
    working(poison.kills_always)
    spec = pfnlab.workload("zipf", n_events=1000)
    spawn = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(2, mp_context=spawn) as pool,
        pytest.raises(pfnlab.PointError, match="if it is given as a factory"),
    ):
        pfnlab.sweep(spec, PARAMS, executor=pool, **BATCHES)


@pytest.mark.slow
def test_kill_9_of_real_workers(trace: pfnlab.Trace) -> None:
    """Workers are killed from outside, five times, while they replay."""
    axes = driver.AXES | {"batch_chunks": list(range(1, 25))}
    here = pfnlab.sweep(trace, driver.PARAMS, executor=2, **axes)
    make, submitted, killed = pfnlab.processes(2), count(1), list[int]()

    def making() -> Executor:
        pool: Any = make()
        submit = pool.submit

        def submit_and_kill(*arguments: Any) -> Future[Any]:
            """Kill one of the workers with every third job, while others are with them."""
            future: Future[Any] = submit(*arguments)
            if next(submitted) % 3 == 0 and len(killed) < 5:
                killed.append(next(iter(pool._processes)))
                os.kill(killed[-1], signal.SIGKILL)
            return future

        pool.submit = submit_and_kill
        return cast(Executor, pool)

    frame = pfnlab.sweep(trace, driver.PARAMS, executor=making, **axes)
    assert len(killed) == 5
    pd.testing.assert_frame_equal(frame, here)


def test_an_error_in_a_worker_is_raised_here(working: Any, pool: Executor) -> None:
    working(poison.raises)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        pfnlab.sweep(pfnlab.Trace(np.arange(10)), PARAMS, executor=pool)


def test_a_point_that_fails_is_named_and_the_others_complete(pool: Executor, root: Path) -> None:
    """`opt` can't replay references; the others can."""
    references = pfnlab.load(root / "data/traces/pagecache.parquet")
    axes: dict[str, Any] = {"policy": ["lra", "opt", "lru"], "chunk_bytes": ["4KiB"]}
    for executor in (None, 2, pool):
        with pytest.raises(pfnlab.PointError, match="policy=opt, chunk_bytes=4096: ") as e:
            pfnlab.sweep(references, PARAMS, executor=executor, **axes)
        assert e.value.frame["policy"].tolist() == ["lra", "lru"]


UNGUARDED = """
import numpy, pfnlab
trace = pfnlab.Trace(numpy.arange(9))
pfnlab.sweep(trace, executor=pfnlab.processes(2), batch_chunks=list(range(1, 2000)))
"""


@pytest.mark.slow
def test_a_script_that_every_worker_would_run_is_told_so(root: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(UNGUARDED)
    done = subprocess.run(
        [sys.executable, str(program)], cwd=root, env=os.environ | {"PYTHONPATH": str(root)},
        text=True, capture_output=True, timeout=600, check=False,
    )  # fmt: skip
    last = done.stderr.splitlines()[-1]
    assert "its workers must start: a script must begin its work under `if __name__" in last


KILLED = """
import multiprocessing, sys, threading, time, pfnlab
from tests import driver

def note():
    while len(multiprocessing.active_children()) < 2:
        time.sleep(0.01)
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)

if __name__ == "__main__":
    axes = driver.AXES | {"batch_chunks": list(range(1, 400)), "executor": pfnlab.processes(2)}
    threading.Thread(target=note).start()
    pfnlab.sweep(driver.source(), driver.PARAMS, **axes)
"""


@pytest.mark.slow
def test_kill_9_of_the_driver_ends_its_workers(root: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(KILLED)
    process = subprocess.Popen(
        [sys.executable, str(program)], cwd=root, env=os.environ | {"PYTHONPATH": str(root)},
        text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout
    pids = [int(pid) for pid in process.stdout.readline().split()]
    process.kill()
    process.communicate()
    started = time.monotonic()
    try:
        while any(Path(f"/proc/{pid}").exists() for pid in pids):
            assert time.monotonic() - started < 300
            time.sleep(0.05)
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


INTERRUPTED = """
import sys, pfnlab
from tests import driver
if __name__ == "__main__":
    axes = driver.AXES | {"batch_chunks": list(range(1, 400)), "executor": pfnlab.processes(2)}
    try:
        pfnlab.sweep(driver.source(), driver.PARAMS, store=sys.argv[1], **axes)
    except pfnlab.SweepInterrupted as interrupt:
        print(len(interrupt.frame))
"""


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_and_says_nothing_else(root: Path, tmp_path: Path) -> None:
    """The signal goes to the whole group, as a terminal sends it."""
    program = tmp_path / "program.py"
    program.write_text(INTERRUPTED)
    process = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path / "store")],
        cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    while not list(tmp_path.glob("store/parts/*.parquet")):
        time.sleep(0.02)
    started = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert int(out) > 0
    assert time.monotonic() - started < 300  # not the hours that the grid would take
    assert group_is_gone(process.pid, 300)


@pytest.mark.parametrize("executor", [0, -1, 1.5, True, "threads"])
def test_what_is_no_executor_is_refused(executor: Any) -> None:
    with pytest.raises(pfnlab.ParameterError, match=f"executor={executor!r}: must be None"):
        pfnlab.sweep(pfnlab.Trace(np.arange(3)), executor=executor)
    with pytest.raises(pfnlab.ParameterError, match=r"must return a concurrent\.futures"):
        pfnlab.sweep(pfnlab.Trace(np.arange(3)), executor=lambda: executor)


# ---- what is left behind


def group_is_gone(pid: int, within_seconds: float) -> bool:
    """Whether no process of a group is left after a while."""
    ends = time.monotonic() + within_seconds
    while subprocess.run(["pgrep", "-g", str(pid)], capture_output=True, check=False).stdout:
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.slow
def test_workers_end_with_a_driver_that_is_killed_alone(tmp_path: Path) -> None:
    process = kill_points.start(tmp_path, "processes")
    while not (tmp_path / "log").exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert group_is_gone(process.pid, 300)


@pytest.mark.slow
def test_a_script_without_its_guard_is_told_so(root: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import numpy, pfnlab\n"
        "pfnlab.sweep(pfnlab.Trace(numpy.arange(9)), executor=pfnlab.processes(1))\n"
    )
    done = subprocess.run(
        [sys.executable, str(program)], env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 1
    assert 'under `if __name__ == "__main__":`' in done.stderr.splitlines()[-1]
