"""The contenders: the schemes that can hold the descriptors of a device, on one trace."""

from dataclasses import asdict

import pandas as pd

from pfnlab.alternatives import counted, known_schemes
from pfnlab.params import Params
from pfnlab.params.costs import Costs
from pfnlab.traces.sources import Replayable


def contender_names() -> list[str]:
    """Return the schemes that can hold the descriptors of a device."""
    return [name for name, scheme in known_schemes().items() if scheme.for_devices]


def contenders(trace: Replayable, params: Params, costs: str | Costs) -> pd.DataFrame:
    """Return the rows of `pfnlab.schemes` for a device, and what one pass counted."""
    found = counted(trace, params, names=contender_names())
    seen = asdict(found.seen) | {"accesses": found.seen.accesses}
    return found.table(costs).assign(**seen, vmemmap_bytes=params.vmemmap_bytes)
