"""The command ``pfnlab`` as tests run it: in this process, or as a program."""

import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from pfnlab.cli import main

PFNLAB = [sys.executable, "-m", "pfnlab"]
#: The same, telling in a line on stdout when the command begins, and Ctrl-C is its own business.
PFNLAB_TELLING = [
    sys.executable,
    "-c",
    "import sys\n"
    "from pfnlab import cli\n"
    "kept = cli.interrupts_kept\n"
    "def told():\n"
    "    print('begins', flush=True)\n"
    "    return kept()\n"
    "cli.interrupts_kept = told\n"
    "sys.exit(cli.main(sys.argv[1:]))\n",
]


def check_ctrl_c_is_130(words: list[str], after_seconds: float, **options: Any) -> None:
    """Interrupt a long command some time after it began, whatever it does then."""
    with subprocess.Popen(
        [*PFNLAB_TELLING, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"begins\n"
        time.sleep(after_seconds)
        started.send_signal(signal.SIGINT)
        output, errors = started.communicate(timeout=300)
    assert started.returncode == 130, errors
    assert (output, errors) == (b"", b"pfnlab: interrupted\n")


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
        assert started.wait(300) == 0
