"""`region`: devices that engineers have, as `Params` and costs; each figure with its source."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from pfnlab.errors import ParameterError, near
from pfnlab.params import Params
from pfnlab.params.cost_presets import PRESETS, Figure
from pfnlab.params.costs import DEFAULT_PRESET, Costs, costs_of
from pfnlab.params.units import KIB, TIB

Device = Literal["pmem", "cxl", "gpu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A device whose pages need descriptors.

    Attributes
    ----------
    name, device, about
        Of the preset; the kind of memory; what it stands for.
    figures
        ``region_bytes``, ``page_bytes``, ``device_latency`` (ns) and ``n_cpus`` (of the host),
        each with its trust tag and source.
    preset
        Cost preset of the host. A fault on the vmemmap is the CPU's, on a GPU's memory too: far
        faults of the GPU are no measure of it.
    """

    name: str
    device: Device
    about: str
    figures: Mapping[str, Figure]
    preset: str = DEFAULT_PRESET

    @property
    def page_bytes(self) -> int:
        """Device page that one descriptor describes."""
        return int(self.figures["page_bytes"].value)

    @property
    def region_bytes(self) -> int:
        """Capacity, rounded down to whole pages."""
        return int(self.figures["region_bytes"].value) // self.page_bytes * self.page_bytes

    @property
    def device_latency(self) -> float:
        """One dependent read of the device by a CPU, in ns."""
        return self.figures["device_latency"].value

    @property
    def n_cpus(self) -> int:
        """CPUs of the host, all of which a shootdown reaches."""
        return int(self.figures["n_cpus"].value)

    def params(self, **changes: Any) -> Params:
        """Return the parameters of this region; `changes` are fields of `Params`."""
        own = Params(region_bytes=self.region_bytes, page_bytes=self.page_bytes, n_cpus=self.n_cpus)
        return own.replace(**changes)

    def costs(self, base: str | Costs | None = None) -> Costs:
        """Return a preset's costs, or `base`'s, with this device's latency."""
        costs = costs_of(self.preset if base is None else base)
        if costs.device_latency == self.device_latency:
            return costs
        return costs.replace(device_latency=self.device_latency)


_ALL_CPUS = "CPUs of such a host, assumed; set n_cpus for yours"
_X86 = Figure(4 * KIB, "V", "PAGE_SIZE on x86-64: one struct page each, DEVICE_PRIVATE too")
# The presets whose device is of the region's kind.
_OPTANE, _CXL, _BUS = DEFAULT_PRESET, "invlpgb", "gpu-uvm"
_PRIZE = "sold capacity, decimal"


def _region(
    name: str,
    device: Device,
    about: str,
    size: Figure,
    device_of: str,
    n_cpus: int,
    page: Figure = _X86,
) -> Region:
    figures = {
        "region_bytes": size,
        "page_bytes": page,
        "device_latency": PRESETS[device_of]["device_latency"],
        "n_cpus": Figure(n_cpus, "A", _ALL_CPUS),
    }
    return Region(name=name, device=device, about=about, figures=MappingProxyType(figures))


_REGIONS = (
    _region(
        "optane-1tib", "pmem", "persistent memory: two modules of 512 GiB",
        Figure(TIB, "C", "binary capacity"), _OPTANE, 64,
    ),
    _region(
        "optane-6tib", "pmem", "persistent memory of a two-socket host: 12 modules of 512 GiB",
        Figure(6 * TIB, "C", "binary capacity"), _OPTANE, 64,
    ),
    _region(
        "cxl-1tib", "cxl", "CXL memory expander", Figure(TIB, "A", "a round size"), _CXL, 64,
    ),
    _region(
        "h200", "gpu", "one GPU of 141 GB", Figure(141e9, "V", _PRIZE), _BUS, 64,
    ),
    _region(
        "8xh200", "gpu", "eight GPUs of 141 GB as one range",
        Figure(8 * 141e9, "C", _PRIZE), _BUS, 112,
    ),
    _region(
        "mi300x", "gpu", "one GPU of 192 GB, a descriptor for every 64 KiB",
        Figure(192e9, "M", _PRIZE), _BUS, 96,
        Figure(64 * KIB, "A", "as a kernel with 64 KiB pages holds it; 4 KiB on x86-64"),
    ),
    _region(
        "64tib", "pmem", "all that the vmemmap window of 4-level page tables describes",
        Figure(64 * TIB, "V", "Documentation/arch/x86/x86_64/mm.rst"), _OPTANE, 256,
    ),
)  # fmt: skip

#: Every preset by name.
REGIONS: Mapping[str, Region] = MappingProxyType({region.name: region for region in _REGIONS})


def region(name: str) -> Region:
    """Return a region preset by name.

    Raises
    ------
    ParameterError
        For an unknown name, with its neighbours.
    """
    if not isinstance(name, str) or name not in REGIONS:
        raise ParameterError("region", name, f"no such region; {near(str(name), REGIONS)}")
    return REGIONS[name]
