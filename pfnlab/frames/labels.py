"""The values of a frame's text columns, and the names of properties, that several rooms use."""

#: Properties that a user of descriptors may need, in the order of the columns of `pfnlab.schemes`.
PROPERTIES = (
    "stable_address",
    "state_survives",
    "shared_refcount",
    "atomic_safe",
    "bounded_dram",
)

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
