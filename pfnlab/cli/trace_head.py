"""``pfnlab trace head FILE``: the first events of a trace."""

import argparse
from typing import Any

from pfnlab.cli import flags, output

_OPS = ("LOOKUP", "GET", "PUT")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", metavar="FILE", help="a trace in any known format")
    parser.add_argument("-n", type=int, default=10, metavar="N", help="events (10)")
    flags.add_json(parser, "print one JSON object per event")
    flags.add_reading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the events."""
    from pfnlab.errors import ParameterError
    from pfnlab.traces.formats import load

    if arguments.n < 0:
        raise ParameterError("n", arguments.n, "must be a number of events")
    trace = load(arguments.file, **flags.reading_of(arguments))
    columns = _columns(trace, arguments.n)
    if not arguments.json and columns:
        output.print_lines(["".join(f"{name:>16}" for name in columns)])
    for values in zip(*columns.values(), strict=True):
        if arguments.json:
            output.print_json(dict(zip(columns, values, strict=True)))
        else:
            output.print_lines(["".join(f"{value!s:>16}" for value in values)])
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
