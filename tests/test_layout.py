"""The shape of the source tree: layers, sizes, names, and what must not be in it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pfnlab

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "pfnlab").rglob("*.py"))
MAX_LINES = 350
# The whole mechanism, in the order a page lives.
LONGER = {"kernels/replay.py": 450}
HEAVY = {"ipywidgets", "matplotlib", "numba", "pandas", "papermill", "pyarrow"}

# Put together here, so that this file does not contain what it forbids.
REGISTRY_HOSTS = [
    ".".join(words)
    for words in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("deb", "debian", "org"),
        ("conda", "anaconda", "org"),
    ]
]
MACHINE_FOLDERS = ["work", "root", "farm"]
FORBIDDEN = re.compile(
    "|".join([*map(re.escape, REGISTRY_HOSTS), *(f"/{name}/[a-z.]" for name in MACHINE_FOLDERS)])
)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh interpreter at the root of the checkout."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def source_files() -> list[Path]:
    """Files that are tracked, or would be with the next `git add`."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    # A checkout may belong to another user, as in a container; listing its files is harmless.
    listing = [git, "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others"]
    names = subprocess.run(
        [*listing, "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def texts() -> Iterator[tuple[Path, str]]:
    for path in source_files():
        data = path.read_bytes()
        if b"\0" not in data:
            yield path, data.decode("utf-8")


def test_import_contracts_hold() -> None:
    done = run_python("from importlinter.cli import lint_imports_command as lint; lint([])")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_is_short(module: Path) -> None:
    n_lines = len(module.read_text().splitlines())
    allowed = LONGER.get(module.relative_to(ROOT / "pfnlab").as_posix(), MAX_LINES)
    assert n_lines <= allowed


def test_no_module_bears_a_public_name() -> None:
    modules = {path.stem for path in (ROOT / "pfnlab").iterdir() if not path.name.startswith("__")}
    assert modules & set(pfnlab.__all__) == set()


def test_importing_pfnlab_imports_nothing_heavy() -> None:
    done = run_python("import sys, pfnlab; print(*sys.modules, sep='\\n')")
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "pfnlab" in loaded
    assert loaded & HEAVY == set()


def test_no_registry_host_and_no_path_of_one_machine() -> None:
    hits = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert hits == []
