"""A count for each of a few pages: an open-addressing table that holds the counted ones only.

Preconditions: a table has a power of two of places, at most half of them taken, all of its keys
start FREE and all of its counts 0.
"""

import numpy as np
import numpy.typing as npt

from pfnlab.kernels.compiled import kernel
from pfnlab.kernels.state import FREE

Keys = npt.NDArray[np.int64]


@kernel
def place_of(key: int, bits: int) -> int:
    """First place to look for `key` in a table of ``2**bits`` places, bits <= 32.

    Fibonacci hashing of 31 bits, kept below 2**63 so that it is the same with the JIT off.
    """
    folded = (key ^ (key >> 31)) & 0x7FFFFFFF
    return ((folded * 0x9E3779B1) & 0xFFFFFFFF) >> (32 - bits)


@kernel
def bits_of(keys: Keys) -> int:
    """Log2 of a table's places."""
    bits = 0
    while (1 << bits) < len(keys):
        bits += 1
    return bits


@kernel
def find(keys: Keys, bits: int, pfn: int) -> int:
    """Place of `pfn`, or the free place where it belongs."""
    mask = len(keys) - 1
    place = place_of(pfn, bits)
    while keys[place] != pfn and keys[place] != FREE:
        place = (place + 1) & mask
    return place


@kernel
def forget(keys: Keys, numbers: Keys, bits: int, place: int) -> None:
    """Free a place and close the gap, so that the table holds counted pages only."""
    mask = len(keys) - 1
    hole, place = place, (place + 1) & mask
    while keys[place] != FREE:
        home = place_of(keys[place], bits)
        # An entry may fill the hole unless its home lies cyclically between hole and place.
        if ((place - home) & mask) >= ((place - hole) & mask):
            keys[hole] = keys[place]
            numbers[hole] = numbers[place]
            hole = place
        place = (place + 1) & mask
    keys[hole] = FREE
    numbers[hole] = 0


@kernel
def move(keys: Keys, numbers: Keys, new_keys: Keys, new_numbers: Keys) -> None:
    """Copy a table into a larger, empty one."""
    bits = bits_of(new_keys)
    for place in range(len(keys)):
        if keys[place] != FREE:
            target = find(new_keys, bits, keys[place])
            new_keys[target] = keys[place]
            new_numbers[target] = numbers[place]


def table(n_places: int) -> tuple[Keys, Keys]:
    """Return the keys and counts of an empty table."""
    return np.full(n_places, FREE, np.int64), np.zeros(n_places, np.int64)


def larger(keys: Keys, numbers: Keys) -> tuple[Keys, Keys]:
    """Return the same table with four times the places."""
    grown = table(4 * len(keys))
    move(keys, numbers, *grown)
    return grown
