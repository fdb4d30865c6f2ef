"""Frame to matplotlib `Figure`. Computes no verdict and opens no window."""

from pfnlab.figures.advice import pareto_front
from pfnlab.figures.alternatives import schemes
from pfnlab.figures.any_frame import any_sweep
from pfnlab.figures.by_region import by_region
from pfnlab.figures.contexts import atomic_context
from pfnlab.figures.drawing import pdf, png, svg
from pfnlab.figures.exploring import exploration
from pfnlab.figures.flushes import lazy_purge, shootdowns
from pfnlab.figures.orders import beside_theory, order_losses
from pfnlab.figures.pinning import pins
from pfnlab.figures.portrait import heat_map
from pfnlab.figures.reality import reality
from pfnlab.figures.stage import Film, scene
from pfnlab.figures.steps import mechanism
from pfnlab.figures.sweeps import chunk_size, eviction_threshold, region_size

__all__ = [
    "Film",
    "any_sweep",
    "atomic_context",
    "beside_theory",
    "by_region",
    "chunk_size",
    "eviction_threshold",
    "exploration",
    "heat_map",
    "lazy_purge",
    "mechanism",
    "order_losses",
    "pareto_front",
    "pdf",
    "pins",
    "png",
    "reality",
    "region_size",
    "scene",
    "schemes",
    "shootdowns",
    "svg",
]
