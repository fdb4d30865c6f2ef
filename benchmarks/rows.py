"""The rows of the table: which contestants meet on which trace, and the marks the project has."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

import pfnlab
from benchmarks import fresh
from benchmarks.peers import OracleFile, cachetools_misses, gather, libcachesim, plain_fifo
from benchmarks.race import AbsentError, Contestant, Mark, Race
from benchmarks.traces import REGION, TRACES, Scale, io_trace, touched_chunks, trace_of
from pfnlab.params import POLICIES

PREFIX = 200_000  # what cachetools and plain Python are given
PIN_CHUNKS = 4096
FRACTIONS = tuple(i / 128 for i in range(1, 65))  # 0.8 to 50 % of the vmemmap
SAMPLED = (0, 15, 31, 47, 63)  # of these thresholds libCacheSim runs, and its rate is that of all


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


def replayed(
    trace: pfnlab.Trace,
    params: pfnlab.Params,
    name: str = "pfnlab",
    answer: Callable[[pfnlab.Result], Mapping[str, Hashable]] | None = None,
    mark: Mark | None = None,
) -> Contestant:
    """Return pfnlab's replay; the answer is the misses unless told otherwise."""
    return Contestant(
        name=name,
        n=len(trace),
        run=partial(pfnlab.replay, trace, params),
        answer=answer or (lambda result: {"misses": result.faults}),
        mark=mark,
    )


def counted(name: str, result: pfnlab.Result) -> dict[str, Hashable]:
    """Return all counters as one answer called `name`."""
    return {name: tuple(result.counts().items())}


# --- Granule = chunk: pfnlab against libCacheSim and the others ------------------------------


def against_libcachesim(policy: str, case: tuple[str, int], scale: Scale) -> Race:
    """Return one policy against libCacheSim's; for lra also the other peers and the limits."""
    (name, shift), n = case, scale.accesses
    if policy not in POLICIES:
        raise AbsentError(f"pfnlab has no policy {policy!r} yet")
    trace, params = trace_of(name, n), params_of(name, shift, n).replace(policy=policy)
    capacity = params.threshold_bytes // params.chunk_bytes
    mine = replayed(trace, params, f"pfnlab {policy}")
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


def sweep_of(
    trace: pfnlab.Trace,
    params: pfnlab.Params,
    answer: Callable[[Any], Mapping[str, Hashable]],
    *,
    threads: int | None = None,
    fractions: Sequence[float] = FRACTIONS,
    mark: Mark | None = None,
) -> Contestant:
    """Return pfnlab's sweep over thresholds."""
    return Contestant(
        name=f"pfnlab.sweep of {len(fractions)}" + (f", {threads} thread(s)" if threads else ""),
        n=len(trace) * len(fractions),
        run=lambda: pfnlab.sweep(trace, params, executor=threads, threshold_fraction=fractions),
        answer=answer,
        mark=mark,
    )


# --- The default shape, the full mechanism, threads ------------------------------------------

SHAPE_MARKS = {"zs": 0.5, "zb": 0.3, "run": 0.5}


def at_fraction(percent: int) -> pfnlab.Params:
    """Return the default shape, granule 4 KiB in chunks of 2 MiB."""
    return REGION.replace(threshold_bytes=REGION.vmemmap_bytes * percent // 100)


def forced(trace: pfnlab.Trace) -> pfnlab.Trace:
    """Return lookups that only the full mechanism can replay: an unmatched PUT stands last."""
    ops = np.zeros(len(trace) + 1, np.uint8)
    ops[-1] = 2
    return pfnlab.Trace(np.append(trace.pfns, trace.pfns[:1]), ops, name=trace.name)


def of_lookups(name: str, result: pfnlab.Result) -> dict[str, Hashable]:
    """Return the counters that a last, unmatched PUT leaves alone, as one answer."""
    moved = ("puts", "unmatched_puts", "mean_resident_bytes")
    return {name: tuple((k, v) for k, v in result.counts().items() if k not in moved)}


def default_shape(name: str, percent: int, scale: Scale) -> Race:
    """Return the default shape against granule = chunk = 4 KiB; the full mechanism checks both."""
    trace, shape = trace_of(name, scale.accesses), at_fraction(percent)
    alike = shape.replace(chunk_bytes=4096)
    known: dict[str, Hashable] = {}
    for label, params in (("shape", shape), ("alike", alike)):
        known |= of_lookups(label, pfnlab.replay(forced(trace), params))
    mark = Mark(SHAPE_MARKS[name]) if percent > 1 else None
    return Race(
        contestants=[
            replayed(trace, shape, "4 KiB in 2 MiB", partial(of_lookups, "shape")),
            replayed(trace, alike, "granule = chunk = 4 KiB", partial(of_lookups, "alike"), mark),
        ],
        expected=known,
    )


def full_mechanism(name: str, percent: int, scale: Scale) -> Race:
    """Return the same lookups through the full mechanism, and by the path pfnlab chooses."""
    trace, params = trace_of(name, scale.accesses), at_fraction(percent)
    answer = partial(of_lookups, "counts")
    return Race(contestants=[
        replayed(forced(trace), params, "full mechanism", answer),
        replayed(trace, params, "single path", answer, Mark(0.5)),
    ])  # fmt: skip


def gets_and_puts(name: str, scale: Scale) -> Race:
    """Return requests at depth 32 against the lookups alone, both by the full mechanism."""
    lookups = pfnlab.Trace(trace_of(name, scale.accesses).pfns[: scale.accesses // 2])
    events, params, n = io_trace(lookups), at_fraction(10), len(lookups)
    laws: dict[str, Hashable] = {"accesses": n, "puts": n, "unmatched": 0, "kept": 0}
    alone = partial(of_lookups, "lookups")
    return Race(
        contestants=[
            replayed(events, params, "GETs and PUTs, events", obeyed),
            replayed(forced(lookups), params, "lookups alone", alone, Mark(0.6)),
        ],
        expected=laws | alone(pfnlab.replay(lookups, params)),
        note="half of the events are PUTs: its accesses a second are half the figure",
    )  # fmt: skip


def obeyed(result: pfnlab.Result) -> dict[str, Hashable]:
    """Return what the laws of the counters fix: no request left open, no granule lost."""
    resident = result.resident_bytes // result.params.granule_bytes
    return {
        "accesses": result.accesses,
        "puts": result.puts,
        "unmatched": result.unmatched_puts,
        "kept": result.faults - result.evicted_granules - resident,
    }


def pinned_for_good(scale: Scale) -> Race:
    """Return 4096 chunks pinned by GETs that have no PUT, then lookups, at a threshold of 1 %."""
    lookups = trace_of("zs", scale.accesses).pfns[: scale.accesses // 2]
    step = REGION.n_pages // PIN_CHUNKS
    pfns = np.append(np.arange(PIN_CHUNKS) * step, lookups).astype(np.uint32)
    ops = np.append(np.ones(PIN_CHUNKS, np.uint8), np.zeros(len(lookups), np.uint8))
    laws: dict[str, Hashable] = {"accesses": len(pfns), "puts": 0, "unmatched": 0, "kept": 0}
    mine = replayed(
        pfnlab.Trace(pfns, ops), at_fraction(1), "4096 pinned chunks", obeyed, Mark(10, "M/s")
    )
    return Race(contestants=[mine], expected=laws)  # fmt: skip


def swept_default_shape(scale: Scale) -> Race:
    """Return 64 thresholds of the default shape swept, against single replays, on two threads."""
    trace = trace_of("run", scale.accesses)
    points = [REGION.replace(threshold_bytes=int(REGION.vmemmap_bytes * f)) for f in FRACTIONS]
    sample = [points[i] for i in (*SAMPLED, 8, 24, 40)]

    def all_alone(todo: list[pfnlab.Params]) -> list[pfnlab.Result]:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(partial(pfnlab.replay, trace), todo))

    def answers(results: list[pfnlab.Result]) -> dict[str, Hashable]:
        pairs = [counted(str(result.params.threshold_bytes), result) for result in results]
        return {name: value for pair in pairs for name, value in pair.items()}

    return Race(
        contestants=[
            sweep_of(trace, REGION, in_frame, threads=2),
            Contestant(name="single replays, 2 threads", n=len(trace) * len(sample),
                       run=partial(all_alone, sample), answer=answers, mark=Mark(4)),
        ],
        expected=answers(all_alone(points)),
        note="single replays were timed at 8 of the 64 thresholds; all 64 were compared",
    )  # fmt: skip


def in_frame(frame: Any) -> dict[str, Hashable]:
    """Return all counters of each row as one answer called by its threshold."""
    names = list(pfnlab.Result(params=REGION).counts())
    rows = zip(frame["threshold_bytes"], frame[names].to_dict("records"), strict=True)
    return {str(threshold): tuple(row.items()) for threshold, row in rows}


def two_threads(name: str, scale: Scale) -> Race:
    """Return a sweep on two threads against the same on one."""
    trace = trace_of(name, scale.accesses)
    sweep = partial(sweep_of, trace, REGION, in_frame, fractions=FRACTIONS[::8])
    return Race(contestants=[sweep(threads=2), sweep(threads=1, mark=Mark(1.7))])


def own_policy(scale: Scale) -> Race:
    """Return a user's own FIFO against the built-in lra."""
    if not hasattr(pfnlab, "Policy"):
        raise AbsentError("pfnlab has no Policy yet")
    raise AbsentError("no example of pfnlab.Policy is wired in yet")


def rows() -> Iterator[Row]:
    """Return all rows, those of one trace after each other."""
    for case in (*CASES, *REAL_CASES):
        for policy in REACH:
            title = f"{case[0]}{case[1]}/{policy}"
            if policy != "sweep":
                yield Row(title, partial(against_libcachesim, policy, case))
            elif case in CASES:
                yield Row(title, partial(swept_at_once, case))
    for name in SHAPE_MARKS:
        for percent in (1, 10, 50):
            yield Row(f"{name}/shape {percent} %", partial(default_shape, name, percent))
        yield Row(f"{name}/full mechanism", partial(full_mechanism, name, 10))
        yield Row(f"{name}/get and put", partial(gets_and_puts, name))
    yield Row("run/sweep of the shape", swept_default_shape)
    yield Row("run/two threads", partial(two_threads, "run"))
    yield Row("zs/two threads", partial(two_threads, "zs"))
    yield Row("zs/pinned chunks", pinned_for_good)
    yield Row("zs/own policy", own_policy)
    for title, build in fresh.RACES.items():
        yield Row(title, build)
