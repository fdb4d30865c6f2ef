"""The victim orders in plain Python: lists, dicts and sets, one chunk at a time.

Imports nothing of pfnlab. An order has ``hit(chunk)``, ``admit(chunk)`` and ``victims()``, which
takes one or more chunks out.
"""

from collections.abc import Sequence
from typing import Protocol


class Order(Protocol):
    def hit(self, chunk: int) -> None: ...
    def miss(self, chunk: int) -> None: ...
    def victims(self) -> list[int]: ...
    def admit(self, chunk: int) -> None: ...


class Lru:
    def __init__(self) -> None:
        self.queue: list[int] = []

    def hit(self, chunk: int) -> None:
        self.queue.remove(chunk)
        self.queue.append(chunk)

    def miss(self, chunk: int) -> None:
        pass

    def victims(self) -> list[int]:
        return [self.queue.pop(0)]

    def admit(self, chunk: int) -> None:
        self.queue.append(chunk)


class Clock(Lru):
    def __init__(self) -> None:
        super().__init__()
        self.accessed: set[int] = set()

    def hit(self, chunk: int) -> None:
        self.accessed.add(chunk)

    def victims(self) -> list[int]:
        while self.queue[0] in self.accessed:
            self.accessed.remove(self.queue[0])
            self.queue.append(self.queue.pop(0))
        return [self.queue.pop(0)]


class Sieve(Clock):
    hand: int | None = None  # the chunk at the hand; None: the oldest

    def victims(self) -> list[int]:
        at = 0 if self.hand is None else self.queue.index(self.hand)
        while self.queue[at] in self.accessed:
            self.accessed.remove(self.queue[at])
            at = (at + 1) % len(self.queue)
        victim = self.queue.pop(at)
        self.hand = self.queue[at] if at < len(self.queue) else None
        return [victim]


class S3Fifo:
    """`paper` as in the paper's Algorithm 1, else as in its authors' simulator."""

    def __init__(self, limit: int, paper: bool) -> None:
        self.small: list[int] = []
        self.main: list[int] = []
        self.ghosts: list[int] = []
        self.accesses: dict[int, int] = {}
        self.paper, self.warm = paper, False
        self.small_limit = max(1, limit // 10)
        self.main_limit = limit - self.small_limit
        self.n_ghosts = self.main_limit if paper else limit * 9 // 10
        self.was_ghost = False

    def hit(self, chunk: int) -> None:
        self.accesses[chunk] = min(3, self.accesses[chunk] + 1)

    def miss(self, chunk: int) -> None:
        if not self.paper:
            self.recall(chunk)

    def recall(self, chunk: int) -> None:
        self.was_ghost = chunk in self.ghosts
        if self.was_ghost:
            self.ghosts.remove(chunk)

    def from_main(self) -> list[int]:
        while self.main:
            chunk = self.main.pop(0)
            if self.accesses[chunk] == 0:
                return [chunk]
            self.accesses[chunk] -= 1
            self.main.append(chunk)
        return []

    def from_small(self) -> list[int]:
        gone: list[int] = []
        while self.small:
            chunk = self.small.pop(0)
            if self.accesses[chunk] < 2:
                self.ghosts = [*self.ghosts, chunk][max(0, len(self.ghosts) + 1 - self.n_ghosts) :]
                return [*gone, chunk]
            self.accesses[chunk] = 0
            self.main.append(chunk)
            if self.paper and len(self.main) > self.main_limit:
                gone += self.from_main()
        return gone

    def victims(self) -> list[int]:
        self.warm = True
        if self.paper:
            small_first = len(self.small) >= self.small_limit
        else:
            small_first = not len(self.main) > self.main_limit
        if not self.main or (small_first and self.small):
            return self.from_small()
        return self.from_main()

    def admit(self, chunk: int) -> None:
        if self.paper:
            self.recall(chunk)
        overflow = not self.paper and not self.warm and len(self.small) >= self.small_limit
        (self.main if self.was_ghost or overflow else self.small).append(chunk)
        self.accesses[chunk] = 0


class Opt:
    def __init__(self, chunks: Sequence[int]) -> None:
        self.future = list(chunks)
        self.past: list[int] = []
        self.here: set[int] = set()

    def step(self) -> None:
        self.past.append(self.future.pop(0))

    def hit(self, chunk: int) -> None:
        self.step()

    def miss(self, chunk: int) -> None:
        self.step()

    def victims(self) -> list[int]:
        def distance(chunk: int) -> tuple[int, int]:
            if chunk in self.future:
                return (self.future.index(chunk), 0)
            return (len(self.future), self.past[::-1].index(chunk))  # longest idle first

        victim = max(self.here, key=distance)
        self.here.remove(victim)
        return [victim]

    def admit(self, chunk: int) -> None:
        self.here.add(chunk)


def replay(
    chunks: Sequence[int], order: Order, limit: int, batch: int, chunks_per_window: int
) -> list[int]:
    """Counts as `pfnlab.kernels.policies.shared` orders them; without windows their three are 0."""
    here: set[int] = set()
    seen: set[int] = set()
    faults = passes = evicted = resident_sum = peak = 0
    windows: list[set[int]] = [set()]
    for chunk in chunks:
        if chunk in here:
            order.hit(chunk)
        else:
            faults += 1
            order.miss(chunk)
            if len(here) + 1 > limit:
                passes += 1
                gone: list[int] = []
                while here and (len(here) + 1 > limit or len(gone) < batch):
                    victims = order.victims()
                    gone += victims
                    here -= set(victims)
                evicted += len(gone)
            order.admit(chunk)
            here.add(chunk)
            seen.add(chunk)
        peak = max(peak, len(here))
        resident_sum += len(here)
        windows.append({c // chunks_per_window for c in here} if chunks_per_window else set())
    ever = set().union(*windows)
    held = [len(windows[-1]), max(map(len, windows)), len(ever)]
    return [faults, len(seen), passes, evicted, len(here), peak, resident_sum, *held]


def stack_distances(chunks: Sequence[int]) -> list[int | None]:
    """Chunks accessed since this one's last access, itself included; None the first time."""
    stack: list[int] = []
    distances: list[int | None] = []
    for chunk in chunks:
        distances.append(stack.index(chunk) + 1 if chunk in stack else None)
        if chunk in stack:
            stack.remove(chunk)
        stack.insert(0, chunk)
    return distances
