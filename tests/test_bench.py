"""The benchmarks' own machinery: fake contestants, a fake clock, and the table they give."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from benchmarks import __main__ as bench
from benchmarks import report
from benchmarks.peers import OracleFile, cachetools_misses, plain_fifo
from benchmarks.race import AbsentError, Contestant, Line, Mark, Race, WrongAnswerError, run_race
from benchmarks.rows import Row, rows
from benchmarks.traces import QUICK, Scale, run

Seconds = Mapping[str, list[float]]


class Stage:
    """Contestants whose runs take the seconds they are told to, on a clock of their own."""

    def __init__(self, seconds: Seconds) -> None:
        self.now, self.order = 0.0, list[str]()
        self._left: dict[str, Iterator[float]] = {n: iter(s) for n, s in seconds.items()}

    def clock(self) -> float:
        return self.now

    def contestant(self, name: str, *, answer: object = 7, **about: Any) -> Contestant:
        def perform() -> object:
            self.order.append(name)
            self.now += next(self._left[name])
            return answer

        def take(value: object) -> dict[str, Any]:
            self.now += 1000  # must not be timed
            return {"misses": value}

        return Contestant(name=name, run=perform, answer=take, warm=False, **about)


def fake(first: list[float], second: list[float], **about: Any) -> tuple[Stage, Race]:
    stage = Stage({"mine": first, "theirs": second})
    mine = stage.contestant("mine", n=6_000_000)
    return stage, Race(contestants=[mine, stage.contestant("theirs", n=2_000_000, **about)])


def test_contestants_alternate_and_ratios_are_of_one_repetition() -> None:
    stage, race = fake([1, 2, 3], [4, 1, 2], mark=Mark(1.9))
    (line,) = run_race("row", race, 3, stage.clock)
    assert stage.order == ["mine", "theirs"] * 3
    # 6, 3, 2 M/s against 0.5, 2, 1 M/s: ratios 12, 1.5, 2 (of the medians it would be 3).
    assert (line.subject_median, line.peer_median) == (3.0, 1.0)
    assert (line.ratio, line.ratio_min, line.ratio_max) == (2.0, 1.5, 12.0)
    assert (line.mark, line.reached, line.repetitions) == (">= 1.9 x", True, 3)


def test_a_missed_mark_is_missed() -> None:
    stage, race = fake([1], [1], mark=Mark(3.5))
    assert run_race("row", race, 1, stage.clock)[0].reached is False


def test_times_are_compared_as_speeds() -> None:
    stage, race = fake([2], [8])
    line = run_race("row", Race(contestants=race.contestants, unit="s"), 1, stage.clock)[0]
    assert (line.subject_median, line.peer_median, line.ratio) == (2.0, 8.0, 4.0)


def test_a_contestant_alone_is_judged_by_its_figure() -> None:
    stage = Stage({"mine": [2, 1, 9]})
    mine = stage.contestant("mine", mark=Mark(1.5, "s", at_most=True))
    race = Race(contestants=[mine], expected={"misses": 7}, unit="s")
    (line,) = run_race("row", race, 3, stage.clock)
    assert (line.subject_median, line.reached, line.ratio, line.peer) == (2.0, False, None, "")


def test_a_measured_figure_has_the_unit_of_its_mark() -> None:
    stage = Stage({"mine": [1]})
    mark = Mark(1024, "MiB", at_most=True)
    mine = stage.contestant("mine", mark=mark, measured=lambda _: 12.5)
    (line,) = run_race("row", Race(contestants=[mine], expected={"misses": 7}), 1, stage.clock)
    assert (line.subject_median, line.unit, line.reached) == (12.5, "MiB", True)


def test_a_warm_contestant_runs_once_untimed_and_is_checked() -> None:
    runs: list[int] = []
    mine = Contestant(
        name="mine", run=lambda: runs.append(1), answer=lambda _: {"runs": len(runs) > 0}
    )
    run_race("row", Race(contestants=[mine], expected={"runs": True}), 2)
    assert len(runs) == 3


@pytest.mark.parametrize("when", [0, 1])
def test_a_wrong_answer_is_named_whenever_it_is_given(when: int) -> None:
    answers = iter([8 if i == when else 7 for i in range(2)])
    stage = Stage({"mine": [1, 1], "theirs": [1, 1]})
    theirs = replace(stage.contestant("theirs"), answer=lambda _: {"misses": next(answers)})
    race = Race(contestants=[stage.contestant("mine"), theirs])
    with pytest.raises(WrongAnswerError, match=r"row: theirs says misses = 8, mine 7"):
        run_race("row", race, 2, stage.clock)


def test_an_answer_that_nobody_checks_is_refused() -> None:
    stage = Stage({"mine": [1]})
    with pytest.raises(WrongAnswerError, match="nothing checks the answer of mine"):
        run_race("row", Race(contestants=[stage.contestant("mine")]), 1, stage.clock)


def a_line(**changes: Any) -> Line:
    about: dict[str, Any] = {
        "row": "zs15/lra", "subject": "pfnlab", "peer": "libCacheSim", "n": 20_000_000,
        "unit": "M/s", "subject_median": 832.4, "peer_median": 23.81, "ratio": 34.96,
        "ratio_min": 28.0, "ratio_max": 44.0, "mark": ">= 30 x", "reached": True,
        "repetitions": 5, "note": "",
    }  # fmt: skip
    return Line(**{**about, **changes})


def test_the_table_reads_as_people_expect() -> None:
    lines = [a_line(), a_line(row="other", reached=False, note="why"),
             a_line(peer="", peer_median=None, ratio=None, reached=None, mark="")]  # fmt: skip
    text = report.markdown(lines, {"date": "2026-01-02", "numba": "0.1"}, ["x: skipped"])
    first, second, alone = [line for line in text.splitlines() if "pfnlab |" in line]
    assert first == (
        "| zs15/lra | pfnlab | libCacheSim | 20,000,000 | 832.4 M/s | 23.81 M/s "
        "| 35 [28-44] | >= 30 x | met |"
    )
    assert second.endswith("| **missed** |")
    assert alone == "| zs15/lra | pfnlab |  | 20,000,000 | 832.4 M/s |  |  |  |  |"
    for item in ("* date: 2026-01-02", "* numba: 0.1", "* other: why", "* x: skipped"):
        assert item in text.splitlines()


def test_the_files_hold_lines_machine_and_versions(tmp_path: Path) -> None:
    facts = report.about()
    assert {"date", "machine", "kernel", "python", *report.PACKAGES} == set(facts)
    report.write(tmp_path, [a_line()], facts, [])
    assert "| zs15/lra |" in (tmp_path / "RESULTS.md").read_text()
    written = pd.read_parquet(tmp_path / "results.parquet")
    assert written.to_dict("records") == report.frame_of([a_line()]).to_dict("records")
    metadata = pq.read_schema(tmp_path / "results.parquet").metadata
    assert json.loads(metadata[report.METADATA_KEY]) == facts


def broken(error: BaseException) -> Callable[[Scale], Race]:
    def build(scale: Scale) -> Race:
        raise error

    return build


@pytest.mark.parametrize(
    ("error", "code", "remark"),
    [
        (AbsentError("no such thing"), 0, "b: skipped: no such thing"),
        (WrongAnswerError("7 is not 8"), 1, "b: WRONG ANSWER: 7 is not 8"),
        (OSError("disk"), 1, "b: FAILED: OSError: disk"),
        (KeyboardInterrupt(), 130, "interrupted after 1 of 3 rows"),
    ],
)
def test_what_is_finished_is_kept(error: BaseException, code: int, remark: str) -> None:
    def fine(scale: Scale) -> Race:
        return fake([1] * 3, [1] * 3)[1]

    todo = [Row("a", fine), Row("b", broken(error)), Row("c", fine)]
    lines, remarks, found = bench.run_rows(todo, QUICK)
    assert (found, remarks) == (code, [remark])
    assert [line.row for line in lines] == (["a"] if code == 130 else ["a", "c"])


def test_rows_have_names_of_their_own_and_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    names = [row.name for row in rows()]
    assert len(set(names)) == len(names)
    assert bench.main(["--list"]) == 0
    assert capsys.readouterr().out.split("\n")[:-1] == names
    assert bench.main(["--only", "no such row"]) == 2


def test_run_is_half_single_accesses_half_runs() -> None:
    pfns = run(100_000).pfns.astype(int)
    assert len(pfns) == 100_000
    breaks = [0, *(i for i in range(1, len(pfns)) if pfns[i] != pfns[i - 1] + 1), len(pfns)]
    lengths = [b - a for a, b in pairwise(breaks)]
    assert 0.4 < lengths.count(1) / len(lengths) < 0.6
    assert 250 < max(lengths) <= 512


@pytest.mark.parametrize(
    "name",
    ["run15/lra", "run15/sweep", "run/shape 10 %", "zs/get and put", "run/sweep of the shape"],
)
def test_a_row_agrees_with_its_peers(name: str) -> None:
    for package in ("libcachesim", "cachetools"):
        pytest.importorskip(package)
    (row,) = [row for row in rows() if row.name == name]
    assert run_race(name, row.build(Scale(20_000, 1, 20_000)), 1)


def farthest(chunks: list[int], capacity: int) -> int:
    """Misses of Belady's order: the victim is needed last, or never again."""
    resident, misses = set[int](), 0
    for now, chunk in enumerate(chunks):
        if chunk not in resident:
            misses += 1
            if len(resident) == capacity:
                later = chunks[now:]
                resident.remove(max(resident, key=lambda c: later.index(c) if c in later else now
                                    + len(later)))  # fmt: skip
            resident.add(chunk)
    return misses


@pytest.mark.parametrize("capacity", [1, 3, 8])
def test_libcachesim_is_given_the_chunks_and_their_next_uses(capacity: int) -> None:
    for package in ("libcachesim", "cachetools"):
        pytest.importorskip(package)
    pfns = np.random.default_rng(5).zipf(1.3, 600) % 200
    oracle = OracleFile(pfns, 3)
    chunks = [int(pfn) // 8 for pfn in pfns]
    for policy, misses in (("opt", farthest), ("lra", plain_fifo)):
        run_once = oracle.run(policy, capacity)
        assert run_once() == misses(chunks, capacity), policy
    assert cachetools_misses("FIFOCache", chunks, capacity) == plain_fifo(chunks, capacity)


def test_the_benchmarks_load_without_their_extra(root: Path) -> None:
    code = "import sys, benchmarks.__main__; print('libcachesim' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True,
                          check=True)  # fmt: skip
    assert done.stdout.strip() == "False"
