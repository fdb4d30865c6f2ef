"""A vmemmap whose unpopulated pages all map one read-only default page: lookups never fault."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from pfnlab.engine.feeding import drive
from pfnlab.engine.mechanism import Mechanism
from pfnlab.engine.result import Result
from pfnlab.kernels.state import LOOKUP, UNMATCHED_PUT
from pfnlab.params import Params
from pfnlab.traces.columns import Events
from pfnlab.traces.sources import Replayable


class SharedDefault(Mechanism):
    """The full mechanism, in which a LOOKUP reads what is mapped and populates nothing.

    To the kernel a LOOKUP is then an event that changes nothing, as a PUT without its GET is.
    """

    def __init__(self, trace: Replayable, params: Params) -> None:
        super().__init__(trace, params)
        self.n_lookups = 0

    def codes(self, events: Events) -> Any:
        """Return the codes of the next events, with nothing to do for a LOOKUP."""
        codes = super().codes(events)
        if codes is None:
            codes = np.full(len(events.pfns), LOOKUP, np.uint8)
        looks = codes & 3 == LOOKUP
        self.n_lookups += int(np.count_nonzero(looks))
        return np.where(looks, np.uint8(UNMATCHED_PUT), codes)

    def results(self) -> list[Result]:
        """Return the counters, by their names; every LOOKUP is a hit."""
        (result,) = super().results()
        return [
            replace(
                result,
                accesses=result.accesses + self.n_lookups,
                hits=result.hits + self.n_lookups,
                puts=result.puts - self.n_lookups,
                unmatched_puts=result.unmatched_puts - self.n_lookups,
            )
        ]


def replay_shared_default(
    trace: Replayable, params: Params, *, on_events: Callable[[int], None] | None = None
) -> Result:
    """Replay a trace where only GETs populate: of the mechanism of DESIGN 5, all else stands.

    Errors and `on_events` are those of `pfnlab.engine.replay`.
    """
    trace.check(params)
    run = SharedDefault(trace, params)
    drive(trace, params, [run], on_events)
    return run.results()[0]
