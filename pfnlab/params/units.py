"""Sizes as people write them: ``parse_bytes("64MiB")`` and its inverse ``format_bytes``."""

import re
from fractions import Fraction
from operator import index

from pfnlab.errors import ParameterError

KIB, MIB, GIB, TIB, PIB = (1 << shift for shift in (10, 20, 30, 40, 50))

# Binary units are what the kernel means; decimal ones are there because devices are sold in them.
UNITS = {
    "B": 1,
    "KiB": KIB,
    "MiB": MIB,
    "GiB": GIB,
    "TiB": TIB,
    "PiB": PIB,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "PB": 10**15,
}

_SIZE = re.compile(r"\s*(\d{1,30}(?:\.\d{1,30})?)\s*([A-Za-z]+)\s*")


def parse_bytes(value: object, field: str = "bytes") -> int:
    """Return a size in bytes, given as an int or as a string with a unit.

    Parameters
    ----------
    value
        An int (bytes) or a string such as ``"64MiB"``, ``"1.5 TiB"`` or ``"141GB"`` (decimal).
    field
        The name that an error message gives to the value.

    Raises
    ------
    ParameterError
        If `value` is neither, names no known unit, or is no whole number of bytes.
    """
    if isinstance(value, str):
        return _parse_text(value, field)
    if isinstance(value, bool):
        raise ParameterError(field, value, "must be bytes or a size such as '64MiB'")
    try:
        return index(value)  # type: ignore[arg-type]
    except TypeError:
        requirement = "must be an int in bytes or a string with a unit such as '64MiB'"
        raise ParameterError(field, value, requirement) from None


def _parse_text(text: str, field: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ParameterError(field, text, "must be a number with a unit, such as '64MiB'")
    number, unit = match.groups()
    if unit not in UNITS:
        raise ParameterError(field, text, f"unit must be one of {', '.join(UNITS)}")
    size = Fraction(number) * UNITS[unit]
    if size.denominator != 1:
        raise ParameterError(field, text, "must be a whole number of bytes")
    return int(size)


def format_bytes(size: int) -> str:
    """Write a size with the largest binary unit that divides it, so that parsing gives it back."""
    for unit in ("PiB", "TiB", "GiB", "MiB", "KiB"):
        if size and size % UNITS[unit] == 0:
            return f"{size // UNITS[unit]}{unit}"
    return f"{size}B"


def short_bytes(size: float) -> str:
    """Write a size to three digits for tables and axes; unlike `format_bytes` this rounds."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024:
            return f"{value:.3g} {unit}" if abs(value) < 999.5 else f"{value:,.0f} {unit}"
        value /= 1024
    return f"{value:.3g} PiB"


def short_ns(time: float) -> str:
    """Write a time in nanoseconds to three digits, in the largest unit it reaches."""
    value = float(time)
    for unit in ("ns", "us", "ms"):
        if abs(value) < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.3g} s" if abs(value) < 999.5 else f"{value:,.0f} s"
