"""Claims on the victim order (T10): what evicting the least recently allocated costs."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from pfnlab.claims.verdict import ABOUT, Finding, Verdict, by_setting, by_trace, joined, worst
from pfnlab.frames import require
from pfnlab.params import PARAMETERS, Params
from pfnlab.params.policies import INFORMED
from pfnlab.params.units import short_bytes

# Bounds that decide the verdicts; each is a judgement, named here once.
SHARE_OF_FOOTPRINT = 0.25
SHARE_TOLERANCE = 0.05
REFAULTS_PER_ACCESS = 0.05
FAULTS_OVER_BEST = 0.10

#: The order that must know future accesses.
OPTIMUM = "opt"


def small_share_suffices(frame: pd.DataFrame) -> Verdict:
    """T10: with a quarter of the footprint resident, LRA causes few refaults."""
    require(frame, [*ABOUT, *PARAMETERS, "footprint_bytes", "peak_resident_bytes", "refaults",
                    "accesses", "faults", "atomic_faults", "shootdowns"])  # fmt: skip
    return joined(
        {
            name: worst([_refaults_of(row) for row in rows.to_dict("records")])
            for name, rows in by_trace(frame)
        },
        claim="T10",
        who="Ingo Molnar",
        statement=(
            f"Evicting the least recently allocated needs no access information: with "
            f"{SHARE_OF_FOOTPRINT:.0%} of the footprint resident at most {REFAULTS_PER_ACCESS:.0%} "
            f"of accesses fault again"
        ),
    )


def _refaults_of(row: dict[Any, Any]) -> Finding:
    """Judge one row by the share that was resident at the peak: pins may hold more."""
    limit = max(row["threshold_bytes"], row["peak_resident_bytes"])
    share = limit / row["footprint_bytes"] if row["footprint_bytes"] else 0.0
    if abs(share - SHARE_OF_FOOTPRINT) > SHARE_TOLERANCE or not row["faults"]:
        distance = abs(share - SHARE_OF_FOOTPRINT)
        return Finding(
            None, f"needs a row near {SHARE_OF_FOOTPRINT:.0%}, has {share:.0%}", distance
        )
    ratio = row["refaults"] / row["accesses"]
    return Finding(
        bool(ratio <= REFAULTS_PER_ACCESS),
        f"{ratio:.2%} of accesses fault again with {share:.0%} of the footprint resident "
        f"({short_bytes(limit)}; granules {short_bytes(row['granule_bytes'])}, chunks "
        f"{short_bytes(row['chunk_bytes'])}), {row['shootdowns']:,} shootdowns, "
        f"{row['atomic_faults']:,} illegal atomic faults",
        -ratio,
    )


def one_by_one(params: Params) -> Params:
    """Return `params` with each granule a chunk of its own, evicted one per pass.

    Every order can replay that, and LRA is FIFO there.
    """
    return params.replace(chunk_bytes=params.granule_bytes, batch_chunks=1)


def lra_is_enough(frame: pd.DataFrame) -> Verdict:
    """T10: at every threshold LRA faults little more than the best order that sees accesses."""
    require(frame, [*ABOUT, *PARAMETERS, "footprint_bytes", "faults", "shootdowns"])
    return joined(
        {name: _worst_threshold(rows) for name, rows in by_trace(frame)},
        claim="T10",
        who="Ingo Molnar",
        statement=(
            f"LRA needs no access information, and faults at most {FAULTS_OVER_BEST:.0%} more than "
            f"the best of {', '.join(INFORMED)}, which do, at every threshold tried (traces as "
            f"sleepable lookups without their PUTs; each granule a chunk of its own)"
        ),
    )


def _worst_threshold(rows: pd.DataFrame) -> Finding:
    """Judge one trace by its worst threshold; the text names the thresholds within the bound."""
    losses = [loss for some in by_setting(rows, "policy") if (loss := _loss(some)) is not None]
    if not losses:
        return Finding(None, "needs lra beside an order that watches accesses, and evictions")
    largest = max(losses, key=lambda loss: loss.over_best)
    kept = [loss.share for loss in losses if loss.over_best <= FAULTS_OVER_BEST]
    within = ", ".join(f"{share:.0%}" for share in sorted(set(kept))) or "none"
    text = (
        f"{largest.text}; within {FAULTS_OVER_BEST:.0%} at thresholds of {within} of the footprint"
    )
    return Finding(largest.over_best <= FAULTS_OVER_BEST, text, -largest.over_best)


@dataclass(frozen=True, slots=True)
class _Loss:
    share: float
    over_best: float
    text: str


def _loss(rows: pd.DataFrame) -> _Loss | None:
    """Return what LRA loses at one setting; None if an order is missing or nothing is evicted."""
    faults = rows.groupby("policy")["faults"].min().to_dict()
    informed = {name: faults[name] for name in INFORMED if name in faults}
    evicted = rows.loc[rows["policy"] == "lra", "shootdowns"]
    if not informed or not len(evicted) or not evicted.any():
        return None
    best = min(informed, key=lambda name: informed[name])
    row = rows.iloc[0]
    share = float(row["threshold_bytes"] / row["footprint_bytes"])
    others = [name for name in (best, "lru", OPTIMUM) if name in faults]
    over = {name: faults["lra"] / faults[name] - 1 for name in others}
    compared = ", ".join(f"{more:+.1%} over {name}" for name, more in over.items())
    text = f"at worst {faults['lra']:,} faults, {compared}, with {share:.0%} of the footprint"
    return _Loss(share, float(over[best]), f"{text} ({short_bytes(row['threshold_bytes'])})")
