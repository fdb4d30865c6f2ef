"""``pfnlab sweep SOURCE ...``: every point of a grid, from flags, a parameter file or a frame."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pfnlab.cli import SOME_FAILED, flags, output, sweep_flags
from pfnlab.params import PARAMETERS

if TYPE_CHECKING:
    import pandas as pd

    from pfnlab.notebooks.sweep_request import Request
    from pfnlab.sweeps import PointError

_FIXED = ("region_bytes", "granule_bytes", "chunk_bytes", "threshold_bytes", "policy")
#: Counters and times that decide, and those that are shown where there are any.
_DECIDE = ("miss_ratio", "refaults", "shootdowns", "peak_resident_bytes")
_IF_ANY = ("atomic_faults", "overcommits")
_TIMES = ("event_ns", "stolen_ns")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "source", nargs="*", metavar="SOURCE",
        help="trace files, and workloads: zipf, uniform:1000, zipf:alpha=0.5,seed=3",
    )  # fmt: skip
    parser.add_argument(
        "-f", "--file", metavar="FILE", help="parameters from .yaml or .toml; flags overrule it"
    )
    parser.add_argument(
        "--from", dest="frame", metavar="FRAME", help="make a frame again, and compare the rows"
    )
    sweep_flags.add_fields(parser)
    flags.add_costs(parser)
    flags.add_executor(parser)
    parser.add_argument(
        "--store", metavar="FOLDER", help="keep each point as it is done, and go on from there"
    )
    flags.add_output(parser, "write the table as .parquet")
    flags.add_json(parser, "print JSON, a list of rows")
    parser.add_argument(
        "--write-parameters", metavar="FILE", help="write every parameter as .yaml or .toml"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say how many points, how long and how much memory"
    )


def run(arguments: argparse.Namespace) -> int:
    """Check everything, replay every point, and keep or show the frame."""
    from pfnlab import frames
    from pfnlab.files import check_writable
    from pfnlab.notebooks.sweep_request import check_out

    if arguments.output:
        check_out(arguments.output)
    request = (
        sweep_flags.request_again(arguments) if arguments.frame else sweep_flags.request(arguments)
    )
    before = frames.read_frame(arguments.frame) if arguments.frame else None
    arguments.output = request.out
    with flags.workers_of(arguments) as workers:
        request = request.opened()
        if arguments.frame:
            sweep_flags.check_digests(request, arguments.frame)
        if arguments.dry_run:
            return _say_estimate(request, workers.number)
        if arguments.output:
            check_writable(arguments.output)
        if arguments.write_parameters:
            _write_parameters(request, arguments.write_parameters)
        status, frame = _swept(request, workers.executor, arguments)
    _show(frame, request, arguments)
    return status if before is None else max(status, _compare(frame, before, arguments.frame))


# --- What is done -----------------------------------------------------------------------------


def _write_parameters(request: Request, path: str) -> None:
    from pfnlab.notebooks.parameter_files import write_parameters

    output.say(f"wrote {write_parameters(request.effective(), path)}")


def _say_estimate(request: Request, n_workers: int) -> int:
    """Say what a sweep would take; nothing but a sample is replayed."""
    from pfnlab.params.units import short_bytes, short_ns
    from pfnlab.sweeps import estimate

    about: dict[str, Any] = {"n_workers": n_workers, "skip_invalid": True}
    every = [estimate(source, request.params, request.axes, **about) for source in request.placed()]
    seconds, memory = sum(each.seconds for each in every), max(e.memory_bytes for e in every)
    points, passes = sum(each.n_points for each in every), sum(each.n_passes for each in every)
    sampled = sum(each.sampled_events for each in every)
    sizes = f"{points:,} points of {', '.join(request.texts)} in {passes:,} passes"
    takes = f"about {short_ns(seconds * 1e9)} and {short_bytes(memory)}"
    output.print_lines([f"{sizes}: {takes}, by a sample of {sampled:,} events"])
    return 0


def _swept(
    request: Request, executor: Any, arguments: argparse.Namespace
) -> tuple[int, pd.DataFrame]:
    """Sweep; what was finished is kept, however it ends."""
    from pfnlab.sweeps import PointError, StoreError, SweepInterrupted

    try:
        return 0, request.sweep(executor=executor, store=arguments.store)
    except (SweepInterrupted, StoreError) as stop:
        _keep(stop.frame, request, arguments)
        raise
    except PointError as failure:
        _say_failed(failure, request)
        return SOME_FAILED, failure.frame


def _keep(frame: pd.DataFrame, request: Request, arguments: argparse.Namespace) -> None:
    """Write the rows that were finished before a sweep was stopped, and say so."""
    from pfnlab.frames import write_frame

    rows = f"{len(frame)} of {request.n_points * len(request.sources)} rows are finished"
    if arguments.output and len(frame):
        output.say(f"{rows}, in {write_frame(frame, arguments.output)}")
    elif arguments.store:
        output.say(f"{rows}, in {arguments.store}")
    else:
        output.say(f"{rows}; -o or --store would have kept them")


def _say_failed(failure: PointError, request: Request) -> None:
    """Name each point that failed."""
    for point in failure.failed:
        values = {
            name: PARAMETERS[name].show(getattr(point.params, name))
            for name in request.axes
            if name in PARAMETERS
        } | ({point.share: point.value} if point.share else {})
        where = ", ".join(f"{name}={value}" for name, value in values.items())
        output.say(f"failed: {where or 'the point'}: {point.reason}")


# --- What is shown ----------------------------------------------------------------------------


def _show(frame: pd.DataFrame, request: Request, arguments: argparse.Namespace) -> None:
    """Write the frame where it was asked for, or the columns that decide for people."""
    if not arguments.output and not arguments.json:
        fixed = [name for name in _FIXED if name not in _set_by(request)]
        shown = [f"{n} {PARAMETERS[n].show(getattr(request.params, n))}" for n in fixed]
        about = ", ".join([f"{len(frame):,} points", *shown, f"costs {request.costs}"])
        output.print_lines([about])
    if arguments.output and not len(frame):
        output.say(f"no rows, so {arguments.output} was not written")
    elif len(frame) or arguments.json:
        output.show(frame, arguments, _columns(frame, request))


def _set_by(request: Request) -> list[str]:
    """Return what the axes set, the threshold too where one gives it as a share."""
    by_share = ["threshold_bytes"] if {*sweep_flags.SHARES} & {*request.axes} else []
    return [*request.axes, *by_share]


def _columns(frame: pd.DataFrame, request: Request) -> list[str]:
    swept = _set_by(request)
    happened = [name for name in _IF_ANY if name in frame and frame[name].any()]
    source = ["source"] if len(request.sources) > 1 or not swept else []
    wanted = [*source, *swept, *_DECIDE, *happened, *_TIMES]
    return [name for name in wanted if name in frame]


def _compare(frame: pd.DataFrame, before: pd.DataFrame, path: str) -> int:
    """Say whether a frame that was made again is the same bit for bit; 1 if it is not."""
    from pfnlab.frames import differing

    if "costs" not in before:  # a sweep from Python may leave times to others
        frame = frame[[name for name in frame if name in before]]
    if len(frame) != len(before):
        said = f"has {len(before)} rows, these are {len(frame)}"
    elif names := differing(_by_point(frame), _by_point(before)):
        said = f"has other values of {', '.join(names)}"
    else:
        said = "has the same rows, bit for bit"
    output.say(f"{Path(path).name} {said}")
    return 0 if said.startswith("has the same") or len(before) < len(frame) else 1


def _by_point(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows in an order of their own: Python's axes may come in any."""
    names = [name for name in ("source", *PARAMETERS, *sweep_flags.SHARES) if name in frame]
    return frame.sort_values(names, kind="stable", ignore_index=True)
