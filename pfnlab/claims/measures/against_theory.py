"""Replays beside the closed forms of `pfnlab.claims.theory`: each row has both figures.

Under independent references each granule holds the descriptor of one page, so that the pages of the
zipf workload, rank by rank, are the items that theory speaks of. A first quarter of the references
is replayed, not counted.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from pfnlab.claims import theory
from pfnlab.claims.theory.references import MAX_LRU_ITEMS
from pfnlab.errors import ParameterError
from pfnlab.params import Params
from pfnlab.params.units import short_bytes
from pfnlab.sweeps import sweep
from pfnlab.traces.workloads import workload

WARM_UP = 0.25
_ITEM_BYTES = 4096
POLICIES = ("lra", "random", "lru")


def beside_theory(seed: int = 0) -> pd.DataFrame:
    """Return the rows of the three comparisons below at their defaults, for a picture of them."""
    parts = (victim_orders(seed=seed), batches(seed=seed), sparse_touches(seed=seed))
    return pd.concat(parts, ignore_index=True)


def victim_orders(
    *,
    n_items: int = 1000,
    alpha: float = 0.8,
    capacities: Sequence[int] = (10, 25, 50, 100, 200, 400, 700),
    n_events: int = 1_000_000,
    policies: Sequence[str] = POLICIES,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare faults a reference with FIFO = RANDOM (exact) and LRU, by threshold.

    LRU is exact for few items, and Che's approximation for more.

    Parameters
    ----------
    n_items, alpha
        Granules in the region, and the exponent of their popularity.
    capacities
        Thresholds in granules, each from 1 to `n_items` - 1.
    n_events
        References, the first quarter included.
    policies
        Orders that theory has a form for: lra, random, lru.
    seed
        Of the references and of the random order.

    Returns
    -------
    pandas.DataFrame
        One row a policy and capacity: ``source``, ``evidence``, ``experiment``, ``series`` (the
        policy), ``x`` (capacity in granules), ``form``, ``simulated`` and ``predicted`` faults a
        reference, ``n_counted`` references, ``about`` the experiment.

    Raises
    ------
    ParameterError
        For a policy without a form, or an argument that the workload or the theory refuses.
    """
    for policy in policies:
        if policy not in POLICIES:
            raise ParameterError("policies", policy, f"must be of {', '.join(POLICIES)}")
    p = theory.zipf_probabilities(n_items, alpha)
    forms = {policy: _form(policy, n_items) for policy in policies}
    predicted = {(name, held): forms[name][0](p, held) for name in policies for held in capacities}
    thresholds = [held * _ITEM_BYTES for held in capacities]
    axes: dict[str, Any] = {"policy": list(policies), "threshold_bytes": thresholds}
    seen = _misses(n_items, alpha, n_events, seed, **axes)
    held = seen["threshold_bytes"] // _ITEM_BYTES
    return _rows(
        "orders",
        f"zipf, {n_items:,} granules, alpha {alpha:g}",
        series=seen["policy"],
        x=held,
        form=[forms[policy][1] for policy in seen["policy"]],
        simulated=seen["misses"],
        predicted=[predicted[key] for key in zip(seen["policy"], held, strict=True)],
        n_counted=seen["n_counted"],
    )


def _form(policy: str, n_items: int) -> tuple[Callable[[Any, int], float], str]:
    if policy != "lru":
        return theory.fifo_exact, "exact"
    if n_items <= MAX_LRU_ITEMS:
        return theory.lru_exact, "exact"
    return theory.lru_approximate, "Che's approximation"


def batches(
    *,
    n_items: int = 1000,
    alpha: float = 0.8,
    capacity: int = 200,
    batch_chunks: Sequence[int] = (1, 10, 25, 50, 100, 150, 200),
    n_events: int = 1_000_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare faults a reference with chunked LRA, by chunks that one pass unmaps.

    Arguments, rows and errors are as for `victim_orders`, with one threshold of `capacity` granules
    and ``x`` the batch, from 1 to `capacity`.
    """
    p = theory.zipf_probabilities(n_items, alpha)
    predicted = [theory.chunked_lra(p, capacity, batch) for batch in batch_chunks]
    axes: dict[str, Any] = {
        "threshold_bytes": [capacity * _ITEM_BYTES],
        "batch_chunks": list(batch_chunks),
    }
    seen = _misses(n_items, alpha, n_events, seed, **axes)
    return _rows(
        "batches",
        f"zipf, {n_items:,} granules, {capacity:,} resident",
        series="lra",
        x=seen["batch_chunks"],
        form="FIFO of C - (k - 1) / 2",
        simulated=seen["misses"],
        predicted=predicted,
        n_counted=seen["n_counted"],
    )


def sparse_touches(
    *,
    n_references: Sequence[int] = (1000, 10_000, 100_000),
    granule_bytes: Sequence[int] = (4096, 1 << 21),
    seed: int = 0,
) -> pd.DataFrame:
    """Compare the bytes of granules that uniform references to 1 TiB touch, by their number.

    ``series`` is the granule, ``x`` the references, ``simulated`` and ``predicted`` are bytes.
    """
    parts = []
    for n_events in n_references:
        params = Params(threshold_bytes="16GiB", chunk_bytes=max(granule_bytes), seed=seed)
        spec = workload("uniform", n_events=n_events)
        seen = sweep(spec, params, granule_bytes=list(granule_bytes))
        whole = params.vmemmap_bytes
        part = _rows(
            "touched",
            "uniform, 1 TiB",
            series=[short_bytes(granule) for granule in granule_bytes],
            x=n_events,
            form="G (1 - (1 - 1/G)^r)",
            simulated=seen["cold_faults"] * seen["granule_bytes"],
            predicted=[g * theory.expected_granules(whole // g, n_events) for g in granule_bytes],
            n_counted=n_events,
        )
        parts.append(part.assign(source="uniform"))
    return pd.concat(parts, ignore_index=True)


def _rows(experiment: str, about: str, **columns: Any) -> pd.DataFrame:
    about_all = {"source": "zipf", "evidence": "proxy", "experiment": experiment, "about": about}
    return pd.DataFrame(about_all | columns)


def _misses(n_items: int, alpha: float, n_events: int, seed: int, **axes: Any) -> pd.DataFrame:
    """Return a sweep with the faults a reference after the warm-up, as ``misses``.

    The workload's first references are the same whatever their number, so the faults of the warm-up
    are those of a shorter run.
    """
    params = Params(
        region_bytes=n_items * _ITEM_BYTES,
        descriptor_bytes=_ITEM_BYTES,
        granule_bytes=_ITEM_BYTES,
        chunk_bytes=_ITEM_BYTES,
        seed=seed,
    )
    n_warm = int(WARM_UP * n_events)
    warm, whole = (
        sweep(workload("zipf", alpha=alpha, n_events=n), params, **axes) for n in (n_warm, n_events)
    )
    n_counted = n_events - n_warm
    misses = (whole["faults"] - warm["faults"]) / max(n_counted, 1)
    return whole.assign(misses=misses, n_counted=n_counted)
