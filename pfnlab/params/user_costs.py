"""Cost presets of the user's own machines: a JSON file each, written by ``pfnlab calibrate``."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pfnlab.errors import FileError
from pfnlab.params.cost_presets import PRESETS, Figure, Trust

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def preset_file(name: str) -> Path | None:
    """Return the file of the user's preset of this name; None if it can't be a file's name."""
    return presets_folder() / f"{name}.json" if _NAME.fullmatch(name) else None


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
    path = preset_file(name)
    if path is None:
        return None
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
