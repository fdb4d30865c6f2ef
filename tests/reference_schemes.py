"""What a trace asks of schemes that evict nothing: plain Python, sets and counters, no pfnlab."""

from collections import Counter
from collections.abc import Sequence

LOOKUP, GET, PUT = 0, 1, 2
Event = tuple[int, int, bool]


def follow(events: Sequence[Event], first_pfn: int, page: int, descriptor: int) -> dict[str, float]:
    """Return every count of `pfnlab.engine.descriptor_use.Followed` by name."""
    split: set[int] = set()
    live: list[int] = []  # byte addresses of pages, one a pin
    writes: Counter[int] = Counter()
    count: Counter[str] = Counter()
    live_at: list[int] = []
    split_at: list[int] = []
    areas_at: list[int] = []
    for pfn, op, atomic in events:
        address = (pfn - first_pfn) * page
        area = address // max(2 << 20, page)
        if op == PUT:
            if address in live:
                live.remove(address)
                count["puts"] += 1
                writes[(pfn - first_pfn) * descriptor // max(256, descriptor)] += 1
        else:
            count["atomic_accesses"] += atomic
            if op == GET:
                count["gets"] += 1
                count["shared_gets"] += address in live
                count["atomic_splits"] += atomic and area not in split
                split.add(area)
                live.append(address)
                writes[(pfn - first_pfn) * descriptor // max(256, descriptor)] += 1
            else:
                count["lookups"] += 1
            count["split_accesses"] += area in split
        live_at.append(len(live))
        split_at.append(len(split))
        areas_at.append(len({address // max(2 << 20, page) for address in live}))
    touched = {(pfn - first_pfn) * page for pfn, op, _ in events if op != PUT}
    n = max(len(events), 1)
    return {
        **{name: count[name] for name in COUNTED},
        "peak_live": max(live_at, default=0),
        "mean_live": sum(live_at) / n,
        "areas": len({address // max(2 << 20, page) for address in touched}),
        "large_areas": len({address // max(1 << 30, page) for address in touched}),
        "split": len(split),
        "mean_split": sum(split_at) / n,
        "peak_live_areas": max(areas_at, default=0),
        "hottest": max(writes.values(), default=0),
    }


COUNTED = (
    *("lookups", "gets", "puts", "atomic_accesses", "shared_gets"),
    *("split_accesses", "atomic_splits"),
)
