"""``pfnlab trace convert IN OUT``: a foreign trace becomes a native one, in bounded memory."""

import argparse
from pathlib import Path

from pfnlab.cli import flags, output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "source", metavar="IN", help="a file of any known format, compressed or not"
    )
    parser.add_argument("target", metavar="OUT", help="NAME.parquet, or a new folder of columns")
    flags.add_reading(parser)
    flags.add_json(parser, "say what was written as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Convert, and say what was written."""
    from pfnlab.traces.formats import is_native
    from pfnlab.traces.formats.foreign import Foreign, Options, convert
    from pfnlab.traces.native import load_native, save

    source, target = Path(arguments.source), Path(arguments.target)
    options = Options(**flags.reading_of(arguments))
    if is_native(source):
        save(load_native(source), target)
    else:
        with output.progress(source.name, None, "B") as on_bytes:
            foreign = Foreign(source, options, on_bytes, command=arguments.typed)
            convert(foreign, target)
        if n_bad := foreign.counts["bad, skipped"]:
            output.say(f"{source}: {n_bad:,} bad lines or records were skipped")
    trace = load_native(target, stream=True)
    counts = trace.provenance.get("counts", "")
    if arguments.json:
        about = {"file": str(target), "n_events": len(trace), **trace.provenance}
        output.print_json(about, sort_keys=True)
    else:
        said = f" ({counts})" if counts else ""
        output.print_lines([f"{target}: {len(trace):,} events, {trace.evidence}{said}"])
    return 0
