"""The values of a frame's text columns, and the names of properties, that several rooms use."""

#: Properties that a user of descriptors may need, in the order of the columns of `pfnlab.schemes`.
PROPERTIES = (
    "stable_address",
    "state_survives",
    "shared_refcount",
    "atomic_safe",
    "bounded_dram",
)

#: Column ``scheme``: the families of schemes, a colour each, and the members of each in the order
#: of their markers. ``demand_<policy>`` is a member of `DEMAND` and has the policy's marker.
DEMAND = "demand"
FAMILIES: dict[str, tuple[str, ...]] = {
    "array in DRAM": ("static_dram",),
    "array on the device": ("static_device", "interleaved", "device_lazy"),
    "no descriptors": ("pfn_only",),
    "temporary": ("temporary",),
    "deduplicated vmemmap": ("hvo_2m", "hvo_1g", "compound_devmap_2m", "compound_devmap_1g"),
    "two levels": ("two_level",),
    "memdesc": ("memdesc",),
    DEMAND: ("demand_keep", "demand_shared"),
}

#: Column ``remedy``: what is done for callers that can't sleep.
UNPINNED, NONE, PINNED, PREFAULTED, HELD, RESERVE, SMALLEST = (
    "pins taken away",
    "none",
    "pin for the I/O",
    "prefault",
    "prefault and pin",
    "reserve",
    "smallest reserve",
)

#: Column ``pins``: which pins are replayed.
RECORDED, NO_PINS, IDLE, LIFE = "as recorded", "none", "until idle", "for life"

#: Column ``unmapping``: one pass and its flush; the quarantine filled when the threshold is
#: reached, or filled ahead of it.
PASS, LAZY, AHEAD = "pass", "lazy purge", "lazy purge ahead"
