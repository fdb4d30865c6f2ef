"""`Result`: every counter of one replay by its name in DESIGN 5, and what follows from them."""

from dataclasses import dataclass, fields

from pfnlab.params import Params
from pfnlab.params.costs import Cost, Costs, costs_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one replay counted; facts, to which a cost model may be applied afterwards.

    Every counter of DESIGN 5 is an attribute, exact and deterministic. Sizes are bytes;
    ``mean_resident_bytes`` is the mean of the resident bytes after each event.

    Attributes
    ----------
    params
        The configuration that was replayed.
    """

    params: Params
    accesses: int = 0
    hits: int = 0
    faults: int = 0
    cold_faults: int = 0
    atomic_faults: int = 0
    reserve_faults: int = 0
    overcommits: int = 0
    puts: int = 0
    unmatched_puts: int = 0
    shootdowns: int = 0
    futile_passes: int = 0
    pinned_skips: int = 0
    evicted_chunks: int = 0
    evicted_granules: int = 0
    ranged_flush_pages: int = 0
    full_flushes: int = 0
    peak_resident_bytes: int = 0
    resident_bytes: int = 0
    mean_resident_bytes: float = 0.0
    page_table_bytes: int = 0
    page_table_kept_bytes: int = 0

    @property
    def refaults(self) -> int:
        """Faults on granules that were populated before, and evicted since."""
        return self.faults - self.cold_faults

    @property
    def miss_ratio(self) -> float:
        """Faults an access; 0.0 for an empty trace."""
        return self.faults / self.accesses if self.accesses else 0.0

    @property
    def populated_bytes(self) -> int:
        """Bytes of descriptors that all faults together initialised."""
        return self.faults * self.params.granule_bytes

    def counts(self) -> dict[str, int | float]:
        """Return all counters of DESIGN 5 and the ratios derived from them, by name."""
        counted = {name: getattr(self, name) for name in COUNTERS}
        return counted | {name: getattr(self, name) for name in DERIVED}

    def cost(self, costs: str | Costs) -> Cost:
        """Return the time these counts stand for, under a preset's name or a `Costs`."""
        return costs_of(costs).apply(self.counts(), self.params)


#: The counters of DESIGN 5, and those derived from them.
COUNTERS = tuple(f.name for f in fields(Result) if f.name != "params")
DERIVED = ("refaults", "miss_ratio", "populated_bytes")
