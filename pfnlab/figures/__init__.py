"""Frame to matplotlib `Figure`. Computes no verdict and opens no window."""

from pfnlab.figures.drawing import png
from pfnlab.figures.orders import beside_theory, order_losses
from pfnlab.figures.steps import mechanism
from pfnlab.figures.sweeps import any_sweep, chunk_size, eviction_threshold, region_size

__all__ = [
    "any_sweep",
    "beside_theory",
    "chunk_size",
    "eviction_threshold",
    "mechanism",
    "order_losses",
    "png",
    "region_size",
]
