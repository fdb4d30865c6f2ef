"""The twin beside the simulator on the machine that runs it: counts, time, and other CPUs.

    python -m pfnlab.claims.measures.reality data/measured

records in ``agreement.csv`` and ``predicted_times.csv`` what the verdicts of the README are judged
on: many more runs than a notebook has time for.
"""

import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pfnlab.engine import replay
from pfnlab.host import calibration
from pfnlab.host.calibration import calibrate
from pfnlab.host.limits import this_machine, why_no_twin
from pfnlab.host.shared_faults import measure_shared_faults
from pfnlab.host.tlb_ipis import measure_tlb_ipis, why_no_tlb_ipis
from pfnlab.host.twin_counts import agreement, drawn
from pfnlab.host.twin_times import validate
from pfnlab.params import Params
from pfnlab.params.costs import DEFAULT_PRESET, Costs, costs_of
from pfnlab.traces.formats import load
from pfnlab.traces.sources import Replayable
from pfnlab.traces.trace import Trace
from pfnlab.traces.views import first_events

NEGATIVE = "a calibrated cost came out below 0"
#: What a row is about.
COUNTS, TIME, SHARED, INTERRUPTS = "counts", "time", "shared faults", "interrupts"
#: Sizes that are run beside those of the parameters.
FEW: tuple[dict[str, Any], ...] = (
    {"granule_bytes": "4KiB", "chunk_bytes": "4KiB", "batch_chunks": 64},
    {"granule_bytes": "4KiB", "chunk_bytes": "64KiB", "batch_chunks": 4},
    {"granule_bytes": "64KiB", "chunk_bytes": "256KiB", "batch_chunks": 1},
)
#: First events of a source that are run: for counts, and for time, where few take too short.
N_COUNTED, N_TIMED = 1_000, 4_000
REPEATS = 3
_N_PAGES, _N_RECORDED, _ATTEMPTS = 20_000, 2_000, 4
_OWN = ("runs", "differing", "minor_faults", "predicted_minor_faults", "predicted_ns",
        "measured_ns", "event_ns", "spread", "n_threads", "n_pages", "n_faults", "operation",
        "n_operations", "n_ipis", "running", "machine", "date", "note")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """Costs of this machine, or others and why.

    Attributes
    ----------
    costs
        To predict times with.
    spread
        The largest spread (IQR / median) of a constant; None if nothing was measured.
    note
        Why these are not the costs of this machine, None if they are.
    """

    costs: Costs
    spread: float | None
    note: str | None = None


def calibrated(otherwise: str | Costs, repeats: int = REPEATS) -> Calibrated:
    """Measure the costs of this machine; take `otherwise` where none runs, or a cost is below 0."""
    if (reason := why_no_twin()) is not None:
        return Calibrated(costs=costs_of(otherwise), spread=None, note=reason)
    found = calibrate(repeats=repeats)
    table = found.table()
    spread = float(table["spread"].max())
    if (table["ns"] < 0).any():
        return Calibrated(costs=costs_of(otherwise), spread=spread, note=f"too noisy: {NEGATIVE}")
    return Calibrated(costs=found.costs("this-session"), spread=spread)


def beside(trace: Replayable, params: Params, session: Calibrated) -> pd.DataFrame:
    """Run the first events for real, count and time them, beside what is predicted.

    Regions and thresholds are chosen to hold the trace, and to evict; sizes are `FEW` and those
    of `params`.

    Returns
    -------
    pandas.DataFrame
        Rows ``check == COUNTS`` as of `pfnlab.host.twin_counts`, and TIME as of
        `pfnlab.host.twin_times`, with ``event_ns`` (predicted time per access). Where no twin
        runs, one row with the predicted time, and why in ``note``.

    Raises
    ------
    TraceError, ParameterError
        As a replay, and for a policy other than lra.
    """
    if (reason := why_no_twin()) is not None:
        return _predicted(trace, params, session.costs).assign(note=reason)
    names = ("granule_bytes", "chunk_bytes", "batch_chunks")
    sizes = [{name: getattr(params, name) for name in names}, *FEW]
    counts = _judged(agreement([first_events(trace, N_COUNTED, params)], sizes=sizes))
    times = validate(session.costs, [first_events(trace, N_TIMED, params)], sizes)
    times = times.assign(event_ns=times["predicted_ns"] / times["n_events"], spread=session.spread)
    times = times.assign(note=session.note)
    return _whole([counts.assign(check=COUNTS), times.assign(check=TIME)]).assign(**this_machine())


def concurrency() -> pd.DataFrame:
    """Measure what other CPUs see: shared first touches, and interrupts by touches and unmaps.

    Returns
    -------
    pandas.DataFrame
        Rows ``check == SHARED`` (`SharedFaults`) and INTERRUPTS (`TlbIpis`); where one can't be
        measured, a row with the reason in ``note``. ``n_events`` is 0: no trace is run.
    """
    shared = pd.DataFrame([{"note": _why_not_shared()}])
    if shared["note"].isna().all():
        shared = pd.DataFrame(map(asdict, measure_shared_faults(_N_PAGES)))
    ipis = pd.DataFrame([{"note": why_no_tlb_ipis()}])
    if ipis["note"].isna().all():
        ipis = pd.DataFrame(map(asdict, measure_tlb_ipis(_N_PAGES)))
    rows = _whole([shared.assign(check=SHARED), ipis.assign(check=INTERRUPTS)])
    return rows.assign(source="this machine", evidence="direct", n_events=0)


def _why_not_shared() -> str | None:
    if (reason := why_no_twin()) is not None:
        return reason
    return None if len(os.sched_getaffinity(0)) > 1 else "needs two CPUs"


def _predicted(trace: Replayable, params: Params, costs: Costs) -> pd.DataFrame:
    head = first_events(trace, N_TIMED, params)
    counts = replay(head, params)
    predicted = counts.cost(costs).initiator_ns
    rows = {"n_events": len(head), "predicted_ns": predicted}
    rows["event_ns"] = predicted / max(counts.accesses, 1)
    return _whole([pd.DataFrame([rows | {"check": TIME}])])


def _judged(runs: pd.DataFrame) -> pd.DataFrame:
    """Count each run, and those that differ."""
    return runs.assign(runs=1, differing=(runs["differs"] != "").astype(int))


def _whole(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Join rows of several kinds; every column is there, also where nothing was measured."""
    rows = pd.concat(parts, ignore_index=True)
    return rows.reindex(columns=[*dict.fromkeys([*rows, *_OWN])])


def record(folder: Path, traces: list[Trace]) -> None:
    """Run many times and write the tables that verdicts are judged on."""
    here = this_machine()
    runs = _judged(agreement(traces, n_events=_N_RECORDED))
    keys, figures = ["source", "evidence", "n_events"], [*_OWN[:4]]
    table = runs.groupby(keys, sort=False)[figures].sum().reset_index().assign(**here)
    table.to_csv(folder / "agreement.csv", index=False)
    found = _quietest()
    times = validate(found.costs).assign(spread=found.spread, note=found.note, **here)
    times.round(4).to_csv(folder / "predicted_times.csv", index=False)


def _quietest() -> Calibrated:
    """Calibrate until no constant is noisy, a few times at most; return the least noisy."""
    tried: list[Calibrated] = []
    while len(tried) < _ATTEMPTS and not (tried and _spread(tried[-1]) <= calibration.MOST_SPREAD):
        tried.append(calibrated(DEFAULT_PRESET, calibration.REPEATS))
    return min(tried, key=_spread)


def _spread(session: Calibrated) -> float:
    return float("inf") if session.spread is None or session.note else session.spread


def main(arguments: list[str]) -> int:
    """Record in the folder that is named: drawn workloads, and the traces named after it."""
    if not arguments:
        sys.stderr.write("usage: python -m pfnlab.claims.measures.reality FOLDER [TRACE ...]\n")
        return 2
    named = [load(path, stream=False) for path in arguments[1:]]
    record(Path(arguments[0]), [*named, *drawn()])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
