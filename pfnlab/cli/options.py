"""Flags that several commands share; those of the configuration come from `PARAMETERS`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from pfnlab.params import PARAMETERS, Params

if TYPE_CHECKING:
    import pandas as pd


def add_params(parser: argparse.ArgumentParser) -> None:
    """Declare a flag for every field of `Params`: ``chunk_bytes`` is ``--chunk-bytes``."""
    group = parser.add_argument_group("configuration")
    for name, parameter in PARAMETERS.items():
        kind = "SIZE" if parameter.unit == "bytes" else parameter.unit.upper() or "N"
        default = parameter.show(parameter.default)
        group.add_argument(
            flag_of(name), dest=name, metavar=kind, help=f"{parameter.help} ({default})"
        )


def flag_of(name: str) -> str:
    """Return the flag of a field."""
    return f"--{name.replace('_', '-')}"


def params_of(arguments: argparse.Namespace) -> Params:
    """Return the configuration that the flags of `add_params` ask for."""
    return Params(**given_of(arguments))


def given_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the fields that were given, and no defaults."""
    texts = {name: getattr(arguments, name) for name in PARAMETERS}
    return {name: value_of(name, text) for name, text in texts.items() if text is not None}


def value_of(name: str, text: str) -> int | str:
    """Return the text of a flag as its field takes it: a count is a number, a size has a unit."""
    if PARAMETERS[name].choices or PARAMETERS[name].unit == "bytes":
        return text
    digits = text.replace("_", "").replace(",", "")
    return int(digits) if digits.isascii() and digits.isdigit() else text


def add_output(parser: argparse.ArgumentParser) -> None:
    """Declare where a table goes."""
    parser.add_argument("-o", "--output", metavar="FILE", help="write the table as .parquet")
    parser.add_argument("--json", action="store_true", help="print JSON, a list of rows")


def show(frame: pd.DataFrame, arguments: argparse.Namespace, columns: list[str]) -> None:
    """Write the table where it was asked for: to a file, as JSON, or `columns` of it for people."""
    import sys

    from pfnlab.frames import readable, write_frame

    if arguments.output:
        sys.stderr.write(f"pfnlab: wrote {write_frame(frame, arguments.output)}\n")
    if arguments.json:
        sys.stdout.write(frame.to_json(orient="records") + "\n")
    elif not arguments.output:
        sys.stdout.write(readable(frame[columns]).to_string() + "\n")
