"""``pfnlab notebook list``: the notebooks, and what each asks."""

import argparse

from pfnlab.cli import flags, output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    flags.add_json(parser, "print JSON, with the parameters and their defaults")


def run(arguments: argparse.Namespace) -> int:
    """Print one line per notebook."""
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
        output.print_json(every)
        return 0
    width = max(map(len, names)) + 2
    output.print_lines(f"{name:{width}}{papermill_runs.title_of(name)}" for name in names)
    return 0
