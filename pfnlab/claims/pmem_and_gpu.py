"""The claim that one mechanism serves persistent memory and GPU memory (T14)."""

from typing import Any

import pandas as pd

from pfnlab.claims.verdict import ABOUT, Finding, Verdict, by_trace, joined
from pfnlab.frames import require

_NEEDED = ("region", "device", "scheme", "event_ns", "all_dram_bytes", "bounded_dram")


def serves_both(frame: pd.DataFrame) -> Verdict:
    """T14: compare demand faulting with static arrays on each region.

    A scheme with several settings is judged by its fastest.
    """
    require(frame, [*ABOUT, *_NEEDED])
    return joined(
        {name: _by_kind(rows) for name, rows in by_trace(frame)},
        claim="T14",
        who="Jerome Glisse",
        statement=(
            "The same mechanism serves persistent memory and GPU memory: on both its limit bounds "
            "the DRAM, it takes less than a static array in DRAM, and less time per access than "
            "one on the device"
        ),
    )


def _by_kind(rows: pd.DataFrame) -> Finding:
    answered = rows.dropna(subset=["event_ns"]).sort_values("event_ns", kind="stable")
    tables: dict[str, dict[Any, dict[Any, Any]]] = {
        region: answered[answered["region"] == region]
        .drop_duplicates("scheme")
        .set_index("scheme")
        .to_dict("index")
        for region in rows["region"].unique()
    }
    compared = {
        region: table
        for region, table in tables.items()
        if {"demand_lra", "static_dram", "static_device"} <= set(table)
    }
    devices = {table["demand_lra"]["device"] for table in compared.values()}
    if not {"pmem", "gpu"} <= devices:
        return Finding(None, "needs regions of both kinds with demand_lra and the static arrays")
    demand = {region: table["demand_lra"] for region, table in compared.items()}
    loose = [region for region, row in demand.items() if not row["bounded_dram"]]
    larger = [r for r, table in compared.items() if not _is_less(table, "all_dram_bytes", "dram")]
    slower = [r for r, table in compared.items() if not _is_less(table, "event_ns", "device")]
    times = [
        float(table["demand_lra"]["event_ns"]) / float(table["static_device"]["event_ns"])
        for table in compared.values()
    ]
    text = (
        f"{_of(compared, loose)} keep the limit, {_of(compared, larger)} take less DRAM than a "
        f"static array, {_of(compared, slower)} are faster than the device's "
        f"({min(times):.2f} to {max(times):.2f} times its time per access)"
    )
    return Finding(not (loose or larger or slower), text)


def _is_less(table: dict[Any, dict[Any, Any]], column: str, where: str) -> bool:
    return bool(table["demand_lra"][column] < table[f"static_{where}"][column])


def _of(regions: dict[str, Any], failing: list[str]) -> str:
    count = f"{len(regions) - len(failing)} of {len(regions)} regions"
    return f"{count} (not {', '.join(failing)})" if failing else count
