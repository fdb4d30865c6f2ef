"""Points of a grid that no other beats in both DRAM and time, and the knee among them."""

import numpy as np
import pandas as pd

from pfnlab.frames import require

#: What a point costs: peak of descriptors, page tables and reserve; and ns an access.
DRAM, TIME = "dram_bytes", "event_ns"
_NEEDED = ("peak_resident_bytes", "page_table_bytes", "reserve_granules", "granule_bytes")


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
    """Return the points at which no atomic caller would have had to sleep."""
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
