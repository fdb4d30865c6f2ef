"""Make pfnlab's own traces again, from nothing, on this machine; or describe those there are.

    python data/capture.py pgbench|sqlite|pagecache [-o FOLDER] [--scratch FOLDER]
    python data/capture.py describe [FILE.parquet ...]

``pgbench`` and ``pagecache`` need root, tracefs and a memory cgroup; what is missing is said
before anything starts. Exit status: 0 done, 1 failed, 2 bad usage or something missing, 130
interrupted. The machine is left as it was found, whichever way a capture ends.
"""

import argparse
import datetime
import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import numpy as np
from capture_events import (
    GET,
    LOOKUP,
    PUT,
    Events,
    block_events,
    ftrace_lines,
    pagecache_events,
    strace_events,
)
from capture_host import CaptureError, missing, program, scratch_folder
from capture_jobs import JOBS

import pfnlab

TRACES = Path(__file__).parent / "traces"
GRANULE_PAGES = 64  # pages whose descriptors fill 4 KiB
AREA_PAGES = 32768  # pages whose descriptors fill 2 MiB: 128 MiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a trace of one kind stands for, and what its file keeps."""

    evidence: Literal["direct", "proxy"]
    version_of: str
    origin: str
    notes: str
    columns: tuple[str, ...] = ("pfns", "ops", "atomic", "cpus")


KINDS = {
    "pgbench": Kind(
        evidence="proxy",
        version_of="postgres",
        origin="block_rq_issue and block_rq_complete of a disk under PostgreSQL with pgbench",
        notes="page = byte of the device // 4096, as a pfn of pmem under DAX; "
        "GETs at issue, PUTs at the real completion",
        columns=("pfns", "ops", "atomic", "cpus", "time_ns"),
    ),
    "sqlite": Kind(
        evidence="proxy",
        version_of="sqlite3",
        origin="strace of sqlite3: pread64 and pwrite64 of the database file",
        notes="page = byte of the file // 4096, as a pfn of pmem under DAX; "
        "synchronous: PUTs when the call returns, before the next call",
    ),
    "pagecache": Kind(
        evidence="direct",
        version_of="tar",
        origin="tracepoints of the page cache under cp, tar, sha256sum and rm",
        notes="real pfns of RAM; GET: page enters the cache, PUT: leaves it, LOOKUP: the LRU "
        "lists touch it; contexts as recorded",
    ),
}


def convert(name: str, raw: Path) -> Events:
    """Events of the raw text `raw` of a capture of kind `name`."""
    if name == "sqlite":
        return strace_events(raw)
    to_events = block_events if name == "pgbench" else pagecache_events
    return to_events(ftrace_lines(raw))


def make_trace(name: str, events: Events) -> pfnlab.Trace:
    """The trace of kind `name`, with where it comes from and what was left out of it."""
    kind, columns = KINDS[name], events.columns()
    if not len(columns["pfns"]):
        raise CaptureError(f"{name}: nothing was recorded")
    version = _version(kind.version_of)
    seconds = columns["time_ns"][-1] / 1e9
    provenance = {
        "origin": kind.origin,
        "notes": kind.notes,
        "command": f"python data/capture.py {name}",
        "captured": datetime.date.today().isoformat(),
        "kernel": re.sub(r"[^\d.].*", "", os.uname().release),
        "program": version,
        "window": f"{seconds:.1f} s",
        "counts": "; ".join(f"{what}: {n:,}" for what, n in sorted(events.counts.items())),
    }
    kept: dict[str, Any] = {column: columns[column] for column in kind.columns}
    return pfnlab.Trace(**kept, name=name, evidence=kind.evidence, provenance=provenance)


def _version(name: str) -> str:
    """Name and version number of a program, without what a distribution adds."""
    said = subprocess.run([program(name), "--version"], capture_output=True, check=True)
    number = re.search(r"\d+(?:\.\d+)+", said.stdout.decode())
    return f"{name} {number[0] if number else '?'}"


def capture(name: str, folder: Path, scratch: Path) -> Path:
    """Run, record, convert and save one capture; the path of the trace file."""
    with scratch_folder(scratch) as temporary:
        work, raw = temporary / "job", temporary / "raw.txt"
        work.mkdir()
        JOBS[name].record(work, raw)
        trace = make_trace(name, convert(name, raw))
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.parquet"
    pfnlab.save(trace, target)
    return target


def shape(path: Path) -> dict[str, str]:
    """The figures of a trace file, as text."""
    trace = pfnlab.load(path, stream=False)
    pages = np.asarray(trace.pfns, dtype=np.int64)
    ops = np.bincount(np.asarray(trace.ops, dtype=np.uint8), minlength=3)
    span_pages = int(pages.max() - pages.min()) + 1
    return {
        "file": path.name,
        "evidence": trace.evidence,
        "events": f"{len(trace):,}",
        "LOOKUP": f"{ops[LOOKUP]:,}",
        "GET": f"{ops[GET]:,}",
        "PUT": f"{ops[PUT]:,}",
        "distinct pfns": f"{len(np.unique(pages)):,}",
        "granules": f"{len(np.unique(pages // GRANULE_PAGES)):,}",
        "areas": f"{len(np.unique(pages // AREA_PAGES)):,}",
        "span": f"{span_pages * trace.page_bytes / (1 << 30):.2f} GiB",
        "file bytes": f"{path.stat().st_size:,}",
    }


def describe(paths: Sequence[Path]) -> str:
    """The figures of trace files in Markdown: a table, then sha256 and provenance of each."""
    rows = [shape(path) for path in paths]
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join(row.values()) + " |" for row in rows]
    for path in paths:
        lines += ["", f"`{path.name}`", ""]
        lines += [f"* sha256: `{hashlib.sha256(path.read_bytes()).hexdigest()}`"]
        provenance = pfnlab.load(path).provenance
        lines += [f"* {field}: {text}" for field, text in sorted(provenance.items())]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=[*JOBS, "describe"])
    parser.add_argument("files", nargs="*", type=Path, help="for describe (default: all)")
    parser.add_argument("-o", "--out", type=Path, default=TRACES, help="folder for the trace")
    parser.add_argument(
        "--scratch",
        type=Path,
        default=Path(tempfile.gettempdir()),
        help="folder on the disk to be traced, with room for the job's files",
    )
    options = parser.parse_args(arguments)
    if options.what == "describe":
        print(describe(options.files or sorted(options.out.glob("*.parquet"))))
        return 0
    if options.files:
        parser.error("files: only for describe")
    job = JOBS[options.what]
    lacks = missing(job.programs, job.events, options.scratch, job.free_bytes, job.user)
    if lacks:
        print("\n".join(f"missing: {lack}" for lack in lacks), file=sys.stderr)
        return 2
    try:
        print(capture(options.what, options.out, options.scratch))
    except (CaptureError, OSError, ValueError) as error:
        print(f"{options.what}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{options.what}: interrupted", file=sys.stderr)
        return 130
    return 0


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Turn SIGTERM into Ctrl-C, so that it cleans up too."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(main())
