"""`./run bench`: run the rows, print the table, and keep it with machine, versions and date."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.race import AbsentError, Line, WrongAnswerError, run_race
from benchmarks.report import about, markdown, write
from benchmarks.rows import Row, rows
from benchmarks.traces import FULL, LARGE, QUICK, ROOT, Scale

PROCESS_REPETITIONS = 7


def say(text: str) -> None:
    """Tell the person who waits."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small traces, 3 repetitions")
    size.add_argument("--large", action="store_true", help="4 * 10^8 accesses on disk")
    parser.add_argument("--only", metavar="NAME", action="append", default=[],
                        help="rows whose name contains NAME; may be repeated")  # fmt: skip
    parser.add_argument("--list", action="store_true", help="name the rows and stop")
    parser.add_argument("--out", type=Path, metavar="FOLDER",
                        help="write the table there; a whole run that is not quick writes it "
                        "to benchmarks/ anyway")  # fmt: skip
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 if a row gave a wrong answer or broke, 130 if interrupted."""
    options = parsed(arguments)
    chosen = [row for row in rows() if any(part in row.name for part in options.only or [""])]
    if options.list or not chosen:
        print(*(row.name for row in chosen or rows()), sep="\n")
        return 0 if options.list else 2
    scale = QUICK if options.quick else LARGE if options.large else FULL
    lines, remarks, code = run_rows(chosen, scale)
    if options.quick:
        remarks.append("quick: small traces, on which the marks say little")
    facts = about()
    print(markdown(lines, facts, remarks))
    folder = options.out or (None if options.quick or options.only else ROOT / "benchmarks")
    if folder and lines:
        write(folder, lines, facts, remarks)
        say(f"wrote {folder / 'RESULTS.md'} and {folder / 'results.parquet'}")
    return code


def run_rows(chosen: Sequence[Row], scale: Scale) -> tuple[list[Line], list[str], int]:
    """Run rows in turn; on Ctrl-C return those that are finished."""
    lines: list[Line] = []
    remarks: list[str] = []
    code = 0
    for number, row in enumerate(chosen, 1):
        started = time.monotonic()
        try:
            processes = row.name.startswith("start/")
            repetitions = PROCESS_REPETITIONS if processes else scale.repetitions
            lines += run_race(row.name, row.build(scale), repetitions)
            outcome = "done"
        except AbsentError as why:
            outcome = f"skipped: {why}"
        except KeyboardInterrupt:
            say("interrupted; what is finished is kept")
            return lines, [*remarks, f"interrupted after {number - 1} of {len(chosen)} rows"], 130
        except WrongAnswerError as wrong:
            outcome, code = f"WRONG ANSWER: {wrong}", 1
        except Exception as error:  # one broken row must not cost the others
            outcome, code = f"FAILED: {type(error).__name__}: {error}", 1
        if outcome != "done":
            remarks.append(f"{row.name}: {outcome}")
        say(f"[{number}/{len(chosen)}] {row.name}: {outcome} ({time.monotonic() - started:.1f} s)")
    return lines, remarks, code


if __name__ == "__main__":
    sys.exit(main())
