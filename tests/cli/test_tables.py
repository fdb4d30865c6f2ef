"""``pfnlab schemes``, ``advise``, ``compare`` and ``report``: tables, refusals, exit statuses."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import pfnlab
from pfnlab.cli import main
from pfnlab.frames import ATTRIBUTE, read_rows, write_frame
from pfnlab.sweeps import SweepInterrupted
from pfnlab.sweeps.failures import Failed
from tests.commands import check_a_closed_pipe_is_quiet, check_ctrl_c_is_130

SMALL = "softirq:300"


def said(words: list[str], capsys: pytest.CaptureFixture[str], status: int = 0) -> str:
    assert main(words) == status
    return capsys.readouterr().out


# --- schemes -------------------------------------------------------------------------------------


@pytest.mark.kernel
def test_schemes_fit_a_terminal_and_reasons_stand_below(capsys: pytest.CaptureFixture[str]) -> None:
    table = said(["schemes", SMALL, "--region", "h200", "--chunk-bytes", "64KiB"], capsys)
    lines = table.splitlines()
    assert max(map(len, lines)) <= 120
    assert "region 131 GiB, 64 CPUs" in lines[0]
    assert "granule 4KiB, chunk 64KiB, threshold 1GiB, batch 1" in lines[1]
    rows = {line.split()[0]: line.split() for line in lines if line}
    assert rows["static_dram"][1:3] == ["2.05", "GiB"]
    assert rows["static_device"][-5:] == ["yes"] * 5
    assert rows["demand_opt"][1:] == ["NA"] * 10
    assert "demand_opt: policy=opt: must have granule_bytes = chunk_bytes" in table
    assert rows["scheme"][-5:] == ["_address", "_survives", "_refcount", "_safe", "_dram"]


@pytest.mark.kernel
def test_schemes_as_json_are_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["schemes", SMALL, "--names", "demand_lra,static_dram", "--costs", "hvo-8s", "--json"]
    rows = json.loads(said(words, capsys))
    trace = pfnlab.workload("softirq", n_events=300).trace(pfnlab.Params())
    expected = pfnlab.schemes(trace, costs="hvo-8s", names=["demand_lra", "static_dram"])
    assert [row["scheme"] for row in rows] == ["demand_lra", "static_dram"]
    for row, other in zip(rows, expected.to_dict("records"), strict=True):
        assert row["all_dram_bytes"] == other["all_dram_bytes"]
        assert row["event_ns"] == pytest.approx(other["event_ns"])
    assert {row["costs"] for row in rows} == {"hvo-8s"}


@pytest.mark.kernel
def test_schemes_are_kept_as_rows_or_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("schemes.parquet", "schemes.svg"):
        assert said(["schemes", SMALL, "-o", str(tmp_path / name)], capsys) == ""
        assert (tmp_path / name).stat().st_size > 1000
    assert len(read_rows(tmp_path / "schemes.parquet")) == 21


# --- advise --------------------------------------------------------------------------------------


@pytest.fixture
def small_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = {"threshold_of_footprint": (0.1, 0.5, 1.0), "policy": ("lra", "lru")}
    defaults = pfnlab.advise.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "grid", grid)


@pytest.mark.kernel
@pytest.mark.usefixtures("small_grid")
def test_advise_says_what_python_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    front = tmp_path / "front.svg"
    words = ["advise", SMALL, "--region", "h200", "--needs", "stable_address,shared_refcount"]
    text = said([*words, "--dram-budget", "8MiB", "-j", "1", "-o", str(front)], capsys)
    host = pfnlab.region("h200")
    needs = ["stable_address", "shared_refcount"]
    advice = pfnlab.advise(
        pfnlab.workload("softirq", n_events=300), host.params(), costs=host.costs(), needs=needs,
        dram_budget="8MiB",
    )  # fmt: skip
    assert text.split() == str(advice).split()
    assert max(map(len, text.splitlines())) <= 120
    assert b"<svg" in front.read_bytes()
    facts = json.loads(said([*words, "--dram-budget", "8MiB", "--json"], capsys))
    assert facts["scheme"] == advice.scheme
    assert facts["dram_budget_bytes"] == 8 << 20
    assert facts["needs"] == needs
    assert len(facts["front"]) == len(advice.front)


@pytest.mark.kernel
@pytest.mark.usefixtures("small_grid")
def test_advise_keeps_every_point(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "points.parquet"
    assert "Scheme:" in said(["advise", SMALL, "-o", str(path)], capsys)
    points = read_rows(path)
    assert {*points["policy"]} == {"lra", "lru"}
    assert "dram_bytes" in points


def test_what_was_finished_before_a_ctrl_c_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finished = pd.DataFrame({"source": ["softirq"], "faults": [3]})

    def interrupted(*arguments: Any, **options: Any) -> None:
        raise SweepInterrupted(finished, 9)

    monkeypatch.setattr("pfnlab.alternatives.advice.advise", interrupted)
    path = tmp_path / "points.parquet"
    assert main(["advise", SMALL, "-o", str(path)]) == 130
    assert "1 points" in capsys.readouterr().err
    pd.testing.assert_frame_equal(read_rows(path), finished, check_dtype=False)
    assert main(["advise", SMALL, "-o", str(tmp_path / "front.png")]) == 130
    assert [file.name for file in tmp_path.iterdir()] == ["points.parquet"]


def test_points_that_fail_are_3_and_the_others_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finished = pd.DataFrame({"source": ["softirq"], "faults": [3]})
    failed = Failed(pfnlab.Params(), "", 0.0, "was killed")

    def fails(*arguments: Any, **options: Any) -> None:
        raise pfnlab.PointError(finished, [failed], ["chunk_bytes"])

    monkeypatch.setattr("pfnlab.alternatives.advice.advise", fails)
    path = tmp_path / "points.parquet"
    assert main(["advise", SMALL, "-o", str(path)]) == 3
    assert "chunk_bytes=2097152: was killed" in capsys.readouterr().err
    assert len(read_rows(path)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.5, 1.5])
@pytest.mark.parametrize("command", ["advise", "schemes"])
def test_ctrl_c_is_130(command: str, seconds: float) -> None:
    check_ctrl_c_is_130([command, "zipf:60000000"], seconds)


# --- compare -------------------------------------------------------------------------------------


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """Two frames of a sweep, in a folder."""
    folder = tmp_path / "before"
    about = {"source": "zipf", "evidence": "proxy", "n_cpus": 64, "costs": "hvo-8s"}
    frame = pd.DataFrame(about | {"chunk_bytes": [4096, 65536], "faults": [7, 5]})
    for name in ("one", "two"):
        write_frame(frame, folder / f"{name}.parquet")
    return folder


def test_equal_results_are_0(before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    after = shutil.copytree(before, before.with_name("after"))
    frame = read_rows(after / "one.parquet")
    write_frame(frame.iloc[::-1], after / "one.parquet")
    text = said(["compare", str(before), str(after)], capsys)
    assert text == "one.parquet: equal (2 rows)\ntwo.parquet: equal (2 rows)\n"
    facts = json.loads(said(["compare", "--json", str(before), str(after)], capsys))
    assert facts["equal"] is True
    (after / "two.parquet").unlink()
    assert f"only in {before}: two.parquet" in said(["compare", str(before), str(after)], capsys, 1)


def test_different_results_are_1_and_named(
    before: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    after = shutil.copytree(before, before.with_name("after"))
    frame = read_rows(after / "one.parquet")
    write_frame(frame.assign(faults=[7, 10], n_cpus=128), after / "one.parquet")
    (after / "two.parquet").rename(after / "three.parquet")
    lines = said(["compare", str(before), str(after)], capsys, 1).splitlines()
    assert lines[:2] == [f"only in {after}: three.parquet", f"only in {before}: two.parquet"]
    assert lines[2] == "one.parquet: differs (2 and 2 rows, 2 paired)"
    assert lines[3].endswith("parameters  n_cpus 64 -> 128 in every row")
    assert lines[4].endswith("faults 5 -> 10 (x 2)  [chunk_bytes 64KiB]")
    assert len(lines) == 5
    facts = json.loads(said(["compare", "--json", str(before), str(after)], capsys, 1))
    (one,) = facts["frames"]
    assert one["constants"] == {"n_cpus": [64, 128]}
    assert [cell["column"] for cell in one["cells"]] == ["faults"]
    assert len(facts["alone"]) == 2


def test_only_the_largest_changes_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.DataFrame({"source": "zipf", "seed": range(50), "faults": 100})
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    write_frame(frame, first)
    write_frame(frame.assign(faults=range(101, 151)), second)
    text = said(["compare", str(first), str(second), "--most", "2"], capsys, 1)
    assert "faults 100 -> 150 (+50%)  [seed 49]" in text
    assert "50 in 50 rows, of which the largest 2 are shown" in text
    assert text.count("->") == 2


def test_versions_are_said_and_no_difference(
    before: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pfnlab.frames.version", lambda name: "99")
    other = before / "other.parquet"
    write_frame(read_rows(before / "one.parquet"), other)
    text = said(["compare", str(before / "one.parquet"), str(other)], capsys)
    assert "one.parquet, other.parquet: equal (2 rows)" in text
    assert "made with   numba" in text


def test_a_trace_that_changed_is_said(before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = read_rows(before / "one.parquet")
    for name, digest in (("one", "a" * 64), ("two", "b" * 64)):
        about = {"digests": {"x.parquet": digest}, "request": {"out": name}}
        frame.attrs[ATTRIBUTE] = json.dumps(about)
        write_frame(frame, before / f"{name}.parquet")
    text = said(["compare", *map(str, sorted(before.iterdir()))], capsys)
    assert "made with   digests.x.parquet aaaaaaaaaaaa -> bbbbbbbbbbbb" in text
    assert "request" not in text


def test_recorded_measurements_can_be_compared(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = str(root / "data" / "measured")
    assert said(["compare", measured, measured], capsys).count(": equal") >= 5
    bench = str(root / "benchmarks" / "results.parquet")
    assert "equal" in said(["compare", bench, bench], capsys)


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    frame = pd.DataFrame({"source": "zipf", "seed": range(30_000), "faults": 1})
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    write_frame(frame, paths[0])
    write_frame(frame.assign(faults=2), paths[1])
    check_a_closed_pipe_is_quiet("compare", *map(str, paths), "--most", "30000")


# --- report --------------------------------------------------------------------------------------


def test_report_says_where_it_is(before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(["report", str(before)], capsys) == f"{before / 'report.html'}\n"
    target = before / "mine.html"
    assert said(["report", str(before / "one.parquet"), "-o", str(target)], capsys) == f"{target}\n"
    assert "one.parquet" in target.read_text()
