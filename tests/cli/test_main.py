"""The command line: exit statuses, errors in a line, quiet pipes, Ctrl-C, and what is imported."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pfnlab
from pfnlab import cli
from pfnlab.cli import main
from pfnlab.host.limits import why_no_twin
from tests.commands import PFNLAB, check_a_closed_pipe_is_quiet, check_ctrl_c_is_130

HEAVY = ("matplotlib", "numba", "numpy", "pandas", "pyarrow")


def run(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PFNLAB, *words], capture_output=True, text=True, check=False, **options)


@pytest.mark.parametrize("words", [["--help"], ["trace", "--help"], ["trace", "info", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\nfrom pfnlab.cli import main\n"
        f"try: main({words!r})\nexcept SystemExit as stop: assert stop.code == 0\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: pfnlab" in done.stdout


def test_every_command_has_its_module_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in cli.COMMANDS:
        with pytest.raises(SystemExit) as stop:
            main([*command.split(), "--help"])
        assert stop.value.code == 0
        assert f"usage: pfnlab {command}" in capsys.readouterr().out


def test_bad_input_is_2_and_one_line(tmp_path: Path) -> None:
    done = run("trace", "info", str(tmp_path / "absent"))
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == f"pfnlab: {tmp_path / 'absent'}: can't be read (No such file or directory)\n"
    )
    assert "Traceback" in run("--debug", "trace", "info", str(tmp_path / "absent")).stderr
    assert "Traceback" in run("trace", "info", str(tmp_path / "absent"), "--debug").stderr


def test_what_nobody_foresaw_is_1_and_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(path: object) -> None:
        raise ZeroDivisionError("ouch")

    monkeypatch.setattr("pfnlab.host.struct_page.this_host", broken)
    assert main(["host"]) == 1
    assert capsys.readouterr().err == "pfnlab: ZeroDivisionError: ouch (--debug shows where)\n"
    with pytest.raises(ZeroDivisionError):
        main(["--debug", "host"])


def test_a_full_disk_is_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise pfnlab.FileError("out.parquet: can't be written (No space left on device)")

    monkeypatch.setattr("pfnlab.traces.formats.foreign.convert", full)
    fixture = Path(__file__).parents[1] / "traces" / "formats" / "msr.csv"
    assert main(["trace", "convert", str(fixture), str(tmp_path / "o.parquet")]) == 1


def test_a_closed_pipe_is_quiet(root: Path) -> None:
    pgbench = str(root / "data/traces/pgbench.parquet")
    check_a_closed_pipe_is_quiet("trace", "head", pgbench, "-n", "200000")


@pytest.mark.skipif(why_no_twin() is not None, reason=str(why_no_twin()))
@pytest.mark.slow
def test_ctrl_c_is_130(tmp_path: Path) -> None:
    environment = os.environ | {"PFNLAB_COSTS": str(tmp_path)}
    check_ctrl_c_is_130(["calibrate", "here"], 1.5, env=environment)


def test_an_interrupt_that_a_callback_swallowed_is_no_other_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    callback = ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(signal.SIGINT))

    def compiles(*paths: object) -> None:
        callback()  # Python can't raise through C
        raise RuntimeError("no compiled object yet")

    monkeypatch.setattr("pfnlab.notebooks.report.write_report", compiles)
    assert main(["report"]) == 130
    assert capsys.readouterr().err == "pfnlab: interrupted\n"

    def goes_on(*paths: object) -> None:
        callback()
        threading.Event().wait(20)
        pytest.fail("was not interrupted")

    # It comes again when it can be raised, or at the end if that is sooner.
    for after_callback in (goes_on, lambda *paths: callback()):
        monkeypatch.setattr("pfnlab.notebooks.report.write_report", after_callback)
        assert main(["report"]) == 130


# --- trace info and head -------------------------------------------------------------------------


def test_info_shows_the_figures_that_decide(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "info", str(root / "data/traces/sqlite.parquet")]) == 0
    said = capsys.readouterr().out
    for text in ("185,370 GET", "96,726 pages of 4 KiB", "27.2 MiB", "time to the right", "strace"):
        assert text in said
    assert main(["trace", "info", "--json", str(root / "data/traces/sqlite.parquet")]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["n_pages"] == 96_726
    assert facts["footprints"]["4096"] == 6970 * 4096
    assert facts["provenance"]["program"] == "sqlite3 3.40.1"


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_info_draws_a_picture(suffix: str, tmp_path: Path, root: Path) -> None:
    target = tmp_path / f"heat.{suffix}"
    trace = str(root / "tests/traces/formats/msr.csv")
    assert main(["trace", "info", trace, "-o", str(target)]) == 0
    assert target.stat().st_size > 1000
    assert main(["trace", "info", trace, "-o", str(tmp_path / "heat.txt")]) == 2
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_head_names_operations(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fixture = str(root / "tests/traces/formats/offsets.csv")
    assert main(["trace", "head", fixture, "-n", "2", "--io-depth", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["pfn", "op", "atomic"], ["0", "GET", "False"], ["0", "PUT", "True"],
    ]  # fmt: skip
    assert main(["trace", "head", fixture, "-n", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"pfn": 0, "op": "GET", "atomic": False}
    assert main(["trace", "head", fixture, "-n", "-1"]) == 2


def test_head_of_a_streamed_trace_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pfnlab.traces.native.STREAM_SHARE", 0.0)
    for n_events in (0, 150_000):
        path = pfnlab.save(pfnlab.Trace(np.arange(n_events)), tmp_path / f"{n_events}.parquet")
        assert main(["trace", "head", str(path), "-n", "140000", "--json"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == min(n_events, 140_000)
        assert not lines or json.loads(lines[-1]) == {"pfn": 139_999}
