"""Frame to `Verdict`: what a measurement says about a claim of the thread. Draws nothing."""

from pfnlab.claims.contexts import a_remedy_suffices, atomic_calls_fault
from pfnlab.claims.orders import small_share_suffices
from pfnlab.claims.pinning import pins_are_independent, pins_break_the_bound
from pfnlab.claims.sizes import bounded_dram, chunks_amortise
from pfnlab.claims.verdict import Verdict

__all__ = [
    "Verdict",
    "a_remedy_suffices",
    "atomic_calls_fault",
    "bounded_dram",
    "chunks_amortise",
    "pins_are_independent",
    "pins_break_the_bound",
    "small_share_suffices",
]
