"""environment.yml and pyproject.toml promise the same, and this environment keeps it."""

import platform
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PYPI_NAMES = {"matplotlib-base": "matplotlib"}  # conda name -> PyPI name, where they differ
ENVIRONMENT: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text())
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_LINES = [line for line in ENVIRONMENT["dependencies"] if isinstance(line, str)]


def floors(lines: list[str]) -> dict[str, str]:
    """PyPI name -> version specifier of each requirement in `lines`."""
    requirements = [Requirement(line) for line in lines]
    return {PYPI_NAMES.get(r.name, r.name): str(r.specifier) for r in requirements}


def pyproject_floors() -> dict[str, str]:
    return floors([*PROJECT["dependencies"], f"python{PROJECT['requires-python']}"])


def test_conda_and_pip_name_the_same_packages_and_floors() -> None:
    conda = floors(CONDA_LINES)
    assert conda.pop("pip") == ""
    assert conda == pyproject_floors()


def test_environment_comes_from_conda_forge_and_installs_the_checkout() -> None:
    assert ENVIRONMENT["name"] == PROJECT["name"]
    assert ENVIRONMENT["channels"] == ["conda-forge"]
    assert ENVIRONMENT["dependencies"][-1] == {"pip": ["-e ."]}


@pytest.mark.parametrize("line", CONDA_LINES)
def test_line_is_a_conda_match_spec(line: str) -> None:
    rattler = pytest.importorskip("rattler")
    spec = rattler.MatchSpec(line, strict=True)
    required = Requirement(line)
    assert spec.name.normalized == required.name
    assert (spec.version or "") == str(required.specifier)


@pytest.mark.parametrize("name", sorted(pyproject_floors()))
def test_installed_version_satisfies_its_floor(name: str) -> None:
    installed = platform.python_version() if name == "python" else version(name)
    specifier = Requirement(f"{name}{pyproject_floors()[name]}").specifier
    assert specifier.contains(installed, prereleases=True)
