"""Traces: columns, requests, placements, native files; what is refused and what is never left."""

import errno
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pfnlab
from pfnlab.files import whole_file
from pfnlab.traces import columns, native
from pfnlab.traces.native import parquet
from pfnlab.traces.placement import AREA_BYTES
from pfnlab.traces.requests import GET, LOOKUP, PUT

AREA_PAGES = AREA_BYTES // 4096


def events(trace: pfnlab.Trace) -> list[tuple[int, int, bool]]:
    n = len(trace)
    ops = trace.ops if trace.ops is not None else np.zeros(n, np.uint8)
    atomic = trace.atomic if trace.atomic is not None else np.zeros(n, np.bool_)
    return list(zip(trace.pfns.tolist(), ops.tolist(), atomic.tolist(), strict=True))


def sample(**changes: Any) -> pfnlab.Trace:
    return pfnlab.Trace(
        np.array([5, 9, 5], np.uint32),
        np.array([GET, LOOKUP, PUT]),
        np.array([False, True, True]),
        np.array([0, 1, 1]),
        time_ns=np.array([1, 2, 3]),
        **({"name": "sample", "evidence": "direct", "provenance": {"origin": "by hand"}} | changes),
    )


def test_columns_are_read_only() -> None:
    trace = sample()
    for column in trace.columns().values():
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([-1],), "pfn=-1 in event 0: must not be negative"),
        (([0.5],), "pfns: has dtype float64, must be integers"),
        (([[1]],), "must be one-dimensional"),
        (([True],), "pfns: has dtype bool"),
        (([2**63],), "must be below 2"),
        (([1, 2], [0]), "ops: has 1 events, must have as many as pfns"),
        (([1, 2], [0, 3]), "ops=3 in event 1: must be LOOKUP 0, GET 1 or PUT 2"),
        (([1, 2], None, [0, 2]), "atomic=2 in event 1: must be 0 or 1"),
        (([1], None, None, [-1]), "cpus=-1 in event 0: must fit uint16"),
        (([1], None, None, None, 3), "page_bytes=3: must be a power of two"),
    ],
)
def test_bad_columns_are_refused(columns: tuple[Any, ...], message: str) -> None:
    with pytest.raises(pfnlab.PfnlabError, match=message):
        pfnlab.Trace(*columns)


# --- Requests ---------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 20_000)), max_size=20),
    st.integers(0, 5),
)
def test_requests_complete_once_depth_later_ones_were_submitted(
    requests: list[tuple[int, int]], io_depth: int
) -> None:
    expected, waiting = [], []
    for offset, length in requests:
        pages = sorted({byte // 4096 for byte in (offset, offset + length - 1)}) if length else []
        pages = list(range(pages[0], pages[-1] + 1)) if pages else []
        expected += [(page, GET, False) for page in pages]
        waiting.append(pages)
        if len(waiting) > io_depth:
            expected += [(page, PUT, True) for page in waiting.pop(0)]
    expected += [(page, PUT, True) for pages in waiting for page in pages]
    offsets, lengths = [r[0] for r in requests], [r[1] for r in requests]
    assert events(pfnlab.Trace.from_requests(offsets, lengths, io_depth)) == expected


def test_requests_with_times_complete_when_they_did() -> None:
    trace = pfnlab.Trace.from_requests(
        [0, 4096, 8192], [4096] * 3, submit_ns=[0, 5, 9], complete_ns=[9, 5, 12]
    )
    assert [(pfn, op) for pfn, op, _ in events(trace)] == [
        (0, GET), (1, GET), (1, PUT), (0, PUT), (2, GET), (2, PUT),
    ]  # fmt: skip
    assert trace.time_ns is not None
    assert trace.time_ns.tolist() == [0, 5, 5, 9, 9, 12]


def test_variants_of_submitter_and_completion() -> None:
    trace = pfnlab.Trace.from_requests(
        [0, 4096], [1, 1], 0, submit_atomic=[True, False], pinned=[True, False]
    )
    assert events(trace) == [(0, GET, True), (0, PUT, True), (1, LOOKUP, False), (1, LOOKUP, True)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0], [1, 2]), "length_bytes: has 2 requests"),
        (([-1], [1]), "offset_bytes=-1 of request 0"),
        (([1], [1], -1), "io_depth=-1"),
        (([1], [1], 1.5), "io_depth=1.5"),
        (([2**62], [2**62]), "length_bytes=4611686018427387904 of request 0: must end below"),
        (([0], [2**62]), "length_bytes: requests cover 1125899906842624 pages"),
    ],
)
def test_bad_requests_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(pfnlab.PfnlabError, match=message):
        pfnlab.Trace.from_requests(*arguments)


@pytest.mark.parametrize("column", ["cpus", "submit_atomic", "pinned"])
def test_columns_of_requests_are_as_many(column: str) -> None:
    with pytest.raises(pfnlab.TraceError, match=f"{column}: has 3 requests, must have as many"):
        pfnlab.Trace.from_requests([0, 1], [1, 1], **{column: [1, 0, 1]})  # type: ignore[arg-type]
    with pytest.raises(pfnlab.TraceError, match="submit_ns: has 1 requests"):
        pfnlab.Trace.from_requests([0, 1], [1, 1], submit_ns=[5], complete_ns=[6])


def test_a_completion_before_its_submission_is_refused() -> None:
    with pytest.raises(pfnlab.TraceError, match="complete_ns=1 of request 0"):
        pfnlab.Trace.from_requests([0], [1], submit_ns=[2], complete_ns=[1])


# --- Placement --------------------------------------------------------------------------------


def test_packed_and_spread_move_whole_areas_in_order() -> None:
    pfns = np.array([7, 5 * AREA_PAGES + 3, 9 * AREA_PAGES, 7])
    packed = pfnlab.Trace(pfns).placed("1GiB")
    assert packed.pfns.tolist() == [7, AREA_PAGES + 3, 2 * AREA_PAGES, 7]
    spread = pfnlab.Trace(pfns).placed("1GiB", "spread", first_pfn=100)
    assert spread.pfns.tolist() == [
        107, 100 + 2 * AREA_PAGES + 3, 100 + 5 * AREA_PAGES, 107,
    ]  # fmt: skip


def test_tenants_each_replay_the_whole_trace_in_order() -> None:
    placed = sample().placed("1GiB", "tenants", tenants=4)
    share = (1 << 30) // 4096 // 4
    for tenant in range(4):
        mine = [event for event in events(placed) if event[0] // share == tenant]
        assert [(pfn % share, op, a) for pfn, op, a in mine] == events(sample())


def test_a_region_too_small_for_the_touched_areas_is_refused() -> None:
    trace = pfnlab.Trace(np.array([0, AREA_PAGES]))
    with pytest.raises(pfnlab.ParameterError, match="region_bytes='128MiB': must hold the touched"):
        trace.placed("128MiB")
    with pytest.raises(pfnlab.ParameterError, match="how='spraed': did you mean 'spread'"):
        trace.placed("1GiB", "spraed")  # type: ignore[arg-type]


# --- Files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["trace.parquet", "folder"])
@pytest.mark.parametrize("trace", [sample(), pfnlab.Trace(np.array([], np.int64))], ids=str)
def test_files_give_back_the_trace(tmp_path: Path, name: str, trace: pfnlab.Trace) -> None:
    back = pfnlab.load(pfnlab.save(trace, tmp_path / name), stream=False)
    assert back.digest() == trace.digest()
    assert (back.name, back.evidence, dict(back.provenance)) == (
        trace.name, trace.evidence, dict(trace.provenance),
    )  # fmt: skip
    assert {n: c.tolist() for n, c in back.columns().items()} == {
        n: c.tolist() for n, c in trace.columns().items()
    }


@given(
    st.sampled_from([pa.bool_(), pa.uint8(), pa.uint16(), pa.uint32(), pa.int64()]),
    st.lists(st.integers(0, 255)),
    st.integers(0, 20),
    st.integers(0, 20),
)
def test_values_of_a_part_of_an_arrow_array(
    kind: Any, numbers: list[int], start: int, length: int
) -> None:
    array = pa.array([n % 2 == 1 if kind == pa.bool_() else n for n in numbers], kind)
    array = array.slice(start, length)
    values = parquet.values_of(array)
    assert values.tolist() == array.to_pylist()
    assert pa.from_numpy_dtype(values.dtype) == kind


@pytest.mark.parametrize("kept", [0, 3, 4, 100, -1])
def test_truncated_files_are_refused(tmp_path: Path, kept: int) -> None:
    path = pfnlab.save(sample(), tmp_path / "trace.parquet")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(pfnlab.TraceError, match=r"trace\.parquet"):
        pfnlab.load(path)


def test_missing_values_and_flipped_bits_are_refused(tmp_path: Path) -> None:
    path = pfnlab.save(sample(), tmp_path / "trace.parquet")
    table = pq.read_table(path)
    holes = pa.array([5, None, 5], pa.uint32())
    pq.write_table(table.set_column(0, table.schema.field(0), holes), path)
    with pytest.raises(pfnlab.TraceError, match="column pfn has a missing value"):
        pfnlab.load(path)
    other = pa.array([5, 8, 5], pa.uint32())
    pq.write_table(table.set_column(0, table.schema.field(0), other), path)
    with pytest.raises(pfnlab.TraceError, match="sha256 differs"):
        pfnlab.load(path)


def test_foreign_and_missing_files_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.parquet"
    pd.DataFrame({"pfn": [1, 2]}).to_parquet(foreign)
    with pytest.raises(pfnlab.TraceError, match=r"written by pfnlab\.save"):
        pfnlab.load(foreign)
    (tmp_path / "garbage").write_bytes(bytes(range(256)))
    for name in ("garbage", "missing.parquet", "."):
        with pytest.raises(pfnlab.TraceError):
            pfnlab.load(tmp_path / name)
    with pytest.raises(pfnlab.TraceError, match="suffix"):
        pfnlab.save(sample(), tmp_path / "trace.csv")


def test_a_folder_with_a_shrunken_column_is_refused(tmp_path: Path) -> None:
    folder = pfnlab.save(sample(), tmp_path / "folder")
    column = folder / "op.npy"
    column.write_bytes(column.read_bytes()[:-1])
    with pytest.raises(pfnlab.TraceError, match=r"op\.npy: must be a whole"):
        pfnlab.load(folder)
    about = json.loads((folder / native.ABOUT).read_text())
    (folder / native.ABOUT).write_text(json.dumps(about | {"n_events": 7}))
    column.unlink()
    with pytest.raises(pfnlab.TraceError, match="has 3 pfns, its metadata promises 7"):
        pfnlab.load(folder)


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "no space"), KeyboardInterrupt()])
def test_a_failed_write_leaves_what_was_there(tmp_path: Path, failure: BaseException) -> None:
    target = tmp_path / "frame.parquet"
    target.write_text("before")
    expected = pfnlab.FileError if isinstance(failure, OSError) else type(failure)
    with pytest.raises(expected), whole_file(target) as temporary:
        temporary.write_text("half")
        raise failure
    assert [p.name for p in tmp_path.iterdir()] == ["frame.parquet"]
    assert target.read_text() == "before"


# --- The traces we ship -------------------------------------------------------------------------


def test_the_shipped_traces_are_ours_and_wide_enough(root: Path) -> None:
    paths = sorted(root.glob("data/traces/*.parquet"))
    assert sum(path.stat().st_size for path in paths) < 5 << 20
    traces = {path.stem: pfnlab.load(path, stream=False) for path in paths}
    assert {trace.evidence for trace in traces.values()} == {"direct", "proxy"}
    for trace in traces.values():
        assert {"origin", "command"} <= set(trace.provenance)
    text = (root / "data" / "README.md").read_text()
    for path in paths:
        assert hashlib.sha256(path.read_bytes()).hexdigest() in text
    wide = traces["pgbench"].pfns.astype(np.int64) // AREA_PAGES
    assert len(np.unique(wide)) >= 64


# --- What a replay asks of any trace -----------------------------------------------------------


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(1, 7))
def test_pieces_are_views_of_all_events_in_order(pfns: list[int], n_events: int) -> None:
    codes = np.array([pfn % 3 for pfn in pfns], np.uint8)
    trace = pfnlab.Trace(np.array(pfns, np.int64), codes, codes > 1)
    assert (trace.has_ops, trace.has_atomic) == (bool(codes.any()), bool((codes > 1).any()))
    pieces = list(trace.pieces(pfnlab.Params(), n_events))
    assert [piece.start for piece in pieces] == list(range(0, len(pfns), n_events))
    assert [pfn for piece in pieces for pfn in piece.pfns.tolist()] == pfns
    assert all(np.shares_memory(piece.pfns, trace.pfns) for piece in pieces)
    for name in ("ops", "atomic"):
        column, cut = getattr(trace, name), [getattr(piece, name) for piece in pieces]
        expected = [None] * len(pieces) if column is None else column.tolist()
        assert (cut if column is None else np.concatenate([[], *cut]).tolist()) == expected


def test_pieces_are_refused_before_the_first() -> None:
    trace = pfnlab.Trace(np.arange(10, dtype=np.uint32))
    with pytest.raises(pfnlab.TraceError, match="pfn=4 in event 4: must be in the region"):
        next(trace.pieces(pfnlab.Params(region_bytes=4 * 4096), 2))


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=20))
def test_the_extent_is_found_over_blocks(pfns: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "_CACHED_EVENTS", 3)
        assert pfnlab.Trace(np.array(pfns)).extent == (min(pfns), max(pfns))
        narrow = np.array(pfns).astype(np.uint32)
        assert pfnlab.Trace(narrow).extent == (narrow.min(), narrow.max())


@given(st.integers(0, 50), st.integers(1, 6), st.integers(1, 9))
def test_a_sample_is_spread_from_the_first_to_the_last(n: int, n_slices: int, size: int) -> None:
    sample = [s.tolist() for s in pfnlab.Trace(np.arange(n)).sample(n_slices, size)]
    assert len(sample) == min(n_slices, -(-n // size))
    starts = [s[0] for s in sample]
    assert all(s == list(range(s[0], s[0] + min(size, n))) for s in sample)
    if len(sample) > 1:
        assert (starts[0], sample[-1][-1]) == (0, n - 1)
        assert max(np.diff(starts)) - min(np.diff(starts)) <= 1
