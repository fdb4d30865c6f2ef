"""The lazy purge against a plain reference, the batch it is, anchors and refusals."""

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pfnlab
from pfnlab.engine.lazy_purge import GranuleAccesses, Purged, lazy_max_pages

KIB = 1024


def reference(
    granules: list[int], *, chunk: int, limit: int, purge_above: int, ahead: bool, tlb: int
) -> dict[str, int]:
    """Replay granule numbers by sets and lists; all sizes in granules."""
    count: Counter[str] = Counter()
    mapped: set[int] = set()
    withheld: list[int] = []
    order: list[int] = []  # of chunks, the least recently allocated first
    translations: dict[int, tuple[int, bool]] = {}  # by place: granule, and whether flushed since
    most_mapped = limit - purge_above if ahead else limit

    def full() -> bool:
        return len(mapped) >= most_mapped or len(mapped) + len(withheld) >= limit

    def purge() -> None:
        withheld.clear()
        count["shootdowns"] += 1
        for place, (granule, _) in translations.items():
            translations[place] = granule, True

    for granule in granules:
        mine, place = granule // chunk, granule % tlb
        if granule not in mapped:
            count["faults"] += 1
            for victim in [c for c in order if c != mine]:
                if not full():
                    break
                order.remove(victim)
                gone = {g for g in mapped if g // chunk == victim}
                mapped -= gone
                withheld += sorted(gone)
                count["evicted_chunks"] += 1
                count["evicted_granules"] += len(gone)
                count["peak_withheld"] = max(count["peak_withheld"], len(withheld))
                translations = {p: t for p, t in translations.items() if t[0] not in gone}
                if len(withheld) > purge_above:
                    purge()
            if full() and withheld:
                purge()
            mapped.add(granule)
            order = [c for c in order if c != mine] + [mine]
        count["peak_held"] = max(count["peak_held"], len(mapped) + len(withheld))
        old, flushed = translations.get(place, (None, False))
        count["cold_walks"] += old != granule
        count["refills_if_full"] += old == granule and flushed
        translations[place] = granule, False
        count["mapped_sum"] += len(mapped)
        count["withheld_sum"] += len(withheld)
    return count


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    chunk = draw(st.sampled_from([1, 1, 2, 4]))
    ahead = draw(st.booleans())
    purge_above = draw(st.sampled_from([0, 1, 2, 3, 9]))
    limit = purge_above + chunk * (1 + ahead) + draw(st.integers(0, 6))
    pool = limit + draw(st.integers(1, 20))  # so that long lists evict
    shortest = draw(st.sampled_from([0, 40, 60]))
    granules = draw(st.lists(st.integers(0, pool - 1), min_size=shortest, max_size=80))
    return {
        "granules": granules, "chunk": chunk, "limit": limit, "purge_above": purge_above,
        "ahead": ahead, "tlb": draw(st.sampled_from([1, 4, 16])),
    }  # fmt: skip


def numbered(granules: list[int], *, chunk: int, limit: int) -> tuple[pfnlab.Trace, pfnlab.Params]:
    params = pfnlab.Params(
        region_bytes="16MiB",
        first_pfn=7,
        granule_bytes="4KiB",
        chunk_bytes=chunk * 4 * KIB,
        threshold_bytes=limit * 4 * KIB,
    )
    return pfnlab.Trace(np.array(granules, np.int64) * 64 + 7), params


def purged(case: dict[str, Any]) -> Purged:
    trace, params = numbered(case["granules"], chunk=case["chunk"], limit=case["limit"])
    return GranuleAccesses.of(trace, params).purged(
        params,
        withheld_bytes=case["purge_above"] * 4 * KIB,
        ahead=case["ahead"],
        tlb_entries=case["tlb"],
    )


@pytest.mark.kernel
@given(cases())
def test_the_kernel_counts_what_the_reference_counts(case: dict[str, Any]) -> None:
    found, expected = purged(case), reference(**case)
    n, page = max(len(case["granules"]), 1), 4 * KIB
    for name in ("faults", "shootdowns", "evicted_chunks", "evicted_granules", "cold_walks"):
        assert getattr(found, name) == expected[name], name
    assert found.refills_if_full == expected["refills_if_full"]
    assert found.peak_withheld_bytes == expected["peak_withheld"] * page
    assert found.peak_held_bytes == expected["peak_held"] * page
    assert found.mean_withheld_bytes == pytest.approx(expected["withheld_sum"] * page / n)
    assert found.mean_mapped_bytes == pytest.approx(expected["mapped_sum"] * page / n)
    assert found.accesses == len(case["granules"])


@pytest.mark.kernel
@given(cases())
def test_a_quarantine_filled_at_the_threshold_is_a_batch(case: dict[str, Any]) -> None:
    """P granules withheld and one more: the engine's pass of P + 1 chunks, where they are one."""
    case |= {"chunk": 1, "ahead": False}
    trace, params = numbered(case["granules"], chunk=1, limit=case["limit"])
    batch = pfnlab.replay(trace, params.replace(batch_chunks=case["purge_above"] + 1))
    found = purged(case)
    for name in ("faults", "shootdowns", "evicted_chunks", "evicted_granules"):
        assert getattr(found, name) == getattr(batch, name), name
    assert found.mean_mapped_bytes == pytest.approx(batch.mean_resident_bytes)


@pytest.mark.kernel
@given(cases())
def test_a_quarantine_filled_ahead_is_a_smaller_threshold(case: dict[str, Any]) -> None:
    """What is mapped is what the engine maps below a threshold without the quarantine."""
    case |= {"ahead": True, "limit": case["limit"] + case["chunk"]}
    mapped_limit = case["limit"] - case["purge_above"]
    trace, params = numbered(case["granules"], chunk=case["chunk"], limit=mapped_limit)
    below = pfnlab.replay(trace, params)
    found = purged(case)
    assert (found.faults, found.evicted_chunks) == (below.faults, below.evicted_chunks)
    assert found.peak_held_bytes <= case["limit"] * 4 * KIB
    assert found.peak_withheld_bytes <= (case["purge_above"] + case["chunk"]) * 4 * KIB


def test_lazy_max_pages_is_the_kernels() -> None:
    """fls(online CPUs) * 32 MiB (mm/vmalloc.c); fls counts from 1."""
    known = {1: 8192, 2: 16384, 4: 24576, 8: 32768, 15: 32768, 16: 40960, 32: 49152, 64: 57344}
    known |= {128: 65536, 256: 73728, 1024: 90112}
    assert {n: lazy_max_pages(n) for n in known} == known


def test_references_look_up_and_puts_are_left_out() -> None:
    params = pfnlab.Params(region_bytes="16MiB")
    trace = pfnlab.Trace(np.array([0, 64, 0, 64]), ops=np.array([1, 0, 2, 2], np.uint8))
    lookups = GranuleAccesses.of(trace, params)
    assert lookups.granules.tolist() == [0, 1]
    found = lookups.purged(params, withheld_bytes=0)
    assert (found.accesses, found.faults, found.miss_ratio) == (2, 2, 1.0)


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({"policy": "lru"}, {"withheld_bytes": 0}, "policy='lru': must be lra"),
        ({}, {"withheld_bytes": -1}, "withheld_bytes=-1: must be at least 0"),
        ({}, {"withheld_bytes": 1 << 30}, "must be at least 0 and leave 1 chunks below"),
        ({}, {"withheld_bytes": 1 << 20, "ahead": True}, "leave 2 chunks below threshold_bytes"),
        ({"granule_bytes": 8192}, {"withheld_bytes": 0}, "granule_bytes=8192: must be 4096"),
        ({}, {"withheld_bytes": 0, "tlb_entries": 3}, "tlb_entries=3: must be a power of two"),
    ],
)
def test_bad_quarantines_are_refused(
    changes: dict[str, Any], arguments: dict[str, Any], message: str
) -> None:
    params = pfnlab.Params(region_bytes="1GiB", chunk_bytes="1MiB", threshold_bytes="2MiB")
    lookups = GranuleAccesses.of(pfnlab.Trace(np.arange(4)), params)
    with pytest.raises(pfnlab.ParameterError, match=re.escape(message)):
        lookups.purged(params.replace(**changes), **arguments)


def test_an_empty_trace_gives_zeros() -> None:
    params = pfnlab.Params(region_bytes="16MiB")
    found = GranuleAccesses.of(pfnlab.Trace(np.zeros(0, np.int64)), params).purged(
        params, withheld_bytes=0
    )
    assert (found.accesses, found.faults, found.mean_mapped_bytes, found.miss_ratio) == (0, 0, 0, 0)
