"""``pfnlab advise SOURCE --region NAME``: which scheme, and which sizes if it faults on demand."""

from __future__ import annotations

import argparse
import json
import sys
from textwrap import fill
from typing import TYPE_CHECKING, Any

from pfnlab.cli.devices import add_device, add_names, asked_of
from pfnlab.cli.executors import add_executor, executor_of
from pfnlab.cli.flags import rows_of

if TYPE_CHECKING:
    import pandas as pd

    from pfnlab.alternatives.advice import Advice
    from pfnlab.params import Params

_WIDTH, _LABEL = 118, 11
_SOME_FAILED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_device(parser)
    parser.add_argument(
        "--dram-budget", metavar="SIZE", help="most DRAM for descriptors (default: the knee)"
    )
    add_names(parser, "--needs", "properties that a scheme must keep, as stable_address")
    add_executor(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE",
        help="the front as .png, .svg or .pdf, or every point as .parquet",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Replay the grid and print the answer; finished points are kept, however it ends."""
    from pfnlab.cli.output import kind_of
    from pfnlab.sweeps import PointError, SweepInterrupted

    path = arguments.output
    kind = kind_of(path, "parquet") if path else ""
    try:
        advice = _advice(arguments)
    except (SweepInterrupted, PointError) as stop:
        if kind == "parquet" and len(stop.frame):
            _write(stop.frame, path)
        if isinstance(stop, PointError):
            sys.stderr.write(f"pfnlab: {stop}\n")
            return _SOME_FAILED
        raise
    if kind == "parquet":
        _write(advice.grid, path)
    elif path:
        _draw(advice, path)
    said = json.dumps(_facts(advice)) if arguments.json else _wrapped(str(advice))
    sys.stdout.write(f"{said}\n")
    return 0


def _advice(arguments: argparse.Namespace) -> Advice:
    from pfnlab.alternatives.advice import advise

    asked = asked_of(arguments)
    with executor_of(arguments) as where:
        return advise(
            asked.source,
            asked.params,
            dram_budget=arguments.dram_budget,
            costs=asked.costs,
            needs=arguments.needs or (),
            executor=where.executor,
        )


def _wrapped(text: str) -> str:
    """Return the answer with lines that fit a terminal, what follows a label below it."""
    below = " " * _LABEL
    return "\n".join(fill(line, _WIDTH, subsequent_indent=below) for line in text.splitlines())


def _write(frame: pd.DataFrame, path: str) -> None:
    from pfnlab.frames import write_frame

    write_frame(frame, path)
    sys.stderr.write(f"pfnlab: wrote {path}, {len(frame):,} points\n")


def _draw(advice: Advice, path: str) -> None:
    from pfnlab import figures
    from pfnlab.cli.output import save_picture

    save_picture(figures.pareto_front(advice), path)
    sys.stderr.write(f"pfnlab: wrote {path}\n")


def _facts(advice: Advice) -> dict[str, Any]:
    """Return what was asked, the scheme, and the points that matter, by name."""
    return {
        "source": advice.trace,
        "evidence": advice.evidence,
        "costs": advice.costs.name,
        "dram_budget_bytes": advice.dram_budget,
        "needs": list(advice.needs),
        "scheme": advice.scheme,
        "best": _point(advice, advice.best),
        "lra": _point(advice, advice.lra),
        "knee": _point(advice, advice.knee),
        "schemes": rows_of(advice.schemes),
        "front": rows_of(advice.front),
    }


def _point(advice: Advice, point: Params | None) -> dict[str, Any] | None:
    import pandas as pd

    return None if point is None else rows_of(pd.DataFrame([advice.row(point)]))[0]
