"""``pfnlab trace convert IN OUT``: a foreign trace becomes a native one, in bounded memory."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "source", metavar="IN", help="a file of any known format, compressed or not"
    )
    parser.add_argument("target", metavar="OUT", help="NAME.parquet, or a new folder of columns")
    add_options(parser)
    parser.add_argument("--json", action="store_true", help="say what was written as JSON")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare how a foreign file is read."""
    parser.add_argument("--format", help="name of its format (default: told by its content)")
    parser.add_argument(
        "--io-depth",
        type=int,
        default=32,
        metavar="N",
        help="a request without a completion time completes once N later ones were submitted (32)",
    )
    parser.add_argument(
        "--devices",
        default="apart",
        metavar="HOW",
        help="apart (default), packed (touched areas of 128 MiB), or the name of one device",
    )
    parser.add_argument(
        "--skip-bad", type=int, default=0, metavar="N", help="bear N bad lines or records (0)"
    )
    parser.add_argument(
        "--page-bytes", default="4KiB", metavar="SIZE", help="pages that addresses are cut into"
    )
    parser.add_argument(
        "--columns", metavar="A,B", help="what the columns of a text without a header are"
    )


def options_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options of `pfnlab.load` that the arguments stand for."""
    columns = arguments.columns
    return {
        "format": arguments.format,
        "io_depth": arguments.io_depth,
        "devices": arguments.devices,
        "skip_bad": arguments.skip_bad,
        "page_bytes": arguments.page_bytes,
        "columns": columns.split(",") if columns else None,
    }


def run(arguments: argparse.Namespace) -> int:
    """Convert, and say what was written."""
    from tqdm import tqdm

    from pfnlab.traces.formats import is_native
    from pfnlab.traces.formats.foreign import Foreign, Options, convert
    from pfnlab.traces.native import load_native, save

    source, target = Path(arguments.source), Path(arguments.target)
    options = Options(**options_of(arguments))
    if is_native(source):
        save(load_native(source), target)
    else:
        with tqdm(desc=source.name, unit="B", unit_scale=True, disable=None) as bar:

            def on_bytes(n_bytes: int) -> None:
                bar.update(n_bytes)

            foreign = Foreign(source, options, on_bytes, command=arguments.typed)
            convert(foreign, target)
        if n_bad := foreign.counts["bad, skipped"]:
            sys.stderr.write(f"pfnlab: {source}: {n_bad:,} bad lines or records were skipped\n")
    trace = load_native(target, stream=True)
    counts = trace.provenance.get("counts", "")
    if arguments.json:
        about = {"file": str(target), "n_events": len(trace), **trace.provenance}
        sys.stdout.write(json.dumps(about, sort_keys=True) + "\n")
    else:
        said = f" ({counts})" if counts else ""
        sys.stdout.write(f"{target}: {len(trace):,} events, {trace.evidence}{said}\n")
    return 0
