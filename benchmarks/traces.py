"""The traces that the rows replay, drawn or loaded when first asked for."""

import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import pfnlab

ROOT = Path(__file__).resolve().parents[1]
REGION = pfnlab.Params(region_bytes="1TiB")  # 2^28 pfns
LONGEST_RUN = 512


@dataclass(frozen=True, slots=True)
class Scale:
    """How much the rows do."""

    accesses: int
    repetitions: int
    streamed: int  # accesses of the trace on disk


FULL = Scale(20_000_000, 5, 100_000_000)
LARGE = Scale(20_000_000, 5, 400_000_000)
QUICK = Scale(1_000_000, 3, 4_000_000)


def zs(n: int) -> pfnlab.Trace:
    """Return zipf 0.9, scattered page by page."""
    return pfnlab.workload("zipf", alpha=0.9, n_events=n, seed=1).trace(REGION)


def zb(n: int) -> pfnlab.Trace:
    """Return zipf 0.9, scattered in blocks of 2^15 pages."""
    return pfnlab.workload("zipf", alpha=0.9, n_events=n, seed=1, scatter_pages=2**15).trace(REGION)


def run(n: int) -> pfnlab.Trace:
    """Return calls of which half access one page, half 1 to 512 successive ones."""
    random = np.random.default_rng(1)
    n_calls = 4 * n // LONGEST_RUN + 64
    lengths = random.integers(1, LONGEST_RUN + 1, n_calls)
    lengths[random.random(n_calls) < 0.5] = 1
    starts = random.integers(0, REGION.n_pages - LONGEST_RUN, n_calls)
    ends = np.cumsum(lengths)
    calls = slice(0, int(np.searchsorted(ends, n)) + 1)
    first = np.repeat((starts - (ends - lengths))[calls], lengths[calls])
    pfns = first + np.arange(len(first))
    return pfnlab.Trace(pfns[:n].astype(np.uint32), name="run")


def real(name: str) -> Callable[[int], pfnlab.Trace]:
    """Return a loader of a shipped trace: its accesses (LOOKUPs and GETs), all as LOOKUPs."""

    def lookups(n: int) -> pfnlab.Trace:
        whole = pfnlab.load(ROOT / "data" / "traces" / f"{name}.parquet", stream=False)
        pfns = whole.pfns if whole.ops is None else whole.pfns[whole.ops != 2]
        return pfnlab.Trace(pfns[:n].copy(), name=name)

    return lookups


TRACES: Mapping[str, Callable[[int], pfnlab.Trace]] = {
    "zs": zs, "zb": zb, "run": run,
    **{name: real(name) for name in ("pgbench", "sqlite", "pagecache")},
}  # fmt: skip


def scratch_folder(owner: object) -> Path:
    """Return a new temporary folder that goes when `owner` does, or this process ends."""
    folder = tempfile.mkdtemp(prefix="pfnlab-bench-")
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@lru_cache(maxsize=1)  # rows of one trace follow each other: one in memory at a time
def trace_of(name: str, n: int) -> pfnlab.Trace:
    """Return a trace of `n` accesses, or of as many as there are."""
    return TRACES[name](n)


@lru_cache(maxsize=1)
def touched_chunks(name: str, n: int, shift: int) -> int:
    """Return how many chunks of ``2**shift`` pages a trace touches."""
    return len(np.unique(trace_of(name, n).pfns >> shift))


def io_trace(lookups: pfnlab.Trace, depth: int = 32) -> pfnlab.Trace:
    """Return each lookup as a one-page request: a GET, and a PUT `depth` requests later."""
    pages = lookups.pfns.astype(np.int64)
    sizes: npt.NDArray[Any] = np.full(len(pages), 4096)
    return pfnlab.Trace.from_requests(pages * 4096, sizes, depth, name=f"{lookups.name} io")
