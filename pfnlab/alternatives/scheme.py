"""The schemes of DESIGN 7: what each is, and which properties it has by construction."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pfnlab.errors import ParameterError, near
from pfnlab.frames.labels import PROPERTIES
from pfnlab.params import PARAMETERS


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
        Whether only GETs and PUTs tell what it takes.
    replayed
        Whether it takes a trace and a threshold, or a region only.
    """

    name: str
    about: str
    has: frozenset[str]
    needs_pins: bool = False
    replayed: bool = False


_ALL = frozenset(PROPERTIES)
_KEPT = _ALL - {"bounded_dram"}  # descriptors in DRAM that stay
_DEMAND = _ALL - {"state_survives", "atomic_safe"}
_NO_IDENTITY = frozenset({"atomic_safe", "bounded_dram"})

_SCHEMES = (
    Scheme(name="static_dram", about="one array in DRAM (map=mem)", has=_KEPT),
    Scheme(name="static_device", about="one array on the device (map=dev, altmap)", has=_ALL),
    Scheme(name="interleaved", about="every 65th device page holds descriptors", has=_ALL),
    Scheme(name="pfn_only", about="no descriptors at all (__pfn_t)", has=_NO_IDENTITY),
    Scheme(
        name="temporary", about="an array of descriptors for each I/O, while it lasts",
        has=_NO_IDENTITY, needs_pins=True, replayed=True,
    ),
    Scheme(name="hvo_2m", about="hugetlb pages of 2 MiB, 1 of 8 vmemmap pages kept", has=_KEPT),
    Scheme(name="hvo_1g", about="hugetlb pages of 1 GiB, 1 of 4096 vmemmap pages kept", has=_KEPT),
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
        has=_KEPT - {"atomic_safe"}, needs_pins=True, replayed=True,
    ),
    Scheme(name="memdesc", about="8 bytes a page, which point to a folio's descriptor", has=_KEPT),
    Scheme(
        name="device_lazy", about="an array on the device, initialised 2 MiB by 2 MiB when touched",
        has=_ALL, replayed=True,
    ),
    Scheme(
        name="demand_keep", about="populated by page fault, never evicted",
        has=_KEPT - {"atomic_safe"}, replayed=True,
    ),
    Scheme(
        name="demand_shared", about="unpopulated pages map one default page; only GETs populate",
        has=_DEMAND, needs_pins=True, replayed=True,
    ),
)  # fmt: skip


def known_schemes() -> Mapping[str, Scheme]:
    """Return all schemes by name: those of DESIGN 7, and one for every victim order known now."""
    demand = (
        Scheme(
            name=f"demand_{policy}",
            about=f"populated by page fault, chunks evicted beyond the threshold in {policy} order",
            has=_DEMAND,
            replayed=True,
        )
        for policy in PARAMETERS["policy"].names
    )
    return {scheme.name: scheme for scheme in (*_SCHEMES, *demand)}


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
