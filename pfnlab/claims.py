"""Frame to `Verdict`: what a sweep says about a claim of the thread. Draws nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from pfnlab.frames import require
from pfnlab.params import PARAMETERS
from pfnlab.units import short_bytes

Kind = Literal["definition", "replayed", "measured"]

#: Bounds that decide the verdicts; each is a judgement, named here once.
FEWER_SHOOTDOWNS = 8.0
MORE_FAULTS = 1.10
PASS_OF_THRESHOLD = 1 / 8
SHARE_OF_FOOTPRINT = 0.25
SHARE_TOLERANCE = 0.05
REFAULTS_AN_ACCESS = 0.05

_ABOUT = ("source", "evidence", "n_events")


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
        Whether the statistic keeps its bound on every trace; None if the frame can't tell.
    evidence
        The figures that decide, trace by trace, or what the frame lacks.
    """

    claim: str
    who: str
    statement: str
    kind: Kind
    holds: bool | None
    evidence: str

    @property
    def answer(self) -> str:
        """The verdict in words."""
        return {True: "holds", False: "does not hold", None: "not decided"}[self.holds]

    def __str__(self) -> str:
        return f"{self.claim} {self.answer}: {self.statement}. {self.evidence}"

    def _repr_markdown_(self) -> str:
        return f"**{self.claim} {self.answer}** ({self.kind}): {self.statement}.\n\n{self.evidence}"


@dataclass(frozen=True, slots=True)
class _Finding:
    """What one trace says; `worth` orders the findings of one trace, the worst first."""

    holds: bool | None
    text: str
    worth: float = 0.0


def _verdict(findings: dict[str, _Finding], **about: Any) -> Verdict:
    """Join the findings of all traces: one that fails decides, one that can't tell leaves open."""
    answers = [finding.holds for finding in findings.values()]
    holds = False if False in answers else None if None in answers else True
    evidence = "; ".join(f"{name}: {finding.text}" for name, finding in findings.items())
    return Verdict(kind="replayed", holds=holds, evidence=f"{evidence}.", **about)


def _traces(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each trace under its name and evidence."""
    for _, rows in frame.groupby(list(_ABOUT), sort=False):
        yield f"{rows['source'].iloc[0]} ({rows['evidence'].iloc[0]})", rows


def _settings(rows: pd.DataFrame, *free: str) -> Iterator[pd.DataFrame]:
    """Yield the rows that agree in every parameter but those in `free`."""
    fixed = [name for name in PARAMETERS if name not in free]
    yield from (some for _, some in rows.groupby(fixed, sort=False))


def _worst(findings: list[_Finding]) -> _Finding:
    decided = [finding for finding in findings if finding.holds is not None]
    return min(decided or findings, key=lambda finding: finding.worth)


def bounded_dram(frame: pd.DataFrame) -> Verdict:
    """T6: resident descriptors never exceed the threshold, whatever the region's size."""
    counted = ("peak_resident_bytes", "page_table_bytes", "page_table_kept_bytes", "overcommits")
    require(frame, [*_ABOUT, *PARAMETERS, *counted, "evicted_chunks", "vmemmap_bytes"])
    return _verdict(
        {name: _bounded(rows) for name, rows in _traces(frame)},
        claim="T6",
        who="Jerome Glisse, Ingo Molnar",
        statement=(
            "A size limit bounds the resident descriptors, whatever the size of the device; "
            "page tables and the reserve come on top"
        ),
    )


def _bounded(rows: pd.DataFrame) -> _Finding:
    if rows["region_bytes"].nunique() < 2 or not rows["evicted_chunks"].any():
        return _Finding(None, "needs two region sizes, and a threshold that evicts something")
    limit = rows["threshold_bytes"]
    excess = float((rows["peak_resident_bytes"] / limit).max())
    reserve = rows["reserve_granules"] * rows["granule_bytes"]
    on_top, kept = rows["page_table_bytes"] + reserve, rows["page_table_kept_bytes"] + reserve
    largest = rows.sort_values("region_bytes").iloc[-1]
    regions = f"{short_bytes(rows['region_bytes'].min())} to {short_bytes(largest['region_bytes'])}"
    return _Finding(
        excess <= 1,
        f"peak at most {excess:.3f} of the threshold over regions of {regions} "
        f"({int(rows['overcommits'].sum()):,} overcommits); on top {(on_top / limit).max():.2f} "
        f"({(kept / limit).max():.2f} if page tables are never freed); static descriptors of the "
        f"largest region take {short_bytes(largest['vmemmap_bytes'])}",
    )


def chunks_amortise(frame: pd.DataFrame) -> Verdict:
    """T7: some chunk or batch well below the threshold divides the shootdowns, keeping the hits."""
    require(frame, [*_ABOUT, *PARAMETERS, "shootdowns", "faults"])
    small = frame[frame["granule_bytes"] == frame["granule_bytes"].min()]
    findings = {
        name: _worst([_amortised(some) for some in _settings(rows, "chunk_bytes", "batch_chunks")])
        for name, rows in _traces(small)
    }
    return _verdict(
        findings,
        claim="T7",
        who="Ingo Molnar",
        statement=(
            f"Unmapping in chunks or batches, of at most {PASS_OF_THRESHOLD:.1%} of the threshold, "
            f"divides the shootdowns by {FEWER_SHOOTDOWNS:g} or more for at most "
            f"{MORE_FAULTS - 1:.0%} more faults"
        ),
    )


def _amortised(rows: pd.DataFrame) -> _Finding:
    by_pass = rows.assign(pass_bytes=rows["chunk_bytes"] * rows["batch_chunks"])
    by_pass = by_pass.sort_values(["pass_bytes", "batch_chunks"], kind="stable")
    base = by_pass.iloc[0]
    within = by_pass["pass_bytes"] <= PASS_OF_THRESHOLD * base["threshold_bytes"]
    others = by_pass[within & (by_pass["faults"] <= MORE_FAULTS * base["faults"])].iloc[1:]
    if by_pass["pass_bytes"].nunique() < 2 or base["shootdowns"] == 0:
        return _Finding(None, "needs two pass sizes, and a threshold that evicts something")
    candidates = (others[others["batch_chunks"] == 1], others[others["batch_chunks"] > 1])
    bests = [
        some.sort_values("shootdowns", kind="stable").iloc[0] for some in candidates if len(some)
    ]
    fewer = max((base["shootdowns"] / max(best["shootdowns"], 1) for best in bests), default=1.0)
    found = ", ".join(_against(base, best) for best in bests) or "to no fewer within the bounds"
    start = f"{short_bytes(base['chunk_bytes'])} x {base['batch_chunks']}"
    text = f"from {base['shootdowns']:,} shootdowns at {start} {found}"
    return _Finding(bool(fewer >= FEWER_SHOOTDOWNS), text, fewer)


def _against(base: pd.Series[Any], best: pd.Series[Any]) -> str:
    fewer = base["shootdowns"] / max(best["shootdowns"], 1)
    more_faults = best["faults"] / base["faults"] - 1
    size = f"{short_bytes(best['chunk_bytes'])} x {best['batch_chunks']}"
    return (
        f"to {best['shootdowns']:,} ({fewer:,.1f} times fewer) at {size} "
        f"for {more_faults:+.1%} faults"
    )


def small_share_suffices(frame: pd.DataFrame) -> Verdict:
    """T10: with a quarter of the footprint resident, LRA rarely evicts what is needed again."""
    require(frame, [*_ABOUT, *PARAMETERS, "footprint_bytes", "peak_resident_bytes", "refaults",
                    "accesses", "faults", "atomic_faults", "shootdowns"])  # fmt: skip
    return _verdict(
        {
            name: _worst([_sufficient(row) for row in rows.to_dict("records")])
            for name, rows in _traces(frame)
        },
        claim="T10",
        who="Ingo Molnar",
        statement=(
            f"Evicting the least recently allocated needs no access information: with "
            f"{SHARE_OF_FOOTPRINT:.0%} of the footprint resident at most {REFAULTS_AN_ACCESS:.0%} "
            f"of accesses fault again"
        ),
    )


def _sufficient(row: dict[Any, Any]) -> _Finding:
    """Judge one row by the share that was really resident: pins may hold more."""
    limit = max(row["threshold_bytes"], row["peak_resident_bytes"])
    share = limit / row["footprint_bytes"] if row["footprint_bytes"] else 0.0
    if abs(share - SHARE_OF_FOOTPRINT) > SHARE_TOLERANCE or not row["faults"]:
        distance = abs(share - SHARE_OF_FOOTPRINT)
        return _Finding(
            None, f"needs a row near {SHARE_OF_FOOTPRINT:.0%}, has {share:.0%}", distance
        )
    ratio = row["refaults"] / row["accesses"]
    return _Finding(
        bool(ratio <= REFAULTS_AN_ACCESS),
        f"{ratio:.2%} of accesses fault again with {share:.0%} of the footprint resident "
        f"({short_bytes(limit)}; granules {short_bytes(row['granule_bytes'])}, chunks "
        f"{short_bytes(row['chunk_bytes'])}), {row['shootdowns']:,} shootdowns, "
        f"{row['atomic_faults']:,} illegal atomic faults",
        -ratio,
    )
