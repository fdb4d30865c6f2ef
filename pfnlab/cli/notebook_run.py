"""``pfnlab notebook run NAME ...``: papermill with strict parameters, several notebooks at once."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pfnlab.cli.output import say
from pfnlab.errors import ParameterError, ParameterFileError, PfnlabError

if TYPE_CHECKING:
    from pfnlab.notebooks.papermill_runs import Job, Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "name", nargs="+", metavar="NAME", help="of a notebook, see `pfnlab notebook list`"
    )
    parser.add_argument(
        "-p", dest="single", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        help="a parameter (again for more)",
    )  # fmt: skip
    parser.add_argument(
        "-y", dest="text", action="append", default=[], metavar="YAML",
        help="parameters as text: 'chunk_bytes_axis: [64KiB, 2MiB]'; overrules -f, and -p both",
    )  # fmt: skip
    parser.add_argument(
        "-f", dest="file", action="append", default=[], metavar="FILE",
        help="parameters from .yaml or .toml (again for another run with others)",
    )  # fmt: skip
    parser.add_argument(
        "-j", "--jobs", type=int, default=1, metavar="N", help="kernels at the same time (1)"
    )
    parser.add_argument(
        "-o", "--output", default="results", metavar="FOLDER",
        help="where executed notebooks and frames go (results)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Check every run, then make them, and say how each ended."""
    from pfnlab.files import check_writable
    from pfnlab.notebooks.papermill_runs import execute_all

    if arguments.jobs < 1:
        raise ParameterError("jobs", arguments.jobs, "must be a number of kernels")
    jobs = list(_jobs(arguments))
    for job in jobs:
        check_writable(job.output)
    outcomes = execute_all(jobs, arguments.jobs, _report)
    return 1 if any(outcome.reason for outcome in outcomes) else 0


def _jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """Yield each notebook with each file; with several files, their names tell runs apart."""
    from pfnlab.notebooks.papermill_runs import Job, check
    from pfnlab.notebooks.parameter_files import read_parameters

    folder = Path(arguments.output).absolute()
    over = _typed(arguments)
    stems = [Path(file).stem for file in arguments.file]
    for name in dict.fromkeys(arguments.name):
        for file in arguments.file or [""]:
            given = _located({**(read_parameters(file) if file else {}), **over})
            stem = f"{name}-{Path(file).stem}" if len(stems) > 1 else name
            output = folder / f"{stem}.ipynb"
            parameters = {"out": str(folder / f"{stem}.parquet")} | given
            try:
                check(name, parameters)
            except PfnlabError as error:
                if not file:
                    raise
                raise ParameterFileError(f"{file}: {error}") from error
            yield Job(name, parameters, output)


def _typed(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters of -y and -p."""
    from pfnlab.notebooks.parameter_files import read_yaml

    found: dict[str, Any] = {}
    for text in arguments.text:
        try:
            found |= read_yaml(text)
        except ParameterFileError as error:
            raise ParameterFileError(f"-y: {error}") from error
    return found | {name: _value(text) for name, text in arguments.single}


def _value(text: str) -> int | float | str | None:
    """Return what papermill takes the text of a -p for."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None if text == "None" else text


def _located(given: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters with paths that hold from the folder where notebooks run."""
    from pfnlab.notebooks.sources import located

    found = dict(given)
    if isinstance(given.get("out"), str):
        found["out"] = str(Path(given["out"]).absolute())
    if isinstance(source := given.get("source"), str):
        found["source"] = located(source)
    elif isinstance(source, list):
        found["source"] = [located(text) if isinstance(text, str) else text for text in source]
    return found


def _report(outcome: Outcome) -> None:
    """Write a line for a run that ended."""
    job = outcome.job
    how = f"failed, {' '.join(outcome.reason.split())[:300]}" if outcome.reason else "done"
    say(f"{job.name}: {how}; {job.output}")
