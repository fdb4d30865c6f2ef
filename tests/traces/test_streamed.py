"""Traces larger than memory: the same counters from a file, and what becomes of it on the way."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pfnlab
from pfnlab.params import memory
from pfnlab.traces import footprint, native, streamed
from pfnlab.traces.readahead import READER, ahead
from pfnlab.traces.requests import PUT

FORMATS = ["folder", "trace.parquet"]
Rows = list[tuple[int, int, bool]]
PARAMS = pfnlab.Params(
    region_bytes="2MiB", granule_bytes="4KiB", chunk_bytes="8KiB", threshold_bytes="8KiB",
    descriptor_bytes=1024,
)  # fmt: skip


def traced(rows: Rows, dtype: Any = np.uint32, **about: Any) -> pfnlab.Trace:
    pfns, ops, atomic = zip(*rows, strict=True) if rows else ((), (), ())
    return pfnlab.Trace(
        np.array(pfns, dtype), np.array(ops, np.uint8), np.array(atomic, np.bool_), **about
    )


def numbers(n: int = 100) -> pfnlab.Trace:
    return traced([(i * 7 % 512, i % 3, i % 5 == 0) for i in range(n)], name="numbers")


def stream(trace: pfnlab.Trace, path: Path) -> pfnlab.StreamedTrace:
    return pfnlab.load(pfnlab.save(trace, path), stream=True)


@contextmanager
def blocks_of(n_events: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed, "BLOCK_EVENTS", n_events)
        yield


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    assert (readers(), open_files()) == (0, set())


def readers() -> int:
    return sum(thread.name == READER for thread in threading.enumerate())


def open_files() -> set[str]:
    """Names of open trace files, on systems that tell."""
    links = list(Path("/proc/self/fd").glob("*"))
    names = {link.readlink().name for link in links if link.is_symlink()}
    return {name for name in names if name.endswith((".npy", ".parquet"))}


def column_file(path: Path, name: str = "pfn") -> Path:
    return path / f"{name}.npy" if path.is_dir() else path


# --- The same events ----------------------------------------------------------------------------

rows = st.lists(st.tuples(st.integers(0, 511), st.integers(0, PUT), st.booleans()), max_size=40)


@pytest.mark.kernel
@settings(max_examples=60)
@given(rows, st.integers(1, 9), st.sampled_from(FORMATS), st.sampled_from([np.uint32, np.int64]))
def test_every_counter_equals_that_of_the_trace_in_memory(
    rows: Rows, size: int, name: str, dtype: Any
) -> None:
    trace = traced(rows, dtype)
    with TemporaryDirectory() as folder, blocks_of(size):
        there = stream(trace, Path(folder, name))
        assert pfnlab.replay(there, PARAMS).counts() == pfnlab.replay(trace, PARAMS).counts()
        assert there.footprint_bytes(PARAMS) == trace.footprint_bytes(PARAMS)
        assert there.digest() == trace.digest()
        assert (len(there), there.has_ops, there.has_atomic) == (
            len(trace), trace.has_ops, trace.has_atomic,
        )  # fmt: skip


@settings(max_examples=60)
@given(rows, st.integers(1, 9), st.integers(1, 9), st.sampled_from(FORMATS))
def test_pieces_are_the_events_in_order(rows: Rows, block: int, size: int, name: str) -> None:
    trace = traced(rows)
    with TemporaryDirectory() as folder, blocks_of(block):
        start, found = 0, []
        for piece in stream(trace, Path(folder, name)).pieces(PARAMS, size):
            assert piece.start == start
            assert 0 < len(piece.pfns) <= min(block, size)
            assert not piece.pfns.flags.writeable
            n = len(piece.pfns)
            ops = [0] * n if piece.ops is None else piece.ops.tolist()
            atomic = [False] * n if piece.atomic is None else piece.atomic.tolist()
            found += list(zip(piece.pfns.tolist(), ops, atomic, strict=True))
            start += n
    assert found == rows


@pytest.mark.parametrize("name", FORMATS)
def test_two_iterators_do_not_disturb_each_other(tmp_path: Path, name: str) -> None:
    trace = numbers()
    there = stream(trace, tmp_path / name)
    with blocks_of(7):
        one, two = there.pieces(PARAMS, 7), there.pieces(PARAMS, 3)
        seen: list[list[int]] = [[], []]
        for i in range(200):
            which = 0 if i % 3 else 1
            piece = next((one, two)[which], None)
            seen[which] += piece.pfns.tolist() if piece else []
        assert seen == [trace.pfns.tolist()] * 2


@pytest.mark.kernel
@pytest.mark.parametrize("name", FORMATS)
def test_a_sweep_in_threads_equals_that_of_the_trace_in_memory(tmp_path: Path, name: str) -> None:
    trace = numbers(1000)
    axes: dict[str, Any] = {"threshold_of_footprint": [0.1, 0.5], "chunk_bytes": ["4KiB", "8KiB"]}
    with blocks_of(64):
        there = pfnlab.sweep(stream(trace, tmp_path / name), PARAMS, executor=2, **axes)
    assert there.equals(pfnlab.sweep(trace, PARAMS, **axes))


@given(st.integers(0, 60), st.integers(1, 5), st.integers(1, 9))
def test_a_sample_is_that_of_the_trace_in_memory(n: int, n_slices: int, size: int) -> None:
    trace = pfnlab.Trace(np.arange(n, dtype=np.uint32))
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        mine = [part.tolist() for part in trace.sample(n_slices, size)]
        there = stream(trace, Path(folder, "folder")).sample(n_slices, size)
        assert [part.tolist() for part in there] == mine
        patch.setattr(native, "BATCH_EVENTS", 4)
        groups = stream(trace, Path(folder, "t.parquet")).sample(n_slices, size)
        starts = [part[0] for part in groups]
        assert sorted({part[0] // 4 * 4 for part in mine}) == starts
        assert all(part.tolist() == list(range(part[0], part[0] + len(part))) for part in groups)
        assert all(0 < len(part) <= min(size, 4) for part in groups)


@given(st.lists(st.integers(0, 511), max_size=50), st.integers(1, 7), st.booleans())
def test_a_footprint_in_pieces_counts_every_granule_once(
    pfns: list[int], size: int, in_table: bool
) -> None:
    geometry = pfnlab.Geometry.of(PARAMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(footprint, "TABLE_GRANULES", 1 << 20 if in_table else 0)
        patch.setattr(footprint, "RECENT_GRANULES", 3)
        seen = footprint.Footprint(geometry)
        for start in range(0, len(pfns), size):
            seen.add(np.array(pfns[start : start + size], np.uint32))
        assert seen.footprint_bytes == 4096 * len({pfn // 4 for pfn in pfns})


def test_events_beyond_32_bits_are_found(tmp_path: Path) -> None:
    n_events = 2**31 + 10
    folder = pfnlab.save(pfnlab.Trace(np.arange(1)), tmp_path / "folder")
    about = json.loads((folder / native.ABOUT).read_text())
    (folder / native.ABOUT).write_text(json.dumps(about | {"n_events": n_events}))
    with (folder / "pfn.npy").open("wb") as file:  # zeros that take no room
        header = {"descr": "<u4", "fortran_order": False, "shape": (n_events,)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 4 * n_events - 4)
        file.seek(0, os.SEEK_END)
        file.write(np.uint32(77).tobytes())
    there = pfnlab.load(folder, stream=True)
    assert len(there) == n_events
    assert [part.tolist() for part in there.sample(2, 3)] == [[0, 0, 0], [0, 0, 77]]


# --- Files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", ["other", "other.parquet"])
def test_either_format_is_made_from_either_in_pieces(
    tmp_path: Path, source: str, target: str
) -> None:
    n = 50
    trace = pfnlab.Trace(
        np.arange(n) + 2**40, (np.arange(n) % 3).astype(np.uint8), np.arange(n) % 2 == 0,
        np.arange(n), name="all columns", time_ns=np.arange(n) * 10, evidence="direct",
        provenance={"a": "b"},
    )  # fmt: skip
    with blocks_of(7):
        there = pfnlab.save(stream(trace, tmp_path / source), tmp_path / target)
    back = pfnlab.load(there, stream=False)
    assert {n: c.tolist() for n, c in back.columns().items()} == {
        n: c.tolist() for n, c in trace.columns().items()
    }
    assert {n: c.dtype for n, c in back.columns().items()} == {
        n: c.dtype for n, c in trace.columns().items()
    }
    assert (back.name, back.evidence, dict(back.provenance), back.digest()) == (
        trace.name, trace.evidence, dict(trace.provenance), trace.digest(),
    )  # fmt: skip


def test_large_traces_are_streamed_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [pfnlab.save(numbers(), tmp_path / name) for name in FORMATS]
    n_bytes = 100 * (4 + 1 + 1)
    for path in paths:
        monkeypatch.setattr(native, "available_bytes", lambda: 4 * n_bytes)
        assert isinstance(pfnlab.load(path), pfnlab.Trace)
        assert isinstance(pfnlab.load(path, stream=True), pfnlab.StreamedTrace)
        monkeypatch.setattr(native, "available_bytes", lambda: 4 * n_bytes - 4)
        assert isinstance(pfnlab.load(path), pfnlab.StreamedTrace)
        assert isinstance(pfnlab.load(path, stream=False), pfnlab.Trace)
        with monkeypatch.context() as patch:
            patch.setattr(memory, "available_bytes", lambda: 100)
            with pytest.raises(pfnlab.ParameterError, match="stream=False: a trace that is not"):
                pfnlab.load(path, stream=False)


def test_foreign_dtypes_are_held_as_kernels_take_them(tmp_path: Path) -> None:
    folder = pfnlab.save(numbers(), tmp_path / "folder")
    expected = pfnlab.load(folder, stream=False).digest()
    for dtype, held in ((">u4", np.uint32), ("<u2", np.uint32), ("<u8", np.int64)):
        np.save(folder / "pfn.npy", np.load(folder / "pfn.npy").astype(dtype))
        there = pfnlab.load(folder, stream=True)
        with blocks_of(9):
            assert {p.pfns.dtype for p in there.pieces(PARAMS)} == {np.dtype(held)}
            assert there.digest() == expected


def test_a_column_of_zeros_digests_like_none(tmp_path: Path) -> None:
    trace = pfnlab.Trace(np.arange(9))
    folder = pfnlab.save(trace, tmp_path / "folder")
    np.save(folder / "op.npy", np.zeros(9, np.uint8))
    there = pfnlab.load(folder, stream=True)
    assert there.has_ops
    assert there.digest() == trace.digest()


@pytest.mark.parametrize("name", FORMATS)
def test_a_trace_is_verified_when_asked(tmp_path: Path, name: str) -> None:
    path = pfnlab.save(numbers(), tmp_path / name)
    pfnlab.load(path, stream=True).verify()
    if path.is_dir():
        np.save(path / "pfn.npy", np.load(path / "pfn.npy") ^ np.uint32(1))
    else:
        table = pq.read_table(path)
        pfns = pa.array(table["pfn"].to_numpy() ^ np.uint32(1))
        pq.write_table(table.set_column(0, table.schema.field(0), pfns), path)
    with pytest.raises(pfnlab.TraceError, match="sha256 differs"):
        pfnlab.load(path, stream=True).verify()
    if path.is_dir():
        about = json.loads((path / native.ABOUT).read_text())
        (path / native.ABOUT).write_text(json.dumps(about | {"sha256": None}))
        with pytest.raises(pfnlab.TraceError, match="must have a sha256"):
            pfnlab.load(path, stream=True).verify()


def test_a_streamed_trace_is_not_placed(tmp_path: Path) -> None:
    with pytest.raises(pfnlab.TraceError, match=r"trace 'numbers': is streamed from .*folder"):
        stream(numbers(), tmp_path / "folder").placed("1GiB")


@pytest.mark.parametrize("stream", [True, False])
def test_files_that_are_not_columns_are_refused(tmp_path: Path, stream: bool) -> None:
    folder = pfnlab.save(numbers(), tmp_path / "folder")

    def refused(match: str) -> None:
        with pytest.raises(pfnlab.TraceError, match=match):
            pfnlab.load(folder, stream=stream)

    np.save(folder / "cpu.npy", np.zeros(99, np.uint16))
    refused(r"cpu\.npy: has 99 events, must have as many as pfn\.npy \(100\)")
    np.save(folder / "cpu.npy", np.zeros(100))
    refused(r"cpu\.npy: has shape \(100,\) of float64, must be a column of integers")
    np.save(folder / "cpu.npy", np.array([{}] * 100), allow_pickle=True)
    refused(r"cpu\.npy: has shape \(100,\) of object")
    (folder / "cpu.npy").write_bytes(b"\x93NUMPY\x09\x00")
    refused(r"cpu\.npy: must be a \.npy column")
    (folder / "cpu.npy").unlink()
    (folder / "pfn.npy").unlink()
    refused(r"folder: must have a column of pfns, pfn\.npy")


# --- What becomes of a file while it is replayed ------------------------------------------------


def interrupted(trace: pfnlab.StreamedTrace, act: Callable[[], object]) -> list[int]:
    """Replay pieces, act after the third, and return what was seen."""
    seen = []
    for i, piece in enumerate(trace.pieces(PARAMS, 8)):
        seen += piece.pfns.tolist()
        if i == 2:
            act()
    return seen


def test_a_file_that_shrinks_is_refused_where_it_ends(tmp_path: Path) -> None:
    there = stream(numbers(1000), tmp_path / "folder")
    file = tmp_path / "folder" / "pfn.npy"
    with blocks_of(8), pytest.raises(pfnlab.TraceError, match=r"pfn\.npy: ends in event 500, it"):
        interrupted(there, lambda: os.truncate(file, 128 + 4 * 500 + 3))
    with pytest.raises(pfnlab.TraceError, match=r"pfn\.npy: was changed since it was loaded"):
        next(there.pieces(PARAMS))


@pytest.mark.slow
def test_a_parquet_file_that_shrinks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "BATCH_EVENTS", 100)
    there = stream(numbers(100_000), tmp_path / "trace.parquet")
    file = tmp_path / "trace.parquet"
    with blocks_of(8), pytest.raises(pfnlab.TraceError, match=r"trace\.parquet: "):
        interrupted(there, lambda: os.truncate(file, file.stat().st_size // 2))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("column", ["pfn", "atomic"])
def test_a_file_that_is_overwritten_is_refused_at_the_end(
    tmp_path: Path, name: str, column: str
) -> None:
    there = stream(numbers(), tmp_path / name)
    file = column_file(tmp_path / name, column)

    def overwrite() -> None:
        content = file.read_bytes()
        with file.open("r+b") as same:
            same.write(content)

    with blocks_of(8), pytest.raises(pfnlab.TraceError, match="was changed while it was replayed"):
        interrupted(there, overwrite)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_is_deleted_or_replaced_is_replayed_to_its_end(
    tmp_path: Path, name: str
) -> None:
    there = stream(numbers(), tmp_path / name)
    file = column_file(tmp_path / name)
    content = file.read_bytes()

    def replace() -> None:
        (tmp_path / "new").write_bytes(content)
        (tmp_path / "new").replace(file)

    with blocks_of(8):
        assert interrupted(there, replace) == numbers().pfns.tolist()
        with pytest.raises(pfnlab.TraceError, match="was changed since it was loaded"):
            next(there.pieces(PARAMS))
        there = pfnlab.load(tmp_path / name, stream=True)
        assert interrupted(there, file.unlink) == numbers().pfns.tolist()
    for read in (lambda: next(there.pieces(PARAMS)), there.digest, lambda: there.sample(1, 1)):
        with pytest.raises(pfnlab.TraceError, match=rf"{file.name}: can't be read \(No such file"):
            read()


@pytest.mark.parametrize("name", FORMATS)
def test_a_pfn_outside_the_region_is_refused_before_its_piece(tmp_path: Path, name: str) -> None:
    pfns = np.arange(100, dtype=np.uint32)
    pfns[57] = 512
    there = stream(pfnlab.Trace(pfns), tmp_path / name)
    seen: list[int] = []
    with blocks_of(8), pytest.raises(pfnlab.TraceError, match="pfn=512 in event 57: must be in"):
        for piece in there.pieces(PARAMS):
            seen += piece.pfns.tolist()
    assert seen == list(range(56))
    with blocks_of(8), pytest.raises(pfnlab.TraceError, match="pfn=512 in event 57"):
        there.footprint_bytes(PARAMS)
    shifted = PARAMS.replace(first_pfn=8, region_bytes="4MiB")
    with pytest.raises(pfnlab.TraceError, match="pfn=0 in event 0: must be in the region"):
        pfnlab.replay(there, shifted)
    with pytest.raises(pfnlab.TraceError, match="page_bytes=4KiB of trace 'mine'"):
        pfnlab.replay(there, PARAMS.replace(page_bytes="8KiB"))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("op", 3, "ops=3 in event 57: must be LOOKUP 0, GET 1"), ("atomic", 2, "atomic=2 in event")],
)
def test_a_code_that_is_none_is_refused(
    tmp_path: Path, column: str, value: int, message: str
) -> None:
    folder = pfnlab.save(numbers(), tmp_path / "folder")
    with (folder / f"{column}.npy").open("r+b") as file:
        file.seek(128 + 57)
        file.write(bytes([value]))
    with blocks_of(8), pytest.raises(pfnlab.TraceError, match=rf"folder: {message}"):
        pfnlab.replay(pfnlab.load(folder, stream=True), PARAMS)
    with pytest.raises(pfnlab.TraceError, match=message):
        pfnlab.load(folder, stream=False)
    with pytest.raises(pfnlab.TraceError, match=message):
        pfnlab.save(pfnlab.load(folder, stream=True), tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


# --- Threads, descriptors, memory ---------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_an_abandoned_iterator_leaves_no_thread_and_no_file(tmp_path: Path, name: str) -> None:
    there = stream(numbers(), tmp_path / name)
    with blocks_of(8):
        pieces = there.pieces(PARAMS)
        next(pieces)
        assert readers() == 1
        assert open_files() or not Path("/proc/self/fd").exists()
        del pieces
        assert (readers(), open_files()) == (0, set())


@pytest.mark.kernel
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_replay_leaves_no_thread(tmp_path: Path, error: type[BaseException]) -> None:
    there = stream(numbers(), tmp_path / "folder")

    def stop(n_events: int) -> None:
        raise error

    with blocks_of(8), pytest.raises(error):
        pfnlab.replay(there, PARAMS, on_events=stop)
    assert (readers(), open_files()) == (0, set())


def test_what_is_made_ahead_is_bounded_and_in_order() -> None:
    made: list[int] = []

    def items() -> Generator[int]:
        for i in range(50):
            made.append(i)
            yield i
            if i == 40:
                raise OSError("disk")

    taken, seen = ahead(items(), 3), []
    with pytest.raises(OSError, match="disk"):
        for i in taken:
            seen.append(i)
            if i in (0, 20):  # wait until no more is made, and a little longer
                until = time.monotonic() + 10
                while len(made) < i + 3 and time.monotonic() < until:
                    time.sleep(0.001)
                time.sleep(0.02)
                assert made == list(range(i + 3))
    assert seen == list(range(41))


SCRIPT = """
import sys
import numpy as np
import pfnlab

path, small, n_events = sys.argv[1], sys.argv[2], int(sys.argv[3])
params = pfnlab.Params(region_bytes="1GiB")
# What is loaded on first use is not what is measured.
pfnlab.load(small, stream=True).footprint_bytes(params)
trace = pfnlab.load(path, stream=True)
def peak():  # KiB; ru_maxrss would be that of the process that started this one
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
before = peak()
n = 0
for piece in trace.pieces(params):
    n += len(piece.pfns)
trace.footprint_bytes(params)
trace.digest()
assert n == n_events == len(trace)
print(peak() - before)
half = trace.pieces(params)  # a program may end with a half-used iterator
next(half)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the peak")
@pytest.mark.parametrize(("name", "most_mib"), [("folder", 16), ("trace.parquet", 48)])
@pytest.mark.slow
def test_memory_does_not_grow_with_the_trace(tmp_path: Path, name: str, most_mib: int) -> None:
    n_events = 20_000_000  # 80 MB
    pfns = np.arange(n_events, dtype=np.uint32) & np.uint32((1 << 18) - 1)
    path = tmp_path / name
    small = pfnlab.save(pfnlab.Trace(pfns[: 1 << 20]), tmp_path / f"small{path.suffix}")
    if name == "folder":
        pfnlab.save(pfnlab.Trace(pfns), path)
    else:  # one row group, as no writer of ours makes it
        schema = pq.read_schema(small)
        about = json.loads(schema.metadata[native.METADATA_KEY]) | {"n_events": n_events}
        metadata = {native.METADATA_KEY: json.dumps(about).encode()}
        table = pa.table({"pfn": pfns}).replace_schema_metadata(metadata)
        pq.write_table(table, path, row_group_size=n_events, use_dictionary=False)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path), str(small), str(n_events)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")

    assert int(done.stdout) < most_mib << 10
