"""Claims on shootdowns: who sends them (T5), batches and lazy purges (T7), full flushes (T8).

All but `touches_send_no_ipis` need a frame of `pfnlab.claims.measures.shootdowns.shootdowns`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pfnlab.claims.verdict import ABOUT, Finding, Verdict, by_setting, by_trace, joined, worst
from pfnlab.engine.lazy_purge import LEAST_FLUSHES, TLB_ENTRIES, lazy_max_pages
from pfnlab.frames import require
from pfnlab.frames.labels import AHEAD, LAZY, PASS
from pfnlab.params import PARAMETERS
from pfnlab.params.units import OS_PAGE_BYTES, short_bytes

# Bounds that decide the verdicts; each is a judgement, named here once.
NEAR_BEST = 1.10
FIRST_ORDER_SHARE = 0.25  # of the threshold, up to which the formula's first order was tested
CONSTANT_WITHIN = 2.0
FLUSH_SIZES_APART = 8.0
KERNEL_CEILING_PAGES = 33
IPIS_PER_TOUCH, IPIS_PER_UNMAP = 0.01, 0.1  # an unmap interrupts no CPU that is idle
LEAST_RUNNING = 0.5  # share of its time below which too few unmaps found the other thread running


def establishing_is_local(frame: pd.DataFrame) -> Verdict:
    """T5: faults that evict nothing send no shootdown, and those that evict do."""
    require(frame, [*ABOUT, "unmapping", "n_cpus", "faults", "shootdowns", "evicted_chunks",
                    "costs", "fault_ns", "pass_ns", "stolen_ns"])  # fmt: skip
    passes = frame[frame["unmapping"] == PASS]
    named = {name: _local(rows) for name, rows in by_trace(passes)}
    verdict = joined(
        named or {"no trace": Finding(None, "needs passes")},
        claim="T5",
        who="Ingo Molnar",
        statement="Establishing a mapping needs no remote shootdown, unmapping chunks does",
    )
    return replace(verdict, evidence=f"{verdict.evidence}\n{_times(passes).strip()}")


def _local(rows: pd.DataFrame) -> Finding:
    keeping = rows[(rows["evicted_chunks"] == 0) & (rows["faults"] > 0)]
    evicting = rows[rows["evicted_chunks"] > 0].sort_values("n_cpus", kind="stable")
    if keeping.empty or evicting.empty:
        return Finding(None, "needs a threshold that evicts something, and one that does not")
    sent = int(keeping["shootdowns"].max())
    evicted = evicting.iloc[int(evicting["shootdowns"].argmax())]
    return Finding(
        sent == 0 and bool(evicting["shootdowns"].gt(0).all()),
        f"{int(keeping['faults'].max()):,} faults that evicted nothing sent {sent:,} shootdowns, "
        f"{evicted['faults']:,} that evicted {evicted['evicted_chunks']:,} chunks sent "
        f"{evicted['shootdowns']:,}",
    )


def _times(passes: pd.DataFrame) -> str:
    """Say how long a fault and a shootdown take with few and with many CPUs."""
    alike = passes[passes["shootdowns"] == passes["shootdowns"].max()]
    if alike["n_cpus"].nunique() < 2:
        return ""
    alike = alike.sort_values("n_cpus", kind="stable")
    few, many = alike.iloc[0], alike.iloc[-1]
    fault = " to ".join(dict.fromkeys(f"{r['fault_ns'] / r['faults']:,.0f}" for r in (few, many)))
    return (
        f" By the costs {few['costs']}, from {few['n_cpus']} to {many['n_cpus']:,} CPUs, a fault "
        f"takes {fault} ns, a shootdown {_each(few, 'pass_ns')} to {_each(many, 'pass_ns')} ns of "
        f"its CPU and {_each(few, 'stolen_ns')} to {_each(many, 'stolen_ns')} ns of all others."
    )


def _each(row: pd.Series[Any], column: str) -> str:
    return f"{row[column] / max(row['shootdowns'], 1):,.0f}"


def touches_send_no_ipis(frame: pd.DataFrame) -> Verdict:
    """T5, measured by `pfnlab.host.tlb_ipis`: first touches interrupt no other CPU, unmaps do."""
    require(frame, ["operation", "n_operations", "n_ipis", "running", "machine", "date"])
    rows = frame[frame["operation"].notna()].set_index("operation")
    wanted = {"idle", "first touch", "unmap"}
    about: dict[str, Any] = {
        "kind": "measured",
        "claim": "T5",
        "who": "Ingo Molnar",
        "statement": "A first touch sends no shootdown interrupt to a CPU that shares the address "
        "space, an unmap does",
    }
    if not wanted <= set(rows.index) or not (rows[["n_operations", "running"]] > 0).all(axis=None):
        needs = f"needs {', '.join(sorted(wanted))}, while another thread runs."
        return Verdict(holds=None, evidence=needs, **about)
    each = rows["n_ipis"] / rows["n_operations"]
    local = max(each["first touch"] - each["idle"], 0.0) <= IPIS_PER_TOUCH
    sent = bool(each["unmap"] >= IPIS_PER_UNMAP)
    unclear = local and not sent and float(rows["running"]["unmap"]) < LEAST_RUNNING
    touch, unmap, idle = (rows.loc[name] for name in ("first touch", "unmap", "idle"))
    return Verdict(
        holds=None if unclear else bool(local and sent),
        evidence=(
            f"{touch['machine']}, {touch['date']}: {touch['n_operations']:,.0f} first touches sent "
            f"{touch['n_ipis']:,.0f} interrupts, {unmap['n_operations']:,.0f} unmaps "
            f"{unmap['n_ipis']:,.0f}, as long a time without either {idle['n_ipis']:,.0f}; the "
            f"other thread had its CPU for {touch['running']:.0%}, {unmap['running']:.0%} and "
            f"{idle['running']:.0%} of the time."
        ),
        **about,
    )


def best_batch_is_near(frame: pd.DataFrame) -> Verdict:
    """T7: the batch that the formula names costs little more than the best one replayed."""
    require(frame, [*ABOUT, *PARAMETERS, "unmapping", "miss_slope", "best_batch", "accesses",
                    "initiator_ns", "lookup_ns", "costs"])  # fmt: skip
    batches = frame[(frame["unmapping"] == PASS) & frame["miss_slope"].notna()]
    named = {
        name: worst([_near(some) for some in by_setting(rows, "batch_chunks")])
        for name, rows in by_trace(batches)
    }
    return joined(
        named or {"no trace": Finding(None, "needs batches of granules")},
        claim="T7",
        who="Ingo Molnar",
        statement=(
            f"One shootdown pays for a batch: of √(2·M·c_s/(c_f·|dM/dC|)) chunks it costs at most "
            f"{NEAR_BEST - 1:.0%} more than the best batch replayed"
        ),
    )


def _near(rows: pd.DataFrame) -> Finding:
    """Compare the batch nearest to the formula's with the best, by time without lookups."""
    cost = ((rows["initiator_ns"] - rows["lookup_ns"]) / rows["accesses"]).rename("ns")
    by_batch = pd.concat([rows, cost], axis=1).sort_values("batch_chunks", kind="stable")
    if len(by_batch) < 3 or by_batch["batch_chunks"].iloc[0] != 1:
        return Finding(None, "needs three batches, one of them of a single chunk")
    apart = np.abs(np.log(by_batch["batch_chunks"] / by_batch["best_batch"]))
    near, best = by_batch.iloc[int(apart.argmin())], by_batch.iloc[int(by_batch["ns"].argmin())]
    ratio = near["ns"] / best["ns"] if best["ns"] else 1.0
    of_limit = near["best_batch"] * near["chunk_bytes"] / near["threshold_bytes"]
    return Finding(
        bool(ratio <= NEAR_BEST),
        f"{near['n_cpus']} CPUs ({near['costs']}): named {near['best_batch']:,.0f}, {of_limit:.0%} "
        f"of the threshold, replayed {near['batch_chunks']:,} at {near['ns']:,.1f} ns per access, "
        f"{ratio:.3f} times the best ({best['batch_chunks']:,}){_capped(by_batch, best)}; a batch "
        f"of 1 takes {by_batch['ns'].iloc[0]:,.1f} ns",
        -ratio,
    )


def _capped(by_batch: pd.DataFrame, best: pd.Series[Any]) -> str:
    """Say what a quarter of the threshold costs where the formula names a larger batch."""
    first = by_batch.iloc[0]
    cap = FIRST_ORDER_SHARE * first["threshold_bytes"] / first["chunk_bytes"]
    if first["best_batch"] <= cap:
        return ""
    near = by_batch.iloc[int(np.abs(np.log(by_batch["batch_chunks"] / cap)).argmin())]
    ratio = near["ns"] / best["ns"] if best["ns"] else 1.0
    return f", but capped near {FIRST_ORDER_SHARE:.0%} ({near['batch_chunks']:,}) {ratio:.3f} times"


def lazy_purge_is_a_batch(frame: pd.DataFrame) -> Verdict:
    """T7: a lazy purge whose quarantine counts against the threshold is a batch."""
    require(frame, [*ABOUT, *PARAMETERS, "unmapping", "faults", "shootdowns", "lazy_cpus",
                    "mean_withheld_bytes", "peak_withheld_bytes"])  # fmt: skip
    return joined(
        {name: _as_batches(rows) for name, rows in by_trace(frame)},
        claim="T7",
        who="mm/vmalloc.c",
        statement=(
            "vmalloc's lazy purge is a batch: filled when the threshold is reached, its quarantine "
            "faults and flushes as a batch of as many pages"
        ),
    )


def _as_batches(rows: pd.DataFrame) -> Finding:
    replayed = [name for name in PARAMETERS if name not in ("n_cpus", "flush_ceiling_pages")]
    once = rows.drop_duplicates(["unmapping", *replayed])
    ways = {way: once[once["unmapping"] == way].set_index(replayed) for way in (PASS, LAZY, AHEAD)}
    batch = ways[PASS][["faults", "shootdowns"]].add_suffix("_batch")
    lazy, ahead = (ways[way].join(batch, how="inner") for way in (LAZY, AHEAD))
    lazy = lazy[lazy.index.get_level_values("batch_chunks") > 1]
    if lazy.empty or ahead.empty:
        return Finding(None, "needs batches and lazy purges of the same pages, filled both ways")
    same = lazy["faults"].eq(lazy["faults_batch"]) & lazy["shootdowns"].eq(lazy["shootdowns_batch"])
    text = f"{int(same.sum())} of {len(same)} quarantines count what their batches count"
    return Finding(bool(same.all()), f"{text}; {_withheld(ahead.reset_index())}")


def _withheld(ahead: pd.DataFrame) -> str:
    """Say how much DRAM quarantines withhold: those of `lazy_max_pages`, or the largest."""
    named = ahead[ahead["lazy_cpus"] > 0].sort_values("lazy_cpus")
    shown = (
        named.iloc[[0, -1]]
        if len(named)
        else ahead.iloc[[int(ahead["mean_withheld_bytes"].argmax())]]
    )
    texts = [_one_quarantine(row) for _, row in shown.drop_duplicates("batch_chunks").iterrows()]
    limit = ahead["threshold_bytes"].max()
    smallest = lazy_max_pages(1) * OS_PAGE_BYTES
    none = (
        ""
        if len(named)
        else f", for lazy_max_pages ({short_bytes(smallest)} and more) does not fit"
    )
    return f"filled ahead of a threshold of {short_bytes(limit)}{none}: {', '.join(texts)}"


def _one_quarantine(row: pd.Series[Any]) -> str:
    cpus = int(row["lazy_cpus"])
    whose = f" of {cpus:,} CPU{'s' * (cpus > 1)}" if cpus else ""
    return (
        f"{short_bytes(row['peak_withheld_bytes'])}{whose} withhold "
        f"{short_bytes(row['mean_withheld_bytes'])} on average "
        f"({row['mean_withheld_bytes'] / row['threshold_bytes']:.0%}) and fault "
        f"{row['faults'] / row['faults_batch'] - 1:+.1%} against the batch"
    )


def ceiling_is_constant(frame: pd.DataFrame) -> Verdict:
    """T8: a full flush causes as many TLB refills for few pages as for many."""
    require(frame, [*ABOUT, *PARAMETERS, "unmapping", "accesses", "shootdowns", "full_flushes",
                    "evicted_granules", "collateral_refills"])  # fmt: skip
    full = frame["full_flushes"]
    lazy = frame[(frame["unmapping"] == LAZY) & (full >= LEAST_FLUSHES)]
    # Full are those above the ceiling, or of several chunks; a ranged flush has no refills.
    lazy = lazy[lazy["full_flushes"] == lazy["shootdowns"]]
    named = {name: _constant(rows) for name, rows in by_trace(lazy)}
    return joined(
        named or {"no trace": Finding(None, f"needs {LEAST_FLUSHES} full flushes of lazy purges")},
        claim="T8",
        who="arch/x86/mm/tlb.c",
        statement=(
            f"Above the ceiling of ranged flushes one costs the same whatever it unmaps: the TLB "
            f"refills it causes stay within a factor of {CONSTANT_WITHIN:g}"
        ),
    )


def _constant(rows: pd.DataFrame) -> Finding:
    """Judge flushes of more pages than the ceiling, with the ceiling nearest to the kernel's."""
    ceilings = rows["flush_ceiling_pages"]
    nearest = min(ceilings.unique(), key=lambda pages: abs(pages - KERNEL_CEILING_PAGES))
    covered = (rows["chunk_bytes"] * rows["batch_chunks"] // OS_PAGE_BYTES).rename("covered")
    refills = (rows["collateral_refills"] / rows["full_flushes"]).rename("refills")
    sized = pd.concat([rows, refills, covered], axis=1)[(ceilings == nearest) & (covered > nearest)]
    sized = sized.sort_values("covered", kind="stable")
    each = sized["refills"]
    if sized.empty or sized["covered"].iloc[-1] < FLUSH_SIZES_APART * sized["covered"].iloc[0]:
        return Finding(None, f"needs full flushes of {FLUSH_SIZES_APART:g} times as many pages")
    few, many = (sized.iloc[int(i)] for i in (each.argmin(), each.argmax()))
    apart = many["refills"] / few["refills"] if few["refills"] else np.inf
    per_access = (sized["collateral_refills"] / sized["accesses"]).max()
    return Finding(
        bool(apart <= CONSTANT_WITHIN) if many["refills"] else None,
        f"{few['refills']:,.1f} refills per flush of {few['covered']:,} pages, "
        f"{many['refills']:,.1f} per flush of {many['covered']:,} ({apart:,.1f} times as many), "
        f"but {few['collateral_refills']:,.0f} and {many['collateral_refills']:,.0f} in all, at "
        f"most {per_access:.2%} of accesses; none under the ceiling (TLB of {TLB_ENTRIES:,} "
        f"entries)",
    )
