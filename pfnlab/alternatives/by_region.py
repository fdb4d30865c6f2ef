"""Which scheme wins on which region: the contenders for a device, and the fastest of them."""

from collections.abc import Iterable
from dataclasses import asdict

import pandas as pd

from pfnlab.alternatives import counted
from pfnlab.frames import require
from pfnlab.params import Params
from pfnlab.params.costs import Costs
from pfnlab.traces.sources import Replayable

#: What can hold the descriptors of a device: no HVO, which is for RAM, and no victim order that
#: needs a record of accesses.
CONTENDERS = (
    "static_dram",
    "static_device",
    "interleaved",
    "pfn_only",
    "temporary",
    "compound_devmap_2m",
    "compound_devmap_1g",
    "two_level",
    "memdesc",
    "device_lazy",
    "demand_keep",
    "demand_shared",
    "demand_lra",
)
#: Most DRAM that a winner may take, as a share of the static array's: a judgement.
DRAM_SHARE = 1 / 16
#: Columns that tell one table of schemes from another's.
TABLE = ("region", "source", "evidence", "n_events")
WINNING = (*TABLE, "scheme", "all_dram_bytes", "event_ns", "vmemmap_bytes", "gets")


def contenders(trace: Replayable, params: Params, costs: str | Costs) -> pd.DataFrame:
    """Return the rows of `pfnlab.schemes` for `CONTENDERS`, and what one pass counted."""
    found = counted(trace, params, names=CONTENDERS)
    seen = asdict(found.seen) | {"accesses": found.seen.accesses}
    return found.table(costs).assign(**seen, vmemmap_bytes=params.vmemmap_bytes)


def winners(frame: pd.DataFrame, needs: Iterable[str] = ()) -> pd.DataFrame:
    """Return the fastest scheme of each table that keeps `needs` and takes little DRAM.

    Little is `DRAM_SHARE` of the static array. A trace that takes references is not served by
    pfns alone. A table in which nothing qualifies has no row.

    Raises
    ------
    FrameError
        If the frame lacks a column.
    """
    wanted = list(needs)
    require(frame, [*WINNING, *wanted])
    rows = frame.dropna(subset=["event_ns"])
    keeps = rows[wanted].fillna(False).astype(bool).all(axis=1)
    little = rows["all_dram_bytes"] <= DRAM_SHARE * rows["vmemmap_bytes"]
    serves = ~((rows["scheme"] == "pfn_only") & (rows["gets"] > 0))
    good = rows[keeps & little & serves].sort_values("event_ns", kind="stable")
    return good.drop_duplicates(list(TABLE)).sort_index()
