"""Verdicts of claims on frames made to hold, to fail, and to leave them open."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

import pfnlab
from pfnlab import claims, figures, notebooks
from pfnlab.alternatives import counted, side_by_side
from pfnlab.alternatives.real_kernel import modelled
from pfnlab.notebooks import chapters, demo, gallery
from pfnlab.notebooks.report import write_report

# --- The alternatives: T1 to T4, T12 and T15 ------------------------------------------------------


@pytest.fixture(scope="module")
def alternatives() -> pd.DataFrame:
    """Schemes on a small block workload whose threshold evicts, and what the kernel took."""
    params = pfnlab.Params(region_bytes="64GiB", chunk_bytes="64KiB", threshold_bytes="1MiB")
    trace = pfnlab.workload("block_io", n_events=50_000).trace(params)
    rows = side_by_side([counted(trace, params)], "hvo-8s")
    return pd.concat([rows, modelled(notebooks.measured("struct_page_cost"))], ignore_index=True)


def changed(frame: pd.DataFrame, scheme: str, **columns: Any) -> pd.DataFrame:
    """Return the frame with columns of one scheme's rows replaced."""
    frame = frame.copy()
    for column, value in columns.items():
        frame.loc[frame["scheme"] == scheme, column] = value
    return frame


def test_static_takes_a_64th(alternatives: pd.DataFrame) -> None:
    verdict = claims.static_takes_a_64th(alternatives)
    assert (verdict.holds, verdict.kind) == (True, "measured")
    assert "devdax map=mem: 1/256" in verdict.evidence
    doubled = alternatives.assign(memmap_bytes=alternatives["memmap_bytes"] * 2)
    assert claims.static_takes_a_64th(doubled).holds is False
    wrong_model = changed(alternatives, "static_device", device_bytes=1)
    assert claims.static_takes_a_64th(wrong_model).holds is False
    unmeasured = alternatives.assign(memmap_bytes=float("nan"))
    assert claims.static_takes_a_64th(unmeasured).holds is None


def test_device_costs_latency_and_wear(alternatives: pd.DataFrame) -> None:
    claim = claims.device_costs_latency_and_wear
    assert claim(alternatives).holds is True
    assert claim(changed(alternatives, "static_device", hot_line_years=6.0)).holds is False
    assert claim(changed(alternatives, "static_device", event_ns=99.0)).holds is False
    assert claim(alternatives.assign(gets=0)).holds is None
    assert claim(changed(alternatives, "static_dram", event_ns=0.0)).holds is None
    assert claim(alternatives[alternatives["scheme"] != "static_dram"]).holds is None


def test_pfn_only_loses_sharing(alternatives: pd.DataFrame) -> None:
    assert claims.pfn_only_loses_sharing(alternatives).holds is True
    assert claims.pfn_only_loses_sharing(alternatives.assign(shared_gets=0)).holds is False
    assert claims.pfn_only_loses_sharing(alternatives.assign(gets=0)).holds is None


def test_temporary_is_cheaper(alternatives: pd.DataFrame) -> None:
    claim = claims.temporary_is_cheaper
    assert claim(alternatives).holds is True
    assert claim(changed(alternatives, "temporary", event_ns=1e6)).holds is False
    assert claim(changed(alternatives, "temporary", event_ns=pd.NA)).holds is None
    assert claim(alternatives.assign(accesses=0)).holds is None  # PUTs only


def test_two_level_beats_demand(alternatives: pd.DataFrame) -> None:
    claim = claims.two_level_beats_demand
    few = alternatives.assign(split=100)
    assert claim(few).holds is False  # more DRAM
    less = changed(few, "two_level", all_dram_bytes=1 << 20, event_ns=100.0)
    assert claim(less).holds is True
    assert claim(changed(less, "two_level", event_ns=1e6)).holds is False
    assert claim(less.assign(split=1 << 14)).holds is None


def test_freed_dram_is_worth_little(alternatives: pd.DataFrame) -> None:
    claim = claims.freed_dram_is_worth_little
    assert claim(alternatives).holds is True
    assert "0.77%" in claim(alternatives).evidence
    # descriptors of 128 bytes, as with debugging options, and the region's own DRAM
    doubled = changed(alternatives, "static_dram", all_dram_bytes=2 << 30)
    assert claim(doubled).holds is False
    assert claim(changed(alternatives, "static_dram", all_dram_bytes=64 << 30)).holds is None


def test_verdicts_are_shown_below_one_another(alternatives: pd.DataFrame) -> None:
    two = (claims.static_takes_a_64th, claims.pfn_only_loses_sharing)
    shown = claims.verdicts(alternatives, *two)
    assert [verdict.claim for verdict in shown] == ["T1", "T3"]
    assert shown._repr_markdown_().count("\n\n**T") == 1
    assert str(shown).startswith("T1 holds: ")


# --- The table of claims --------------------------------------------------------------------------


def test_every_claim_and_every_notebook_of_claims_has_its_row() -> None:
    rows = chapters.CHAPTERS
    judged = [claim for row in rows for claim in (*row.claims, *(each for each, _ in row.measured))]
    names = [claim.__name__ for claim in judged]
    assert sorted(names) == sorted({*claims.__all__} - {"Verdict", "Verdicts", "verdicts"})
    numbered = sorted(path.stem for path in notebooks.FOLDER.glob("[0-9]*.ipynb"))
    assert [row.notebook for row in rows] == numbered


def test_a_row_is_all_that_a_claim_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A claim from outside reaches the demo's table, the gallery and the report."""

    def nothing_faults(frame: pd.DataFrame) -> claims.Verdict:
        holds = bool((frame["faults"] == 0).all())
        return claims.Verdict(claim="T99", who="nobody", statement="Nothing ever faults",
                              kind="replayed", holds=holds, evidence="all rows")  # fmt: skip

    def faults_drawn(frame: pd.DataFrame) -> Figure:
        return figures.any_sweep(frame, "faults")

    row = chapters.Chapter("99_faults", (nothing_faults,), faults_drawn)
    monkeypatch.setattr(chapters, "CHAPTERS", (*chapters.CHAPTERS, row))
    trace = pfnlab.workload("zipf", n_events=100).trace(pfnlab.Params())
    frame = pfnlab.sweep(trace, pfnlab.Params(), chunk_bytes=["64KiB", "2MiB"])
    frame.to_parquet(tmp_path / "99_faults.parquet")
    found = {row.notebook: chapters.verdicts(row, frame) for row in chapters.CHAPTERS[-1:]}
    cells = "| **does not hold** | [T99](docs/verdicts.md#t99) Nothing ever faults |"
    assert f"{cells} [99](notebooks/99_faults.ipynb) |" in demo.table(found)
    (entry,) = [each for each in gallery.entries() if each.name == "faults_drawn"]
    assert "faults is" in entry.draw(tmp_path).get_suptitle()
    assert "results/99_faults.parquet" in entry.call
    assert "Nothing ever faults" in write_report(tmp_path).read_text()
