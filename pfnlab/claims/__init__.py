"""Frame to `Verdict`: what a measurement says about a claim of the thread. Draws nothing."""

from pfnlab.claims.orders import lra_is_enough, small_share_suffices
from pfnlab.claims.sizes import bounded_dram, chunks_amortise, granules_trade
from pfnlab.claims.verdict import Verdict

__all__ = [
    "Verdict",
    "bounded_dram",
    "chunks_amortise",
    "granules_trade",
    "lra_is_enough",
    "small_share_suffices",
]
