"""`Spec`: what all workloads share. A frozen record that draws a `Trace` for any region."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

import numpy as np

from pfnlab.errors import ParameterError, near
from pfnlab.params import Parameter, Params, Unit, units
from pfnlab.params.memory import check_fits
from pfnlab.traces.columns import Events
from pfnlab.traces.trace import Evidence, Trace
from pfnlab.traces.workloads.pieces import Feed, Piece, part_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Real:
    """What is known of a field that is a real number: name, help and inclusive bounds."""

    name: str = ""
    default: float
    help: str
    minimum: float = 0.0
    maximum: float = 1.0

    def parse(self, value: object) -> float:
        """Return `value` as a float, or refuse it by name."""
        return units.real(self.name, value, self.minimum, self.maximum)

    def show(self, value: float) -> str:
        """Write a value so that reading gives it back."""
        return repr(value)

    def read(self, text: str) -> float:
        """Return what a person typed as this field stores it, or refuse it by name."""
        try:
            return self.parse(float(text))
        except ValueError as error:
            if isinstance(error, ParameterError):
                raise
            raise ParameterError(self.name, text, "must be a number") from None


def real(default: float, help: str, minimum: float = 0.0, maximum: float = 1.0) -> Any:
    """Declare a field that is a real number; by default a share, from 0 to 1."""
    facts = Real(default=default, help=help, minimum=minimum, maximum=maximum)
    return field(default=default, metadata={"parameter": facts})


def whole(default: int | None, unit: Unit, help: str, **limits: Any) -> Any:
    """Declare a field that is a count or a size; it may be None if that is its default."""
    facts = Parameter(default=default or 0, unit=unit, help=help, **limits)
    return field(default=default, metadata={"parameter": facts})


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec(ABC):
    """A synthetic workload: fields checked when made, events drawn when a region is known.

    Its events are an endless sequence fixed by fields, seed and region; `n_events` cuts it, so a
    shorter trace is the beginning of a longer one. A cut may leave GETs without their PUTs.

    Raises
    ------
    ParameterError
        Naming field, value and requirement.
    """

    n_events: int = whole(1_000_000, "", "events to draw", maximum=2**33)
    seed: int | None = whole(
        None, "", "seed of this workload; None takes that of Params", maximum=2**63 - 1
    )

    name: ClassVar[str]
    evidence: ClassVar[Evidence] = "proxy"

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None or each.default is not None:
                facts = replace(each.metadata["parameter"], name=each.name)
                object.__setattr__(self, each.name, facts.parse(value))

    @abstractmethod
    def pages_needed(self, page_bytes: int) -> int:
        """Return the fewest pages that a region must have for this workload."""

    @abstractmethod
    def draw(self, params: Params, seed: int) -> Iterator[Piece]:
        """Return the endless events for a region that was found large enough."""

    def trace(self, params: Params) -> Trace:
        """Draw exactly `n_events` events for the region of `params`.

        Raises
        ------
        ParameterError
            If the region is too small for the workload.
        """
        self.check(params)
        # Six bytes an event if pfns are uint32, ten if they are not.
        check_fits(10 * self.n_events, "n_events", self.n_events, "the events of a workload")
        feed = self._feed(params)
        events = feed.columns(self.n_events)
        feed.fill(events)
        return Trace(
            events.pfns,
            ops=events.ops,
            atomic=events.atomic,
            page_bytes=params.page_bytes,
            name=self.name,
            evidence=self.evidence,
            provenance=self._provenance(params),
        )

    def pieces(self, params: Params, n_events: int = 1 << 16) -> Iterator[Events]:
        """Yield the events of `trace` in order, `n_events` at a time, in memory for so many.

        The arrays of one piece are those of the next, so use or copy them before asking for it.

        Raises
        ------
        ParameterError
            Before the first piece, if the region is too small for the workload.
        """
        self.check(params)
        feed = self._feed(params)
        room = feed.columns(min(n_events, self.n_events))
        for start in range(0, self.n_events, n_events):
            part = slice(self.n_events - start)
            ops, atomic = part_of(room.ops, part), part_of(room.atomic, part)
            events = Events(start, room.pfns[part], ops, atomic)
            feed.fill(events)
            for column in (events.pfns, ops, atomic):
                if column is not None:  # a view of its own, so the room stays writable
                    column.flags.writeable = False
            yield events

    def _feed(self, params: Params) -> Feed:
        """Begin to draw for a region, which must be large enough."""
        _keep_temporaries()
        return Feed.of(self.draw(params, self._seed(params)), params)

    def check(self, params: Params) -> None:
        """Refuse a region that is too small for the workload."""
        needed = self.pages_needed(params.page_bytes)
        if params.n_pages < needed:
            least = units.format_bytes(needed * params.page_bytes)
            requirement = f"must be at least {least} for {self.name}"
            raise ParameterError(
                "region_bytes", units.format_bytes(params.region_bytes), requirement
            )

    def _seed(self, params: Params) -> int:
        return params.seed if self.seed is None else self.seed

    @property
    def text(self) -> str:
        """The workload as a source's text: its name, and the fields that are not at their defaults.

        `pfnlab.traces.workloads.workload_of` is the inverse.
        """
        given = [
            f"{each.name}={each.metadata['parameter'].show(value)}"
            for each in fields(self)
            if (value := getattr(self, each.name)) != each.default
        ]
        return f"{self.name}:{','.join(given)}" if given else self.name

    def replace(self, **changes: Any) -> Self:
        """Return a variant with some fields changed; an unknown name is refused."""
        check_fields(type(self), changes)
        return replace(self, **changes)

    def _provenance(self, params: Params) -> dict[str, str]:
        drawn = {each.name: str(getattr(self, each.name)) for each in fields(self)}
        region = {"region_bytes": str(params.region_bytes), "first_pfn": str(params.first_pfn)}
        return {"workload": self.name, **drawn, **region, "seed": str(self._seed(params))}


def check_fields(spec: type[Spec], named: dict[str, Any]) -> None:
    """Refuse a name that is no field of a workload, its neighbours named."""
    known = [each.name for each in fields(spec)]
    for name, value in named.items():
        if name not in known:
            requirement = f"no such field of workload {spec.name!r}; {near(name, known)}"
            raise ParameterError(name, value, requirement)


def _keep_temporaries() -> None:
    """Let malloc keep what a piece frees for the next piece: three times faster than not to.

    glibc gives freed temporaries of this size back to the kernel, which zeroes them again, until
    it has seen a larger block freed. This one is never touched, so it costs nothing.
    """
    np.empty(1 << 24, np.uint8)
