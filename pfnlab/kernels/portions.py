"""How many bits are set in each portion of a bitmap: what is resident where, at one moment.

Precondition: ``words[places[i]]`` exists for every place of every portion, and the places of a
portion ascend; ``first`` and ``last`` are the outermost bits of each portion.
"""

from typing import Any

import numpy as np

from pfnlab.kernels.bits import popcount
from pfnlab.kernels.compiled import kernel

ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


@kernel
def count_portions(words: Any, places: Any, starts: Any, first: Any, last: Any, out: Any) -> None:
    """Count into ``out[p]`` the bits of portion `p` from ``first[p]`` to ``last[p]`` inclusive.

    Its words are ``places[starts[p] : starts[p + 1]]``: those that ever hold a bit, so that gaps
    of a large region are not walked.
    """
    for portion in range(len(out)):
        low, high, total = first[portion], last[portion], 0
        for i in range(starts[portion], starts[portion + 1]):
            place = places[i]
            word = words[place]
            if place == low >> 6:
                word &= ALL << np.uint64(low & 63)
            if place == high >> 6:
                word &= ALL >> np.uint64(63 - (high & 63))
            total += popcount(word)
        out[portion] = total
