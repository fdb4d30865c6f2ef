"""What the kernels of the victim orders have in common: layout, counters, 2 MiB windows.

They replay lookups where a granule is a chunk, with nothing pinned (DESIGN 5). Each order has a
file with ``state(n_chunks, limit_chunks, window_shift)``, which makes the tables, ``reset(state)``,
which clears them for another replay, and ``replay(layout, state, pfns, start, stop)``, which
replays one piece of the events and may be called again with the next. `pfns` is uint32 or int64.

Preconditions of every `replay`, checked by the caller: every pfn of the piece lies in the region,
and `state` was made for as many chunks as the region has and for the layout's limit.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.kernels.compiled import kernel

# Places in `counts`.
(
    FAULTS,
    COLD_FAULTS,
    PASSES,  # reclaim passes, each one shootdown
    EVICTED_CHUNKS,
    RESIDENT,  # chunks resident now
    PEAK_RESIDENT,
    RESIDENT_SUM,  # of the resident chunks after each event
    WINDOWS,  # 2 MiB windows that hold a resident chunk now
    PEAK_WINDOWS,
    WINDOWS_EVER,
    N_COUNTS,
) = range(11)

# Tables of more entries than this outgrow L2: lines are asked for AHEAD accesses before their use.
BIG = 1 << 17
AHEAD = 32

# Type of an index in a hot loop: numba adds three instructions for a signed one, which may be
# negative, and with five tables in a loop that is a third of its time.
U = np.uint64

#: What makes a table: `np.empty`, or the same of tables used before.
Empty = Callable[[int, Any], Any]


class Layout(NamedTuple):
    """Sizes that stay as they are during a replay."""

    first_pfn: int
    chunk_shift: int  # log2 of pfns in a chunk
    limit_chunks: int  # threshold
    batch_chunks: int
    window_shift: int  # log2 of chunks in a 2 MiB window; -1 where chunks need no PTEs


class Windows(NamedTuple):
    """What each 2 MiB window holds; a state has None instead where chunks need no PTEs."""

    chunks: npt.NDArray[np.int32]  # resident chunks of each window
    ever: npt.NDArray[np.bool_]  # whether it ever held one


def windows(n_chunks: int, window_shift: int, empty: Empty = np.empty) -> Windows | None:
    """Return windows, to be cleared, for `n_chunks`, or None if there are none to track."""
    if window_shift < 0:
        return None
    n_windows = ((n_chunks - 1) >> window_shift) + 1
    return Windows(empty(n_windows, np.int32), empty(n_windows, np.bool_))


def clear_windows(held: Windows | None) -> None:
    """Put windows back as they were before the first event."""
    if held is not None:
        held.chunks.fill(0)
        held.ever.fill(False)


@kernel
def map_chunk(layout: Layout, held: Windows, counts: npt.NDArray[np.int64], chunk: Any) -> None:
    """Count a chunk that became resident in its window."""
    window = chunk >> layout.window_shift
    held.chunks[U(window)] += 1
    if held.chunks[U(window)] == 1:
        counts[WINDOWS] += 1
        counts[PEAK_WINDOWS] = max(counts[PEAK_WINDOWS], counts[WINDOWS])
        if not held.ever[U(window)]:
            held.ever[U(window)] = True
            counts[WINDOWS_EVER] += 1


@kernel
def unmap_chunk(layout: Layout, held: Windows, counts: npt.NDArray[np.int64], chunk: Any) -> None:
    """Take an evicted chunk out of its window."""
    window = chunk >> layout.window_shift
    held.chunks[U(window)] -= 1
    if held.chunks[U(window)] == 0:
        counts[WINDOWS] -= 1


@kernel
def next_elsewhere(layout: Any, pfns: Any, event: int, stop: int, chunk: Any) -> int:
    """First event from `event` on that leaves `chunk`, or `stop`.

    16 events a step, which become vector instructions: 3 G/s instead of 1.2 on long runs.
    """
    while event + 16 <= stop:
        away: Any = 0
        for place in range(event, event + 16):
            away |= ((np.int64(pfns[U(place)]) - layout.first_pfn) >> layout.chunk_shift) ^ chunk
        if away != 0:
            break
        event += 16
    while event < stop:
        if (np.int64(pfns[U(event)]) - layout.first_pfn) >> layout.chunk_shift != chunk:
            break
        event += 1
    return event


@kernel
def runs_long(layout: Layout, pfns: Any, start: int, stop: int) -> bool:
    """Whether most events of a sample stay in the chunk of the event before."""
    stop = min(stop, start + 4096)
    n_same = 0
    for event in range(start + 1, stop):
        moved = (np.int64(pfns[U(event)]) - layout.first_pfn) ^ (
            np.int64(pfns[U(event - 1)]) - layout.first_pfn
        )
        n_same += int(moved >> layout.chunk_shift == 0)
    return 2 * n_same > stop - start
