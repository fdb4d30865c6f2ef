"""``pfnlab advise SOURCE --region NAME``: which scheme, and which sizes if it faults on demand."""

from __future__ import annotations

import argparse
from textwrap import fill
from typing import TYPE_CHECKING, Any

from pfnlab.cli import SOME_FAILED, flags, output

if TYPE_CHECKING:
    import pandas as pd

    from pfnlab.alternatives.advice import Advice
    from pfnlab.params import Params

_WIDTH, _LABEL = 118, 11


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    flags.add_device(parser)
    parser.add_argument(
        "--dram-budget", metavar="SIZE", help="most DRAM for descriptors (default: the knee)"
    )
    flags.add_names(parser, "--needs", "properties that a scheme must keep, as stable_address")
    flags.add_executor(parser)
    flags.add_output(parser, "the front as .png, .svg or .pdf, or every point as .parquet")
    flags.add_json(parser, "print the answer as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Replay the grid and print the answer; finished points are kept, however it ends."""
    from pfnlab.sweeps import PointError, SweepInterrupted

    path = arguments.output
    kind = output.kind_of(path, "parquet") if path else ""
    try:
        advice = _advice(arguments)
    except (SweepInterrupted, PointError) as stop:
        if kind == "parquet" and len(stop.frame):
            _write(stop.frame, path)
        if isinstance(stop, PointError):
            output.say(str(stop))
            return SOME_FAILED
        raise
    if kind == "parquet":
        _write(advice.grid, path)
    elif path:
        from pfnlab import figures

        output.save_picture(figures.pareto_front(advice), path)
        output.say(f"wrote {path}")
    if arguments.json:
        output.print_json(_facts(advice))
    else:
        output.print_lines(_wrapped(str(advice)))
    return 0


def _advice(arguments: argparse.Namespace) -> Advice:
    from pfnlab.alternatives.advice import advise

    setup = flags.setup_of(arguments)
    with flags.workers_of(arguments) as workers:
        return advise(
            setup.source,
            setup.params,
            dram_budget=arguments.dram_budget,
            costs=setup.costs,
            needs=arguments.needs or (),
            executor=workers.executor,
        )


def _wrapped(text: str) -> list[str]:
    """Return the answer with lines that fit a terminal, the text after a label below itself."""
    below = " " * _LABEL
    return [fill(line, _WIDTH, subsequent_indent=below) for line in text.splitlines()]


def _write(frame: pd.DataFrame, path: str) -> None:
    from pfnlab.frames import write_frame

    write_frame(frame, path)
    output.say(f"wrote {path}, {len(frame):,} points")


def _facts(advice: Advice) -> dict[str, Any]:
    """Return the question, the scheme, and the points that matter, by name."""
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
        "schemes": output.rows_of(advice.schemes),
        "front": output.rows_of(advice.front),
    }


def _point(advice: Advice, point: Params | None) -> dict[str, Any] | None:
    import pandas as pd

    return None if point is None else output.rows_of(pd.DataFrame([advice.row(point)]))[0]
