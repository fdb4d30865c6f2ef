"""Frame to `Verdict`: what a measurement says about a claim of the thread. Draws nothing."""

from pfnlab.claims.flushes import (
    best_batch_is_near,
    ceiling_is_constant,
    establishing_is_local,
    lazy_purge_is_a_batch,
    touches_send_no_ipis,
)
from pfnlab.claims.orders import small_share_suffices
from pfnlab.claims.sizes import bounded_dram, chunks_amortise
from pfnlab.claims.verdict import Verdict

__all__ = [
    "Verdict",
    "best_batch_is_near",
    "bounded_dram",
    "ceiling_is_constant",
    "chunks_amortise",
    "establishing_is_local",
    "lazy_purge_is_a_batch",
    "small_share_suffices",
    "touches_send_no_ipis",
]
