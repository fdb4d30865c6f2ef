"""Flags that several commands share; those of the configuration come from `PARAMETERS`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pfnlab.errors import ParameterError
from pfnlab.params import PARAMETERS, Params

if TYPE_CHECKING:
    import pandas as pd


_SEVERAL = "Several values are swept: 4KiB,64KiB names them, 64KiB..2MiB doubles."


def add_params(parser: argparse.ArgumentParser, *, swept: bool = False) -> None:
    """Declare a flag for every field of `Params`: ``chunk_bytes`` is ``--chunk-bytes``.

    Where they are `swept`, a flag takes several values; `values_of` reads them.
    """
    group = parser.add_argument_group("configuration", _SEVERAL if swept else None)
    for name, parameter in PARAMETERS.items():
        kind = "SIZE" if parameter.unit == "bytes" else parameter.unit.upper() or "N"
        default = parameter.show(parameter.default)
        group.add_argument(
            flag_of(name),
            dest=name,
            metavar=f"{kind}[,...]" if swept else kind,
            help=f"{parameter.help} ({default})",
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
    return {name: PARAMETERS[name].read(t) for name, t in texts.items() if t is not None}


def values_of(text: str, read: Callable[[str], Any]) -> list[Any]:
    """Return the values of a flag: ``4KiB,64KiB``, or ``64KiB..2MiB`` which doubles.

    `read` makes a value of a text, or refuses it by the name of the flag's field.
    """
    values: list[Any] = []
    for word in text.split(","):
        first, dots, last = word.strip().partition("..")
        values += _doubled(read(first), read(last), word) if dots else [read(first)]
    return values


def _doubled(first: Any, last: Any, word: str) -> list[Any]:
    found = [first]
    while isinstance(first, int | float) and 0 < found[-1] < last:
        found.append(found[-1] * 2)
    if found[-1] != last:
        raise ParameterError("axis", word, "must double from its first value to its last")
    return found


def add_costs(parser: argparse.ArgumentParser) -> None:
    """Declare the cost preset."""
    parser.add_argument("--costs", metavar="PRESET", help="what operations cost (hvo-8s)")


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
        sys.stdout.write(json.dumps(rows_of(frame)) + "\n")
    elif not arguments.output:
        sys.stdout.write(readable(frame[columns]).to_string() + "\n")


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as JSON has them, numbers to the last bit; what is NA is null."""
    present = frame.notna().to_dict("records")
    rows = zip(frame.to_dict("records"), present, strict=True)
    return [{str(n): v if there[n] else None for n, v in row.items()} for row, there in rows]
