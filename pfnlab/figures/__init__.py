"""Frame to matplotlib `Figure`. Computes no verdict and opens no window."""

from pfnlab.figures.advice import pareto_front
from pfnlab.figures.alternatives import schemes
from pfnlab.figures.by_region import by_region
from pfnlab.figures.drawing import png
from pfnlab.figures.flushes import lazy_purge, shootdowns
from pfnlab.figures.sweeps import any_sweep, chunk_size, eviction_threshold, region_size

__all__ = [
    "any_sweep",
    "by_region",
    "chunk_size",
    "eviction_threshold",
    "lazy_purge",
    "pareto_front",
    "png",
    "region_size",
    "schemes",
    "shootdowns",
]
