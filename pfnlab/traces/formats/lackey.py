"""Memory accesses of a program, of valgrind: ``--tool=lackey --trace-mem=yes``.

`` L`` is a load, `` S`` a store, `` M`` both, each ``address,bytes``: a lookup of each page that it
touches, one an access, whether the page was touched just before or not. Instruction fetches
(``I``) and what valgrind says itself (``==pid==``) are counted.
"""

from collections.abc import Iterator

from pfnlab.traces.formats import Format
from pfnlab.traces.formats.patterns import Patterns
from pfnlab.traces.formats.reading import Accesses, Reading, fits, matched_lines
from pfnlab.traces.requests import pages_of_runs

_DATA, _FETCH, _SAID = ("L", "S", "M"), "I", ("==", "--", "**")
PATTERNS = Patterns.of(
    [
        *(f"{kind} {{address:x}},{{bytes:d}} " for kind in (*_DATA, _FETCH)),
        *(f"{mark}{{pid:d}}{mark}{{...}}" for mark in _SAID),
    ]
)
#: An access of more is none: the widest registers save 2.5 KiB.
_MOST_BYTES, _MOST_ADDRESS = 1 << 16, 1 << 57


def looks_so(head: bytes) -> bool:
    """Whether valgrind's first lines come from lackey, or its accesses themselves."""
    return fits(PATTERNS, head) and (b"Lackey" in head or head.lstrip()[:1] in b"LSMI")


def read(reading: Reading) -> Iterator[Accesses]:
    """Yield a lookup of each page that each load and store touches."""
    at, shift = PATTERNS.columns, reading.page_bytes.bit_length() - 1
    for matched in matched_lines(reading, PATTERNS):
        data = matched.kinds < len(_DATA)
        reading.counts["instruction fetches"] += int((matched.kinds == len(_DATA)).sum())
        reading.counts["lines of valgrind"] += int((matched.kinds > len(_DATA)).sum())
        address, n_bytes = (matched.numbers[:, at[name]] for name in ("address", "bytes"))
        wrong = data & ((n_bytes < 1) | (n_bytes > _MOST_BYTES) | (address >= _MOST_ADDRESS))
        for line in matched.line_numbers[wrong]:
            reading.bad(
                f"line {line}", f"must have 1 to {_MOST_BYTES} bytes, below {_MOST_ADDRESS}"
            )
        good = data & ~wrong
        first = address[good] >> shift
        n_pages = ((address[good] + (n_bytes[good] - 1)) >> shift) - first + 1
        for _, pages in pages_of_runs(first, n_pages):
            yield Accesses(pfns=pages)


FORMAT = Format(
    name="lackey",
    summary="valgrind --tool=lackey --trace-mem=yes: loads and stores",
    looks_so=looks_so,
    read=read,
)
