"""The rows of the table: which contestants meet on which trace, and the marks the project has."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

import pfnlab
from benchmarks import fresh, outgrown, shape
from benchmarks.contests import FRACTIONS, SAMPLED, replayed, sweep_of
from benchmarks.peers import OracleFile, cachetools_misses, gather, libcachesim, plain_fifo
from benchmarks.race import AbsentError, Contestant, Mark, Race
from benchmarks.traces import REGION, TRACES, Scale, touched_chunks, trace_of
from pfnlab.engine.feeding import drive
from pfnlab.engine.policies import Order
from pfnlab.params.policies import POLICIES

PREFIX = 200_000  # what cachetools and plain Python are given


@dataclass(frozen=True, slots=True)
class Row:
    """A name, and what makes the race when the row's turn comes."""

    name: str
    build: Callable[[Scale], Race]


#: Marks over libCacheSim on zs15, zb15, run15 and zs6 (order by trace, then policy).
CASES = (("zs", 15), ("zb", 15), ("run", 15), ("zs", 6))
REACH: Mapping[str, tuple[int, int, int, int]] = {
    "lra": (30, 22, 34, 60),
    "lru": (10, 8, 18, 15),
    "clock": (9, 8, 10, 22),
    "sieve": (6, 6, 11, 15),
    "s3fifo": (5, 5, 8, 10),
    "opt": (10, 10, 10, 6),
    "sweep": (400, 400, 1000, 400),
}
REAL_CASES = tuple((name, 6) for name in TRACES if name not in ("zs", "zb", "run"))
OF_GATHER = {("zs", 15): Mark(0.7), ("zb", 15): Mark(0.7)}
OF_SUM = {("run", 15): Mark(0.75)}


def reach(policy: str, case: tuple[str, int]) -> Mark | None:
    """Return the mark over libCacheSim, if there is one."""
    return Mark(REACH[policy][CASES.index(case)]) if case in CASES else None


def equal_sizes(shift: int) -> pfnlab.Params:
    """Return granule = chunk of ``2**shift`` pages, threshold 10 % of the region's chunks."""
    size = REGION.descriptor_bytes << shift
    share = REGION.vmemmap_bytes // 10 // size * size
    return REGION.replace(granule_bytes=size, chunk_bytes=size, threshold_bytes=share)


def params_of(name: str, shift: int, n: int) -> pfnlab.Params:
    """Return the same; on a shipped trace the threshold is 10 % of the chunks it touches."""
    params = equal_sizes(shift)
    if (name, shift) in CASES:
        return params
    chunks = max(1, touched_chunks(name, n, shift) // 10)
    return params.replace(threshold_bytes=chunks * params.chunk_bytes)


@lru_cache(maxsize=1)
def oracle_of(name: str, shift: int, n: int) -> OracleFile:
    """Return a trace's chunk numbers as libCacheSim's file; the file before goes."""
    return OracleFile(trace_of(name, n).pfns, shift)


def against_libcachesim(policy: str, case: tuple[str, int], scale: Scale) -> Race:
    """Return one policy against libCacheSim's; for lra also the other peers and the limits."""
    (name, shift), n = case, scale.accesses
    if policy not in POLICIES:
        raise AbsentError(f"pfnlab has no policy {policy!r} yet")
    trace, params = trace_of(name, n), params_of(name, shift, n).replace(policy=policy)
    capacity = params.threshold_bytes // params.chunk_bytes
    mine = replayed(trace, params, f"pfnlab {policy}")
    if policy == "s3fifo":
        return s3fifo(trace, params, oracle_of(name, shift, n), reach(policy, case))
    theirs = libcachesim(
        oracle_of(name, shift, n), policy, {"misses": capacity}, reach(policy, case)
    )
    if policy not in ("lra", "lru"):
        return Race(contestants=[mine, theirs])
    order = "FIFO" if policy == "lra" else "LRU"
    slow, known = prefixes(trace, params, shift, order)
    if policy == "lru":
        return Race(contestants=[mine, theirs, *slow], expected=known)
    bare, sums = limits(trace, shift, case)
    return Race(contestants=[mine, theirs, *slow, *bare], expected={**known, **sums})


def s3fifo(
    trace: pfnlab.Trace, params: pfnlab.Params, oracle: OracleFile, mark: Mark | None
) -> Race:
    """Return S3-FIFO by the simulator's rules against the simulator, and by the paper's rules."""
    capacity = params.threshold_bytes // params.chunk_bytes

    def by_simulator() -> pfnlab.Result:
        run = Order(trace, params, paper=False)
        drive(trace, params, [run])
        return run.results()[0]

    return Race(
        contestants=[
            replace(replayed(trace, params, "pfnlab s3fifo, simulator's rules"), run=by_simulator),
            libcachesim(oracle, "s3fifo", {"misses": capacity}, mark),
            replayed(
                trace, params, "pfnlab s3fifo, paper's rules", lambda result: {
                    "accesses": result.accesses,
                    "kept": result.faults - result.evicted_granules
                    - result.resident_bytes // params.granule_bytes,
                },
            ),
        ],
        expected={"accesses": len(trace), "kept": 0},
        note="the rules differ in four points (pfnlab.kernels.policies.s3fifo); the paper's, which "
        "pfnlab follows, were checked by the laws of the counters",
    )  # fmt: skip


def prefixes(
    trace: pfnlab.Trace, params: pfnlab.Params, shift: int, order: str
) -> tuple[list[Contestant], dict[str, Hashable]]:
    """Return cachetools and plain Python on the first accesses, and pfnlab's answer there."""
    first = trace.pfns[:PREFIX]
    chunks: list[int] = (first >> shift).tolist()
    capacity = params.threshold_bytes // params.chunk_bytes
    answer = "misses of the first accesses"
    runs: dict[str, Callable[[], int]] = {
        f"cachetools {order}": partial(cachetools_misses, f"{order}Cache", chunks, capacity)
    }
    if order == "FIFO":
        runs["plain Python FIFO"] = partial(plain_fifo, chunks, capacity)
    slow = [
        Contestant(name=name, n=len(chunks), run=run, answer=lambda m: {answer: m}, warm=False)
        for name, run in runs.items()
    ]
    return slow, {answer: pfnlab.replay(pfnlab.Trace(first), params).faults}


def limits(
    trace: pfnlab.Trace, shift: int, case: tuple[str, int]
) -> tuple[list[Contestant], dict[str, Hashable]]:
    """Return what no replay can beat by much: the sum of the trace, and a gather by chunk."""
    words = trace.pfns.astype(np.uint64)
    table = np.arange((REGION.n_pages >> shift) + 1, dtype=np.uint32)
    bare = [
        Contestant(name="np.sum of uint64", n=len(words), run=words.sum,
                   answer=lambda total: {"sum": int(total)}, mark=OF_SUM.get(case)),
        Contestant(name="bare gather", n=len(words), run=partial(gather, table, trace.pfns, shift),
                   answer=lambda total: {"gathered": int(total)}, mark=OF_GATHER.get(case)),
    ]  # fmt: skip
    # By another route: halves of 16 bits, counted.
    high, low = np.bincount(trace.pfns >> 16), np.bincount(trace.pfns & 0xFFFF)
    total = (int(high @ np.arange(len(high))) << 16) + int(low @ np.arange(len(low)))
    chunks = np.bincount(trace.pfns >> shift)
    return bare, {"sum": total, "gathered": int(chunks @ np.arange(len(chunks)))}


def swept_at_once(case: tuple[str, int], scale: Scale) -> Race:
    """Return 64 thresholds in one sweep against libCacheSim's runs at some of them."""
    (name, shift), n = case, scale.accesses
    trace, params = trace_of(name, n), equal_sizes(shift)
    chunks = params.vmemmap_bytes // params.chunk_bytes
    capacities = {f"misses at {FRACTIONS[i]:.3f}": int(chunks * FRACTIONS[i]) for i in SAMPLED}
    return Race(
        contestants=[
            sweep_of(trace, params, lambda frame: {
                f"misses at {share:.3f}": faults
                for share, faults in zip(FRACTIONS, frame["faults"], strict=True)
            }),
            libcachesim(oracle_of(name, shift, n), "lra", capacities, reach("sweep", case)),
        ],
        note="libCacheSim was timed at 5 of the 64 thresholds; rates are compared",
    )  # fmt: skip


def rows() -> Iterator[Row]:
    """Return all rows, those of one trace after each other."""
    for case in (*CASES, *REAL_CASES):
        for policy in REACH:
            title = f"{case[0]}{case[1]}/{policy}"
            if policy != "sweep":
                yield Row(title, partial(against_libcachesim, policy, case))
            elif case in CASES:
                yield Row(title, partial(swept_at_once, case))
    for title, build in (*shape.races(), *fresh.RACES.items(), *outgrown.RACES.items()):
        yield Row(title, build)
