"""`schemes`: compare every way to hold descriptors on one trace (DESIGN 7).

`without_faults` computes the schemes without faults, `demand` replays the others, and
`real_kernel` has what a kernel was measured to take. One pass of `engine.descriptor_use` over the
trace gives the counts that they need.
"""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from tqdm import tqdm

from pfnlab.alternatives.demand import replayed
from pfnlab.alternatives.scheme import (
    PRICED,
    Holding,
    Row,
    Scheme,
    Unanswered,
    chosen_schemes,
    known_schemes,
)
from pfnlab.alternatives.without_faults import BUILDS
from pfnlab.engine.descriptor_use import Followed, follow
from pfnlab.errors import ParameterError
from pfnlab.frames.labels import PROPERTIES
from pfnlab.params import Params
from pfnlab.params.costs import DEFAULT_PRESET, Costs, costs_of
from pfnlab.traces.sources import Evidence, Replayable
from pfnlab.traces.trace import Trace

__all__ = ["PROPERTIES", "Counted", "Scheme", "counted", "known_schemes", "schemes", "side_by_side"]

_NO_PINS = "needs GETs and PUTs, which tell how long a page is in use; trace {!r} has only LOOKUPs"
#: Columns of `schemes` and their types, which know NA.
COLUMNS = {
    "scheme": "string",
    "dram_bytes": "Int64",
    "mean_dram_bytes": "Float64",
    "all_dram_bytes": "Int64",
    "device_bytes": "Int64",
    "virtual_bytes": "Int64",
    "page_table_bytes": "Int64",
    "faults": "Int64",
    "atomic_faults": "Int64",
    "setup_ns": "Float64",
    "event_ns": "Float64",
    "stolen_ns": "Float64",
    "device_writes": "Int64",
    "endurance_years": "Float64",
    "hot_line_years": "Float64",
    **dict.fromkeys(PROPERTIES, "boolean"),
    "note": "string",
}


def schemes(
    trace: Replayable,
    params: Params | None = None,
    costs: str | Costs = DEFAULT_PRESET,
    *,
    names: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Judge every way to hold the descriptors of a region on one trace (DESIGN 7).

    Parameters
    ----------
    trace
        The events; an empty one will do for the schemes that are not replayed.
    params
        Region, sizes and threshold of the demand schemes; each gets its own ``policy``.
    costs
        A preset's name or a `Costs`.
    names
        Schemes to judge; all if None.

    Returns
    -------
    pandas.DataFrame
        One row per scheme. ``dram_bytes`` is the peak, with page tables and reserve in the demand
        schemes; ``all_dram_bytes`` has page tables in every row, so that rows compare. Times are
        in ns: ``setup_ns`` once, ``event_ns`` per access, ``stolen_ns`` from all other CPUs in
        all. ``device_writes`` counts initialisation too; years of endurance count references
        only, at the trace's own rate if it has times, or its provenance
        a window such as "15.7 s", else as fast as one CPU can:
        ``endurance_years`` if writes are levelled over the device, ``hot_line_years`` for the
        256-byte line that is written most if they are not. What can't be answered for this
        trace is NA, with the reason in ``note``.

    Raises
    ------
    ParameterError
        For an unknown scheme or preset, or a state that would not fit in memory.
    TraceError
        If the trace's page size or one of its pfns is not the region's.
    """
    chosen = costs_of(costs)
    return counted(trace, params, names=names).table(chosen)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Counted:
    """All schemes on one trace, before any cost: `table` prices them without a replay.

    Attributes
    ----------
    source, evidence, n_events
        Of the trace.
    params
        Region, sizes and threshold.
    seen
        The counts of one pass over the trace.
    seconds
        How long the trace lasted, None if it has no times.
    answers
        One per scheme.
    """

    source: str
    evidence: Evidence
    n_events: int
    params: Params
    seen: Followed
    seconds: float | None
    answers: tuple[Holding | Unanswered, ...]

    def table(self, costs: str | Costs = DEFAULT_PRESET) -> pd.DataFrame:
        """Return the rows of `schemes` under these costs."""
        return side_by_side([self], costs)[list(COLUMNS)]

    def rows(self) -> list[Row]:
        """Return a row per scheme with its source, without prices."""
        about = {"source": self.source, "evidence": self.evidence, "n_events": self.n_events}
        seen = asdict(self.seen) | {"accesses": self.seen.accesses}
        known = about | self.params.as_dict() | dict.fromkeys(COLUMNS, pd.NA)
        return [known | answer.row() | seen for answer in self.answers]

    def prices(self, costs: Costs) -> list[dict[str, float]]:
        """Return the prices of each scheme; of one that can't be answered none."""
        about = (self.params.region_bytes, self.seen.accesses, self.seconds)
        return [answer.prices(costs, *about) for answer in self.answers]


def side_by_side(found: Iterable[Counted], costs: str | Costs = DEFAULT_PRESET) -> pd.DataFrame:
    """Price the schemes of several traces or configurations at once; nothing is replayed.

    Returns
    -------
    pandas.DataFrame
        The columns of `schemes` after source, evidence, number of events and parameters, and
        before the counts of `pfnlab.engine.descriptor_use.Followed`.

    Raises
    ------
    ParameterError
        For an unknown preset, or if nothing was counted.
    """
    chosen, every = costs_of(costs), tuple(found)
    if not every:
        raise ParameterError("found", "()", "must have one trace that was counted, at least")
    prices = [price for one in every for price in one.prices(chosen)]
    columns = {name: [price.get(name, pd.NA) for price in prices] for name in PRICED}
    priced = {name: pd.array(values, dtype="Float64") for name, values in columns.items()}
    return _unpriced(every).assign(**priced)


@lru_cache(maxsize=16)
def _unpriced(found: tuple[Counted, ...]) -> pd.DataFrame:
    """Return all but the prices; kept, because a slider of costs asks for it again and again."""
    return pd.DataFrame([row for one in found for row in one.rows()]).astype(COLUMNS)


def counted(
    trace: Replayable, params: Params | None = None, *, names: Iterable[str] | None = None
) -> Counted:
    """Follow and replay a trace for every scheme; arguments and errors are those of `schemes`."""
    params = params or Params()
    wanted = chosen_schemes(names)
    trace.check(params)
    with tqdm(desc=f"schemes on {trace.name}", unit="event", unit_scale=True, disable=None) as bar:
        seen = follow(trace, params)
        bar.update(len(trace))

        def progress(n_events: int) -> None:
            bar.update(n_events)

        blind = [scheme for scheme in wanted if scheme.needs_pins and not trace.has_ops]
        faulting = [s for s in wanted if s.name not in BUILDS and s not in blind]
        answers: dict[str, Holding | Unanswered] = {
            scheme.name: BUILDS[scheme.name](scheme, params, seen)
            for scheme in wanted
            if scheme.name in BUILDS
        }
        for scheme in blind:
            answers[scheme.name] = Unanswered(scheme=scheme, note=_NO_PINS.format(trace.name))
        for answer in replayed(trace, params, faulting, seen, progress):
            answers[answer.scheme.name] = answer
    ordered = tuple(answers[scheme.name] for scheme in wanted)
    return Counted(
        source=trace.name,
        evidence=trace.evidence,
        n_events=len(trace),
        params=params,
        seen=seen,
        seconds=_seconds(trace),
        answers=ordered,
    )


def _seconds(trace: Replayable) -> float | None:
    """Return the length of a trace by its times or its capture's window; None if unknown."""
    times = trace.time_ns if isinstance(trace, Trace) else None
    if times is not None and len(times):
        return float(np.ptp(times)) / 1e9 or None
    window = re.fullmatch(r"(\d+(?:\.\d+)?) s", trace.provenance.get("window", ""))
    return float(window[1]) if window else None
