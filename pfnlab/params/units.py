"""Sizes as people write them, ``"64MiB"``, and checks of one value, each naming its field."""

import math
import re
from fractions import Fraction
from numbers import Real
from operator import index

from pfnlab.errors import ParameterError

KIB, MIB, GIB, TIB, PIB = (1 << shift for shift in (10, 20, 30, 40, 50))
#: A page of the kernel that maps the vmemmap, and the step of a TLB flush.
OS_PAGE_BYTES = 4 * KIB

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


def whole(name: str, value: object, least: int, most: int | None = None) -> int:
    """Return an int within its inclusive bounds, or refuse it."""
    limits = f"at least {least}" if most is None else f"between {least} and {most}"
    number = integer(name, value, f"must be an int, {limits}")
    if number < least or (most is not None and number > most):
        raise ParameterError(name, value, f"must be {limits}")
    return number


def integer(name: str, value: object, requirement: str = "must be an int") -> int:
    """Return an int, numpy's too; True and False are none."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ParameterError(name, value, requirement) from None


def real(name: str, value: object, least: float, most: float = math.inf) -> float:
    """Return a finite number within its inclusive bounds, or refuse it."""
    limits = f"at least {least:g}" if most == math.inf else f"between {least:g} and {most:g}"
    number = _float(value)
    if not math.isfinite(number) or not least <= number <= most:
        raise ParameterError(name, value, f"must be a number, {limits}")
    return number


def share(name: str, value: object) -> float:
    """Return a number from 0 to 1, or refuse it."""
    return real(name, value, 0, 1)


def positive(name: str, value: object) -> float:
    """Return a finite number above 0, or refuse it."""
    number = _float(value)
    if not 0 < number < math.inf:
        raise ParameterError(name, value, "must be a number above 0")
    return number


def _float(value: object) -> float:
    """Return a real number as a float, and NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def log2(power_of_two: int) -> int:
    """Return the exponent of a power of two."""
    return power_of_two.bit_length() - 1


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
    return integer(field, value, "must be an int in bytes or a string with a unit such as '64MiB'")


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
