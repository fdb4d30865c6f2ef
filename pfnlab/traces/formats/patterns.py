"""Templates of lines, as ``{offset:d},{length:d}``, compiled for `pfnlab.kernels.scan`.

A space stands for any blanks, or none. In braces stand a column and what it holds: ``d`` decimal
digits, ``+d`` with a sign or not, ``x`` hexadecimal, ``.9`` a decimal fraction as so many decimal
places (seconds as ns), ``w`` a word that ends at a blank or at the template's next character,
``t`` text that ends at the latter only. Without a column: ``{*}`` is anything up to the template's
next literal, ``{"}`` a quoted string, ``{,}`` an argument of a call, ``{)}`` all its arguments that
are left, ``{...}`` the rest of the line. All else stands for itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pfnlab.kernels import scan

_PART = re.compile(r"\{(?P<name>\w+):(?P<kind>\+?d|x|\.\d+|w|t)\}|(?P<any>\{\*\})|"
                   r'(?P<quoted>\{"\})|(?P<argument>\{[,)]\})|'
                   r"(?P<rest>\{\.\.\.\})|(?P<blanks> +)|(?P<literal>[^{} ]+)")  # fmt: skip
#: What each kind of field wants to find, for errors.
_WANTED = {"d": "digits", "+d": "a number", "x": "hexadecimal digits", "w": "a word", "t": "text"}


@dataclass(frozen=True, slots=True)
class Patterns:
    """Compiled templates, and what the numbers of a line mean.

    Attributes
    ----------
    columns
        Column of each field by its name; a word takes three: hash, first byte and length.
    n_columns
        How many numbers a line has.
    wanted
        What each operation looks for, in words.
    """

    program: scan.Program
    columns: dict[str, int]
    n_columns: int
    wanted: tuple[str, ...]

    @classmethod
    def of(cls, templates: Sequence[str], comment: str = "#") -> Patterns:
        """Compile templates; fields of one name share a column."""
        columns: dict[str, int] = {}
        operations: list[tuple[int, int, int, int]] = []
        wanted: list[str] = []
        starts, literals, width = [0], b"", 0
        for template in templates:
            parts = list(_PART.finditer(template))
            if "".join(part[0] for part in parts) != template:
                raise ValueError(f"template {template!r}: has a brace that is no field")
            found = False  # whether the literal that comes was sought, and so passed, already
            for part, after in zip(parts, [*parts[1:], None], strict=True):
                text = after["literal"] if after is not None else None
                if found:
                    found = False
                    continue
                name, kind = part["name"], part["kind"]
                if name and name not in columns:
                    columns[name] = width
                    width += 3 if kind in ("w", "t") else 1
                column = columns.get(name, 0)
                if part["blanks"]:
                    operations.append((scan.BLANKS, 0, 0, 0))
                elif part["rest"]:
                    operations.append((scan.REST, 0, 0, 0))
                elif part["quoted"]:
                    operations.append((scan.QUOTED, 0, 0, 0))
                elif part["argument"]:
                    operations.append((scan.ARGUMENT, 0, int(part[0] == "{,}"), 0))
                elif part["literal"]:
                    operations.append((scan.LITERAL, 0, len(literals), len(part[0])))
                    literals += part[0].encode()
                elif part["any"]:
                    sought = (text or " ").encode()
                    found = text is not None
                    operations.append((scan.SKIP, 0, len(literals), len(sought)))
                    literals += sought
                else:
                    operations.append(_field(kind, column, text))
                wanted.append(_want(part, text))
            operations.append((scan.END, 0, 0, 0))
            wanted.append("the end of the line")
            starts.append(len(operations))
        program = scan.Program(
            operations=np.array(operations, np.int64),
            starts=np.array(starts, np.int64),
            literals=np.frombuffer(literals + b"\0", np.uint8),
            comment=ord(comment) if comment else -1,
        )
        return cls(program, columns, max(width, 1), tuple(wanted))


def _field(kind: str, column: int, after: str | None) -> tuple[int, int, int, int]:
    if kind in ("w", "t"):
        return scan.WORD, column, ord(after[0]) if after else -1, int(kind == "t")
    if kind == "x":
        return scan.HEX, column, 0, 0
    if kind.startswith("."):
        return scan.SCALED, column, int(kind[1:]), 0
    return scan.DECIMAL, column, int(kind == "+d"), 0


def _want(part: re.Match[str], after: str | None) -> str:
    """Say what an operation looks for, for an error."""
    if part["name"]:
        return f"{part['name']} ({_WANTED.get(part['kind'], 'a decimal number')})"
    if part["any"]:
        return f"{after!r} somewhere" if after else "a blank"
    if part["quoted"]:
        return "a quoted string"
    if part["argument"]:
        return "arguments of a call"
    return repr(part[0]) if part["literal"] else "blanks"
