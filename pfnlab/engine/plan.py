"""Which run replays a configuration fastest, and still exactly."""

from __future__ import annotations

from pfnlab.engine.feeding import Run
from pfnlab.engine.mechanism import Mechanism
from pfnlab.errors import ParameterError
from pfnlab.params import WHOLE_CHUNK_POLICIES, Params
from pfnlab.replayable import Replayable


def planned(trace: Replayable, params: Params) -> Run:
    """Return a run of one configuration, ready for the first event.

    Raises
    ------
    TraceError, ParameterError
        If the trace does not fit the region, the policy not the trace, or the state not the memory.
    """
    trace.check(params)
    _check_policy(trace, params)
    return Mechanism(trace, params)


def _check_policy(trace: Replayable, params: Params) -> None:
    """Refuse events that the kernel of the policy does not know."""
    if params.policy in WHOLE_CHUNK_POLICIES and (trace.has_ops or trace.has_atomic):
        requirement = f"must have lookups that can sleep only, unlike trace {trace.name!r}"
        raise ParameterError("policy", params.policy, requirement)
