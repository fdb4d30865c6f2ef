"""Many runs of the twin beside the simulator: every counter, every fault, every resident granule.

    python -m pfnlab.host.twin_counts [TRACE ...]

Without traces it takes the workloads below; each is run under every combination of sizes,
thresholds, ways to evict and neighbours. Exit status 1 if any run differs.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

import pandas as pd
from tqdm import tqdm

from pfnlab.host.limits import unmaps_by_vector
from pfnlab.host.twin import run_twin
from pfnlab.params import Params
from pfnlab.params.units import GIB, OS_PAGE_BYTES
from pfnlab.traces.formats import load
from pfnlab.traces.trace import Trace
from pfnlab.traces.views import first_events
from pfnlab.traces.workloads import workload

Sizes = dict[str, Any]
#: Granule, chunk and batch of each run.
SIZES: tuple[Sizes, ...] = (
    {"granule_bytes": "4KiB", "chunk_bytes": "4KiB"},
    {"granule_bytes": "4KiB", "chunk_bytes": "4KiB", "batch_chunks": 64},
    {"granule_bytes": "4KiB", "chunk_bytes": "64KiB", "batch_chunks": 4},
    {"granule_bytes": "4KiB", "chunk_bytes": "2MiB"},
    {"granule_bytes": "16KiB", "chunk_bytes": "64KiB"},
    {"granule_bytes": "64KiB", "chunk_bytes": "256KiB", "batch_chunks": 2},
    {"granule_bytes": "256KiB", "chunk_bytes": "1MiB"},
    {"granule_bytes": "2MiB", "chunk_bytes": "2MiB"},
)
#: Thresholds, as shares of the granules that a trace touches.
SHARES = (0.1, 0.4)
WORKLOADS = ("zipf", "uniform", "sequential", "block_io", "gup_fast", "softirq")
N_EVENTS = 10_000
_REGION = "64GiB"


def agreement(
    traces: Iterable[Trace], *, n_events: int = N_EVENTS, sizes: Iterable[Sizes] | None = None
) -> pd.DataFrame:
    """Run the first `n_events` of every trace under every setting, with `sizes` or `SIZES`.

    Returns
    -------
    pandas.DataFrame
        A row a run: source, evidence, ``n_events``, settings, ``faults``, ``minor_faults`` and what
        was predicted for them, ``pinned_skips``, ``shootdowns``, ``elapsed_ns``, and ``differs``:
        the names of what was not as predicted.
    """
    settings = list(product(sizes or SIZES, SHARES, _evictions(), _neighbours()))
    heads = [first_events(trace, n_events) for trace in traces]
    rows = []
    for trace in tqdm(heads, desc="twins", unit="trace", disable=None):
        for sized, share, evict_by, neighbours in settings:
            params = _params(trace, sized, share)
            twin = run_twin(trace, params, evict_by=evict_by, neighbours=neighbours)
            rows.append(
                {
                    "source": trace.name,
                    "evidence": trace.evidence,
                    "n_events": len(trace),
                    **{name: getattr(params, name) for name in _SHOWN},
                    "evict_by": evict_by,
                    "neighbours": neighbours,
                    "faults": twin.result.faults,
                    "minor_faults": twin.minor_faults,
                    "predicted_minor_faults": twin.predicted.faults * _os_pages(params),
                    "pinned_skips": twin.result.pinned_skips,
                    "shootdowns": twin.result.shootdowns,
                    "elapsed_ns": twin.elapsed_ns,
                    "differs": ", ".join(twin.mismatches()),
                }
            )
    return pd.DataFrame(rows)


_SHOWN = ("region_bytes", "granule_bytes", "chunk_bytes", "batch_chunks", "threshold_bytes")


def _os_pages(params: Params) -> int:
    return params.granule_bytes // OS_PAGE_BYTES


def _evictions() -> list[Any]:
    return ["madvise", *(["process_madvise"] if unmaps_by_vector() else [])]


def _neighbours() -> list[int]:
    return [0, 1] if len(os.sched_getaffinity(0)) > 1 else [0]


def _params(trace: Trace, sizes: dict[str, Any], share: float) -> Params:
    """Return a region that holds the trace, and a threshold that evicts, of one chunk at least."""
    last = trace.extent[1] if trace.extent else 0
    region = max(64, -(-(last + 1) * trace.page_bytes // GIB)) * GIB
    sized: dict[str, Any] = {"region_bytes": region, "page_bytes": trace.page_bytes, **sizes}
    params = Params(reserve_granules=8, **sized)
    threshold = int(share * trace.footprint_bytes(params))
    return params.replace(threshold_bytes=max(threshold, params.chunk_bytes))


def drawn() -> Iterator[Trace]:
    """Yield the workloads that stand in where no trace is named."""
    for family in WORKLOADS:
        yield workload(family, n_events=N_EVENTS).trace(Params(region_bytes=_REGION))


def main(arguments: list[str]) -> int:
    """Run, print what differs by source, and say how many runs did."""
    traces = [load(path, stream=False) for path in arguments] or list(drawn())
    frame = agreement(traces)
    differs = frame["differs"] != ""
    table = frame.assign(runs=1, differing=differs.astype(int)).groupby("source", sort=False)
    columns = ["runs", "differing", "faults", "minor_faults", "pinned_skips", "shootdowns"]
    sys.stdout.write(f"{table[columns].sum().to_string()}\n")
    for _, row in frame[differs].iterrows():
        sys.stdout.write(f"{row.to_dict()}\n")
    sys.stdout.write(f"{len(frame)} runs, {int(differs.sum())} differ\n")
    return int(differs.any())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
