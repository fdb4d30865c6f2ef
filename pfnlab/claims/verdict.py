"""`Verdict`, and the functions that join the findings of several traces to one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from pfnlab.params import PARAMETERS

Kind = Literal["definition", "replayed", "measured"]

#: Columns that tell one trace's rows from another's.
ABOUT = ("source", "evidence", "n_events")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a sweep says about one claim.

    Attributes
    ----------
    claim, who, statement
        Number of the claim, who argued it, and its one sentence.
    kind
        ``definition`` follows from the model, ``replayed`` is a statistic on the traces named,
        ``measured`` comes from a machine.
    holds
        Whether the statistic keeps its bound on every trace; None if the frame can't tell.
    evidence
        The figures that decide, one line per trace, or what the frame lacks.
    """

    claim: str
    who: str
    statement: str
    kind: Kind
    holds: bool | None
    evidence: str

    @property
    def answer(self) -> str:
        """The verdict in words."""
        return {True: "holds", False: "does not hold", None: "not decided"}[self.holds]

    def __str__(self) -> str:
        lines = "".join(f"\n  {line}" for line in self.evidence.splitlines())
        return f"{self.claim} {self.answer}: {self.statement}.{lines}"

    def _repr_markdown_(self) -> str:
        lines = "\n".join(f"* {line}" for line in self.evidence.splitlines())
        return f"**{self.claim} {self.answer}** ({self.kind}): {self.statement}.\n\n{lines}"


class Verdicts(tuple[Verdict, ...]):
    """Several verdicts; a notebook shows them below one another."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n\n".join(map(str, self))

    def _repr_markdown_(self) -> str:
        return "\n\n".join(verdict._repr_markdown_() for verdict in self)


def verdicts(frame: pd.DataFrame, *claims: Callable[[pd.DataFrame], Verdict]) -> Verdicts:
    """Judge several claims by one frame."""
    return Verdicts(claim(frame) for claim in claims)


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict of one trace in a sentence; of several, the one of least `worth` counts."""

    holds: bool | None
    text: str
    worth: float = 0.0


def joined(findings: dict[str, Finding], *, kind: Kind = "replayed", **about: Any) -> Verdict:
    """Join the findings of all traces: it fails if one fails, and is open if one can't tell."""
    answers = [finding.holds for finding in findings.values()]
    holds = False if False in answers else None if None in answers else True
    return Verdict(kind=kind, holds=holds, evidence=as_lines(findings), **about)


def as_lines(findings: dict[str, Finding]) -> str:
    """Return one line per trace."""
    return "\n".join(f"{name}: {finding.text}." for name, finding in findings.items())


def by_trace(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each trace under its name and evidence."""
    for _, rows in frame.groupby(list(ABOUT), sort=False):
        yield f"{rows['source'].iloc[0]} ({rows['evidence'].iloc[0]})", rows


def by_setting(rows: pd.DataFrame, *free: str) -> Iterator[pd.DataFrame]:
    """Yield the rows that agree in every parameter but those in `free`."""
    fixed = [name for name in PARAMETERS if name not in free]
    yield from (some for _, some in rows.groupby(fixed, sort=False))


def worst(findings: list[Finding]) -> Finding:
    """Return the worst of those that can tell; if none can, of all."""
    decided = [finding for finding in findings if finding.holds is not None]
    return min(decided or findings, key=lambda finding: finding.worth)
