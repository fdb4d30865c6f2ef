"""The machine beside the simulator: frames, claims on them, and where nothing can run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import pfnlab
from pfnlab import claims, figures, notebooks
from pfnlab.claims.measures import reality
from pfnlab.errors import FrameError
from pfnlab.host import calibration, twin_counts
from pfnlab.host.limits import this_machine, why_no_twin
from pfnlab.notebooks import chapters

HERE = {"machine": "2 CPUs, Linux", "date": "2026-01-01"}
SESSION = reality.Calibrated(costs=pfnlab.Costs.preset("hvo-8s"), spread=0.05)


def runs(**changes: Any) -> pd.DataFrame:
    """Return ten runs of one trace that counted as predicted."""
    row = {"source": "zipf", "evidence": "proxy", "n_events": 100, "runs": 10, "differing": 0,
           "minor_faults": 70, "predicted_minor_faults": 70, **HERE}  # fmt: skip
    return pd.DataFrame([row | changes])


def times(**changes: Any) -> pd.DataFrame:
    """Return runs that took a tenth less to a fifth more than predicted."""
    rows = {"predicted_ns": [100.0] * 3, "measured_ns": [90.0, 100.0, 120.0], "spread": 0.05}
    about: dict[str, Any] = {"source": "zipf", "evidence": "proxy", "n_events": 100, **HERE}
    return pd.DataFrame(rows | about | changes)


def shared(**changes: Any) -> pd.DataFrame:
    """Return pages touched by one thread, and by two."""
    rows = {"n_threads": [1, 2], "n_pages": [100, 100], "n_faults": [100, 190]}
    return pd.DataFrame(rows | changes).assign(**HERE)


def test_counts_agree() -> None:
    verdict = claims.counts_agree(runs())
    assert (verdict.holds, verdict.kind, verdict.claim) == (True, "measured", "M1")
    assert "0 of 10 runs of 100 events differ" in verdict.evidence
    assert claims.counts_agree(runs(differing=1)).holds is False
    assert claims.counts_agree(runs(minor_faults=71)).holds is False
    both = pd.concat([runs(), runs(source="uniform", differing=1)])
    assert claims.counts_agree(both).holds is False
    unmeasured = runs(minor_faults=None, note="needs Linux")
    assert claims.counts_agree(unmeasured).holds is None
    assert "needs Linux" in claims.counts_agree(unmeasured).evidence


def test_times_are_predicted() -> None:
    verdict = claims.times_are_predicted(times())
    assert (verdict.holds, verdict.claim) == (True, "M2")
    assert "3 runs, median error 11.1%" in verdict.evidence
    assert claims.times_are_predicted(times(measured_ns=[80.0, 100.0, 130.0])).holds is False
    assert claims.times_are_predicted(times(measured_ns=[100.0, 100.0, 200.0])).holds is False
    for spread in (0.2, float("nan")):
        noisy = claims.times_are_predicted(times(spread=spread))
        assert noisy.holds is None
        assert "too noisy" in noisy.evidence
    assert claims.times_are_predicted(times(measured_ns=[None] * 3)).holds is None


def test_shared_touches_fault_again() -> None:
    claim = claims.shared_touches_fault_again
    assert (claim(shared()).holds, claim(shared()).claim) == (True, "M3")
    assert claim(shared(n_faults=[100, 100])).holds is False
    assert claim(shared(n_faults=[101, 190])).holds is False
    assert claim(shared().head(1)).holds is None
    assert claim(shared(n_faults=[None, None])).holds is None


@pytest.mark.parametrize(
    ("claim", "frame"),
    [
        (claims.counts_agree, runs()),
        (claims.times_are_predicted, times()),
        (claims.shared_touches_fault_again, shared()),
    ],
)
def test_claims_name_the_column_they_lack(
    claim: Callable[[pd.DataFrame], claims.Verdict], frame: pd.DataFrame
) -> None:
    for column in frame:
        with pytest.raises(FrameError, match=str(column)):
            claim(frame.drop(columns=column))


def test_what_was_recorded_is_judged() -> None:
    assert claims.counts_agree(notebooks.measured("agreement")).holds is True
    assert claims.shared_touches_fault_again(notebooks.measured("shared_faults")).holds is True
    assert notebooks.measured("agreement")["runs"].sum() >= 500
    assert claims.times_are_predicted(notebooks.measured("predicted_times")).kind == "measured"


def test_claims_of_the_model_come_after_those_of_the_thread() -> None:
    five = claims.touches_send_no_ipis(notebooks.measured("tlb_ipis"))
    found = {"10_reality_check": [claims.counts_agree(runs())], "05_shootdowns": [five]}
    assert [verdict.claim for verdict, _ in chapters.in_order(found)] == ["T5", "M1"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reality, "FEW", reality.FEW[-1:])
    monkeypatch.setattr(reality, "N_COUNTED", 100)
    monkeypatch.setattr(reality, "N_TIMED", 100)


@pytest.mark.kernel
@pytest.mark.usefixtures("small")
@pytest.mark.skipif(why_no_twin() is not None, reason=str(why_no_twin()))
def test_a_machine_counts_what_is_predicted() -> None:
    params = pfnlab.Params(region_bytes="16GiB", chunk_bytes="64KiB")
    trace = pfnlab.workload("block_io", n_events=500).trace(params)
    frame = reality.beside(trace, params, SESSION)
    counts, timed = (frame[frame["check"] == check] for check in (reality.COUNTS, reality.TIME))
    assert claims.counts_agree(frame).holds is True
    assert {1 << 16, 1 << 18} == set(counts["chunk_bytes"]) == set(timed["chunk_bytes"])
    assert set(counts["n_events"]) == {100}
    assert (timed["event_ns"] > 0).all()
    assert timed["measured_ns"].notna().all()
    assert counts["measured_ns"].isna().all()
    assert (frame["machine"] == this_machine()["machine"]).all()


@pytest.mark.kernel
@pytest.mark.usefixtures("small")
def test_where_nothing_runs_the_frame_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (reality, twin_counts, calibration):
        if hasattr(module, "why_no_twin"):
            monkeypatch.setattr(module, "why_no_twin", lambda: "needs Linux")
    monkeypatch.setattr(reality, "why_no_tlb_ipis", lambda: "needs Linux")
    session = reality.calibrated("hvo-8s")
    assert (session.costs, session.note) == (pfnlab.Costs.preset("hvo-8s"), "needs Linux")
    params = pfnlab.Params(region_bytes="16GiB")
    trace = pfnlab.workload("zipf", n_events=500).trace(params)
    rows = reality.beside(trace, params, session).assign(source="zipf", evidence="proxy")
    frame = pd.concat([rows, reality.concurrency()], ignore_index=True)
    assert (rows["event_ns"] > 0).all()
    for claim in (claims.counts_agree, claims.times_are_predicted,
                  claims.touches_send_no_ipis, claims.shared_touches_fault_again):  # fmt: skip
        assert claim(frame).answer == "not decided"
    picture = figures.reality(frame)
    assert [text.get_text() for axes in picture.axes for text in axes.texts] == ["needs Linux"] * 3


def test_costs_below_zero_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = pd.DataFrame([dict.fromkeys(calibration.MEASURED, 100.0)] * 3)
    samples["hit_many"] = [1.0, 2.0, 3.0]
    found = calibration.Calibration(samples=samples, host="h", kernel="k", date="d")
    monkeypatch.setattr(reality, "why_no_twin", lambda: None)
    monkeypatch.setattr(reality, "calibrate", lambda repeats: found)
    session = reality.calibrated("hvo-8s")
    assert session.costs.name == "hvo-8s"
    assert session.note == f"too noisy: {reality.NEGATIVE}"


def test_recording_asks_for_a_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert reality.main([]) == 2
    assert "FOLDER" in capsys.readouterr().err
    with pytest.raises(pfnlab.PfnlabError, match="none"):
        reality.main([str(tmp_path), str(tmp_path / "none.parquet")])
