"""Where a trace's pages are put in a region: packed, spread over it, or once per tenant.

A trace is cut into areas of 128 MiB (one x86-64 section, one 2 MiB window of vmemmap); whatever
happens to the areas, pages of one area stay together, so chunks up to 2 MiB keep their meaning.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from pfnlab.errors import ParameterError, near
from pfnlab.params.units import MIB, format_bytes
from pfnlab.traces.requests import Int64s

AREA_BYTES = 128 * MIB

How = Literal["packed", "spread", "tenants"]
Pages = npt.NDArray[np.integer]


def place(pages: Pages, *, region_bytes: int, page_bytes: int, how: How) -> Int64s:
    """Return the pages of one tenant, moved area by area into a region, int64.

    Raises
    ------
    ParameterError
        If the region can't hold the touched areas, or `how` is unknown.
    """
    if how not in PLACES:
        raise ParameterError("how", how, near(str(how), [*PLACES, "tenants"]))
    area_pages = max(1, AREA_BYTES // page_bytes)
    areas, rank = np.unique(np.asarray(pages, np.int64) // area_pages, return_inverse=True)
    n_areas = region_bytes // (area_pages * page_bytes)
    if len(areas) > n_areas:
        needed = format_bytes(len(areas) * area_pages * page_bytes)
        raise ParameterError(
            "region_bytes", format_bytes(region_bytes), f"must hold the touched areas ({needed})"
        )
    place_of = PLACES[how](len(areas), n_areas)
    return place_of[rank] * area_pages + np.asarray(pages, np.int64) % area_pages


def _packed(n_touched: int, n_areas: int) -> Int64s:
    return np.arange(n_touched, dtype=np.int64)


def _spread(n_touched: int, n_areas: int) -> Int64s:
    return np.arange(n_touched, dtype=np.int64) * n_areas // max(n_touched, 1)


PLACES: dict[str, Callable[[int, int], Int64s]] = {"packed": _packed, "spread": _spread}


def staggered(n_events: int, n_tenants: int) -> tuple[Int64s, Int64s]:
    """Merge `n_tenants` runs of one trace, tenant t starting t / n_tenants of a run later.

    Returns
    -------
    tenant, event
        Which tenant acts and which event of the trace it replays, int64, ``n_events * n_tenants``
        long. Each tenant replays the whole trace in order, so GETs keep their PUTs.
    """
    event = np.tile(np.arange(n_events, dtype=np.int64), n_tenants)
    tenant = np.repeat(np.arange(n_tenants, dtype=np.int64), n_events)
    start = tenant * n_events // n_tenants
    order = np.argsort(event + start, kind="stable")
    return tenant[order], event[order]
