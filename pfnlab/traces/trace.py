"""`Trace`: read-only columns of events (DESIGN 4) and their origin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from pfnlab.errors import ParameterError, TraceError
from pfnlab.params import PARAMETERS, Params
from pfnlab.params.geometry import Geometry
from pfnlab.traces import requests
from pfnlab.traces.columns import (
    PIECE_EVENTS,
    Column,
    Events,
    Extent,
    digest_of,
    extent_of,
    held_column,
    int64_column,
    pfn_column,
    spread_starts,
)
from pfnlab.traces.placement import How, place, staggered
from pfnlab.traces.requests import GET, LOOKUP, PUT, Flags, Int64s, Ops
from pfnlab.traces.sources import Evidence, check_evidence, check_page_bytes

__all__ = ["Evidence", "Placement", "Trace"]


@dataclass(frozen=True, slots=True)
class Placement:
    """How a trace was put into a region, so that it can be put into another."""

    origin: Trace
    how: How
    tenants: int


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Trace:
    """A sequence of events on page frames.

    Arrays are not copied where their dtype fits; they are held as read-only views. Whoever owns
    them must not change them while the trace lives: they are checked once.

    Parameters
    ----------
    pfns
        Page frame number of each event: integers, one-dimensional; held as uint32 or int64.
    ops
        LOOKUP 0, GET 1 or PUT 2 for each event, uint8; None means LOOKUP throughout.
    atomic
        Whether the caller can't sleep, bool; None means it always can.
    cpus
        CPU of each event; carried for reports only. None means CPU 0.
    page_bytes
        Size of the pages that the pfns number.
    name
        What reports call the trace.
    time_ns
        Time of each event in ns; carried for reports only.
    evidence
        ``"direct"`` if references on descriptors were recorded, ``"proxy"`` if addresses or file
        offsets stand in for them.
    provenance
        Origin, command, date and the like, as text.

    Raises
    ------
    TraceError
        Naming column, event and requirement.
    """

    pfns: npt.NDArray[Any]
    ops: Ops | None = None
    atomic: Flags | None = None
    cpus: npt.NDArray[Any] | None = None
    page_bytes: int = 4096
    name: str = "mine"
    time_ns: Int64s | None = None
    evidence: Evidence = "proxy"
    provenance: Mapping[str, str] = field(default_factory=dict)
    placement: Placement | None = None
    _extent: Extent | None = field(default=None, init=False, repr=False)  # once it is known
    _digest: str | None = field(default=None, init=False, repr=False)  # likewise

    def __post_init__(self) -> None:
        check_evidence(self.evidence)
        set_ = object.__setattr__
        set_(self, "page_bytes", PARAMETERS["page_bytes"].parse(self.page_bytes))
        set_(self, "provenance", MappingProxyType(dict(self.provenance)))
        pfns, extent = pfn_column(self.pfns)
        set_(self, "pfns", pfns)
        set_(self, "_extent", extent)
        for name in ("ops", "atomic", "cpus", "time_ns"):
            set_(self, name, held_column(name, getattr(self, name)))
        for name, column in self.columns().items():
            if len(column) != len(self.pfns):
                requirement = f"must have as many as pfns ({len(self.pfns)})"
                raise TraceError(f"{name}: has {len(column)} events, {requirement}")
        for name in ("ops", "atomic"):
            if (column := getattr(self, name)) is not None and not column.any():
                set_(self, name, None)

    def __len__(self) -> int:
        return len(self.pfns)

    def __repr__(self) -> str:
        return f"<Trace {self.name!r}: {len(self):,} events, {self.evidence}>"

    @classmethod
    def from_requests(
        cls,
        offset_bytes: npt.ArrayLike,
        length_bytes: npt.ArrayLike,
        io_depth: int = 32,
        *,
        submit_ns: npt.ArrayLike | None = None,
        complete_ns: npt.ArrayLike | None = None,
        cpus: npt.ArrayLike | None = None,
        submit_atomic: npt.ArrayLike = False,
        pinned: npt.ArrayLike = True,
        page_bytes: int = 4096,
        **about: Any,
    ) -> Trace:
        """Turn block requests into events: GETs when submitted, atomic PUTs when completed.

        Parameters
        ----------
        offset_bytes, length_bytes
            Byte range of each request, int64.
        io_depth
            Without times, a request completes once this many later ones were submitted;
            0 is synchronous I/O.
        submit_ns, complete_ns
            Times of submission and completion in ns, both or neither; they replace `io_depth`.
        cpus
            CPU of the submitter of each request.
        submit_atomic
            Whether the submitter can't sleep (softirq); one for all, or one per request.
        pinned
            False for a request that takes no references: its submission and its completion
            look the pages up instead. One for all, or one per request.
        page_bytes, **about
            Page size, and `name`, `evidence`, `provenance` as for `Trace`.
        """
        offsets = int64_column("offset_bytes", offset_bytes)
        lengths = _a_request(
            "length_bytes", int64_column("length_bytes", length_bytes), len(offsets)
        )
        atomic = _a_request("submit_atomic", np.asarray(submit_atomic), len(offsets))
        takes = _a_request("pinned", np.asarray(pinned), len(offsets))
        if (submit_ns is None) != (complete_ns is None):
            raise TraceError("submit_ns and complete_ns: give both or neither")
        if submit_ns is None or complete_ns is None:
            halves, times = requests.by_depth(len(offsets), io_depth), None
        else:
            submit = _a_request("submit_ns", int64_column("submit_ns", submit_ns), len(offsets))
            complete = _a_request(
                "complete_ns", int64_column("complete_ns", complete_ns), len(offsets)
            )
            halves, times = requests.by_time(submit, complete), np.stack([submit, complete])
        pages, half = requests.expand(halves, *requests.page_runs(offsets, lengths, page_bytes))
        request, completes = halves.request[half], halves.completes[half]
        return cls(
            pages,
            ops=np.where(takes[request], np.where(completes, PUT, GET), LOOKUP).astype(np.uint8),
            atomic=completes | (atomic[request] != 0),
            cpus=None
            if cpus is None
            else _a_request("cpus", np.asarray(cpus), len(offsets))[request],
            time_ns=None if times is None else times[completes.astype(np.int8), request],
            page_bytes=page_bytes,
            **about,
        )

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the columns that are there, by their names in `Trace`."""
        names = ("pfns", "ops", "atomic", "cpus", "time_ns")
        present = ((name, getattr(self, name)) for name in names)
        return {name: column for name, column in present if column is not None}

    def digest(self) -> str:
        """Return the sha256 of what a replay sees: page size, pfns, ops and contexts."""
        if self._digest is None:
            digest = digest_of(self.page_bytes, len(self), self._parts)
            object.__setattr__(self, "_digest", digest)
        return self._digest  # type: ignore[return-value]  # it was set

    def _parts(self, name: str) -> Iterator[Column]:
        column = getattr(self, name)
        for start in range(0, len(self) if column is not None else 0, PIECE_EVENTS):
            yield column[start : start + PIECE_EVENTS]

    def footprint_bytes(self, params: Params) -> int:
        """Return the bytes of descriptors in the distinct granules that the trace touches."""
        self.check(params)
        return Geometry.of(params).footprint_bytes(self.pfns)

    @property
    def has_ops(self) -> bool:
        """Whether there are GETs or PUTs."""
        return self.ops is not None

    @property
    def has_atomic(self) -> bool:
        """Whether there are callers that can't sleep."""
        return self.atomic is not None

    @property
    def extent(self) -> Extent | None:
        """Least and largest pfn, None if there are no events; one pass, the first time."""
        if self._extent is None and len(self):
            object.__setattr__(self, "_extent", extent_of(self.pfns))
        return self._extent

    def pieces(self, params: Params, n_events: int = 1 << 16) -> Iterator[Events]:
        """Yield the events in order, as views of at most `n_events`.

        Raises
        ------
        TraceError
            Before the first piece, if `check` refuses the region.
        """
        self.check(params)
        for start in range(0, len(self), n_events):
            piece = slice(start, start + n_events)
            ops = self.ops[piece] if self.ops is not None else None
            atomic = self.atomic[piece] if self.atomic is not None else None
            yield Events(start, self.pfns[piece], ops, atomic)

    def sample(self, n_slices: int, n_events: int) -> list[Column]:
        """Return the pfns of at most `n_slices` slices of `n_events`, evenly spread."""
        starts = spread_starts(len(self), n_slices, n_events)
        return [self.pfns[start : start + n_events] for start in starts]

    def check(self, params: Params) -> None:
        """Refuse a region whose page size or pfns are not the trace's."""
        check_page_bytes(self, params)
        first, last = params.first_pfn, params.first_pfn + params.n_pages - 1
        if self.extent is not None and not first <= self.extent[0] <= self.extent[1] <= last:
            Geometry.of(params).check(self.pfns)  # names the event

    def placed(
        self,
        region_bytes: int | str,
        how: How = "packed",
        *,
        tenants: int = 1,
        first_pfn: int = 0,
    ) -> Trace:
        """Return this trace moved into a region, 128 MiB area by 128 MiB area.

        ``packed`` lays the touched areas one after another from the region's start; ``spread``
        keeps their order and spaces them evenly; ``tenants`` gives each of `tenants` an equal
        share of the region and a packed copy of the trace, started one after another.
        In a sweep a placed trace is placed anew for every region.

        Raises
        ------
        ParameterError
            If the region can't hold what the trace touches.
        """
        region = Params(region_bytes=region_bytes, page_bytes=self.page_bytes, first_pfn=first_pfn)
        whole = isinstance(tenants, int) and not isinstance(tenants, bool)
        if not whole or tenants < 1 or (tenants > 1 and how != "tenants"):
            raise ParameterError("tenants", tenants, "must be 1, or more with how='tenants'")
        origin = self.placement.origin if self.placement else self
        share = region.region_bytes // tenants // self.page_bytes
        pages = place(
            origin.pfns,
            region_bytes=share * self.page_bytes,
            page_bytes=self.page_bytes,
            how="packed" if how == "tenants" else how,
        )
        tenant, event = staggered(len(origin), tenants)
        columns: dict[str, Any] = {n: column[event] for n, column in origin.columns().items()}
        columns["pfns"] = pages[event] + tenant * share + first_pfn
        if tenants > 1:  # one after another, the times of a copy would not be those of the merge
            columns["time_ns"] = None
        return replace(origin, **columns, placement=Placement(origin, how, tenants))

    def trace(self, params: Params) -> Trace:
        """Return the events for the region of `params`: itself, or placed anew if it was placed."""
        if self.placement is None:
            return self
        placement = self.placement
        return placement.origin.placed(
            params.region_bytes,
            placement.how,
            tenants=placement.tenants,
            first_pfn=params.first_pfn,
        )


def _a_request(name: str, values: npt.NDArray[Any], n_requests: int) -> npt.NDArray[Any]:
    """Return one value per request; a single value stands for all."""
    if values.ndim == 0:
        return np.broadcast_to(values, n_requests)
    if values.ndim != 1 or len(values) != n_requests:
        requirement = f"must have as many as offset_bytes ({n_requests})"
        raise TraceError(f"{name}: has {len(values)} requests, {requirement}")
    return values
