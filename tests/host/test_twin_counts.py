"""The table of many twins beside the simulator: rows, refusals, and that a difference is seen."""

from pathlib import Path

import pytest

import pfnlab
from pfnlab.host import twin_counts
from pfnlab.host.limits import why_no_twin
from pfnlab.host.twin import run_twin

pytestmark = pytest.mark.skipif(why_no_twin() is not None, reason=str(why_no_twin()))


@pytest.mark.slow
def test_every_setting_of_every_trace_agrees(root: Path) -> None:
    shipped = pfnlab.load(root / "data/traces/pagecache.parquet", stream=False)
    frame = twin_counts.agreement([shipped, *list(twin_counts.drawn())[:2]], n_events=400)
    per_trace = len(twin_counts.SIZES) * len(twin_counts.SHARES)
    assert frame.groupby("source").size().min() >= per_trace
    assert (frame["differs"] == "").all()
    assert (frame["pinned_skips"] > 0).any()
    assert (frame["shootdowns"] > 0).any()


def test_a_difference_is_shown_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(twin_counts, "SIZES", twin_counts.SIZES[:1])
    monkeypatch.setattr(twin_counts, "N_EVENTS", 100)
    monkeypatch.setattr(twin_counts, "WORKLOADS", ("zipf",))
    assert twin_counts.main([]) == 0
    assert " runs, 0 differ" in capsys.readouterr().out

    def lying(*arguments: object, **options: object) -> object:
        twin = run_twin(*arguments, **options)  # type: ignore[arg-type]
        object.__setattr__(twin, "minor_faults", twin.minor_faults + 1)
        return twin

    monkeypatch.setattr("pfnlab.host.twin_counts.run_twin", lying)
    assert twin_counts.main([]) == 1
    assert "minor_faults" in capsys.readouterr().out
