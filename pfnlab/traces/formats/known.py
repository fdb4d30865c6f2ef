"""The formats there are: what each is called, how it is told from others, and who reads it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pfnlab.errors import ParameterError, TraceError, near
from pfnlab.traces.formats import (
    alibaba,
    blkparse,
    damon,
    ftrace_block,
    ftrace_faults,
    ftrace_pagecache,
    lackey,
    mqsim,
    msr,
    offsets,
    oracle_general,
    perf_script,
    spc,
    strace,
    tencent,
    vscsi,
)
from pfnlab.traces.formats.compressed import head_of
from pfnlab.traces.formats.patterns import Patterns
from pfnlab.traces.formats.reading import Accesses, Reading, Requests, fits
from pfnlab.traces.sources import Evidence

Batches = Iterator[Requests | Accesses]
_HEAD_BYTES = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One foreign format.

    Attributes
    ----------
    name, summary
        What `load` and the command line call it, and what it is.
    looks_so
        Whether the first bytes of a file, decompressed, can be of this format.
    read
        Yields the requests, or the events, of a file.
    evidence
        What its records stand for.
    """

    name: str
    summary: str
    looks_so: Callable[[bytes], bool]
    read: Callable[[Reading], Batches]
    evidence: Evidence = "proxy"


def _text(patterns: Patterns) -> Callable[[bytes], bool]:
    """Return what tells whether most of the first lines fit a pattern."""
    return lambda head: fits(patterns, head)


_FORMATS = (
    Format(
        name="offsets",
        summary="text: offset,bytes or offset or pfn, named by a header or by columns=",
        looks_so=offsets.looks_so,
        read=offsets.read,
    ),
    Format(
        name="msr",
        summary="MSR Cambridge block trace (CSV)",
        looks_so=_text(msr.PATTERNS),
        read=msr.read,
    ),
    Format(
        name="spc",
        summary="SPC block trace, as UMass WebSearch and Financial (CSV)",
        looks_so=_text(spc.PATTERNS),
        read=spc.read,
    ),
    Format(
        name="alibaba",
        summary="Alibaba Cloud block trace (CSV)",
        looks_so=_text(alibaba.PATTERNS),
        read=alibaba.read,
    ),
    Format(
        name="tencent",
        summary="Tencent Cloud block trace (CSV)",
        looks_so=_text(tencent.PATTERNS),
        read=tencent.read,
    ),
    Format(
        name="mqsim",
        summary="MQSim block trace (five numbers a line)",
        looks_so=_text(mqsim.PATTERNS),
        read=mqsim.read,
    ),
    Format(
        name="vscsi",
        summary="VMware vscsi block trace (binary, versions 1 and 2)",
        looks_so=vscsi.looks_so,
        read=vscsi.read,
    ),
    Format(
        name="oracle_general",
        summary="libCacheSim oracleGeneral (binary)",
        looks_so=oracle_general.looks_so,
        read=oracle_general.read,
    ),
    Format(
        name="strace",
        summary="strace text: pread64, pwrite64, preadv2, ...",
        looks_so=strace.looks_so,
        read=strace.read,
    ),
    Format(
        name="ftrace_pagecache",
        summary="ftrace text: pages entering, touched in and leaving the page cache (real pfns)",
        looks_so=ftrace_pagecache.looks_so,
        read=ftrace_pagecache.read,
        evidence="direct",
    ),
    Format(
        name="ftrace_block",
        summary="ftrace text: block_rq_issue and block_rq_complete",
        looks_so=ftrace_block.looks_so,
        read=ftrace_block.read,
    ),
    Format(
        name="ftrace_faults",
        summary="ftrace text: page_fault_user",
        looks_so=ftrace_faults.looks_so,
        read=ftrace_faults.read,
    ),
    Format(
        name="blkparse",
        summary="blkparse text: issues and completions of block requests",
        looks_so=blkparse.looks_so,
        read=blkparse.read,
    ),
    Format(
        name="perf_block",
        summary="perf script text: block:block_rq_issue and block_rq_complete",
        looks_so=perf_script.looks_so(perf_script.BLOCK, b"block:block_rq_"),
        read=perf_script.read_block,
    ),
    Format(
        name="perf_pagecache",
        summary="perf script text: pfns of filemap:, pagemap: and page_ref: events",
        looks_so=perf_script.looks_so(
            perf_script.PAGECACHE, b"filemap:mm_filemap_", b"pagemap:mm_lru_", b"page_ref:page_ref_"
        ),
        read=perf_script.read_pagecache,
        evidence="direct",
    ),
    Format(
        name="perf_faults",
        summary="perf script text: exceptions:page_fault_* and page-faults with addresses",
        looks_so=perf_script.looks_so(
            perf_script.FAULTS, b"exceptions:page_fault_", b" page-faults:"
        ),
        read=perf_script.read_faults,
    ),
    Format(
        name="lackey",
        summary="valgrind --tool=lackey --trace-mem=yes: loads and stores",
        looks_so=lackey.looks_so,
        read=lackey.read,
    ),
    Format(
        name="damon",
        summary="DAMON: damon:damon_aggregated lines, or damo's raw report",
        looks_so=damon.looks_so,
        read=damon.read,
    ),
)
#: Every foreign format, by its name.
FORMATS: Mapping[str, Format] = {each.name: each for each in _FORMATS}


def format_named(name: object) -> Format:
    """Return the format of that name; an unknown one is refused with its neighbours."""
    if not isinstance(name, str) or name not in FORMATS:
        raise ParameterError("format", name, f"no such format; {near(str(name), FORMATS)}")
    return FORMATS[name]


def format_of(path: Path) -> Format:
    """Tell the format of a file by its first bytes.

    Raises
    ------
    TraceError
        If it is empty, or of no format or of several: then `format` must be given.
    """
    head = head_of(path, _HEAD_BYTES)
    if not head.strip():
        raise TraceError(f"{path}: is empty, must hold a trace")
    found = [each for each in _FORMATS if each.looks_so(head)]
    if len(found) == 1:
        return found[0]
    if found:
        names = " or ".join(each.name for each in found)
        raise TraceError(f"{path}: can be {names}; say format=")
    names = ", ".join(FORMATS)
    raise TraceError(
        f"{path}: is of no format that is known by its first lines; say format= (native Parquet, "
        f"a folder of .npy columns, {names}), for text without a header columns= too"
    )
