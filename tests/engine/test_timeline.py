"""A replay that is watched counts what a replay does; a sample tells about as much."""

import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pfnlab
from pfnlab import figures
from pfnlab.claims.measures import mechanism
from pfnlab.engine import sampling
from pfnlab.engine.exploration import Exploration, thresholds, under_pressure
from pfnlab.engine.timeline import Timeline
from pfnlab.kernels.bits import count_portions

TOY = mechanism.sized(pfnlab.Params())
STORY = mechanism.Story().trace(TOY)
POLICIES = ("lra", "lru", "clock", "sieve", "random")
#: A granule is a chunk, as s3fifo and opt need it.
WHOLE = pfnlab.Params(granule_bytes="4KiB", chunk_bytes="4KiB", threshold_bytes="40KiB",
                      region_bytes="64MiB")  # fmt: skip


def drawn(n_events: int = 3000, seed: int = 0) -> pfnlab.Trace:
    params = WHOLE
    return pfnlab.workload("zipf", n_events=n_events, seed=seed).trace(params)


@pytest.mark.kernel
@given(st.data())
@settings(max_examples=60)
def test_portions_are_counted_bit_by_bit(data: Any) -> None:
    bits = data.draw(st.lists(st.booleans(), min_size=1, max_size=400))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(bits)), min_size=2, max_size=6)))
    padded = np.zeros(-(-len(bits) // 64) * 64, np.uint8)
    padded[: len(bits)] = bits
    words = np.packbits(padded, bitorder="little").view("<u8").astype(np.uint64)
    first = np.array(cuts[:-1], np.int64)
    last = np.array(cuts[1:], np.int64) - 1
    lists = [np.arange(a >> 6, (b >> 6) + 1) for a, b in zip(first, last, strict=True)]
    starts = np.concatenate([[0], np.cumsum([len(each) for each in lists])])
    out = np.zeros(len(first), np.int64)
    count_portions(words, np.concatenate(lists), starts, first, last, out)
    expected = [sum(bits[a:b]) for a, b in pairwise(cuts)]
    assert out.tolist() == expected


@pytest.mark.kernel
@pytest.mark.parametrize("policy", POLICIES)
def test_each_event_of_the_story_is_seen_as_it_is_stepped(policy: str) -> None:
    params = TOY.replace(policy=policy)
    steps = pfnlab.steps(STORY, params)
    seen = pfnlab.timeline(STORY, params, n_columns=len(STORY), n_rows=100)
    assert seen.columns["end"].tolist() == [*range(1, len(STORY) + 1)]
    for name in seen.columns.columns.drop("end"):
        assert seen.columns[name].tolist() == steps[name].tolist(), name
    assert seen.residency is not None
    for column, held in enumerate(steps["resident"]):
        of_area = [
            sum(area.first_chunk <= granule // 4 <= area.last_chunk for granule in held)
            for area in seen.areas
        ]
        assert seen.residency[:, column].tolist() == of_area
    assert [area.n_chunks for area in seen.areas] == [1] * 6


@pytest.mark.parametrize("policy", [*POLICIES, "s3fifo", "opt"])
@pytest.mark.parametrize("n_columns", [1, 7, 160])
def test_what_is_watched_counts_what_a_replay_counts(policy: str, n_columns: int) -> None:
    params, trace = WHOLE.replace(policy=policy), drawn()
    seen = pfnlab.timeline(trace, params, n_columns=n_columns, n_rows=5)
    result = pfnlab.replay(trace, params)
    assert seen.result == result
    for name in ("faults", "shootdowns", "evicted_chunks", "accesses"):
        assert seen.columns[name].sum() == getattr(result, name)
    assert seen.columns["resident_bytes"].iloc[-1] == result.resident_bytes
    if policy == "opt":
        assert seen.residency is None
    else:
        assert seen.residency is not None
        total = seen.residency.sum(axis=0) * params.granule_bytes
        assert total.tolist() == seen.columns["resident_bytes"].tolist()
    granules = {int(pfn) // 64 for pfn in trace.pfns}
    assert sum(area.n_granules for area in seen.areas) == len(granules)


@pytest.mark.parametrize("size", ["64KiB", "2MiB"])
def test_pins_contexts_and_partial_words(size: str) -> None:
    params = pfnlab.Params(region_bytes="16GiB", chunk_bytes=size, threshold_bytes="2MiB")
    trace = pfnlab.workload("block_io", n_events=20_000).trace(params)
    seen = pfnlab.timeline(trace, params)
    assert seen.result == pfnlab.replay(trace, params)
    assert seen.columns["pinned_skips"].sum() == seen.result.pinned_skips
    assert seen.columns["puts"].sum() == seen.result.puts
    assert seen.residency is not None
    total = seen.residency.sum(axis=0) * params.granule_bytes
    assert total.tolist() == seen.columns["resident_bytes"].tolist()


def test_a_streamed_trace_is_watched_as_one_in_memory(tmp_path: Any) -> None:
    trace = drawn(200_000)
    pfnlab.save(trace, tmp_path / "big.parquet")
    streamed = pfnlab.load(tmp_path / "big.parquet", stream=True)
    one, other = (pfnlab.timeline(each, WHOLE) for each in (trace, streamed))
    assert one.result == other.result
    assert one.columns.equals(other.columns)
    assert np.array_equal(one.residency, other.residency)  # type: ignore[arg-type]


def test_few_events_or_none() -> None:
    for n_events in (0, 1, 3):
        trace = pfnlab.Trace(np.arange(n_events) * 64)
        seen = pfnlab.timeline(trace, WHOLE)
        assert seen.result == pfnlab.replay(trace, WHOLE)
        assert seen.columns["end"].iloc[-1] == n_events
        assert figures.exploration(pfnlab.explore(trace, WHOLE)).axes
        assert seen.residency is not None
        total = seen.residency.sum(axis=0) * WHOLE.granule_bytes
        assert total.tolist() == seen.columns["resident_bytes"].tolist()


@pytest.mark.parametrize(("name", "value"), [("n_columns", 0), ("n_rows", -1), ("n_rows", 2.5)])
def test_no_columns_or_rows_are_refused(name: str, value: object) -> None:
    options: dict[str, Any] = {name: value}
    requirement = "an int, at least 1" if isinstance(value, float) else "at least 1"
    message = re.escape(f"{name}={value!r}: must be {requirement}") + "$"
    with pytest.raises(pfnlab.ParameterError, match=message):
        pfnlab.timeline(drawn(), WHOLE, **options)
    with pytest.raises(pfnlab.TraceError, match="must be in the region"):
        pfnlab.timeline(pfnlab.Trace(np.array([2**40])), WHOLE)


def test_progress_is_told_and_may_stop_it() -> None:
    told: list[int] = []
    pfnlab.timeline(drawn(), WHOLE, on_events=told.append)
    assert sum(told) == 3000

    def stop(n_events: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pfnlab.timeline(drawn(), WHOLE, on_events=stop)


# --- Samples ----------------------------------------------------------------------------------

LARGE = pfnlab.Params(chunk_bytes="64KiB", threshold_bytes="64MiB")


def test_a_sample_keeps_all_that_happens_on_a_chunk() -> None:
    trace = pfnlab.workload("block_io", n_events=300_000).trace(LARGE)
    touched = sampling.touched_chunks(trace, LARGE)
    sample = sampling.sampled(trace, LARGE, touched, 8)
    of_event = trace.pfns.astype(np.int64) * 64 // LARGE.chunk_bytes
    assert touched.tolist() == sorted({*of_event.tolist()})
    assert len(sample.chunks) == len(touched) // 8
    assert {*sample.chunks} <= {*touched}
    kept = np.isin(of_event, sample.chunks)
    assert sample.kept.tolist() == np.flatnonzero(kept).tolist()
    assert trace.ops is not None
    assert sample.trace.ops is not None
    assert sample.trace.ops.tolist() == trace.ops[kept].tolist()
    assert trace.atomic is not None
    assert sample.trace.atomic is not None
    assert sample.trace.atomic.tolist() == trace.atomic[kept].tolist()
    pages = LARGE.chunk_bytes // 64
    chunk, page = np.divmod(sample.trace.pfns.astype(np.int64), pages)
    assert (sample.chunks[chunk] * pages + page).tolist() == trace.pfns[kept].tolist()
    sample.trace.check(sample.params(LARGE))


def test_one_of_each_neighbours_is_drawn() -> None:
    touched = np.arange(1000, 9000, 3)
    for divisor in (4, 16, 64):
        chosen = (sampling._drawn(touched, divisor) - 1000) // 3
        assert (chosen // divisor).tolist() == [*range(len(touched) // divisor)]
        assert len({*(chosen % divisor).tolist()}) > divisor / 2  # no stride could hide from it


@pytest.mark.parametrize("spec", ["uniform", "zipf", "sequential", "block_io"])
def test_a_sample_tells_about_as_much(spec: str) -> None:
    trace = pfnlab.workload(spec, n_events=1_000_000).trace(LARGE)
    exploration = Exploration(trace)
    sample, exact = exploration.sample(LARGE), exploration.exact(LARGE)
    assert sample is not None
    assert sample.divisor >= 4
    assert sample.status == f"sample 1/{sample.divisor}"
    assert exact.status == "exact"
    assert exact.result == pfnlab.replay(trace, LARGE)
    assert sample.result.miss_ratio == pytest.approx(exact.result.miss_ratio, rel=0.15)
    for name in ("shootdowns", "mean_resident_bytes", "faults", "evicted_granules"):
        told, true = (getattr(each.result, name) for each in (sample, exact))
        assert told == pytest.approx(true, rel=0.2), name
    curve = {r.params.threshold_bytes: r.miss_ratio for r in exact.curve}
    for result in sample.curve:
        at = curve[result.params.threshold_bytes]
        assert result.miss_ratio == pytest.approx(at, rel=0.15)
    ends = sample.timeline.columns["end"]
    assert ends.iloc[-1] == len(trace)
    level = sample.timeline.columns["resident_bytes"].iloc[-1]
    assert level == pytest.approx(exact.result.resident_bytes, rel=0.25)


def test_no_sample_where_it_would_tell_nothing() -> None:
    trace = pfnlab.workload("zipf", n_events=1_000_000).trace(LARGE)
    few = sampling.LEAST_LIMIT_CHUNKS
    assert sampling.divisor(trace, LARGE, 10_000) == 16
    assert sampling.divisor(trace, LARGE, 4 * sampling.LEAST_CHUNKS) == 4
    assert sampling.divisor(trace, LARGE, 4 * sampling.LEAST_CHUNKS - 1) == 1
    tight = LARGE.replace(threshold_bytes=few * 4 * LARGE.chunk_bytes)
    assert sampling.divisor(trace, tight, 10_000) == 4
    tighter = LARGE.replace(threshold_bytes=few * 4 * LARGE.chunk_bytes - 1)
    assert sampling.divisor(trace, tighter, 10_000) == 1
    short = pfnlab.Trace(np.arange(1000))
    assert Exploration(short).sample(LARGE) is None


# --- Four sides -------------------------------------------------------------------------------


def test_the_curve_is_a_sweep() -> None:
    trace = drawn()
    seen = pfnlab.explore(trace, WHOLE)
    steps = [result.params.threshold_bytes for result in seen.curve]
    frame = pfnlab.sweep(trace, WHOLE, threshold_bytes=steps)
    assert [result.faults for result in seen.curve] == frame["faults"].tolist()
    assert steps == sorted({*steps})
    assert min(steps) >= WHOLE.chunk_bytes
    assert seen.footprint_bytes <= max(steps) <= 2 * seen.footprint_bytes


@given(st.integers(0, 40), st.integers(12, 30), st.integers(12, 30))
def test_thresholds_go_from_a_chunk_to_the_footprint(size: int, one: int, other: int) -> None:
    granule, chunk = 1 << min(one, other), 1 << max(one, other)
    params = pfnlab.Params(granule_bytes=granule, chunk_bytes=chunk, threshold_bytes="32PiB")
    steps = thresholds(params, 1 << size)
    assert 1 <= len(steps) <= 15
    assert steps[-1] >= max(chunk, 1 << size) or steps == [chunk]
    for step in steps:
        assert pfnlab.Params(granule_bytes=granule, chunk_bytes=chunk, threshold_bytes=step)


def test_other_cpus_change_no_counter() -> None:
    seen = pfnlab.explore(drawn(), WHOLE)
    other = seen.on_cpus(7)
    assert other.result.counts() == seen.result.counts()
    assert other.result.params == WHOLE.replace(n_cpus=7)
    assert other.result == pfnlab.replay(drawn(), WHOLE.replace(n_cpus=7))


def test_where_to_begin() -> None:
    trace = drawn()
    footprint = trace.footprint_bytes(WHOLE)
    begun = under_pressure(trace, WHOLE.replace(threshold_bytes="1GiB"))
    assert footprint / 8 < begun.threshold_bytes <= footprint / 4
    assert under_pressure(trace, WHOLE) == WHOLE


def test_parts_of_a_time_add_up() -> None:
    result = pfnlab.replay(STORY, TOY)
    for preset in ("hvo-8s", "uffd-proto"):
        costs = pfnlab.Costs.preset(preset).replace(rebuild=77.0, zero_per_4k=5.0)
        parts, cost = costs.parts(result.counts(), TOY), result.cost(costs)
        own = sum(value for name, value in parts.items() if name != "stolen")
        assert own == pytest.approx(cost.initiator_ns)
        assert parts["stolen"] == cost.stolen_ns
        assert parts["fault"] + parts["zero"] + parts["init"] == pytest.approx(cost.fault_ns)


def test_a_timeline_is_told_by_name() -> None:
    seen = pfnlab.timeline(drawn(), WHOLE)
    assert isinstance(seen, Timeline)
    assert (seen.source, seen.n_events) == ("zipf", 3000)
