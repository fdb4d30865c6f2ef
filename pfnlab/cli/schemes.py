"""``pfnlab schemes SOURCE``: every way to hold the descriptors of a device, a row each."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING

from pfnlab.cli import flags, output

if TYPE_CHECKING:
    import pandas as pd

_DECIDE = ("scheme", "all_dram_bytes", "device_bytes", "setup_ns", "event_ns", "stolen_ns")
_LABEL = 20
_WIDTH = 118


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    flags.add_device(parser)
    flags.add_names(parser, "--names", "schemes to judge (default: all)")
    flags.add_output(parser, ".parquet, or a picture as .png, .svg or .pdf")
    flags.add_json(parser, "print JSON, a list of rows")


def run(arguments: argparse.Namespace) -> int:
    """Judge the schemes and print, write or draw them."""
    from pfnlab.alternatives import counted, side_by_side
    from pfnlab.alternatives.scheme import chosen_schemes

    if arguments.output:
        output.kind_of(arguments.output, "parquet")
    chosen_schemes(arguments.names)
    setup = flags.setup_of(arguments)
    trace = setup.source.trace(setup.params)
    frame = side_by_side([counted(trace, setup.params, names=arguments.names)], setup.costs)
    frame.insert(frame.columns.get_loc("scheme"), "costs", setup.costs.name)  # type: ignore[arg-type]
    if arguments.output:
        _save(frame, arguments.output)
    if arguments.json:
        output.print_json(output.rows_of(frame))
    elif not arguments.output:
        output.print_lines(_lines(frame, setup))
    return 0


def _save(frame: pd.DataFrame, path: str) -> None:
    """Write the rows as Parquet, or draw them."""
    from pfnlab.frames import write_frame

    if path.endswith(".parquet"):
        write_frame(frame, path)
    else:
        from pfnlab import figures

        output.save_picture(figures.schemes(frame), path)
    output.say(f"wrote {path}")


def _lines(frame: pd.DataFrame, setup: flags.Setup) -> Iterator[str]:
    from pfnlab.alternatives import PROPERTIES
    from pfnlab.params.units import format_bytes, short_bytes

    params = setup.params
    about = frame.iloc[0]
    sizes = ", ".join(
        f"{name} {format_bytes(getattr(params, f'{name}_bytes'))}"
        for name in ("granule", "chunk", "threshold")
    )
    yield (
        f"{about['source']} ({about['evidence']}): {about['accesses']:,} accesses, "
        f"region {short_bytes(params.region_bytes)}, {params.n_cpus} CPUs, costs {setup.costs.name}"
    )
    yield f"demand schemes: {sizes}, batch {params.batch_chunks}"
    yield ""
    yield from output.table_lines(frame[[*_DECIDE, *PROPERTIES]])
    yield ""
    for note, rows in frame[frame["note"] != ""].groupby("note", sort=False):
        first, *others = wrap(f"{', '.join(rows['scheme'])}: {note}", _WIDTH)
        yield first
        yield from (f"  {line}" for line in others)
