"""`Costs`: turns counts into time after a replay (DESIGN 6); moving a cost never replays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Protocol

import numpy as np

from pfnlab.errors import FileError, ParameterError, near
from pfnlab.params import Params
from pfnlab.params.cost_presets import PRESETS, Figure
from pfnlab.params.units import MIB, real
from pfnlab.params.user_costs import calibrated_names, figures_of

DEFAULT_PRESET = "hvo-8s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Time in ns that the counts of one replay stand for, under the costs `costs`.

    ``fault_ns`` to ``refault_ns`` are totals that the callers themselves spend, ``initiator_ns``
    their sum and ``event_ns`` that sum a legal access. ``stolen_ns`` is what shootdowns take from
    all other CPUs, and is in none of the others.
    """

    costs: str
    lookup_ns: float
    fault_ns: float
    evict_ns: float
    pass_ns: float
    refault_ns: float
    initiator_ns: float
    stolen_ns: float
    event_ns: float

    def as_dict(self) -> dict[str, str | float]:
        """Return all fields by name."""
        return asdict(self)


class Sizes(Protocol):
    """What times depend on beside counts: a `Params`, or columns with the names of its fields."""

    @property
    def granule_bytes(self) -> Any:
        """Vmemmap that one fault populates."""

    @property
    def descriptor_bytes(self) -> Any:
        """One struct page."""

    @property
    def n_cpus(self) -> Any:
        """Online CPUs that a shootdown reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What one operation takes, in ns (`preset_cpus`: CPUs); each finite and not negative.

    The fields are those of the formulas in DESIGN 6. A named preset has a source for each:
    ``Costs.preset("hvo-8s")``; ``replace(costs, trap=900.0)`` changes one.
    """

    name: str = "custom"
    trap: float
    zero_per_4k: float
    init_per_descriptor: float
    shootdown: float
    shootdown_per_cpu: float
    preset_cpus: float
    unmap_per_4k: float
    freeze_per_descriptor: float
    ipi: float
    invlpg: float
    full_flush_refill: float
    dram_latency: float
    device_latency: float
    dtlb_miss: float
    rebuild: float

    def __post_init__(self) -> None:
        for name in FIGURES:
            real(name, getattr(self, name), 0)

    @classmethod
    def preset(cls, name: str) -> Costs:
        """Return a preset by name, built in or calibrated on this machine.

        Raises
        ------
        ParameterError
            For an unknown name, with its neighbours.
        FileError
            For a calibrated preset whose file is damaged.
        """
        figures = figures_of(name)
        if figures is None:
            known = [*PRESETS, *calibrated_names()]
            raise ParameterError("costs", name, f"no such preset; {near(name, known)}")
        if {*figures} != {*FIGURES}:
            wrong = ", ".join(sorted({*figures} ^ {*FIGURES}))
            raise FileError(f"preset {name!r}: must have every cost and no other: {wrong}")
        return cls(name=name, **{field: figure.value for field, figure in figures.items()})

    def replace(self, **changes: Any) -> Costs:
        """Return a variant, marked as changed in its name; an unknown field is refused."""
        for field, value in changes.items():
            if field not in FIGURES and field != "name":
                raise ParameterError(field, value, f"no such cost; {near(field, FIGURES)}")
        name = self.name if self.name.endswith("*") else f"{self.name}*"
        return replace(self, **({"name": name} | changes))

    def figures(self) -> dict[str, Figure]:
        """Return value, trust and source of every cost; what is not the preset's is assumed."""
        preset = figures_of(self.name.rstrip("*")) or {}
        return {name: self._figure(name, preset) for name in FIGURES}

    def _figure(self, name: str, preset: Mapping[str, Figure]) -> Figure:
        value = getattr(self, name)
        known = preset.get(name)
        return known if known and known.value == value else Figure(value, "A", "set by the user")

    def apply(self, counts: Mapping[str, int | float], params: Params) -> Cost:
        """Return the time that the counts of a replay stand for (DESIGN 6).

        `counts` are the counters of DESIGN 5 by name, as ``Result.counts()`` or a frame's row.
        """
        times = {name: float(value) for name, value in self.times(counts, params).items()}
        return Cost(costs=self.name, **times)

    def times(self, counts: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
        """Return the times of `Cost` by name: numbers, or arrays of a row each.

        Parameters
        ----------
        counts
            The counters of DESIGN 5 by name, each a number or an array.
        sizes
            A `Params`, or what has its fields as arrays.
        """
        # What is illegal takes no time, and must not make the rest look fast.
        legal = counts["accesses"] - counts["atomic_faults"]
        lookup = self.lookup_ns(sizes) * legal
        fault = self.populate_ns(sizes) * counts["faults"]
        evict = self.unmap_ns(sizes) * counts["evicted_granules"]
        passes = self.pass_ns(sizes) * counts["shootdowns"]
        refault = self.rebuild * counts["refaults"]
        initiator = lookup + fault + evict + passes + refault
        return {
            "lookup_ns": lookup,
            "fault_ns": fault,
            "evict_ns": evict,
            "pass_ns": passes,
            "refault_ns": refault,
            "initiator_ns": initiator,
            "stolen_ns": self._stolen_ns(counts, sizes),
            "event_ns": initiator / np.maximum(legal, 1),  # 0 ns where nothing is
        }

    def parts(self, counts: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
        """Return where the time goes, in ns, by what takes it.

        All but ``stolen`` are the callers' own and add up to ``initiator_ns`` of `times`;
        ``stolen`` is what shootdowns take from all other CPUs. Arguments are those of `times`.
        """
        times = self.times(counts, sizes)
        descriptors = sizes.granule_bytes / sizes.descriptor_bytes
        faults = counts["faults"]
        return {
            "lookup": times["lookup_ns"],
            "fault": self.trap * faults,
            "zero": self.zero_per_4k * sizes.granule_bytes / 4096 * faults,
            "init": self.init_per_descriptor * descriptors * faults,
            "unmap": times["evict_ns"],
            "shootdown": times["pass_ns"],
            "rebuild": times["refault_ns"],
            "stolen": times["stolen_ns"],
        }

    def populate_ns(self, sizes: Sizes) -> Any:
        """Time of one fault: trap, zeroing and initialising one granule."""
        descriptors = sizes.granule_bytes / sizes.descriptor_bytes
        zero = self.zero_per_4k * sizes.granule_bytes / 4096
        return self.trap + zero + self.init_per_descriptor * descriptors

    def pass_ns(self, sizes: Sizes) -> Any:
        """Return the initiator's time of one shootdown, which grows with the CPUs it reaches."""
        grown = self.shootdown + self.shootdown_per_cpu * (sizes.n_cpus - self.preset_cpus)
        return np.maximum(0.0, grown)

    def unmap_ns(self, sizes: Sizes) -> Any:
        """Time to unmap one granule and to see that nobody holds one of its descriptors."""
        descriptors = sizes.granule_bytes / sizes.descriptor_bytes
        return (
            self.unmap_per_4k * sizes.granule_bytes / 4096
            + self.freeze_per_descriptor * descriptors
        )

    def lookup_ns(self, sizes: Sizes) -> Any:
        """Time of one descriptor touch; granules below 2 MiB can't be mapped by huge pages."""
        small = np.asarray(sizes.granule_bytes) < 2 * MIB
        return self.dram_latency + self.dtlb_miss * small

    def _stolen_ns(self, counts: Mapping[str, Any], sizes: Sizes) -> Any:
        a_cpu = (
            self.ipi * counts["shootdowns"]
            + self.invlpg * counts["ranged_flush_pages"]
            + self.full_flush_refill * counts["full_flushes"]
        )
        return (sizes.n_cpus - 1) * a_cpu


#: Names of the costs, in the order of `Costs`.
FIGURES = tuple(f.name for f in fields(Costs) if f.name != "name")


def costs_of(costs: str | Costs) -> Costs:
    """Return a `Costs` as it is, or the preset of that name."""
    if isinstance(costs, Costs):
        return costs
    if not isinstance(costs, str):
        raise ParameterError("costs", costs, "must be a preset's name or a Costs")
    return Costs.preset(costs)
