"""Closed forms: what theory says of victim orders, batches and sizes, without any replay.

Under *independent references* (IRM) each access draws item i with probability p_i, whatever came
before. An item is a granule that is evicted alone (granule = chunk), so the least recently
allocated order is FIFO; a capacity is a number of items.
"""

from pfnlab.claims.theory.batches import (
    best_batch,
    best_batch_estimate,
    chunked_lra,
    cost_per_reference,
)
from pfnlab.claims.theory.references import (
    fifo_approximate,
    fifo_exact,
    fifo_slope,
    lru_approximate,
    lru_exact,
    optimum_static,
    zipf_probabilities,
)
from pfnlab.claims.theory.sizes import evictable, expected_granules, lazy_max_pages

__all__ = [
    "best_batch",
    "best_batch_estimate",
    "chunked_lra",
    "cost_per_reference",
    "evictable",
    "expected_granules",
    "fifo_approximate",
    "fifo_exact",
    "fifo_slope",
    "lazy_max_pages",
    "lru_approximate",
    "lru_exact",
    "optimum_static",
    "zipf_probabilities",
]
