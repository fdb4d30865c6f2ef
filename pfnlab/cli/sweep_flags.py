"""What a sweep is asked for on the command line: flags, a parameter file, or a frame."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from pfnlab.cli import flags
from pfnlab.errors import FrameError, ParameterError, ParameterFileError, TraceError
from pfnlab.params import PARAMETERS

if TYPE_CHECKING:
    from pfnlab.notebooks.sweep_request import Request

#: Flags that set the threshold in another way.
SHARES = {
    "threshold_fraction": "threshold as a share of the vmemmap",
    "threshold_of_footprint": "threshold as a share of the granules the trace touches",
}


def add_fields(parser: argparse.ArgumentParser) -> None:
    """Declare a flag for each field that can be swept."""
    flags.add_params(parser, swept=True)
    for name, text in SHARES.items():
        parser.add_argument(flags.flag_of(name), dest=name, metavar="SHARE[,...]", help=text)


def request(arguments: argparse.Namespace) -> Request:
    """Return what file and flags ask for; flags overrule the file."""
    from pfnlab.notebooks import sweep_request
    from pfnlab.notebooks.parameter_files import read_parameters

    given = read_parameters(arguments.file) if arguments.file else {}
    by_flags = _flags(arguments)
    try:
        return sweep_request.request(sweep_request.overlay(given, by_flags))
    except ParameterError as error:
        names = {error.field, f"{error.field}_axis"}
        if names & {*given} and not names & {*by_flags}:
            raise ParameterFileError(f"{arguments.file}: {error}") from error
        raise


def _flags(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the flags ask for; one with several values is an axis, and so is a share."""
    found: dict[str, Any] = {}
    for name, parameter in PARAMETERS.items():
        if (text := getattr(arguments, name)) is not None:
            values = flags.values_of(text, parameter.read)
            found |= {name: values[0]} if len(values) == 1 else {f"{name}_axis": values}
    for name in SHARES:
        if (text := getattr(arguments, name)) is not None:
            found[f"{name}_axis"] = flags.values_of(text, partial(_share, name))
            if arguments.threshold_bytes is not None:
                requirement = f"{flags.flag_of(name)} sets the threshold too"
                raise ParameterError("threshold_bytes", arguments.threshold_bytes, requirement)
    single = {"costs": arguments.costs, "out": arguments.output}
    found |= {name: value for name, value in single.items() if value is not None}
    return found | ({"source": arguments.source} if arguments.source else {})


def _share(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ParameterError(name, text, "must be a number above 0") from None


def request_again(arguments: argparse.Namespace) -> Request:
    """Return what a frame was asked for."""
    from pfnlab import frames
    from pfnlab.notebooks import sweep_request

    frame, output = arguments.frame, arguments.output
    arguments.output = None
    if arguments.file or _flags(arguments):
        raise ParameterError("from", frame, "says all that is asked for; leave out the rest")
    given = frames.about_frame(frame).get("request")
    if not isinstance(given, dict):
        requirement = "does not say what was asked for, as frames of `pfnlab sweep` do"
        raise FrameError(f"{frame}: {requirement}")
    try:
        return sweep_request.request({**given, "out": output})
    except ParameterError as error:
        raise ParameterFileError(f"{frame}: {error}") from error


def check_digests(request: Request, path: str) -> None:
    """Refuse a trace that is not the one that a frame was made of."""
    from pfnlab.frames import about_frame

    digests = about_frame(path).get("digests", {})
    for text, digest in request.digests.items():
        if digests.get(text) != digest:
            raise TraceError(f"{text}: its events are not those that {path} was made of")
