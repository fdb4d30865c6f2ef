"""What of the explorer outlives it: a call that makes its pictures again, a frame and a PNG."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from pfnlab.costs import FIGURES, Costs
from pfnlab.errors import ParameterError
from pfnlab.figures.drawing import png
from pfnlab.figures.exploring import Shown, exploration
from pfnlab.files import check_writable, whole_file
from pfnlab.frames import write_frame
from pfnlab.grid import sweep
from pfnlab.named import is_workload
from pfnlab.params import PARAMETERS, Params
from pfnlab.replayable import Replayable
from pfnlab.workloads import workload_of

_WIDTH = 88


@dataclass(frozen=True, slots=True)
class Setting:
    """What is looked at: the text of a source, how it is placed, parameters and costs."""

    source: str
    placement: str
    params: Params
    costs: Costs


def as_python(setting: Setting) -> str:
    """Return the call that makes the explorer's pictures of a setting."""
    params = setting.params
    other = {
        name: parameter.show(value) if parameter.unit == "bytes" else value
        for name, parameter in PARAMETERS.items()
        if (value := getattr(params, name)) != parameter.default
    }
    lines = [
        "import pfnlab",
        "from pfnlab import figures",
        "",
        *_call("params = pfnlab.Params", [f"{name}={value!r}" for name, value in other.items()]),
        *_source(setting),
        *_costs(setting.costs),
        "seen = pfnlab.explore(trace, params)",
        'figures.exploration(seen, costs).savefig("explore.png")',
    ]
    return "\n".join(lines) + "\n"


def _call(function: str, arguments: Sequence[str]) -> list[str]:
    """Write a call on one line, or on several if it is too long."""
    if len(line := f"{function}({', '.join(arguments)})") <= _WIDTH:
        return [line]
    inner = textwrap.fill(
        ", ".join(arguments) + ",", _WIDTH, initial_indent="    ", subsequent_indent="    ",
        break_long_words=False,
    )  # fmt: skip
    return [f"{function}(", inner, ")"]


def _source(setting: Setting) -> list[str]:
    if is_workload(setting.source):
        spec = workload_of(setting.source)
        own = {each.name: getattr(spec, each.name) for each in fields(spec)}
        given = [f"{name}={value!r}" for name, value in own.items() if value is not None]
        return [*_call("spec = pfnlab.workload", [repr(spec.name), *given]),
                "trace = spec.trace(params)"]  # fmt: skip
    lines = [f"trace = pfnlab.load({setting.source!r})"]
    if setting.placement != "own":
        how = repr(setting.placement)
        lines.append(
            f"trace = trace.placed(params.region_bytes, {how}, first_pfn=params.first_pfn)"
        )
    return lines


def _costs(costs: Costs) -> list[str]:
    base = Costs.preset(costs.name.rstrip("*"))
    other = [f"{n}={getattr(costs, n)!r}" for n in FIGURES if getattr(costs, n) != getattr(base, n)]
    preset = f'costs = pfnlab.Costs.preset("{base.name}")'
    return _call(f"{preset}.replace", other) if other else [preset]


def save(
    name: str,
    trace: Replayable,
    thresholds: Sequence[int],
    setting: Setting,
    now: Shown,
    beside: Shown | None,
) -> str:
    """Write the pictures and the sweep over thresholds behind them; return what was written.

    Parameters
    ----------
    name
        Path without ending; ``.png`` and ``.parquet`` are added, and nothing is overwritten.
    trace, thresholds
        What is swept, as `pfnlab.sweep` would.
    setting, now, beside
        What is looked at, and what is pinned beside it.

    Raises
    ------
    ParameterError, FileError
        For a name that is taken, or that can't be written.
    """
    if not name or name.endswith(("/", ".png", ".parquet")):
        raise ParameterError("save", name, "must be a path without ending, such as 'explore-1'")
    paths = [Path(f"{name}.png"), Path(f"{name}.parquet")]
    for path in paths:
        if path.exists():
            raise ParameterError("save", name, f"must be a new name, {path} is there already")
        check_writable(path)
    other = None if beside is None else beside.seen
    figure = exploration(now.seen, now.costs, other, beside.costs if beside else None)
    picture = png(figure, dpi=150)
    frame = sweep(trace, setting.params, threshold_bytes=list(thresholds), costs=setting.costs)
    with whole_file(paths[0]) as temporary:
        temporary.write_bytes(picture)
    write_frame(frame, paths[1])
    return " and ".join(str(path) for path in paths)


def free_name(stem: str = "explore") -> str:
    """Return the first of ``explore-1``, ``explore-2`` that is no file's name yet."""
    numbers = iter(range(1, 10**6))
    taken = (".png", ".parquet")
    return next(
        name
        for number in numbers
        if not any(Path((name := f"{stem}-{number}") + ending).exists() for ending in taken)
    )
