"""Pins of every length against plain Python, and what they leave to evict against (1-q)^n."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pfnlab
from pfnlab import claims
from pfnlab.claims.measures.evictability import evictability, pinned_pages, scattered
from pfnlab.claims.measures.pins import pins_compared
from pfnlab.frames import labels
from pfnlab.traces.pins import prefaulted, repinned
from tests import reference
from tests.claims.test_atomic_context import (
    SMALL,
    Event,
    close_events,
    events_in,
    events_of,
    trace_of,
)

LOOKUP, GET, PUT = reference.LOOKUP, reference.GET, reference.PUT


# --- Pins of another length --------------------------------------------------------------------


def plainly_repinned(events: list[Event], hold: int | None) -> list[Event]:
    """Step by step: what is pinned, and since when each page is idle."""
    accesses = [pfn for pfn, op, _ in events if op != PUT]
    out: list[Event] = []
    last: dict[int, int] = {}  # of the pages that are pinned, oldest first
    for i, pfn in enumerate(accesses):
        out.append((pfn, LOOKUP if pfn in last else GET, False))
        last.pop(pfn, None)
        last[pfn] = i
        for page, since in list(last.items()):
            idle = i - since >= hold if hold is not None else page not in accesses[i + 1 :]
            if idle and (hold is not None or page == pfn):
                out.append((page, PUT, False))
                del last[page]
    return out


@given(
    st.one_of(events_of, close_events),
    st.one_of(st.none(), st.integers(0, 4), st.integers(5, 80)),
)
def test_pins_last_until_a_page_is_idle(events: list[Event], hold: int | None) -> None:
    assert events_in(repinned(trace_of(events), hold)) == plainly_repinned(events, hold)


@given(events_of, st.integers(0, 30), st.integers(0, 9))
def test_only_a_share_of_the_pages_is_pinned(events: list[Event], hold: int, seed: int) -> None:
    trace = trace_of(events)
    some = repinned(trace, hold, pinned_share=0.5, seed=seed)
    got = {pfn for pfn, op, _ in events_in(some) if op == GET}
    mine = [event for event in events_in(repinned(trace, hold)) if event[0] in got]
    assert [event for event in events_in(some) if event[0] in got] == mine
    assert all(op == LOOKUP for pfn, op, _ in events_in(some) if pfn not in got)
    none = repinned(trace, hold, pinned_share=0.0)
    assert events_in(none) == [(pfn, LOOKUP, False) for pfn, op, _ in events if op != PUT]


def test_an_endless_hold_never_ends_and_says_what_made_it() -> None:
    trace = trace_of([(0, GET, True), (64, LOOKUP, False), (0, PUT, True)])
    changed = repinned(trace, 10**30)
    assert events_in(changed) == [(0, GET, False), (64, GET, False)]
    made_by = f"repinned(hold_events={10**30}, pinned_share=1.0, seed=0)"
    assert changed.provenance["made_by"] == made_by
    assert events_in(prefaulted(trace, 10**30))[0] == (0, LOOKUP, False)


def test_the_share_is_the_share() -> None:
    trace = pfnlab.Trace(np.arange(100_000))
    pinned = repinned(trace, None, pinned_share=0.1)
    assert pinned.ops is not None
    n_pinned = int((pinned.ops == GET).sum())
    assert abs(n_pinned - 10_000) < 5 * math.sqrt(100_000 * 0.1 * 0.9)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hold_events": -1}, "hold_events=-1: must be at least 0"),
        ({"hold_events": 1.5}, "hold_events=1.5"),
        ({"hold_events": True}, "hold_events=True"),
        (
            {"hold_events": 0, "pinned_share": 1.5},
            "pinned_share=1.5: must be a number, between 0 and 1",
        ),
        ({"hold_events": 0, "pinned_share": math.nan}, "pinned_share=nan"),
        ({"hold_events": 0, "pinned_share": True}, "pinned_share=True"),
    ],
)
def test_bad_pins_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(pfnlab.ParameterError, match=message):
        repinned(trace_of([(0, LOOKUP, False)]), **fields)


# --- What can be evicted -----------------------------------------------------------------------


def plain_pins(events: list[Event]) -> dict[int, int]:
    live: dict[int, int] = {}
    for pfn, op, _ in events:
        if op == GET:
            live[pfn] = live.get(pfn, 0) + 1
        elif op == PUT and live.get(pfn, 0):
            live[pfn] -= 1
    return {pfn: n for pfn, n in live.items() if n}


@given(st.one_of(events_of, close_events), st.integers(0, 60))
def test_pinned_pages_are_those_with_a_live_pin(events: list[Event], n: int) -> None:
    assert pinned_pages(trace_of(events), n).tolist() == sorted(plain_pins(events[:n]))


@pytest.mark.kernel
@settings(max_examples=40)
@given(
    st.one_of(events_of, close_events),
    st.integers(0, 60),
    st.sampled_from([4096, 8192, 32768]),
    st.sampled_from([4096, 8192]),
)
def test_evictable_chunks_are_those_without_a_live_pin(
    events: list[Event], n: int, chunk: int, granule: int
) -> None:
    params = pfnlab.Params(
        region_bytes="2MiB", granule_bytes=min(granule, chunk), chunk_bytes=chunk,
        threshold_bytes="64KiB",
    )  # fmt: skip
    sleeping = [(pfn, op, False) for pfn, op, _ in events]
    found = evictability(trace_of(events), params, n)
    touched = {pfn * 64 // chunk for pfn, op, _ in sleeping[:n] if op != PUT}
    live = plain_pins(sleeping[:n])
    blocked = {pfn * 64 // chunk for pfn in live}
    assert (found.chunks, found.evictable_chunks) == (len(touched), len(touched - blocked))
    stay = {pfn * 64 // params.granule_bytes for pfn, op, _ in sleeping[:n] if op != PUT}
    stay = {granule for granule in stay if granule * params.granule_bytes // chunk in blocked}
    assert found.unevictable_bytes == len(stay) * params.granule_bytes
    assert (found.pinned_pages, found.pages) == (len(live), len(touched) * chunk // 64)


@pytest.mark.kernel
@settings(max_examples=30)
@given(close_events, st.sampled_from([8192, 12288, 16384]), st.integers(1, 3))
def test_what_is_pinned_bounds_what_is_resident(
    events: list[Event], threshold: int, batch: int
) -> None:
    """The real bound: a pass leaves what is pinned, and the chunk that is being filled."""
    params = pfnlab.Params(**SMALL, threshold_bytes=threshold, batch_chunks=batch)
    sleeping = pfnlab.Trace(trace_of(events).pfns, ops=trace_of(events).ops)
    pinned = [evictability(sleeping, params, n).unevictable_bytes for n in range(len(events) + 1)]
    peak = pfnlab.replay(sleeping, params).peak_resident_bytes
    assert peak <= max(threshold, max(pinned) + params.chunk_bytes)


@pytest.mark.kernel
@pytest.mark.parametrize(("chunk", "q"), [(4096, 0.01), (16384, 0.002), (65536, 0.001)])
def test_pins_placed_at_random_give_the_closed_form(chunk: int, q: float) -> None:
    params = pfnlab.Params(region_bytes="512MiB", chunk_bytes=chunk, threshold_bytes="64KiB")
    whole = pfnlab.Trace(np.arange(0, params.n_pages, chunk // 64))  # every chunk once
    n, chunks = chunk // 64, params.vmemmap_bytes // chunk
    shares = [
        evictability(scattered(whole, params, len(whole), q, seed), params).evictable_share
        for seed in range(20)
    ]
    expected = (1 - q) ** n
    sd = math.sqrt(expected * (1 - expected) / (chunks * len(shares)))
    assert abs(float(np.mean(shares)) - expected) < 4 * sd
    clustered = pfnlab.Trace(np.arange(n), ops=np.full(n, GET, np.uint8))
    both = pfnlab.Trace(
        np.concatenate([whole.pfns, clustered.pfns]),
        ops=np.concatenate([np.zeros(len(whole), np.uint8), np.full(n, GET, np.uint8)]),
    )
    found = evictability(both, params)
    assert found.evictable_share == 1 - 1 / chunks  # all in one chunk: the formula is far off
    assert found.pinned_page_share == pytest.approx(n / params.n_pages)
    assert found.independent_share < found.evictable_share


@pytest.mark.kernel
def test_all_pages_pinned_leave_nothing_to_evict() -> None:
    params = pfnlab.Params(**SMALL, threshold_bytes="8KiB")
    trace = pfnlab.Trace(np.arange(0, 512, 64))
    assert evictability(scattered(trace, params, 8, 1.0), params).evictable_chunks == 0
    assert evictability(trace, params).evictable_share == 1.0
    empty = evictability(pfnlab.Trace(np.zeros(0, np.int64)), params)
    assert (empty.chunks, empty.evictable_share, empty.pinned_page_share) == (0, 1.0, 0.0)


# --- The table ---------------------------------------------------------------------------------


@pytest.mark.kernel
@settings(max_examples=15)
@given(events_of.filter(lambda events: any(op == GET for _, op, _ in events)))
def test_rows_are_replays_of_the_repinned_traces(events: list[Event]) -> None:
    params = pfnlab.Params(**SMALL, threshold_bytes="8KiB")
    frame = pins_compared(trace_of(events), params, hold_events=[3], pinned_shares=[1.0])
    plain = {
        labels.RECORDED: [(pfn, op, False) for pfn, op, _ in events],
        labels.NO_PINS: [(pfn, LOOKUP, False) for pfn, op, _ in events if op != PUT],
        labels.IDLE: plainly_repinned(events, 3),
        labels.LIFE: plainly_repinned(events, None),
    }
    for row in frame.to_dict("records"):
        changed = plain[row["pins"]]
        counts = reference.replay(
            changed, first_pfn=0, descriptor=64, granule=4096, chunk=8192, threshold=8192
        )
        assert {name: row[name] for name in counts} == counts
        assert row["events_added"] == len(changed) - len(events)
        half = changed[: int(0.5 * len(changed))]
        assert row["pinned_pages"] == len(plain_pins(half))


def churn() -> tuple[pfnlab.Trace, pfnlab.Params]:
    params = pfnlab.Params(region_bytes="64MiB", chunk_bytes="4KiB", threshold_bytes="64KiB")
    spec = pfnlab.workload(
        "churn", n_events=4_000, live_files=16, max_file_pages=64, lookups_per_file=32
    )
    return spec.trace(params), params


def share_of(trace: pfnlab.Trace, params: pfnlab.Params, share: float) -> pfnlab.Params:
    return params.replace(threshold_bytes=int(share * trace.footprint_bytes(params)))


@pytest.mark.kernel
def test_pins_for_life_break_the_bound_and_keep_the_state() -> None:
    trace, params = churn()
    frame = pins_compared(trace, share_of(trace, params, 0.25), pinned_shares=[1.0])
    rows = {str(row["pins"]): row for row in frame.to_dict("records")}
    peaks = {kind: row["peak_resident_bytes"] for kind, row in rows.items()}
    threshold = rows[labels.LIFE]["threshold_bytes"]
    assert peaks[labels.LIFE] > threshold >= peaks[labels.NO_PINS]
    assert rows[labels.LIFE]["refaults"] < rows[labels.NO_PINS]["refaults"]
    assert rows[labels.LIFE]["overcommits"] > 0


@pytest.mark.kernel
def test_at_the_break_even_the_device_is_as_fast() -> None:
    trace, params = churn()
    params = share_of(trace, params, 0.25)
    frame = pins_compared(trace, params, "hvo-8s", hold_events=[8])
    costs = pfnlab.Costs.preset("hvo-8s")
    rows = [row for row in frame.to_dict("records") if row["refaults"]]
    assert rows
    for row in rows:
        # Costs that are negative are refused, so the rebuild is added by hand.
        total = row["initiator_ns"] + row["break_even_rebuild_ns"] * row["refaults"]
        assert total == pytest.approx(row["accesses"] * costs.device_latency)
    dear = pins_compared(trace, params, costs.replace(rebuild=500.0), hold_events=[8])
    pd.testing.assert_series_equal(dear["break_even_rebuild_ns"], frame["break_even_rebuild_ns"])


def test_traces_that_can_not_tell_are_refused(tmp_path: Any) -> None:
    params = pfnlab.Params(region_bytes="1GiB")
    lookups = pfnlab.workload("zipf", n_events=100).trace(params)
    with pytest.raises(pfnlab.TraceError, match="ops of trace 'zipf': has no GET"):
        pins_compared(lookups, params)
    block_io = pfnlab.workload("block_io", n_events=100).trace(params)
    streamed = pfnlab.load(pfnlab.save(block_io, tmp_path / "t.parquet"), stream=True)
    with pytest.raises(pfnlab.TraceError, match="must be in memory"):
        pins_compared(streamed, params)
    for at in (-0.1, 1.5, math.nan, "half"):
        with pytest.raises(pfnlab.ParameterError, match="must be a number, between 0 and 1"):
            pins_compared(block_io, params, at=at)  # type: ignore[arg-type]
    with pytest.raises(pfnlab.TraceError, match="must be in the region"):
        evictability(pfnlab.Trace(np.array([1 << 30])), params)


# --- Claims ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    trace, params = churn()
    half = share_of(trace, params, 0.5)
    sizes = [half.replace(chunk_bytes=chunk) for chunk in ("4KiB", "8KiB")]
    found = pd.concat([pins_compared(trace, size, hold_events=[0]) for size in sizes])
    return found.assign(source="churn", evidence="proxy", n_events=len(trace))


def test_the_bound_is_broken_by_pins_for_life(frame: pd.DataFrame) -> None:
    claim = claims.pins_break_the_bound
    assert claim(frame).holds is True
    assert claim(frame.assign(peak_resident_bytes=frame["threshold_bytes"])).holds is False
    assert claim(frame.assign(peak_resident_bytes=9 * frame["threshold_bytes"])).holds is False
    assert claim(frame.assign(evicted_chunks=0)).holds is None
    for kind in (labels.LIFE, labels.NO_PINS, labels.IDLE):
        assert claim(frame[frame["pins"] != kind]).holds is None
    few = frame[(frame["pinned_share"] < 1) & (frame["pins"] != labels.RECORDED)]
    assert claim(few).holds is None  # pins on some pages say nothing of pins on all


def test_the_closed_form_is_judged_by_the_replay(frame: pd.DataFrame) -> None:
    claim = claims.pins_are_independent
    many = frame.assign(chunks=100, pinned_page_share=0.01, independent_share=0.5)
    assert claim(many.assign(evictable_share=0.52)).holds is True
    assert claim(many.assign(evictable_share=0.7)).holds is False
    assert claim(many.assign(pinned_page_share=0.0)).holds is None
    assert claim(many.assign(chunks=3)).holds is None
    assert claim(many[many["pins"] != labels.RECORDED]).holds is None
