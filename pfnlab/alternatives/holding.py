"""What holding the descriptors one way takes: bytes as facts, times as functions of the costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pfnlab.alternatives.scheme import Scheme
from pfnlab.engine.descriptor_use import LINE_BYTES
from pfnlab.frames.labels import PROPERTIES
from pfnlab.params.costs import Costs

Priced = Callable[[Costs], float]

#: Times that all of a device can be written: about 360 PB for a 256 GB module (Optane, 2019).
WRITES_OF_A_CELL = 1.4e6
YEAR_S = 365.25 * 24 * 3600


def free(costs: Costs) -> float:
    """Price of nothing."""
    return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One scheme on one trace; only its prices depend on the costs.

    Attributes
    ----------
    dram_bytes, mean_dram_bytes
        Descriptors in DRAM, at the peak and as the mean after each event.
    page_table_bytes, tables_counted
        4096 bytes for each page of PTEs; and whether the two above have them in.
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
        What the figures do not say.
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
    """Years until so many writes, at the rate of those seen."""
    return writes / seen * seconds / YEAR_S if seen else float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """A scheme that can't be judged on this trace, and why."""

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
