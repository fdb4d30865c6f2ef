"""Predicted times beside times of a twin, on traces that the costs were not fitted to."""

from collections.abc import Iterable, Iterator
from itertools import product
from statistics import median
from typing import Any

import pandas as pd
from tqdm import tqdm

from pfnlab.host.limits import unmaps_by_vector
from pfnlab.host.twin import run_twin
from pfnlab.params import Params
from pfnlab.params.costs import Costs
from pfnlab.params.units import parse_bytes
from pfnlab.traces.trace import Trace
from pfnlab.traces.views import first_events, lookups
from pfnlab.traces.workloads import workload

Sizes = dict[str, Any]
#: Granule, chunk and batch of each run; a batch is unmapped in one call where the kernel can.
SIZES: tuple[Sizes, ...] = (
    {"granule_bytes": "4KiB", "chunk_bytes": "4KiB"},
    {"granule_bytes": "4KiB", "chunk_bytes": "64KiB"},
    {"granule_bytes": "4KiB", "chunk_bytes": "2MiB"},
    {"granule_bytes": "64KiB", "chunk_bytes": "256KiB"},
    {"granule_bytes": "2MiB", "chunk_bytes": "2MiB"},
)
SHARES = (0.1, 0.5)
WORKLOADS = ("zipf", "uniform", "sequential", "hotspot")
N_EVENTS, REPEATS = 30_000, 3
#: Most bytes that a run populates: the first of its events, where granules are large.
_MOST_BYTES = 2 << 30
_REGION = "16GiB"


def drawn() -> Iterator[Trace]:
    """Yield the workloads that costs are validated on where no trace is named."""
    for family in WORKLOADS:
        yield workload(family, n_events=N_EVENTS).trace(Params(region_bytes=_REGION))


def validate(
    costs: Costs,
    traces: Iterable[Trace] | None = None,
    sizes: Iterable[Sizes] | None = None,
) -> pd.DataFrame:
    """Run lookups for real and predict how long they take.

    References are left out: locking a chunk is how a twin pins it, and no part of the model.

    Returns
    -------
    pandas.DataFrame
        A row a run: source, evidence, ``n_events``, sizes, ``faults``, ``predicted_ns``,
        ``measured_ns`` (the median of three) and ``error``, the share by which the first misses
        the second.
    """
    heads = [_lookups(trace) for trace in (drawn() if traces is None else traces)]
    runs = list(product(heads, sizes or SIZES, SHARES))
    rows = [_compared(costs, *run) for run in tqdm(runs, desc="validating", disable=None)]
    return pd.DataFrame(rows)


def _compared(costs: Costs, trace: Trace, sizes: dict[str, Any], share: float) -> dict[str, Any]:
    trace = first_events(trace, _MOST_BYTES // parse_bytes(sizes["granule_bytes"]))
    params = _params(trace, sizes, share)
    by: Any = "process_madvise" if unmaps_by_vector() else "madvise"
    twins = [run_twin(trace, params, evict_by=by) for _ in range(REPEATS)]
    predicted = twins[0].predicted.cost(costs).initiator_ns
    measured = median(twin.elapsed_ns for twin in twins)
    return {
        "source": trace.name,
        "evidence": trace.evidence,
        "n_events": len(trace),
        **{name: getattr(params, name) for name in ("region_bytes", *sizes, "threshold_bytes")},
        "faults": twins[0].result.faults,
        "shootdowns": twins[0].result.shootdowns,
        "predicted_ns": predicted,
        "measured_ns": measured,
        "error": abs(predicted - measured) / measured,
    }


def _params(trace: Trace, sizes: dict[str, Any], share: float) -> Params:
    params = _region(trace).replace(**sizes)
    threshold = int(share * trace.footprint_bytes(params))
    return params.replace(threshold_bytes=max(threshold, params.chunk_bytes))


def _region(trace: Trace) -> Params:
    last = trace.extent[1] if trace.extent else 0
    region = max(1 << 34, -(-(last + 1) * trace.page_bytes // (1 << 30)) << 30)
    return Params(region_bytes=region, page_bytes=trace.page_bytes, n_cpus=1)


def _lookups(trace: Trace) -> Trace:
    """Return the first accesses of a trace, as lookups that can sleep."""
    region = _region(trace)
    return first_events(lookups(trace).trace(region), N_EVENTS, region)


def errors(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the median and the 90th percentile of the errors, by source and in all."""
    of = {str(name): rows["error"] for name, rows in frame.groupby("source", sort=False)}
    table = {
        name: {"runs": len(some), "median": some.median(), "p90": some.quantile(0.9)}
        for name, some in (of | {"all": frame["error"]}).items()
    }
    return pd.DataFrame(table).T
