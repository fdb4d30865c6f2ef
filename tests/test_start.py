"""Starting up: the compile cache never serves stale code, and modes are what they say."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import numpy as np, pfnlab
ops = np.zeros(101, np.uint8)
ops[100] = 2  # a PUT, so that the full mechanism replays it
trace = pfnlab.Trace(np.arange(0, 64 * 101, 64), ops)
params = pfnlab.Params(chunk_bytes=4096, threshold_bytes=8 * 4096)
print(pfnlab.replay(trace, params).evicted_chunks)
"""

# What a program needs, and what it must not wait for: numpy takes 0.1 s, numba and pandas 0.3 each.
LOADED = """
import sys
{program}
print(*sorted({{name.partition(".")[0] for name in sys.modules}} & set(sys.argv[1:])))
"""
HEAVY = ("matplotlib", "numba", "numpy", "pandas", "pyarrow", "tqdm")
REPLAY = "pfnlab.replay(pfnlab.Trace([1, 2, 3]), pfnlab.Params()).counts()"
ZIPF = "pfnlab.workload('zipf', n_events=9)"
LOADS = {
    "import pfnlab": "",
    "import pfnlab; dir(pfnlab); pfnlab.parse_bytes('2MiB'); pfnlab.Params()": "",
    "import pfnlab; pfnlab.Trace([1, 2, 3]).digest()": "numpy",
    f"import pfnlab; {ZIPF}": "numpy",
    f"import pfnlab; {ZIPF}.trace(pfnlab.Params())": "numba numpy",
    f"import pfnlab; {REPLAY}": "numba numpy",
    "import pfnlab; pfnlab.load('data/traces/pgbench.parquet')": "numpy pyarrow",
    "import pfnlab; pfnlab.sweep(pfnlab.Trace([1, 2, 3]), chunk_bytes=['2MiB'])": (
        "numba numpy pandas pyarrow tqdm"
    ),
}


@pytest.mark.parametrize("program", LOADS)
def test_a_program_loads_what_it_uses(program: str, root: Path) -> None:
    command = [sys.executable, "-c", LOADED.format(program=program), *HEAVY]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == LOADS[program]


MEMORY = """
import resource, sys
import numpy as np, pfnlab
def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
granule, chunk, n_events = *sys.argv[1:3], int(sys.argv[3])
params = pfnlab.Params(
    region_bytes="64TiB", granule_bytes=granule, chunk_bytes=chunk, threshold_bytes="1TiB"
)
pfns = np.random.default_rng(1).integers(0, params.n_pages, n_events)
pins = pfnlab.Trace(pfns, np.ones(n_events, np.uint8))
pfnlab.replay(pfnlab.Trace(pfns[:1], pins.ops[:1]), params)  # compiles
before = peak_bytes()
assert pfnlab.replay(pins, params).accesses == n_events
print((peak_bytes() - before) >> 20)
"""


@pytest.mark.parametrize(
    ("granule", "chunk"), [("4KiB", "4KiB"), ("4KiB", "2MiB"), ("2MiB", "1TiB")]
)
@pytest.mark.slow
def test_a_64_tib_region_takes_memory_for_what_is_touched_only(
    granule: str, chunk: str, root: Path
) -> None:
    command = [sys.executable, "-c", MEMORY, granule, chunk, "1000000"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 512


def replayed(tree: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(tree), "NUMBA_CACHE_DIR": str(tree / "cache")}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def copied(root: Path, tmp_path: Path) -> Path:
    """Copy the package; return the folder of its kernels."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root / "pfnlab", tmp_path / "pfnlab", ignore=ignored)
    return tmp_path / "pfnlab" / "kernels"


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.slow
def test_an_edited_callee_is_compiled_again(root: Path, tmp_path: Path) -> None:
    kernels = copied(root, tmp_path)
    assert replayed(tmp_path) == replayed(tmp_path) == "92"
    edit(kernels / "replay.py", "counts[EVICTED_CHUNKS] += 1", "counts[EVICTED_CHUNKS] += 2")
    assert replayed(tmp_path) == "184"


CALLEE = """
from pfnlab.kernels.compiled import kernel
@kernel
def more() -> int:
    return 3
"""


@pytest.mark.slow
def test_an_edited_callee_in_another_file_is_compiled_again(root: Path, tmp_path: Path) -> None:
    kernels = copied(root, tmp_path)
    (kernels / "elsewhere.py").write_text(CALLEE)
    edit(kernels / "replay.py", "counts[EVICTED_CHUNKS] += 1", "counts[EVICTED_CHUNKS] += more()")
    imported = "from pfnlab.kernels.compiled import kernel\n"
    edit(kernels / "replay.py", imported, f"{imported}from pfnlab.kernels.elsewhere import more\n")
    assert replayed(tmp_path) == "276"
    cached = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")}
    assert cached
    assert replayed(tmp_path) == "276"
    assert cached == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")}
    edit(kernels / "elsewhere.py", "return 3", "return 2")
    assert replayed(tmp_path) == "184"
