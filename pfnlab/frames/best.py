"""The best rows of a frame: the Pareto front of DRAM and time, and the winner of each region."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from pfnlab.frames import require

#: The two costs of a point: peak of descriptors, page tables and reserve; and ns per access.
DRAM, TIME = "dram_bytes", "event_ns"
_NEEDED = ("peak_resident_bytes", "page_table_bytes", "reserve_granules", "granule_bytes")
#: Most DRAM that a winner may take, as a share of the static array's: a judgement.
DRAM_SHARE = 1 / 16
#: Columns that tell one table of schemes from another's.
TABLE = ("region", "source", "evidence", "n_events")
WINNING = (*TABLE, "scheme", "all_dram_bytes", "event_ns", "vmemmap_bytes", "gets")


def with_dram(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a sweep's frame with ``dram_bytes``: peak resident, page tables and reserve.

    Raises
    ------
    FrameError
        If the frame lacks one of these.
    """
    require(frame, _NEEDED)
    reserve = frame["reserve_granules"] * frame["granule_bytes"]
    dram = frame["peak_resident_bytes"] + frame["page_table_bytes"] + reserve
    return frame.assign(**{DRAM: dram})


def legal(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the points at which no atomic access faults."""
    return frame[frame["atomic_faults"] == 0]


def front_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the legal points that no legal point beats, by rising DRAM and falling time.

    Of points that cost the same, the first is kept.
    """
    require(frame, [DRAM, TIME, "atomic_faults"])
    ordered = legal(frame).sort_values([DRAM, TIME], kind="stable")
    best_before = ordered[TIME].cummin().shift(fill_value=np.inf)
    return ordered[ordered[TIME] < best_before].reset_index(drop=True)


def knee_of(front: pd.DataFrame) -> int | None:
    """Return the place on a front that lies farthest below the chord of its ends, log-log.

    Where nothing lies below the chord it is the end with the least DRAM; None for no front.
    """
    if front.empty:
        return None
    x, y = (_logarithm(front[name].to_numpy(dtype=float)) for name in (DRAM, TIME))
    # Twice the area of the triangle with the chord: the distance, but for a factor all share.
    below = (y[0] - y) * (x[-1] - x[0]) + (y[-1] - y[0]) * (x - x[0])
    return int(np.argmax(below))


def _logarithm(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(values, np.finfo(float).tiny)))


def winners(frame: pd.DataFrame, needs: Iterable[str] = ()) -> pd.DataFrame:
    """Return the fastest scheme of each table that keeps `needs` and takes little DRAM.

    Little is `DRAM_SHARE` of the static array. A trace that takes references is not served by
    pfns alone. A table in which nothing qualifies has no row.

    Raises
    ------
    FrameError
        If the frame lacks a column.
    """
    wanted = list(needs)
    require(frame, [*WINNING, *wanted])
    rows = frame.dropna(subset=["event_ns"])
    keeps = rows[wanted].fillna(False).astype(bool).all(axis=1)
    little = rows["all_dram_bytes"] <= DRAM_SHARE * rows["vmemmap_bytes"]
    serves = ~((rows["scheme"] == "pfn_only") & (rows["gets"] > 0))
    good = rows[keeps & little & serves].sort_values("event_ns", kind="stable")
    return good.drop_duplicates(list(TABLE)).sort_index()
