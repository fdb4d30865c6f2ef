"""``pfnlab schemes SOURCE``: every way to hold the descriptors of a device, a row each."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING

from pfnlab.cli.devices import Asked, add_device, add_names, asked_of
from pfnlab.cli.flags import rows_of

if TYPE_CHECKING:
    import pandas as pd

_DECIDE = ("scheme", "all_dram_bytes", "device_bytes", "setup_ns", "event_ns", "stolen_ns")
_LABEL = 20
_WIDTH = 118


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_device(parser)
    add_names(parser, "--names", "schemes to judge (default: all)")
    kinds = ".parquet, or a picture as .png, .svg or .pdf"
    parser.add_argument("-o", "--output", metavar="FILE", help=kinds)
    parser.add_argument("--json", action="store_true", help="print JSON, a list of rows")


def run(arguments: argparse.Namespace) -> int:
    """Judge the schemes and print, write or draw them."""
    from pfnlab.alternatives import counted, side_by_side
    from pfnlab.alternatives.scheme import chosen_schemes
    from pfnlab.cli.output import kind_of

    if arguments.output:
        kind_of(arguments.output, "parquet")
    chosen_schemes(arguments.names)
    asked = asked_of(arguments)
    trace = asked.source.trace(asked.params)
    frame = side_by_side([counted(trace, asked.params, names=arguments.names)], asked.costs)
    frame.insert(frame.columns.get_loc("scheme"), "costs", asked.costs.name)  # type: ignore[arg-type]
    if arguments.output:
        _keep(frame, arguments.output)
    if arguments.json:
        sys.stdout.write(json.dumps(rows_of(frame)) + "\n")
    elif not arguments.output:
        sys.stdout.write("\n".join(_lines(frame, asked)) + "\n")
    return 0


def _keep(frame: pd.DataFrame, path: str) -> None:
    """Write the rows as Parquet, or draw them."""
    from pfnlab.cli.output import save_picture
    from pfnlab.frames import write_frame

    if path.endswith(".parquet"):
        write_frame(frame, path)
    else:
        from pfnlab import figures

        save_picture(figures.schemes(frame), path)
    sys.stderr.write(f"pfnlab: wrote {path}\n")


def _lines(frame: pd.DataFrame, asked: Asked) -> Iterator[str]:
    from pfnlab.alternatives import PROPERTIES
    from pfnlab.cli.tables import table_lines
    from pfnlab.params.units import format_bytes, short_bytes

    params = asked.params
    about = frame.iloc[0]
    sizes = ", ".join(
        f"{name} {format_bytes(getattr(params, f'{name}_bytes'))}"
        for name in ("granule", "chunk", "threshold")
    )
    yield (
        f"{about['source']} ({about['evidence']}): {about['accesses']:,} accesses, "
        f"region {short_bytes(params.region_bytes)}, {params.n_cpus} CPUs, costs {asked.costs.name}"
    )
    yield f"demand schemes: {sizes}, batch {params.batch_chunks}"
    yield ""
    yield from table_lines(frame[[*_DECIDE, *PROPERTIES]])
    yield ""
    for note, rows in frame[frame["note"] != ""].groupby("note", sort=False):
        first, *others = wrap(f"{', '.join(rows['scheme'])}: {note}", _WIDTH)
        yield first
        yield from (f"  {line}" for line in others)
