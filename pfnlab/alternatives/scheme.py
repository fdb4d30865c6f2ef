"""A scheme: what it is, which properties it keeps by construction, and what it takes.

A scheme is a record in `SCHEMES` and a function in `pfnlab.alternatives.without_faults`; every list
of schemes is made from the records. Pictures colour it by its family in `pfnlab.frames.labels`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from pfnlab.engine.descriptor_use import LINE_BYTES
from pfnlab.errors import ParameterError, near
from pfnlab.frames.labels import PROPERTIES
from pfnlab.params import PARAMETERS
from pfnlab.params.costs import Costs

Priced = Callable[[Costs], float]

#: Times that all of a device can be written: about 360 PB for a 256 GB module (Optane, 2019).
WRITES_OF_A_CELL = 1.4e6
YEAR_S = 365.25 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """One way to hold descriptors.

    Attributes
    ----------
    name, about
        As in DESIGN 7; one sentence.
    has
        Those of `PROPERTIES` that follow from its construction. DRAM that pins pushed beyond a
        limit in a replay takes ``bounded_dram`` away from that row.
    needs_pins
        True if only GETs and PUTs tell what it takes.
    needs_trace
        True if the trace decides what it takes, False if the region alone does.
    for_devices
        True if it can hold the descriptors of a device without a record of accesses, which a
        kernel mapping does not keep.
    """

    name: str
    about: str
    has: frozenset[str]
    needs_pins: bool = False
    needs_trace: bool = False
    for_devices: bool = True


_ALL = frozenset(PROPERTIES)
_KEPT = _ALL - {"bounded_dram"}  # descriptors in DRAM that stay
_DEMAND = _ALL - {"state_survives", "atomic_safe"}
_NO_IDENTITY = frozenset({"atomic_safe", "bounded_dram"})

_BUILT_IN = (
    Scheme(name="static_dram", about="one array in DRAM (map=mem)", has=_KEPT),
    Scheme(name="static_device", about="one array on the device (map=dev, altmap)", has=_ALL),
    Scheme(name="interleaved", about="every 65th device page holds descriptors", has=_ALL),
    Scheme(name="pfn_only", about="no descriptors at all (__pfn_t)", has=_NO_IDENTITY),
    Scheme(
        name="temporary", about="an array of descriptors for each I/O, while it lasts",
        has=_NO_IDENTITY, needs_pins=True, needs_trace=True,
    ),
    Scheme(
        name="hvo_2m", about="hugetlb pages of 2 MiB, 1 of 8 vmemmap pages kept", has=_KEPT,
        for_devices=False,
    ),
    Scheme(
        name="hvo_1g", about="hugetlb pages of 1 GiB, 1 of 4096 vmemmap pages kept", has=_KEPT,
        for_devices=False,
    ),
    Scheme(
        name="compound_devmap_2m", about="device-dax in 2 MiB pages, 2 of 8 vmemmap pages kept",
        has=_KEPT,
    ),
    Scheme(
        name="compound_devmap_1g", about="device-dax in 1 GiB pages, 2 of 4096 vmemmap pages kept",
        has=_KEPT,
    ),
    Scheme(
        name="two_level", about="one descriptor for 2 MiB, one a page where the area is split",
        has=_KEPT - {"atomic_safe"}, needs_pins=True, needs_trace=True,
    ),
    Scheme(name="memdesc", about="8 bytes a page, which point to a folio's descriptor", has=_KEPT),
    Scheme(
        name="device_lazy", about="an array on the device, initialised 2 MiB by 2 MiB when touched",
        has=_ALL, needs_trace=True,
    ),
    Scheme(
        name="demand_keep", about="populated by page fault, never evicted",
        has=_KEPT - {"atomic_safe"}, needs_trace=True,
    ),
    Scheme(
        name="demand_shared", about="unpopulated pages map one default page; only GETs populate",
        has=_DEMAND, needs_pins=True, needs_trace=True,
    ),
)  # fmt: skip
#: The records by name; `known_schemes` adds one for every victim order.
SCHEMES = {scheme.name: scheme for scheme in _BUILT_IN}


def known_schemes() -> Mapping[str, Scheme]:
    """Return all schemes by name: those of DESIGN 7, and one for every victim order known now."""
    demand = (
        Scheme(
            name=f"demand_{policy}",
            about=f"populated by page fault, chunks evicted beyond the threshold in {policy} order",
            has=_DEMAND,
            needs_trace=True,
            for_devices=policy == "lra",
        )
        for policy in PARAMETERS["policy"].names
    )
    return SCHEMES | {scheme.name: scheme for scheme in demand}


def chosen_schemes(names: Iterable[str] | None) -> list[Scheme]:
    """Return the schemes of those names, all for None.

    Raises
    ------
    ParameterError
        For an unknown name, with its neighbours.
    """
    known = known_schemes()
    if names is None:
        return list(known.values())
    if isinstance(names, str):
        raise ParameterError("names", names, "must be a list of schemes")
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise ParameterError("scheme", name, f"no such scheme; {near(str(name), known)}")
    return [known[name] for name in names]


def free(costs: Costs) -> float:
    """Return the price of nothing."""
    return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One scheme on one trace; only its prices depend on the costs.

    Attributes
    ----------
    dram_bytes, mean_dram_bytes
        Descriptors in DRAM, at the peak and as the mean after each event.
    page_table_bytes, tables_counted
        4096 bytes for each page of PTEs; True if the two above include them.
    device_bytes, virtual_bytes
        Of the device's capacity, and of kernel address space.
    faults, atomic_faults
        Populates of a granule; atomic accesses that would have to allocate, which is illegal.
    setup_writes, reference_writes, hottest
        Writes of descriptors on the device: when the region comes up, when references are
        taken and dropped, and the latter for the line that sees most of them.
    setup_ns, event_ns, stolen_ns
        Until the region can be used; of one access; and from the other CPUs in all.
    lost
        Properties of the scheme that this replay did not keep.
    note
        What the numbers do not say.
    """

    scheme: Scheme
    dram_bytes: int = 0
    mean_dram_bytes: float = 0.0
    page_table_bytes: int = 0
    tables_counted: bool = False
    device_bytes: int = 0
    virtual_bytes: int = 0
    faults: int = 0
    atomic_faults: int = 0
    setup_writes: int = 0
    reference_writes: int = 0
    hottest: int = 0
    setup_ns: Priced = free
    event_ns: Priced = free
    stolen_ns: Priced = free
    lost: frozenset[str] = field(default_factory=frozenset)
    note: str = ""

    @property
    def all_dram_bytes(self) -> int:
        """Peak of what is in DRAM, page tables included."""
        return self.dram_bytes + (0 if self.tables_counted else self.page_table_bytes)

    def row(self) -> Row:
        """Return the columns of DESIGN 7 that no cost changes."""
        return {
            "scheme": self.scheme.name,
            "dram_bytes": self.dram_bytes,
            "mean_dram_bytes": self.mean_dram_bytes,
            "all_dram_bytes": self.all_dram_bytes,
            "device_bytes": self.device_bytes,
            "virtual_bytes": self.virtual_bytes,
            "page_table_bytes": self.page_table_bytes,
            "faults": self.faults,
            "atomic_faults": self.atomic_faults,
            "device_writes": self.setup_writes + self.reference_writes,
            **{name: name in self.scheme.has - self.lost for name in PROPERTIES},
            "note": self.note,
        }

    def prices(
        self, costs: Costs, region_bytes: int, accesses: int, seconds: float | None
    ) -> dict[str, float]:
        """Return the columns that costs change; without `seconds` one CPU goes as fast as it can.

        Endurance is in years of such use: of the device if its writes are levelled over all of
        it, and of the line of descriptors that is written most if they are not.
        """
        event_ns = self.event_ns(costs)
        lasts = event_ns * accesses / 1e9 if seconds is None else seconds
        levelled = WRITES_OF_A_CELL * region_bytes / LINE_BYTES
        return {
            "setup_ns": self.setup_ns(costs),
            "event_ns": event_ns,
            "stolen_ns": self.stolen_ns(costs),
            "endurance_years": _years(levelled, self.reference_writes, lasts),
            "hot_line_years": _years(WRITES_OF_A_CELL, self.hottest, lasts),
        }


Row = dict[str, object]
#: The columns that costs change.
PRICED = ("setup_ns", "event_ns", "stolen_ns", "endurance_years", "hot_line_years")


def _years(writes: float, seen: int, seconds: float) -> float:
    return writes / seen * seconds / YEAR_S if seen else float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """A scheme that can't be judged on this trace, with the reason."""

    scheme: Scheme
    note: str

    def row(self) -> Row:
        """Return name and reason; all other columns are NA."""
        return {"scheme": self.scheme.name, "note": self.note}

    def prices(
        self, costs: Costs, region_bytes: int, accesses: int, seconds: float | None
    ) -> dict[str, float]:
        """Return nothing."""
        return {}
