"""`pfnlab replay` and `pfnlab sweep`: flags, files, frames made again, and how each can end."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pfnlab
from pfnlab import frames, sweeps
from pfnlab.cli import flags, main
from pfnlab.engine.result import COUNTERS, DERIVED
from pfnlab.notebooks import sweep_request
from pfnlab.notebooks.parameter_files import read_parameters
from pfnlab.params import PARAMETERS
from pfnlab.traces.workloads import workload_of
from tests.commands import PFNLAB

KIB, MIB = 1 << 10, 1 << 20
GRID = """\
source: zipf:n_events=2000,seed=7
region_bytes: 1GiB
threshold_bytes: 4MiB
granule_bytes_axis: [4KiB, 2MiB]
chunk_bytes_axis: [64KiB, 2MiB]
threshold_of_footprint_axis: [1e-1, 0.5]
"""
#: The same by flags: a granule above its chunk is left out.
FLAGS = [
    *("zipf:n_events=2000,seed=7", "--region-bytes", "1GiB", "--threshold-of-footprint", "0.1,0.5"),
    *("--granule-bytes", "4KiB,2MiB", "--chunk-bytes", "64KiB,2MiB"),
]


@pytest.fixture
def trace_file(tmp_path: Path) -> Path:
    return pfnlab.save(pfnlab.Trace(np.arange(5000) * 40 % 200_000), tmp_path / "trace.parquet")


@pytest.fixture
def grid_file(tmp_path: Path) -> Path:
    path = tmp_path / "grid.yaml"
    path.write_text(GRID)
    return path


def by_python() -> pd.DataFrame:
    """The frame of `GRID`, by the public functions alone."""
    return pfnlab.sweep(
        pfnlab.workload("zipf", n_events=2000, seed=7),
        pfnlab.Params(region_bytes="1GiB", threshold_bytes="4MiB"),
        costs="hvo-8s",
        skip_invalid=True,
        granule_bytes=["4KiB", "2MiB"],
        chunk_bytes=["64KiB", "2MiB"],
        threshold_of_footprint=[0.1, 0.5],
    )


# --- replay -----------------------------------------------------------------------------------


@pytest.mark.kernel
def test_replay_says_what_the_replay_counted(
    trace_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["replay", str(trace_file), "--region-bytes", "1GiB", "--threshold-bytes", "2MiB"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    params = pfnlab.Params(region_bytes="1GiB", threshold_bytes="2MiB")
    result = pfnlab.replay(pfnlab.load(trace_file), params)
    assert {name: found[name] for name in (*COUNTERS, *DERIVED)} == result.counts()
    assert {name: found[name] for name in PARAMETERS} == params.as_dict()
    assert found["event_ns"] == result.cost("hvo-8s").event_ns
    assert main(words) == 0
    said = capsys.readouterr().out
    assert f"{result.faults:,} faults ({result.miss_ratio:.2%})" in said
    assert f"{result.shootdowns:,} (" in said
    assert said.startswith("mine: 5,000 events, proxy\n")


# --- What is swept ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("4KiB", [4 * KIB]),
        ("4KiB,2MiB", [4 * KIB, 2 * MIB]),
        ("64KiB..256KiB", [64 * KIB, 128 * KIB, 256 * KIB]),
        ("4KiB, 64KiB..128KiB", [4 * KIB, 64 * KIB, 128 * KIB]),
        ("4KiB..4KiB", [4 * KIB]),
    ],
)
def test_a_flag_has_several_values(text: str, values: list[int]) -> None:
    assert flags.values_of(text, PARAMETERS["chunk_bytes"].read) == values


@pytest.mark.parametrize("text", ["64KiB..4KiB", "4KiB..", "..4KiB", "4KiB,,8KiB", ",", ""])
def test_bad_values_are_refused(text: str) -> None:
    with pytest.raises(pfnlab.ParameterError):
        flags.values_of(text, PARAMETERS["chunk_bytes"].read)
    with pytest.raises(pfnlab.ParameterError, match=re.escape("axis='3..7': must double")):
        flags.values_of("3..7", PARAMETERS["batch_chunks"].read)


@pytest.mark.kernel
def test_flags_files_and_python_say_the_same(grid_file: Path, tmp_path: Path) -> None:
    expected = by_python()
    assert len(expected) == 6
    out = tmp_path / "frame.parquet"
    for words in (["-f", str(grid_file)], [*FLAGS, "-j", "1"], [*FLAGS, "--executor", "threads"]):
        assert main(["sweep", *words, "-o", str(out)]) == 0
        frame = pd.read_parquet(out)
        frame["threshold_bytes"] = frame["threshold_bytes"].astype(
            expected["threshold_bytes"].dtype
        )
        pd.testing.assert_frame_equal(frame, expected, check_exact=True)
        out.unlink()


@pytest.mark.kernel
@pytest.mark.parametrize("suffix", ["yaml", "toml"])
def test_written_parameters_are_the_sweep(suffix: str, grid_file: Path, tmp_path: Path) -> None:
    written, out = tmp_path / f"all.{suffix}", tmp_path / "frame.parquet"
    words = ["-f", str(grid_file), "--batch-chunks", "3", "--write-parameters", str(written)]
    assert main(["sweep", *words, "-o", str(out)]) == 0
    parameters = read_parameters(written)
    assert {*parameters} == {*sweep_request.NAMES}
    assert (parameters["batch_chunks"], parameters["out"]) == (3, str(out))
    first = pd.read_parquet(out)
    assert set(first["batch_chunks"]) == {3}
    out.unlink()
    assert main(["sweep", "-f", str(written)]) == 0  # it names its `out`
    pd.testing.assert_frame_equal(pd.read_parquet(out), first, check_exact=True)


@pytest.mark.kernel
def test_flags_overrule_the_file(grid_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "frame.parquet"
    words = ["uniform:500", "--chunk-bytes", "2MiB", "--threshold-bytes", "2MiB", "--seed", "1,2"]
    assert main(["sweep", "-f", str(grid_file), *words, "-o", str(out)]) == 0
    frame = pd.read_parquet(out)
    assert frame["seed"].tolist() == [1, 2] * 2
    assert set(frame["source"]) == {"uniform"}
    assert set(frame["threshold_bytes"]) == set(frame["chunk_bytes"]) == {2 * MIB}


@pytest.mark.kernel
def test_a_table_for_people_and_rows_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", *FLAGS]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "6 points, region_bytes 1GiB, policy lra, costs hvo-8s"
    assert said[1].split()[:3] == ["granule_bytes", "chunk_bytes", "threshold_of_footprint"]
    assert len(said) == 8
    assert main(["sweep", *FLAGS, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == by_python().to_dict("records")


@pytest.mark.kernel
def test_several_sources_and_regions(trace_file: Path, tmp_path: Path) -> None:
    """A trace is spread over every region, as in the notebooks; as it is, it would not fit in."""
    pfnlab.save(pfnlab.Trace(np.arange(5000) % 6 * 300_000), trace_file)
    out = tmp_path / "frame.parquet"
    words = [
        str(trace_file),
        "uniform:50",
        "--region-bytes",
        "1GiB,4GiB",
        "--threshold-bytes",
        "2MiB",
    ]
    assert main(["sweep", *words, "-o", str(out)]) == 0
    frame = pd.read_parquet(out)
    assert frame["source"].tolist() == ["mine", "mine", "uniform", "uniform"]
    placed = pfnlab.load(trace_file, stream=False).placed("1GiB", "spread")
    params = pfnlab.Params(threshold_bytes="2MiB")
    expected = pfnlab.sweep(placed, params, costs="hvo-8s", region_bytes=["1GiB", "4GiB"])
    pd.testing.assert_frame_equal(frame.head(2), expected, check_exact=True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["zipf:9", "TRACE", "--region-bytes", "64MiB"], "must be in the region"),
        (["zipf:9", "gpu_tensors:9", "--region-bytes", "1GiB"], "for gpu_tensors"),
        (["zipf:9", "TRACE", "--region-bytes", "64MiB,1GiB"], "must hold the touched areas"),
    ],
)
def test_a_source_that_does_not_fit_is_refused_before_another_is_replayed(
    words: list[str],
    message: str,
    trace_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sweep_request, "sweep", None)
    words = [str(trace_file) if word == "TRACE" else word for word in words]
    assert main(["sweep", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_mistake_in_a_file_names_the_file(
    grid_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for line, message in (
        ("chunk_byte: 1", "chunk_byte=1: no such parameter; did you mean 'chunk_bytes'"),
        ("batch_chunks_axis: [0]", "batch_chunks=0: must be between"),
        ("costs: hvo", "costs='hvo': no such preset"),
    ):
        grid_file.write_text(f"{GRID}{line}\n")
        assert main(["sweep", "-f", str(grid_file)]) == 2
        assert f"{grid_file}: {message}" in capsys.readouterr().err
    grid_file.write_text(GRID)
    assert main(["sweep", "-f", str(grid_file), "--batch-chunks", "0"]) == 2
    assert str(grid_file) not in capsys.readouterr().err


def test_what_can_not_be_written_is_1_before_anything_is_replayed(
    grid_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sweep_request, "sweep", None)
    assert main(["sweep", "-f", str(grid_file), "-o", f"{grid_file}/frame.parquet"]) == 1
    assert "can't be written" in capsys.readouterr().err


def test_a_cluster_needs_its_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["sweep", "zipf", "--executor", "dask:tcp://127.0.0.1:1"]) == 2
    assert "needs dask.distributed: pip install 'pfnlab[dask]'" in capsys.readouterr().err


@pytest.mark.kernel
def test_a_dry_run_writes_nothing_and_says_what_it_would_take(
    grid_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(sweep_request, "sweep", None)
    words = ["-f", str(grid_file), "--dry-run", "-o", str(tmp_path / "new" / "frame.parquet")]
    words += ["--write-parameters", str(tmp_path / "all.yaml"), "--store", str(tmp_path / "store")]
    assert main(["sweep", *words]) == 0
    said = capsys.readouterr().out
    assert re.fullmatch(
        r"6 points of zipf:n_events=2000,seed=7 in \d passes: about .* and .*B, by a sample of "
        r"[\d,]+ events\n",
        said,
    )
    assert [path.name for path in tmp_path.iterdir()] == ["grid.yaml"]


@pytest.mark.kernel
def test_a_store_is_gone_on_from(grid_file: Path, tmp_path: Path) -> None:
    words = ["sweep", "-f", str(grid_file), "--store", str(tmp_path / "store")]
    for name in ("one", "two"):
        assert main([*words, "-o", str(tmp_path / f"{name}.parquet")]) == 0
    one, two = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, by_python(), check_exact=True)
    pd.testing.assert_frame_equal(two, by_python(), check_exact=True)


def test_processes_say_the_same(grid_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "frame.parquet"
    words = ["sweep", "-f", str(grid_file), "--executor", "processes", "-j", "2", "-o", str(out)]
    done = subprocess.run([*PFNLAB, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, f"pfnlab: wrote {out}\n")
    pd.testing.assert_frame_equal(pd.read_parquet(out), by_python(), check_exact=True)


def test_a_cluster_says_the_same(grid_file: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    out = tmp_path / "frame.parquet"
    with distributed.LocalCluster(
        n_workers=1, processes=False, dashboard_address=":0", threads_per_worker=1
    ) as cluster:
        where = f"dask:{cluster.scheduler_address}"
        assert main(["sweep", "-f", str(grid_file), "--executor", where, "-o", str(out)]) == 0
    pd.testing.assert_frame_equal(pd.read_parquet(out), by_python(), check_exact=True)


# --- Frames that are made again ---------------------------------------------------------------


@pytest.mark.kernel
def test_a_frame_is_made_again(
    trace_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, again = tmp_path / "first.parquet", tmp_path / "again.parquet"
    words = [str(trace_file), "zipf:100", "--region-bytes", "1GiB", "--batch-chunks", "1,2"]
    assert main(["sweep", *words, "-o", str(first)]) == 0
    assert main(["sweep", "--from", str(first), "-o", str(again)]) == 0
    assert "first.parquet has the same rows, bit for bit" in capsys.readouterr().err
    pd.testing.assert_frame_equal(pd.read_parquet(first), pd.read_parquet(again), check_exact=True)
    requests = [frames.about_frame(path)["request"] for path in (first, again)]
    assert requests[1] == requests[0] | {"out": str(again)}
    assert main(["sweep", "--from", str(again), "-o", str(again)]) == 0  # onto itself


@pytest.mark.kernel
def test_a_changed_trace_is_refused(
    trace_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = tmp_path / "frame.parquet"
    assert main(["sweep", str(trace_file), "--region-bytes", "1GiB", "-o", str(frame)]) == 0
    pfnlab.save(pfnlab.Trace(np.arange(5000) * 40 % 200_000 + 1), trace_file)
    assert main(["sweep", "--from", str(frame)]) == 2
    assert f"{trace_file}: its events are not those that" in capsys.readouterr().err


@pytest.mark.kernel
def test_other_rows_are_said_and_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "frame.parquet"
    assert main(["sweep", "zipf:100", "--batch-chunks", "1,2", "-o", str(path)]) == 0
    whole = pd.read_parquet(path)
    frames.write_frame(whole.assign(hits=whole["hits"] + 1), path)
    assert main(["sweep", "--from", str(path)]) == 1
    assert "frame.parquet has other values of hits" in capsys.readouterr().err
    frames.write_frame(whole.head(1), path)  # as an interrupted sweep leaves it
    assert main(["sweep", "--from", str(path), "-o", str(path)]) == 0
    assert "frame.parquet has 1 rows, these are 2" in capsys.readouterr().err
    assert main(["sweep", "--from", str(path)]) == 0


def test_a_frame_that_does_not_say_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = frames.write_frame(pd.DataFrame({"a": [1]}), tmp_path / "frame.parquet")
    assert main(["sweep", "--from", str(path)]) == 2
    assert "frame.parquet: does not say what was asked for" in capsys.readouterr().err
    frame = pd.DataFrame({"a": [1]})
    frame.attrs[frames.ATTRIBUTE] = json.dumps({"request": {"source": "zipf", "seed": -1}})
    frames.write_frame(frame, path)
    assert main(["sweep", "--from", str(path)]) == 2
    assert f"{path}: seed=-1: must be between" in capsys.readouterr().err


# --- How a sweep ends -------------------------------------------------------------------------


def failing(frame: pd.DataFrame, params: pfnlab.Params) -> Any:
    def sweep(source: Any, *_: Any, **__: Any) -> pd.DataFrame:
        failed = [sweeps.Failed(params.replace(chunk_bytes="64KiB"), "", 0.0, "its worker died")]
        raise sweeps.PointError(frame, failed, ["chunk_bytes"])

    return sweep


@pytest.mark.kernel
def test_failed_points_are_named_the_others_kept_and_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "frame.parquet"
    rows = pfnlab.sweep(pfnlab.workload("zipf", n_events=10))
    monkeypatch.setattr(sweep_request, "sweep", failing(rows, pfnlab.Params()))
    words = ["sweep", "zipf", "uniform", "--chunk-bytes", "64KiB,2MiB"]
    assert main([*words, "-o", str(path)]) == 3
    said = capsys.readouterr().err
    for name in ("zipf", "uniform"):
        assert f"pfnlab: failed: chunk_bytes=64KiB: {name}: its worker died\n" in said
    assert len(pd.read_parquet(path)) == 2  # one row of each source
    assert main([*words, "--json"]) == 3
    assert len(json.loads(capsys.readouterr().out)) == 2


@pytest.mark.kernel
def test_an_interrupt_keeps_the_rows_of_every_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "frame.parquet"
    rows = pfnlab.sweep(pfnlab.workload("zipf", n_events=10), batch_chunks=[1, 2])

    def sweep(source: Any, *_: Any, **__: Any) -> pd.DataFrame:
        if source.name == "uniform":
            raise sweeps.SweepInterrupted(rows.head(1), 2)
        return rows

    monkeypatch.setattr(sweep_request, "sweep", sweep)
    words = ["sweep", "zipf", "uniform", "sequential", "--batch-chunks", "1,2"]
    assert main([*words, "-o", str(path)]) == 130
    assert f"3 of 6 rows are finished, in {path}" in capsys.readouterr().err
    assert len(pd.read_parquet(path)) == 3
    assert frames.about_frame(path)["request"]["batch_chunks_axis"] == [1, 2]
    assert main(words) == 130
    assert "-o or --store would have kept them" in capsys.readouterr().err


def test_ctrl_c_keeps_what_is_finished(tmp_path: Path) -> None:
    """In a real process, which is told when its first row is there."""
    code = (
        "import sys\n"
        "from pfnlab.sweeps.rows import Table\n"
        "from pfnlab.cli import main\n"
        "put = Table.put\n"
        "def told(self, index, row):\n"
        "    put(self, index, row)\n"
        "    print('row', flush=True)\n"
        "Table.put = told\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    path = tmp_path / "frame.parquet"
    words = ["sweep", "zipf:3000000", "--threshold-of-footprint", "0.1", "-o", str(path), "-j", "1"]
    axes = ["--seed", ",".join(map(str, range(500)))]
    with subprocess.Popen(
        [sys.executable, "-c", code, *words, *axes], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    ) as started:  # fmt: skip
        assert started.stdout is not None
        assert started.stdout.readline() == "row\n"
        started.send_signal(signal.SIGINT)
        _, errors = started.communicate(timeout=300)
    assert started.returncode == 130, errors
    found = re.search(r"(\d+) of 500 rows are finished, in ", errors)
    assert found
    assert "Traceback" not in errors
    frame = pd.read_parquet(path)
    assert 1 <= len(frame) == int(found[1]) < 500
    assert frame["seed"].tolist() == list(range(len(frame)))
    assert [entry.name for entry in tmp_path.iterdir()] == ["frame.parquet"]


def test_exit_statuses_of_real_processes(tmp_path: Path) -> None:
    for words, status, message in (
        (["sweep", "zipf:50", "--seed", "1,2"], 0, ""),
        (["sweep", "zipff"], 2, "pfnlab: source='zipff': no such workload"),
        (["sweep", "--chunk-byte"], 2, "expected one argument"),
        (["sweep", "zipf", "--nothing"], 2, "unrecognized arguments: --nothing"),
        (["replay", "zipf:50"], 0, ""),
        (["replay"], 2, "required: SOURCE"),
    ):
        done = subprocess.run(
            [*PFNLAB, *words], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == status, done.stderr
        assert message in done.stderr
        assert (done.stderr == "") == (status == 0)
        assert (done.stdout == "") == (status != 0)


def test_a_closed_pipe_is_quiet() -> None:
    words = ["sweep", "zipf:10", "--n-cpus", ",".join(map(str, range(1, 3001))), "--json"]
    read, write = os.pipe()
    with subprocess.Popen([*PFNLAB, *words], stdout=write, stderr=subprocess.PIPE) as started:
        os.close(write)
        os.close(read)
        assert started.stderr is not None
        assert started.stderr.read() == b""
    assert started.returncode == 0


def test_options_are_declared_without_heavy_imports() -> None:
    code = (
        "import sys\nfrom pfnlab.cli import main\n"
        "for words in (['sweep'], ['replay'], ['notebook', 'run'], ['notebook', 'list']):\n"
        "    try: main([*words, '--help'])\n"
        "    except SystemExit as stop: assert stop.code == 0\n"
        "heavy = ('matplotlib', 'numba', 'numpy', 'pandas', 'papermill', 'pyarrow', 'yaml')\n"
        "assert not [name for name in heavy if name in sys.modules]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- Frames of pfnlab.sweep -------------------------------------------------------------------


@pytest.mark.parametrize("source", ["zipf:n_events=3000,seed=5", "trace", "streamed", "spread"])
@pytest.mark.parametrize("costs", [None, "uffd-proto"])
@pytest.mark.parametrize("writer", ["pandas", "pfnlab"])
def test_a_frame_from_python_can_be_made_again(
    source: str, costs: str | None, writer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace.parquet"
    pfnlab.save(pfnlab.Trace(np.arange(3000) % 900 * 64, name="mine"), path)
    axes: dict[str, Any] = {"chunk_bytes": ["64KiB", 2**21], "threshold_fraction": [1e-4, 1e-3]}
    sources: dict[str, Any] = {
        "trace": lambda: pfnlab.load(path),
        "streamed": lambda: pfnlab.load(path, stream=True),
        "spread": lambda: pfnlab.load(path, stream=False).placed("1GiB", "spread"),
    }
    axes |= {"region_bytes": ["1GiB", "2GiB"]} if source == "spread" else {}
    found = sources.get(source, lambda: workload_of(source))()
    frame = pfnlab.sweep(found, costs=costs, **axes)
    kept = tmp_path / "frame.parquet"
    if writer == "pandas":
        frame.to_parquet(kept)
    else:
        frames.write_frame(frame, kept)
    assert main(["sweep", "--from", str(kept), "-o", str(tmp_path / "again.parquet")]) == 0
    assert "has the same rows, bit for bit" in capsys.readouterr().err


def test_a_frame_of_a_trace_in_memory_can_not_be_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "frame.parquet"
    frames.write_frame(pfnlab.sweep(pfnlab.Trace(np.arange(9)), batch_chunks=[1]), kept)
    assert main(["sweep", "--from", str(kept)]) == 2
    assert "does not say what was asked for" in capsys.readouterr().err


def test_a_damaged_store_is_told_in_a_line(tmp_path: Path) -> None:
    command = [*PFNLAB, "sweep", "zipf:3000", "--store", str(tmp_path), "-o"]
    subprocess.run([*command, str(tmp_path / "a.parquet")], check=True, capture_output=True)
    (part,) = (tmp_path / "parts").iterdir()
    part.write_bytes(b"garbage")
    done = subprocess.run(
        [*command, str(tmp_path / "b.parquet")], check=True, capture_output=True, text=True
    )
    first, second = done.stderr.splitlines()
    assert re.fullmatch(rf"pfnlab: {part} is damaged .*; its points are replayed again", first)
    assert second == f"pfnlab: wrote {tmp_path / 'b.parquet'}"
