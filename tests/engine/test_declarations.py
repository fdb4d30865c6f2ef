"""One declaration for each kind of thing: CONTRIBUTING.md lists all that must be written."""

import re
from pathlib import Path

import pytest

import pfnlab
from pfnlab.cli import main
from pfnlab.engine import counters, policies
from pfnlab.engine.result import COUNTERS
from pfnlab.figures import palette
from pfnlab.kernels import state as at
from pfnlab.notebooks.sweep_request import NAMES
from pfnlab.params import PARAMETERS, cost_presets
from pfnlab.params.cost_presets import Figure
from pfnlab.params.policies import BUILT_IN
from pfnlab.sweeps.axes import AXES

ROOT = Path(pfnlab.__file__).parent
SECTION = (
    (ROOT.parent / "CONTRIBUTING.md").read_text().split("## Adding a thing")[1].split("\n## ")[0]
)
PLACES = {
    "a counter": ["kernels/state.py", "kernels/replay.py", "engine/result.py"],
    "a policy": [
        "params/policies.py", "kernels/policies/", "engine/policies.py", "figures/palette.py",
    ],
    "a parameter": ["params/__init__.py"],
    "a cost preset": ["params/cost_presets.py"],
}  # fmt: skip
#: Derived from other counters, or sizes that the mechanism counts in granules and windows.
OTHERWISE = {"accesses", "hits", "peak_resident_bytes", "resident_bytes", "mean_resident_bytes",
             "page_table_bytes", "page_table_kept_bytes"}  # fmt: skip


@pytest.mark.parametrize("thing", PLACES)
def test_the_listed_places_are_there(thing: str) -> None:
    row = next(line for line in SECTION.splitlines() if line.startswith(f"| {thing} |"))
    listed = [each for each in re.findall(r"`([^`]+)`", row.split("|")[2]) if "/" in each]
    assert listed == PLACES[thing]
    assert all((ROOT / place).exists() for place in listed)


def test_every_counter_has_a_place_a_loop_and_a_field() -> None:
    added = [name for name in COUNTERS if name not in OTHERWISE]
    assert added == list(counters.ADDED)
    assert set(counters.places(at)) == {*added, *counters.SIZES}
    loops = "".join(
        path.read_text() for path in [ROOT / "kernels/replay.py", ROOT / "kernels/victims.py"]
    )
    assert [name for name in added if not re.search(rf"\b{name.upper()}\b", loops)] == []


def test_every_policy_has_a_record_a_kernel_and_a_look() -> None:
    assert {"lra", *policies.KERNELS} == {*BUILT_IN}
    files = {f"{name}.py" for name in policies.KERNELS.values()}
    assert files <= {path.name for path in (ROOT / "kernels/policies").iterdir()}
    codes = {name: order.code for name, order in BUILT_IN.items() if order.code is not None}
    assert codes == {"random": at.RANDOM, "lru": at.LRU, "clock": at.CLOCK, "sieve": at.SIEVE}
    assert [name for name in BUILT_IN if name not in palette._POLICIES] == []


def test_every_parameter_is_a_flag_an_axis_and_a_name_in_a_cell(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["replay", "--help"])
    said = capsys.readouterr().out
    for name in PARAMETERS:
        assert f"--{name.replace('_', '-')}" in said
    assert set(PARAMETERS) <= {*AXES} & {*NAMES}


def test_a_preset_from_outside_arrives(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = cost_presets.PRESETS["hvo-8s"] | {"trap": Figure(1, "A", "of this test")}  # type: ignore[operator]
    monkeypatch.setitem(cost_presets._PRESETS, "fake", figures)
    assert pfnlab.Costs.preset("fake").trap == 1
    assert main(["replay", "no-such-source", "--costs", "fakes"]) == 2
    assert "did you mean 'fake'" in capsys.readouterr().err
    with pytest.raises(pfnlab.ParameterError, match="did you mean 'fake'"):
        pfnlab.Costs.preset("fakes")
