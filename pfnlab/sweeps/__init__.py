"""`sweep`: axes to points to a tidy frame, on threads, processes or a cluster, and kept in a store.

A grid (`axes`) is cut into jobs that share a region and a pass (`scheduling`). Each is replayed
(`jobs`, `rows`) here or by a worker (`executors`), which gets its trace by path (`transport`).
Rows arrive in any order, are kept (`store`) and put into a table at the index of their point.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack, closing
from functools import cache, partial
from itertools import groupby
from threading import Thread
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from pfnlab.errors import FileError, ParameterError
from pfnlab.interrupts import interrupts_blocked, interrupts_kept
from pfnlab.params import Params
from pfnlab.params.costs import Costs, costs_of
from pfnlab.params.memory import check_fits
from pfnlab.sweeps.axes import AXES, SHARES, Grid, Point, check_axes, points
from pfnlab.sweeps.executors import Workers, run
from pfnlab.sweeps.failures import Failed, PointError, StoreError, SweepInterrupted
from pfnlab.sweeps.forecast import Estimate, estimate
from pfnlab.sweeps.jobs import Outcome, attempt, forget
from pfnlab.sweeps.per_region import Drawn, drawn
from pfnlab.sweeps.provenance import attributes
from pfnlab.sweeps.rows import ROW_BYTES, Table, priced, rows_of
from pfnlab.sweeps.scheduling import Cutter, Group, looks_up_only, passes, windows
from pfnlab.sweeps.store import KEY_BYTES, Saver, Store, StoreWarning, keyed
from pfnlab.sweeps.transport import Spool, identity
from pfnlab.traces.sources import Source

__all__ = [
    "AXES",
    "SHARES",
    "Drawn",
    "Estimate",
    "Failed",
    "Point",
    "PointError",
    "StoreError",
    "StoreWarning",
    "SweepInterrupted",
    "Where",
    "check_axes",
    "drawn",
    "estimate",
    "points",
    "priced",
    "processes",
    "sweep",
]

#: None, a number of threads, an executor, or what makes one.
Where = int | Executor | Callable[[], Executor] | None

#: Points handed to the engine at a time, so that a grid of a million takes no memory for it.
_WINDOW_POINTS = 1024


def sweep(
    source: Source,
    params: Params | None = None,
    *,
    costs: str | Costs | None = None,
    executor: Where = None,
    store: str | os.PathLike[str] | None = None,
    skip_invalid: bool = False,
    **axes: Sequence[Any],
) -> pd.DataFrame:
    """Replay `source` under every point of a grid and return a tidy frame, one row per point.

    Parameters
    ----------
    source
        A `Trace`, a placed trace or a workload spec; the last two are drawn anew for every region.
    params
        What the axes do not set.
    costs
        A preset's name or a `Costs`, which adds ``*_ns`` columns.
    executor
        None replays one point after the other, an int on so many threads. Any
        `concurrent.futures.Executor` gets jobs of some 0.3 s, and traces by path; what makes one
        (`pfnlab.processes`, a function without arguments) makes another if a worker's death breaks
        it. A cluster: ``Client(address).get_executor(pure=False, retries=2)`` of dask.distributed.
    store
        A folder, made if need be, in which every finished point is kept. Points that are in it
        are not replayed again: a sweep that was killed goes on where it was. Workers on other
        machines must see it under the same path, unless the trace is streamed from a file they see.
    skip_invalid
        Leave out points whose parameters can't stand together (a granule above its chunk)
        instead of refusing the grid.
    **axes
        Lists of values by the names of `Params` fields, ``threshold_fraction`` (of the vmemmap)
        or ``threshold_of_footprint`` (of the granules the trace touches, in bytes).

    Returns
    -------
    pandas.DataFrame
        Every parameter, counter and derived ratio by its name, ``source`` and ``evidence``.

    Raises
    ------
    ParameterError, TraceError
        Before anything is replayed for parameters; before its first replay for a trace.
    PointError
        At the end, if points failed while others did not; rows and reasons are with it.
    SweepInterrupted
        On Ctrl-C, with the finished rows in ``.frame``.
    StoreError
        If the store's disk is full, likewise.
    """
    if not callable(getattr(source, "trace", None)):
        raise ParameterError(
            "source", source, "must be a Trace or a workload, not its name or file"
        )
    chosen = None if costs is None else costs_of(costs)
    grid = Grid(params or Params(), axes, skip_invalid)
    check_fits(ROW_BYTES * grid.size, ", ".join(axes), f"{grid.size:,} points", "their rows")
    kept = None if store is None else Store(store)
    job = _Sweep(source, grid, _checked(executor), kept)
    job.resume()
    told = attributes(source, grid.params, axes, costs)
    try:
        with interrupts_kept():
            job.replay()
    except KeyboardInterrupt:
        raise SweepInterrupted(job.table.frame(chosen, told), job.n_points) from None
    except FileError as error:
        raise StoreError(error, job.table.frame(chosen, told)) from error
    if job.failed:
        raise PointError(job.table.frame(chosen, told), job.failed, tuple(axes))
    return job.table.frame(chosen, told)


def processes(number: int | None = None) -> Callable[[], Executor]:
    """Return what makes a pool of spawned processes, for ``sweep(..., executor=processes(4))``.

    A script that uses it must start its work under ``if __name__ == "__main__":``, for each
    process imports it anew.

    Parameters
    ----------
    number
        How many; None takes one for each CPU.
    """
    if number is not None:
        _n_threads("number", number)
    spawn = multiprocessing.get_context("spawn")
    return partial(_Processes, number, mp_context=spawn, initializer=_begin)


class _Processes(ProcessPoolExecutor):
    """Processes that Ctrl-C can't reach, from their first instruction on.

    A pool starts them while jobs are submitted; they inherit what is blocked then.
    """

    def submit(self, *arguments: Any, **options: Any) -> Future[Any]:
        with interrupts_blocked():
            return super().submit(*arguments, **options)


def _begin() -> None:
    """Have a worker end with the sweep, however that ends.

    Ctrl-C is for the sweep, which hears it too and ends the worker. One that is killed can't, and
    nothing tells a pool's worker, which would wait for its next job forever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, name="pfnlab-parent", daemon=True).start()


def _end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)


def _checked(executor: object) -> Where:
    """Refuse what is neither a number of threads, an executor, nor callable."""
    if executor is None or isinstance(executor, Executor):
        return executor
    if callable(executor):
        return executor
    return _n_threads("executor", executor)


def _n_threads(field: str, number: object) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        requirement = "must be None, a number of threads, an executor or what makes one"
        raise ParameterError(field, number, requirement)
    return number


class _Sweep:
    """A sweep on its way: the grid, what is done of it, and where the rest is replayed."""

    def __init__(self, source: Source, grid: Grid, executor: Where, store: Store | None) -> None:
        self.source, self.grid, self.executor, self.store = source, grid, executor, store
        self.failed: list[Failed] = []
        self.table = Table(grid.size)
        self.keys = np.zeros(grid.size if store else 0, f"S{KEY_BYTES}")
        self.n_points = self._look_over()

    def _look_over(self) -> int:
        """Make every point once, which checks it, and its key; return how many there are."""
        makers: dict[tuple[int | str, ...], Callable[[Point], bytes]] = {}
        n_points = 0
        for point in self.grid:
            n_points += 1
            if point.region not in makers:
                makers[point.region] = self._key_maker(point.params)
            if self.store:
                self.keys[point.index] = makers[point.region](point)
        return n_points

    def _key_maker(self, params: Params) -> Callable[[Point], bytes]:
        """Check a region against the source, and return what makes keys of its points."""
        check = getattr(self.source, "check", None)
        if check and getattr(self.source, "placement", None) is None:  # else placed anew
            check(params)
        return keyed(identity(self.source, params)) if self.store else lambda point: b""

    def resume(self) -> None:
        """Take what the store has of this grid; refuse one that can't take the rest."""
        if self.store is None:
            return
        for indices, columns in self.store.found(self.keys):
            self.table.put(indices, columns)
        if len(self.table) < self.n_points:
            self.store.check_writable()

    def replay(self) -> None:
        """Replay what is missing, keep each row as it arrives, and show how far it is."""
        with ExitStack() as stack:
            bar = stack.enter_context(
                tqdm(total=self.n_points, initial=len(self.table), desc=self.source.name,
                     unit="point", disable=None)
            )  # fmt: skip
            saver = stack.enter_context(Saver(self.store, bar.update)) if self.store else None
            outcomes = stack.enter_context(closing(self._outcomes()))
            for point, outcome in outcomes:
                if isinstance(outcome, str):
                    self.failed.append(Failed(point.params, point.share, point.value, outcome))
                    continue
                self.table.put(point.index, outcome)
                if saver is None:
                    bar.update()
                else:
                    saver.put(self.keys[point.index], outcome)

    def _outcomes(self) -> Generator[Outcome]:
        if self.executor is None or isinstance(self.executor, int):
            return self._here(self.executor or 1)
        return self._elsewhere(self.executor)

    def _left(self) -> Iterator[Group]:
        return self.grid.sharing(self.table.there)

    def _here(self, n_threads: int) -> Generator[Outcome]:
        """Replay in this process, one region after another."""
        replays = partial(rows_of, n_threads=n_threads)
        for _, groups in groupby(self._left(), key=lambda group: group[0].region):
            trace, known = None, dict[int, int]()
            for window in windows(groups, _WINDOW_POINTS):
                trace = self.source.trace(window[0].params) if trace is None else trace
                yield from attempt(trace, window, known, replays)

    def _elsewhere(self, executor: Executor | Callable[[], Executor]) -> Generator[Outcome]:
        """Replay on an executor; traces in memory are put where its workers find them."""
        if not any(True for _ in self._left()):
            return
        workers = Workers(executor)
        folder = self.store.folder / "traces" if self.store else None
        lookups_only = cache(partial(looks_up_only, self.source))
        with Spool(folder) as spool, closing(workers), ExitStack() as stack:
            stack.callback(forget)  # of executors whose threads are ours
            groups = passes(self._left(), lookups_only)
            refer = partial(spool.refer, self.source)
            yield from run(Cutter(groups, refer, workers.sharing), workers)
