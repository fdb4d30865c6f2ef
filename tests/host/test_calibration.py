"""Calibration: planted costs come back, noise is refused, presets are used like others."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pfnlab
from pfnlab.cli import main
from pfnlab.host import calibration, twin_times
from pfnlab.host.calibration import (
    Calibration,
    calibrate,
    check_name,
    constants_of,
    write_preset,
)
from pfnlab.host.limits import why_no_twin
from pfnlab.params.cost_presets import PRESETS
from pfnlab.params.costs import FIGURES
from pfnlab.params.user_costs import calibrated_names, figures_of, presets_folder

PLANTED = {
    "trap": 700.0,
    "zero_per_4k": 170.0,
    "shootdown": 1300.0,
    "unmap_per_4k": 200.0,
    "dram_latency": 4.0,
    "dtlb_miss": 10.0,
    "shootdown_per_cpu": 9000.0,
}


def sample_of(costs: dict[str, float], factor: float = 1.0) -> dict[str, float]:
    """What a machine of these costs takes: half of a cycle pushes another granule out."""
    single = costs["trap"] + costs["zero_per_4k"]
    many = costs["trap"] + 64 * costs["zero_per_4k"]
    out, out_many = (costs["shootdown"] + n * costs["unmap_per_4k"] for n in (1, 64))
    return {
        "fault_single": factor * single,
        "fault_many": factor * many,
        "cycle_single": factor * (single + out / 2),
        "cycle_many": factor * (many + out_many / 2),
        "cycle_beside": factor * (single + out + costs["shootdown_per_cpu"]),
        "hit_few": factor * costs["dram_latency"],
        "hit_many": factor * (costs["dram_latency"] + costs["dtlb_miss"]),
    }


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PFNLAB_COSTS", str(tmp_path / "costs"))
    return tmp_path / "costs"


def quiet() -> Calibration:
    return calibrate(measure=lambda: sample_of(PLANTED))


def noisy() -> Calibration:
    """Every other repeat takes half as long again."""
    factors = iter(np.tile([1.0, 1.5], 20))
    return calibrate(measure=lambda: sample_of(PLANTED, float(next(factors))))


def test_planted_costs_come_back() -> None:
    found = quiet().table()
    assert found["ns"].to_dict() == pytest.approx(PLANTED)
    assert found["spread"].max() == pytest.approx(0, abs=1e-9)
    costs = quiet().costs("mine")
    assert costs.init_per_descriptor == 0
    assert costs.preset_cpus == 1
    assert costs.pass_ns(pfnlab.Params(n_cpus=3)) == pytest.approx(1300 + 2 * 9000)


def test_each_constant_has_its_source() -> None:
    figures = quiet().figures()
    assert set(figures) == set(FIGURES)
    measured = {name for name, figure in figures.items() if figure.trust == "L"}
    assert measured == set(PLANTED)
    assert "pfnlab calibrate" in figures["trap"].source
    assert figures["ipi"].trust == "A"


def test_one_cpu_measures_no_neighbour() -> None:
    sample = sample_of(PLANTED)
    del sample["cycle_beside"]
    found = calibrate(measure=lambda: sample)
    assert "shootdown_per_cpu" not in constants_of(found.samples)
    assert found.figures()["shootdown_per_cpu"].trust == "A"


def test_noise_is_said_and_nothing_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(noisy().noise()) == set(PLANTED)
    assert quiet().noise() == {}
    below = calibrate(measure=lambda: sample_of(PLANTED | {"dtlb_miss": -1.0}))
    assert set(below.noise()) == {"dtlb_miss"}  # steady, and can't be
    monkeypatch.setattr(calibration, "calibrate", noisy)
    assert main(["calibrate", "mine"]) == 1
    said = capsys.readouterr()
    assert "too noisy" in said.err
    assert "trap 50%" in said.err
    assert not folder.exists()


def test_a_preset_is_used_like_any_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(calibration, "calibrate", quiet)
    assert main(["calibrate", "mine", "--no-validation", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trap"]["ns"] == pytest.approx(700)
    assert [path.name for path in folder.iterdir()] == ["mine.json"]
    costs = pfnlab.Costs.preset("mine")
    assert costs.trap == 700
    assert costs.figures()["trap"].trust == "L"
    assert costs.replace(trap=1.0).figures()["trap"].trust == "A"
    trace = pfnlab.workload("zipf", n_events=1000).trace(pfnlab.Params())
    frame = pfnlab.sweep(trace, costs="mine", chunk_bytes=["2MiB"])
    assert set(frame["costs"]) == {"mine"}
    assert pfnlab.schemes(trace, costs="mine")["event_ns"].notna().any()


def test_names_are_checked_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "calibrate", None)
    assert main(["calibrate", "hvo-8s"]) == 2
    assert main(["calibrate", "../x"]) == 2
    write_preset("mine", PRESETS["hvo-8s"], {})
    assert main(["calibrate", "mine"]) == 2
    with pytest.raises(pfnlab.ParameterError, match="is taken by"):
        check_name("mine")
    assert calibrated_names() == ["mine"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a preset of pfnlab calibrate"),
        ("{", "must be a preset of pfnlab calibrate"),
        ("[]", "must be a preset of pfnlab calibrate"),
        ('{"figures": {"trap": 3}}', "must be a preset"),
        ('{"figures": {"trap": {"value": "x", "trust": "L", "source": ""}}}', "trap="),
        ('{"figures": {"trap": {"value": 1, "trust": "Z", "source": ""}}}', "trap="),
        ('{"figures": {"trap": {"value": 1, "trust": "L", "source": ""}}}', "must have every cost"),
    ],
)
def test_a_damaged_preset_is_named_and_spares_the_others(text: str, message: str) -> None:
    presets_folder().mkdir(parents=True)
    (presets_folder() / "mine.json").write_text(text)
    with pytest.raises(pfnlab.FileError, match=message):
        pfnlab.Costs.preset("mine")
    assert pfnlab.Costs.preset("hvo-8s").trap == 700
    with pytest.raises(pfnlab.ParameterError, match="did you mean 'mine'"):
        pfnlab.Costs.preset("mime")
    assert figures_of("../mine") is None


def test_a_dry_run_says_what_it_would_do(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "mine", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in calibration.MEASURED)
    assert not folder.exists()


def test_errors_are_shares_of_what_was_measured() -> None:
    frame = pd.DataFrame({"source": ["a", "a", "b"], "error": [0.1, 0.3, 0.5]})
    table = twin_times.errors(frame)
    assert table.loc["a", "median"] == pytest.approx(0.2)
    assert table.loc["all", "runs"] == 3
    assert table.loc["all", "p90"] == pytest.approx(0.46)


@pytest.mark.skipif(why_no_twin() is not None, reason=str(why_no_twin()))
def test_this_machine_can_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    small: dict[str, Any] = {"_N_SINGLE": 64, "_N_MANY": 8, "_N_TOUCHES": 1000, "_ROUNDS": 1,
                             "_MANY_PAGES": 64, "_N_BESIDE": 32}  # fmt: skip
    for name, value in small.items():
        monkeypatch.setattr(calibration, name, value)
    found = calibrate(repeats=3)
    assert set(found.samples) <= set(calibration.MEASURED)
    assert (found.samples.filter(like="fault") > 0).all(axis=None)
    monkeypatch.setattr(twin_times, "SIZES", twin_times.SIZES[:1])
    trace = pfnlab.workload("zipf", n_events=300).trace(pfnlab.Params(region_bytes="16GiB"))
    frame = twin_times.validate(pfnlab.Costs.preset("hvo-8s"), [trace])
    assert (frame["measured_ns"] > 0).all()
