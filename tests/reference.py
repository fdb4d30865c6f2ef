"""The specification of DESIGN 5 made runnable: plain Python, no pfnlab, no speed, no arrays.

It keeps sets and lists where the engine keeps bitmaps, links and hash tables: the resident
granules are a set, the victim order is a list that is searched (`tests.orders`), pins are counted
by pfn and summed over a chunk when asked.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tests.orders import ORDERS

LOOKUP, GET, PUT = 0, 1, 2
Event = tuple[int, int, bool]


def replay(
    events: Iterable[Event],
    *,
    first_pfn: int,
    descriptor: int,
    granule: int,
    chunk: int,
    threshold: int,
    batch: int = 1,
    reserve: int = 0,
    ceiling: int = 33,
    policy: str = "lra",
    seed: int = 0,
) -> dict[str, Any]:
    """Return every counter of DESIGN 5 by name."""
    count: Counter[str] = Counter()
    resident: set[int] = set()  # byte offsets of granules
    ever: set[int] = set()
    victims = ORDERS[policy](seed)  # of byte offsets of chunks
    live: Counter[int] = Counter()
    failed: Counter[int] = Counter()
    windows_ever: set[int] = set()
    in_reserve, n_events, resident_sum, peak, peak_windows = reserve, 0, 0, 0, 0

    def offset(pfn: int) -> int:
        return (pfn - first_pfn) * descriptor

    def pinned(c: int) -> bool:
        return any(n > 0 and offset(p) // chunk * chunk == c for p, n in live.items())

    def fits() -> bool:
        return (len(resident) + 1) * granule <= threshold

    def reclaim(filling: int) -> None:
        n_evicted = 0
        while not (fits() and n_evicted >= batch):
            c = victims.victim(filling)
            if c is None:
                break
            victims.remove(c)
            if pinned(c):
                count["pinned_skips"] += 1
                continue
            inside = {g for g in resident if g // chunk * chunk == c}
            resident.difference_update(inside)
            count["evicted_chunks"] += 1
            count["evicted_granules"] += len(inside)
            n_evicted += 1
        if n_evicted == 0:
            count["futile_passes"] += 1
            return
        count["shootdowns"] += 1
        if n_evicted == 1 and chunk // 4096 <= ceiling:
            count["ranged_flush_pages"] += chunk // 4096
        else:
            count["full_flushes"] += 1

    for pfn, op, atomic in events:
        n_events += 1
        g, c = offset(pfn) // granule * granule, offset(pfn) // chunk * chunk
        ok = True
        if op == PUT:
            count["puts"] += 1
            if failed[pfn]:
                failed[pfn] -= 1
            elif live[pfn]:
                live[pfn] -= 1
                if not pinned(c) and c not in victims.order:
                    victims.insert(c)
            else:
                count["unmatched_puts"] += 1
        else:
            count["accesses"] += 1
            if g in resident:
                count["hits"] += 1
                if c in victims.order:
                    victims.access(c, False)
            elif atomic and in_reserve == 0:
                count["atomic_faults"] += 1
                ok = False
                failed[pfn] += op == GET
            else:
                count["faults"] += 1
                count["cold_faults"] += g not in ever
                ordered = c in victims.order
                if ordered:
                    victims.access(c, True)
                if atomic:
                    in_reserve -= 1
                    count["reserve_faults"] += 1
                else:
                    in_reserve = reserve
                    if not fits():
                        reclaim(c)
                count["overcommits"] += not fits()
                resident.add(g)
                ever.add(g)
                if not ordered:
                    victims.insert(c)
            if op == GET and ok:
                live[pfn] += 1
        resident_sum += len(resident)
        peak = max(peak, len(resident))
        windows = {r >> 21 for r in resident}
        windows_ever |= windows
        peak_windows = max(peak_windows, len(windows))

    needs_ptes = granule < 1 << 21
    return {
        **{name: count[name] for name in COUNTED},
        "peak_resident_bytes": peak * granule,
        "resident_bytes": len(resident) * granule,
        "mean_resident_bytes": resident_sum * granule / n_events if n_events else 0.0,
        "page_table_bytes": 4096 * peak_windows * needs_ptes,
        "page_table_kept_bytes": 4096 * len(windows_ever) * needs_ptes,
        "refaults": count["faults"] - count["cold_faults"],
        "miss_ratio": count["faults"] / count["accesses"] if count["accesses"] else 0.0,
        "populated_bytes": count["faults"] * granule,
    }


COUNTED = (
    *("accesses", "hits", "faults", "cold_faults", "atomic_faults", "reserve_faults"),
    *("overcommits", "puts", "unmatched_puts", "shootdowns", "futile_passes", "pinned_skips"),
    *("evicted_chunks", "evicted_granules", "ranged_flush_pages", "full_flushes"),
)
