"""Which scheme wins on which region: the contenders for a device, and the fastest of them."""

from dataclasses import asdict

import pandas as pd

from pfnlab.alternatives import counted
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


def contenders(trace: Replayable, params: Params, costs: str | Costs) -> pd.DataFrame:
    """Return the rows of `pfnlab.schemes` for `CONTENDERS`, and what one pass counted."""
    found = counted(trace, params, names=CONTENDERS)
    seen = asdict(found.seen) | {"accesses": found.seen.accesses}
    return found.table(costs).assign(**seen, vmemmap_bytes=params.vmemmap_bytes)
