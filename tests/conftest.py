"""Shared by all tests: two tiers, hypothesis profiles, and what notebooks leave, made once.

A test marked ``slow`` runs with ``--all`` only, or if it is asked for by its name (``file::test``).
Without ``--all`` hypothesis tries fewer examples, never fewer than `LEAST_EXAMPLES`.
"""

import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

from pfnlab.params import policies
from tests.made_once import make_once

ROOT = Path(__file__).resolve().parents[1]
#: Examples of a hypothesis test without ``--all``: this share of its own, but not fewer than these.
SHARE_OF_EXAMPLES, LEAST_EXAMPLES = 0.2, 15
SLOWEST = 10
STARTED = pytest.StashKey[float]()

# A shell that starts the tests in the background has them, and all they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Without deadline, because a first call compiles.
settings.register_profile(
    "pfnlab",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("pfnlab")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all", action="store_true", help="also slow tests, and hypothesis with all its examples"
    )
    # Here and not in tests/browser: pytest reads that folder too late for options.
    parser.addoption(
        "--all-notebooks", action="store_true", help="open every notebook in the browser"
    )


def pytest_xdist_auto_num_workers() -> int:
    """Return the CPUs of this process, hyperthreads and all; ``-n auto`` would count cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STARTED] = time.monotonic()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--all"):
        return
    if "PFNLAB_EXAMPLES" not in os.environ:
        for test in {getattr(item, "obj", None) for item in items}:
            if is_hypothesis_test(test):
                _have_fewer_examples(test)
    if not any("::" in argument for argument in config.args):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


def _have_fewer_examples(test: Any) -> None:
    whole = test._hypothesis_internal_use_settings  # hypothesis has no public way
    n_examples = max(int(SHARE_OF_EXAMPLES * whole.max_examples), LEAST_EXAMPLES)
    fewer = settings(whole, max_examples=min(n_examples, whole.max_examples))
    test._hypothesis_internal_use_settings = fewer


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how long this tier took, and its slowest tests, fixtures included."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.nodeid] += report.duration
    tier = "everything" if config.getoption("--all") else "without --all"
    took = time.monotonic() - config.stash[STARTED]
    terminalreporter.write_line(
        f"{len(seconds)} tests, {tier}: {took:.0f} s, the sum of them {sum(seconds.values()):.0f} s"
    )
    slowest = sorted(seconds, key=seconds.__getitem__, reverse=True)[:SLOWEST]
    for nodeid in slowest if len(seconds) > SLOWEST else ():
        terminalreporter.write_line(f"  {seconds[nodeid]:6.1f} s  {nodeid}")


@pytest.fixture(scope="session")
def root() -> Path:
    """Root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of this run, the same in all its processes."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def results(shared: Path) -> Path:
    """Folder with what the demo leaves of each claim notebook at its defaults."""
    from pfnlab.notebooks import chapters, demo

    folder = shared / "results"
    every = {chapter.notebook: chapter for chapter in chapters.CHAPTERS}
    make_once(shared / "results-locks", every, lambda name: demo.run(every[name], folder))
    return folder


@pytest.fixture(scope="session")
def default_frames(results: Path) -> dict[str, pd.DataFrame]:
    """Frames of the claim notebooks at their defaults, by notebook."""
    return _frames_in(results)


@pytest.fixture(scope="session")
def small_frames(shared: Path) -> dict[str, pd.DataFrame]:
    """Frames of all notebooks with a small trace, by notebook."""
    from tests import small_notebooks

    folder = shared / "small"
    folder.mkdir(exist_ok=True)

    def run(name: str) -> None:
        (folder / name).mkdir(exist_ok=True)
        source = small_notebooks.small_trace(folder / name)
        out = {"out": str(folder / f"{name}.parquet")}
        small_notebooks.run_here(name, small_notebooks.parameters(name, str(source)) | out)

    make_once(shared / "small-locks", small_notebooks.NAMES, run)
    return _frames_in(folder)


def _frames_in(folder: Path) -> dict[str, pd.DataFrame]:
    return {path.stem: pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}


@pytest.fixture(scope="session", params=["small", pytest.param("defaults", marks=pytest.mark.slow)])
def frames(request: pytest.FixtureRequest) -> dict[str, pd.DataFrame]:
    """Frames of the claim notebooks, by notebook."""
    name = "small_frames" if request.param == "small" else "default_frames"
    found: dict[str, pd.DataFrame] = request.getfixturevalue(name)
    return found


@pytest.fixture(autouse=True)
def own_policies() -> Iterator[None]:
    """Forget a test's own policies, which sliders and refusals would name."""
    before = dict(policies.REGISTERED)
    yield
    policies._registered.clear()
    policies._registered.update(before)
