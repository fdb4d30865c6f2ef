"""``pfnlab calibrate NAME``: a cost preset from this machine, checked on other runs."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: What is hoped for on a quiet machine; more is said, and no failure.
GOOD_MEDIAN, GOOD_P90 = 0.15, 0.30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", help="of the preset, for costs= and --costs")
    parser.add_argument("--force", action="store_true", help="replace a preset of that name")
    parser.add_argument(
        "--trace",
        action="append",
        default=[],
        metavar="FILE",
        help="validate on this trace (again for more; default: four workloads)",
    )
    parser.add_argument(
        "--no-validation", action="store_true", help="leave out the runs that check the preset"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be measured")
    parser.add_argument("--json", action="store_true", help="print the constants as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Measure, refuse noise, write the preset, and show how well it predicts."""
    from pfnlab.host import calibration, twin_times
    from pfnlab.params.user_costs import check_name, write_preset
    from pfnlab.traces.formats import load

    path = check_name(arguments.name, replace=arguments.force)
    traces = [load(trace, stream=False) for trace in arguments.trace] or None
    if arguments.dry_run:
        for name, how in calibration.MEASURED.items():
            sys.stdout.write(f"{name:14}{how}\n")
        times = calibration.REPEATS + 1
        sys.stdout.write(f"each {times} times in turn, some 10 s; then {path} would be written\n")
        return 0
    found = calibration.calibrate()
    table = found.table()
    if arguments.json:
        sys.stdout.write(json.dumps(table.to_dict("index")) + "\n")
    else:
        spread = table["spread"].map("{:.1%}".format)
        shown = table.assign(ns=table["ns"].map("{:,.1f}".format), spread=spread)
        sys.stdout.write(shown.to_string() + "\n")
    noise = found.noise()
    if noise:
        said = ", ".join(f"{name} {spread:.0%}" for name, spread in noise.items())
        sys.stderr.write(
            f"pfnlab: too noisy: the middle half of {calibration.REPEATS} repeats must lie within "
            f"{calibration.MOST_SPREAD:.0%} of the median, and {said}; no preset was written\n"
        )
        return 1
    about = {"name": arguments.name, "host": found.host, "kernel": found.kernel, "date": found.date}
    write_preset(arguments.name, found.figures(), about, replace=arguments.force)
    sys.stderr.write(f"pfnlab: wrote {path}\n")
    if not arguments.no_validation:
        frame = twin_times.validate(found.costs(arguments.name), traces)
        _show_errors(twin_times.errors(frame))
    return 0


def _show_errors(errors: pd.DataFrame) -> None:
    """Show how far predictions are off, a line a trace."""
    shares = {name: errors[name].map("{:.1%}".format) for name in ("median", "p90")}
    shown = errors.assign(runs=errors["runs"].astype(int), **shares)
    sys.stdout.write("\nerror of predicted against measured time, on what was not fitted:\n")
    sys.stdout.write(shown.to_string() + "\n")
    every = errors.loc["all"]
    if every["median"] > GOOD_MEDIAN or every["p90"] > GOOD_P90:
        sys.stdout.write(
            f"more than {GOOD_MEDIAN:.0%} and {GOOD_P90:.0%}: take times by this preset with care\n"
        )
