"""Who wins on which region: winners by brute force, T14 either way, sources that do not fit."""

from typing import Any

import pandas as pd
import pytest

import pfnlab
from pfnlab import claims, figures, notebooks
from pfnlab.alternatives.by_region import contender_names, contenders
from pfnlab.frames.best import winners

NAMES = ("optane-1tib", "mi300x")


def run_of(*sources: Any, **axes: list[Any]) -> notebooks.Request:
    return notebooks.Request(
        params=pfnlab.Params(),
        sources=sources,
        axes=axes,
        costs="hvo-8s",
        out=None,
        regions=tuple(pfnlab.region(name) for name in NAMES),
    )


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    spec = pfnlab.workload("block_io", n_events=20_000)
    return run_of(spec, threshold_of_footprint=[0.25], batch_chunks=[1, 64]).gather_by_region(
        contenders
    )


def changed(frame: pd.DataFrame, scheme: str, **columns: Any) -> pd.DataFrame:
    frame = frame.copy()
    for column, value in columns.items():
        frame.loc[frame["scheme"] == scheme, column] = value
    return frame


def test_every_region_is_replayed_as_it_is(frame: pd.DataFrame) -> None:
    assert len(frame) == 2 * 2 * len(contender_names())
    for name, some in frame.groupby("region"):
        region = pfnlab.region(str(name))
        for column in ("region_bytes", "page_bytes", "n_cpus", "device"):
            assert set(some[column]) == {getattr(region, column)}
        device = some[some["scheme"] == "static_device"]
        assert set(device["event_ns"]) == {region.device_latency}
    assert set(frame["batch_chunks"]) == {1, 64}


@pytest.mark.parametrize(
    "needs", [[], ["stable_address", "shared_refcount", "bounded_dram"], ["state_survives"]]
)
def test_winners_by_hand(frame: pd.DataFrame, needs: list[str]) -> None:
    won = winners(frame, needs).set_index("region")["scheme"].to_dict()
    for name in NAMES:
        good = [
            (float(row["event_ns"]), str(row["scheme"]))
            for row in frame[frame["region"] == name].to_dict("records")
            if not pd.isna(row["event_ns"])
            and all(row[need] for need in needs)
            and row["all_dram_bytes"] * 16 <= row["region_bytes"] // row["page_bytes"] * 64
            and row["scheme"] != "pfn_only"  # a block request takes references
        ]
        assert won[name] == min(good)[1]


def test_pfns_alone_serve_lookups(frame: pd.DataFrame) -> None:
    assert "pfn_only" not in set(winners(frame)["scheme"])
    assert set(winners(frame.assign(gets=0))["scheme"]) == {"pfn_only"}


def test_nothing_wins_where_nothing_qualifies(frame: pd.DataFrame) -> None:
    assert winners(frame.assign(bounded_dram=False), ["bounded_dram"]).empty
    assert winners(frame.assign(all_dram_bytes=1 << 50)).empty
    figures.by_region(frame.assign(bounded_dram=False))


def test_t14_holds_fails_and_stays_open(frame: pd.DataFrame) -> None:
    claim = claims.serves_both
    assert claim(frame).holds is True
    assert "2 of 2 regions keep the limit" in claim(frame).evidence
    slow = changed(frame, "demand_lra", event_ns=351.0)
    assert claim(slow).holds is False
    assert "1 of 2 regions (not optane-1tib) are faster" in claim(slow).evidence
    assert claim(changed(frame, "demand_lra", bounded_dram=False)).holds is False
    assert claim(changed(frame, "demand_lra", all_dram_bytes=1 << 50)).holds is False
    assert claim(frame[frame["device"] == "gpu"]).holds is None
    assert claim(frame[frame["scheme"] != "static_device"]).holds is None
    assert claim(changed(frame, "demand_lra", event_ns=None)).holds is None


def test_the_fastest_setting_speaks_for_a_scheme(frame: pd.DataFrame) -> None:
    slow = frame.copy()
    slow.loc[(frame["scheme"] == "demand_lra") & (frame["batch_chunks"] == 1), "event_ns"] = 1e9
    assert claims.serves_both(slow).holds is True


def test_the_picture_names_every_region_and_winner(frame: pd.DataFrame) -> None:
    picture = figures.by_region(frame)
    texts = {text.get_text() for axes in picture.axes for text in axes.texts}
    assert "block_io" in texts
    assert any(text.startswith("demand_lra\n") for text in texts)
    labels = [label.get_text() for label in picture.axes[0].get_yticklabels()]
    assert labels == ["optane-1tib\n1 TiB", "mi300x\n179 GiB"]


def test_a_source_that_does_not_fit_says_why() -> None:
    zipf = pfnlab.workload("zipf", n_events=2_000)
    trace = zipf.trace(pfnlab.Params(region_bytes="64GiB"))
    large = pfnlab.workload("gpu_tensors", n_events=2_000, layer_bytes="16GiB")
    frame = run_of(trace, large).gather_by_region(contenders)
    notes = frame[frame["scheme"].isna()].set_index(["region", "source"])["note"].to_dict()
    assert set(notes) == {("mi300x", "zipf"), ("mi300x", "gpu_tensors")}
    assert "must be the region's page size (64KiB)" in notes["mi300x", "zipf"]
    figures.by_region(frame)
    assert claims.serves_both(frame).holds is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["optane-6tb"], "region='optane-6tb': no such region; did you mean 'optane-6tib'"),
        ([], r"regions=\[\]: must name a region, or list some"),
        (5, "regions=5: must name a region"),
    ],
)
def test_unknown_regions_are_refused_before_anything_runs(value: Any, message: str) -> None:
    namespace = {"source": "zipf", "costs": "hvo-8s", "out": None, "regions": value}
    with pytest.raises(pfnlab.PfnlabError, match=message):
        notebooks.request(namespace)
    one = notebooks.request(namespace | {"regions": "h200"})
    assert [region.name for region in one.regions] == ["h200"]
