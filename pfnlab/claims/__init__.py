"""Frame to `Verdict`: judge the claims of the thread by sweeps and measurements."""

from pfnlab.claims.atomic_context import a_remedy_suffices, atomic_calls_fault
from pfnlab.claims.pins import pins_are_independent, pins_break_the_bound
from pfnlab.claims.pmem_and_gpu import serves_both
from pfnlab.claims.reality import counts_agree, shared_touches_fault_again, times_are_predicted
from pfnlab.claims.shootdowns import (
    best_batch_is_near,
    ceiling_is_constant,
    establishing_is_local,
    lazy_purge_is_a_batch,
    touches_send_no_ipis,
)
from pfnlab.claims.sizes import bounded_dram, chunks_amortise, granules_trade
from pfnlab.claims.static_cost import (
    device_costs_latency_and_wear,
    freed_dram_is_worth_little,
    pfn_only_loses_sharing,
    static_takes_a_64th,
    temporary_is_cheaper,
    two_level_beats_demand,
)
from pfnlab.claims.verdict import Verdict, Verdicts, verdicts
from pfnlab.claims.victim_order import lra_is_enough, small_share_suffices

__all__ = [
    "Verdict",
    "Verdicts",
    "a_remedy_suffices",
    "atomic_calls_fault",
    "best_batch_is_near",
    "bounded_dram",
    "ceiling_is_constant",
    "chunks_amortise",
    "counts_agree",
    "device_costs_latency_and_wear",
    "establishing_is_local",
    "freed_dram_is_worth_little",
    "granules_trade",
    "lazy_purge_is_a_batch",
    "lra_is_enough",
    "pfn_only_loses_sharing",
    "pins_are_independent",
    "pins_break_the_bound",
    "serves_both",
    "shared_touches_fault_again",
    "small_share_suffices",
    "static_takes_a_64th",
    "temporary_is_cheaper",
    "times_are_predicted",
    "touches_send_no_ipis",
    "two_level_beats_demand",
    "verdicts",
]
