"""The compiled mechanism against the reference, the laws, the anchors and the refusals."""

import os
import re
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pfnlab
from pfnlab.engine import event_codes, feeding, mechanism
from pfnlab.params import PARAMETERS, memory
from pfnlab.params.policies import POLICIES, WHOLE_CHUNK_POLICIES
from pfnlab.traces.requests import GET, PUT
from tests import reference

pytestmark = pytest.mark.kernel

KIB = 1024
#: Orders that the full mechanism knows.
LISTED = [policy for policy in POLICIES if policy not in WHOLE_CHUNK_POLICIES]
Case = tuple[pfnlab.Params, list[tuple[int, int, bool]]]


def traced(events: list[tuple[int, int, bool]]) -> pfnlab.Trace:
    pfns, ops, atomic = zip(*events, strict=True) if events else ((), (), ())
    return pfnlab.Trace(
        np.array(pfns, np.int64), np.array(ops, np.uint8), np.array(atomic, np.bool_)
    )


def expected(params: pfnlab.Params, events: list[tuple[int, int, bool]]) -> dict[str, Any]:
    return reference.replay(
        events,
        first_pfn=params.first_pfn,
        descriptor=params.descriptor_bytes,
        granule=params.granule_bytes,
        chunk=params.chunk_bytes,
        threshold=params.threshold_bytes,
        batch=params.batch_chunks,
        reserve=params.reserve_granules,
        ceiling=params.flush_ceiling_pages,
        policy=params.policy,
        seed=params.seed,
    )


@st.composite
def cases(draw: st.DrawFn, ops: int = PUT, atomic: bool = True) -> Case:
    """Draw a small odd region, any three sizes, and events that crowd a few granules."""
    granule = 4096 << draw(st.sampled_from([0, 0, 0, 1, 3, 9]))
    chunk = granule << draw(st.sampled_from([0, 0, 1, 2, 3, 7, 10]))  # 10: several 2 MiB windows
    descriptor = draw(st.sampled_from([64, 64, 32, 128, 4096]))
    n_pages = draw(st.integers(1, draw(st.sampled_from([1, 3, 40])) * chunk // descriptor))
    first = draw(st.sampled_from([0, 1, 12345]))
    params = pfnlab.Params(
        region_bytes=n_pages * 4096,
        first_pfn=first,
        descriptor_bytes=descriptor,
        granule_bytes=granule,
        chunk_bytes=chunk,
        threshold_bytes=chunk + draw(st.integers(0, 2 * chunk)),
        batch_chunks=draw(st.sampled_from([1, 1, 2, 3, 100])),
        reserve_granules=draw(st.integers(0, 3)),
        flush_ceiling_pages=draw(st.sampled_from([0, 1, 33])),
        policy=draw(st.sampled_from(LISTED)),
        seed=draw(st.sampled_from([0, 1, 2**63 - 1])),
    )
    pool = draw(st.lists(st.integers(0, n_pages - 1), min_size=1, max_size=12))
    if draw(st.booleans()):  # pages a granule apart, so that a chunk fills up and others push it
        step = granule // descriptor
        pool = [page * step % n_pages for page in range(3 * min(chunk // granule, 8))]
    event = st.tuples(
        st.sampled_from(pool).map(lambda page: first + page),
        st.integers(0, ops),
        st.booleans() if atomic else st.just(False),
    )
    return params, draw(st.lists(event, max_size=60))


@st.composite
def crowded(draw: st.DrawFn) -> Case:
    """Draw a few chunks of a few granules above a tight threshold, and events that revisit them.

    Hypothesis would draw events one by one and seldom enough of them to fill a chunk.
    """
    n_granules = draw(st.sampled_from([1, 2, 4, 8]))  # of a chunk
    n_chunks = draw(st.integers(2, 6))
    params = pfnlab.Params(
        region_bytes=n_chunks * n_granules * 64 * 4096,
        granule_bytes=4096,
        chunk_bytes=n_granules * 4096,
        threshold_bytes=n_granules * 4096 + draw(st.integers(0, 2 * n_granules)) * 4096,
        batch_chunks=draw(st.sampled_from([1, 1, 2, 3])),
        reserve_granules=draw(st.integers(0, 2)),
        policy=draw(st.sampled_from(("lra", *LISTED))),
        seed=draw(st.integers(0, 9)),
    )
    random = Random(draw(st.integers(0, 2**32)))
    gets, puts, atomic = draw(st.sampled_from([(0, 0, 0), (1, 1, 1), (3, 2, 0), (2, 2, 4)]))
    events, page = [], 0
    for _ in range(draw(st.integers(0, 200))):
        if random.random() < 0.5:
            page = 32 * random.randrange(2 * n_chunks * n_granules)
        op = random.choices((0, GET, PUT), (4, gets, puts))[0]
        events.append((page, op, random.randrange(10) < atomic))
    return params, events


@settings(max_examples=int(os.environ.get("PFNLAB_EXAMPLES", "400")))
@given(crowded() | cases())
def test_every_counter_equals_the_reference(case: Case) -> None:
    params, events = case
    assert pfnlab.replay(traced(events), params).counts() == expected(params, events)


@settings(max_examples=100)
@given(crowded() | cases(), st.integers(1, 7))
def test_pieces_tables_and_dtypes_change_nothing(case: Case, piece: int) -> None:
    params, events = case
    trace = traced(events)
    whole = pfnlab.replay(trace, params).counts()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feeding, "FIRST_PIECE_EVENTS", piece)
        patch.setattr(mechanism, "_FAILED_PLACES", 2)
        patch.setattr(mechanism, "_is_hashed", lambda trace, geometry: True)
        narrow = pfnlab.Trace(trace.pfns.astype(np.uint32), trace.ops, trace.atomic)
        assert pfnlab.replay(narrow, params).counts() == whole


@settings(max_examples=100)
@given(crowded() | cases())
def test_laws_hold(case: Case) -> None:
    params, events = case
    result = pfnlab.replay(traced(events), params)
    granule = params.granule_bytes
    assert result.accesses == result.hits + result.faults + result.atomic_faults
    assert result.accesses + result.puts == len(events)
    assert result.faults * granule == result.evicted_granules * granule + result.resident_bytes
    assert result.shootdowns <= result.evicted_chunks <= result.evicted_granules
    assert result.pinned_skips <= result.faults + result.puts
    assert result.mean_resident_bytes <= result.peak_resident_bytes
    assert result.page_table_bytes <= result.page_table_kept_bytes


@settings(max_examples=100)
@given(cases(ops=0, atomic=False))
def test_without_pins_and_atomic_callers_the_threshold_is_a_bound(case: Case) -> None:
    params, events = case
    result = pfnlab.replay(traced(events), params)
    assert result.peak_resident_bytes <= params.threshold_bytes
    assert result.overcommits == result.futile_passes == 0


# --- Anchors that somebody else published -----------------------------------------------------


def lcg_trace(n: int = 20_000) -> list[int]:
    ids, x = [], 42
    for _ in range(n):
        x = (1664525 * x + 1013904223) % 2**32
        ids.append(int(1000 * (x / 2**32) ** 3))
    return ids


BELADY = [1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5]
SILBERSCHATZ = [7, 0, 1, 2, 0, 3, 0, 4, 2, 3, 0, 3, 2, 1, 2, 0, 1, 7, 0, 1]
WISCONSIN = [0, 1, 2, 0, 1, 3, 0, 3, 1, 2, 1]
ANCHORS = [
    ("Belady 1969", BELADY, [1, 2, 3, 4, 5], [12, 12, 9, 10, 5]),
    ("Silberschatz", SILBERSCHATZ, [3], [15]),
    ("Wisconsin handout", WISCONSIN, [3], [7]),
    ("loop of 11, 20 times", list(range(11)) * 20, [10], [220]),
    ("lcg", lcg_trace(), [10, 50, 100, 200, 400], [18298, 15841, 14144, 11660, 8016]),
]


def fifo(
    items: list[int], capacity: int, batch: int = 1, policy: str = "lra", seed: int = 0
) -> pfnlab.Result:
    params = pfnlab.Params(
        region_bytes="1GiB",
        chunk_bytes=4096,
        threshold_bytes=4096 * capacity,
        batch_chunks=batch,
        policy=policy,
        seed=seed,
    )
    return pfnlab.replay(pfnlab.Trace(np.array(items) * 64), params)


@pytest.mark.parametrize(
    ("items", "capacities", "faults"), [a[1:] for a in ANCHORS], ids=[a[0] for a in ANCHORS]
)
def test_lra_of_equal_sizes_is_fifo(
    items: list[int], capacities: list[int], faults: list[int]
) -> None:
    assert [fifo(items, capacity).faults for capacity in capacities] == faults


LCG_CAPACITIES = [10, 50, 100, 200, 400]
ORDER_ANCHORS = [
    ("lru", BELADY, [1, 2, 3, 4, 5], [12, 12, 10, 8, 5]),
    ("clock", BELADY, [1, 2, 3, 4, 5], [12, 12, 10, 8, 5]),
    ("sieve", BELADY, [1, 2, 3, 4, 5], [12, 12, 10, 8, 5]),
    ("lru", SILBERSCHATZ, [3], [12]),
    ("clock", SILBERSCHATZ, [3], [11]),
    ("sieve", SILBERSCHATZ, [3], [11]),
    ("lru", WISCONSIN, [3], [5]),
    ("lru", lcg_trace(), LCG_CAPACITIES, [18019, 15331, 13554, 10981, 7263]),
    ("clock", lcg_trace(), LCG_CAPACITIES, [17828, 15202, 13312, 10799, 7133]),
    # A hand left at the newest end when that is evicted gives 11882 at 100.
    ("sieve", lcg_trace(), LCG_CAPACITIES, [16396, 13527, 11783, 9491, 6479]),
    *((policy, list(range(11)) * 20, [10], [220]) for policy in ("lru", "clock", "sieve")),
]


@pytest.mark.parametrize(("policy", "items", "capacities", "faults"), ORDER_ANCHORS)
def test_orders_of_equal_sizes_are_their_authors(
    policy: str, items: list[int], capacities: list[int], faults: list[int]
) -> None:
    assert [fifo(items, c, policy=policy).faults for c in capacities] == faults


def test_random_depends_on_the_seed_alone() -> None:
    seeds = (1, 1, 2, 3, 2**40, 2**62)
    faults = [fifo(lcg_trace(4000), 100, policy="random", seed=seed).faults for seed in seeds]
    assert faults[0] == faults[1]
    assert len(set(faults)) > 3


@pytest.mark.parametrize(
    ("capacity", "batch", "faults", "shootdowns"),
    [
        (2, 2, 12, 5),
        (3, 2, 9, 3),
        (4, 2, 10, 3),
        (5, 2, 5, 0),
    ],
)
def test_batches_of_belady(capacity: int, batch: int, faults: int, shootdowns: int) -> None:
    result = fifo(BELADY, capacity, batch)
    assert (result.faults, result.shootdowns) == (faults, shootdowns)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (10, [(18298, 18288), (15907, 3172), (14254, 1416), (11890, 585), (8299, 198)]),
        (2, [(18528, 3704), (16343, 652), (14836, 295), (12726, 126), (9426, 46)]),
    ],
)
def test_batches_of_the_lcg_trace(share: int, expected: list[tuple[int, int]]) -> None:
    results = [fifo(lcg_trace(), c, c // share) for c in (10, 50, 100, 200, 400)]
    assert [(r.faults, r.shootdowns) for r in results] == expected


@pytest.mark.parametrize("policy", ["lra", "random"])
def test_fifo_and_random_under_independent_references_have_the_exact_miss_ratio(
    policy: str,
) -> None:
    # Both at capacities 1, 2, 3 for p = 1/2, 1/4, 1/8, 1/8: 21/32, 11/28, 2/11 (Gelenbe 1973).
    n = 200_000 if not os.environ.get("NUMBA_DISABLE_JIT") else 20_000
    drawn = np.random.default_rng(5).choice(4, n, p=[0.5, 0.25, 0.125, 0.125])
    for capacity, exact in ((1, 21 / 32), (2, 11 / 28), (3, 2 / 11)):
        assert (
            abs(fifo(drawn.tolist(), capacity, policy=policy).miss_ratio - exact) < 6 * 0.5 / n**0.5
        )


# --- Memory, edges and refusals -----------------------------------------------------------------


@pytest.mark.parametrize("chunk", ["4KiB", "2MiB", "1GiB", "1TiB"])
@pytest.mark.parametrize("granule", ["4KiB", "2MiB"])
def test_huge_regions_cost_only_what_is_touched(granule: str, chunk: str) -> None:
    params = pfnlab.Params(region_bytes="64TiB", threshold_bytes="1TiB", first_pfn=7)
    if pfnlab.parse_bytes(granule) > pfnlab.parse_bytes(chunk):
        pytest.skip("a granule can't exceed its chunk")
    params = params.replace(granule_bytes=granule, chunk_bytes=chunk)
    pfns = 7 + np.random.default_rng(1).integers(0, 2**34, 2000)
    result = pfnlab.replay(pfnlab.Trace(pfns), params)
    distinct = len(np.unique((pfns - 7) * 64 // pfnlab.parse_bytes(granule)))
    assert result.faults == result.cold_faults == distinct


def test_an_empty_trace_gives_zeros() -> None:
    counts = pfnlab.replay(pfnlab.Trace(np.array([])), pfnlab.Params()).counts()
    assert set(counts.values()) == {0}


HUGE = {"region_bytes": "32PiB", "descriptor_bytes": 4096, "threshold_bytes": "1TiB"}
REFUSED: list[tuple[pfnlab.Trace, dict[str, Any], str]] = [
    (pfnlab.Trace(np.array([0, 2**28])), {}, "pfn=268435456 in event 1"),
    (pfnlab.Trace(np.array([5])), {"first_pfn": 6}, "pfn=5 in event 0"),
    (pfnlab.Trace(np.array([5]), page_bytes=8192), {}, "page_bytes=8KiB"),
    (pfnlab.Trace(np.arange(0, 2**43, 2**21)), HUGE, "region_bytes='32PiB'"),
]


@pytest.mark.parametrize(("trace", "fields", "message"), REFUSED)
def test_bad_replays_are_refused_by_name(
    trace: pfnlab.Trace, fields: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 4 << 30)
    with pytest.raises(pfnlab.PfnlabError, match=re.escape(message)):
        pfnlab.replay(trace, pfnlab.Params(**fields))


def test_bounds_checks_are_on_when_asked_for() -> None:
    """The mode that checks bounds must really check them, not serve cached code without."""
    if not os.environ.get("NUMBA_BOUNDSCHECK") or os.environ.get("NUMBA_DISABLE_JIT"):
        pytest.skip("only with NUMBA_BOUNDSCHECK=1")
    from pfnlab.kernels.replay import is_set

    bitmap: npt.NDArray[np.uint64] = np.zeros(1, np.uint64)
    with pytest.raises(IndexError):
        is_set(bitmap, 64 * 1000)


def test_a_put_cancels_a_failed_get_before_it_drops_a_live_pin() -> None:
    params = pfnlab.Params(region_bytes="1GiB", chunk_bytes="4KiB", threshold_bytes="4KiB")
    events = [(0, GET, True), (0, GET, False), (0, PUT, True), (64, 0, False), (0, PUT, True)]
    result = pfnlab.replay(traced(events), params)
    assert (result.atomic_faults, result.unmatched_puts) == (1, 0)
    # The second GET's pin was still live when the other chunk came: set aside, not evicted.
    assert (result.pinned_skips, result.evicted_chunks, result.overcommits) == (1, 0, 1)


def test_a_put_within_a_run_of_pins_cancels_a_failed_get() -> None:
    params = pfnlab.Params(region_bytes="1GiB", chunk_bytes="8KiB", threshold_bytes="8KiB")
    live, failed = [(0, GET, False)] * 2, [(64, GET, True)]
    puts = [(64, PUT, True), (0, PUT, True), (0, PUT, True)]
    other = [(128, 0, False), (192, 0, False)]
    result = pfnlab.replay(traced([*live, *failed, live[0], *puts, *other]), params)
    # One GET of the first page is still live.
    assert (result.pinned_skips, result.evicted_chunks) == (1, 0)


def test_a_chunk_of_many_windows_leaves_no_page_table_behind() -> None:
    params = pfnlab.Params(region_bytes="4GiB", chunk_bytes="8MiB", threshold_bytes="8MiB")
    window = 32768  # pfns whose descriptors share 2 MiB of vmemmap
    first = [
        (page, 0, False) for w in range(4) for page in range(w * window, w * window + 32768, 64)
    ]
    second = [(page + 4 * window, 0, False) for page, _, _ in first]
    result = pfnlab.replay(traced(first + second), params)
    assert (result.page_table_bytes, result.page_table_kept_bytes) == (4 * 4096, 8 * 4096)
    assert result.evicted_chunks == 1


def test_gets_and_failed_gets_survive_a_growing_table() -> None:
    pages = np.arange(5000)
    events = [(int(p), GET, False) for p in pages] + [(int(p), PUT, True) for p in pages]
    events += [(int(p), PUT, True) for p in pages[:10]]
    result = pfnlab.replay(traced(events), pfnlab.Params())
    assert (result.accesses, result.puts, result.unmatched_puts) == (5000, 5010, 10)
    failing = pfnlab.replay(traced([(p, op, True) for p, op, _ in events]), pfnlab.Params())
    assert (failing.atomic_faults, failing.puts, failing.unmatched_puts) == (5000, 5010, 10)
    assert failing.resident_bytes == 0


@settings(max_examples=100)
@given(crowded() | cases())
def test_codes_made_at_every_replay_are_those_kept_with_the_trace(case: Case) -> None:
    params, events = case
    kept = pfnlab.replay(traced(events), params).counts()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feeding, "FIRST_PIECE_EVENTS", 3)
        patch.setattr(event_codes, "KEPT_EVENTS", 0)
        patch.setattr(event_codes, "_PLACES", 2)
        assert pfnlab.replay(traced(events), params).counts() == kept


def test_more_live_pins_than_a_chunk_can_count_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_codes, "MAX_LIVE_GETS", 3)
    pinned = [(0, GET, False)] * 3
    assert pfnlab.replay(traced([*pinned, (0, PUT, True)]), pfnlab.Params()).faults == 1
    with pytest.raises(pfnlab.TraceError, match="GETs not yet PUT must be at most 3"):
        pfnlab.replay(traced([*pinned, (64, GET, False)]), pfnlab.Params())


@pytest.mark.parametrize(
    ("fields", "events", "message"),
    [
        ({}, [], "policy='opt': must have granule_bytes = chunk_bytes, not 4KiB and 2MiB"),
        ({"batch_chunks": 2}, [], "policy='opt': must have batch_chunks = 1, not 2"),
        ({}, [(0, GET, False)], "policy='opt': must have lookups that can sleep only"),
        ({}, [(0, 0, True)], "policy='opt': must have lookups that can sleep only"),
    ],
)
def test_policies_of_whole_chunks_refuse_the_rest_by_name(
    fields: dict[str, Any],
    events: list[tuple[int, int, bool]],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = {**PARAMETERS, "policy": replace(PARAMETERS["policy"], choices=("lra", "opt"))}
    monkeypatch.setattr("pfnlab.params.PARAMETERS", known)
    sizes: dict[str, Any] = {"chunk_bytes": "4KiB"} if fields or events else {}
    with pytest.raises(pfnlab.ParameterError, match=re.escape(message)):
        pfnlab.replay(traced(events), pfnlab.Params(policy="opt", **sizes, **fields))
