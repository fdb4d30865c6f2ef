"""Claims on pins (T13): descriptors in use block eviction."""

from typing import Any

import pandas as pd

from pfnlab.claims.verdict import ABOUT, Finding, Verdict, by_setting, by_trace, joined, worst
from pfnlab.frames import require
from pfnlab.frames.labels import IDLE, LIFE, NO_PINS, RECORDED
from pfnlab.params import PARAMETERS
from pfnlab.params.units import short_bytes

# Bounds that decide the verdicts; each is a judgement, named here once.
OVER_THRESHOLD = 1.10
SHARE_TOLERANCE = 0.05
FEWEST_CHUNKS = 20

_Row = dict[Any, Any]


def pins_break_the_bound(frame: pd.DataFrame) -> Verdict:
    """T13: pins for the life of a mapping break the bound on DRAM, pins for an I/O do not."""
    require(frame, [*ABOUT, *PARAMETERS, "pins", "hold_events", "pinned_share", "evicted_chunks",
                    "peak_resident_bytes", "overcommits", "futile_passes", "shootdowns",
                    "refaults", "break_even_rebuild_ns"])  # fmt: skip
    return joined(
        {
            name: worst([_bound_of(some) for some in by_setting(rows)])
            for name, rows in by_trace(frame)
        },
        claim="T13",
        who="left open in the thread",
        statement=(
            f"Descriptors in use block eviction: pins for the life of a mapping hold more than "
            f"{OVER_THRESHOLD:.0%} of the threshold resident, pins as short as an I/O do not"
        ),
    )


def _bound_of(rows: pd.DataFrame) -> Finding:
    """Judge one configuration by pins on all pages: for life, and for the shortest time."""
    every: list[_Row] = rows[(rows["pinned_share"] == 1) | (rows["pins"] == NO_PINS)].to_dict(
        "records"
    )
    by_kind = {row["pins"]: row for row in every if row["pins"] in (RECORDED, NO_PINS, LIFE)}
    idle = sorted((r for r in every if r["pins"] == IDLE), key=lambda row: row["hold_events"])
    if not {LIFE, NO_PINS} <= set(by_kind) or not idle:
        return Finding(None, f"needs rows of pins {NO_PINS!r}, {IDLE!r} and {LIFE!r}")
    if not by_kind[NO_PINS]["evicted_chunks"]:
        return Finding(None, "needs a threshold that evicts something")
    life, short, bare = _peak(by_kind[LIFE]), _peak(idle[0]), by_kind[NO_PINS]
    recorded = f", as recorded {_peak(by_kind[RECORDED]):.2f}" if RECORDED in by_kind else ""
    return Finding(
        bool(life > OVER_THRESHOLD >= short),
        f"peak {life:.2f} of the threshold with pins for life "
        f"({by_kind[LIFE]['futile_passes']:,} passes evict nothing), {short:.2f} with pins of "
        f"{idle[0]['hold_events']:,} accesses{recorded}; with none {bare['refaults']:,} refaults "
        f"find state destroyed, and descriptors on the device win {_device_wins(bare)} (chunks "
        f"{short_bytes(bare['chunk_bytes'])})",
        min(life - OVER_THRESHOLD, OVER_THRESHOLD - short),
    )


def _device_wins(row: _Row) -> str:
    """Say from which rebuild time on descriptors on the device are faster."""
    least = row["break_even_rebuild_ns"]
    if not row["refaults"]:
        return "never"
    return "even if rebuilding it is free" if least <= 0 else f"if that takes {least:,.0f} ns"


def _peak(row: _Row) -> float:
    return float(row["peak_resident_bytes"] / row["threshold_bytes"])


def pins_are_independent(frame: pd.DataFrame) -> Verdict:
    """T13: (1-q)^n is the share of the chunks that can be evicted."""
    require(frame, [*ABOUT, *PARAMETERS, "pins", "chunks", "pinned_page_share", "evictable_share",
                    "independent_share", "scattered_share"])  # fmt: skip
    recorded = frame[frame["pins"] == RECORDED]
    findings = {
        name: worst([_independent(row) for row in rows.to_dict("records")])
        for name, rows in by_trace(recorded)
    }
    return joined(
        findings or {"frame": Finding(None, f"needs rows of pins {RECORDED!r}")},
        claim="T13",
        who="left open in the thread",
        statement=(
            "With a share q of the pages pinned, a chunk of n descriptors can be evicted with "
            f"probability (1-q)^n, within {SHARE_TOLERANCE:g}"
        ),
    )


def _independent(row: _Row) -> Finding:
    pinned, chunks = row["pinned_page_share"], row["chunks"]
    if not pinned or chunks < FEWEST_CHUNKS:
        return Finding(None, f"needs pins, and {FEWEST_CHUNKS} chunks")
    apart = abs(row["evictable_share"] - row["independent_share"])
    return Finding(
        bool(apart <= SHARE_TOLERANCE),
        f"{row['evictable_share']:.3f} of {chunks:,} chunks of {short_bytes(row['chunk_bytes'])} "
        f"where the formula says {row['independent_share']:.3f}, and as many pins placed at random "
        f"give {row['scattered_share']:.3f} (q {pinned:.2g})",
        -apart,
    )
