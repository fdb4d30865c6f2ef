"""strace and ftrace texts: against the regular expressions of ``data/capture_events.py``."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pfnlab
from pfnlab.traces.formats import ftrace, ftrace_pagecache

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "formats"
sys.path.append(str(ROOT / "data"))
from capture_events import (  # noqa: E402
    Events,
    Line,
    block_events,
    ftrace_lines,
    pagecache_events,
    strace_events,
)

GET, PUT = 1, 2
STRACES = ("strace.txt", "strace_named.txt", "strace_bare.txt", "strace_untimed.txt")
FTRACES = ("ftrace_pagecache", "ftrace_block", "ftrace_faults")
FORMAT = dict.fromkeys(STRACES, "strace") | {f"{name}.txt": name for name in FTRACES}
CALL = '1764000000.000000{}00 pread64(3, ""..., 4096, {}) = 4096 <0.000000050>\n'


def columns(trace: pfnlab.Trace) -> dict[str, list[int]]:
    return {name: column.tolist() for name, column in trace.columns().items()}


def loaded(path: Path, **options: Any) -> pfnlab.Trace:
    trace = pfnlab.load(path, stream=False, **options)
    assert isinstance(trace, pfnlab.Trace)
    return trace


def events_of(family: str, path: Path) -> Iterator[Line]:
    """Lines of a family's events, a request without a place as one without data."""
    for line in ftrace_lines(path):
        if line.event in ftrace.FAMILIES[family]:
            yield line._replace(text=line.text.replace("18446744073709551615", "0"))


@pytest.mark.parametrize("name", FORMAT)
def test_a_format_is_told_by_its_content(name: str, tmp_path: Path) -> None:
    (tmp_path / "unknown").write_bytes((FOLDER / name).read_bytes())
    trace = loaded(tmp_path / "unknown")
    assert trace.provenance["format"] == FORMAT[name]
    assert trace.evidence == ("direct" if name == "ftrace_pagecache.txt" else "proxy")


# --- ftrace --------------------------------------------------------------------------------------


@pytest.mark.kernel
def test_the_page_cache_gives_what_the_reference_gives() -> None:
    path = FOLDER / "ftrace_pagecache.txt"
    check_pagecache(loaded(path), pagecache_events(events_of("ftrace_pagecache", path)))


def check_pagecache(trace: pfnlab.Trace, events: Events) -> None:
    expected = events.columns()
    assert {int(op) for op in expected["ops"]} == {0, 1, 2}
    assert expected["atomic"].any() and not expected["atomic"].all()
    found = {"cpus": [0] * len(trace)} | columns(trace)
    for name, column in expected.items():
        assert found[name] == column.tolist(), name


def test_requests_give_what_the_reference_gives() -> None:
    path = FOLDER / "ftrace_block.txt"
    events = block_events(events_of("ftrace_block", path))
    expected, trace = events.columns(), loaded(path, devices="254,0")
    found = columns(trace)
    for name in ("pfns", "ops", "atomic"):
        assert found[name] == expected[name].tolist(), name
    # Halves of one microsecond are told apart.
    assert np.abs(np.array(found["time_ns"]) - expected["time_ns"]).max() < 1000
    counts = trace.provenance["counts"]
    again = events.counts["issued again while in flight"]
    assert f"requests issued again while in flight: {again}" in counts
    assert "without data" in counts


def test_faults_are_lookups() -> None:
    path = FOLDER / "ftrace_faults.txt"
    addresses = re.findall(r"page_fault_user: address=0x(\w+)", path.read_text())
    trace = loaded(path)
    assert trace.pfns.tolist() == [int(address, 16) // 4096 for address in addresses]
    assert trace.ops is None


NAMES = st.sampled_from([*ftrace.FAMILIES["ftrace_pagecache"], "mm_filemap_fault"])
FLAGS = (".....", "d....", "..s..", "...1.", "b..1.", ".N...")
PAGES = st.lists(st.tuples(NAMES, st.integers(0, 12), st.integers(0, 2)), min_size=1, max_size=40)


@given(rows=PAGES, at_once=st.integers(1, 9))
def test_pages_are_followed_however_the_text_is_cut(
    rows: list[tuple[str, int, int]], at_once: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("ftrace") / "text"
    text = "".join(
        f" a [b]-c-{i} [{i % 2:03}] {FLAGS[i % len(FLAGS)]} 1.{i:06}: {event}: "
        f"dev 8:0 ino 1 pfn=0x{pfn << order:x} "
        + (f"ofs={i} order={order}\n" if "filemap_" in event else "lru=1 flags=M \n")
        for i, (event, pfn, order) in enumerate(rows)
    )
    path.write_text(text)
    events = pagecache_events(events_of("ftrace_pagecache", path))
    before, ftrace_pagecache._AT_ONCE = ftrace_pagecache._AT_ONCE, at_once
    try:
        if not events.runs:
            with pytest.raises(pfnlab.TraceError, match="has no event"):
                loaded(path, format="ftrace_pagecache")
            return
        trace = loaded(path, format="ftrace_pagecache")
    finally:
        ftrace_pagecache._AT_ONCE = before
    expected = events.columns()
    for name, column in columns(trace).items():
        assert column == expected[name].tolist(), name


def test_halves_of_one_microsecond_keep_the_order_of_the_text(tmp_path: Path) -> None:
    issue = " a-1 [000] ..... 1.000001: block_rq_issue: 8,0 R 4096 () {} + 8 none,0,0 [a]\n"
    done = " a-1 [000] ..s.. 1.000001: block_rq_complete: 8,0 R () {} + 8 none,0,0 [0]\n"
    path = tmp_path / "text"
    halves = (issue, 0), (issue, 8), (done, 8), (issue, 16), (done, 16), (done, 0)
    text = "".join(half.format(sector) for half, sector in halves)
    path.write_text(text.replace("1.000001", "1.000000", 1))
    trace = loaded(path)
    assert trace.pfns.tolist() == [0, 1, 1, 2, 2, 0]
    assert trace.ops is not None and trace.ops.tolist() == [1, 1, 2, 1, 2, 2]


# --- strace --------------------------------------------------------------------------------------

#: One line each: the call, its offset, bytes moved, when it was made and how long it took.
SEEN = re.compile(r"(p(?:read|write)(?:64|v2?))\((.*)\) = (\d+)(?: <(\d+\.\d+)>)?$")


@pytest.mark.kernel
@pytest.mark.parametrize("name", STRACES)
def test_calls_give_the_pages_that_they_moved(name: str) -> None:
    path = FOLDER / name
    trace = loaded(path, devices="packed" if name == "strace_named.txt" else "apart")
    expected: list[tuple[int, list[int], int]] = []
    for i, line in enumerate(path.read_text().splitlines()):
        match = SEEN.search(line)
        if match is None or "resumed" in line:
            continue
        offset = int(match[2].split(", ")[-2 if match[1].endswith("v2") else -1])
        done = int(match[3])
        pages = list(range(offset // 4096, (offset + done - 1) // 4096 + 1))
        when = re.search(r"\d+\.\d+", line)
        made = int(when[0].replace(".", "")) if when and match[4] else 2 * i  # microseconds
        returned = made + int(match[4].replace(".", "")) if match[4] else made + 1
        expected += [(made, pages, GET), (returned, pages, PUT)]
    expected.sort(key=lambda half: (half[0], half[2] == GET))  # at one time PUTs come first
    assert trace.pfns.tolist() == [page for _, pages, _ in expected for page in pages]
    assert trace.ops is not None
    assert trace.ops.tolist() == [op for _, pages, op in expected for _ in pages]
    assert (trace.atomic is not None) and (trace.atomic == (trace.ops == PUT)).all()


def test_calls_at_the_position_of_the_file_are_counted(tmp_path: Path) -> None:
    one = 'preadv2(3, [{{iov_base="],"..., iov_len=9}}], 1, {}, RWF_HIPRI) = 9\n'
    (tmp_path / "text").write_text(one.format(0) + one.format(-1))
    trace = loaded(tmp_path / "text")
    assert trace.pfns.tolist() == [0, 0]
    assert trace.provenance["counts"] == "calls at the file's position: 1"


def test_what_is_left_out_is_counted() -> None:
    counts = loaded(FOLDER / "strace.txt").provenance["counts"]
    assert counts == "calls cut into two lines (halves): 4; calls that failed: 2"


def test_capture_reads_its_straces_alike(tmp_path: Path) -> None:
    path = tmp_path / "raw.txt"
    path.write_text(
        "".join(CALL.format(i, i * 1000) for i in range(10))
        + "1764000001.000000000 +++ ended +++\n"
    )
    expected = strace_events(path).columns()
    found = columns(loaded(path))
    for name in ("pfns", "ops", "atomic", "time_ns"):
        assert found[name] == expected[name].tolist(), name


def test_files_lie_apart(tmp_path: Path) -> None:
    one = 'pread64({}, ""..., 4096, 0) = 4096\n'
    text = one.format("3</a b, (c)>") + one.format("4</d>(deleted)") + one.format("5")
    (tmp_path / "text").write_text(text)
    trace = loaded(tmp_path / "text")
    assert trace.pfns.tolist() == [0, 0, 32768, 32768, 65536, 65536]
    assert "/a b, (c) at page 0; /d at page 32768; 5 at" in trace.provenance["placed"]


# --- What is bad ---------------------------------------------------------------------------------


@pytest.mark.kernel
@pytest.mark.parametrize("name", FORMAT)
@pytest.mark.parametrize("garbage", [b"\x00\xff\x17\n", b"9" * 40 + b"\n", b"a;b;c\n", b"[[[[[\n"])
def test_a_bad_line_is_named_or_skipped(name: str, garbage: bytes, tmp_path: Path) -> None:
    data = (FOLDER / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data + garbage)
    line = data.count(b"\n") + 1
    with pytest.raises(pfnlab.TraceError, match=rf"line {line}, byte \d+ .*: must have"):
        loaded(path, format=FORMAT[name])
    trace = loaded(path, format=FORMAT[name], skip_bad=1)
    assert "bad, skipped: 1" in trace.provenance["counts"]


ADD = " a-1 [000] ..... 1.000001: mm_filemap_add_to_page_cache: dev 8:0 ino 1 "


@pytest.mark.parametrize(
    ("format", "line", "message"),
    [
        ("strace", 'pread64(3, "", 4096) = 4096\n', "must be pread64 as it is known"),
        ("strace", 'pread64(3, ""..., 1, 0) = 1 <0.1>\n', "must have no time that it took"),
        ("strace", 'pread64(3, ""..., 1, -7) = 1\n', "offset_bytes must be between"),
        ("ftrace_pagecache", ADD + "pfn=0x1 ofs=0 order=19\n", "order of at most 18"),
        ("ftrace_pagecache", ADD + "pfn=0x100000000000 ofs=0\n", r"below 2\*\*44"),
        ("ftrace_pagecache", ADD + "page=0x1\n", "must be mm_filemap_add_to_page_cache as"),
        ("ftrace_pagecache", ADD.replace(".....", "...") + "pfn=0x1 ofs=0\n", "context flags"),
    ],
)
def test_what_cannot_be_is_refused(format: str, line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "text"
    good = 'pread64(3, ""..., 1, 0) = 1\n' if format == "strace" else ADD + "pfn=0x1 ofs=0\n"
    path.write_text(good + line)
    with pytest.raises(pfnlab.TraceError, match="line 2.*" + message):
        loaded(path, format=format)
    assert "bad, skipped: 1" in loaded(path, format=format, skip_bad=1).provenance["counts"]


def test_times_must_be_of_the_day(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text('     0.000123 pread64(3, ""..., 1, 0) = 1 <0.1>\n')
    with pytest.raises(pfnlab.TraceError, match="line 1: must have seconds since 1970"):
        loaded(path)


def test_lost_events_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text(ADD + "pfn=0x1 ofs=0\nCPU:1 [LOST 17 EVENTS]\nCPU:1 [LOST EVENTS]\n")
    trace = loaded(path, format="ftrace_pagecache")
    assert "events lost by the kernel's buffer: 18" in trace.provenance["counts"]


@pytest.mark.parametrize("text", [b"a [1] " * 20000, b"[1]" * 50000, b'pread64("' + b"[" * 99999])
def test_long_lines_end(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(text + b"\n")
    for format in ("strace", "ftrace_pagecache", "ftrace_block"):
        with pytest.raises(pfnlab.TraceError):
            loaded(path, format=format)
