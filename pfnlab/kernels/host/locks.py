"""What pins lock if each locks its chunk: the most chunks at once, and the most runs of them.

Preconditions: codes are those of `pfnlab.kernels.event_codes`; the table has room for twice the
chunks.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from pfnlab.kernels import page_counts
from pfnlab.kernels.compiled import kernel
from pfnlab.kernels.state import FREE, GET, PUT

Int64s = npt.NDArray[np.int64]

# Places in `found`.
LOCKED, PEAK_LOCKED, RUNS, PEAK_RUNS, N_FOUND = range(5)


@kernel
def follow_locks(
    keys: Int64s, pins: Int64s, found: Int64s, pfns: Any, codes: Any, first_pfn: int, shift: int
) -> None:
    """Follow the pins of a piece of a trace; `shift` is log2 of the pfns of a chunk."""
    bits = page_counts.bits_of(keys)
    for event in range(len(pfns)):
        op = codes[event] & 3
        if op != GET and op != PUT:
            continue
        chunk: Any = (np.int64(pfns[event]) - first_pfn) >> shift
        place = page_counts.find(keys, bits, chunk)
        keys[place] = chunk
        before = pins[place]
        pins[place] += 1 if op == GET else -1
        if before == 0 or pins[place] == 0:
            change = 1 if before == 0 else -1
            beside = is_pinned(keys, pins, bits, chunk - 1) + is_pinned(keys, pins, bits, chunk + 1)
            found[LOCKED] += change
            found[RUNS] += change * (1 - beside)
            found[PEAK_LOCKED] = max(found[PEAK_LOCKED], found[LOCKED])
            found[PEAK_RUNS] = max(found[PEAK_RUNS], found[RUNS])


@kernel
def is_pinned(keys: Int64s, pins: Int64s, bits: int, chunk: int) -> int:
    """1 if the chunk has live pins, else 0."""
    if chunk < 0:
        return 0
    place = page_counts.find(keys, bits, chunk)
    return 1 if keys[place] != FREE and pins[place] > 0 else 0
