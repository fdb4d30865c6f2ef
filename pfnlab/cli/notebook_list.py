"""``pfnlab notebook list``: the notebooks, and what each asks."""

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--json", action="store_true", help="print JSON, with the parameters and their defaults"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print a line a notebook."""
    from pfnlab.notebooks import papermill_runs

    names = papermill_runs.known()
    if arguments.json:
        every = [
            {
                "name": n,
                "title": papermill_runs.title_of(n),
                "parameters": papermill_runs.parameters_of(n),
            }
            for n in names
        ]
        sys.stdout.write(json.dumps(every) + "\n")
        return 0
    width = max(map(len, names)) + 2
    for name in names:
        sys.stdout.write(f"{name:{width}}{papermill_runs.title_of(name)}\n")
    return 0
