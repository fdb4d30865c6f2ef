"""How much memory there is, asked before something large is allocated."""

import os
from pathlib import Path

from pfnlab.errors import ParameterError
from pfnlab.params import PARAMETERS, Params
from pfnlab.params.units import short_bytes


def available_bytes() -> int:
    """Memory that can be allocated without swapping, as far as the system tells."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        facts = dict(line.split(":", 1) for line in lines)
        return int(facts["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def check_region_fits(params: Params, needed_bytes: int, what: str) -> None:
    """Refuse a region whose tables would outgrow memory."""
    region = PARAMETERS["region_bytes"].show(params.region_bytes)
    check_fits(needed_bytes, "region_bytes", region, what)


def check_fits(needed_bytes: int, field: str, value: object, what: str) -> None:
    """Refuse what would outgrow memory, by the field that makes it so large."""
    available = available_bytes()
    if needed_bytes > available:
        need, have = short_bytes(needed_bytes), short_bytes(available)
        requirement = f"{what} must fit in memory, it needs {need} and {have} is available"
        raise ParameterError(field, value, requirement)
