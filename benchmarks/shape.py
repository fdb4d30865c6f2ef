"""Rows on the default shape (granule 4 KiB in chunks of 2 MiB), the full mechanism and threads."""

import inspect
import re
import textwrap
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

import pfnlab
from benchmarks.contests import FRACTIONS, SAMPLED, counted, replayed, sweep_of
from benchmarks.race import AbsentError, Contestant, Mark, Race
from benchmarks.traces import REGION, Scale, io_trace, trace_of

PIN_CHUNKS = 4096
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
        note="half of the events are PUTs: its accesses a second are half the figure; "
        "its answer was checked by the laws of the counters",
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
    return Race(
        contestants=[mine], expected=laws, note="its answer was checked by the laws of the counters"
    )


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
    """Return a user's own FIFO against the built-in lra; every counter must be equal."""
    name = own_fifo()
    trace, params = trace_of("zs", scale.accesses), at_fraction(10)
    answer = partial(counted, "counts")
    return Race(contestants=[
        replayed(trace, params.replace(policy=name), "own FIFO", answer),
        replayed(trace, params, "pfnlab lra", answer, Mark(0.3)),
    ])  # fmt: skip


def own_fifo() -> str:
    """Register the documented example of `pfnlab.Policy` and return its name."""
    documented = inspect.cleandoc(pfnlab.Policy.__doc__ or "")
    found = re.search(r"code-block:: python\n\n(.*?)\n\S", documented, re.DOTALL)
    if found is None:
        raise AbsentError("pfnlab.Policy documents no example")
    example = compile(textwrap.dedent(found[1]), "pfnlab.Policy", "exec")
    exec(example, {"pfnlab": pfnlab})  # noqa: S102 - our own docstring
    return "fifo"


def races() -> Iterator[tuple[str, Callable[[Scale], Race]]]:
    """Return names and builders, those of one trace after each other."""
    for name in SHAPE_MARKS:
        for percent in (1, 10, 50):
            yield f"{name}/shape {percent} %", partial(default_shape, name, percent)
        yield f"{name}/full mechanism", partial(full_mechanism, name, 10)
        yield f"{name}/get and put", partial(gets_and_puts, name)
        if name == "zs":
            yield "zs/pinned chunks", pinned_for_good
            yield "zs/own policy", own_policy
        if name == "run":
            yield "run/sweep of the shape", swept_default_shape
        if name != "zb":
            yield f"{name}/two threads", partial(two_threads, name)
