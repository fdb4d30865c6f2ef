"""Recording real programs: what comes out, what is said, and that nothing stays behind."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import pfnlab
from pfnlab.traces import capture
from pfnlab.traces.capture import METHODS

CALLS = """
import os
fd = os.open(NAME, os.O_RDWR | os.O_CREAT)
os.pwrite(fd, b"x" * 9000, 0)
os.pread(fd, 4096, 4096)
print("said")
raise SystemExit(STATUS)
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="strace and ftrace are of Linux")


def needs(method: str) -> None:
    lacks = METHODS[method].lacks()
    if lacks:
        pytest.skip(f"{method}: {lacks}")


def run(out: Path, command: Sequence[str], method: str) -> subprocess.CompletedProcess[str]:
    words = ["trace", "capture", "--method", method, "-o", str(out), "--", *command]
    return subprocess.run(
        [sys.executable, "-m", "pfnlab", *words], capture_output=True, text=True, check=False
    )


def program(folder: Path, status: int = 0) -> list[str]:
    text = CALLS.replace("NAME", repr(str(folder / "a file"))).replace("STATUS", str(status))
    return [sys.executable, "-c", text]


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def traceable() -> None:
    """Skip where strace may not trace, as in containers."""
    needs("strace")
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("strace may not trace here")


def test_calls_of_a_program_become_a_trace(tmp_path: Path) -> None:
    traceable()
    found = run(tmp_path / "out.parquet", program(tmp_path), "strace")
    assert (found.returncode, found.stdout) == (0, "said\n"), found.stderr
    assert "strace sees calls at an offset" in found.stderr and "can't see" in found.stderr
    assert leftovers(tmp_path) == {"a file", "out.parquet"}
    trace = pfnlab.load(tmp_path / "out.parquet", stream=False)
    assert trace.ops is not None
    base = int(trace.provenance["placed"].rpartition("a file at page ")[2].split(";")[0])
    mine = trace.pfns >= base
    assert (trace.pfns[mine] - base).tolist() == [0, 1, 2, 0, 1, 2, 1, 1]
    assert trace.ops[mine].tolist() == [1, 1, 1, 2, 2, 2, 1, 2]
    about = trace.provenance
    assert about["method"] == "strace" and about["blind"] == METHODS["strace"].blind
    assert about["command"] == f"{Path(sys.executable).name} and 2 arguments"
    assert str(tmp_path) not in str(dict(about))


def test_the_page_cache_becomes_a_direct_trace(tmp_path: Path) -> None:
    needs("ftrace")
    before = set((capture.TRACEFS / "instances").iterdir())
    found = run(tmp_path / "out", program(tmp_path), "ftrace")
    assert (found.returncode, found.stdout) == (0, "said\n"), found.stderr
    assert set((capture.TRACEFS / "instances").iterdir()) == before
    trace = pfnlab.load(tmp_path / "out", stream=False)
    assert trace.evidence == "direct"
    assert trace.ops is not None and (trace.ops == 1).sum() >= 3  # three pages were written


def test_a_failure_of_the_program_is_said(tmp_path: Path) -> None:
    traceable()
    found = run(tmp_path / "out.parquet", program(tmp_path, status=3), "strace")
    assert found.returncode == 1
    assert "ended with status 3" in found.stderr
    assert len(pfnlab.load(tmp_path / "out.parquet")) >= 8  # what it did is kept


def test_a_program_that_does_nothing_leaves_no_trace(tmp_path: Path) -> None:
    traceable()
    found = run(tmp_path / "out.parquet", ["sh", "-c", "kill -9 $$"], "strace")
    assert found.returncode == 1
    assert "killed by signal 9" in found.stderr
    found = run(tmp_path / "out.parquet", [shutil.which("true") or "true"], "strace")
    if found.returncode:  # its loader may read its libraries at an offset
        assert "no trace was written" in found.stderr
        assert not leftovers(tmp_path)


@pytest.mark.parametrize(
    ("out", "command", "message"),
    [
        ("out.parquet", ["no-such-program"], "command='no-such-program': must be a program here"),
        ("out.parquet", [], "command='': must be a program here"),
        ("out.csv", ["true"], "suffix must be .parquet"),
        ("out", ["true"], "exists already"),
    ],
)
def test_what_cannot_be_recorded_is_refused(
    out: str, command: list[str], message: str, tmp_path: Path
) -> None:
    needs("strace")
    (tmp_path / "out").mkdir()
    found = run(tmp_path / out, command, "strace")
    assert found.returncode == (1 if "exists" in message else 2)
    assert message in found.stderr and "Traceback" not in found.stderr
    assert leftovers(tmp_path) == {"out"}


def test_a_method_that_is_not_here_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(pfnlab.ParameterError, match="needs root; strace: there is no program"):
        capture.usable_method()
    with pytest.raises(pfnlab.ParameterError, match="method='strace': can't be used: there is no"):
        capture.capture([sys.executable], tmp_path / "out", "strace")
    with pytest.raises(pfnlab.ParameterError, match="did you mean 'strace'"):
        capture.capture([sys.executable], tmp_path / "out", "strac")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_program_and_keeps_nothing(
    method: str, number: signal.Signals, tmp_path: Path
) -> None:
    traceable() if method == "strace" else needs(method)
    words = ["trace", "capture", "--method", method, "-o", str(tmp_path / "out.parquet"), "--"]
    sleep = ["sh", "-c", f"echo $$ > '{tmp_path}/pid'; sleep 600; true"]
    started = subprocess.Popen(
        [sys.executable, "-m", "pfnlab", *words, *sleep], stderr=subprocess.DEVNULL
    )
    pid = tmp_path / "pid"
    while not (pid.exists() and pid.read_text().strip()):
        assert started.poll() is None
        time.sleep(0.05)
    started.send_signal(number)
    assert started.wait(300) == 130
    assert leftovers(tmp_path) == {"pid"}
    process = Path("/proc") / pid.read_text().strip() / "stat"
    for _ in range(1000):
        if not process.exists() or process.read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.05)
    else:
        raise AssertionError("the program still runs")
    assert not list((capture.TRACEFS / "instances").glob(f"pfnlab-{started.pid}"))
