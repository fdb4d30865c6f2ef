"""`Params`: the vocabulary. Sliders, flags, axes, columns and the papermill cell come from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from pfnlab.errors import ParameterError, near
from pfnlab.params.policies import POLICIES, REGISTERED, WHOLE_CHUNK_POLICIES
from pfnlab.params.units import GIB, MIB, PIB, TIB, format_bytes, integer, parse_bytes

if TYPE_CHECKING:

    class Bytes:
        """A field that is an int when read and takes an int or ``"64MiB"`` when set."""

        def __get__(self, instance: object, owner: Any = None) -> int: ...
        def __set__(self, instance: object, value: int | str) -> None: ...

else:
    Bytes = int

Unit = Literal["bytes", "pages", "chunks", "granules", "pfn", "CPUs", "name", ""]

#: No field takes a number this long.
_MOST_DIGITS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """What is known of one `Params` field, whoever asks: slider, flag, axis or column.

    Attributes
    ----------
    name, default, unit, help
        As they stand in DESIGN: the default in `unit`, and one line of help.
    minimum, maximum
        Inclusive bounds of an integer.
    power_of_two
        Whether nothing but a power of two will do.
    choices
        The allowed names, for a field that is a name.
    registered
        More of them, which may grow while the program runs.
    """

    name: str = ""
    default: int | str
    unit: Unit
    help: str
    minimum: int = 0
    maximum: int = 2**62
    power_of_two: bool = False
    choices: tuple[str, ...] = ()
    registered: Mapping[str, object] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The names allowed now, for a field that is a name."""
        return (*self.choices, *self.registered)

    def parse(self, value: object) -> int | str:
        """Return `value` as this field stores it, or refuse it by name."""
        if self.choices:
            return self._parse_choice(value)
        number = self._parse_number(value)
        if self.power_of_two and (number < 1 or number & (number - 1)):
            raise ParameterError(self.name, value, "must be a power of two")
        if not self.minimum <= number <= self.maximum:
            low, high = self.show(self.minimum), self.show(self.maximum)
            raise ParameterError(self.name, value, f"must be between {low} and {high}")
        return number

    def show(self, value: int | str) -> str:
        """Write a value of this field as a person would type it."""
        return format_bytes(value) if self.unit == "bytes" and value != 0 else str(value)  # type: ignore[arg-type]

    def read(self, text: str) -> int | str:
        """Return what a person typed, as by `show`, as this field stores it, or refuse it."""
        digits = text.replace("_", "")
        is_number = digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS
        return self.parse(int(digits) if is_number and self.unit != "bytes" else text)

    def _parse_choice(self, value: object) -> str:
        if isinstance(value, str) and value in self.names:
            return value
        requirement = f"must be one of {', '.join(self.names)}"
        if (neighbour := near(str(value), self.names)).startswith("did you mean"):
            requirement = f"{requirement}; {neighbour}"
        raise ParameterError(self.name, value, requirement)

    def _parse_number(self, value: object) -> int:
        if self.unit == "bytes":
            return parse_bytes(value, self.name)
        return integer(self.name, value)


def _parameter(default: int | str, unit: Unit, help: str, **limits: Any) -> Any:
    """Declare a dataclass field together with its `Parameter`."""
    facts = Parameter(default=default, unit=unit, help=help, **limits)
    return field(default=default, metadata={"parameter": facts})


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """One configuration of region, mechanism and machine (DESIGN 2); checked when made.

    Sizes are ints in bytes or strings with a unit ("64MiB"); `replace` makes a variant.

    Raises
    ------
    ParameterError
        Naming field, value and requirement.
    """

    region_bytes: Bytes = _parameter(
        TIB, "bytes", "capacity of the device region", minimum=4096, maximum=32 * PIB
    )
    first_pfn: int = _parameter(0, "pfn", "page frame number of the first page", maximum=2**52)
    page_bytes: Bytes = _parameter(
        4096, "bytes", "device page", minimum=4096, maximum=GIB, power_of_two=True
    )
    descriptor_bytes: Bytes = _parameter(
        64, "bytes", "one struct page", minimum=8, maximum=4096, power_of_two=True
    )
    granule_bytes: Bytes = _parameter(
        4096, "bytes", "vmemmap that one fault populates", minimum=4096, maximum=TIB,
        power_of_two=True,
    )  # fmt: skip
    chunk_bytes: Bytes = _parameter(
        2 * MIB, "bytes", "vmemmap that eviction unmaps as a whole", minimum=4096, maximum=TIB,
        power_of_two=True,
    )  # fmt: skip
    threshold_bytes: Bytes = _parameter(
        GIB,
        "bytes",
        "most bytes of descriptors that may be resident",
        minimum=4096,
        maximum=32 * PIB,
    )
    batch_chunks: int = _parameter(
        1, "chunks", "fewest chunks that one reclaim pass unmaps", minimum=1, maximum=2**40
    )
    reserve_granules: int = _parameter(
        0, "granules", "granules set aside for atomic callers", maximum=2**40
    )
    policy: str = _parameter(
        "lra", "name", "victim order: lra is least recently allocated", choices=POLICIES,
        registered=REGISTERED,
    )  # fmt: skip
    n_cpus: int = _parameter(
        64, "CPUs", "online CPUs that a shootdown reaches (costs only)", minimum=1, maximum=65536
    )
    flush_ceiling_pages: int = _parameter(
        33, "pages", "largest ranged TLB flush, in 4 KiB pages", maximum=2**40
    )
    seed: int = _parameter(0, "", "seed of a workload that names none", maximum=2**63 - 1)

    def __post_init__(self) -> None:
        for name, parameter in PARAMETERS.items():
            object.__setattr__(self, name, parameter.parse(getattr(self, name)))
        self._check_together()

    def _check_together(self) -> None:
        """Refuse combinations of fields that are each fine alone."""
        if self.region_bytes % self.page_bytes:
            page = format_bytes(self.page_bytes)
            raise ParameterError("region_bytes", self.region_bytes, f"must be a multiple of {page}")
        if self.descriptor_bytes > self.granule_bytes:
            raise ParameterError(
                "descriptor_bytes", self.descriptor_bytes, "must not exceed granule_bytes"
            )
        self._check_not_above("granule_bytes", "chunk_bytes")
        self._check_not_above("chunk_bytes", "threshold_bytes")
        if self.policy in WHOLE_CHUNK_POLICIES:
            self._check_whole_chunks()

    def _check_whole_chunks(self) -> None:
        """Refuse what the kernels of the policy do not know."""
        if self.granule_bytes != self.chunk_bytes:
            sizes = f"{format_bytes(self.granule_bytes)} and {format_bytes(self.chunk_bytes)}"
            requirement = f"must have granule_bytes = chunk_bytes, not {sizes}"
            raise ParameterError("policy", self.policy, requirement)
        if self.batch_chunks != 1:
            requirement = f"must have batch_chunks = 1, not {self.batch_chunks}"
            raise ParameterError("policy", self.policy, requirement)

    def _check_not_above(self, small: str, large: str) -> None:
        value, limit = getattr(self, small), getattr(self, large)
        if value > limit:
            requirement = f"must be at least {small} ({format_bytes(value)})"
            raise ParameterError(large, format_bytes(limit), requirement)

    def replace(self, **changes: Any) -> Params:
        """Return a variant with some fields changed; an unknown name is refused."""
        for name in changes:
            parameter_of(name)
        return replace(self, **changes)

    def as_dict(self) -> dict[str, int | str]:
        """Return all fields by name, in the order of the vocabulary."""
        return {name: getattr(self, name) for name in PARAMETERS}

    @property
    def n_pages(self) -> int:
        """Device pages in the region."""
        return self.region_bytes // self.page_bytes

    @property
    def vmemmap_bytes(self) -> int:
        """Length of the flat virtual array of descriptors."""
        return self.n_pages * self.descriptor_bytes


def _vocabulary() -> Mapping[str, Parameter]:
    named = {f.name: replace(f.metadata["parameter"], name=f.name) for f in fields(Params)}
    return MappingProxyType(named)


#: Every field of `Params` with default, unit, bounds or choices and help, by name.
PARAMETERS: Mapping[str, Parameter] = _vocabulary()


def parameter_of(name: str) -> Parameter:
    """Return what is known of the field `name`; an unknown name is refused with its neighbours."""
    try:
        return PARAMETERS[name]
    except KeyError:
        raise ParameterError(name, "?", f"no such parameter; {near(name, PARAMETERS)}") from None
