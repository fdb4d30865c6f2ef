"""Text of blkparse in its default format: ``maj,min cpu seq s pid action rwbs sector + sectors``.

An issue (``D``) and its completion (``C``) make a request with its real completion time. Other
actions, requests without a sector (flushes, discards, commands) and the summary are counted.
"""

from collections.abc import Iterator

import numpy as np

from pfnlab.traces.formats import Format
from pfnlab.traces.formats.issue_pairs import Halves, moves_data, paired, words_are
from pfnlab.traces.formats.patterns import Patterns
from pfnlab.traces.formats.reading import (
    Matched,
    Reading,
    Requests,
    device_words,
    fits,
    matched_lines,
)

_ABOUT = "{device:w} {cpu:d} {seq:d} {time:.9} {pid:d} "
_SUMMARY = ("CPU", "Total (", "Reads ", "Read ", "PC Read", "IO unplugs:", "Allocation wait:",
            "Dispatch wait:", "Throughput (", "Events (", "Skips:", "Input file ",
            "=====")  # fmt: skip
#: What stands for a sector where there is none: nothing, bytes, or the bytes of a command.
_NO_SECTOR = ("[{...}", "{_bytes:d} [{...}", "({...}", "{_bytes:d} ({...}")
_TEMPLATES = [
    _ABOUT + "D {rwbs:w} {sector:d} + {sectors:d} [{...}",
    _ABOUT + "C {rwbs:w} {sector:d} + {sectors:d} [{...}",
    *(f"{_ABOUT}{action} {{rwbs:w}} {rest}" for action in "DC" for rest in _NO_SECTOR),
    _ABOUT + "{action:w} {...}",
    *(text + "{...}" for text in _SUMMARY),
]
_COMPLETION = 1
_OTHER = _TEMPLATES.index(_ABOUT + "{action:w} {...}")
PATTERNS = Patterns.of(_TEMPLATES)


def looks_so(head: bytes) -> bool:
    """Whether the first lines are of blkparse."""
    return b"," in head.split(maxsplit=1)[0] and fits(PATTERNS, head)


def read(reading: Reading) -> Iterator[Requests]:
    """Yield the requests of a file."""
    return paired(reading, _halves(reading))


def _halves(reading: Reading) -> Iterator[Halves]:
    at = PATTERNS.columns
    for matched in matched_lines(reading, PATTERNS):
        kinds, numbers = matched.kinds, matched.numbers
        _count(reading, matched)
        request = kinds <= _COMPLETION
        if not request.any():
            continue
        few = matched._replace(numbers=numbers[request])
        data = words_are(few, at["rwbs"], moves_data)
        yield Halves(
            lines=matched.line_numbers[request],
            device=device_words(reading, few, at["device"]),
            sector=few.numbers[:, at["sector"]],
            n_sectors=np.where(data, few.numbers[:, at["sectors"]], 0),
            time_ns=few.numbers[:, at["time"]],
            completes=kinds[request] == _COMPLETION,
        )


def _count(reading: Reading, matched: Matched) -> None:
    """Count lines that are no halves of requests; an issue or completion must be one."""
    kinds = matched.kinds
    other = kinds == _OTHER
    few = Matched(kinds[other], matched.numbers[other], matched.line_numbers[other], matched.block)
    wrong = words_are(few, PATTERNS.columns["action"], lambda action: action in ("D", "C"))
    for line in few.line_numbers[wrong]:
        reading.bad(f"line {line}", "must have sector + sectors [process] after its action")
    reading.counts["other actions"] += int((~wrong).sum())
    without = (kinds > _COMPLETION) & (kinds < _OTHER)
    reading.counts["issues and completions without data"] += int(without.sum())
    reading.counts["lines of the summary"] += int((kinds > _OTHER).sum())


FORMAT = Format(
    name="blkparse",
    summary="blkparse text: issues and completions of block requests",
    looks_so=looks_so,
    read=read,
)
