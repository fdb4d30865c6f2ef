"""Claims on the victim order (T10): what evicting the least recently allocated costs."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pfnlab.claims.verdict import ABOUT, Finding, Verdict, by_trace, joined, worst
from pfnlab.frames import require
from pfnlab.params import PARAMETERS
from pfnlab.units import short_bytes

# Bounds that decide the verdicts; each is a judgement, named here once.
SHARE_OF_FOOTPRINT = 0.25
SHARE_TOLERANCE = 0.05
REFAULTS_AN_ACCESS = 0.05


def small_share_suffices(frame: pd.DataFrame) -> Verdict:
    """T10: with a quarter of the footprint resident, LRA rarely evicts what is needed again."""
    require(frame, [*ABOUT, *PARAMETERS, "footprint_bytes", "peak_resident_bytes", "refaults",
                    "accesses", "faults", "atomic_faults", "shootdowns"])  # fmt: skip
    return joined(
        {
            name: worst([_sufficient(row) for row in rows.to_dict("records")])
            for name, rows in by_trace(frame)
        },
        claim="T10",
        who="Ingo Molnar",
        statement=(
            f"Evicting the least recently allocated needs no access information: with "
            f"{SHARE_OF_FOOTPRINT:.0%} of the footprint resident at most {REFAULTS_AN_ACCESS:.0%} "
            f"of accesses fault again"
        ),
    )


def _sufficient(row: dict[Any, Any]) -> Finding:
    """Judge one row by the share that was really resident: pins may hold more."""
    limit = max(row["threshold_bytes"], row["peak_resident_bytes"])
    share = limit / row["footprint_bytes"] if row["footprint_bytes"] else 0.0
    if abs(share - SHARE_OF_FOOTPRINT) > SHARE_TOLERANCE or not row["faults"]:
        distance = abs(share - SHARE_OF_FOOTPRINT)
        return Finding(
            None, f"needs a row near {SHARE_OF_FOOTPRINT:.0%}, has {share:.0%}", distance
        )
    ratio = row["refaults"] / row["accesses"]
    return Finding(
        bool(ratio <= REFAULTS_AN_ACCESS),
        f"{ratio:.2%} of accesses fault again with {share:.0%} of the footprint resident "
        f"({short_bytes(limit)}; granules {short_bytes(row['granule_bytes'])}, chunks "
        f"{short_bytes(row['chunk_bytes'])}), {row['shootdowns']:,} shootdowns, "
        f"{row['atomic_faults']:,} illegal atomic faults",
        -ratio,
    )
