"""Frame to `Verdict`: what a sweep says about a claim of the thread. Draws nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from pfnlab.errors import FrameError
from pfnlab.frames import require
from pfnlab.units import short_bytes

Kind = Literal["definition", "replayed", "measured"]

#: Bounds that decide the verdicts; each is a judgement, named here once.
FEWER_SHOOTDOWNS = 8.0
MORE_FAULTS = 1.10
SHARE_OF_FOOTPRINT = 0.25
REFAULTS_AN_ACCESS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a sweep says about one claim.

    Attributes
    ----------
    claim, who, statement
        Number of the claim, who argued it, and its one sentence.
    kind
        ``definition`` follows from the model, ``replayed`` is a statistic on the traces named,
        ``measured`` comes from a machine.
    holds
        Whether the statistic keeps its bound on every trace.
    evidence
        The figures that decide, trace by trace.
    """

    claim: str
    who: str
    statement: str
    kind: Kind
    holds: bool
    evidence: str

    def __str__(self) -> str:
        answer = "holds" if self.holds else "does not hold"
        return f"{self.claim} {answer}: {self.statement}. {self.evidence}"

    def _repr_markdown_(self) -> str:
        answer = "holds" if self.holds else "does not hold"
        return f"**{self.claim} {answer}** ({self.kind}): {self.statement}.\n\n{self.evidence}"


def _label(rows: pd.DataFrame) -> str:
    return f"{rows['source'].iloc[0]} ({rows['evidence'].iloc[0]})"


def bounded_dram(frame: pd.DataFrame) -> Verdict:
    """T6: peak resident bytes never exceed the threshold, whatever the region's size."""
    require(frame, ["region_bytes", "threshold_bytes", "peak_resident_bytes", "page_table_bytes"])
    parts, holds = [], True
    for _, rows in frame.groupby("source", sort=False):
        excess = rows["peak_resident_bytes"] / rows["threshold_bytes"]
        tables = (rows["page_table_bytes"] / rows["threshold_bytes"]).max()
        holds &= bool((excess <= 1).all())
        largest = rows.sort_values("region_bytes").iloc[-1]
        overcommits = int(rows["overcommits"].sum())
        parts.append(
            f"{_label(rows)}: peak at most {excess.max():.3f} of the threshold over regions of "
            f"{short_bytes(rows['region_bytes'].min())} to {short_bytes(largest['region_bytes'])} "
            f"({overcommits} overcommits), page tables on top of it at most {tables:.3f}; "
            f"static descriptors of the largest would take {short_bytes(largest['vmemmap_bytes'])}"
        )
    return Verdict(
        claim="T6",
        who="Jerome Glisse, Ingo Molnar",
        statement="A size limit bounds the DRAM for descriptors, whatever the size of the device",
        kind="replayed",
        holds=holds,
        evidence="; ".join(parts) + ".",
    )


def chunks_amortise(frame: pd.DataFrame) -> Verdict:
    """T7: at 4 KiB granules some chunk or batch divides the shootdowns and keeps the hits."""
    require(frame, ["granule_bytes", "chunk_bytes", "batch_chunks", "shootdowns", "faults"])
    small = frame[frame["granule_bytes"] == frame["granule_bytes"].min()]
    parts, holds = [], True
    for _, rows in small.groupby("source", sort=False):
        single = rows[(rows["chunk_bytes"] == rows["granule_bytes"]) & (rows["batch_chunks"] == 1)]
        if not len(single):
            raise FrameError(
                "frame: must have a row with chunk_bytes = granule_bytes, batch_chunks = 1"
            )
        one = single.iloc[0]
        good = rows[rows["faults"] <= MORE_FAULTS * one["faults"]]
        best = good.sort_values("shootdowns", kind="stable").iloc[0]
        fewer = one["shootdowns"] / max(best["shootdowns"], 1)
        holds &= bool(fewer >= FEWER_SHOOTDOWNS)
        parts.append(
            f"{_label(rows)}: from {one['shootdowns']:,} to {best['shootdowns']:,} shootdowns "
            f"({fewer:,.0f} times fewer) at chunks of {short_bytes(best['chunk_bytes'])} "
            f"in batches of {best['batch_chunks']}, "
            f"for {best['faults'] / max(one['faults'], 1) - 1:+.1%} faults"
        )
    return Verdict(
        claim="T7",
        who="Ingo Molnar",
        statement=(
            f"Unmapping in chunks divides the shootdowns by {FEWER_SHOOTDOWNS:g} or more "
            f"for at most {MORE_FAULTS - 1:.0%} more faults"
        ),
        kind="replayed",
        holds=holds,
        evidence="; ".join(parts) + ".",
    )


def small_share_suffices(frame: pd.DataFrame) -> Verdict:
    """T10: with a quarter of the footprint resident, LRA rarely evicts what is needed again."""
    require(frame, ["threshold_of_footprint", "refaults", "accesses", "shootdowns"])
    nearest = (frame["threshold_of_footprint"] - SHARE_OF_FOOTPRINT).abs()
    at_share = frame[nearest == nearest.min()]
    parts, holds = [], True
    for _, rows in at_share.groupby("source", sort=False):
        row = rows.iloc[0]
        ratio = row["refaults"] / max(row["accesses"], 1)
        holds &= bool(ratio <= REFAULTS_AN_ACCESS)
        parts.append(
            f"{_label(rows)}: {ratio:.2%} of accesses fault again with "
            f"{row['threshold_of_footprint']:.0%} of the footprint resident "
            f"({short_bytes(row['threshold_bytes'])}), {row['shootdowns']:,} shootdowns"
        )
    return Verdict(
        claim="T10",
        who="Ingo Molnar",
        statement=(
            f"Evicting the least recently allocated needs no access information: with "
            f"{SHARE_OF_FOOTPRINT:.0%} of the footprint resident at most {REFAULTS_AN_ACCESS:.0%} "
            f"of accesses fault again"
        ),
        kind="replayed",
        holds=holds,
        evidence="; ".join(parts) + ".",
    )
