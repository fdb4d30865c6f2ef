"""Atomic callers: remedies against plain Python, the smallest reserve against brute force."""

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pfnlab
from pfnlab import claims, smallest_reserve
from pfnlab.claims.measures import atomic_context
from pfnlab.claims.measures.atomic_context import atomic_remedies
from pfnlab.frames import labels
from pfnlab.traces.pins import pinned_for_io, prefaulted, unpinned
from tests import reference

LOOKUP, GET, PUT = reference.LOOKUP, reference.GET, reference.PUT
Event = tuple[int, int, bool]
SMALL: dict[str, Any] = {"region_bytes": "2MiB", "granule_bytes": "4KiB", "chunk_bytes": "8KiB"}
N_PAGES = 512

events_of = st.lists(
    st.tuples(st.integers(0, N_PAGES - 1), st.sampled_from([LOOKUP, GET, PUT]), st.booleans()),
    max_size=60,
)
#: Few pages of few granules, so that most events meet others of their page.
close_events = st.lists(
    st.tuples(st.sampled_from([0, 1, 64, 128, 320]), st.integers(0, 2), st.booleans()), max_size=40
)


def trace_of(events: list[Event], **columns: Any) -> pfnlab.Trace:
    return pfnlab.Trace(
        np.array([pfn for pfn, _, _ in events], np.int64),
        ops=np.array([op for _, op, _ in events], np.uint8),
        atomic=np.array([atomic for _, _, atomic in events], np.bool_),
        **columns,
    )


def events_in(trace: pfnlab.Trace) -> list[Event]:
    n = len(trace)
    ops = np.zeros(n, np.uint8) if trace.ops is None else trace.ops
    atomic = np.zeros(n, np.bool_) if trace.atomic is None else trace.atomic
    return [(int(p), int(o), bool(a)) for p, o, a in zip(trace.pfns, ops, atomic, strict=True)]


# --- Prefaults ---------------------------------------------------------------------------------


def plainly_prefaulted(events: list[Event], lead: int, held: bool) -> list[Event]:
    before: dict[int, list[Event]] = defaultdict(list)
    after: dict[int, list[Event]] = defaultdict(list)
    for i, (pfn, op, atomic) in enumerate(events):
        if atomic and op != PUT:
            before[max(i - lead, 0)].append((pfn, GET if held else LOOKUP, False))
            if held:
                after[i].append((pfn, PUT, False))
    out: list[Event] = []
    for i, event in enumerate(events):
        out += [*before[i], event, *after[i]]
    return out


@given(events_of, st.integers(0, 70), st.booleans())
def test_prefaults_come_before_their_calls(events: list[Event], lead: int, held: bool) -> None:
    changed = prefaulted(trace_of(events), lead, held=held)
    assert events_in(changed) == plainly_prefaulted(events, lead, held)


def test_other_columns_stay_in_step() -> None:
    events = [(0, LOOKUP, False), (64, GET, True), (64, PUT, True)]
    columns = {"cpus": np.array([0, 1, 2]), "time_ns": np.array([10, 20, 30])}
    trace = trace_of(events, **columns, name="t", evidence="direct").placed("128MiB")
    changed = prefaulted(trace, 1, held=True)
    assert changed.cpus is not None and changed.time_ns is not None
    assert changed.cpus.tolist() == [1, 0, 1, 1, 2]
    assert changed.time_ns.tolist() == [10, 10, 20, 30, 30]
    assert (changed.name, changed.evidence, changed.placement) == ("t", "direct", None)
    assert changed.provenance["made_by"] == "prefaulted(lead_events=1, held=True)"
    assert len(trace) == 3  # the trace itself is as it was


@pytest.mark.parametrize("lead", [-1, 1.5, True, "4"])
def test_a_bad_lead_is_refused(lead: Any) -> None:
    with pytest.raises(pfnlab.ParameterError, match="lead_events="):
        prefaulted(trace_of([(0, LOOKUP, True)]), lead)


# --- Pins for the I/O --------------------------------------------------------------------------


def plainly_pinned(events: list[Event]) -> list[Event]:
    out, waiting = list(events), defaultdict(list)
    for i, (pfn, op, atomic) in enumerate(events):
        if op != LOOKUP:
            continue
        if not atomic:
            waiting[pfn].append(i)
        elif waiting[pfn]:
            submitted = waiting[pfn].pop()
            out[submitted] = (pfn, GET, False)
            out[i] = (pfn, PUT, True)
    return out


@given(st.one_of(events_of, close_events))
def test_completions_are_paired_with_submissions(events: list[Event]) -> None:
    assert events_in(pinned_for_io(trace_of(events))) == plainly_pinned(events)


def test_taking_pins_away_and_pinning_again_gives_block_io_back() -> None:
    trace = pfnlab.workload("block_io", n_events=5_000).trace(pfnlab.Params(region_bytes="1GiB"))
    again = events_in(pinned_for_io(unpinned(trace)))
    n_open = Counter(pfn for pfn, op, _ in events_in(trace) if op == GET)
    n_open.subtract(pfn for pfn, op, _ in events_in(trace) if op == PUT)
    differ = [(a, b) for a, b in zip(events_in(trace), again, strict=True) if a != b]
    # The cut left requests open: as many lookups of a page stay, the earliest instead of the last.
    lookups = [b[0] for _, b in differ if b[1] == LOOKUP]
    assert Counter(lookups) <= +n_open
    assert sum(op == LOOKUP for _, op, _ in again) == (+n_open).total()


# --- The smallest reserve ----------------------------------------------------------------------


def plain_failures(events: list[Event], threshold: int, reserve: int) -> int:
    counts = reference.replay(
        events, first_pfn=0, descriptor=64, granule=4096, chunk=8192, threshold=threshold,
        reserve=reserve,
    )  # fmt: skip
    return int(counts["atomic_faults"])


@pytest.mark.kernel
@settings(max_examples=40)
@given(events_of, st.sampled_from([8192, 12288, 20480]))
def test_the_smallest_reserve_is_what_trying_all_finds(events: list[Event], threshold: int) -> None:
    failures = [plain_failures(events, threshold, k) for k in range(len(events) + 1)]
    params = pfnlab.Params(**SMALL, threshold_bytes=threshold)
    smallest = smallest_reserve(trace_of(events), params)
    assert smallest == failures.index(0)
    # What makes one number an answer: a larger reserve is never illegal again.
    assert not any(failures[smallest:])


@pytest.mark.kernel
def test_fewer_granules_may_fail_less_often_before_the_trace_is_legal() -> None:
    """Why `smallest_reserve` does not count failures at several reserves."""
    random = np.random.default_rng(1)
    params = pfnlab.Params(**SMALL, threshold_bytes=8192)
    found = False
    for _ in range(400):
        pfns = random.integers(0, 6, 40) * 64
        trace = pfnlab.Trace(pfns, atomic=random.random(40) < 0.5)
        counts = [
            pfnlab.replay(trace, params.replace(reserve_granules=k)).atomic_faults
            for k in range(smallest_reserve(trace, params) + 1)
        ]
        found = found or any(np.diff(counts) > 0)
    assert found


@pytest.mark.kernel
def test_only_sleepers_refill() -> None:
    params = pfnlab.Params(**SMALL, threshold_bytes="8KiB")
    apart = [(64 * g, LOOKUP, True) for g in range(5)]
    assert smallest_reserve(trace_of(apart), params) == 5
    between = [*apart[:2], (448, LOOKUP, False), *apart[2:]]
    assert smallest_reserve(trace_of(between), params) == 3
    assert smallest_reserve(trace_of([(0, LOOKUP, False)]), params) == 0
    assert smallest_reserve(trace_of([]), params) == 0


# --- The table of remedies ---------------------------------------------------------------------


def rows_of(frame: pd.DataFrame) -> dict[str, dict[Any, Any]]:
    return {str(row["remedy"]): row for row in frame.to_dict("records")}


@pytest.mark.kernel
@settings(max_examples=20)
@given(events_of, st.integers(0, 20))
def test_rows_are_replays_of_the_changed_traces(events: list[Event], lead: int) -> None:
    params = pfnlab.Params(**SMALL, threshold_bytes="8KiB")
    frame = atomic_remedies(trace_of(events), params, lead_events=[lead], reserves=[1])
    rows = rows_of(frame)
    plain = {
        labels.NONE: (events, 0),
        labels.PINNED: (plainly_pinned(events), 0),
        labels.PREFAULTED: (plainly_prefaulted(events, lead, False), 0),
        labels.HELD: (plainly_prefaulted(events, lead, True), 0),
        labels.RESERVE: (events, 1),
    }
    for remedy, (changed, reserve) in plain.items():
        row = rows[remedy]
        assert row["atomic_faults"] == plain_failures(changed, 8192, reserve)
        assert row["events_added"] == len(changed) - len(events)
        assert row["atomic_calls"] == sum(atomic and op != PUT for _, op, atomic in events)
    assert rows[labels.SMALLEST]["atomic_faults"] == 0
    bare = [(pfn, LOOKUP, atomic) for pfn, _, atomic in events]
    if any(op != LOOKUP for _, op, _ in events):
        assert rows[labels.UNPINNED]["atomic_faults"] == plain_failures(bare, 8192, 0)


@pytest.mark.kernel
def test_a_held_prefault_is_never_undone() -> None:
    params = pfnlab.Params(region_bytes="1GiB", chunk_bytes="4KiB", threshold_bytes="64KiB")
    trace = pfnlab.workload("gup_fast", n_events=3_000).trace(params)
    rows = rows_of(atomic_remedies(trace, params, lead_events=[500]))
    assert rows[labels.NONE]["illegal_share"] == 1.0  # nobody ever sleeps
    assert rows[labels.PREFAULTED]["atomic_faults"] > 0
    assert rows[labels.HELD]["atomic_faults"] == 0
    smallest = rows[labels.SMALLEST]
    assert smallest["reserve_granules"] == smallest["footprint_bytes"] // 4096


@pytest.mark.kernel
def test_a_trace_without_atomic_calls_says_so() -> None:
    params = pfnlab.Params(region_bytes="1GiB", threshold_bytes="2MiB")
    block_io = pfnlab.workload("block_io", n_events=2_000).trace(params)
    frame = atomic_remedies(block_io, params, "hvo-8s")
    rows = frame[frame["remedy"] != labels.UNPINNED]
    assert set(rows["note"]) == {atomic_context.NO_ATOMIC_CALLS}
    assert not rows["illegal_share"].any()
    assert frame["event_ns"].gt(0).all()
    lookups = pfnlab.workload("zipf", n_events=100).trace(params)
    assert set(atomic_remedies(lookups, params)["note"]) == {atomic_context.NO_ATOMIC_CALLS}


@pytest.mark.kernel
def test_leads_and_reserves_may_be_none_or_many() -> None:
    params = pfnlab.Params(region_bytes="1GiB", chunk_bytes="4KiB", threshold_bytes="64KiB")
    trace = pfnlab.workload("softirq", n_events=2_000).trace(params)
    frame = atomic_remedies(trace, params, lead_events=[], reserves=[])
    few = [
        labels.UNPINNED,
        labels.NONE,
        labels.PINNED,
        labels.SMALLEST,
    ]
    assert list(frame["remedy"]) == few
    frame = atomic_remedies(trace, params, lead_events=[1, 8], reserves=[0, 1, 2])
    assert list(frame["lead_events"]) == [0, 0, 0, 1, 8, 8, 0, 0, 0, 0]
    assert list(frame["reserve_granules"])[6:9] == [0, 1, 2]
    one = atomic_remedies(trace, params.replace(reserve_granules=1), lead_events=[], reserves=[2])
    assert list(one["reserve_granules"])[:5] == [0, 0, 0, 1, 2]


def test_bad_input_is_refused(tmp_path: Any) -> None:
    params = pfnlab.Params(region_bytes="1GiB")
    trace = pfnlab.workload("softirq", n_events=100).trace(params)
    with pytest.raises(pfnlab.ParameterError, match="lead_events=-1"):
        atomic_remedies(trace, params, lead_events=[-1])
    with pytest.raises(pfnlab.ParameterError, match="reserve_granules=-1"):
        atomic_remedies(trace, params, reserves=[-1])
    streamed = pfnlab.load(pfnlab.save(trace, tmp_path / "t.parquet"), stream=True)
    with pytest.raises(pfnlab.TraceError, match="must be in memory"):
        atomic_remedies(streamed, params)


# --- Claims ------------------------------------------------------------------------------------


def remedies(source: str = "softirq", **fields: Any) -> pd.DataFrame:
    params = pfnlab.Params(region_bytes="1GiB", chunk_bytes="4KiB")
    trace = pfnlab.workload(source, n_events=4_000, **fields).trace(params)
    quarter = params.replace(threshold_bytes=trace.footprint_bytes(params) // 4)
    frame = atomic_remedies(trace, quarter, "hvo-8s", lead_events=[64])
    return frame.assign(source=source, evidence="proxy", n_events=len(trace))


@pytest.mark.kernel
def test_verdicts_on_contexts() -> None:
    softirq, block_io = remedies(), remedies("block_io")
    both = pd.concat([block_io, softirq], ignore_index=True)
    assert claims.atomic_calls_fault(both).holds is True
    assert claims.a_remedy_suffices(both).holds is True
    legal = softirq.assign(atomic_faults=0, illegal_share=0.0)
    assert claims.atomic_calls_fault(legal).holds is False
    assert claims.atomic_calls_fault(block_io).holds is None
    assert claims.a_remedy_suffices(softirq.assign(atomic_faults=1)).holds is False
    assert claims.a_remedy_suffices(softirq[softirq["remedy"] == labels.NONE]).holds is None
    for claim in (claims.atomic_calls_fault, claims.a_remedy_suffices):
        assert claim(softirq[softirq["remedy"] == labels.SMALLEST]).holds is None


@pytest.mark.kernel
def test_a_reserve_of_the_whole_footprint_is_no_remedy() -> None:
    frame = remedies("gup_fast")
    dear = frame[frame["remedy"].isin([labels.NONE, labels.SMALLEST])]
    assert claims.a_remedy_suffices(dear).holds is False
    assert claims.a_remedy_suffices(frame).holds is True
    late = frame[frame["remedy"].isin([labels.NONE, labels.HELD])]
    assert claims.a_remedy_suffices(late).holds is True
    assert claims.a_remedy_suffices(late.assign(lead_events=0)).holds is False
    over = late.assign(peak_resident_bytes=2 * late["threshold_bytes"])
    over.loc[over["remedy"] == labels.NONE, "peak_resident_bytes"] = 0
    assert claims.a_remedy_suffices(over).holds is False
