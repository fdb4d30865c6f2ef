"""``pfnlab calibrate NAME``: a cost preset from this machine, checked on other runs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pfnlab.cli.flags import add_json
from pfnlab.cli.output import print_json, print_lines, say

if TYPE_CHECKING:
    import pandas as pd

#: What is hoped for on a quiet machine; more is said, and no failure.
GOOD_MEDIAN, GOOD_P90 = 0.15, 0.30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", help="of the preset, for costs= and --costs")
    parser.add_argument("--force", action="store_true", help="replace a preset of that name")
    parser.add_argument(
        "--trace", action="append", default=[], metavar="FILE",
        help="validate on this trace (again for more; default: four workloads)",
    )  # fmt: skip
    parser.add_argument(
        "--no-validation", action="store_true", help="leave out the runs that check the preset"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be measured")
    add_json(parser, "print the constants as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Measure, refuse noise, write the preset, and show how well it predicts."""
    from pfnlab.host import calibration, twin_times
    from pfnlab.traces.formats import load

    path = calibration.check_name(arguments.name, replace=arguments.force)
    traces = [load(trace, stream=False) for trace in arguments.trace] or None
    if arguments.dry_run:
        print_lines(f"{name:14}{how}" for name, how in calibration.MEASURED.items())
        times = calibration.REPEATS + 1
        print_lines([f"each {times} times in turn, some 10 s; then {path} would be written"])
        return 0
    found = calibration.calibrate()
    table = found.table()
    if arguments.json:
        print_json(table.to_dict("index"))
    else:
        spread = table["spread"].map("{:.1%}".format)
        shown = table.assign(ns=table["ns"].map("{:,.1f}".format), spread=spread)
        print_lines([shown.to_string()])
    noise = found.noise()
    if noise:
        said = ", ".join(f"{name} {spread:.0%}" for name, spread in noise.items())
        say(
            f"too noisy: the middle half of {calibration.REPEATS} repeats must lie within "
            f"{calibration.MOST_SPREAD:.0%} of the median, and {said}; no preset was written"
        )
        return 1
    about = {"name": arguments.name, "host": found.host, "kernel": found.kernel, "date": found.date}
    calibration.write_preset(arguments.name, found.figures(), about, replace=arguments.force)
    say(f"wrote {path}")
    if not arguments.no_validation:
        frame = twin_times.validate(found.costs(arguments.name), traces)
        _show_errors(twin_times.errors(frame))
    return 0


def _show_errors(errors: pd.DataFrame) -> None:
    """Show how far predictions are off, one line per trace."""
    shares = {name: errors[name].map("{:.1%}".format) for name in ("median", "p90")}
    shown = errors.assign(runs=errors["runs"].astype(int), **shares)
    print_lines(["", "error of predicted against measured time, on what was not fitted:"])
    print_lines([shown.to_string()])
    every = errors.loc["all"]
    if every["median"] > GOOD_MEDIAN or every["p90"] > GOOD_P90:
        limits = f"{GOOD_MEDIAN:.0%} and {GOOD_P90:.0%}"
        print_lines([f"more than {limits}: take times by this preset with care"])
