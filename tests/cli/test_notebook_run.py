"""`pfnlab notebook`: strict parameters, several at once, and the same frames by three ways."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pfnlab
from pfnlab import frames
from pfnlab.cli import main
from pfnlab.notebooks import papermill_runs, sweep_request
from tests.commands import PFNLAB

#: Small, and every way has its trap: 1e-1 is text in YAML, and a granule is above a chunk.
GRID = """\
source: [zipf:n_events=2000, data/traces/sqlite.parquet]
region_bytes: 16GiB
granule_bytes_axis: [4KiB, 64KiB]
chunk_bytes_axis: [4KiB, 64KiB]
policy_axis: [lra, lru]
threshold_of_footprint_axis: [1e-1, 0.5]
"""


@pytest.fixture
def grid_file(tmp_path: Path) -> Path:
    path = tmp_path / "grid.yaml"
    path.write_text(GRID)
    return path


@pytest.mark.slow
def test_papermill_command_line_and_python_give_equal_frames(
    grid_file: Path, tmp_path: Path, root: Path
) -> None:
    """One file of parameters, four ways to run it."""
    out = {name: tmp_path / f"{name}.parquet" for name in ("papermill", "sweep")}
    folder = tmp_path / "run"
    for command in (
        ["papermill", "--no-progress-bar", "notebooks/sweep.ipynb", str(tmp_path / "p.ipynb"),
         "-f", str(grid_file), "-p", "out", str(out["papermill"])],
        ["pfnlab", "notebook", "run", "sweep", "-f", str(grid_file), "-o", str(folder)],
        ["pfnlab", "sweep", "-f", str(grid_file), "-o", str(out["sweep"])],
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=root, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
    expected = pd.concat(
        pfnlab.sweep(
            source,
            pfnlab.Params(region_bytes="16GiB"),
            costs="hvo-8s",
            skip_invalid=True,
            granule_bytes=["4KiB", "64KiB"],
            chunk_bytes=["4KiB", "64KiB"],
            policy=["lra", "lru"],
            threshold_of_footprint=[0.1, 0.5],
        )
        for source in (
            pfnlab.workload("zipf", n_events=2000),
            pfnlab.load(root / "data/traces/sqlite.parquet"),
        )
    ).reset_index(drop=True)
    assert len(expected) == 2 * 3 * 2 * 2
    paths = [*out.values(), folder / "sweep.parquet"]
    for path in paths:
        pd.testing.assert_frame_equal(pd.read_parquet(path), expected, check_exact=True)
    requests = [frames.about_frame(path)["request"] for path in paths]
    assert [request | {"out": None} for request in requests] == [requests[0] | {"out": None}] * 3
    assert len({json.dumps(frames.about_frame(path)["digests"]) for path in paths}) == 1


def test_the_notebook_of_any_grid_has_every_name() -> None:
    assert {*papermill_runs.parameters_of("sweep")} == {*sweep_request.NAMES}


def test_list_says_what_each_asks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["notebook", "list"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r'03_chunk_size +Which of the three sizes called "chunk" matters\?', said[3]
    )
    assert main(["notebook", "list", "--json"]) == 0
    every = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in every] == papermill_runs.known()
    assert every[-1]["parameters"]["chunk_bytes"] == "2MiB"


def test_a_mistake_in_a_file_names_the_file(
    grid_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid_file.write_text(f"{GRID}seed: -1\n")
    assert main(["notebook", "run", "sweep", "-f", str(grid_file)]) == 2
    assert f"{grid_file}: seed=-1: must be between" in capsys.readouterr().err


def test_no_checkout_no_notebooks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(papermill_runs, "FOLDER", tmp_path / "notebooks")
    assert main(["notebook", "list"]) == 2
    assert "no such folder; notebooks are run in a checkout" in capsys.readouterr().err


def ran(
    monkeypatch: pytest.MonkeyPatch, reasons: dict[str, Exception] | None = None
) -> list[papermill_runs.Job]:
    """Take note of what would be run, in place of running it; some fail."""
    jobs: list[papermill_runs.Job] = []

    def execute(self: Any, job: papermill_runs.Job) -> None:
        jobs.append(job)
        if reasons and job.name in reasons:
            raise reasons[job.name]

    monkeypatch.setattr(papermill_runs.Kernels, "execute", execute)
    return jobs


def test_names_times_files_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("one.yaml").write_text("seed: 1\nbatch_chunks: 3")
    Path("two.toml").write_text('seed = 2\nsource = ["zipf", "own.parquet"]')
    pfnlab.save(pfnlab.Trace(np.array([1])), "own.parquet")
    jobs = ran(monkeypatch)
    words = ["sweep", "03_chunk_size", "-f", "one.yaml", "-f", "two.toml", "-y", "batch_chunks: 5"]
    assert main(["notebook", "run", *words, "-p", "n_cpus", "9", "-o", "new"]) == 0
    found = {job.output.name: job.parameters for job in jobs}
    assert sorted(found) == [
        "03_chunk_size-one.ipynb", "03_chunk_size-two.ipynb", "sweep-one.ipynb", "sweep-two.ipynb",
    ]  # fmt: skip
    assert found["sweep-one.ipynb"] == {
        "seed": 1, "batch_chunks": 5, "n_cpus": 9, "out": str(tmp_path / "new/sweep-one.parquet"),
    }  # fmt: skip
    # Notebooks run in the root of the checkout, where a path of ours would not hold.
    assert found["sweep-two.ipynb"]["source"] == ["zipf", str(tmp_path / "own.parquet")]
    assert capsys.readouterr().err.count(": done; ") == 4


def test_one_that_fails_is_said_and_the_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = ran(monkeypatch, {"02_region_size": ValueError("its\nkernel died")})
    words = ["01_static_cost", "02_region_size", "03_chunk_size", "-o", str(tmp_path)]
    assert main(["notebook", "run", *words]) == 1
    assert len(jobs) == 3
    said = capsys.readouterr().err
    assert "02_region_size: failed, ValueError: its kernel died; " in said
    assert said.count(": done; ") == 2


@pytest.mark.slow
def test_a_failing_cell_is_named_and_its_notebook_kept(tmp_path: Path) -> None:
    """The trace is refused by the region, which only a replay can tell."""
    words = ["sweep", "-p", "region_bytes", "1MiB", "-p", "threshold_bytes", "2MiB"]
    words += ["-y", "threshold_of_footprint_axis: []", "-o", str(tmp_path)]
    done = subprocess.run(
        [*PFNLAB, "notebook", "run", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert re.fullmatch(
        r"pfnlab: sweep: failed, cell \d+: TraceError: pfn=.*; \S+/sweep.ipynb\n", done.stderr
    )
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.ipynb"]
    assert "TraceError" in (tmp_path / "sweep.ipynb").read_text()


@pytest.mark.slow
def test_ctrl_c_stops_every_kernel(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    words = ["sweep", "03_chunk_size", "-j", "2", "-p", "source", "zipf:50000000"]
    words += ["-y", f"n_cpus: 3\nbatch_chunks_axis: {list(range(1, 1000))}"]
    with subprocess.Popen(
        [*PFNLAB, "notebook", "run", *words, "-o", str(tmp_path)],
        stderr=subprocess.PIPE, text=True,
    ) as started:  # fmt: skip
        try:
            deadline = time.monotonic() + 300
            kernels: list[Any] = []
            while len(kernels) < 2 and time.monotonic() < deadline:
                time.sleep(0.1)
                kernels = psutil.Process(started.pid).children()
            started.send_signal(signal.SIGINT)
            _, errors = started.communicate(timeout=300)
        finally:
            started.kill()
    assert len(kernels) == 2
    assert (started.returncode, errors) == (130, "pfnlab: interrupted\n")
    assert not any(kernel.is_running() for kernel in kernels)
