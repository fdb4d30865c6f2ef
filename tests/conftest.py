"""Shared by all tests: a hypothesis profile without deadline, because a first call compiles."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, settings

from pfnlab.params import policies

ROOT = Path(__file__).resolve().parents[1]

# A shell that starts the tests in the background has them, and all they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "pfnlab",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("pfnlab")


def pytest_addoption(parser: pytest.Parser) -> None:
    # Here and not in tests/browser: pytest reads that folder too late for options.
    parser.addoption(
        "--all-notebooks", action="store_true", help="open every notebook in the browser"
    )


@pytest.fixture(scope="session")
def root() -> Path:
    """Root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with what the demo leaves of each claim notebook at its defaults."""
    from pfnlab.notebooks import chapters, demo

    folder = tmp_path_factory.mktemp("results")
    for chapter in chapters.CHAPTERS:
        demo.run(chapter, folder)
    return folder


@pytest.fixture(scope="session")
def frames(results: Path) -> dict[str, pd.DataFrame]:
    """Frames of the claim notebooks at their defaults, by notebook."""
    return {path.stem: pd.read_parquet(path) for path in sorted(results.glob("*.parquet"))}


@pytest.fixture(autouse=True)
def own_policies() -> Iterator[None]:
    """Forget a test's own policies, which sliders and refusals would name."""
    before = dict(policies.REGISTERED)
    yield
    policies._registered.clear()
    policies._registered.update(before)
