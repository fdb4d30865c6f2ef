"""What the explorer saves: a call that makes its pictures again, a frame and a PNG."""

import textwrap
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from pfnlab.errors import ParameterError
from pfnlab.figures.drawing import png
from pfnlab.figures.explorer import Shown, exploration
from pfnlab.files import check_writable, whole_file
from pfnlab.frames import write_frame
from pfnlab.notebooks.sources import TOY, is_workload, path_of
from pfnlab.notebooks.widgets.source_box import Chosen
from pfnlab.params import PARAMETERS
from pfnlab.params.cost_presets import PRESETS
from pfnlab.params.costs import FIGURES, Costs
from pfnlab.params.user_costs import calibrated_names
from pfnlab.sweeps import sweep
from pfnlab.traces.sources import Replayable
from pfnlab.traces.workloads import workload_of

_WIDTH = 88


def as_python(setting: Chosen) -> str:
    """Return the call that makes the explorer's pictures of a setting."""
    params = setting.params
    other = {
        name: parameter.show(value) if parameter.unit == "bytes" else value
        for name, parameter in PARAMETERS.items()
        if (value := getattr(params, name)) != parameter.default
    }
    own = [f"# Register your policy {params.policy!r} first, see help(pfnlab.Policy)."]
    lines = [
        "import pfnlab",
        "from pfnlab import figures",
        "",
        *(own if params.policy in PARAMETERS["policy"].registered else []),
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


def _source(setting: Chosen) -> list[str]:
    if is_workload(setting.source):
        spec = workload_of(setting.source)
        own = {each.name: getattr(spec, each.name) for each in fields(spec)}
        given = [f"{name}={value!r}" for name, value in own.items() if value is not None]
        return [*_call("spec = pfnlab.workload", [repr(spec.name), *given]),
                "trace = spec.trace(params)"]  # fmt: skip
    if setting.source == TOY:
        return ["from pfnlab.notebooks.sources import find_source", "",
                f"trace = find_source({TOY!r}).trace(params)"]  # fmt: skip
    path = path_of(setting.source)
    lines = [f"trace = pfnlab.load({str(path or setting.source)!r})"]
    if setting.placement != "own":
        how = repr(setting.placement)
        lines.append(
            f"trace = trace.placed(params.region_bytes, {how}, first_pfn=params.first_pfn)"
        )
    return lines


def _costs(costs: Costs) -> list[str]:
    values = {name: getattr(costs, name) for name in FIGURES}
    name = costs.name.rstrip("*")
    if name not in (*PRESETS, *calibrated_names()):
        given = [f"{field}={value!r}" for field, value in values.items()]
        return _call("costs = pfnlab.Costs", [f"name={costs.name!r}", *given])
    base = Costs.preset(name)
    other = [f"{n}={value!r}" for n, value in values.items() if value != getattr(base, n)]
    preset = f"costs = pfnlab.Costs.preset({name!r})"
    return _call(f"{preset}.replace", other) if other else [preset]


def save(
    name: str,
    trace: Replayable,
    thresholds: Sequence[int],
    setting: Chosen,
    now: Shown,
    beside: Shown | None,
) -> str:
    """Write the pictures and the sweep over thresholds behind them; return what was written.

    Parameters
    ----------
    name
        Path without ending; ``.png`` and ``.parquet`` are added, and nothing is overwritten. A
        folder in it is created when needed.
    trace, thresholds
        Trace and thresholds of the sweep.
    setting, now, beside
        The setting, its pictures, and those pinned beside them.

    Raises
    ------
    ParameterError, FileError
        For a name that is taken, or that can't be written.
    """
    stem = Path(name.strip()).expanduser()
    if not stem.name.strip(".") or name.strip().endswith(("/", ".png", ".parquet")):
        raise ParameterError(
            "save", name, "must be a path without ending, such as 'results/explore-1'"
        )
    paths = [Path(f"{stem}.png"), Path(f"{stem}.parquet")]
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


def free_name(stem: str = "results/explore") -> str:
    """Return the first of ``results/explore-1``, ``-2`` ... that is no file's name yet."""
    numbers = iter(range(1, 10**6))
    taken = (".png", ".parquet")
    return next(
        name
        for number in numbers
        if not any(Path((name := f"{stem}-{number}") + ending).exists() for ending in taken)
    )
