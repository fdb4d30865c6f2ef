"""Shared by all tests: a hypothesis profile without deadline, because a first call compiles."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from pfnlab import own_policy

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


@pytest.fixture(autouse=True)
def own_policies() -> Iterator[None]:
    """Forget a test's own policies, which sliders and refusals would name."""
    before = dict(own_policy.REGISTERED)
    yield
    own_policy._registered.clear()
    own_policy._registered.update(before)
