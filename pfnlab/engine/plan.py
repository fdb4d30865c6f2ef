"""Which run replays a configuration fastest, and still exactly."""

from pfnlab.engine.counters import fits_dense, lookups_only
from pfnlab.engine.feeding import Run
from pfnlab.engine.lra_many_granules import Chunked
from pfnlab.engine.lra_one_granule import Expiry
from pfnlab.engine.mechanism import STATE, Mechanism
from pfnlab.engine.policies import KERNELS, Order
from pfnlab.errors import ParameterError
from pfnlab.params import Params
from pfnlab.params.memory import check_region_fits
from pfnlab.params.policies import WHOLE_CHUNK_POLICIES
from pfnlab.traces.sources import Replayable

Kind = type[Mechanism] | type[Expiry] | type[Chunked] | type[Order]


def planned(trace: Replayable, params: Params) -> Run:
    """Return a run of one configuration, ready for the first event.

    Raises
    ------
    TraceError, ParameterError
        If the trace does not fit the region, the policy not the trace, or the state not the memory.
    """
    trace.check(params)
    check_policy(trace, params)
    kind = kind_of(trace, params)
    if issubclass(kind, Mechanism):  # which knows better what it will touch
        return kind(trace, params)
    check_region_fits(params, kind.table_bytes(trace, params), STATE)
    return kind(trace, params)


def kind_of(trace: Replayable, params: Params) -> Kind:
    """Return the fastest run that is exact for these events and sizes."""
    whole = params.granule_bytes == params.chunk_bytes
    if not lookups_only(trace):
        return Mechanism
    if params.policy in WHOLE_CHUNK_POLICIES:
        return Order
    if params.policy == "lra":
        fast: type[Expiry] | type[Chunked] = Expiry if whole else Chunked
        if fast.counts_far_enough(params) and fits_dense(trace, fast.table_bytes(trace, params)):
            return fast
    elif params.policy in KERNELS and whole and fits_dense(trace, Order.table_bytes(trace, params)):
        return Order
    return Mechanism


def check_policy(trace: Replayable, params: Params) -> None:
    """Refuse events that the kernel of the policy does not know.

    Raises
    ------
    ParameterError
        Naming the policy and the trace.
    """
    if params.policy in WHOLE_CHUNK_POLICIES and not lookups_only(trace):
        requirement = f"must have lookups that can sleep only, unlike trace {trace.name!r}"
        raise ParameterError("policy", params.policy, requirement)
