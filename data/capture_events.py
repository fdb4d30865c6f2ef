"""Raw text of a capture to the columns of a trace, in the order in which things happened."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

LOOKUP, GET, PUT = 0, 1, 2
PAGE_BYTES, SECTOR_BYTES = 4096, 512


class Line(NamedTuple):
    """One event of an ftrace text file; `text` is the part after the tracepoint's name."""

    comm: str
    cpu: int
    atomic: bool
    time_ns: int
    event: str
    text: str


class Run(NamedTuple):
    """One operation on `n_pages` neighbouring pages at one instant."""

    first_page: int
    n_pages: int
    op: int
    atomic: bool
    cpu: int
    time_ns: int


@dataclass(slots=True)
class Events:
    """Runs of pages in their order, and how many records of each kind were met or left out."""

    runs: list[Run] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def columns(self) -> dict[str, npt.NDArray[np.int64]]:
        """Columns ``pfns ops atomic cpus time_ns``, one row an event, time from the first event."""
        runs = np.array(self.runs, dtype=np.int64).reshape(-1, len(Run._fields))
        n_pages = runs[:, 1]
        event = np.repeat(np.arange(len(runs)), n_pages)
        within = np.arange(len(event)) - np.repeat(np.cumsum(n_pages) - n_pages, n_pages)
        times = runs[event, 5]
        return {
            "pfns": runs[event, 0] + within,
            "ops": runs[event, 2].astype(np.uint8),
            "atomic": runs[event, 3].astype(np.bool_),
            "cpus": runs[event, 4],
            "time_ns": times - times[:1],
        }


# "    pgbench-3430    [000] ..s1.  1116.324444: block_rq_issue: 254,0 ...": the five flags are
# irqs or BH off, need-resched, hard or soft interrupt, preempt depth, migrate-disable depth.
_LINE = re.compile(r"\s*(.+)-\d+ +\[(\d+)\] (\S{5}) +(\d+)\.(\d{6}): (\w+): (.*)")


def ftrace_lines(raw: Path) -> Iterator[Line]:
    """The events of an ftrace text file; comments are skipped, anything else unknown refused."""
    with raw.open(errors="replace") as file:
        for number, text in enumerate(file, 1):
            if text.startswith("#"):
                continue
            match = _LINE.match(text)
            if match is None:
                raise ValueError(f"{raw.name} line {number}: no ftrace event: {text[:80]!r}")
            comm, cpu, flags, seconds, micros, event, rest = match.groups()
            time_ns = (int(seconds) * 1_000_000 + int(micros)) * 1000
            yield Line(comm, int(cpu), is_atomic(flags), time_ns, event, rest)


def is_atomic(flags: str) -> bool:
    """Whether ftrace's five context flags say that the caller could not sleep."""
    irqs_off, interrupt, preempt_depth = flags[0], flags[2], flags[3]
    return irqs_off != "." or interrupt != "." or preempt_depth != "."


_REQUEST = re.compile(r"\d+,\d+ (\w+) (?:\d+ )?\(.*?\) (\d+) \+ (\d+)")


def block_events(lines: Iterable[Line]) -> Events:
    """Disk requests: GETs of a request's pages at its issue, PUTs at its completion.

    A request is left out, and counted, if it moves no data (flush, discard), if its
    completion is not in the window (it would stay pinned because the window ended), or if its
    issue is not.
    """
    events = Events()
    flying: dict[tuple[str, str], int] = {}  # (sector, sectors) -> index of its GETs
    for line in lines:
        match = _REQUEST.match(line.text)
        if match is None:
            raise ValueError(f"{line.event}: no block request: {line.text!r}")
        kind, *request = match.groups()
        sector, n_sectors = map(int, request)
        key = (request[0], request[1])
        if n_sectors == 0 or "D" in kind:
            events.counts["without data (halves)"] += 1
        elif line.event == "block_rq_issue":
            events.counts["issued again while in flight" if key in flying else "requests"] += 1
            events.counts[f"issued by {_issuer(line.comm)}"] += key not in flying
            if key not in flying:
                flying[key] = len(events.runs)
                events.runs.append(_request_run(line, sector, n_sectors, GET))
        elif flying.pop(key, None) is None:
            events.counts["completed, not issued in the window"] += 1
        else:
            events.counts["completed by an atomic caller"] += line.atomic
            events.runs.append(_request_run(line, sector, n_sectors, PUT))
    for index in sorted(flying.values(), reverse=True):
        del events.runs[index]
    events.counts["issued, not completed in the window"] = len(flying)
    return events


def _issuer(comm: str) -> str:
    """Group of the task that issued a request: the server, the kernel, or somebody else."""
    if comm.startswith("postgres"):
        return "postgres"
    return "kernel threads" if comm.startswith(("kworker", "jbd2", "ksoftirqd")) else "others"


def _request_run(line: Line, sector: int, n_sectors: int, op: int) -> Run:
    """The pages that a request's bytes lie in."""
    first = sector * SECTOR_BYTES // PAGE_BYTES
    end = -(-(sector + n_sectors) * SECTOR_BYTES // PAGE_BYTES)
    return Run(first, end - first, op, op == PUT, line.cpu, line.time_ns)


_PFN = re.compile(r".*\bpfn=0x([0-9a-f]+)(?:.*\border=(\d+))?")


def pagecache_events(lines: Iterable[Line]) -> Events:
    """Pages of the page cache: GET when one enters, LOOKUP while it is there, PUT when it leaves.

    A folio of order `n` is ``2**n`` pages; the LRU's events name its first page only. Left out,
    and counted: pages that leave without having entered in the window, and LRU events of
    pages that are not in the cache as far as the window tells (anonymous memory, mostly).
    """
    events = Events()
    cached: set[int] = set()
    for line in lines:
        match = _PFN.match(line.text)
        if match is None:
            raise ValueError(f"{line.event}: no pfn: {line.text!r}")
        first, n_pages = int(match[1], 16), 1 << int(match[2] or 0)
        pages = range(first, first + n_pages)
        if line.event == "mm_filemap_add_to_page_cache":
            events.counts["folios added"] += 1
            events.counts["pages added twice"] += sum(page in cached for page in pages)
            cached.update(pages)
            events.runs.append(_pages_run(line, first, n_pages, GET))
        elif line.event == "mm_filemap_delete_from_page_cache":
            known = [page for page in pages if page in cached]
            events.counts["folios deleted"] += 1
            events.counts["pages deleted, not added in the window"] += n_pages - len(known)
            cached.difference_update(known)
            whole = len(known) == n_pages
            parts = [(first, n_pages)] if whole else [(page, 1) for page in known]
            events.runs.extend(_pages_run(line, *part, PUT) for part in parts)
        elif first in cached:
            events.counts[line.event] += 1
            events.runs.append(_pages_run(line, first, 1, LOOKUP))
        else:
            events.counts[f"{line.event} of no cached page"] += 1
    events.counts["pages still cached at the end"] = len(cached)
    return events


def _pages_run(line: Line, first: int, n_pages: int, op: int) -> Run:
    """Pages in the context that was recorded."""
    return Run(first, n_pages, op, line.atomic, line.cpu, line.time_ns)


# strace: "1764000000.123456789 pread64(3, ""..., 4096, 8192) = 4096 <0.000012345>"
_CALL = re.compile(
    r"(\d+)\.(\d{9}) (p\w+64)\(\d+, .*, (\d+), (\d+)\) += (-?\d+).* <(\d+)\.(\d{9})>"
)


def strace_events(raw: Path) -> Events:
    """Synchronous calls: GETs of a call's pages when it is made, PUTs when it returns.

    One thread makes one call after another, so this is the real order of completion.
    """
    events = Events()
    with raw.open() as file:
        for number, text in enumerate(file, 1):
            if text.endswith("+++\n"):  # how the program ended
                continue
            match = _CALL.match(text)
            if match is None:
                raise ValueError(f"{raw.name} line {number}: no call: {text[:80]!r}")
            seconds, nanos, call, _, offset, done, took, took_nanos = match.groups()
            events.counts[call] += 1
            first, end = int(offset) // PAGE_BYTES, -(-(int(offset) + int(done)) // PAGE_BYTES)
            time_ns = int(seconds) * 10**9 + int(nanos)
            returned_ns = time_ns + int(took) * 10**9 + int(took_nanos)
            events.runs.append(Run(first, end - first, GET, False, 0, time_ns))
            events.runs.append(Run(first, end - first, PUT, True, 0, returned_ns))
    return events
