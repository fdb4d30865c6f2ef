"""``pfnlab trace head FILE``: the first events of a trace."""

import argparse
import json
import sys
from typing import Any

from pfnlab.cli.trace_convert import add_options, options_of

_OPS = ("LOOKUP", "GET", "PUT")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", metavar="FILE", help="a trace in any known format")
    parser.add_argument("-n", type=int, default=10, metavar="N", help="events (10)")
    parser.add_argument("--json", action="store_true", help="print one JSON object an event")
    add_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the events."""
    from pfnlab.errors import ParameterError
    from pfnlab.traces.formats import load

    if arguments.n < 0:
        raise ParameterError("n", arguments.n, "must be a number of events")
    trace = load(arguments.file, **options_of(arguments))
    columns = _columns(trace, arguments.n)
    if not arguments.json and columns:
        sys.stdout.write("".join(f"{name:>16}" for name in columns) + "\n")
    for values in zip(*columns.values(), strict=True):
        if arguments.json:
            sys.stdout.write(json.dumps(dict(zip(columns, values, strict=True))) + "\n")
        else:
            sys.stdout.write("".join(f"{value!s:>16}" for value in values) + "\n")
    return 0


def _columns(trace: Any, n_events: int) -> dict[str, list[Any]]:
    """Return the first values of each column, operations by their names."""
    from pfnlab.traces.streamed import StreamedTrace

    columns: dict[str, list[Any]]
    if isinstance(trace, StreamedTrace):
        columns = {name: [] for name in trace.dtypes}
        for start, block in trace.blocks(list(columns), 1 << 16):
            for name, values in block.items():
                columns[name] += values[: n_events - start].tolist()
            if start + (1 << 16) >= n_events:
                break
    else:
        columns = {name: values[:n_events].tolist() for name, values in trace.columns().items()}
    renamed = {"pfns": "pfn", "ops": "op", "cpus": "cpu"}
    columns = {renamed.get(name, name): values for name, values in columns.items()}
    if "op" in columns:
        columns["op"] = [_OPS[op] for op in columns["op"]]
    return columns
