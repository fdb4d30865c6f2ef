"""Claims on sizes: of the region (T6), of chunks and batches (T7), of granules (T9)."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pfnlab.claims.verdict import ABOUT, Finding, Verdict, by_setting, by_trace, joined, worst
from pfnlab.frames import require
from pfnlab.params import PARAMETERS
from pfnlab.params.units import short_bytes

# Bounds that decide the verdicts; each is a judgement, named here once.
FEWER_SHOOTDOWNS = 8.0
MORE_FAULTS = 1.10
PASS_OF_THRESHOLD = 1 / 8
FEWER_FAULTS_SEQUENTIAL = 2.0
MORE_BYTES_SPARSE = 64.0

#: Workloads that are sequential, or sparse, by construction.
SEQUENTIAL = ("sequential", "gpu_tensors")
SPARSE = ("uniform",)


def bounded_dram(frame: pd.DataFrame) -> Verdict:
    """T6: resident descriptors never exceed the threshold, whatever the region's size."""
    counted = ("peak_resident_bytes", "page_table_bytes", "page_table_kept_bytes", "overcommits")
    require(frame, [*ABOUT, *PARAMETERS, *counted, "evicted_chunks", "vmemmap_bytes"])
    return joined(
        {name: _bounded(rows) for name, rows in by_trace(frame)},
        claim="T6",
        who="Jerome Glisse, Ingo Molnar",
        statement=(
            "A size limit bounds the resident descriptors, whatever the size of the device; "
            "page tables and the reserve come on top"
        ),
    )


def _bounded(rows: pd.DataFrame) -> Finding:
    if rows["region_bytes"].nunique() < 2 or not rows["evicted_chunks"].any():
        return Finding(None, "needs two region sizes, and a threshold that evicts something")
    limit = rows["threshold_bytes"]
    excess = float((rows["peak_resident_bytes"] / limit).max())
    reserve = rows["reserve_granules"] * rows["granule_bytes"]
    on_top, kept = rows["page_table_bytes"] + reserve, rows["page_table_kept_bytes"] + reserve
    largest = rows.sort_values("region_bytes").iloc[-1]
    regions = f"{short_bytes(rows['region_bytes'].min())} to {short_bytes(largest['region_bytes'])}"
    return Finding(
        excess <= 1,
        f"peak at most {excess:.3f} of the threshold over regions of {regions} "
        f"({int(rows['overcommits'].sum()):,} overcommits); on top {(on_top / limit).max():.2f} "
        f"({(kept / limit).max():.2f} if page tables are never freed); static descriptors of the "
        f"largest region take {short_bytes(largest['vmemmap_bytes'])}",
    )


def chunks_amortise(frame: pd.DataFrame) -> Verdict:
    """T7: a chunk or batch well below the threshold saves shootdowns and keeps the hits."""
    require(frame, [*ABOUT, *PARAMETERS, "shootdowns", "faults"])
    small = frame[frame["granule_bytes"] == frame["granule_bytes"].min()]
    findings = {
        name: worst(
            [_fewer_shootdowns(some) for some in by_setting(rows, "chunk_bytes", "batch_chunks")]
        )
        for name, rows in by_trace(small)
    }
    return joined(
        findings,
        claim="T7",
        who="Ingo Molnar",
        statement=(
            f"Unmapping in chunks or batches, of at most {PASS_OF_THRESHOLD:.1%} of the threshold, "
            f"divides the shootdowns by {FEWER_SHOOTDOWNS:g} or more for at most "
            f"{MORE_FAULTS - 1:.0%} more faults"
        ),
    )


def _fewer_shootdowns(rows: pd.DataFrame) -> Finding:
    by_pass = rows.assign(pass_bytes=rows["chunk_bytes"] * rows["batch_chunks"])
    by_pass = by_pass.sort_values(["pass_bytes", "batch_chunks"], kind="stable")
    base = by_pass.iloc[0]
    within = by_pass["pass_bytes"] <= PASS_OF_THRESHOLD * base["threshold_bytes"]
    others = by_pass[within & (by_pass["faults"] <= MORE_FAULTS * base["faults"])].iloc[1:]
    if by_pass.loc[within, "pass_bytes"].nunique() < 2 or base["shootdowns"] == 0:
        return Finding(
            None, "needs two pass sizes within the bound, and a threshold that evicts something"
        )
    candidates = (others[others["batch_chunks"] == 1], others[others["batch_chunks"] > 1])
    bests = [
        some.sort_values("shootdowns", kind="stable").iloc[0] for some in candidates if len(some)
    ]
    fewer = max((base["shootdowns"] / max(best["shootdowns"], 1) for best in bests), default=1.0)
    found = ", ".join(_against(base, best) for best in bests) or "to no fewer within the bounds"
    start = f"{short_bytes(base['chunk_bytes'])} x {base['batch_chunks']}"
    text = f"from {base['shootdowns']:,} shootdowns at {start} {found}"
    return Finding(bool(fewer >= FEWER_SHOOTDOWNS), text, fewer)


def _against(base: pd.Series[Any], best: pd.Series[Any]) -> str:
    fewer = base["shootdowns"] / max(best["shootdowns"], 1)
    more_faults = best["faults"] / base["faults"] - 1
    size = f"{short_bytes(best['chunk_bytes'])} x {best['batch_chunks']}"
    return (
        f"to {best['shootdowns']:,} ({fewer:,.1f} times fewer) at {size} "
        f"for {more_faults:+.1%} faults"
    )


def granules_trade(frame: pd.DataFrame) -> Verdict:
    """T9: larger granules fault less where access is sequential, and waste where it is sparse."""
    require(frame, [*ABOUT, *PARAMETERS, "footprint_bytes", "faults", "populated_bytes", "fault_ns",
                    "costs"])  # fmt: skip
    findings = {
        name: worst([_by_granule(some) for some in _same_but_granule(rows)])
        for name, rows in by_trace(frame)
    }
    for kind, names in (("sequential", SEQUENTIAL), ("sparse", SPARSE)):
        if not frame["source"].isin(names).any():
            known = " or ".join(names)
            findings[kind] = Finding(None, f"needs a source that is {kind}: {known}")
    return joined(
        findings,
        claim="T9",
        who="Ingo Molnar",
        statement=(
            f"From the smallest to the largest granule, with the same chunk and the same threshold "
            f"(a share of the footprint, or bytes), no trace faults more often, sequential access "
            f"at least {FEWER_FAULTS_SEQUENTIAL:g} times less often, and sparse access initialises "
            f"at least {MORE_BYTES_SPARSE:g} times the bytes"
        ),
    )


def _same_but_granule(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the rows of the largest chunk and smallest batch, by threshold."""
    chosen = rows[rows["chunk_bytes"] == rows["chunk_bytes"].max()]
    chosen = chosen[chosen["batch_chunks"] == chosen["batch_chunks"].min()]
    asked = "threshold_of_footprint" if "threshold_of_footprint" in rows else "threshold_bytes"
    free = ("granule_bytes", "threshold_bytes")
    return [some for _, group in chosen.groupby(asked) for some in by_setting(group, *free)]


def _by_granule(rows: pd.DataFrame) -> Finding:
    by_granule = rows.sort_values("granule_bytes", kind="stable")
    small, large = by_granule.iloc[0], by_granule.iloc[-1]
    if small["granule_bytes"] == large["granule_bytes"] or not small["faults"]:
        return Finding(None, "needs two granule sizes under one chunk and threshold")
    fewer = float(small["faults"] / max(large["faults"], 1))
    more = float(large["populated_bytes"] / small["populated_bytes"])
    margins = [fewer]  # each holds from 1 on
    if small["source"] in SEQUENTIAL:
        margins.append(fewer / FEWER_FAULTS_SEQUENTIAL)
    if small["source"] in SPARSE:
        margins.append(more / MORE_BYTES_SPARSE)
    return Finding(min(margins) >= 1, _trade(small, large, fewer, more), min(margins))


def _trade(small: pd.Series[Any], large: pd.Series[Any], fewer: float, more: float) -> str:
    sizes = " to ".join(short_bytes(row["granule_bytes"]) for row in (small, large))
    touched = " to ".join(short_bytes(row["footprint_bytes"]) for row in (small, large))
    per_fault = " to ".join(
        f"{row['fault_ns'] / row['faults'] / 1000:,.1f}" for row in (small, large)
    )
    return (
        f"{sizes}: {fewer:,.1f} times fewer faults, {more:,.1f} times the bytes initialised, "
        f"granules touched {touched}, {per_fault} us per fault ({small['costs']})"
    )
