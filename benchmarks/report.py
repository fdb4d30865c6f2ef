"""The table of a run: Markdown for people, Parquet for programs, machine and versions in both."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.race import Line

METADATA_KEY = b"pfnlab.bench"
PACKAGES = ("pfnlab", "numba", "numpy", "libcachesim", "cachetools")
HEAD = ("row", "contestant", "against", "accesses", "figure", "its figure", "ratio [min-max]",
        "mark", "")  # fmt: skip


def about() -> dict[str, str]:
    """Return machine, versions and date of a run."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{_cpu_model()}, {os.cpu_count()} CPUs, {_memory_gib():.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    facts = dict(line.replace("\t", "").split(": ", 1) for line in lines if ": " in line)
    where = (f"{name} {facts[key]}" for name, key in
             (("family", "cpu family"), ("model", "model")) if key in facts)  # fmt: skip
    return " ".join([facts.get("model name", platform.machine()), *where])


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def markdown(lines: Sequence[Line], facts: Mapping[str, str], remarks: Sequence[str]) -> str:
    """Return the dated table; `remarks` are rows that were skipped or failed, one line each."""
    head = [f"* {name}: {value}" for name, value in facts.items()]
    table = [_cells(HEAD), _cells(["---"] * len(HEAD)), *(_cells(_row(line)) for line in lines)]
    notes = dict.fromkeys(f"* {line.row}: {line.note}" for line in lines if line.note)
    return "\n".join([
        "# Benchmarks", "",
        "Written by `./run bench`, never by hand. Contestants alternate; figures are medians,",
        "ratios (speed over speed) medians and ranges of those of each repetition. Every timed",
        "answer was equal to another contestant's, or to one found beforehand another way.", "",
        *head, "", *table, "", *notes, *(f"* {remark}" for remark in remarks), "",
    ])  # fmt: skip


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _row(line: Line) -> list[str]:
    ratio = ""
    if line.ratio is not None:
        ratio = f"{line.ratio:.3g} [{line.ratio_min:.3g}-{line.ratio_max:.3g}]"
    reached = {True: "met", False: "**missed**", None: ""}[line.reached]
    theirs = "" if line.peer_median is None else f"{line.peer_median:.4g} {line.unit}"
    mine = f"{line.subject_median:.4g} {line.unit}"
    return [
        line.row,
        line.subject,
        line.peer,
        f"{line.n:,}",
        mine,
        theirs,
        ratio,
        line.mark,
        reached,
    ]


def frame_of(lines: Sequence[Line]) -> pd.DataFrame:
    """Return one row a line, columns as in `Line`."""
    return pd.DataFrame([asdict(line) for line in lines], columns=[f.name for f in fields(Line)])


def write(
    folder: Path, lines: Sequence[Line], facts: Mapping[str, str], remarks: Sequence[str]
) -> None:
    """Write RESULTS.md and results.parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "RESULTS.md").write_text(markdown(lines, facts, remarks))
    table = pa.Table.from_pandas(frame_of(lines), preserve_index=False)
    metadata = {**(table.schema.metadata or {}), METADATA_KEY: json.dumps(dict(facts)).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), folder / "results.parquet")
