"""Frame to matplotlib `Figure`. Computes no verdict and opens no window."""

from pfnlab.figures.any_sweep import any_sweep
from pfnlab.figures.atomic_context import atomic_context
from pfnlab.figures.drawing import pdf, png, svg
from pfnlab.figures.explorer import exploration
from pfnlab.figures.heat_map import heat_map
from pfnlab.figures.mechanism import mechanism
from pfnlab.figures.pareto_front import pareto_front
from pfnlab.figures.pins import pins
from pfnlab.figures.pmem_and_gpu import by_region
from pfnlab.figures.reality import reality
from pfnlab.figures.scenes import Film, scene
from pfnlab.figures.shootdowns import lazy_purge, shootdowns
from pfnlab.figures.sizes import chunk_size, eviction_threshold, region_size
from pfnlab.figures.static_cost import schemes
from pfnlab.figures.victim_order import beside_theory, order_losses

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
