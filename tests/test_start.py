"""Starting up: the compile cache never serves stale code, and modes are what they say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import numpy as np, pfnlab
trace = pfnlab.Trace(np.arange(0, 64 * 100, 64))
params = pfnlab.Params(chunk_bytes=4096, threshold_bytes=8 * 4096)
print(pfnlab.replay(trace, params).evicted_chunks)
"""


def replayed(tree: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(tree), "NUMBA_CACHE_DIR": str(tree / "cache")}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_an_edited_callee_is_compiled_again(root: Path, tmp_path: Path) -> None:
    shutil.copytree(
        root / "pfnlab", tmp_path / "pfnlab", ignore=shutil.ignore_patterns("__pycache__")
    )
    assert replayed(tmp_path) == replayed(tmp_path) == "92"
    kernel = tmp_path / "pfnlab" / "kernels" / "replay.py"
    text = kernel.read_text()
    edited = text.replace("counts[EVICTED_CHUNKS] += 1", "counts[EVICTED_CHUNKS] += 2")
    assert edited != text
    kernel.write_text(edited)
    assert replayed(tmp_path) == "184"
