"""Many configurations of one trace: points that can share a pass or a reading of it do.

Points become tasks, each replayed by one thread: up to 64 thresholds in one pass where a chunk is
one granule; points fed with the runs of the trace, which are found once; single replays. A trace
that is read while it is replayed is read once for as many points as memory has tables for.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pfnlab.engine.counters import fits_dense, lookups_only, window_shift
from pfnlab.engine.feeding import drive
from pfnlab.engine.lra_many_granules import Chunked
from pfnlab.engine.lra_one_granule import Expiry
from pfnlab.engine.many_thresholds import StackDistances, Thresholds
from pfnlab.engine.plan import kind_of, planned
from pfnlab.engine.policies import Order
from pfnlab.engine.result import Result
from pfnlab.engine.runs import Collapsed, worth_collapsing
from pfnlab.engine.threads import Look, in_threads
from pfnlab.kernels.lra.thresholds import WIDTHS
from pfnlab.params import Params
from pfnlab.params.memory import available_bytes
from pfnlab.traces.sources import Replayable
from pfnlab.traces.trace import Trace

#: Fewer thresholds are replayed one by one: a pass of 16 takes as long as three or four replays,
#: one of stack distances as long as a dozen.
LEAST_LRA, LEAST_LRU = 4, 12
#: Share of the available memory that the tables of all tasks at work may take.
_TABLES_SHARE = 1 / 2

Answers = list[tuple[Params, Result | None]]


def replay_many(
    trace: Replayable,
    points: Sequence[Params],
    *,
    n_threads: int = 1,
    n_sharing: int = 1,
    look: Look = lambda n: None,
) -> Iterator[tuple[int, Result]]:
    """Replay a trace under every point and yield results as they are finished.

    Parameters
    ----------
    trace
        The events.
    points
        Configurations of one region.
    n_threads
        Tasks that run at the same time.
    n_sharing
        Processes that replay at the same time on this machine, and share its memory.
    look
        Called with the number of events replayed since the last call; it may raise.

    Yields
    ------
    index, result
        Which of `points`, and what it counted: equal to that of `pfnlab.engine.replay`.
    """
    wanted: dict[Params, list[int]] = defaultdict(list)
    for index, params in enumerate(points):
        wanted[_counted_alike(params)].append(index)
    alone: list[Params] = []  # what a shared pass could not answer
    stages: list[Callable[[], list[Task]]] = [
        lambda: _tasks(trace, list(wanted), n_threads, n_sharing, look),
        lambda: _single_tasks(trace, alone),
    ]
    for stage in stages:
        for answers in in_threads([task.run for task in stage()], n_threads, look):
            for params, result in answers:
                if result is None:
                    alone.append(params)
                    continue
                for index in wanted[params]:
                    yield index, replace(result, params=points[index])


def _counted_alike(params: Params) -> Params:
    """Return the point with what changes no counter set aside."""
    return params.replace(n_cpus=1, seed=params.seed if params.policy == "random" else 0)


@dataclass(frozen=True, slots=True)
class Task:
    """Runs that one thread feeds together: with the runs of the trace, or with its events."""

    trace: Replayable
    points: list[list[Params]]  # of each run
    makers: list[Callable[[], Any]]
    table_bytes: int
    run_fed: bool  # whether its runs take runs of accesses in place of events
    collapsed: Collapsed | None = None

    def run(self, look: Look) -> Answers:
        """Replay all, and return what each point counted."""
        runs = [make() for make in self.makers]
        if self.collapsed is None:
            drive(self.trace, self.points[0][0], runs, look)
        else:
            for piece in self.collapsed.pieces:
                for run in runs:
                    run.feed_runs(piece)
                look(piece.n_events)
        results = [result for run in runs for result in run.results()]
        return list(
            zip([point for points in self.points for point in points], results, strict=True)
        )


def _tasks(
    trace: Replayable, points: list[Params], n_threads: int, n_sharing: int, look: Look
) -> list[Task]:
    """Return the tasks of all points, those that take longest first."""
    most = int(available_bytes() * _TABLES_SHARE / (n_threads * n_sharing))
    passes, single = _passes(trace, points, most) if lookups_only(trace) else ([], points)
    tasks = [*passes, *_single_tasks(trace, single)]
    collapsed = _collapsed(trace, [task.points[0][0] for task in tasks if task.run_fed], look)
    tasks = [
        replace(task, collapsed=collapsed.get(task.points[0][0].granule_bytes))
        if task.run_fed
        else task
        for task in tasks
    ]
    return tasks if isinstance(trace, Trace) else _together(tasks, n_threads, most)


def _passes(trace: Replayable, points: list[Params], most: int) -> tuple[list[Task], list[Params]]:
    """Return a task for thresholds that one pass can take together, and the points left over."""
    alike: dict[Params, list[Params]] = defaultdict(list)
    for params in points:
        alike[params.replace(threshold_bytes=params.chunk_bytes)].append(params)
    tasks: list[Task] = []
    single: list[Params] = []
    for group in alike.values():
        kind, least = _pass_of(trace, group[0])
        width = 0
        if kind is not None and len(group) >= least:
            width = _width(trace, kind, group, most)
        if kind is None or width == 0:
            single += group
            continue
        ordered = sorted(group, key=lambda params: params.threshold_bytes)
        for start in range(0, len(ordered), width):
            part = ordered[start : start + width]
            tasks.append(
                Task(
                    trace,
                    [part],
                    [partial(kind, trace, part)],
                    kind.table_bytes(part),
                    kind is Thresholds,
                )
            )
    return tasks, single


Pass = type[Thresholds] | type[StackDistances]


def _pass_of(trace: Replayable, params: Params) -> tuple[Pass | None, int]:
    """Return what replays many thresholds of such a point in one pass, and how few don't pay."""
    if params.batch_chunks == 1 and params.granule_bytes == params.chunk_bytes:
        kind = kind_of(trace, params)
        if kind is Expiry:
            return Thresholds, LEAST_LRA
        if kind is Order and params.policy == "lru" and window_shift(params) < 0:
            return StackDistances, LEAST_LRU
    return None, 0


def most_table_bytes(trace: Replayable, points: list[Params]) -> int:
    """Return what the largest of the tables that such points need at a time may take, in bytes."""
    most = int(available_bytes() * _TABLES_SHARE)
    shared, single = _passes(trace, points, most) if lookups_only(trace) else ([], points)
    return max(task.table_bytes for task in [*shared, *_single_tasks(trace, single)])


def thresholds_of_a_pass(params: Params) -> int:
    """Return how many thresholds of such a point a pass over sleepable lookups takes at most."""
    if params.batch_chunks == 1 and params.granule_bytes == params.chunk_bytes:
        return {"lra": WIDTHS[-1], "lru": sys.maxsize}.get(params.policy, 1)
    return 1


def _width(trace: Replayable, kind: Pass, group: list[Params], most: int) -> int:
    """Return how many of the thresholds a pass takes, 0 if its table would outgrow its use."""
    if kind is StackDistances:
        return len(group)
    for width in reversed(WIDTHS):
        n_bytes = kind.table_bytes(group[:width])
        if n_bytes <= most and fits_dense(trace, n_bytes):
            return width
    return 0


def _single_tasks(trace: Replayable, points: list[Params]) -> list[Task]:
    """Return a task for each point."""
    return [
        Task(
            trace,
            [[params]],
            [partial(planned, trace, params)],
            kind_of(trace, params).table_bytes(trace, params),
            kind_of(trace, params) is Chunked,
        )
        for params in points
    ]


def _collapsed(trace: Replayable, of_runs: list[Params], look: Look) -> dict[int, Collapsed]:
    """Find the runs for each size of granule, from the finest on, where more than one run asks."""
    by_granule = {params.granule_bytes: params for params in of_runs}
    found: dict[int, Collapsed] = {}
    if len(of_runs) < 2:
        return found
    for granule in sorted(by_granule):
        if found:
            found[granule] = list(found.values())[-1].coarser(granule)
        elif worth_collapsing(trace, by_granule[granule]):
            found[granule] = Collapsed.of(trace, by_granule[granule], partial(look, 0))
    return found


def _together(tasks: list[Task], n_threads: int, most: int) -> list[Task]:
    """Put tasks fed with events together, so that the trace is read as few times as can be."""
    fed = [task for task in tasks if task.collapsed is None]
    n_groups = max(n_threads, -(-sum(task.table_bytes for task in fed) // max(most, 1)))
    groups = [fed[start::n_groups] for start in range(min(n_groups, len(fed)))]
    merged = [
        replace(
            group[0],
            points=[points for task in group for points in task.points],
            makers=[make for task in group for make in task.makers],
        )
        for group in groups
    ]
    return [*merged, *(task for task in tasks if task.collapsed is not None)]
