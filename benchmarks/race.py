"""One row of the benchmarks: contestants that alternate, are timed, and must agree.

A race runs A B C A B C ...; ratios are taken repetition by repetition, because machines drift.
"""

import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Answer = Mapping[str, Hashable]
Clock = Callable[[], float]

#: How a figure follows from the seconds of one run and the accesses in it.
FIGURES: Mapping[str, Callable[[float, int], float]] = {
    "M/s": lambda seconds, n: n / seconds / 1e6,
    "s": lambda seconds, _: seconds,
}


EXPECTED = "what was expected"  # the name under which answers known beforehand are quoted


class AbsentError(Exception):
    """A row can't run here: what it needs is absent."""


class WrongAnswerError(Exception):
    """A contestant's answer is not that of the others, or nothing checks it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a figure or a ratio should reach."""

    bound: float
    unit: str = "x"
    at_most: bool = False

    def met(self, value: float) -> bool:
        """Whether `value` reaches it."""
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.bound:.4g} {self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """Something that is timed.

    Attributes
    ----------
    run
        What is timed, whole.
    answer
        What `run` returned -> answers by name; not timed. Answers of one name must be equal in
        all contestants, all repetitions, and the race's `expected`.
    n
        Accesses in one run: rates are compared, so one may do a part of what another does.
    before
        Untimed preparation of each run.
    mark
        On the ratio over this contestant; the first contestant's own is on its figure.
    measured
        Takes the figure from what `run` returned instead of the clock, in the mark's unit.
    warm
        Whether to run it once untimed (what is compiled or cached on first use).
    """

    name: str
    run: Callable[[], Any]
    answer: Callable[[Any], Answer]
    n: int = 1
    before: Callable[[], object] = lambda: None
    mark: Mark | None = None
    measured: Callable[[Any], float] | None = None
    warm: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """Contestants, the first against each of the others, and answers known beforehand."""

    contestants: Sequence[Contestant]
    expected: Answer = field(default_factory=dict)
    unit: str = "M/s"
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table: the first contestant, alone or against one other."""

    row: str
    subject: str
    peer: str
    n: int
    unit: str
    subject_median: float
    peer_median: float | None
    ratio: float | None
    ratio_min: float | None
    ratio_max: float | None
    mark: str
    reached: bool | None
    repetitions: int
    note: str


def run_race(
    row: str, race: Race, repetitions: int, clock: Clock = time.perf_counter
) -> list[Line]:
    """Warm up, alternate `repetitions` times, check every answer, and sum up.

    Raises
    ------
    WrongAnswerError
        Naming row, contestant and the two answers.
    """
    answers = {EXPECTED: dict(race.expected)}
    figures: dict[str, list[float]] = {one.name: [] for one in race.contestants}
    if len(figures) != len(race.contestants):
        raise ValueError(f"{row}: contestants must have different names")
    for one in race.contestants:
        if one.warm:
            _compare(row, answers, one, _timed(one, clock)[1])
    for _ in range(repetitions):
        for one in race.contestants:
            seconds, result = _timed(one, clock)
            _compare(row, answers, one, result)
            measured = one.measured(result) if one.measured else None
            figure = FIGURES[race.unit](seconds, one.n) if measured is None else measured
            figures[one.name].append(figure)
    _check_all_compared(row, answers)
    return _lines(row, race, figures)


def _timed(one: Contestant, clock: Clock) -> tuple[float, Any]:
    one.before()
    started = clock()
    result = one.run()
    return clock() - started, result


def _compare(row: str, answers: dict[str, dict[str, Hashable]], one: Contestant, raw: Any) -> None:
    found = dict(one.answer(raw))
    for other, known in answers.items():
        for name in found.keys() & known.keys():
            if found[name] != known[name]:
                raise WrongAnswerError(
                    f"{row}: {one.name} says {name} = {found[name]}, {other} {known[name]}"
                )
    answers.setdefault(one.name, found)


def _check_all_compared(row: str, answers: Mapping[str, Answer]) -> None:
    """Refuse a contestant whose answers nobody else gave: that would be no check."""
    for name, mine in answers.items():
        others = [theirs for other, theirs in answers.items() if other != name]
        shared = any(mine.keys() & theirs.keys() for theirs in others)
        if name != EXPECTED and not shared:
            raise WrongAnswerError(f"{row}: nothing checks the answer of {name}")


def _lines(row: str, race: Race, figures: Mapping[str, Sequence[float]]) -> list[Line]:
    subject, *peers = race.contestants
    mine = figures[subject.name]

    def line(peer: Contestant | None, mark: Mark | None) -> Line:
        # Rates grow and times shrink with speed; the ratio is always subject's speed over peer's.
        ratios = [_ratio(race.unit, *pair) for pair in zip(mine, figures[peer.name], strict=True)] \
            if peer else []  # fmt: skip
        judged = statistics.median(ratios or mine)
        return Line(
            row=row,
            subject=subject.name,
            peer=peer.name if peer else "",
            n=subject.n,
            unit=race.unit if subject.measured is None or mark is None else mark.unit,
            subject_median=statistics.median(mine),
            peer_median=statistics.median(figures[peer.name]) if peer else None,
            ratio=judged if peer else None,
            ratio_min=min(ratios) if peer else None,
            ratio_max=max(ratios) if peer else None,
            mark=str(mark) if mark else "",
            reached=mark.met(judged) if mark else None,
            repetitions=len(mine),
            note=race.note,
        )

    own = [line(None, subject.mark)] if subject.mark or not peers else []
    return own + [line(peer, peer.mark) for peer in peers]


def _ratio(unit: str, mine: float, theirs: float) -> float:
    return theirs / mine if unit == "s" else mine / theirs
