"""The portrait of a trace against plain counting, streamed and in memory."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pfnlab
from pfnlab import figures
from pfnlab.cli.trace_info import heat_lines
from pfnlab.engine import trace_summary
from pfnlab.engine.trace_summary import folded

PAGES = st.sampled_from([0, 1, 2, 63, 64, 65, 32_767, 32_768, 5_000_000, 5_000_001])
EVENTS = st.lists(st.tuples(PAGES, st.sampled_from([0, 1, 1, 2]), st.booleans()), max_size=40)


def plain(events: list[tuple[int, int, bool]]) -> dict[str, Any]:
    """The figures by lists and sets."""
    accesses = [pfn for pfn, op, _ in events if op != 2]
    pairs = list(pairwise(accesses))
    live: dict[int, int] = {}
    peak = unmatched = 0
    for pfn, op, _ in events:
        if op == 1:
            live[pfn] = live.get(pfn, 0) + 1
        elif op == 2 and live.get(pfn, 0):
            live[pfn] -= 1
        elif op == 2:
            unmatched += 1
        peak = max(peak, sum(live.values()))
    return {
        "lookups": sum(op == 0 for _, op, _ in events),
        "gets": sum(op == 1 for _, op, _ in events),
        "puts": sum(op == 2 for _, op, _ in events),
        "atomic_accesses": sum(atomic and op != 2 for _, op, atomic in events),
        "n_pages": len(set(accesses)),
        "footprints": {
            size: len({pfn * 64 // size for pfn in accesses}) * size
            for size in trace_summary.GRANULES
        },
        "same_page": sum(a == b for a, b in pairs),
        "next_page": sum(a + 1 == b for a, b in pairs),
        "same_granule": sum(a // 64 == b // 64 for a, b in pairs),
        "peak_references": peak,
        "unmatched_puts": unmatched,
    }


def traced(events: list[tuple[int, int, bool]]) -> pfnlab.Trace:
    columns = np.array(events, np.int64).reshape(-1, 3).T
    return pfnlab.Trace(columns[0], columns[1].astype(np.uint8), columns[2].astype(np.bool_))


@given(EVENTS)
def test_figures_are_those_of_plain_counting(events: list[tuple[int, int, bool]]) -> None:
    found = trace_summary.portrait(traced(events), n_columns=7)
    assert {name: getattr(found, name) for name in plain(events)} == plain(events)
    assert found.heat.counts.sum() == found.accesses
    areas = sorted({pfn // 32_768 for pfn, op, _ in events if op != 2})
    assert found.heat.areas.tolist() == areas
    list(heat_lines(found.heat, " .:*#"))
    figures.heat_map(found)


def test_streamed_equals_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_summary, "_PIECE_EVENTS", 1000)
    trace = pfnlab.workload("block_io", n_events=20_000).trace(pfnlab.Params(region_bytes="64GiB"))
    trace = pfnlab.Trace(trace.pfns, trace.ops, time_ns=np.arange(len(trace)) * 1000)
    path = pfnlab.save(trace, tmp_path / "t.parquet")
    found = trace_summary.portrait(trace)
    assert found.seconds == pytest.approx(0.019999)
    # In the largest region the tables of a replay would not fit.
    monkeypatch.setattr("pfnlab.params.memory.available_bytes", lambda: 1 << 28)
    streamed = trace_summary.portrait(pfnlab.load(path, stream=True))
    assert plain_of(found) == plain_of(streamed)
    assert np.array_equal(found.heat.counts, streamed.heat.counts)


def plain_of(found: trace_summary.Portrait) -> dict[str, Any]:
    names = [name for name in found.__dataclass_fields__ if name != "heat"]
    return {name: getattr(found, name) for name in names}


def test_rows_grow_coarser_and_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_summary, "_MOST_ROWS", 16)
    trace = pfnlab.workload("uniform", n_events=5000).trace(pfnlab.Params(region_bytes="1TiB"))
    heat = trace_summary.portrait(trace).heat
    assert len(heat.areas) <= 16
    assert heat.area_bytes > 128 << 20
    assert heat.counts.sum() == 5000
    rows = folded(heat, 5)
    assert len(rows) == 5
    assert sum(int(row.counts.sum()) for row in rows) == 5000


def test_progress_counts_every_look() -> None:
    trace = pfnlab.workload("zipf", n_events=5000).trace(pfnlab.Params(region_bytes="64GiB"))
    seen: list[int] = []
    trace_summary.portrait(trace, on_events=seen.append)
    assert 2 * 5000 <= sum(seen) <= 5 * 5000
