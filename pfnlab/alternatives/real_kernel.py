"""The schemes beside a real kernel: this host, and measurements of emulated NVDIMMs."""

import numpy as np
import pandas as pd

from pfnlab.alternatives import known_schemes, schemes
from pfnlab.frames import require
from pfnlab.host.struct_page import Host
from pfnlab.params import PARAMETERS, Params
from pfnlab.traces.trace import Trace

#: The scheme that a namespace's mode and map stand for; `raw` has no descriptors.
_SCHEMES = {
    ("fsdax", "mem"): "static_dram",
    ("fsdax", "dev"): "static_device",
    ("devdax", "mem"): "compound_devmap_2m",
    ("devdax", "dev"): "static_device",
}
_NEEDED = ("nvdimm_bytes", "mode", "map", "nr_memmap_bytes", "ns_loss")


def host_schemes(host: Host, memory_bytes: int | None = None) -> pd.DataFrame:
    """Return the rows of `pfnlab.schemes` that need no trace, for so much memory (default: RAM)."""
    size = memory_bytes if memory_bytes is not None else host.memory_bytes
    most = int(PARAMETERS["region_bytes"].maximum)
    whole = min(max(size or 0, host.page_bytes), most) // host.page_bytes * host.page_bytes
    params = Params(region_bytes=whole, page_bytes=host.page_bytes)
    empty = Trace(np.zeros(0, np.int64), page_bytes=host.page_bytes, name="host")
    return schemes(empty, params, names=_without_trace())


def _without_trace() -> list[str]:
    known = known_schemes().values()
    names = [s.name for s in known if not s.needs_trace and s.name != "pfn_only"]
    return sorted(names, key=lambda name: name == "interleaved")  # last: no kernel has it


def modelled(lines: pd.DataFrame) -> pd.DataFrame:
    """Return a row per namespace: its scheme on a region of that size, and what the kernel took.

    Parameters
    ----------
    lines
        `data/measured/struct_page_cost.csv`, one row per namespace.

    Returns
    -------
    pandas.DataFrame
        The columns of `schemes`, ``region_bytes``, ``source``, ``mode``, and as measured
        ``memmap_bytes`` (descriptors, wherever they lie) and ``loss_bytes`` (of the device).

    Raises
    ------
    FrameError
        If a column is missing, or there are no rows.
    """
    require(lines, _NEEDED)
    frames = []
    for line in lines[lines["mode"] != "raw"].itertuples():
        params = Params(region_bytes=int(str(line.nvdimm_bytes)))
        name = _SCHEMES[str(line.mode), str(line.map)]
        row = schemes(Trace(np.zeros(0, np.int64)), params, names=[name])
        frames.append(
            row.assign(
                source="Linux 6.12",
                evidence="direct",
                n_events=0,
                mode=f"{line.mode} map={line.map}",
                memmap_bytes=int(str(line.nr_memmap_bytes)),
                loss_bytes=int(str(line.ns_loss)),
                **params.as_dict(),
            )
        )
    return pd.concat(frames, ignore_index=True)
