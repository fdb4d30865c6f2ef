"""Frame to `Verdict`: what a measurement says about a claim of the thread. Draws nothing."""

from pfnlab.claims.alternatives import (
    device_costs_latency_and_wear,
    freed_dram_is_worth_little,
    pfn_only_loses_sharing,
    static_takes_a_64th,
    temporary_is_cheaper,
    two_level_beats_demand,
)
from pfnlab.claims.by_region import serves_both
from pfnlab.claims.orders import small_share_suffices
from pfnlab.claims.sizes import bounded_dram, chunks_amortise
from pfnlab.claims.verdict import Verdict, Verdicts, verdicts

__all__ = [
    "Verdict",
    "Verdicts",
    "bounded_dram",
    "chunks_amortise",
    "device_costs_latency_and_wear",
    "freed_dram_is_worth_little",
    "pfn_only_loses_sharing",
    "serves_both",
    "small_share_suffices",
    "static_takes_a_64th",
    "temporary_is_cheaper",
    "two_level_beats_demand",
    "verdicts",
]
