"""The points that are left to jobs: what shares a pass stays whole, small work is bundled."""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice

from pfnlab.engine.many import thresholds_of_a_pass
from pfnlab.params import Params
from pfnlab.params.policies import REGISTERED, Policy, meaning
from pfnlab.sweeps.axes import Point
from pfnlab.sweeps.jobs import Answer, Job
from pfnlab.sweeps.transport import Reference
from pfnlab.traces.sources import Source
from pfnlab.traces.workloads import Spec

Group = list[Point]

#: Seconds that a job should take: sending one costs 0.2 to 3 ms, losing one costs it all.
TARGET_SECONDS = 0.3
_SAMPLE_EVENTS = 1 << 12


def passes(groups: Iterable[Group], lookups_only: Callable[[Params], bool]) -> Iterator[Group]:
    """Cut lists of points that could share a pass into those that one pass takes."""
    for group in groups:
        params = group[0].params
        width = thresholds_of_a_pass(params) if lookups_only(params) else 1
        n_cpus = len({point.params.n_cpus for point in group})  # of one replay, priced differently
        for start in range(0, len(group), width * n_cpus):
            yield group[start : start + width * n_cpus]


def looks_up_only(source: Source, params: Params) -> bool:
    """Whether all events of a source are lookups that can sleep; a spec draws a few to see."""
    if isinstance(source, Spec):
        source = source.replace(n_events=min(source.n_events, _SAMPLE_EVENTS))
    trace = source.trace(params)
    return not trace.has_ops and not trace.has_atomic


def windows(groups: Iterable[Group], n_points: int) -> Iterator[Group]:
    """Put lists together, up to so many points."""
    window: Group = []
    for group in groups:
        if window and len(window) + len(group) > n_points:
            yield window
            window = []
        window = window + group
    if window:
        yield window


class Cutter:
    """Jobs of about `TARGET_SECONDS`, by what those before took; all points of one, one region."""

    def __init__(
        self,
        groups: Iterable[Group],
        refer: Callable[[Params], Reference],
        n_sharing: Callable[[], int],
    ) -> None:
        self._regions = groupby(groups, key=lambda group: group[0].region)
        self._here: Iterator[Group] = iter(())
        self._refer, self._n_sharing = refer, n_sharing
        self._reference: Reference | None = None
        self._n_groups = 1

    def take(self) -> Job | None:
        """Return the next job, None when there is none left."""
        while not (taken := list(islice(self._here, self._n_groups))):
            region, self._here = next(self._regions, (None, iter(())))
            self._reference = None
            if region is None:
                return None
        points = [point for group in taken for point in group]
        self._reference = self._reference or self._refer(points[0].params)
        return Job(self._reference, points, len(taken), _policies(points), self._n_sharing())

    def learn(self, job: Job, answer: Answer) -> None:
        """Make jobs larger or smaller, by what this one took; twice as large at most."""
        a_group = max(answer.seconds, 1e-6) / job.n_groups
        self._n_groups = max(1, min(int(TARGET_SECONDS / a_group), 2 * self._n_groups))


def _policies(points: Iterable[Point]) -> tuple[tuple[Policy, str], ...]:
    """Return the policies of the user's own that the points name, and what each means."""
    names = {point.params.policy for point in points}
    own = [REGISTERED[name] for name in sorted(names) if name in REGISTERED]
    return tuple((policy, meaning(policy)) for policy in own)
