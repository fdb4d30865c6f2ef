"""How many granules sparse access touches, when a chunk can be evicted, when vmalloc flushes."""

import math

from pfnlab.errors import ParameterError
from pfnlab.params.units import real, whole

_LAZY_BYTES = 32 << 20


def expected_granules(n_granules: int, n_references: int) -> float:
    """Return how many of `n_granules` so many uniform references touch: G (1 - (1 - 1/G)**r).

    Raises
    ------
    ParameterError
        Unless there is at least 1 granule, and no negative number of references.
    """
    granules = whole("n_granules", n_granules, 1)
    references = whole("n_references", n_references, 0)
    if granules == 1:
        return float(min(references, 1))
    # 1 - 1/G rounds to 1 from G = 2**53 on, and long before that 1 - (1 - 1/G)**r has no digits.
    return granules * -math.expm1(references * math.log1p(-1 / granules))


def evictable(pinned_share: float, n_descriptors: int) -> float:
    """Return the chance that none of a chunk's descriptors is pinned: (1 - q)**n.

    Parameters
    ----------
    pinned_share
        Chance q that a descriptor is pinned, each independently of the others; 0 to 1.
    n_descriptors
        Descriptors n in the chunk.

    Raises
    ------
    ParameterError
        Naming the argument that is refused.
    """
    free = 1 - real("pinned_share", pinned_share, 0, 1)
    return float(free ** whole("n_descriptors", n_descriptors, 0))


def lazy_max_pages(n_cpus: int, page_bytes: int = 4096) -> int:
    """Return the pages that vmalloc lets pile up unmapped before it flushes all TLBs.

    ``fls(n_cpus) * (32 MiB / PAGE_SIZE)``, as in Linux's mm/vmalloc.c.

    Parameters
    ----------
    n_cpus
        Online CPUs, at least 1.
    page_bytes
        The machine's PAGE_SIZE, a power of two from 4096 to 32 MiB.

    Raises
    ------
    ParameterError
        Naming the argument that is refused.
    """
    page = whole("page_bytes", page_bytes, 4096, _LAZY_BYTES)
    if page & (page - 1):
        raise ParameterError("page_bytes", page_bytes, "must be a power of two")
    return whole("n_cpus", n_cpus, 1).bit_length() * (_LAZY_BYTES // page)
