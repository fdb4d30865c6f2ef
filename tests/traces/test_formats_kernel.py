"""Texts of blkparse, perf script, lackey and DAMON, each against a plain reference.

Fixtures: ``perf_*.txt``, ``lackey.txt``, ``damon.txt`` and ``damo.txt`` are what the tools wrote,
cut, names of programs replaced. ``blkparse.txt`` is what blkparse wrote of records made by hand.
"""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pfnlab
from pfnlab.traces.formats import issue_pairs
from pfnlab.traces.formats.issue_pairs import Halves, paired
from pfnlab.traces.formats.page_cache import Folios, PageCache
from pfnlab.traces.formats.reading import Reading

FOLDER = Path(__file__).parent / "formats"
LOOKUP, GET, PUT = 0, 1, 2
Event = tuple[int, int]  # page, operation


# --- A plain reference of each format: regular expressions and dictionaries -------------------


def pages(sector: int, n: int) -> range:
    return range(sector * 512 // 4096, ((sector + n) * 512 + 4095) // 4096)


def replayed(halves: list[tuple[str, str, int, int, int]]) -> list[Event]:
    """Halves ``(what, device, sector, n, time)`` to events: at one instant completions first."""
    flying: dict[tuple[str, int, int], int] = {}
    whole: dict[int, tuple[str, int, int, int, int]] = {}
    for i, (what, device, sector, n, time) in enumerate(halves):
        key = (device, sector, n)
        if what == "issue":
            flying.setdefault(key, i)
        elif key in flying:
            issue = flying.pop(key)
            whole[issue] = (device, sector, n, halves[issue][4], time)
    area = 128 << 20
    ends: dict[str, int] = {}
    for i in sorted(whole):
        device, sector, n, *_ = whole[i]
        end = -(-(sector + n) * 512 // area) * area
        ends[device] = max(ends.get(device, 0), end)
    starts, base = {}, 0
    for device, end in ends.items():
        starts[device], base = base // 4096, base + end
    events: list[tuple[tuple[int, int, int], list[int], int]] = []
    for rank, i in enumerate(sorted(whole)):
        device, sector, n, issued, done = whole[i]
        there = [starts[device] + page for page in pages(sector, n)]
        events.append(((issued, 1, rank), there, GET))
        events.append(((done, 2 if done == issued else 0, rank), there, PUT))
    events.sort(key=lambda event: event[0])
    return [(page, op) for _, there, op in events for page in there]


def nanoseconds(text: str) -> int:
    seconds, fraction = text.split(".")
    return int(seconds) * 10**9 + int(fraction.ljust(9, "0"))


def blkparse(path: Path) -> list[Event]:
    line = re.compile(r" *(\d+,\d+) +\d+ +\d+ +([\d.]+) +\d+ +([DC]) +(\w+) (\d+) \+ (\d+) \[")
    found = [match for match in map(line.match, path.read_text().splitlines()) if match]
    return replayed(
        [
            ("issue" if m[3] == "D" else "done", m[1], int(m[5]), int(m[6]), nanoseconds(m[2]))
            for m in found
            if "D" not in m[4]
        ]
    )


def perf_block(path: Path) -> list[Event]:
    line = re.compile(
        r".*\] +([\d.]+): +block:block_rq_(\w+): (\d+,\d+) (\w+) .*\(\) (\d+) \+ (\d+) "
    )
    found = [match for match in map(line.match, path.read_text().splitlines()) if match]
    return replayed(
        [
            (m[2], m[3], int(m[5]), int(m[6]), nanoseconds(m[1]))
            for m in found
            if int(m[6]) and "D" not in m[4]
        ]
    )


def perf_pagecache(path: Path) -> list[Event]:
    events: list[Event] = []
    cached: set[int] = set()
    for text in path.read_text().splitlines():
        event = text.split(": ")[1].split(":")[-1]
        pfn = int(text.split("pfn=0x")[1].split()[0], 16)
        n = 1 << int(text.partition("order=")[2] or 0)
        for page in range(pfn, pfn + n):
            if "add" in event:
                cached.add(page)
                events.append((page, GET))
            elif page in cached:
                events.append((page, PUT if "delete" in event else LOOKUP))
                cached -= {page} if "delete" in event else set()
    return events


def perf_faults(path: Path) -> list[Event]:
    found = []
    for text in path.read_text().splitlines():
        match = re.search(
            r"address=0x(\w+)|page-faults:(?:u:)? +(\w+) \S+ \(\S+\) +\w+ \S+ \(", text
        )
        if match:
            found.append((int(match[1] or match[2], 16) // 4096, LOOKUP))
    return found


def lackey(path: Path) -> list[Event]:
    found: list[Event] = []
    for text in path.read_text().splitlines():
        if text.startswith((" L", " S", " M")):
            address, size = int(text[3:].split(",")[0], 16), int(text.split(",")[1])
            found += [
                (page, 0) for page in range(address // 4096, (address + size - 1) // 4096 + 1)
            ]
    return found


def damon(path: Path) -> list[Event]:
    region = re.compile(r"([0-9a-f]+)-([0-9a-f]+) \(.*\) +(\d+) +|.* (\d+)-(\d+): (\d+) \d+")
    found: list[Event] = []
    for match in filter(None, map(region.match, path.read_text().splitlines())):
        base, groups = (16, match.groups()[:3]) if match[1] else (10, match.groups()[3:])
        begin, end = int(groups[0], base), int(groups[1], base)
        if int(groups[2]):
            found += [(page, LOOKUP) for page in range(begin // 4096, end // 4096)]
    return found


REFERENCES: dict[str, tuple[str, Callable[[Path], list[Event]]]] = {
    "blkparse.txt": ("blkparse", blkparse),
    "perf_block.txt": ("perf_block", perf_block),
    "perf_pagecache.txt": ("perf_pagecache", perf_pagecache),
    "perf_faults.txt": ("perf_faults", perf_faults),
    "lackey.txt": ("lackey", lackey),
    "damon.txt": ("damon", damon),
    "damo.txt": ("damon", damon),
}
FILES = sorted(REFERENCES)


def events_of(trace: pfnlab.Trace) -> list[Event]:
    ops = trace.ops.tolist() if trace.ops is not None else [LOOKUP] * len(trace)
    return list(zip(trace.pfns.tolist(), ops, strict=True))


@pytest.mark.kernel
@pytest.mark.parametrize("name", FILES)
def test_a_reader_gives_what_the_reference_gives(name: str, tmp_path: Path) -> None:
    known, reference = REFERENCES[name]
    unknown = tmp_path / "unknown"
    unknown.write_bytes((FOLDER / name).read_bytes())
    trace = pfnlab.load(unknown, stream=False)
    wanted = reference(unknown)
    assert len(wanted) > 20
    assert events_of(trace) == wanted
    assert trace.provenance["format"] == known
    assert trace.evidence == ("direct" if known == "perf_pagecache" else "proxy")
    assert trace.time_ns is None or (np.diff(trace.time_ns) >= 0).all()


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("blkparse.txt", {"issues and completions without data: 4", "lines of the summary: 16",
                          "other actions: 4", "requests completed, not issued: 1",
                          "requests issued again while in flight: 1",
                          "requests issued, not completed: 1"}),
        ("perf_pagecache.txt", {"LRU events of no cached page: 71",
                                "pages still cached at the end: 3"}),
        ("perf_faults.txt", {"faults without an address: 2"}),
        ("lackey.txt", {"instruction fetches: 215", "lines of valgrind: 11"}),
        ("damon.txt", {"other events: 2"}),
    ],
)  # fmt: skip
def test_what_is_left_out_is_counted(name: str, counts: set[str]) -> None:
    said = pfnlab.load(FOLDER / name).provenance["counts"].split("; ")
    assert counts <= set(said), said


@pytest.mark.parametrize("name", FILES)
def test_conversion_equals_loading(name: str, tmp_path: Path) -> None:
    from pfnlab.cli import main

    assert main(["trace", "convert", str(FOLDER / name), str(tmp_path / "out.parquet")]) == 0
    converted = pfnlab.load(tmp_path / "out.parquet", stream=False)
    loaded = pfnlab.load(FOLDER / name, stream=False)
    typed = {"command": converted.provenance["command"]}
    assert converted.provenance == {**loaded.provenance, **typed}
    assert converted.evidence == loaded.evidence
    for column, values in loaded.columns().items():
        assert np.array_equal(values, converted.columns()[column])


# --- Streams equal the whole --------------------------------------------------------------------

HALVES = st.lists(
    st.tuples(st.booleans(), st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)), max_size=40
)


def cut(n: int, at: list[int]) -> Iterator[slice]:
    ends = sorted({min(place, n) for place in at} | {0, n})
    return (slice(*pair) for pair in pairwise(ends))


def some(halves: Halves, part: slice) -> Halves:
    columns: Any = (column[part] for column in halves)
    return Halves(*columns)


@given(HALVES, st.lists(st.integers(0, 40), max_size=4))
def test_pairs_are_those_of_a_dictionary(
    rows: list[tuple[bool, int, int, int]], at: list[int]
) -> None:
    columns = np.array(rows, np.int64).reshape(-1, 4).T
    n = len(rows)
    all_ = Halves(
        np.arange(n), columns[1], columns[2], columns[3], 10 * np.arange(n), columns[0] == 1
    )
    reading = Reading(Path("x"))
    parts = (some(all_, part) for part in cut(n, at))
    found: list[tuple[int, ...]] = []
    for batch in paired(reading, parts):
        columns_: Any = (batch.device, batch.offset_bytes, batch.length_bytes, *batch[3:])
        found += zip(*(column.tolist() for column in columns_), strict=True)
    flying: dict[tuple[int, int, int], int] = {}
    wanted = []
    again = alone = 0
    for i, (completes, *key_) in enumerate(rows):
        key = (key_[0], key_[1], key_[2])
        if not key[2]:
            continue
        if not completes:
            again += key in flying
            flying.setdefault(key, 10 * i)
        elif key in flying:
            issued = flying.pop(key)
            wanted.append((key[0], key[1] * 512, key[2] * 512, issued, 10 * i))
        else:
            alone += 1
    assert found == sorted(wanted, key=lambda request: request[3])
    assert reading.counts["requests issued again while in flight"] == again
    assert reading.counts["requests completed, not issued"] == alone
    assert reading.counts["requests issued, not completed"] == len(flying)


def test_a_lost_completion_does_not_hold_all_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issue_pairs, "_MOST_HELD", 8)
    n = 100
    lines = np.arange(2 * n + 1)
    sector = np.concatenate([[7], np.repeat(np.arange(n) * 8 + 1000, 2)])
    done = np.concatenate([[False], np.tile([False, True], n)])
    all_ = Halves(lines, lines * 0, sector, lines * 0 + 8, lines, done)
    reading = Reading(Path("x"))
    parts = [some(all_, part) for part in cut(len(lines), [*range(200)])]
    held = [len(batch.offset_bytes) for batch in paired(reading, iter(parts))]
    assert sum(held) == n
    assert max(held) <= 9
    assert reading.counts["requests issued, not completed"] == 1


FOLIOS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 6), st.sampled_from([1, 2, 4])), max_size=40
)


@given(FOLIOS, st.lists(st.integers(0, 40), max_size=4))
def test_cached_pages_are_those_of_a_set(rows: list[tuple[int, int, int]], at: list[int]) -> None:
    columns = np.array(rows, np.int64).reshape(-1, 3).T
    what, first, n = columns
    n = np.where(what >= 2, 1, n)
    reading = Reading(Path("x"))
    parts = (Folios(what[p], first[p], n[p], n[p], n[p]) for p in cut(len(rows), at))
    found: list[Event] = []
    for accesses in PageCache(reading).events(parts):
        ops = cast(Any, accesses.ops)
        found += zip(accesses.pfns.tolist(), ops.tolist(), strict=True)
    cached: set[int] = set()
    wanted = []
    for kind, start, length in zip(what.tolist(), first.tolist(), n.tolist(), strict=True):
        for page in range(start, start + length):
            if kind == 0:
                cached.add(page)
                wanted.append((page, GET))
            elif kind == 3 or page in cached:
                wanted.append((page, PUT if kind == 1 else LOOKUP))
                cached -= {page} if kind == 1 else set()
    assert found == wanted
    assert reading.counts["pages still cached at the end"] == len(cached)


# --- Forms of lines ----------------------------------------------------------------------------

AT = "tmux: server  77 [003]  12.000001: "


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("filemap:mm_filemap_add_to_page_cache: dev 8:1 ino 2b page=00000000a1 pfn=77 ofs=0", 77),
        ("filemap:mm_filemap_add_to_page_cache: dev 8:1 ino 2b page=0x1 pfn=0x77 ofs=0", 0x77),
        ("page_ref:page_ref_mod: pfn=0x1f flags=0x0 count=1 mapcount=0 mapping=0x0 mt=0 val=1", 31),
    ],
)  # fmt: skip
def test_pfns_are_read_as_each_kernel_writes_them(line: str, wanted: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_text(AT + line + "\n")
    trace = pfnlab.load(tmp_path / "a", stream=False)
    assert trace.provenance["format"] == "perf_pagecache"
    assert trace.pfns.tolist() == [wanted]


def test_a_symbol_is_no_address(tmp_path: Path) -> None:
    ip = "cat 9 1.000001: 1 page-faults: 7f0000001000 add::f(int) const (/bin/x)\n"
    both = "cat 9 1.000002: 1 page-faults: 7f0000002000 x (/a) 7f0000001000 y (/b)\n"
    (tmp_path / "a").write_text(ip + both)
    trace = pfnlab.load(tmp_path / "a", stream=False)
    assert trace.pfns.tolist() == [0x7F0000002]
    assert trace.provenance["counts"] == "faults without an address: 1"


def test_an_access_is_of_each_page_that_it_touches(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(" S 1ff8,8\nI  5000,4\n L 2ffc,8\n M 0003000,1\n")
    assert pfnlab.load(tmp_path / "a", stream=False).pfns.tolist() == [1, 2, 3, 3]


def test_a_page_that_left_is_forgotten() -> None:
    reading, one = Reading(Path("x")), np.ones(1, np.int64)
    parts = [Folios(np.array([what]), one, one, one, one) for what in (0, 1, 2, 1, 0, 2)]
    found = [some.pfns.size for some in PageCache(reading).events(iter(parts))]
    assert found == [1, 1, 0, 0, 1, 1]


def test_a_stack_is_no_event(tmp_path: Path) -> None:
    text = AT + "exceptions:page_fault_user: address=0x5000 ip=0x1 error_code=0x4\n"
    stack = "\t7f00001 main+0x10 (/bin/x)\n\tffffffff81000000 [unknown] ([kernel])\n\n"
    (tmp_path / "a").write_text(text + stack + text + stack)
    trace = pfnlab.load(tmp_path / "a", stream=False, format="perf_faults")
    assert trace.pfns.tolist() == [5, 5]
    assert trace.provenance["counts"] == "other events: 4"


def test_several_families_in_a_file_need_a_word(tmp_path: Path) -> None:
    files = ("perf_block.txt", "perf_faults.txt")
    texts = [(FOLDER / name).read_text() for name in files]
    (tmp_path / "a").write_text(texts[0][:4000].rpartition("\n")[0] + "\n" + texts[1])
    with pytest.raises(pfnlab.TraceError, match="can be perf_block or perf_faults; say format="):
        pfnlab.load(tmp_path / "a")
    trace = pfnlab.load(tmp_path / "a", stream=False, format="perf_faults")
    assert events_of(trace) == perf_faults(FOLDER / "perf_faults.txt")


def test_damon_in_an_ftrace_file(tmp_path: Path) -> None:
    event = "damon_aggregated: target_id=0 nr_regions=9 20480-28672: 2"
    about = "  kdamond.0-77  [001] .....  12.000001: "
    (tmp_path / "a").write_text(
        f"# tracer: nop\n#\n{about}{event} 4\n{about}{event}\n{about}sched_wakeup: x\n"
    )
    trace = pfnlab.load(tmp_path / "a", stream=False)
    assert trace.pfns.tolist() == [5, 6, 5, 6]
    assert trace.provenance["counts"] == "other events: 1"


def test_targets_of_damon_lie_apart(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(
        "base_time_absolute: 8 m 59.809 s\nmonitoring_start: 0 ns\n"
        "target_id: 18446623438842320000\nnr_regions: 1\n"
        "000000001000-000000003000(   8.000 KiB):\t3\n"
        "target_id: 7\nnr_regions: 2\n"
        "000000001000-000000002000(   4.000 KiB):\t1\n"
        "000000009000-00000000a000(   4.000 KiB):\t0\n"
    )
    trace = pfnlab.load(tmp_path / "a", stream=False)
    assert trace.pfns.tolist() == [1, 2, (1 << 36) + 1]
    assert trace.provenance["counts"] == "regions without accesses: 1"
    with pytest.raises(pfnlab.TraceError, match="its format names no devices"):
        pfnlab.load(tmp_path / "a", devices="7")


# --- What is bad -------------------------------------------------------------------------------


@pytest.mark.kernel
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("garbage", [b"\x00\xff\x17\n", b"-1 -1 -1\n", b"a;b;c\n", b",,,,,,\n"])
def test_a_bad_line_is_named_or_skipped(name: str, garbage: bytes, tmp_path: Path) -> None:
    data = (FOLDER / name).read_bytes()
    known, line = REFERENCES[name][0], data.count(b"\n") + 1
    (tmp_path / "a").write_bytes(data + garbage)
    with pytest.raises(
        pfnlab.TraceError, match=rf"line {line}, byte \d+ \(column \d+\): must have"
    ):
        pfnlab.load(tmp_path / "a", format=known)
    trace = pfnlab.load(tmp_path / "a", format=known, skip_bad=1)
    assert "bad, skipped: 1" in trace.provenance["counts"]


@pytest.mark.parametrize(
    ("known", "line", "message"),
    [
        ("blkparse", "8,0 1 1 0.1 7 D W -5 + 8 [x]", r"line 1: must have sector \+ sectors"),
        ("blkparse", "8,0 1 1 0.1 7 D W 99999999999999999999 + 8 [x]", "line 1: must have sector"),
        ("perf_block", AT + "block:block_rq_issue: 8,0 W 4096 () -5 + 8 none,0,0 [x]",
         "line 1: must have all that perf script writes"),
        ("perf_pagecache", AT + "pagemap:mm_lru_activate: folio=0x1",
         "line 1: must have all that perf script writes"),
        ("lackey", " L 1000,0", "line 1: must have 1 to 65536 bytes, below"),
        ("lackey", " L 7fffffffffffffff,8", "line 1: must have 1 to 65536 bytes, below"),
        ("lackey", " L zz,8", r"must have address \(hexadecimal digits\)"),
        ("damon", "1000-1000 ( 0 B) 1 1", "line 1: a region must be of 1 to"),
        ("damon", "1000-ffffffffffff ( 0 B) 1 1", "line 1: a region must be of 1 to"),
        ("damon", "# start_addr end_addr length age probe_hits", "must have a report with nr_acc"),
        ("perf_pagecache", AT + "filemap:mm_filemap_add_to_page_cache: x pfn=0x1 ofs=0 order=60",
         "line 1: order must be between 0 and 20"),
        ("perf_pagecache", AT + "pagemap:mm_lru_activate: folio=0x1 pfn=0x7fffffffffffffff",
         "line 1: pfn must be between 0 and"),
        ("perf_pagecache", AT.replace("003", "65536") + "pagemap:mm_lru_activate: x pfn=0x1",
         "line 1: cpu must be between 0 and 65535"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused(known: str, line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text(line + "\n")
    with pytest.raises(pfnlab.TraceError, match=message):
        pfnlab.load(tmp_path / "a", format=known)


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_such_file_is_refused(name: str, tmp_path: Path) -> None:
    known, path = REFERENCES[name][0], tmp_path / "file"
    noise = np.random.default_rng(1).integers(0, 256, 5000, np.uint8).tobytes()
    for data in (b"", b"\n\n", noise, b"\xff" * 4096, b"1" * (9 << 20)):
        path.write_bytes(data)
        with pytest.raises(pfnlab.PfnlabError) as error:
            pfnlab.load(path, format=known)
        assert str(path) in str(error.value)
