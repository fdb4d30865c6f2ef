"""What pfnlab is compared with: libCacheSim, cachetools, plain Python, and the machine's limits."""

import math
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from benchmarks.race import AbsentError, Contestant, Mark
from benchmarks.traces import scratch_folder

#: pfnlab's policy -> libCacheSim's class; all with their default settings.
LIBCACHESIM = {
    "lra": "FIFO",
    "lru": "LRU",
    "clock": "Clock",
    "sieve": "Sieve",
    "s3fifo": "S3FIFO",
    "opt": "Belady",
}
ORACLE_GENERAL = np.dtype([("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")])
PIECE = 1 << 20
TUNING_ACCESSES = 2_000_000
Ids = npt.NDArray[np.uint32]


def peer(name: str) -> ModuleType:
    """Import an optional package, or skip the row."""
    try:
        return __import__(name)
    except ImportError:
        raise AbsentError(f"{name} is not installed (the extra 'bench')") from None


@numba.njit(cache=True)
def _next_uses(ids: Ids, last: npt.NDArray[np.int64], uses: npt.NDArray[np.int64]) -> None:
    for position in range(len(ids) - 1, -1, -1):
        uses[position] = last[ids[position]]
        last[ids[position]] = position


@numba.njit(cache=True)
def gather(table: npt.NDArray[np.uint32], pfns: npt.NDArray[Any], shift: int) -> int:
    """Return the sum of ``table[pfn >> shift]``: the least that any replay must do."""
    total = 0
    for position in range(len(pfns)):
        total += table[pfns[position] >> shift]
    return total


class OracleFile:
    """Chunk numbers in libCacheSim's oracleGeneral format, with next uses, and a reader of them."""

    def __init__(self, pfns: npt.NDArray[Any], shift: int) -> None:
        self._library = peer("libcachesim")
        self.n = len(pfns)
        path = scratch_folder(self) / "chunks.oracleGeneral"
        _write(path, pfns >> shift)
        self._reader = self._library.TraceReader(
            str(path),
            self._library.TraceType.ORACLE_GENERAL_TRACE,
            self._library.ReaderInitParam(ignore_obj_size=True),
        )
        self._slack: int | None = None

    def run(self, policy: str, capacity: int) -> Callable[[], int]:
        """Return a run that gives the misses; cache and hash table are made beforehand."""
        if self._slack is None:  # found once a trace
            self._slack = min(range(-1, 6), key=lambda slack: self._tuning_seconds(capacity, slack))
        return self._prepared(policy, capacity, self._slack)

    def _prepared(
        self, policy: str, capacity: int, slack: int, max_accesses: int = -1
    ) -> Callable[[], int]:
        # How many bits larger than the cache its hash table is decides the speed.
        hash_bits = max(4, math.ceil(math.log2(capacity)) + slack)
        make = getattr(self._library, LIBCACHESIM[policy])
        simulator = make(cache_size=capacity, hashpower=hash_bits)
        n = self.n if max_accesses < 0 else min(self.n, max_accesses)

        def run() -> int:
            self._reader.reset()
            miss_ratio: float = simulator.process_trace(self._reader, 0, max_accesses)[0]
            return round(miss_ratio * n)

        return run

    def _tuning_seconds(self, capacity: int, slack: int) -> float:
        def seconds() -> float:
            run = self._prepared("lra", capacity, slack, TUNING_ACCESSES)
            started = time.perf_counter()
            run()
            return time.perf_counter() - started

        return min(seconds() for _ in range(2))


def _write(path: Path, chunks: npt.NDArray[Any]) -> None:
    ids, n_ids = chunks.astype(np.uint32), int(chunks.max(initial=0)) + 1
    uses = np.empty(len(ids), np.int64)
    _next_uses(ids, np.full(n_ids, -1, np.int64), uses)  # -1: never again
    with path.open("wb") as file:
        for start in range(0, len(ids), PIECE):
            part = slice(start, min(start + PIECE, len(ids)))
            records = np.zeros(part.stop - start, ORACLE_GENERAL)
            records["time"], records["size"] = np.arange(start, part.stop), 1
            records["id"], records["next"] = ids[part], uses[part]
            records.tofile(file)


def libcachesim(
    oracle: OracleFile, policy: str, capacities: dict[str, int], mark: Mark | None = None
) -> Contestant:
    """Return libCacheSim's runs at `capacities`, by the name of each answer, one after another."""
    runs: list[Callable[[], int]] = []

    def before() -> None:
        runs[:] = [oracle.run(policy, capacity) for capacity in capacities.values()]

    return Contestant(
        name=f"libCacheSim {LIBCACHESIM[policy]}",
        n=oracle.n * len(capacities),
        before=before,
        run=lambda: [run() for run in runs],
        answer=lambda misses: dict(zip(capacities, misses, strict=True)),
        mark=mark,
        warm=False,
    )


def plain_fifo(chunks: list[int], capacity: int) -> int:
    """Return the misses of FIFO, in plain Python."""
    resident: set[int] = set()
    order: deque[int] = deque()
    misses = 0
    for chunk in chunks:
        if chunk not in resident:
            misses += 1
            if len(order) == capacity:
                resident.remove(order.popleft())
            resident.add(chunk)
            order.append(chunk)
    return misses


def cachetools_misses(name: str, chunks: list[int], capacity: int) -> int:
    """Return the misses of cachetools' cache called `name`."""
    simulator = getattr(peer("cachetools"), name)(capacity)
    misses = 0
    for chunk in chunks:
        if chunk in simulator:
            simulator[chunk]  # a use, for the orders that mind
        else:
            misses += 1
            simulator[chunk] = True
    return misses
