"""What gives events (`Source`), and what can be replayed (`Replayable`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, Protocol

from pfnlab.errors import ParameterError, TraceError
from pfnlab.params import Params
from pfnlab.params.units import format_bytes
from pfnlab.traces.columns import Column, Events

Evidence = Literal["direct", "proxy"]


class Replayable(Protocol):
    """A trace in memory (`Trace`) or one that is read while it is replayed (`StreamedTrace`)."""

    @property
    def name(self) -> str:
        """What reports call the trace."""

    @property
    def evidence(self) -> Evidence:
        """Whether its events are references on descriptors or stand in for them."""

    @property
    def page_bytes(self) -> int:
        """Size of the pages that the pfns number."""

    @property
    def provenance(self) -> Mapping[str, str]:
        """Origin, command, date and the like."""

    @property
    def has_ops(self) -> bool:
        """Whether pieces have `ops`."""

    @property
    def has_atomic(self) -> bool:
        """Whether pieces have `atomic`."""

    def __len__(self) -> int:
        """Return the number of events."""

    def trace(self, params: Params) -> Replayable:
        """Return the events for the region of `params`."""

    def check(self, params: Params) -> None:
        """Refuse what is known to be wrong for a region before any event is replayed."""

    def pieces(self, params: Params, n_events: int = 1 << 16) -> Iterator[Events]:
        """Yield the events in order, at most `n_events` at a time, each piece checked."""

    def sample(self, n_slices: int, n_events: int) -> list[Column]:
        """Return the pfns of at most `n_slices` slices of `n_events`, spread over the trace."""

    def footprint_bytes(self, params: Params) -> int:
        """Return the bytes of descriptors in the distinct granules that the trace touches."""

    def digest(self) -> str:
        """Return the sha256 of what a replay sees."""


class Source(Protocol):
    """Whatever gives a trace for a region: a `Trace`, a placed one, or a workload spec."""

    @property
    def name(self) -> str:
        """What reports call it."""

    @property
    def evidence(self) -> Evidence:
        """Whether its events are references on descriptors or stand in for them."""

    def trace(self, params: Params) -> Replayable:
        """Return the events for the region of `params`."""


def check_evidence(evidence: str) -> None:
    """Refuse what is neither of the two kinds of evidence."""
    if evidence not in ("direct", "proxy"):
        raise ParameterError("evidence", evidence, "must be 'direct' or 'proxy'")


def check_page_bytes(trace: Replayable, params: Params) -> None:
    """Refuse a region whose page size is not the trace's."""
    if trace.page_bytes != params.page_bytes:
        mine, region = format_bytes(trace.page_bytes), format_bytes(params.page_bytes)
        requirement = f"must be the region's page size ({region})"
        raise TraceError(f"page_bytes={mine} of trace {trace.name!r}: {requirement}")
