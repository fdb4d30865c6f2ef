"""One colour for one thing, in every picture: policies, schemes, sizes, parts of a cost, sources.

Colours of categories lie 2 noticeable differences apart at least, those of sizes four times apart
one (the model of Stone, Szafir and Setlur 2014 for marks of a third of a degree), for normal eyes
and for eyes without green cones (Machado et al. 2009); tests measure both, in every figure.
"""

from collections.abc import Iterable, Mapping
from math import log2
from typing import Any, NamedTuple

from matplotlib import colormaps
from matplotlib.colors import to_hex, to_rgb

from pfnlab.frames.labels import DEMAND, FAMILIES
from pfnlab.params import PARAMETERS

#: Roles: what is drawn in black, what stands back, what is illegal, pinned, or a limit.
INK, GREY, FAINT = "#222222", "#767676", "#e6e6e6"
ILLEGAL, PIN, THRESHOLD = "#9E000C", "#6B2FF7", GREY
#: Behind everything: what another setting is beside this one.
BESIDE = "#C8D4E0"

_BLUE, _VERMILION, _GREEN, _PINK = "#0072B2", "#DB3900", "#0CC06F", "#F077C4"
_ORANGE, _SKY, _VIOLET, _BROWN = "#E69F00", "#42A7FF", "#332288", "#5C433A"

#: Colours of what has no colour of its own, by its place; near to Okabe and Ito's.
COLOURS = (_BLUE, _VERMILION, _GREEN, _PINK, _ORANGE, _SKY, _VIOLET, _BROWN)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
LINES = ("-", "--", ":", "-.")


class Look(NamedTuple):
    """How one thing is drawn: by its marker and line, too, where there are more than colours."""

    colour: str
    marker: str = "o"
    line: str = "-"

    def marks(self) -> dict[str, Any]:
        """Return what `Axes.plot` wants to know to draw marks without a line."""
        return {"color": self.colour, "marker": self.marker, "ls": ""}

    def lines(self) -> dict[str, Any]:
        """Return what `Axes.plot` wants to know to draw marks on a line."""
        return {"color": self.colour, "marker": self.marker, "ls": self.line}


_POLICIES: Mapping[str, Look] = {
    "lra": Look(INK, "o"),
    "lru": Look(_BLUE, "s"),
    "clock": Look(_SKY, "^"),
    "sieve": Look(_VERMILION, "D"),
    "s3fifo": Look(_ORANGE, "v"),
    "random": Look(_GREEN, "P", ":"),
    "opt": Look(GREY, "X", "--"),
}
_OWN_POLICIES = (Look(_PINK, "<", "-."), Look(_VIOLET, ">", "-."), Look(_BROWN, "p", "-."))

#: A family of schemes has a colour, each of it a marker; ``demand_<policy>`` has its policy's.
_FAMILIES: Mapping[str, str] = {
    "array in DRAM": _VERMILION,
    "array on the device": _ORANGE,
    "no descriptors": GREY,
    "temporary": _GREEN,
    "deduplicated vmemmap": _PINK,
    "two levels": _SKY,
    "memdesc": _BROWN,
    DEMAND: _BLUE,
}
_MEMBERS, _DEMAND_MEMBERS = ("o", "s", "^", "v", "D", "P", "X", "<"), ("*", "h")

#: Parts of a time; the sums that `Cost` names are drawn as their largest part.
_COST_PARTS: Mapping[str, str] = {
    "lookup": GREY,
    "trap": _BLUE,
    "zero": _SKY,
    "init": _GREEN,
    "unmap": _ORANGE,
    "freeze": _BROWN,
    "shootdown": _VERMILION,
    "stolen": _PINK,
    "rebuild": _VIOLET,
}
_COST_SUMS = {"fault": "trap", "evict": "unmap", "pass": "shootdown", "refault": "rebuild"}

_SMALLEST, _LARGEST = 12, 30  # log2: a page and 1 GiB
_DARKEST, _LIGHTEST = 0.15, 0.84  # of the map: neither as ink, nor lost on white
_READABLE = 4.5  # the contrast that WCAG 2.1 asks of small text (success criterion 1.4.3)


def policy(name: str) -> Look:
    """Return the look of a victim order; those of the user's own follow the built-in ones."""
    if name in _POLICIES:
        return _POLICIES[name]
    own = list(PARAMETERS["policy"].registered)
    place = own.index(name) if name in own else 0
    return _OWN_POLICIES[place % len(_OWN_POLICIES)]


def scheme(name: str) -> Look:
    """Return the look of a scheme of DESIGN 7: its family's colour, and a marker of its own."""
    for family, members in FAMILIES.items():
        if name in members:
            markers = _DEMAND_MEMBERS if family == DEMAND else _MEMBERS
            return Look(_FAMILIES[family], markers[members.index(name) % len(markers)])
    order = name.removeprefix(f"{DEMAND}_")
    return Look(_FAMILIES[DEMAND] if order != name else INK, policy(order).marker)


def size(size_bytes: float) -> Look:
    """Return the look of a size in bytes: from dark at 4 KiB to light at 1 GiB, by its log2."""
    shift = min(max(round(log2(max(size_bytes, 1))), _SMALLEST), _LARGEST)
    share = (shift - _SMALLEST) / (_LARGEST - _SMALLEST)
    colour = to_hex(colormaps["inferno"](_DARKEST + (_LIGHTEST - _DARKEST) * share))
    return Look(colour, MARKERS[(shift - _SMALLEST) // 2 % len(MARKERS)])


def cost_part(name: str) -> Look:
    """Return the look of a part of a time, such as ``trap``, ``stolen`` or ``fault``.

    A column's name will do: ``stolen_ns``.
    """
    short = name.removesuffix("_ns")
    return Look(_COST_PARTS[_COST_SUMS.get(short, short)])


def place(number: int) -> Look:
    """Return the look of the `number`-th of some things that have no other."""
    lap, colour = divmod(number, len(COLOURS))
    return Look(COLOURS[colour], MARKERS[(number + lap) % len(MARKERS)], LINES[lap % len(LINES)])


def sources(names: Iterable[object]) -> dict[str, Look]:
    """Return the look of each source, by its place among the first appearances in `names`."""
    return {str(name): place(number) for number, name in enumerate(dict.fromkeys(names))}


def text(colour: str) -> str:
    """Return `colour`, darkened until small text in it can be read on white."""
    shade = to_rgb(colour)
    while _contrast(shade) < _READABLE:
        shade = (0.95 * shade[0], 0.95 * shade[1], 0.95 * shade[2])
    return to_hex(shade)


def _contrast(shade: tuple[float, float, float]) -> float:
    """Return the contrast against white by WCAG 2.1."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shade]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 1.05 / (luminance + 0.05)
