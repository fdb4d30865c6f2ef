"""Claims on the alternatives: static arrays, the device, no descriptors, temporary, two levels."""

import math
from typing import Any

import pandas as pd

from pfnlab.claims.verdict import ABOUT, Finding, Verdict, by_trace, joined
from pfnlab.frames import require
from pfnlab.params.units import short_bytes

# Bounds that decide the verdicts; each is a judgement, named here once.
STATIC_SHARE = 1 / 64
SERVICE_YEARS = 5.0
FEW_SPLIT = 0.02
LITTLE_GAIN = 0.01
#: Database throughput when memory doubles (Matthew Wilcox, March 2015).
GAIN_OF_DOUBLING = 0.40

_SCHEME = ("scheme", "region_bytes")


def static_takes_a_64th(frame: pd.DataFrame) -> Verdict:
    """T1: compare the static memmap of a real kernel with the model's."""
    require(frame, [*ABOUT, *_SCHEME, "mode", "memmap_bytes", "dram_bytes", "device_bytes"])
    rows = frame[frame["memmap_bytes"].notna()]
    findings = {str(mode): _taken(some) for mode, some in rows.groupby("mode", sort=False)}
    return joined(
        findings or {"kernel": Finding(None, "needs rows that were measured")},
        kind="measured",
        claim="T1",
        who="Dan Williams, Matthew Wilcox",
        statement=(
            "A static descriptor for every page takes 1/64 of the capacity, in DRAM or on the "
            "device; a kernel that shares descriptors within huge pages takes less"
        ),
    )


def _taken(rows: pd.DataFrame) -> Finding:
    share = rows["memmap_bytes"] / rows["region_bytes"]
    modelled = rows["dram_bytes"] + rows["device_bytes"] == rows["memmap_bytes"]
    every_page = rows["scheme"].str.startswith("static")
    as_claimed = (share == STATIC_SHARE) == every_page
    sizes = rows["region_bytes"].min(), rows["region_bytes"].max()
    return Finding(
        bool(as_claimed.all() and modelled.all()),
        f"1/{1 / share.max():.4g} on emulated NVDIMMs of {short_bytes(sizes[0])} to "
        f"{short_bytes(sizes[1])} (Linux 6.12), the model's bytes in {int(modelled.sum())} of "
        f"{len(rows)}",
    )


def device_costs_latency_and_wear(frame: pd.DataFrame) -> Verdict:
    """T2: the device saves DRAM, but touches are slower and references wear it out."""
    require(frame, [*ABOUT, *_SCHEME, "all_dram_bytes", "event_ns", "gets", "device_bytes",
                    "hot_line_years", "endurance_years", "memmap_bytes"])  # fmt: skip
    return joined(
        {name: _worn(_schemes(rows)) for name, rows in by_trace(_replayed(frame))},
        claim="T2",
        who="Dan Williams, Ingo Molnar",
        statement=(
            "Descriptors on the device spare the DRAM, but each touch takes the device's latency, "
            f"and without wear levelling references wear a line out within {SERVICE_YEARS:g} years"
        ),
    )


def _worn(row: dict[str, Any]) -> Finding:
    device, dram = row.get("static_device"), row.get("static_dram")
    if device is None or dram is None or not device["gets"]:
        return Finding(None, "needs both static arrays, and GETs that write descriptors")
    if not dram["event_ns"]:
        return Finding(None, "needs costs by which a touch of DRAM takes time")
    worn = device["hot_line_years"] <= SERVICE_YEARS
    slower = device["event_ns"] / dram["event_ns"]
    return Finding(
        bool(device["all_dram_bytes"] == 0 and slower > 1 and worn),
        f"{short_bytes(dram['all_dram_bytes'])} of DRAM spared, a touch {slower:.2g} times as "
        f"long; at this rate the hottest line lasts {_span(device['hot_line_years'])}, or the "
        f"device {_span(device['endurance_years'])} if writes are levelled over all of it",
    )


def _span(years: float) -> str:
    if years >= 1:
        return f"{years:,.0f} years"
    days = years * 365.25
    if days >= 1:
        return f"{days:.3g} days"
    return f"{days * 24:.2g} hours" if days * 24 >= 1 else f"{days * 1440:.2g} minutes"


def pfn_only_loses_sharing(frame: pd.DataFrame) -> Verdict:
    """T3: count references on pages that another holder has; only a descriptor knows them."""
    require(frame, [*ABOUT, *_SCHEME, "gets", "shared_gets", "accesses", "memmap_bytes"])
    return joined(
        {name: _shared(rows.iloc[0].to_dict()) for name, rows in by_trace(_replayed(frame))},
        claim="T3",
        who="Linus Torvalds",
        statement=(
            "I/O by pfn alone loses sharing: references of several holders meet on a page, and "
            "without a descriptor nobody can tell"
        ),
    )


def _shared(row: dict[Any, Any]) -> Finding:
    if not row["gets"]:
        return Finding(None, "needs GETs")
    share = row["shared_gets"] / row["gets"]
    return Finding(
        bool(row["shared_gets"] > 0),
        f"{row['gets'] / row['accesses']:.0%} of accesses take a reference, {share:.2%} of these "
        f"({int(row['shared_gets']):,}) on a page that another holds",
    )


def temporary_is_cheaper(frame: pd.DataFrame) -> Verdict:
    """T4: compare temporary arrays with demand faulting, in time and DRAM."""
    require(frame, [*ABOUT, *_SCHEME, "all_dram_bytes", "event_ns", "faults", "accesses",
                    "memmap_bytes", "stable_address"])  # fmt: skip
    return joined(
        {name: _cheaper(_schemes(rows)) for name, rows in by_trace(_replayed(frame))},
        claim="T4",
        who="Linus Torvalds, Jerome Glisse",
        statement=(
            "An array of temporary descriptors for each I/O takes less time than faulting "
            "descriptors in, though it gives no stable identity"
        ),
    )


def _cheaper(row: dict[str, Any]) -> Finding:
    answers = _answers(row, "temporary", "demand_lra", "demand_keep")
    if answers is None or not answers[1]["accesses"]:
        return Finding(None, "needs GETs and PUTs, and temporary beside the demand schemes")
    temporary, lra, keep = answers
    return Finding(
        bool(temporary["event_ns"] < lra["event_ns"] and not temporary["stable_address"]),
        f"{temporary['event_ns']:.0f} ns per access and "
        f"{short_bytes(temporary['all_dram_bytes'])}, against {lra['event_ns']:.0f} ns and "
        f"{short_bytes(lra['all_dram_bytes'])} by demand "
        f"(miss ratio {lra['faults'] / lra['accesses']:.2%}); {keep['event_ns']:.0f} ns if nothing "
        f"is evicted",
    )


def two_level_beats_demand(frame: pd.DataFrame) -> Verdict:
    """T12: compare two levels with demand faulting, in DRAM and time, where few areas are split."""
    require(frame, [*ABOUT, *_SCHEME, "all_dram_bytes", "event_ns", "split", "page_bytes",
                    "peak_live_areas",
                    "descriptor_bytes", "memmap_bytes"])  # fmt: skip
    return joined(
        {name: _levels(_schemes(rows)) for name, rows in by_trace(_replayed(frame))},
        claim="T12",
        who="Rik van Riel, Michael Tsirkin",
        statement=(
            f"Where at most {FEW_SPLIT:.0%} of the 2 MiB areas are split, two levels of "
            f"descriptors take less DRAM than demand faulting, and no more time"
        ),
    )


def _levels(row: dict[str, Any]) -> Finding:
    answers = _answers(row, "two_level", "demand_lra")
    if answers is None:
        return Finding(None, "needs GETs and PUTs, and the rows of two_level and demand_lra")
    two, lra = answers
    if two["page_bytes"] >= 2 << 20:
        return Finding(None, "needs pages smaller than the 2 MiB areas, so that areas can be split")
    areas = two["region_bytes"] / (2 << 20)
    per_area = (2 << 20) // two["page_bytes"] * two["descriptor_bytes"]
    even = (lra["all_dram_bytes"] - areas * two["descriptor_bytes"]) / per_area
    least = areas * two["descriptor_bytes"] + two["peak_live_areas"] * per_area
    share, less = two["split"] / areas, two["all_dram_bytes"] < lra["all_dram_bytes"]
    text = (
        f"{int(two['split']):,} areas ({share:.2%}) split; {short_bytes(two['all_dram_bytes'])} "
        f"and {two['event_ns']:.0f} ns per access against {short_bytes(lra['all_dram_bytes'])} and "
        f"{lra['event_ns']:.0f} ns by demand; DRAM is even at {max(even, 0):,.0f} split areas; "
        f"{short_bytes(least)} if areas were joined when their last pin goes"
    )
    few = share <= FEW_SPLIT
    return Finding(bool(less and two["event_ns"] <= lra["event_ns"]) if few else None, text)


def freed_dram_is_worth_little(frame: pd.DataFrame) -> Verdict:
    """T15: how much a host gains if its DRAM holds no static descriptors of itself."""
    require(frame, [*ABOUT, *_SCHEME, "all_dram_bytes", "memmap_bytes"])
    static = _replayed(frame)
    static = static[static["scheme"] == "static_dram"]
    findings = {name: _worth(rows.iloc[0].to_dict()) for name, rows in by_trace(static)}
    return joined(
        dict(list(findings.items())[:1]) or {"model": Finding(None, "needs a static_dram row")},
        kind="definition",
        claim="T15",
        who="Matthew Wilcox",
        statement=(
            f"On a system whose memory is DRAM, the descriptors' share is worth at most "
            f"{LITTLE_GAIN:.0%} of throughput"
        ),
    )


def _worth(row: dict[Any, Any]) -> Finding:
    share = row["all_dram_bytes"] / row["region_bytes"]
    if not 0 < share < 1:
        return Finding(None, "needs descriptors smaller than their region")
    exponent = math.log2(1 + GAIN_OF_DOUBLING)
    gain = (1 - share) ** -exponent - 1
    # The device that is so many times as large as the DRAM that holds its descriptors.
    times = (1 - 1.05 ** (-1 / exponent)) / share
    return Finding(
        gain <= LITTLE_GAIN,
        f"{share:.2%} of DRAM freed is worth {gain:.2%} if doubling gives {GAIN_OF_DOUBLING:.0%}; "
        f"5% are reached where the device is {times:.1f} times as large as the DRAM beside it",
    )


def _replayed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that come from a trace."""
    return frame[frame["memmap_bytes"].isna()]


def _answers(schemes: dict[str, dict[Any, Any]], *names: str) -> list[dict[Any, Any]] | None:
    """Return the rows of these schemes; None if one is missing or NA."""
    rows = [schemes[name] for name in names if name in schemes]
    whole = len(rows) == len(names) and not any(pd.isna(row["event_ns"]) for row in rows)
    return rows if whole else None


def _schemes(rows: pd.DataFrame) -> dict[str, dict[Any, Any]]:
    """Return the first row of each scheme by its name."""
    return {str(row["scheme"]): row for row in reversed(rows.to_dict("records"))}
