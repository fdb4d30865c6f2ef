"""Cost presets of the user's own machines: a JSON file each, written by ``pfnlab calibrate``."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pfnlab.errors import FileError, ParameterError
from pfnlab.files import whole_file
from pfnlab.params.cost_presets import PRESETS, Figure, Trust

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def presets_folder() -> Path:
    """Return where presets are kept: ``$PFNLAB_COSTS``, or the user's settings."""
    if "PFNLAB_COSTS" in os.environ:
        return Path(os.environ["PFNLAB_COSTS"])
    settings = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(settings) / "pfnlab" / "costs"


def calibrated_names() -> list[str]:
    """Return the names of the user's presets."""
    try:
        return sorted(path.stem for path in presets_folder().glob("*.json"))
    except OSError:
        return []


def figures_of(name: str) -> Mapping[str, Figure] | None:
    """Return the figures of a preset, built in or the user's; None if there is no such preset.

    Raises
    ------
    FileError
        If the user's file can't be read, or is damaged: with the file and the figure.
    """
    if name in PRESETS:
        return PRESETS[name]
    if not _NAME.fullmatch(name):
        return None
    path = presets_folder() / f"{name}.json"
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileError(f"{path}: can't be read ({error.strerror})") from error
    try:
        stored = json.loads(text)["figures"]
        return {field: _figure(path, field, stored[field]) for field in stored}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileError(f"{path}: must be a preset of pfnlab calibrate ({error!r})") from error


def _figure(path: Path, field: str, stored: Any) -> Figure:
    value, trust = stored["value"], stored["trust"]
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or trust not in get_args(Trust)
    ):
        requirement = f"must have a number of ns and a trust of {', '.join(get_args(Trust))}"
        raise FileError(f"{path}: {field}={stored!r}: {requirement}")
    return Figure(float(value), trust, str(stored["source"]))


def check_name(name: str, *, replace: bool = False) -> Path:
    """Return the file that a new preset of this name would be written to.

    Raises
    ------
    ParameterError
        If the name is a built-in's, or no file name, or taken and not to be replaced.
    """
    if name in PRESETS:
        raise ParameterError("name", name, "must not be a built-in preset's")
    if not _NAME.fullmatch(name):
        raise ParameterError("name", name, "must be letters, digits, '.', '_' and '-', 64 at most")
    path = presets_folder() / f"{name}.json"
    if path.exists() and not replace:
        raise ParameterError("name", name, f"is taken by {path}; --force replaces it")
    return path


def write_preset(
    name: str, figures: Mapping[str, Figure], about: Mapping[str, Any], *, replace: bool = False
) -> Path:
    """Write a preset, whole or not at all.

    Raises
    ------
    ParameterError
        As `check_name`.
    FileError
        If it can't be written.
    """
    path = check_name(name, replace=replace)
    stored = {
        field: {"value": figure.value, "trust": figure.trust, "source": figure.source}
        for field, figure in figures.items()
    }
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps({**about, "figures": stored}, indent=1) + "\n")
    return path
