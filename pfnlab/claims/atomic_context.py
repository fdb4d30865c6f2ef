"""Claims on atomic context (T11): callers that can't sleep must not fault."""

from typing import Any

import pandas as pd

from pfnlab.claims.verdict import (
    ABOUT,
    Finding,
    Verdict,
    as_lines,
    by_setting,
    by_trace,
    joined,
    worst,
)
from pfnlab.frames import require
from pfnlab.frames.labels import HELD, NONE, PINNED, PREFAULTED, RESERVE, SMALLEST, UNPINNED
from pfnlab.params import PARAMETERS
from pfnlab.params.units import short_bytes

# Bounds that decide the verdicts; each is a judgement, named here once.
RESERVE_OF_THRESHOLD = 1 / 8
OVER_THRESHOLD = 1.10

_COLUMNS = (
    *ABOUT, *PARAMETERS, "remedy", "lead_events", "atomic_calls", "atomic_faults",
    "illegal_share", "events_added", "peak_resident_bytes",
)  # fmt: skip
_Row = dict[Any, Any]


def atomic_calls_fault(frame: pd.DataFrame) -> Verdict:
    """T11: with no remedy, some workload calls pfn_to_page() where it must not fault, and would."""
    require(frame, _COLUMNS)
    findings = {name: _illegal(rows) for name, rows in by_trace(frame)}
    answers = [finding.holds for finding in findings.values()]
    # One workload is enough to show it; that others are legal does not refute it.
    holds = True if True in answers else False if False in answers else None
    return Verdict(
        claim="T11",
        who="Ingo Molnar",
        statement="Faults may sleep, so pfn_to_page() can't be used in arbitrary contexts: with "
        "no remedy, some workload makes atomic calls that would fault",
        kind="replayed",
        holds=holds,
        evidence=as_lines(findings),
    )


def _illegal(rows: pd.DataFrame) -> Finding:
    """Judge the trace as recorded; the text also says what happens without its pins."""
    recorded = rows[rows["remedy"] == NONE].to_dict("records")
    if not recorded:
        return Finding(None, f"needs a row of remedy {NONE!r}")
    row = max(recorded, key=lambda row: float(row["illegal_share"]))
    bare = rows[rows["remedy"] == UNPINNED]
    without = (
        f" ({bare['illegal_share'].max():.2%} of {bare['atomic_calls'].max():,} if its pins "
        f"were removed)"
        if len(bare)
        else ""
    )
    if not row["atomic_calls"]:
        return Finding(None, f"no atomic call looks a descriptor up, by construction{without}")
    text = f"{row['illegal_share']:.2%} of {row['atomic_calls']:,} atomic calls illegal{without}"
    return Finding(bool(row["atomic_faults"] > 0), text)


def a_remedy_suffices(frame: pd.DataFrame) -> Verdict:
    """T11: pins, prefaults or a small reserve leave no illegal call, near the threshold."""
    require(frame, _COLUMNS)
    findings = {
        name: worst([_enough(some) for some in by_setting(rows, "reserve_granules")])
        for name, rows in by_trace(frame)
    }
    return joined(
        findings,
        claim="T11",
        who="Jerome Glisse, Ingo Molnar",
        statement=(
            f"Pinning for the I/O, prefaulting, or a reserve of at most "
            f"{RESERVE_OF_THRESHOLD:.1%} of the threshold leaves no atomic call that would "
            f"fault, with at most {OVER_THRESHOLD - 1:.0%} more resident"
        ),
    )


def _enough(rows: pd.DataFrame) -> Finding:
    by_remedy: dict[str, list[_Row]] = {}
    for row in rows.to_dict("records"):
        by_remedy.setdefault(str(row["remedy"]), []).append(row)
    if NONE not in by_remedy:
        return Finding(None, f"needs a row of remedy {NONE!r}")
    before = by_remedy[NONE][0]
    if not before["atomic_faults"]:
        return Finding(True, "legal as it is", 1.0)
    tried = [row for name in (PINNED, PREFAULTED, HELD, RESERVE, SMALLEST)
             for row in by_remedy.get(name, [])]  # fmt: skip
    if not tried:
        return Finding(None, "needs a row of a remedy")
    bound = OVER_THRESHOLD * max(before["threshold_bytes"], before["peak_resident_bytes"])
    enough = [row for row in tried if _suffices(row, bound)]
    last = {row["remedy"]: row for row in tried if row["remedy"] != RESERVE}
    texts = [f"{_name_of(row)} leaves {_illegal_left(row)}" for row in last.values()]
    return Finding(bool(enough), ", ".join(texts), float(len(enough)))


def _suffices(row: _Row, bound_bytes: float) -> bool:
    """Return whether a remedy leaves no illegal call and keeps DRAM within the bound.

    A prefault without a lead does not count: a caller that can sleep so late needs no remedy.
    """
    reserve = row["reserve_granules"] * row["granule_bytes"]
    small = reserve <= RESERVE_OF_THRESHOLD * row["threshold_bytes"]
    late = row["remedy"] in (PREFAULTED, HELD) and not row["lead_events"]
    cheap = small and row["peak_resident_bytes"] <= bound_bytes
    return bool(not row["atomic_faults"] and cheap and not late)


def _name_of(row: _Row) -> str:
    if row["remedy"] in (RESERVE, SMALLEST):
        reserve = row["reserve_granules"] * row["granule_bytes"]
        share = reserve / row["threshold_bytes"]
        return (
            f"{row['remedy']} {row['reserve_granules']:,} ({short_bytes(reserve)}, {share:.2g} "
            f"of the threshold)"
        )
    return f"{row['remedy']}" + (f" {row['lead_events']:,} ahead" if row["lead_events"] else "")


def _illegal_left(row: _Row) -> str:
    return f"{row['illegal_share']:.2%}" if row["atomic_faults"] else "none"
