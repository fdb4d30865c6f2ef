"""The victim orders of DESIGN 5 as plain lists of chunks, the most recent last; no pfnlab.

The mechanism calls `insert` for a chunk that enters the order, `access` for one in it, `victim`
for the next to go, other than the one being filled (None if there is none), and `remove`.
"""

import hashlib


class Lra:
    """Least recently allocated; the others differ from it in what they override."""

    def __init__(self, seed: int) -> None:
        self.order: list[int] = []
        self.bits: set[int] = set()
        self.seed = seed

    def insert(self, chunk: int) -> None:
        self.order.append(chunk)
        self.bits.discard(chunk)

    def access(self, chunk: int, fault: bool) -> None:
        if fault:
            self.to_newest(chunk)

    def remove(self, chunk: int) -> None:
        self.order.remove(chunk)

    def victim(self, filling: int) -> int | None:
        return next((c for c in self.order if c != filling), None)

    def to_newest(self, chunk: int) -> None:
        self.order.remove(chunk)
        self.order.append(chunk)


class Lru(Lra):
    def access(self, chunk: int, fault: bool) -> None:
        self.to_newest(chunk)


class Clock(Lra):
    def access(self, chunk: int, fault: bool) -> None:
        self.bits.add(chunk)

    def victim(self, filling: int) -> int | None:
        while set(self.order) - {filling}:
            oldest = self.order[0]
            if oldest != filling and oldest not in self.bits:
                return oldest
            if oldest != filling:
                self.bits.remove(oldest)
            self.to_newest(oldest)
        return None


class Sieve(Clock):
    hand: int | None = None  # None: the next look is at the oldest

    def victim(self, filling: int) -> int | None:
        while set(self.order) - {filling}:
            place = 0 if self.hand is None else self.order.index(self.hand)
            looked_at, newer = self.order[place], self.order[place + 1 :]
            self.hand = newer[0] if newer else None
            if looked_at != filling and looked_at not in self.bits:
                return looked_at
            if looked_at != filling:
                self.bits.remove(looked_at)
        return None


class Random(Lra):
    draws = 0

    def access(self, chunk: int, fault: bool) -> None:
        pass

    def remove(self, chunk: int) -> None:
        place, last = self.order.index(chunk), self.order.pop()
        if last != chunk:
            self.order[place] = last

    def victim(self, filling: int) -> int | None:
        while set(self.order) - {filling}:
            drawn = self.order[word(self.seed, self.draws) * len(self.order) // 2**32]
            self.draws += 1
            if drawn != filling:
                return drawn
        return None


def word(seed: int, draw: int) -> int:
    """32 random bits: the finaliser of MurmurHash3 over both halves of the counter and the key."""
    key = int.from_bytes(hashlib.sha256(f"random:{seed}".encode()).digest()[:7], "little")
    high, low = divmod(draw, 2**32)
    return mixed(mixed(low ^ (key % 2**32)) ^ high ^ (key // 2**32))


def mixed(x: int) -> int:
    x = (x ^ (x // 2**16)) * 0x85EBCA6B % 2**32
    x = (x ^ (x // 2**13)) * 0xC2B2AE35 % 2**32
    return x ^ (x // 2**16)


ORDERS = {"lra": Lra, "lru": Lru, "clock": Clock, "sieve": Sieve, "random": Random}
