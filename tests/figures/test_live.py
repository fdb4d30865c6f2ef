"""A live picture looks like the same figure drawn whole, whatever moved before."""

from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

import pfnlab
from pfnlab.engine.exploration import Explored
from pfnlab.figures.explorer import HEIGHT, VIEWS, WIDTH, Shown
from pfnlab.figures.live import LiveFigure
from pfnlab.params.costs import costs_of

PARAMS = pfnlab.Params(region_bytes="16GiB", chunk_bytes="64KiB", threshold_bytes="2MiB")
TRACE = pfnlab.workload("zipf", n_events=5000).trace(PARAMS)


def explored() -> list[Explored]:
    variants: list[dict[str, Any]] = [
        {},
        {"threshold_bytes": "4MiB"},
        {"policy": "lru"},
        {"batch_chunks": 8},
    ]
    return [pfnlab.explore(TRACE, PARAMS.replace(**each)) for each in variants]


SEEN = explored()
COSTS = [costs_of(name) for name in ("hvo-8s", "latr-8s120", "invlpgb")]


def pixels(png: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(BytesIO(png)))


def live(name: str) -> tuple[LiveFigure, Any]:
    figure = LiveFigure(WIDTH, HEIGHT)
    view = VIEWS[name](figure.figure)
    figure.moving(view.moving)
    return figure, view


choices = st.tuples(
    st.sampled_from(range(len(SEEN))), st.sampled_from(range(len(COSTS))),
    st.sampled_from([1.0, 0.3]), st.sampled_from([None, 0, 1]),
)  # fmt: skip


@given(st.sampled_from(sorted(VIEWS)), st.lists(choices, min_size=1, max_size=6))
@settings(max_examples=30)
def test_it_is_drawn_as_if_for_the_first_time(
    name: str, moves: list[tuple[int, int, float, int | None]]
) -> None:
    figure, view = live(name)
    png = b""
    for seen, costs, moment, pinned in moves:
        now = Shown(SEEN[seen], COSTS[costs], moment)
        beside = None if pinned is None else Shown(SEEN[pinned], COSTS[0])
        png = figure.png(view.show(now, beside))
    fresh, again = live(name)
    expected = pixels(fresh.png(again.show(now, beside))).astype(int)
    assert np.abs(pixels(png).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("name", VIEWS)
def test_it_is_drawn_as_matplotlib_would(name: str) -> None:
    figure, view = live(name)
    now = Shown(SEEN[0], COSTS[0], 0.4)
    found = pixels(figure.png(view.show(now, None))).astype(int)
    still = Figure(figsize=(WIDTH, HEIGHT), dpi=100)
    VIEWS[name](still).show(now, None)
    file = BytesIO()
    still.savefig(file, format="png")
    expected = np.asarray(Image.open(file).convert("RGB")).astype(int)
    # Lines below texts, and the like, in another order; nothing is missing or elsewhere.
    differ = np.abs(found - expected).max(axis=2) > 64
    assert differ.mean() < 0.002


def test_something_moves() -> None:
    figure, view = live("time")
    one = figure.png(view.show(Shown(SEEN[0], COSTS[0]), None))
    other = figure.png(view.show(Shown(SEEN[1], COSTS[0]), None))
    assert np.count_nonzero(pixels(one) != pixels(other)) > 300
