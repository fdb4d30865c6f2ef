"""A job: points of one region that a worker replays in one go, and what comes back from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from threading import Lock
from typing import Any

from pfnlab.errors import ParameterError, PfnlabError, TraceError
from pfnlab.params import Params
from pfnlab.params.policies import REGISTERED, Policy, register
from pfnlab.sweeps.axes import REGION, Point
from pfnlab.sweeps.code_version import code_version
from pfnlab.sweeps.per_region import Drawn
from pfnlab.sweeps.rows import Row, rows_of
from pfnlab.sweeps.transport import Reference
from pfnlab.traces.sources import Replayable, Source

_Kept = tuple[Replayable, dict[int, int]]

#: A point, and its row or why it has none.
Outcome = tuple[Point, Row | str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of the points of a job, in any order, by their indices; and how long it took."""

    outcomes: list[tuple[int, Row | str]]
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """Points of one region, and all that a worker in another process needs to replay them."""

    reference: Reference
    points: Sequence[Point]
    n_groups: int = 1  # of points that share a pass
    policies: tuple[tuple[Policy, str], ...] = ()  # of the user's own, and what each means
    n_sharing: int = 1
    version: str = field(default_factory=code_version)  # of the code that cut it
    deaths: int = 0  # of workers that had nothing but this job

    def halves(self) -> tuple[Job, Job]:
        """Return two jobs, each of half the points."""
        middle = len(self.points) // 2
        parts = self.points[:middle], self.points[middle:]
        return replace(self, points=parts[0]), replace(self, points=parts[1])


def work(job: Job) -> Answer:
    """Replay a job: what a worker does.

    Raises
    ------
    ParameterError
        If this process runs other code than the one that sent it: then it might count otherwise.
    """
    if job.version != code_version():
        requirement = "its workers must run the same pfnlab as this sweep, to the last line"
        raise ParameterError("executor", "a worker", requirement)
    for policy, meant in job.policies:
        _take(policy, meant)
    with _KEEPING:
        trace, known = _drawn(job.reference, job.points[0].region)
    started = time.perf_counter()
    outcomes = attempt(trace, job.points, known, lambda region: rows_of(region, 1, job.n_sharing))
    found = [(point.index, outcome) for point, outcome in outcomes]
    return Answer(found, time.perf_counter() - started)


#: What the policies mean that came with jobs: a worker that lives on gets others of their names.
_taken: dict[str, str] = {}


def _take(policy: Policy, meant: str) -> None:
    """Register a policy, unless it is there: another copy of it would be compiled anew."""
    if REGISTERED.get(policy.name) is not policy and _taken.get(policy.name) != meant:
        register(policy)
        _taken[policy.name] = meant


def attempt(
    trace: Replayable,
    points: Sequence[Point],
    known: dict[int, int],
    replays: Callable[[Drawn], Iterable[tuple[Point, Row]]],
) -> Iterator[Outcome]:
    """Replay points together, and if that fails one by one, so that each fails for itself only.

    Raises
    ------
    TraceError
        If the trace is wrong: then every point is.
    """
    done: set[int] = set()
    try:
        for point, row in replays(Drawn.of(trace, points, known)):
            done.add(point.index)
            yield point, row
    except TraceError:
        raise
    except Exception as error:
        if len(points) == 1:
            yield points[0], reason_of(error)
            return
        for point in points:
            if point.index not in done:
                yield from attempt(trace, [point], known, replays)


def reason_of(error: BaseException) -> str:
    """Say in a line what went wrong."""
    own = "" if isinstance(error, PfnlabError) else f"{type(error).__name__}: "
    return f"{own}{error}".strip(": ").splitlines()[0]


_KEEPING = Lock()


def forget() -> None:
    """Let go of the trace that was replayed last, and of its file."""
    with _KEEPING:
        _drawn.cache_clear()
        _opened.cache_clear()


@lru_cache(maxsize=1)
def _opened(reference: Any) -> Source:
    source: Source = reference.source()
    return source


@lru_cache(maxsize=1)  # workers get the jobs of a region in a row
def _drawn(reference: Any, region: tuple[int | str, ...]) -> _Kept:
    """Return the events for a region, and room for the footprints that will be known of them."""
    named: dict[str, Any] = dict(zip(REGION, region, strict=True))
    params = Params(**named)
    return _opened(reference).trace(params), {}
