"""``pfnlab report [FOLDER]``: results as one HTML file that opens without a network."""

import argparse

from pfnlab.cli.output import print_lines, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "path", nargs="?", default="results", metavar="FOLDER",
        help="of frames, as ./run demo leaves them, or one frame (default: results)",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", metavar="FILE.html", help="default: report.html in the folder"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the report and say where it is."""
    from pfnlab.errors import ParameterError
    from pfnlab.notebooks.report import write_report
    from pfnlab.params.units import short_bytes

    if arguments.output and not arguments.output.endswith((".html", ".htm")):
        raise ParameterError("output", arguments.output, "must end in .html")
    path = write_report(arguments.path, arguments.output)
    print_lines([str(path)])
    say(f"wrote {path}, {short_bytes(path.stat().st_size)}")
    return 0
