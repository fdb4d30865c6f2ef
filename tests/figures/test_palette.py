"""Colours: one for one thing, and told apart by eyes without green cones."""

import re
from itertools import combinations, pairwise
from pathlib import Path
from typing import cast

import pytest
from matplotlib.colors import to_hex

from pfnlab.alternatives import known_schemes
from pfnlab.figures import palette
from pfnlab.params import PARAMETERS, policies
from pfnlab.params.costs import Cost
from tests import seeing

ROLES = (palette.INK, palette.GREY, palette.ILLEGAL, palette.PIN)
PARTS = ("lookup", "trap", "zero", "init", "unmap", "freeze", "shootdown", "stolen", "rebuild")


def apart(colours: list[str]) -> float:
    return min(seeing.distance(a, b) for a, b in combinations(colours, 2))


def test_what_can_stand_together_is_told_apart() -> None:
    colours = [palette.policy(name).colour for name in PARAMETERS["policy"].choices]
    parts = [palette.cost_part(name).colour for name in PARTS]
    families = sorted({palette.scheme(name).colour for name in known_schemes()})
    assert apart([*ROLES, *palette.COLOURS]) >= seeing.FLOOR
    assert apart([*colours, palette.ILLEGAL, palette.PIN]) >= seeing.FLOOR
    assert apart(parts) >= seeing.FLOOR
    assert apart(families) >= seeing.FLOOR


def test_the_measure_knows_who_sees_what() -> None:
    assert seeing.distance("#808080", "#808080") == 0
    # Red and green of one lightness: far apart, but not without green cones.
    assert seeing.distance("#d02020", "#6f7a00", seeing.NORMAL) > seeing.FLOOR
    assert seeing.distance("#d02020", "#7f7a10", seeing.DEUTERANOPIC) < seeing.FLOOR
    assert seeing.distance("#000000", "#ffffff") == pytest.approx(100 / 7.33, rel=0.01)


def test_sizes_grow_lighter_and_keep_apart() -> None:
    colours = [palette.size(4096 << shift).colour for shift in range(0, 19, 2)]
    lightness = [seeing.lab(colour, seeing.NORMAL)[0] for colour in colours]
    assert lightness == sorted(lightness)
    assert min(seeing.distance(a, b) for a, b in pairwise(colours)) >= seeing.ORDERED_FLOOR
    assert palette.size(4096) != palette.size(8192)
    assert palette.size(0) == palette.size(1) == palette.size(4096)
    assert palette.size(1 << 60).colour == palette.size(1 << 30).colour


def test_a_thing_has_one_look() -> None:
    looks = [palette.policy(name) for name in PARAMETERS["policy"].choices]
    assert len({look.colour for look in looks}) == len({look.marker for look in looks}) == 7
    schemes = {name: palette.scheme(name) for name in known_schemes()}
    assert len(set(schemes.values())) == len(schemes)
    assert schemes["demand_lra"].colour == schemes["demand_keep"].colour
    assert palette.sources(["b", "a", "b"]) == {"b": palette.place(0), "a": palette.place(1)}
    assert len({palette.place(number) for number in range(24)}) == 24


def test_every_time_of_a_cost_has_a_colour() -> None:
    for name in Cost.__dataclass_fields__:
        if name.endswith("_ns") and name not in ("initiator_ns", "event_ns"):
            assert palette.cost_part(name).colour in {palette.cost_part(p).colour for p in PARTS}
    with pytest.raises(KeyError):
        palette.cost_part("trp")


def test_a_policy_of_ones_own_has_a_look_of_its_own() -> None:
    for name in ("first", "second"):
        policies._registered[name] = cast(policies.Policy, name)  # its functions don't matter
    looks = [palette.policy(name) for name in PARAMETERS["policy"].names]
    assert len({look.colour for look in looks}) == len(looks) == 9
    assert palette.policy("never registered").colour in {look.colour for look in looks[7:]}


def test_colours_stand_in_one_place(root: Path) -> None:
    for path in (root / "pfnlab" / "figures").glob("*.py"):  # a stage has paper of its own
        if path.name != "palette.py":
            assert not re.search(r"#[0-9A-Fa-f]{6}", path.read_text()), path.name


def test_text_can_be_read() -> None:
    for colour in (*palette.COLOURS, *ROLES, palette.size(1 << 30).colour):
        assert seeing.contrast(palette.text(colour)) >= 4.5
    assert palette.text(palette.INK) == to_hex(palette.INK)
