"""Advice against brute force over its whole grid, knees by plain geometry, and refusals."""

import math
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pfnlab
from pfnlab import figures
from pfnlab.alternatives import PROPERTIES
from pfnlab.alternatives.advice import Advice, advise
from pfnlab.frames.best import front_of, knee_of
from pfnlab.traces.workloads import workload

N_EVENTS = 20_000
SMALL_GRID: dict[str, Any] = {
    "granule_bytes": ["4KiB"],
    "chunk_bytes": ["4KiB", "64KiB"],
    "batch_chunks": [1, 8],
    "threshold_of_footprint": [0.25, 1.0],
    "policy": ["lra", "lru"],
}
PARAMS = pfnlab.Params(region_bytes="64GiB")


def shipped(name: str) -> pfnlab.Trace:
    trace = pfnlab.load(f"data/traces/{name}.parquet")
    (events,) = list(trace.pieces(pfnlab.Params(), N_EVENTS))[:1]
    return pfnlab.Trace(
        events.pfns, events.ops, events.atomic, page_bytes=trace.page_bytes,
        name=trace.name, evidence=trace.evidence,
    )  # fmt: skip


NAMES = ["zipf", *(pytest.param(name, marks=pytest.mark.slow) for name in ("pgbench", "sqlite"))]


@cache
def advised(name: str) -> Advice:
    zipf = workload("zipf", n_events=N_EVENTS)
    trace = zipf.trace(PARAMS) if name == "zipf" else shipped(name)
    needs = ["stable_address", "shared_refcount"]
    return advise(trace, pfnlab.Params(), dram_budget="1MiB", needs=needs, executor=2)


def dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] <= b[0] and a[1] <= b[1] and a != b


def costs_of_points(frame: pd.DataFrame) -> list[tuple[float, float]]:
    """DRAM and time of every point, from its counters."""
    return [
        (
            row["peak_resident_bytes"] + row["page_table_bytes"]
            + row["reserve_granules"] * row["granule_bytes"],
            row["event_ns"] if row["atomic_faults"] == 0 else math.inf,
        )
        for row in frame.to_dict("records")
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_no_point_of_700_beats_one_that_is_returned(name: str) -> None:
    advice = advised(name)
    points = costs_of_points(advice.grid)
    assert len(points) >= 700
    returned = set(costs_of_points(advice.front))
    assert returned == {p for p in points if not any(dominates(q, p) for q in points)}
    for chosen in (advice.best, advice.knee):
        assert chosen is not None
        (at,) = costs_of_points(pd.DataFrame([advice.row(chosen)]))
        assert at in returned


@pytest.mark.parametrize("name", NAMES)
def test_the_best_is_the_fastest_within_the_budget(name: str) -> None:
    advice = advised(name)
    points = costs_of_points(advice.grid)
    assert advice.best is not None
    assert advice.lra is not None
    assert advice.row(advice.best)["event_ns"] == min(t for d, t in points if d <= 1 << 20)
    lra = costs_of_points(advice.grid[advice.grid["policy"] == "lra"])
    assert advice.lra.policy == "lra"
    assert advice.row(advice.lra)["event_ns"] == min(t for d, t in lra if d <= 1 << 20)


@pytest.mark.parametrize("name", NAMES)
def test_the_scheme_fits_keeps_its_properties_and_is_the_fastest(name: str) -> None:
    advice = advised(name)
    good = [
        row
        for row in advice.all_schemes.dropna(subset=["event_ns"]).to_dict("records")
        if row["all_dram_bytes"] <= 1 << 20
        and row["stable_address"]
        and row["shared_refcount"]
        and not row["scheme"].startswith("hvo")
        and (not row["scheme"].startswith("demand") or row["scheme"] in
             ("demand_lra", "demand_keep", "demand_shared"))
    ]  # fmt: skip
    assert advice.scheme == min(good, key=lambda row: float(row["event_ns"]))["scheme"]
    at = advice.all_schemes.set_index("scheme").loc["demand_lra"]
    assert advice.lra is not None
    row = advice.row(advice.lra)
    assert at["all_dram_bytes"] == row["dram_bytes"]
    assert at["event_ns"] == pytest.approx(row["event_ns"])


@pytest.mark.slow
def test_the_answer_names_what_was_asked_and_chosen() -> None:
    advice = advised("pgbench")
    for text in (str(advice), advice._repr_markdown_()):
        for part in ("pgbench (proxy) on 1TiB, 64 CPUs", "hvo-8s", "within 1 MiB",
                     "stable_address, shared_refcount", "16 GiB", str(advice.scheme)):  # fmt: skip
            assert part in text
    assert len(str(advice).splitlines()) <= 7


@pytest.mark.kernel
def test_without_a_budget_the_knee_is_advised() -> None:
    trace = workload("zipf", n_events=300, n_pages=200).trace(PARAMS)
    advice = advise(trace, PARAMS, grid=SMALL_GRID)
    assert advice.best == advice.knee
    assert advice.dram_budget is None
    assert "Knee" not in str(advice)
    left = {name for name in advice.schemes["scheme"] if name.startswith(("hvo", "demand"))}
    assert left == {"demand_keep", "demand_lra"}  # no GETs for demand_shared, HVO is for RAM


def atomic_trace() -> pfnlab.Trace:
    pfns = np.tile(np.arange(0, 64 * 40, 64), 3)
    atomic = np.zeros(len(pfns), np.bool_)
    atomic[1::8] = True
    return pfnlab.Trace(pfns, atomic=atomic, name="atomic")


@pytest.mark.kernel
def test_points_with_atomic_faults_are_never_advised() -> None:
    advice = advise(atomic_trace(), PARAMS, grid=SMALL_GRID)
    illegal = advice.grid[advice.grid["atomic_faults"] > 0]
    assert set(illegal["reserve_granules"]) == {0}
    assert (advice.front["reserve_granules"] > 0).all()
    assert advice.best is not None
    assert advice.best.reserve_granules > 0
    assert f"{len(illegal)} of {len(advice.grid)} points make atomic callers fault" in str(advice)
    assert (advice.schemes["atomic_faults"] == 0).all()


@pytest.mark.kernel
def test_a_scheme_is_barred_only_by_its_own_illegal_accesses() -> None:
    """Atomic accesses that find their descriptors there bar nobody."""
    pfns = np.tile(np.arange(0, 64 * 40, 64), 3)
    atomic = np.zeros(len(pfns), np.bool_)
    atomic[-8:] = True
    ops = np.ones(len(pfns), np.uint8)
    trace = pfnlab.Trace(pfns, ops, atomic, name="late")
    table = advise(trace, PARAMS, grid=SMALL_GRID).schemes.set_index("scheme")
    assert {"demand_keep", "demand_shared", "two_level"} <= set(table.index)
    assert (table["atomic_faults"] == 0).all()
    trace = pfnlab.Trace(pfns, ops, ~atomic, name="early")
    grid = SMALL_GRID | {"reserve_granules": [0]}
    left = set(advise(trace, PARAMS, grid=grid).schemes["scheme"])
    assert not left & {"demand_keep", "demand_shared", "two_level"}


@pytest.mark.kernel
def test_a_trace_that_no_point_serves_says_so() -> None:
    grid = SMALL_GRID | {"reserve_granules": [0]}
    pfns = np.arange(0, 6400, 64)
    trace = pfnlab.Trace(pfns, atomic=np.ones(len(pfns), np.bool_), name="interrupts")
    advice = advise(trace, PARAMS, grid=grid)
    assert advice.best is None
    assert advice.knee is None
    assert advice.lra is None
    assert "no point of the grid is legal" in str(advice)
    assert not any(name.startswith("demand") for name in advice.schemes["scheme"])
    figures.pareto_front(advice)


@pytest.mark.kernel
def test_a_budget_that_no_point_meets_says_what_the_smallest_takes() -> None:
    trace = workload("zipf", n_events=300).trace(PARAMS)
    grid = SMALL_GRID | {"granule_bytes": ["64KiB"], "chunk_bytes": ["64KiB"]}
    advice = advise(trace, PARAMS, dram_budget="8KiB", grid=grid, needs=["bounded_dram"])
    assert advice.best is None
    least = min(d for d, _ in costs_of_points(advice.grid))
    assert least > 8192
    assert "no point of the grid fits the budget; the smallest takes" in str(advice)
    assert advice.scheme == "pfn_only"  # nothing takes a reference


@pytest.mark.kernel
def test_a_trace_with_references_is_not_served_by_pfns_alone() -> None:
    trace = workload("block_io", n_events=300).trace(PARAMS)
    advice = advise(trace, PARAMS, grid=SMALL_GRID)
    assert "pfn_only" not in set(advice.schemes["scheme"])


@pytest.mark.parametrize(
    "stopped", ["pfnlab.alternatives.advice.counted", "pfnlab.alternatives.advice.sweep"]
)
def test_ctrl_c_keeps_what_is_done(stopped: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = pfnlab.sweep, []

    def stop(*arguments: Any, **axes: Any) -> Any:
        calls.append(axes)
        if stopped.endswith("sweep") and len(calls) == 1:
            return real(*arguments, **axes)
        if stopped.endswith("sweep"):
            raise pfnlab.SweepInterrupted(pd.DataFrame(), 1)
        raise KeyboardInterrupt

    monkeypatch.setattr(stopped, stop)
    trace = workload("zipf", n_events=300).trace(PARAMS)
    with pytest.raises(pfnlab.SweepInterrupted) as interrupt:
        advise(trace, PARAMS, dram_budget="1MiB", grid=SMALL_GRID)
    assert len(interrupt.value.frame) >= 16
    assert interrupt.value.frame["event_ns"].gt(0).all()


# --- The front and its knee -------------------------------------------------------------------


def frame_of(points: list[tuple[float, float]]) -> pd.DataFrame:
    return pd.DataFrame(points, columns=["dram_bytes", "event_ns"]).assign(atomic_faults=0)


def distance_below(point: tuple[float, float], ends: list[tuple[float, float]]) -> float:
    """Distance of a point from the chord, in logarithms of base 10; positive below it."""
    (x0, y0), (x1, y1), (x, y) = (
        (math.log10(a), math.log10(b)) for a, b in (ends[0], ends[-1], point)
    )
    angle = math.atan2(y1 - y0, x1 - x0)
    return (x - x0) * math.sin(angle) - (y - y0) * math.cos(angle)


@pytest.mark.parametrize("seed", range(20))
def test_the_knee_is_farthest_from_the_chord(seed: int) -> None:
    random = np.random.default_rng(seed)
    cloud = [(float(d), float(t)) for d, t in 10 ** random.uniform(1, 6, (60, 2))]
    front = front_of(frame_of(cloud))
    points = list(front[["dram_bytes", "event_ns"]].itertuples(index=False, name=None))
    best = max(range(len(points)), key=lambda i: distance_below(points[i], points))
    assert knee_of(front) == best


def test_knees_by_hand() -> None:
    # Decades: the chord runs from (0, 4) to (4, 0); (1, 1) lies below it, (3, 0.5) less so.
    bend = [(1.0, 1e4), (10.0, 10.0), (1000.0, 3.0), (1e4, 1.0)]
    assert knee_of(frame_of(bend)) == 1
    assert knee_of(frame_of([(1.0, 5.0)])) == 0
    assert knee_of(frame_of([(1.0, 5.0), (2.0, 4.0)])) == 0
    assert knee_of(frame_of([]).astype(float)) is None
    assert knee_of(frame_of([(1.0, 1e4), (1e3, 9e3), (1e4, 1.0)])) == 0  # only above the chord


def test_equal_points_and_illegal_ones_are_left_out() -> None:
    frame = frame_of([(2.0, 2.0), (2.0, 2.0), (2.0, 3.0), (1.0, 1.0), (3.0, 1.0), (4.0, 0.5)])
    frame.loc[3, "atomic_faults"] = 1
    front = front_of(frame)
    assert front["dram_bytes"].tolist() == [2.0, 3.0, 4.0]


# --- Refusals and the picture -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dram_budget": 4096}, "dram_budget=4096: must hold one granule"),
        ({"dram_budget": "1B"}, "dram_budget='1B': must hold one granule"),
        ({"dram_budget": -5}, "dram_budget=-5: must hold one granule"),
        ({"dram_budget": "64"}, "dram_budget='64': must be a number with a unit"),
        ({"dram_budget": 1e9}, "dram_budget=1000000000.0: must be an int in bytes"),
        ({"dram_budget": True}, "dram_budget=True: must be an int in bytes"),
        ({"needs": ["stable_adress"]}, "no such property; did you mean 'stable_address'"),
        ({"needs": "stable_address"}, "must be a list of properties"),
        ({"costs": "hvo"}, "costs='hvo': no such preset"),
        ({"grid": {"chunk_byte": [1]}}, "no such axis; did you mean 'chunk_bytes'"),
        ({"grid": {"chunk_bytes": "64KiB"}}, "chunk_bytes='64KiB': an axis must be a list"),
        ({"grid": {"chunk_bytes": "64KiB"}, "dram_budget": "1MiB"}, "an axis must be a list"),
        ({"executor": 0}, "executor=0: must be None, a number of threads"),
    ],
)
def test_bad_input_is_refused(changes: dict[str, Any], message: str) -> None:
    trace = pfnlab.Trace(np.arange(3))
    with pytest.raises(pfnlab.ParameterError, match=message):
        pfnlab.advise(trace, PARAMS, **changes)


def test_nothing_to_advise_on() -> None:
    with pytest.raises(pfnlab.TraceError, match="has no accesses"):
        pfnlab.advise(pfnlab.Trace(np.zeros(0, np.int64)), PARAMS)
    with pytest.raises(pfnlab.ParameterError, match="must be a Trace or a workload"):
        pfnlab.advise("zipf", PARAMS)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_picture_says_what_was_chosen() -> None:
    picture = figures.pareto_front(advised("sqlite"))
    (axes,) = picture.axes
    assert axes.get_xlabel()
    assert axes.get_ylabel()
    keys = " ".join(text.get_text() for text in picture.legends[0].get_texts())
    assert "knee" in keys
    assert "best" in keys
    grid = advised("sqlite").grid
    assert figures.pareto_front(grid).get_suptitle()
    for column in ("dram_bytes", "event_ns", "policy", "source"):
        with pytest.raises(pfnlab.PfnlabError, match=column):
            figures.pareto_front(grid.drop(columns=column))


def test_needs_are_the_properties_of_the_schemes() -> None:
    assert set(PROPERTIES) <= set(advised("zipf").all_schemes)
