"""Calls over runs of pages to events: each submission's pages, then a completion's.

Preconditions, kept by `pfnlab.traces.workloads.page_calls`: the columns of `Calls` are equally
long and have `depth` calls more than are submitted; those of `Events` have a place for every page
of the halves.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.kernels.compiled import kernel

#: Added to an op to say that its caller can't sleep.
ATOMIC = 4


class Calls(NamedTuple):
    """Columns of `pfnlab.traces.workloads.page_calls.Calls`."""

    first: npt.NDArray[np.int64]
    n_pages: npt.NDArray[np.int64]
    submit: npt.NDArray[np.uint8]
    complete: npt.NDArray[np.uint8]


class Events(NamedTuple):
    """Columns to write."""

    pages: npt.NDArray[np.int64]
    ops: npt.NDArray[np.uint8]
    atomic: npt.NDArray[np.bool_]


@kernel
def expand(events: Events, at: int, first: int, n_pages: int, code: int) -> int:
    """Write the events of one half from place `at` on; return the place after them."""
    for page in range(n_pages):
        events.pages[at + page] = first + page
        events.ops[at + page] = code & (ATOMIC - 1)
        events.atomic[at + page] = code >= ATOMIC
    return at + n_pages


@kernel
def play(calls: Calls, depth: int, events: Events) -> int:
    """Submit each call but the first `depth`, and after each complete the one `depth` before it.

    Returns the number of events.
    """
    at = 0
    for call in range(len(calls.first) - depth):
        new = call + depth
        at = expand(events, at, calls.first[new], calls.n_pages[new], calls.submit[new])
        at = expand(events, at, calls.first[call], calls.n_pages[call], calls.complete[call])
    return at
