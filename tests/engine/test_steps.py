"""The mechanism event by event, against the replay of the whole and a few lists of Python."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pfnlab
from pfnlab import figures
from pfnlab.claims.measures import mechanism
from pfnlab.engine.counters import ADDED as BY_EVENTS
from tests.reference import GET, PUT, Event

PARAMS = mechanism.sized(pfnlab.Params())
ADDED = [*("accesses", "hits"), *BY_EVENTS]


def traced(events: list[Event]) -> pfnlab.Trace:
    pfns, ops, atomic = (list(column) for column in zip(*events, strict=True))
    return pfnlab.Trace(np.array(pfns), np.array(ops), np.array(atomic))


def held_after_each(events: list[Event], threshold: int, batch: int, reserve: int) -> list[Any]:
    """Resident granules, order, pinned and set aside chunks after each event, for lra.

    Granules are 64 pages and chunks 256; sizes are in granules. Only lists, no pfnlab.
    """
    resident: list[int] = []
    order: list[int] = []
    live: list[int] = []
    failed: list[int] = []
    left, found = reserve, []
    for pfn, op, atomic in events:
        granule, chunk = pfn // 64, pfn // 256
        if op == PUT and pfn in failed:
            failed.remove(pfn)
        elif op == PUT and pfn in live:
            live.remove(pfn)
            if chunk not in order and not any(each // 256 == chunk for each in live):
                order.append(chunk)
        elif op != PUT:
            if granule not in resident and atomic and not left:
                failed += [pfn] if op == GET else []
                found.append(seen(resident, order, live))
                continue
            if granule not in resident:
                order = [each for each in order if each != chunk] + [chunk]
                left = left - 1 if atomic else reserve
                evicted = 0
                for victim in order[:]:
                    full = len(resident) + 1 > threshold
                    if atomic or victim == chunk or not (full or 0 < evicted < batch):
                        continue
                    order.remove(victim)
                    if victim not in live_chunks(live):
                        resident = [each for each in resident if each // 4 != victim]
                        evicted += 1
                resident.append(granule)
            live += [pfn] if op == GET else []
        found.append(seen(resident, order, live))
    return found


def seen(resident: list[int], order: list[int], live: list[int]) -> tuple[list[int], ...]:
    set_aside = sorted({granule // 4 for granule in resident} - set(order))
    pinned = live_chunks(live)
    pins = [sum(pfn // 256 == chunk for pfn in live) for chunk in pinned]
    return sorted(resident), order[:], pinned, pins, set_aside


def live_chunks(live: list[int]) -> list[int]:
    return sorted({pfn // 256 for pfn in live})


events = st.lists(
    st.tuples(st.integers(0, 6 * 256 - 1), st.integers(0, 2), st.booleans()),
    min_size=1,
    max_size=60,
)
# Few pages, so that PUTs find GETs and pins meet passes.
busy = st.lists(
    st.tuples(st.sampled_from(range(0, 6 * 256, 64)), st.sampled_from([0, 1, 1, 2]), st.booleans()),
    min_size=20,
    max_size=120,
)


@pytest.mark.kernel
@settings(max_examples=30)
@given(events | busy, st.integers(4, 12), st.integers(1, 3), st.integers(0, 2))
def test_what_is_held_after_each_event(
    some: list[Event], threshold: int, batch: int, reserve: int
) -> None:
    params = PARAMS.replace(
        threshold_bytes=threshold * 4096, batch_chunks=batch, reserve_granules=reserve
    )
    frame = pfnlab.steps(traced(some), params)
    columns = ["resident", "order", "pinned", "pins", "set_aside"]
    found = [tuple(list(each) for each in row) for row in frame[columns].to_numpy()]
    assert found == held_after_each(some, threshold, batch, reserve)
    assert (frame["resident_bytes"] == 4096 * frame["resident"].map(len)).all()


@pytest.mark.kernel
@pytest.mark.parametrize("policy", ["lra", "lru", "clock", "sieve", "random"])
@settings(max_examples=10)
@given(busy)
def test_steps_add_up_to_the_replay(policy: str, some: list[Event]) -> None:
    params = PARAMS.replace(policy=policy, reserve_granules=1)
    trace = traced(some)
    frame, whole = pfnlab.steps(trace, params), pfnlab.replay(trace, params).counts()
    assert frame[ADDED].sum().to_dict() == {name: whole[name] for name in ADDED}
    assert frame["resident_bytes"].iloc[-1] == whole["resident_bytes"]
    assert frame["resident_bytes"].max() == whole["peak_resident_bytes"]
    for step in frame.to_dict("records"):
        filled = {granule // 4 for granule in step["resident"]}
        assert filled == {*step["order"], *step["set_aside"]}
        assert not {*step["order"]} & {*step["set_aside"]}


@pytest.mark.kernel
def test_columns_of_a_step() -> None:
    trace = traced([(70, 1, True), (300, 2, False)])
    frame = pfnlab.steps(trace, PARAMS.replace(reserve_granules=1))
    first, second = frame.to_dict("records")
    asked = ("event", "pfn", "op", "atomic", "cpu", "granule", "chunk")
    assert [first[name] for name in asked] == [0, 70, "GET", True, 0, 1, 0]
    assert [second[name] for name in asked] == [1, 300, "PUT", False, 0, 4, 1]
    assert (first["reserve_faults"], first["reserve_left"], second["unmatched_puts"]) == (1, 0, 1)


@pytest.mark.parametrize(
    ("trace", "params", "message"),
    [
        (
            pfnlab.Trace(np.array([1])),
            pfnlab.Params(region_bytes="2GiB"),
            "region_bytes='8192 granules': must have at most 4096 granules",
        ),
        (
            pfnlab.Trace(np.zeros(10_001, np.int64), name="long"),
            PARAMS,
            "trace 'long': has 10001 events, must have at most 10000 events",
        ),
        (
            pfnlab.Trace(np.array([1])),
            PARAMS.replace(chunk_bytes=4096, policy="opt"),
            "policy='opt': must be one of lra, lru, clock, sieve, random",
        ),
        (pfnlab.Trace(np.array([1536])), PARAMS, "pfn=1536 in event 0: must be in the region"),
    ],
    ids=["region", "events", "policy", "pfn"],
)
def test_what_can_not_be_looked_at_is_refused(
    trace: pfnlab.Trace, params: pfnlab.Params, message: str
) -> None:
    with pytest.raises(pfnlab.PfnlabError, match=re.escape(message)):
        pfnlab.steps(trace, params)


def test_no_events() -> None:
    assert len(pfnlab.steps(pfnlab.Trace(np.zeros(0, np.int64)), PARAMS)) == 0


# --- The toy ----------------------------------------------------------------------------------


def test_everything_happens_in_the_story() -> None:
    total = pfnlab.steps(mechanism.Story().trace(PARAMS), PARAMS)[ADDED].sum()
    for name in ("hits", "atomic_faults", "pinned_skips", "shootdowns", "puts", "evicted_granules"):
        assert total[name] > 0
    assert total["cold_faults"] < total["faults"]
    assert total["unmatched_puts"] == 0


@pytest.mark.parametrize("granule", ["4KiB", "64KiB", "2MiB"])
def test_a_toy_is_the_same_for_every_granule(granule: str) -> None:
    params = mechanism.sized(pfnlab.Params(granule_bytes=granule, first_pfn=4096))
    frame = pfnlab.steps(mechanism.Story().trace(params), params)
    expected = pfnlab.steps(mechanism.Story().trace(PARAMS), PARAMS)
    pd.testing.assert_frame_equal(frame[[*ADDED[:6], "order"]], expected[[*ADDED[:6], "order"]])


def test_a_longer_trace_is_cut_and_folded() -> None:
    whole = pfnlab.Trace(np.arange(2000, 2100), np.ones(100, np.uint8), name="mine")
    cut = mechanism.Folded(whole).trace(PARAMS)
    (piece,) = cut.pieces(PARAMS)
    assert piece.pfns.tolist() == [pfn % 1536 for pfn in range(2000, 2060)]
    assert piece.ops is not None
    assert piece.ops.tolist() == [1] * 60
    assert (cut.name, cut.evidence) == ("mine", "proxy")
    assert len(mechanism.Folded(pfnlab.Trace(np.zeros(0, np.int64))).trace(PARAMS)) == 0
    assert len(mechanism.Folded(pfnlab.workload("zipf")).trace(PARAMS)) == 60


# --- The picture ------------------------------------------------------------------------------


def drawn_frame() -> pd.DataFrame:
    trace = mechanism.Story().trace(PARAMS)
    about = {"source": trace.name, "evidence": trace.evidence, **PARAMS.as_dict()}
    return pfnlab.steps(trace, PARAMS).assign(**about)


def test_the_picture_names_what_was_unmapped() -> None:
    picture = figures.mechanism(drawn_frame())
    texts = [text.get_text() for text in picture.axes[0].texts]
    assert texts == ["unmapped chunk", "0", "2", "3", "0"]
