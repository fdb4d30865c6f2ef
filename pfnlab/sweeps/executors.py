"""Jobs on any executor: a worker that dies costs time, and only a job that kills alone is lost.

When a worker dies, whatever was in flight is under suspicion, for the executor does not say which
job it was. Suspects run alone, one after another. One that dies alone is halved, and its halves
run alone, until single points are left: what dies then is named, and everything else completes.
"""

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
)
from contextlib import suppress
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pickle import PicklingError
from queue import Empty, SimpleQueue
from typing import Protocol

from pfnlab.errors import ParameterError
from pfnlab.params.policies import Policy
from pfnlab.sweeps.jobs import Answer, Job, Outcome, reason_of, work

#: Jobs in flight for each worker: one is replayed, the other is there when it is done.
_AHEAD = 2
#: How often a cluster is asked how many workers it has.
_LOOK_SECONDS = 2.0
#: A point is lost when so many workers died while nothing but it was with them: others may have
#: been killed for reasons of their own.
_DEATHS = 3
_START_SECONDS = 300.0
_NO_START = (
    'its workers must start: a script must begin its work under `if __name__ == "__main__":`, '
    "and a policy be made of functions of a module, or of a script, that workers can import"
)
_NO_FACTORY = "; an executor that breaks can be made anew if it is given as a factory"


class Jobs(Protocol):
    """Where jobs come from: cut to the measured speed as they are asked for."""

    def take(self) -> Job | None:
        """Return the next job, None when there is none left."""

    def learn(self, job: Job, answer: Answer) -> None:
        """Note how long a job took."""


class Workers:
    """An executor, and how to make another if the first is broken by a worker's death."""

    def __init__(self, given: Executor | Callable[[], Executor]) -> None:
        self._make = None if isinstance(given, Executor) else given
        self.executor = given if isinstance(given, Executor) else _made(given)
        self.number = 1
        self.look()

    def look(self) -> None:
        """Note how many work at the same time, as far as the executor says."""
        client = getattr(self.executor, "_client", None)  # of dask: workers come and go
        known = getattr(self.executor, "_max_workers", None) or os.cpu_count() or 1
        self.number = max(sum(client.nthreads().values()), 1) if client else int(known)

    def sharing(self) -> int:
        """How many may share the memory of a machine."""
        return min(self.number, os.cpu_count() or 1)

    def renewed(self) -> bool:
        """Put a fresh executor in place of a broken one, if there is a way to make it."""
        if self._make is None:
            return False
        self._end()
        self.executor = _made(self._make)
        return True

    def restarted(self, policies: Iterable[Policy]) -> bool:
        """Put fresh workers in place of broken ones; False if there is no way to make them.

        Raises
        ------
        ParameterError
            If they end before they have anything to do but to know `policies`.
        """
        own = tuple(policies)
        for _ in range(_DEATHS):
            if not self.renewed():
                return False
            with suppress(RuntimeError):  # broken again, or not to be begun where we are
                self.executor.submit(_nothing, own).result(_START_SECONDS)
                return True
        raise ParameterError("executor", type(self.executor).__name__, _NO_START)

    @property
    def gone(self) -> bool:
        """Whether a cluster has left us; dask tells nobody who waits for a future."""
        client = getattr(self.executor, "_client", None)
        return client is not None and client.status == "closed"

    def drop(self, futures: Iterable[Future[Answer]]) -> None:
        """Have jobs that are not begun never begin; processes of our own end with `close`."""
        if not self.gone and not (self._make and self._processes):
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """End an executor of our own, without waiting for its jobs."""
        if self._make is not None:
            self._end()

    def _end(self) -> None:
        processes = self._processes
        self.executor.shutdown(wait=False)
        for process in processes:
            process.terminate()

    @property
    def _processes(self) -> list[BaseProcess]:
        return list((getattr(self.executor, "_processes", None) or {}).values())


def _nothing(policies: tuple[Policy, ...]) -> None:
    """Do what any worker can that starts, and that can import what policies are made of."""


def _made(factory: Callable[[], Executor]) -> Executor:
    executor: object = factory()
    if not isinstance(executor, Executor):  # whatever the annotation says
        requirement = "must return a concurrent.futures.Executor"
        raise ParameterError("executor", factory, requirement)
    return executor


def run(jobs: Jobs, workers: Workers) -> Iterator[Outcome]:
    """Yield what became of the points of all jobs, as it arrives."""
    flight = _Flight(jobs, workers)
    try:
        while flight.launched():
            yield from flight.landed()
    finally:
        workers.drop(flight.jobs)


class _Flight:
    """What is with the workers, and what must run alone afterwards."""

    def __init__(self, jobs: Jobs, workers: Workers) -> None:
        self.jobs: dict[Future[Answer], Job] = {}
        self._arrived: SimpleQueue[Future[Answer]] = SimpleQueue()
        self._source = jobs
        self._workers = workers
        self._suspects: deque[Job] = deque()
        self._alone = False
        # The first job runs by itself: what it compiles, all others find in the cache.
        self._room, self._room_until = 1, math.inf

    def launched(self) -> bool:
        """Send jobs as far as there is room; False if nothing is left to do."""
        if self._suspects:
            self._alone = not self.jobs
            if self._alone:
                self._submit(self._suspects.popleft())
            return True
        self._alone = False
        while len(self.jobs) < self._room and (job := self._source.take()) is not None:
            self._submit(job)
        return bool(self.jobs)

    def _submit(self, job: Job) -> None:
        try:
            future = self._workers.executor.submit(work, job)
        except Exception as error:
            if not isinstance(error, RuntimeError) and not self._workers.gone:
                raise
            future = _broken(error)  # or shut down, or closed
        self._await(future, job)

    def _await(self, future: Future[Answer], job: Job) -> None:
        self.jobs[future] = job
        future.add_done_callback(self._arrived.put)

    def landed(self) -> Iterator[Outcome]:
        """Wait for the next jobs and yield what they say; judge those whose worker died."""
        done = [self._next()]
        broken = _died(done[0][0]) and not _is_elsewhere(done[0][0])
        while broken and self.jobs:  # a broken executor fails all that it has
            done.append(self._next())
        dead: list[tuple[Job, str]] = []
        deaths = 1 if broken else _DEATHS  # dask gives up after some deaths of its own count
        for future, job in done:
            if _died(future):
                dead.append((job, reason_of(_error_of(future))))
            else:
                yield from self._learned(job, _answer(future, job))
        own = dict.fromkeys(policy for job, _ in dead for policy, _ in job.policies)
        renewed = not broken or self._workers.restarted(own)
        for job, reason in dead:
            yield from (
                self._judged(job, deaths, reason) if renewed else _lost(job, reason + _NO_FACTORY)
            )

    def _next(self) -> tuple[Future[Answer], Job]:
        """Wait for the next future that has its answer, or never will."""
        while True:
            with suppress(Empty):
                future = self._arrived.get(timeout=_LOOK_SECONDS)
                if (job := self.jobs.pop(future, None)) is not None:
                    return future, job
            if self._workers.gone:
                jobs, self.jobs = self.jobs, {}
                for job in jobs.values():
                    self._await(_broken("the cluster is gone"), job)

    def _learned(self, job: Job, answer: Answer) -> Iterator[Outcome]:
        self._source.learn(job, answer)
        now = time.monotonic()
        if self._room == 1 or now > self._room_until:  # a cluster grows and shrinks
            self._workers.look()
            self._room = _AHEAD * self._workers.number
            self._room_until = now + _LOOK_SECONDS
        points = {point.index: point for point in job.points}
        return ((points[index], outcome) for index, outcome in answer.outcomes)

    def _judged(self, job: Job, deaths: int, reason: str) -> Iterator[Outcome]:
        if not self._alone:
            self._suspects.append(job)
        elif len(job.points) > 1:
            self._suspects.extendleft(reversed(job.halves()))
        elif job.deaths + deaths < _DEATHS:
            self._suspects.appendleft(replace(job, deaths=job.deaths + deaths))
        else:
            yield from _lost(job, f"its worker died each time ({reason})")


def _lost(job: Job, reason: str) -> Iterator[Outcome]:
    return ((point, reason) for point in job.points)


def _answer(future: Future[Answer], job: Job) -> Answer:
    try:
        return future.result()
    except (AttributeError, PicklingError) as error:  # of functions within functions
        if not job.policies:
            raise
        names = ", ".join(policy.name for policy, _ in job.policies)
        requirement = f"must be made of functions of a module to reach other processes ({error})"
        raise ParameterError("policy", names, requirement) from error


def _broken(why: object) -> Future[Answer]:
    """Return a future of an executor that will answer nothing any more."""
    future: Future[Answer] = Future()
    future.set_exception(BrokenExecutor(str(why)))
    return future


def _error_of(future: Future[Answer]) -> BaseException:
    return CancelledError() if future.cancelled() else future.exception() or CancelledError()


def _died(future: Future[Answer]) -> bool:
    """Whether a future has no answer because its worker is gone."""
    if future.cancelled():
        return True
    error = future.exception()
    return isinstance(error, BrokenExecutor | CancelledError) or _is_elsewhere(future)


def _is_elsewhere(future: Future[Answer]) -> bool:
    """Whether it is dask that gave a job up; the executor itself goes on."""
    return type(future.exception()).__name__ == "KilledWorker" if not future.cancelled() else False
