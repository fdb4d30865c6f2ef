"""Words of matched lines, looked at once each."""

from collections.abc import Callable

import numpy as np

from pfnlab.traces.formats.reading import Matched
from pfnlab.traces.requests import Flags


def where(matched: Matched, column: int, is_so: Callable[[str], bool]) -> Flags:
    """Return for each line whether its word in `column` is so, bool."""
    numbers = matched.numbers
    _, first, inverse = np.unique(numbers[:, column], return_index=True, return_inverse=True)
    found = np.zeros(len(first), np.bool_)
    for i, line in enumerate(first):
        begin, length = numbers[line, column + 1], numbers[line, column + 2]
        found[i] = is_so(matched.block[begin : begin + length].tobytes().decode("ascii", "replace"))
    return found[inverse.ravel()]
