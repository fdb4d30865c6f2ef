"""Shootdowns: prices against single replays, the best batch's anchors, claims that can fail."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pfnlab
from pfnlab import claims, figures, notebooks
from pfnlab.claims.measures import shootdowns
from pfnlab.frames.labels import AHEAD, LAZY, PASS
from pfnlab.host import other_cpus, tlb_ipis
from pfnlab.traces.views import first_events, lookups

AXES: dict[str, Any] = {
    "chunk_bytes": ["4KiB", "128KiB", "256KiB"],
    "batch_chunks": [1, 3],
    "n_cpus": [1, 200],
    "flush_ceiling_pages": [0, 33, 64],
    "threshold_of_footprint": [0.5],
}


@pytest.fixture(scope="module")
def params() -> pfnlab.Params:
    return pfnlab.Params(region_bytes="16GiB")


@pytest.fixture(scope="module")
def trace(params: pfnlab.Params) -> pfnlab.Trace:
    drawn = pfnlab.workload("zipf", n_events=20_000, alpha=0.6, seed=1).trace(params)
    ops = np.zeros(len(drawn), np.uint8)
    ops[1::7] = 1
    ops[5::7] = 2
    return pfnlab.Trace(drawn.pfns, ops=ops, name="mixed", evidence="direct")


@pytest.fixture(scope="module")
def frame(trace: pfnlab.Trace, params: pfnlab.Params) -> pd.DataFrame:
    return shootdowns.shootdowns(trace, params, "hvo-8s", AXES)


# --- Frames -----------------------------------------------------------------------------------


def test_every_row_is_what_a_replay_for_its_machine_counts_and_costs(
    frame: pd.DataFrame, trace: pfnlab.Trace, params: pfnlab.Params
) -> None:
    """Neither CPUs nor ceilings are replayed; each row equals the replay that they would need."""
    looked = first_events(lookups(trace).trace(params), len(trace), params)
    passes = frame[frame["unmapping"] == PASS]
    rows = pd.concat([passes.sample(60, random_state=0), passes[passes["chunk_bytes"] > 4096]])
    assert set(rows["flush_ceiling_pages"]) == {0, 33, 64}
    assert rows[["ranged_flush_pages", "full_flushes"]].gt(0).any().all()
    for row in rows.to_dict("records"):
        point = pfnlab.Params(**{str(name): row[name] for name in params.as_dict()})
        result = pfnlab.replay(looked, point)
        expected = result.counts() | result.cost("hvo-8s").as_dict()
        assert {name: row[name] for name in expected} == expected


def test_pricing_for_other_machines_keeps_the_replays(
    frame: pd.DataFrame, params: pfnlab.Params
) -> None:
    replays = shootdowns.replays(frame)
    asked = {name: AXES[name] for name in ("n_cpus", "flush_ceiling_pages")}
    again = shootdowns.on_machines(replays, params, "hvo-8s", **asked)
    keys = ["unmapping", *params.as_dict()]
    pd.testing.assert_frame_equal(
        again.sort_values(keys, ignore_index=True),
        frame.sort_values(keys, ignore_index=True),
        check_like=True,
    )
    other = shootdowns.on_machines(replays, params.replace(n_cpus=1000), "latr-8s120")
    assert set(other["n_cpus"]) == {1000}
    assert set(other["costs"]) == {"latr-8s120"}
    assert len(other) == len(replays)


def test_a_machine_is_one_of_the_params_and_of_either_axis(frame: pd.DataFrame) -> None:
    machines = set(zip(frame["n_cpus"], frame["flush_ceiling_pages"], strict=True))
    assert machines == {(64, 33), (1, 33), (200, 33), (64, 0), (64, 64)}


def test_a_lazy_purge_filled_at_the_threshold_counts_what_the_batch_counts(
    frame: pd.DataFrame,
) -> None:
    once = shootdowns.replays(frame).set_index(["chunk_bytes", "batch_chunks"])
    batches, lazy = (once[once["unmapping"] == way] for way in (PASS, LAZY))
    batches = batches[batches["evicted_chunks"] > 0]
    both = lazy.join(batches.add_suffix("_batch"), how="inner")
    assert len(both) >= 6
    for name in ("faults", "hits", "refaults", "shootdowns", "evicted_granules", "accesses"):
        assert (both[name] == both[f"{name}_batch"]).all(), name
    np.testing.assert_allclose(both["mean_resident_bytes"], both["mean_resident_bytes_batch"])


def test_what_is_withheld_counts_against_the_threshold(frame: pd.DataFrame) -> None:
    lazy = frame[frame["unmapping"].isin([LAZY, AHEAD])]
    assert (lazy["peak_resident_bytes"] <= lazy["threshold_bytes"]).all()
    at_once = lazy[lazy["unmapping"] == LAZY]
    assert (at_once["mean_withheld_bytes"] == 0).all()
    assert (lazy.loc[lazy["unmapping"] == AHEAD, "mean_withheld_bytes"] > 0).all()


def test_accesses_look_up(trace: pfnlab.Trace, params: pfnlab.Params) -> None:
    looked = first_events(lookups(trace).trace(params), len(trace), params)
    assert trace.ops is not None
    assert looked.pfns.tolist() == trace.pfns[trace.ops != 2].tolist()
    assert (looked.ops, looked.name, looked.evidence) == (None, "mixed", "direct")


def test_nothing_to_evict_is_no_error(params: pfnlab.Params) -> None:
    few = pfnlab.Trace(np.arange(10) * 64)
    frame = shootdowns.shootdowns(few, params, "hvo-8s")
    assert (frame["shootdowns"] == 0).all()
    assert claims.establishing_is_local(frame).holds is None
    assert claims.best_batch_is_near(frame).holds is None
    empty = shootdowns.shootdowns(pfnlab.Trace(np.zeros(0, np.int64)), params, "hvo-8s")
    assert (empty["event_ns"] == 0).all()


@pytest.mark.parametrize(
    ("changes", "axes", "message"),
    [
        ({}, {"chunk_byte": [4096]}, "did you mean 'chunk_bytes'"),
        ({}, {"n_cpus": [0]}, "n_cpus=0: must be between 1"),
        ({}, {"flush_ceiling_pages": [1.5]}, "flush_ceiling_pages=1.5: must be an int"),
        ({"policy": "lru"}, {}, "policy='lru': must be lra"),
    ],
)
def test_what_can_not_be_measured_is_refused(
    changes: dict[str, Any], axes: dict[str, Any], message: str, params: pfnlab.Params
) -> None:
    few = pfnlab.Trace(np.arange(10) * 64)
    with pytest.raises(pfnlab.ParameterError, match=re.escape(message)):
        shootdowns.shootdowns(few, params.replace(**changes), "hvo-8s", axes)


# --- The best batch ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "shootdown", "batch"),
    [(1500, 6000, 172), (1500, 45_000, 473), (1500, 230_000, 1000), (500_000, 45_000, 26)],
)
def test_the_best_batch_of_the_published_table(fault: int, shootdown: int, batch: int) -> None:
    """zipf(0.8), N = 10 000, C = 1000, worked out apart from this code with more digits of M."""
    nothing = dict.fromkeys(pfnlab.Costs.preset("hvo-8s").figures(), 0.0)
    costs = pfnlab.Costs(**nothing).replace(trap=fault, shootdown=shootdown)  # type: ignore[arg-type]
    sizes = pfnlab.Params(chunk_bytes="4KiB", threshold_bytes=1000 * 4096)
    assert shootdowns.best_batch(0.60582, 1.628e-4, sizes, costs) == pytest.approx(batch, rel=5e-3)


def test_a_flat_curve_asks_for_the_largest_batch_and_free_shootdowns_for_one() -> None:
    sizes = pfnlab.Params(chunk_bytes="4KiB", threshold_bytes="1MiB", n_cpus=1)
    assert shootdowns.best_batch(0.5, 0.0, sizes, "hvo-8s") == 256
    assert shootdowns.best_batch(0.5, -1e-6, sizes, "hvo-8s") == 256
    free = pfnlab.Costs.preset("hvo-8s").replace(shootdown=0.0, shootdown_per_cpu=0.0)
    assert shootdowns.best_batch(0.5, 1e-6, sizes, free) == 1


def test_quarantines_fit_and_know_whose_they_are() -> None:
    params = pfnlab.Params(chunk_bytes="4KiB", threshold_bytes="100MiB")
    found = shootdowns.quarantines(params, [1, 2, 3, 1024])
    limit = 100 * 256
    assert {batch: n for batch, n in found.items() if n} == {8193: 1, 16385: 2}
    assert max(found) < limit


# --- Claims -----------------------------------------------------------------------------------


def test_verdicts_hold_fail_and_stay_open(frame: pd.DataFrame) -> None:
    keeping = frame["evicted_chunks"] == 0
    assert claims.establishing_is_local(frame).holds is True
    sent = frame.assign(shootdowns=frame["shootdowns"].where(~keeping, 1))
    assert claims.establishing_is_local(sent).holds is False
    silent = frame.assign(shootdowns=0)
    assert claims.establishing_is_local(silent).holds is False
    assert claims.establishing_is_local(frame[keeping]).holds is None
    assert claims.establishing_is_local(frame[frame["unmapping"] != PASS]).holds is None

    assert claims.lazy_purge_is_a_batch(frame).holds is True
    lazy = frame["unmapping"] == LAZY
    more = frame.assign(faults=frame["faults"].where(~lazy, frame["faults"] + 1))
    assert claims.lazy_purge_is_a_batch(more).holds is False
    assert claims.lazy_purge_is_a_batch(frame[~lazy]).holds is None


def test_the_best_batch_can_be_far_off(frame: pd.DataFrame) -> None:
    assert claims.best_batch_is_near(frame).holds is True
    assert claims.best_batch_is_near(frame.assign(best_batch=1.0)).holds is False
    assert claims.best_batch_is_near(frame[frame["batch_chunks"] > 1]).holds is None
    assert claims.best_batch_is_near(frame[frame["unmapping"] != PASS]).holds is None
    large = frame.assign(best_batch=frame["threshold_bytes"] / frame["chunk_bytes"])
    assert "100% of the threshold" in claims.best_batch_is_near(large).evidence
    assert "capped near 25%" in claims.best_batch_is_near(large).evidence


def test_refills_of_full_flushes_can_be_alike_or_not(frame: pd.DataFrame) -> None:
    machine = frame[(frame["n_cpus"] == 64) & (frame["flush_ceiling_pages"] == 33)]
    row = machine[(machine["unmapping"] == LAZY) & (machine["batch_chunks"] == 64)].iloc[:1]
    sizes = pd.concat([row, row.assign(batch_chunks=4096)], ignore_index=True)
    full = sizes.assign(full_flushes=100, shootdowns=100)
    alike = full.assign(collateral_refills=[500, 999])
    assert claims.ceiling_is_constant(alike).holds is True
    assert claims.ceiling_is_constant(full.assign(collateral_refills=[500, 1001])).holds is False
    assert claims.ceiling_is_constant(full.assign(collateral_refills=0)).holds is None
    assert claims.ceiling_is_constant(alike.head(1)).holds is None
    assert claims.ceiling_is_constant(alike.assign(full_flushes=0)).holds is None


def measured(**changes: Any) -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "operation": ["idle", "first touch", "unmap"], "n_operations": 1000,
            "n_ipis": [3, 4, 900], "seconds": 1.0, "running": 0.9, "machine": "here", "date": "now",
        }
    )  # fmt: skip
    return rows.assign(**changes)


def test_a_measurement_of_interrupts_decides() -> None:
    verdict = claims.touches_send_no_ipis(measured())
    assert (verdict.holds, verdict.kind) == (True, "measured")
    assert "here, now" in verdict.evidence
    assert claims.touches_send_no_ipis(measured(n_ipis=[3, 900, 900])).holds is False
    assert claims.touches_send_no_ipis(measured(n_ipis=[3, 4, 5])).holds is False
    assert claims.touches_send_no_ipis(measured(running=0.0)).holds is None
    rarely = {"running": 0.3, "n_operations": 10_000}
    assert claims.touches_send_no_ipis(measured(**rarely)).holds is None
    assert claims.touches_send_no_ipis(measured(**rarely, n_ipis=[3, 900, 900])).holds is False
    assert claims.touches_send_no_ipis(measured().head(2)).holds is None
    for column in [str(name) for name in measured() if name != "seconds"]:
        with pytest.raises(pfnlab.PfnlabError, match=column):
            claims.touches_send_no_ipis(measured().drop(columns=column))


def test_the_recorded_measurement_is_read_by_name() -> None:
    assert claims.touches_send_no_ipis(notebooks.measured("tlb_ipis")).holds is True
    with pytest.raises(pfnlab.NotebookError, match="did you mean 'tlb_ipis'"):
        notebooks.measured("tlb_ipi")


def test_the_picture_of_lazy_purges_names_sources_and_units(frame: pd.DataFrame) -> None:
    picture = figures.lazy_purge(frame)
    assert picture.get_suptitle()
    for axes in picture.axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel()
    keys = [text.get_text() for text in picture.legends[0].get_texts()]
    assert "mixed (direct)" in keys  # one key for all panels
    for column in ("unmapping", "lazy_cpus", "mean_withheld_bytes", "threshold_bytes"):
        with pytest.raises(pfnlab.PfnlabError, match=column):
            figures.lazy_purge(frame.drop(columns=column))


def test_a_chosen_chunk_that_was_not_replayed_draws_the_nearest(frame: pd.DataFrame) -> None:
    chosen = pfnlab.Params(chunk_bytes="64KiB", batch_chunks=2, n_cpus=200)
    for rows in (frame, shootdowns.on_machines(shootdowns.replays(frame), chosen, "hvo-8s")):
        texts = [text.get_text() for text in figures.shootdowns(rows, chosen).axes[0].texts]
        assert "128 KiB x 3" in texts


# --- Interrupts -------------------------------------------------------------------------------


def test_interrupts_are_counted_over_all_cpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "      CPU0 CPU1\n  0:  5  6  IO-APIC timer\nTLB:  12  30   TLB shootdowns\n"
    (tmp_path / "interrupts").write_text(lines)
    monkeypatch.setattr(other_cpus, "INTERRUPTS", tmp_path / "interrupts")
    assert other_cpus.tlb_interrupts() == 42
    (tmp_path / "interrupts").write_text("      CPU0 CPU1\n  0:  5  6  IO-APIC timer\n")
    assert other_cpus.tlb_interrupts() is None
    assert "has no line" in str(tlb_ipis.why_no_tlb_ipis())
    with pytest.raises(pfnlab.PfnlabError, match="can't be counted"):
        tlb_ipis.measure_tlb_ipis(1)
    monkeypatch.setattr(other_cpus, "INTERRUPTS", tmp_path / "absent")
    assert other_cpus.tlb_interrupts() is None


@pytest.mark.parametrize("name", ["n_pages", "repeats"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, 2**21])
def test_a_bad_number_is_refused(name: str, value: Any) -> None:
    with pytest.raises(pfnlab.ParameterError, match=re.escape(f"{name}={value!r}: must be")):
        tlb_ipis.measure_tlb_ipis(**{name: value})


@pytest.mark.skipif(tlb_ipis.why_no_tlb_ipis() is not None, reason=str(tlb_ipis.why_no_tlb_ipis()))
def test_a_measurement_leaves_the_machine_as_it_was(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    rows = tlb_ipis.measure_tlb_ipis(200, repeats=2)
    assert os.sched_getaffinity(0) == before
    assert [row.operation for row in rows] == ["idle", "first touch", "unmap"]
    assert {row.n_operations for row in rows} == {200}
    assert all(row.n_ipis >= 0 and 0 <= row.running <= 1 for row in rows)
    assert tlb_ipis.main([]) == 2
