"""Where the frames of a report come from, and the commands that make them again."""

import os
import platform
import shlex
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from pfnlab.notebooks.report.markup import code
from pfnlab.notebooks.report.parts import Part
from pfnlab.params import PARAMETERS

FRAME_HEADS = ("Frame", "Rows", "Sources", "SHA-256")


def facts(part: Part) -> Iterator[tuple[object, object]]:
    """Yield where a frame comes from: file, sources, versions, and the notebook that made it."""
    rows, columns = part.frame.shape
    yield "file", f"{part.name}.parquet, {rows:,} rows of {columns} columns"
    yield "SHA-256", code(part.digest)
    yield from (("source", text) for text in _sources(part.frame))
    yield from _made_with(part)
    for name in ("machine", "date", "costs"):
        if name in part.frame:
            yield name, ", ".join(map(str, part.frame[name].dropna().unique()))
    yield from _run(part.run)


def _sources(frame: pd.DataFrame) -> Iterator[str]:
    if not {"source", "evidence", "n_events"} <= {*frame}:
        return
    for (name, evidence), rows in frame.groupby(["source", "evidence"], sort=False, dropna=False):
        n_events = rows["n_events"].max()
        length = "" if pd.isna(n_events) else f", {int(n_events):,} events"
        yield f"{name} ({evidence}){length}"


def _made_with(part: Part) -> Iterator[tuple[str, str]]:
    """Yield the metadata without the parameters, which the rows show."""
    for name, about in part.about.items():
        if name == "request" and isinstance(about, dict):
            yield "asked for", ", ".join(_settings(about))
        elif name != "parameters":
            yield from _flat(name, about)


def _settings(request: Mapping[str, Any]) -> Iterator[str]:
    """Yield the settings of a request that are no defaults."""
    for name, value in request.items():
        parameter = PARAMETERS.get(name)
        is_default = parameter is not None and str(value) == parameter.show(parameter.default)
        if name != "out" and value is not None and not is_default:
            yield f"{name} {_without_folder(value)}"


def _flat(name: str, about: object) -> Iterator[tuple[str, str]]:
    if not isinstance(about, dict):
        yield name, _without_folder(about)
        return
    for inner, value in about.items():
        yield from _flat(f"{name} {_without_folder(inner)}", value)


def _common(parts: list[Part]) -> Iterator[tuple[str, str]]:
    """Yield the versions that all frames share, on one line."""
    first, *others = ({n: v for n, v in p.about.items() if isinstance(v, str)} for p in parts)
    same = [f"{n} {v}" for n, v in first.items() if all(o.get(n) == v for o in others)]
    if same:
        yield "frames made with", ", ".join(same)


def _run(run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what papermill recorded about the run."""
    if "notebook" in run:
        yield "notebook", str(run["notebook"])
    if run.get("start_time"):
        yield "notebook run", f"{run['start_time']}, {float(run.get('duration') or 0):.1f} s"
    for name, value in dict(run.get("parameters") or {}).items():
        yield (
            f"parameter {name}",
            Path(str(value)).name if name in ("out", "source") else str(value),
        )


def _without_folder(value: object) -> str:
    """Return a value as text; an absolute path becomes the name of its file."""
    if isinstance(value, list):
        return ", ".join(map(_without_folder, value))
    text = str(value)
    return Path(text).name if text.startswith("/") else text


def origin(parts: list[Part]) -> Iterator[tuple[str, str]]:
    """Yield where and when the report was written, and the versions behind all frames."""
    system = platform.uname()
    machine = f"{system.system} {system.release}, {system.machine}, {os.cpu_count()} CPUs"
    yield "report written", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    yield "on", f"{machine}, Python {platform.python_version()}"
    yield "by", f"pfnlab {version('pfnlab')}"
    yield from _common(parts)


def frames(parts: list[Part]) -> Iterator[tuple[object, ...]]:
    """Yield a row for each frame, under `FRAME_HEADS`."""
    for part in parts:
        sources = "; ".join(_sources(part.frame))
        yield part.name, f"{len(part.frame):,}", sources, code(part.digest)


def commands(parts: list[Part]) -> Iterator[str]:
    """Yield the commands that make frames and report again."""
    for part in parts:
        frame = shlex.quote(f"{part.name}.parquet")
        if part.run.get("input_path"):
            notebook = shlex.quote(f"{part.name}.ipynb")
            given = dict(part.run.get("parameters") or {}) | {"out": f"{part.name}.parquet"}
            flags = " ".join(
                f"-p {shlex.join([name, _without_folder(value)])}" for name, value in given.items()
            )
            yield f"papermill notebooks/{notebook} {notebook} {flags}"
        elif "request" in part.about:
            yield f"pfnlab sweep --from {frame} -o again-{frame}"
    yield f"pfnlab report {'.' if len(parts) > 1 else frame}"
