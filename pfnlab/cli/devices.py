"""Flags of commands that judge one source on one device: the source, the device, the costs."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pfnlab.cli.flags import add_params, given_of

if TYPE_CHECKING:
    from pfnlab.params import Params
    from pfnlab.params.costs import Costs
    from pfnlab.sweeps import Source


@dataclass(frozen=True, slots=True)
class Asked:
    """What the flags ask for, checked."""

    source: Source
    params: Params
    costs: Costs


def add_device(parser: argparse.ArgumentParser) -> None:
    """Declare the source, the flags of the configuration, ``--region`` and ``--costs``."""
    parser.add_argument("source", metavar="SOURCE", help="a trace file or a workload")
    parser.add_argument(
        "--region",
        metavar="NAME",
        help="a known device: its size, pages, CPUs and latency, which flags overrule",
    )
    parser.add_argument("--costs", metavar="PRESET", help="cost preset (default: the device's)")
    add_params(parser)


def asked_of(arguments: argparse.Namespace) -> Asked:
    """Return what the flags of `add_device` ask for; names are checked before a file is opened."""
    from pfnlab.notebooks.sources import find_source
    from pfnlab.params import Params
    from pfnlab.params.costs import DEFAULT_PRESET, costs_of
    from pfnlab.params.regions import region

    given = given_of(arguments)
    if arguments.region is None:
        params, costs = Params(**given), costs_of(arguments.costs or DEFAULT_PRESET)
    else:
        device = region(arguments.region)
        params, costs = device.params(**given), device.costs(arguments.costs)
    return Asked(find_source(arguments.source), params, costs)


def add_names(parser: argparse.ArgumentParser, flag: str, help: str) -> None:
    """Declare a flag that takes names with commas between them."""
    parser.add_argument(flag, type=_names, default=None, metavar="A,B", help=help)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r}: must be names with commas between them")
    return names
