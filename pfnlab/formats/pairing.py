"""Halves of requests, issue and completion, to whole ones, as they stream by."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.formats.reading import Int64s

#: A request is given up when so many were issued after it and completed.
_MOST_HELD = 1 << 20


class Halves(NamedTuple):
    """Issues and completions in the order in which they happened."""

    device: Int64s
    first: Int64s
    n: Int64s
    time_ns: Int64s
    completes: npt.NDArray[np.bool_]
    line: Int64s

    def some(self, rows: Any) -> Halves:
        """Keep some."""
        return Halves(*(column[rows] for column in self))

    def before(self, others: Halves) -> Halves:
        """Let others follow."""
        joined: Any = (np.concatenate(pair) for pair in zip(self, others, strict=True))
        return Halves(*joined)


class Pairing:
    """Pairs each issue with the next completion of the same device, place and length.

    Requests come out in the order of their issue; one that is in flight holds up those after it.
    """

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        none = np.zeros(0, np.int64)
        self._held = Halves(none, none, none, none, np.zeros(0, np.bool_), none)
        self._complete_ns = none  # of those that are held; -1: in flight

    def take(self, halves: Halves) -> tuple[Halves, Int64s]:
        """Take in what happens next; the requests that are whole, and when they complete."""
        flying = np.flatnonzero(self._complete_ns < 0)
        every = self._held.some(flying).before(halves)
        opens, ended_at = self._pairs(every, len(flying))
        # The first opens are those that flew before: a request in flight is opened again by none.
        self._complete_ns[flying] = ended_at[: len(flying)]
        new = every.some(opens[len(flying) :])
        self._held = self._held.before(new)
        self._complete_ns = np.concatenate([self._complete_ns, ended_at[len(flying) :]])
        self._give_up(len(self._complete_ns) - _MOST_HELD)
        waits = np.flatnonzero(self._complete_ns < 0)
        return self._release(int(waits[0]) if len(waits) else len(self._complete_ns))

    def rest(self) -> tuple[Halves, Int64s]:
        """Return what is held when nothing comes after it; what is in flight is left out."""
        self._give_up(len(self._complete_ns))
        return self._release(len(self._complete_ns))

    def _release(self, n: int) -> tuple[Halves, Int64s]:
        found = self._held.some(slice(None, n)), self._complete_ns[:n]
        self._held = self._held.some(slice(n, None))
        self._complete_ns = self._complete_ns[n:]
        return found

    def _give_up(self, n: int) -> None:
        """Leave out those of the first `n` that are in flight."""
        lost = (self._complete_ns < 0) & (np.arange(len(self._complete_ns)) < n)
        self._counts["issued, not completed in the text"] += int(lost.sum())
        self._held, self._complete_ns = self._held.some(~lost), self._complete_ns[~lost]

    def _pairs(self, every: Halves, n_flying: int) -> tuple[Int64s, Int64s]:
        """Return which halves open a request, in their order, and when each ends, or -1."""
        index = np.arange(len(every.line))
        order = np.lexsort((index, every.n, every.first, every.device))
        keys = np.stack([every.device, every.first, every.n])[:, order]
        completes = every.completes[order]
        same = np.zeros(len(order), np.bool_)
        same[1:] = (keys[:, 1:] == keys[:, :-1]).all(axis=0)
        flies = np.zeros(len(order), np.bool_)  # whether such a request is in flight before
        flies[1:] = same[1:] & ~completes[:-1]
        opens, closes = ~completes & ~flies, completes & flies
        self._counts["requests"] += int(opens.sum()) - n_flying
        self._counts["issued again while in flight"] += int((~completes & flies).sum())
        self._counts["completed, not issued in the text"] += int((completes & ~flies).sum())
        last = np.maximum.accumulate(np.where(opens, np.arange(len(order)), -1))
        ended = np.full(len(order), -1, np.int64)
        ended[order[last[closes]]] = every.time_ns[order[closes]]
        opened = np.sort(order[opens])
        return opened, ended[opened]
