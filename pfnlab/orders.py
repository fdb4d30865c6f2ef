"""Victim orders side by side: any trace as plain lookups, and independent references as theory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pfnlab import theory
from pfnlab.errors import ParameterError
from pfnlab.grid import Source, sweep
from pfnlab.params import Params
from pfnlab.replayable import Evidence, Replayable
from pfnlab.requests import PUT
from pfnlab.theory.checked import Reals
from pfnlab.trace import Trace
from pfnlab.workloads import workload

#: Share of the references that fill the cache before misses are counted.
WARM_UP = 0.25
_ITEM_BYTES = 4096
_EXACT_FIFO = (theory.fifo_exact, "exact")
_FORMS: Mapping[str, tuple[Callable[[Reals, int], float], str]] = {
    "lra": _EXACT_FIFO,
    "random": _EXACT_FIFO,
    "lru": (theory.lru_approximate, "Che's approximation"),
}


@dataclass(frozen=True, slots=True)
class Lookups:
    """A source whose events are all lookups that can sleep, so that every order can replay it.

    PUTs are left out, and each GET becomes a LOOKUP: nothing is pinned and nothing is illegal, so
    the orders differ in their victims alone.
    """

    source: Source

    @property
    def name(self) -> str:
        """What reports call it: as the source."""
        return self.source.name

    @property
    def evidence(self) -> Evidence:
        """Whether its events are references on descriptors or stand in for them."""
        return self.source.evidence

    def trace(self, params: Params) -> Replayable:
        """Return the lookups for the region of `params`; a trace of lookups is returned as it is.

        Raises
        ------
        TraceError
            If the trace does not fit the region.
        """
        trace = self.source.trace(params)
        if not trace.has_ops and not trace.has_atomic:
            return trace
        parts = [
            piece.pfns.copy() if piece.ops is None else piece.pfns[piece.ops != PUT]
            for piece in trace.pieces(params)
        ]
        return Trace(
            np.concatenate(parts) if parts else np.zeros(0, np.int64),
            page_bytes=trace.page_bytes,
            name=trace.name,
            evidence=trace.evidence,
            provenance={**trace.provenance, "view": "accesses as sleepable lookups, no PUTs"},
        )


def one_by_one(params: Params) -> Params:
    """Return `params` with each granule a chunk of its own, evicted one a pass.

    This is what every order knows, and where LRA is FIFO.
    """
    return params.replace(chunk_bytes=params.granule_bytes, batch_chunks=1)


def independent_references(
    *,
    n_items: int = 1000,
    alpha: float = 0.8,
    capacities: Sequence[int] = (10, 25, 50, 100, 200, 400, 700),
    n_events: int = 1_000_000,
    policies: Sequence[str] = tuple(_FORMS),
    seed: int = 0,
) -> pd.DataFrame:
    """Replay independent Zipf references, and set beside it what theory says of them.

    Each granule holds the descriptor of one page, so that the pages of the zipf workload, rank by
    rank, are the items that theory speaks of. The first quarter of the references is replayed, not
    counted.

    Parameters
    ----------
    n_items, alpha
        Granules in the region, and the exponent of their popularity.
    capacities
        Thresholds in granules, each from 1 to `n_items` - 1.
    n_events
        References, the first quarter included; at least 4.
    policies
        Orders that theory has a form for: lra, random, lru.
    seed
        Of the references and of the random order.

    Returns
    -------
    pandas.DataFrame
        One row a policy and capacity: ``source``, ``evidence``, ``policy``, ``n_items``, ``alpha``,
        ``capacity`` (granules), ``n_counted`` references, ``simulated`` and ``predicted`` misses a
        reference, and the ``form`` that predicted.

    Raises
    ------
    ParameterError
        For a policy without a form, or an argument that the workload or the theory refuses.
    """
    for policy in policies:
        if policy not in _FORMS:
            raise ParameterError("policies", policy, f"must be of {', '.join(_FORMS)}")
    p = theory.zipf_probabilities(n_items, alpha)
    predicted = {
        (policy, held): _FORMS[policy][0](p, held) for policy in policies for held in capacities
    }
    n_warm = int(WARM_UP * n_events)
    warm, whole = (
        _faults(n, n_items, alpha, policies, capacities, seed) for n in (n_warm, n_events)
    )
    rows = [
        {
            "source": "zipf",
            "evidence": "proxy",
            "policy": policy,
            "n_items": n_items,
            "alpha": alpha,
            "capacity": held,
            "n_counted": n_events - n_warm,
            "simulated": (whole[policy, held] - warm[policy, held]) / (n_events - n_warm),
            "predicted": value,
            "form": _FORMS[policy][1],
        }
        for (policy, held), value in predicted.items()
    ]
    return pd.DataFrame(rows)


def _faults(
    n_events: int,
    n_items: int,
    alpha: float,
    policies: Sequence[str],
    capacities: Sequence[int],
    seed: int,
) -> dict[tuple[str, int], int]:
    """Return the faults by policy and capacity; those of fewer events are a beginning of these."""
    params = Params(
        region_bytes=n_items * _ITEM_BYTES,
        descriptor_bytes=_ITEM_BYTES,
        granule_bytes=_ITEM_BYTES,
        chunk_bytes=_ITEM_BYTES,
        seed=seed,
    )
    references = workload("zipf", alpha=alpha, n_events=n_events)
    thresholds = [held * _ITEM_BYTES for held in capacities]
    frame = sweep(references, params, policy=list(policies), threshold_bytes=thresholds)
    held = frame["threshold_bytes"] // _ITEM_BYTES
    return dict(zip(zip(frame["policy"], held, strict=True), frame["faults"], strict=True))
