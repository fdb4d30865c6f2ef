"""Shared by all tests: a hypothesis profile without deadline, because a first call compiles."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile(
    "pfnlab",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("pfnlab")


@pytest.fixture(scope="session")
def root() -> Path:
    """Root of the checkout."""
    return ROOT
