"""The schemes of DESIGN 7 against a plain reference, a real kernel and the engine's own replays."""

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pfnlab
from pfnlab import claims
from pfnlab.alternatives import (
    PROPERTIES,
    counted,
    known_schemes,
    scheme,
    side_by_side,
    without_faults,
)
from pfnlab.alternatives.by_region import contenders
from pfnlab.alternatives.demand import point_of
from pfnlab.alternatives.real_kernel import host_schemes
from pfnlab.alternatives.scheme import WRITES_OF_A_CELL, YEAR_S
from pfnlab.engine.descriptor_use import follow
from pfnlab.engine.shared_default import replay_shared_default
from pfnlab.figures import palette
from pfnlab.frames import labels
from pfnlab.host.struct_page import Host
from pfnlab.params.costs import FIGURES, Costs
from tests import reference, reference_schemes

STATIC = ("static_dram", "static_device", "interleaved", "pfn_only", "memdesc", "hvo_2m", "hvo_1g",
          "compound_devmap_2m", "compound_devmap_1g")  # fmt: skip
TIB = 1 << 40
Event = tuple[int, int, bool]


def trace_of(events: list[Event], page_bytes: int = 4096) -> pfnlab.Trace:
    columns = np.array(events, np.int64).reshape(-1, 3).T
    ops, atomic = columns[1].astype(np.uint8), columns[2].astype(np.bool_)
    return pfnlab.Trace(columns[0], ops, atomic, page_bytes=page_bytes)


def only(**figures: float) -> Costs:
    """Return costs of which all others are nothing."""
    every: dict[str, Any] = dict.fromkeys(FIGURES, 0.0) | figures
    return Costs(**every)


def row(table: pd.DataFrame, scheme: str) -> dict[str, Any]:
    (found,) = table[table["scheme"] == scheme].to_dict("records")
    return {str(name): value for name, value in found.items()}


# --- One pass over the trace ------------------------------------------------------------------

# Pages near the edges of 2 MiB and 1 GiB areas, few enough that pins meet.
NEAR = st.sampled_from([0, 1, 3, 4, 511, 512, 513, 1023, 262_143, 262_144, 262_145])
EVENTS = st.lists(st.tuples(NEAR, st.sampled_from([0, 1, 1, 2, 2]), st.booleans()), max_size=40)


@pytest.mark.kernel
@given(EVENTS, st.sampled_from([4096, 65536, 2 << 20, 4 << 20]), st.sampled_from([0, 7 << 20]))
def test_one_pass_counts_what_the_reference_counts(
    events: list[Event], page: int, first: int
) -> None:
    params = pfnlab.Params(region_bytes=262_146 * page, page_bytes=page, first_pfn=first)
    events = [(pfn + first, op, atomic) for pfn, op, atomic in events]
    expected = reference_schemes.follow(events, first, page, params.descriptor_bytes)
    assert asdict(follow(trace_of(events, page), params)) == expected


@pytest.mark.kernel
def test_tables_grow() -> None:
    rng = np.random.default_rng(1)
    pfns = rng.permutation(6000) * 700
    ops = np.repeat(np.array([1, 2], np.uint8), 6000)
    params = pfnlab.Params(region_bytes="32GiB")
    seen = follow(pfnlab.Trace(np.concatenate([pfns, pfns]), ops), params)
    assert (seen.peak_live, seen.puts, seen.hottest) == (6000, 6000, 2)
    assert seen.peak_live_areas == seen.split == len(set(pfns * 4096 >> 21))


def test_a_streamed_trace_gives_the_same(tmp_path: Path) -> None:
    params = pfnlab.Params(region_bytes="64GiB", threshold_bytes="2MiB")
    trace = pfnlab.workload("softirq", n_events=200_000).trace(params)
    path = pfnlab.save(trace, tmp_path / "trace.parquet")
    streamed = pfnlab.load(path, stream=True)
    pd.testing.assert_frame_equal(pfnlab.schemes(trace, params), pfnlab.schemes(streamed, params))


# --- Against a real kernel, and published figures -----------------------------------------------


def kernel_rows(root: Path) -> list[dict[str, str]]:
    with (root / "data/measured/struct_page_cost.csv").open() as lines:
        return [line for line in csv.DictReader(lines) if line["mode"] != "raw"]


def test_static_schemes_take_what_a_real_kernel_took(root: Path) -> None:
    names = {
        ("fsdax", "mem"): ("static_dram", "dram_bytes"),
        ("fsdax", "dev"): ("static_device", "device_bytes"),
        ("devdax", "mem"): ("compound_devmap_2m", "dram_bytes"),
        ("devdax", "dev"): ("static_device", "device_bytes"),
    }
    rows = kernel_rows(root)
    assert len(rows) == 20
    for line in rows:
        scheme, column = names[line["mode"], line["map"]]
        params = pfnlab.Params(region_bytes=int(line["nvdimm_bytes"]))
        held = row(pfnlab.schemes(pfnlab.Trace(np.zeros(0, np.int64)), params), scheme)
        assert held[column] == int(line["nr_memmap_bytes"])
        assert held["device_bytes"] + (2 << 20) == int(line["ns_loss"])


def test_bytes_a_tebibyte_as_published(root: Path) -> None:
    table = pfnlab.schemes(pfnlab.Trace(np.zeros(0, np.int64)), pfnlab.Params(region_bytes=TIB))
    oracle = json.loads((root / "tests/oracles.json").read_text())["bytes_per_TiB"]
    assert row(table, "static_dram")["dram_bytes"] == oracle["static"]
    assert row(table, "hvo_2m")["dram_bytes"] == oracle["hvo2M"]
    assert row(table, "hvo_1g")["dram_bytes"] == oracle["hvo1G"]
    assert row(table, "compound_devmap_2m")["dram_bytes"] == oracle["devdax2M"]
    assert row(table, "compound_devmap_1g")["dram_bytes"] == oracle["devdax1G_vmemmap"]
    assert row(table, "memdesc")["dram_bytes"] == oracle["memdesc8"]
    # device-dax in 1 GiB pages: 40 MB a TB, page tables included (its commit message)
    assert row(table, "compound_devmap_1g")["all_dram_bytes"] == 40 << 20
    assert round(row(table, "interleaved")["device_bytes"] / 2**30, 2) == 15.75
    unsplit = pfnlab.Trace(np.zeros(1, np.int64), np.array([2], np.uint8))
    two_level = row(pfnlab.schemes(unsplit, pfnlab.Params(region_bytes=TIB)), "two_level")
    assert two_level["dram_bytes"] == oracle["twolevel_unsplit"]


def test_no_scheme_holds_more_than_the_static_array() -> None:
    for page in ("4KiB", "64KiB", "2MiB", "1GiB"):
        params = pfnlab.Params(region_bytes="64TiB", page_bytes=page)
        table = pfnlab.schemes(trace_of([], params.page_bytes), params, names=STATIC)
        assert (table["dram_bytes"] + table["device_bytes"] <= params.vmemmap_bytes).sum() >= 8
        assert row(table, "static_dram")["dram_bytes"] == params.vmemmap_bytes


# --- Replayed schemes ---------------------------------------------------------------------------

SMALL = {"region_bytes": "16MiB", "chunk_bytes": "8KiB", "threshold_bytes": "16KiB"}
CROWDED = st.lists(
    st.tuples(st.integers(0, 700), st.sampled_from([0, 1, 1, 2]), st.booleans()), max_size=40
)


@pytest.mark.kernel
@given(CROWDED, st.integers(0, 2))
def test_a_shared_default_page_replays_gets_alone(events: list[Event], reserve: int) -> None:
    params = pfnlab.Params(**SMALL, reserve_granules=reserve)  # type: ignore[arg-type]
    sizes: dict[str, Any] = {
        "first_pfn": 0,
        "descriptor": 64,
        "granule": 4096,
        "chunk": 8192,
        "threshold": 16384,
        "reserve": reserve,
    }
    counts = replay_shared_default(trace_of(events), params).counts()
    n_lookups, resident = 0, []
    for end, event in enumerate(events, 1):
        n_lookups += event[1] == 0
        some = [event for event in events[:end] if event[1] != 0]
        resident.append(reference.replay(some, **sizes)["resident_bytes"])
    expected = reference.replay([e for e in events if e[1] != 0], **sizes)
    expected["accesses"] += n_lookups
    expected["hits"] += n_lookups
    expected["mean_resident_bytes"] = sum(resident) / max(len(events), 1)
    expected["miss_ratio"] = expected["faults"] / max(expected["accesses"], 1)
    assert counts == pytest.approx(expected)


@pytest.fixture(scope="module")
def softirq() -> tuple[pfnlab.Trace, pfnlab.Params]:
    params = pfnlab.Params(
        region_bytes="64GiB", chunk_bytes="64KiB", threshold_bytes="2MiB", reserve_granules=2
    )
    return pfnlab.workload("softirq", n_events=100_000).trace(params), params


def test_demand_rows_are_replays(softirq: tuple[pfnlab.Trace, pfnlab.Params]) -> None:
    trace, params = softirq
    table = pfnlab.schemes(trace, params, costs="latr-8s120")
    for policy in ("lra", "lru", "clock", "sieve", "random"):
        result = pfnlab.replay(trace, params.replace(policy=policy))
        cost, found = result.cost("latr-8s120"), row(table, f"demand_{policy}")
        on_top = result.page_table_bytes + 2 * 4096
        assert found["dram_bytes"] == result.peak_resident_bytes + on_top
        assert found["mean_dram_bytes"] == result.mean_resident_bytes + on_top
        assert (found["event_ns"], found["stolen_ns"]) == (cost.event_ns, cost.stolen_ns)
        assert found["bounded_dram"] == (result.overcommits == 0)
        assert f"{result.atomic_faults:,} of " in found["note"]


def test_keeping_everything_faults_once_a_granule(
    softirq: tuple[pfnlab.Trace, pfnlab.Params],
) -> None:
    trace, params = softirq
    sleepable = pfnlab.Trace(trace.pfns, trace.ops)
    kept = pfnlab.replay(sleepable, point_of("demand_keep", params))
    assert kept.faults == kept.cold_faults
    assert kept.shootdowns == 0
    dram = row(pfnlab.schemes(sleepable, params), "demand_keep")["dram_bytes"]
    assert dram == kept.peak_resident_bytes + kept.page_table_bytes + 2 * 4096


def test_a_fault_on_a_shared_page_costs_a_shootdown() -> None:
    params = pfnlab.Params(n_cpus=4)
    ten_gets = [(64 * granule, 1, False) for granule in range(10)]
    costs = only(shootdown=7.0, ipi=5.0, invlpg=1.0, preset_cpus=4.0)
    table = pfnlab.schemes(trace_of(ten_gets), params, costs)
    assert row(table, "demand_shared")["event_ns"] == 7
    assert row(table, "demand_shared")["stolen_ns"] == 3 * 10 * (5 + 1)
    assert row(table, "demand_lra")["event_ns"] == 0
    large = params.replace(granule_bytes="256KiB")  # 64 pages, above the ceiling of 33
    costs = costs.replace(full_flush_refill=100.0)
    table = pfnlab.schemes(trace_of(ten_gets), large, costs)
    assert row(table, "demand_shared")["stolen_ns"] == 3 * 1 * (5 + 100)


def test_two_levels_by_hand() -> None:
    """Two areas split: by pages 0 and 512; page 1 then needs a second look, page 2000 does not."""
    events = [(2000, 0, False), (0, 1, False), (1, 0, False), (512, 1, True)]
    params = pfnlab.Params(region_bytes="8MiB", chunk_bytes="4KiB")
    costs = only(dram_latency=1.0, init_per_descriptor=0.001)
    found = row(pfnlab.schemes(trace_of(events), params, costs), "two_level")
    assert found["dram_bytes"] == 4 * 64 + 2 * 512 * 64
    assert found["mean_dram_bytes"] == 4 * 64 + (0 + 1 + 1 + 2) / 4 * 512 * 64
    assert found["event_ns"] == pytest.approx(1 + (3 + 0.001 * 2 * 512) / 4)
    assert "2 areas of 2 MiB split, 50.00%" in found["note"]
    assert "1 splits were atomic" in found["note"]
    assert found["atomic_faults"] == 1


def test_a_region_below_an_area_holds_no_more_descriptors_than_it_has_pages() -> None:
    params = pfnlab.Params(region_bytes="64KiB", chunk_bytes="4KiB")
    found = row(pfnlab.schemes(trace_of([(3, 1, False)]), params), "two_level")
    assert found["dram_bytes"] == 64 + 16 * 64


@pytest.mark.parametrize("page", ["2MiB", "1GiB"])
def test_pages_of_2_mib_and_more_are_areas_of_their_own(page: str) -> None:
    params = pfnlab.Params(region_bytes="64GiB", page_bytes=page, chunk_bytes="4KiB")
    events = [(1, 1, True), (1, 2, True)]
    table = pfnlab.schemes(trace_of(events, params.page_bytes), params)
    two = row(table, "two_level")
    assert (two["dram_bytes"], two["atomic_faults"]) == (params.n_pages * 64, 0)
    assert two["note"] == "pages of 2 MiB or more are never split"
    shown = {"2MiB": "2 MiB", "1GiB": "1 GiB"}[page]
    assert f"1 areas of {shown};" in row(table, "device_lazy")["note"]
    frame = side_by_side([counted(trace_of(events, params.page_bytes), params)]).assign(
        memmap_bytes=None
    )
    assert claims.two_level_beats_demand(frame).holds is None


def test_where_nothing_is_freed_huge_pages_cost_nothing() -> None:
    """64 KiB pages: 2 MiB have 32 descriptors, half a page of vmemmap, which is kept."""
    params = pfnlab.Params(region_bytes="64GiB", page_bytes="64KiB", chunk_bytes="4KiB")
    empty = pfnlab.Trace(np.zeros(0, np.int64), page_bytes=65536)
    costs = only(dram_latency=3.0, dtlb_miss=5.0, shootdown=7.0, unmap_per_4k=11.0)
    table = pfnlab.schemes(empty, params, costs)
    for name in ("hvo_2m", "compound_devmap_2m"):
        held = row(table, name)
        assert held["dram_bytes"] == params.vmemmap_bytes
        assert (held["page_table_bytes"], held["setup_ns"], held["event_ns"]) == (0, 0, 3)
        assert "nothing is freed" in held["note"]
    assert row(table, "hvo_1g")["event_ns"] == 3 + 5


def test_endurance_by_hand() -> None:
    """Page 0 is pinned twice and page 4, in the next line, once, within two seconds."""
    pfns, ops = np.array([0, 0, 4]), np.array([1, 1, 1], np.uint8)
    times = np.array([0, 10**9, 2 * 10**9])
    trace = pfnlab.Trace(pfns, ops, time_ns=times)
    params = pfnlab.Params(region_bytes="1GiB")
    found = row(pfnlab.schemes(trace, params), "static_device")
    assert found["device_writes"] == 2**18 + 3
    assert found["hot_line_years"] == pytest.approx(WRITES_OF_A_CELL / 2 * 2 / YEAR_S)
    lines = 2**30 / 256
    assert found["endurance_years"] == pytest.approx(WRITES_OF_A_CELL * lines / 3 * 2 / YEAR_S)
    assert row(pfnlab.schemes(trace, params), "static_dram")["endurance_years"] == float("inf")


# --- Costs, NA and refusals ---------------------------------------------------------------------


def test_costs_replay_nothing(
    softirq: tuple[pfnlab.Trace, pfnlab.Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    trace, params = softirq
    once = counted(trace, params)
    monkeypatch.setattr("pfnlab.alternatives.follow", None)
    monkeypatch.setattr("pfnlab.alternatives.replayed", None)
    before, after = once.table("hvo-8s"), once.table(Costs.preset("hvo-8s").replace(trap=9e9))
    timed = ["setup_ns", "event_ns", "stolen_ns", "endurance_years", "hot_line_years"]
    pd.testing.assert_frame_equal(before.drop(columns=timed), after.drop(columns=timed))
    changed = before["event_ns"] != after["event_ns"]
    assert set(before["scheme"][changed.fillna(False)]) == {
        *("demand_keep", "demand_shared", "demand_lra", "demand_lru", "demand_clock"),
        *("demand_sieve", "demand_random"),
    }


def test_an_empty_trace_will_do() -> None:
    table = pfnlab.schemes(pfnlab.Trace(np.zeros(0, np.int64)))
    assert list(table["scheme"]) == list(known_schemes())
    assert row(table, "demand_lra")["dram_bytes"] == 0
    assert row(table, "static_dram")["event_ns"] == 100


def test_what_is_missing_is_said() -> None:
    lookups = pfnlab.workload("zipf", n_events=1000).trace(pfnlab.Params())
    table = pfnlab.schemes(lookups)
    for name in ("temporary", "two_level", "demand_shared"):
        found = row(table, name)
        assert "needs GETs and PUTs" in found["note"]
        assert all(pd.isna(found[column]) for column in ("dram_bytes", "event_ns", *PROPERTIES))
    assert "must have granule_bytes = chunk_bytes" in row(table, "demand_opt")["note"]
    whole = pfnlab.Params(granule_bytes="64KiB", chunk_bytes="64KiB")
    table = pfnlab.schemes(lookups, whole)
    assert row(table, "demand_opt")["event_ns"] <= row(table, "demand_lra")["event_ns"]
    pins = trace_of([(0, 1, False)])
    note = row(pfnlab.schemes(pins, whole), "demand_s3fifo")["note"]
    assert "lookups that can sleep only" in note


def test_properties_as_argued() -> None:
    table = pfnlab.schemes(trace_of([(0, 1, False), (0, 2, True)])).set_index("scheme")
    for name in ("pfn_only", "temporary"):
        assert not table.loc[name, ["stable_address", "shared_refcount", "state_survives"]].any()
    demand = table[table.index.str.startswith("demand_") & table["event_ns"].notna()]
    assert not demand["atomic_safe"].any()
    assert list(demand.index[demand["state_survives"]]) == ["demand_keep"]
    assert list(demand.index[~demand["bounded_dram"]]) == ["demand_keep"]
    on_device = table[table["device_bytes"] > 0]
    assert list(on_device.index) == ["static_device", "interleaved", "device_lazy"]
    assert on_device[list(PROPERTIES)].all(axis=None)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: pfnlab.schemes(t, names=["static_drm"]), "no such scheme; did you mean"),
        (lambda t: pfnlab.schemes(t, names="static_dram"), "must be a list of schemes"),
        (lambda t: pfnlab.schemes(t, names=[["static_dram"]]), "no such scheme"),  # type: ignore[list-item]
        (lambda t: pfnlab.schemes(t, costs="hvo8s"), "no such preset; did you mean"),
        (
            lambda t: Costs.preset("hvo-8s").replace(trap=-1.0),
            "trap=-1.0: must be a number, ",
        ),
        (
            lambda t: Costs.preset("hvo-8s").replace(ipi=float("nan")),
            "ipi=nan: must be a number, ",
        ),
        (lambda t: pfnlab.schemes(t, pfnlab.Params(region_bytes="4KiB")), "pfn=1 in event 0"),
        (lambda t: pfnlab.schemes(t, pfnlab.Params(page_bytes="2MiB")), "must be the region's"),
    ],
)
def test_refusals(call: Any, message: str) -> None:
    with pytest.raises(pfnlab.PfnlabError, match=message):
        call(trace_of([(1, 1, False)]))


# --- One declaration -----------------------------------------------------------------------------


@pytest.mark.parametrize("for_devices", [True, False])
def test_a_scheme_is_a_record_and_a_function(
    for_devices: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = scheme.Scheme(
        name="mirror", about="two arrays", has=frozenset({"stable_address"}),
        for_devices=for_devices,
    )  # fmt: skip

    def held(record: scheme.Scheme, params: pfnlab.Params, seen: Any) -> scheme.Holding:
        return scheme.Holding(scheme=record, dram_bytes=2 * params.vmemmap_bytes)

    monkeypatch.setitem(scheme.SCHEMES, "mirror", mirror)
    monkeypatch.setitem(without_faults.BUILDS, "mirror", held)
    assert known_schemes()["mirror"] is mirror
    params, trace = pfnlab.Params(), trace_of([(0, 1, False), (0, 2, False)])
    assert row(pfnlab.schemes(trace, params), "mirror")["dram_bytes"] == 2 * params.vmemmap_bytes
    devices = set(contenders(trace, params, "hvo-8s")["scheme"])
    assert ("mirror" in devices) is for_devices
    grid = {"threshold_bytes": ("1MiB",)}
    advised = pfnlab.advise(trace, params, grid=grid).schemes
    assert ("mirror" in set(advised["scheme"])) is for_devices
    assert "mirror" in set(host_schemes(Host(kernel="", n_cpus=1, page_bytes=4096))["scheme"])
    family = "array in DRAM"
    members = (*labels.FAMILIES[family], "mirror")
    monkeypatch.setitem(labels.FAMILIES, family, members)
    looks = [palette.scheme(name) for name in members]
    assert len({look.colour for look in looks}) == 1
    assert len(set(looks)) == len(looks)


def test_every_scheme_has_a_function_and_a_family() -> None:
    families = [name for members in labels.FAMILIES.values() for name in members]
    assert sorted(families) == sorted(scheme.SCHEMES)
    replayed = {name for name in scheme.SCHEMES if name.startswith("demand_")}
    assert set(scheme.SCHEMES) - replayed == set(without_faults.BUILDS)
