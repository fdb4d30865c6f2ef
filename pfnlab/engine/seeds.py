"""The key under which the random policy draws its victims, one for each seed."""

from hashlib import sha256


def random_key(seed: int) -> int:
    """Return the 56-bit key of a seed."""
    return int.from_bytes(sha256(f"random:{seed}".encode()).digest()[:7], "little")
