"""`replay`: check everything, choose the fastest exact kernel, run it, name the counts."""

import sys
from collections.abc import Callable

from pfnlab.engine.feeding import drive
from pfnlab.engine.many import replay_many
from pfnlab.engine.mechanism import Mechanism
from pfnlab.engine.plan import planned
from pfnlab.engine.result import Result
from pfnlab.kernels import compiled
from pfnlab.params import PARAMETERS, Params
from pfnlab.traces.sources import Replayable

__all__ = ["replay", "replay_many", "smallest_reserve"]


def replay(
    trace: Replayable, params: Params, *, on_events: Callable[[int], None] | None = None
) -> Result:
    """Replay a trace through the mechanism of DESIGN 5.

    Parameters
    ----------
    trace
        The events. One in memory is checked whole before the first is replayed; one that is read
        while it is replayed, piece by piece, and nothing is returned if a piece is refused.
    params
        Region, sizes, threshold and policy.
    on_events
        Called with the number of events done since the last call, for progress.

    Raises
    ------
    TraceError
        If the trace's page size or one of its pfns is not the region's.
    ParameterError
        If the state of the replay would not fit in memory, or the policy can't replay such events.
    """
    run = planned(trace, params)
    drive(trace, params, [run], on_events)
    return run.results()[0]


def smallest_reserve(trace: Replayable, params: Params) -> int:
    """Return the fewest `reserve_granules` with which no atomic call fails; one replay.

    0 if none is needed; as many granules as atomic callers touch if nobody else ever faults, for
    only a sleepable fault refills the reserve.

    Raises
    ------
    TraceError, ParameterError
        As `replay`; `params.reserve_granules` is not used.
    """
    # While no call fails, how full the reserve is changes nothing else: all reserves that are
    # large enough replay alike. So the most that an endless one lends between two refills
    # (DESIGN 5) is enough, and one granule less is not.
    endless = params.replace(reserve_granules=PARAMETERS["reserve_granules"].maximum)
    run = planned(trace, endless)
    if not isinstance(run, Mechanism):  # a faster kernel: there is no atomic call
        return 0
    drive(trace, endless, [run])
    return run.reserve_taken


def _say_compiling(loop: str) -> None:
    """Tell a person at a terminal why the first use of a loop takes seconds."""
    if sys.stderr is not None and sys.stderr.isatty():
        sys.stderr.write(f"compiling {loop} (once)\n")
        sys.stderr.flush()


compiled.on_compile = _say_compiling
