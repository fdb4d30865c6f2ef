"""The command ``pfnlab`` as tests run it: in this process, or as a program."""

import subprocess
import sys

import pytest

from pfnlab.cli import main

PFNLAB = [sys.executable, "-m", "pfnlab"]


def complaint(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a refusal says: in one line, but for the usage before it, and nothing else."""
    try:
        assert main(words) == 2
        lines = 1
    except SystemExit as stop:  # argparse's, after the usage
        assert stop.code == 2
        lines = 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert not lines or captured.err.count("\n") == lines
    return captured.err.splitlines()[-1]


def check_a_closed_pipe_is_quiet(*words: str) -> None:
    """Read one line of many and close the pipe: the program ends, and says nothing."""
    with subprocess.Popen(
        [*PFNLAB, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.readline()
        started.stdout.close()
        assert started.stderr.read() == b""
        assert started.wait(60) == 0
