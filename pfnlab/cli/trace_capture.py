"""``pfnlab trace capture -o OUT -- COMMAND``: run a program, keep what it touches as a trace."""

import argparse
from pathlib import Path

from pfnlab.cli.output import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help="NAME.parquet, or a new folder of columns",
    )
    parser.add_argument(
        "--method",
        default="auto",
        choices=("auto", "strace", "ftrace"),
        help="strace: calls at an offset, without root; ftrace: the page cache, as root; "
        "auto (default): ftrace where it can be used, else strace",
    )
    parser.add_argument(
        "command",
        nargs=argparse.REMAINDER,
        metavar="-- COMMAND",
        help="a program and its arguments",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the program, and say what was recorded and what can't have been."""
    from pfnlab.traces.capture import METHODS, capture, check, usable_method

    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    method = usable_method() if arguments.method == "auto" else arguments.method
    check(command, Path(arguments.output), method)
    how = METHODS[method]
    say(f"{method} sees {how.sees}; it can't see {how.blind}")
    found = capture(command, arguments.output, method)
    if found.n_events:
        counts = found.provenance.get("counts", "")
        say(f"{arguments.output}: {found.n_events:,} events" + (f" ({counts})" if counts else ""))
    else:
        say(f"the program did nothing that {method} sees: no trace was written")
    if found.status:
        say(f"{command[0]} {_ended(found.status)}")
    return 1 if found.status or not found.n_events else 0


def _ended(status: int) -> str:
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
