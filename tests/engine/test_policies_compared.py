"""Orders side by side: traces as lookups, the replay beside theory, and what LRA loses (T10)."""

import re
from typing import Any

import pandas as pd
import pytest

import pfnlab
from pfnlab import claims, figures
from pfnlab.claims.measures import against_theory
from pfnlab.params import PARAMETERS
from pfnlab.traces.views import lookups

GETS = ([5, 6, 5, 9, 6, 5], [1, 1, 2, 0, 2, 1], [0, 0, 1, 1, 1, 1])


def test_lookups_are_the_accesses_of_a_trace() -> None:
    pfns, ops, atomic = GETS
    trace = pfnlab.Trace(pfns, ops, atomic, name="pins", evidence="direct")  # type: ignore[arg-type]
    source = lookups(trace)
    seen = source.trace(pfnlab.Params())
    (piece,) = seen.pieces(pfnlab.Params())
    assert piece.pfns.tolist() == [5, 6, 9, 5]
    assert not seen.has_ops
    assert not seen.has_atomic
    assert (source.name, source.evidence) == (seen.name, seen.evidence) == ("pins", "direct")
    assert trace.has_ops  # which stays as it was


def test_lookups_of_atomic_callers_alone_keep_every_event() -> None:
    trace = pfnlab.Trace([7, 8, 7], atomic=[1, 0, 1])  # type: ignore[arg-type]
    (piece,) = lookups(trace).trace(pfnlab.Params()).pieces(pfnlab.Params())
    assert (piece.pfns.tolist(), piece.atomic) == ([7, 8, 7], None)


def test_lookups_of_lookups_and_of_nothing() -> None:
    plain, puts = pfnlab.Trace([1, 2]), pfnlab.Trace([1], [2])  # type: ignore[arg-type]
    assert lookups(plain).trace(pfnlab.Params()) is plain
    assert len(lookups(puts).trace(pfnlab.Params())) == 0


def test_a_pfn_outside_the_region_is_refused() -> None:
    trace = pfnlab.Trace([1 << 30], [1])  # type: ignore[arg-type]
    with pytest.raises(pfnlab.TraceError, match="pfn=1073741824 in event 0"):
        lookups(trace).trace(pfnlab.Params(region_bytes="1GiB"))


def test_one_by_one_suits_every_order() -> None:
    params = pfnlab.Params(granule_bytes="64KiB", batch_chunks=8)
    alone = claims.victim_order.one_by_one(params)
    assert (alone.chunk_bytes, alone.batch_chunks) == (1 << 16, 1)
    assert alone.replace(policy="opt").policy == "opt"


# --- Beside theory ----------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.6, 1.0])
def test_the_replay_keeps_to_theory(alpha: float) -> None:
    """Within 2 %: three standard errors of 150,000 references, and Che's own error."""
    frame = against_theory.victim_orders(
        n_items=200, alpha=alpha, capacities=(10, 50, 120), n_events=200_000, seed=3
    )
    assert len(frame) == 9
    assert (frame["simulated"] / frame["predicted"] - 1).abs().max() < 0.02
    misses = frame.pivot(index="x", columns="series", values="simulated")
    assert (misses["lru"] < misses["lra"]).all()
    assert (misses["random"] / misses["lra"] - 1).abs().max() < 0.02


@pytest.mark.kernel
def test_the_replay_is_near_theory_even_in_few_references() -> None:
    frame = against_theory.victim_orders(
        n_items=16, alpha=1.0, capacities=(2, 8), n_events=4000, policies=("lra", "lru")
    )
    assert (frame["simulated"] - frame["predicted"]).abs().max() < 0.05
    assert set(frame["n_counted"]) == {3000}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"policies": ["clock"]}, "policies='clock': must be of lra, random, lru"),
        ({"capacities": [1000]}, "capacity=1000: must be between 1 and 999"),
        ({"alpha": -1}, "alpha=-1: must be a number, between 0 and 1000"),
        ({"n_events": -8}, "n_events=-2: must be between"),
    ],
)
def test_what_theory_does_not_know_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(pfnlab.ParameterError, match=re.escape(message)):
        against_theory.victim_orders(**asked)


def test_lru_of_few_items_is_exact() -> None:
    frame = against_theory.victim_orders(
        n_items=12, alpha=1.0, capacities=(3, 6), policies=("lru",)
    )
    assert set(frame["form"]) == {"exact"}
    assert (frame["simulated"] / frame["predicted"] - 1).abs().max() < 0.01


def test_batches_keep_to_theory_up_to_a_quarter_of_the_threshold() -> None:
    """Within 2 % there; a batch of all that is resident faults less than the form says."""
    frame = against_theory.batches(
        n_items=200, capacity=40, batch_chunks=(1, 4, 10, 40), n_events=400_000, seed=3
    )
    off = (frame["simulated"] / frame["predicted"] - 1).tolist()
    assert max(map(abs, off[:3])) < 0.02
    assert -0.1 < off[3] < -0.02


def test_sparse_touches_keep_to_theory() -> None:
    frame = against_theory.sparse_touches(n_references=(100, 1000))
    assert frame["series"].tolist() == ["4 KiB", "2 MiB"] * 2
    assert (frame["simulated"] / frame["predicted"] - 1).abs().max() < 0.02


def test_the_picture_of_theory() -> None:
    frame = pd.concat(
        [
            against_theory.victim_orders(n_items=50, capacities=(5, 20), n_events=2000),
            against_theory.batches(n_items=50, capacity=10, batch_chunks=(1, 5), n_events=2000),
            against_theory.sparse_touches(n_references=(10, 100)),
        ]
    )
    picture = figures.beside_theory(frame)
    assert picture.get_suptitle()
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in picture.axes)
    assert "zipf, 50 granules" in picture.axes[0].get_title(loc="left")
    assert "uniform, 1 TiB" in picture.axes[2].get_title(loc="left")
    for column in ("simulated", "predicted", "x", "form"):
        with pytest.raises(pfnlab.PfnlabError, match=column):
            figures.beside_theory(frame.drop(columns=column))


# --- T10 --------------------------------------------------------------------------------------


def frame_of(**faults: int) -> pd.DataFrame:
    """One threshold, a quarter of the footprint; so many faults by each order."""
    about = {"source": "made", "evidence": "proxy", "n_events": 1000, "shootdowns": 10}
    fixed = pfnlab.Params(chunk_bytes=4096, threshold_bytes=64 * 4096).as_dict()
    sizes = {"footprint_bytes": 256 * 4096}
    return pd.DataFrame(
        [
            {**about, **fixed, **sizes, "policy": name, "faults": count}
            for name, count in faults.items()
        ]
    )


def test_lra_is_enough_where_it_faults_little_more() -> None:
    verdict = claims.lra_is_enough(frame_of(lra=109, lru=100, sieve=105, opt=50))
    assert verdict.holds is True
    assert "109 faults, +9.0% over lru, +118.0% over opt, with 25%" in verdict.evidence


def test_lra_is_not_enough_where_one_order_that_watches_does_better() -> None:
    verdict = claims.lra_is_enough(frame_of(lra=111, lru=109, s3fifo=100))
    assert verdict.holds is False
    assert "+11.0% over s3fifo, +1.8% over lru" in verdict.evidence
    assert "at thresholds of none of the footprint" in verdict.evidence


def test_one_threshold_that_fails_decides() -> None:
    good, bad = frame_of(lra=100, lru=100), frame_of(lra=200, lru=100)
    both = pd.concat([good, bad.assign(threshold_bytes=128 * 4096)], ignore_index=True)
    verdict = claims.lra_is_enough(both)
    assert verdict.holds is False
    assert "with 50% of the footprint" in verdict.evidence
    assert "within 10% at thresholds of 25% of the footprint" in verdict.evidence


@pytest.mark.parametrize(
    "frame",
    [
        frame_of(lra=100, random=10, opt=1),
        frame_of(lru=100, sieve=100),
        frame_of(lra=100, lru=1).assign(shootdowns=0),
    ],
    ids=["no order that watches", "no lra", "nothing evicted"],
)
def test_a_frame_that_can_not_tell_leaves_it_open(frame: pd.DataFrame) -> None:
    verdict = claims.lra_is_enough(frame)
    assert verdict.holds is None
    assert "needs lra beside an order that watches accesses" in verdict.evidence


def test_every_order_is_told_from_the_parameters_that_differ() -> None:
    frame = frame_of(lra=100, lru=100)
    other = frame_of(lra=300, lru=200).assign(granule_bytes=1 << 14, chunk_bytes=1 << 14)
    assert set(PARAMETERS) <= set(frame)
    assert claims.lra_is_enough(pd.concat([frame, other])).holds is False
