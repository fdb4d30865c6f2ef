"""What a person is told while a loop is compiled."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba import config

PROGRAM = """
import io, sys
class Stderr(io.StringIO):
    def isatty(self):
        return sys.argv[1] == "terminal"
sys.stderr = Stderr()
import pfnlab
pfnlab.replay(pfnlab.Trace([1, 2, 3]), pfnlab.Params())
print(sys.stderr.getvalue(), end="")
"""


def told(where: str, cache: Path, root: Path) -> str:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", PROGRAM, where]
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.skipif(
    bool(config.DISABLE_JIT or config.BOUNDSCHECK),  # type: ignore[attr-defined]
    reason="nothing is cached in this mode",
)
def test_a_terminal_is_told_of_compiling_once(root: Path, tmp_path: Path) -> None:
    said = told("terminal", tmp_path / "cold", root).splitlines()
    assert "compiling lra.many_granules.replay (once)" in said
    assert len(set(said)) == len(said)
    assert told("terminal", tmp_path / "cold", root) == ""
    assert told("file", tmp_path / "also cold", root) == ""
