"""Every fast path gives the very counters of the plain replay: alone, in pieces and in sweeps."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pfnlab
from pfnlab.engine import (
    feeding,
    lra_many_granules,
    lra_one_granule,
    many,
    many_thresholds,
    plan,
    runs,
)
from pfnlab.engine.lra_one_granule import Expiry
from pfnlab.engine.many_thresholds import Thresholds
from pfnlab.engine.mechanism import Mechanism
from pfnlab.kernels.lra import one_granule as expiry_kernel
from pfnlab.kernels.lra import thresholds as kernel
from pfnlab.traces.columns import Events
from pfnlab.traces.streamed import StreamedTrace
from tests import reference_orders

pytestmark = pytest.mark.kernel

Case = tuple[pfnlab.Trace, pfnlab.Params]
EXAMPLES = int(os.environ.get("PFNLAB_EXAMPLES", "200"))
ORDERS = ["lru", "clock", "sieve", "random"]


@st.composite
def lookups(draw: st.DrawFn, whole: bool, policies: list[str]) -> Case:
    """Draw a small region and lookups that crowd some of its chunks, with runs among them."""
    granule = 4096 << draw(st.sampled_from([0, 0, 1, 4, 9]))
    chunk = granule if whole else granule << draw(st.sampled_from([1, 2, 3, 9, 10]))
    descriptor = draw(st.sampled_from([64, 64, 4096]))
    n_pages = draw(st.integers(1, draw(st.sampled_from([1, 3, 60])) * chunk // descriptor))
    first = draw(st.sampled_from([0, 12345]))
    params = pfnlab.Params(
        region_bytes=n_pages * 4096,
        first_pfn=first,
        descriptor_bytes=descriptor,
        granule_bytes=granule,
        chunk_bytes=chunk,
        threshold_bytes=chunk + draw(st.integers(0, 20)) * granule + draw(st.sampled_from([0, 99])),
        batch_chunks=draw(st.sampled_from([1, 1, 2, 3, 100])),
        flush_ceiling_pages=draw(st.sampled_from([0, 1, 33])),
        policy=draw(st.sampled_from(policies)),
    )
    pages_of = granule // descriptor
    pool = [page * pages_of % n_pages for page in range(draw(st.integers(1, 80)))]
    runs = st.tuples(st.sampled_from(pool), st.integers(1, 5), st.integers(0, 2))
    pages = [
        min(page + step * i, n_pages - 1)
        for page, length, step in draw(st.lists(runs, max_size=60))
        for i in range(length)
    ]
    dtype = draw(st.sampled_from([np.uint32, np.int64]))
    return pfnlab.Trace(np.array(pages, dtype) + dtype(first)), params


def plain(trace: pfnlab.Trace, params: pfnlab.Params) -> dict[str, Any]:
    run = Mechanism(trace, params)
    feeding.drive(trace, params, [run])
    return run.results()[0].counts()


@settings(max_examples=EXAMPLES)
@given(
    lookups(whole=True, policies=["lra"]),
    st.sampled_from([np.uint8, np.uint32]),
    st.booleans(),
    st.sampled_from([0, 2, 100]),
    st.integers(1, 9),
)
def test_expiry(case: Case, numbers: Any, ahead: bool, share: int, part: int) -> None:
    """Any batch, loops that change, few windows or many, numbers that start over after 255."""
    trace, params = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Expiry, "numbers", numbers)
        patch.setattr(lra_one_granule, "PART_EVENTS", part)
        patch.setattr(lra_one_granule, "FOLLOWED_EVENTS", part)
        patch.setattr(lra_one_granule, "_L2_BYTES", 0 if ahead else 1 << 20)
        patch.setattr(lra_one_granule, "OFTEN_SHARE", share)
        patch.setattr(feeding, "FIRST_PIECE_EVENTS", 7)
        run = plan.planned(trace, params)
        assert isinstance(run, Expiry)
        feeding.drive(trace, params, [run])
        assert run.results()[0].counts() == plain(trace, params)


@settings(max_examples=EXAMPLES)
@given(lookups(whole=False, policies=["lra"]), st.integers(1, 9))
def test_chunked(case: Case, piece: int) -> None:
    trace, params = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feeding, "FIRST_PIECE_EVENTS", piece)
        assert isinstance(plan.planned(trace, params), lra_many_granules.Chunked)
        assert pfnlab.replay(trace, params).counts() == plain(trace, params)


@settings(max_examples=EXAMPLES)
@given(lookups(whole=True, policies=ORDERS), st.integers(1, 9))
def test_orders(case: Case, piece: int) -> None:
    trace, params = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feeding, "FIRST_PIECE_EVENTS", piece)
        assert pfnlab.replay(trace, params).counts() == plain(trace, params)


@settings(max_examples=EXAMPLES)
@given(lookups(whole=True, policies=["lra", "lru"]), st.data())
def test_many_thresholds(case: Case, data: st.DataObject) -> None:
    """More thresholds than a pass takes, numbers that start over, vectors and lanes."""
    trace, params = case
    limits = data.draw(st.lists(st.integers(1, 25), min_size=1, max_size=40))
    points = [params.replace(threshold_bytes=params.chunk_bytes * limit) for limit in limits]
    with pytest.MonkeyPatch.context() as patch:
        numbers = data.draw(st.sampled_from([np.uint8, np.uint16, np.uint32]))
        patch.setattr(many_thresholds, "numbers_for", lambda n_chunks, limit: numbers)
        vectors = data.draw(st.booleans())
        patch.setattr(many_thresholds, "has_vectors", lambda: vectors)
        patch.setattr(many_thresholds, "PART_EVENTS", data.draw(st.integers(1, 50)))
        patch.setattr(many, "LEAST_LRA", 1)
        patch.setattr(many, "LEAST_LRU", 1)
        patch.setattr(runs, "KEPT_SHARE", data.draw(st.sampled_from([0, 10**9])))
        found = dict(many.replay_many(trace, points, n_threads=data.draw(st.integers(1, 2))))
    assert len(found) == len(points)
    for index, point in enumerate(points):
        assert found[index].params == point
        assert found[index].counts() == plain(trace, point)


@settings(max_examples=EXAMPLES)
@given(lookups(whole=False, policies=["lra", "clock"]), st.data())
def test_many_shapes(case: Case, data: st.DataObject) -> None:
    """A grid of granules, chunks, batches and thresholds, fed with runs or with events."""
    trace, params = case
    points = [
        params.replace(
            granule_bytes=params.granule_bytes << data.draw(st.integers(0, 1)),
            batch_chunks=data.draw(st.integers(1, 3)),
            threshold_bytes=params.chunk_bytes * data.draw(st.integers(1, 4)),
            n_cpus=data.draw(st.integers(1, 2)),
        )
        for _ in range(data.draw(st.integers(1, 8)))
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "KEPT_SHARE", data.draw(st.sampled_from([0, 10**9])))
        patch.setattr(runs, "PIECE_EVENTS", data.draw(st.integers(1, 50)))
        found = dict(many.replay_many(trace, points))
    for index, point in enumerate(points):
        assert found[index].params == point
        assert found[index].counts() == plain(trace, point)


@pytest.mark.parametrize("lanes", [16, 32, 64])
@pytest.mark.parametrize("numbers", [np.uint16, np.uint32])
def test_vectors_and_lanes_do_the_same(lanes: int, numbers: Any) -> None:
    """Near the largest numbers too, where they start over."""
    drawn = np.random.default_rng(lanes)
    largest = int(np.iinfo(numbers).max)
    n_chunks, n_runs = 20, 300

    def state() -> kernel.State:
        limits = np.arange(1, lanes + 1).astype(numbers)
        return kernel.State(
            gone=np.zeros(n_chunks * lanes, numbers),
            faults=np.full(lanes, largest - 100 - lanes, numbers),
            limits=limits,
            renumbered=np.zeros(lanes, np.int64),
            firsts=np.zeros(n_chunks, np.int64),
            chunks=np.zeros(n_chunks, np.uint32),
            totals=np.zeros(1, np.int64),
        )

    chunks, ends = drawn.integers(0, n_chunks - 1, n_runs).astype(np.uint32), np.arange(1, 301)
    vectors, one_by_one = state(), state()
    for start in range(0, n_runs, 100):
        for each, how in ((vectors, None), (one_by_one, lanes)):
            kernel.replay(each, how, chunks, ends, 0, start, start + 100)
            kernel.renumber(each, how)
    for left, right in zip(vectors, one_by_one, strict=True):
        np.testing.assert_array_equal(left, right)
    assert vectors.renumbered.min() > 0
    assert (vectors.gone[-lanes:] == 0).all()  # the chunk that was never accessed


def test_a_streamed_trace_is_read_once_for_all_points(tmp_path: Path) -> None:
    pfns = np.random.default_rng(3).integers(0, 2**18, 5000).astype(np.uint32)
    pfnlab.save(pfnlab.Trace(pfns, name="mine"), tmp_path / "trace")
    stream = pfnlab.load(tmp_path / "trace", stream=True)
    readings: list[int] = []
    pieces = StreamedTrace.pieces

    def counted(self: StreamedTrace, *args: Any) -> Any:
        readings.append(1)
        return pieces(self, *args)

    params = pfnlab.Params(region_bytes="1GiB", threshold_bytes="2MiB")
    axes: dict[str, Any] = {
        "policy": ["lra", "lru", "clock"],
        "batch_chunks": [1, 3],
        "chunk_bytes": ["4KiB", "2MiB"],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StreamedTrace, "pieces", counted)
        frame = pfnlab.sweep(stream, params, **axes)
    assert len(readings) == 1
    in_memory = pfnlab.sweep(pfnlab.Trace(pfns, name="mine"), params, **axes)
    pd.testing.assert_frame_equal(frame, in_memory)


@settings(max_examples=EXAMPLES)
@given(lookups(whole=True, policies=["lra"]), st.sampled_from(["opt", "s3fifo"]))
def test_orders_of_whole_chunks_only(case: Case, policy: str) -> None:
    """The full mechanism does not know them, so these are held against their references."""
    trace, params = case
    params = params.replace(policy=policy, batch_chunks=1)
    size = params.chunk_bytes // params.descriptor_bytes
    chunks = [(int(pfn) - params.first_pfn) // size for pfn in trace.pfns]
    limit = params.threshold_bytes // params.chunk_bytes
    window = max(2**21 // params.chunk_bytes, 1)
    order: reference_orders.Order = reference_orders.Opt(chunks)
    if policy == "s3fifo":
        order = reference_orders.S3Fifo(limit, paper=True)
    counted = reference_orders.replay(chunks, order, limit, 1, window)
    faults, cold, passes, evicted, resident, peak, resident_sum, *windows = counted
    granule, ptes = params.granule_bytes, params.granule_bytes < 2**21
    result = pfnlab.replay(trace, params)
    assert (result.faults, result.cold_faults, result.shootdowns) == (faults, cold, passes)
    assert result.evicted_chunks == result.evicted_granules == evicted
    assert (result.resident_bytes, result.peak_resident_bytes) == (
        resident * granule,
        peak * granule,
    )
    assert result.mean_resident_bytes == resident_sum * granule / max(len(trace), 1)
    assert result.page_table_bytes == windows[1] * 4096 * ptes
    assert result.page_table_kept_bytes == windows[2] * 4096 * ptes
    pages = params.chunk_bytes // 4096
    assert result.full_flushes + result.ranged_flush_pages // pages == passes
    if policy == "opt" and pages <= params.flush_ceiling_pages:
        assert result.full_flushes == 0


def test_opt_looks_ahead_in_memory_only(tmp_path: Path) -> None:
    pfnlab.save(pfnlab.Trace(np.arange(9)), tmp_path / "trace")
    stream = pfnlab.load(tmp_path / "trace", stream=True)
    params = pfnlab.Params(granule_bytes="2MiB", policy="opt")
    with pytest.raises(pfnlab.ParameterError, match="policy='opt': must have a trace in memory"):
        pfnlab.replay(stream, params)


def drifting(n_events: int = 2400) -> tuple[pfnlab.Trace, pfnlab.Params]:
    """Return a few chunks of one 2 MiB window after another: many faults, few windows at once."""
    events = np.arange(n_events)
    near = np.random.default_rng(5).integers(0, 12, n_events)
    chunks = events // 300 % 8 * 512 + np.where(events % 7 == 0, near // 4, near)
    params = pfnlab.Params(region_bytes="1GiB", chunk_bytes=4096, threshold_bytes=9 * 4096)
    return pfnlab.Trace((chunks * 64).astype(np.uint32)), params


@pytest.mark.parametrize("rare_share", [0, 16])
@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_expiry_over_many_faults(
    batch: int, rare_share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers that start over several times, in either loop; windows that come and go."""
    trace, params = drifting()
    params = params.replace(batch_chunks=batch)
    monkeypatch.setattr(Expiry, "numbers", np.uint8)
    monkeypatch.setattr(lra_one_granule, "PART_EVENTS", 50)
    monkeypatch.setattr(lra_one_granule, "FOLLOWED_EVENTS", 50)
    monkeypatch.setattr(lra_one_granule, "RARE_SHARE", rare_share)
    run = plan.planned(trace, params)
    assert isinstance(run, Expiry)
    feeding.drive(trace, params, [run])
    assert run.state.counts[expiry_kernel.RENUMBERED] > 255
    assert run.results()[0].counts() == plain(trace, params)


@pytest.mark.parametrize("numbers", [np.uint8, np.uint16])
def test_thresholds_over_many_faults(numbers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that start over; page tables that a shared pass can't tell are replayed alone."""
    trace, params = drifting()
    points = [params.replace(threshold_bytes=4096 * limit) for limit in (1, 2, 5, 9, 11, 40)]
    monkeypatch.setattr(many_thresholds, "numbers_for", lambda n_chunks, limit: numbers)
    shared = Thresholds(trace, points)
    shared.feed(Events(0, trace.pfns, None, None))
    assert None in shared.results()
    found = dict(many.replay_many(trace, points))
    for index, point in enumerate(points):
        assert found[index].counts() == plain(trace, point)
