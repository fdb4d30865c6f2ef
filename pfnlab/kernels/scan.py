"""Lines of text to numbers: a pattern machine run on each line of a block of bytes.

A pattern is a row of operations, compiled from a template by `pfnlab.traces.formats.patterns`. A
line is matched against each pattern in turn; the first that fits fills the line's numbers.

Preconditions: operations are well formed, their columns lie in `Lines.numbers`.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pfnlab.kernels.compiled import kernel

Bytes = npt.NDArray[np.uint8]
Int64s = npt.NDArray[np.int64]

# Operations: (code, column, argument, argument). A literal is (offset, length) in `literals`.
(
    LITERAL,  # these bytes
    BLANKS,  # spaces and tabs, none or more
    DECIMAL,  # digits; a sign too if the argument is 1
    HEX,  # hexadecimal digits, after 0x or not
    SCALED,  # digits with a fraction or not, times ten to the argument
    WORD,  # bytes up to the first argument, a blank (unless the second is 1) or the end
    SKIP,  # all up to these bytes and past them
    QUOTED,  # a string in double quotes, with escapes, and "..." where it was cut
    REST,  # whatever is left
    END,  # nothing is left
    ARGUMENT,  # up to the comma (if the argument is 1) or bracket that ends an argument of a call
) = range(11)

# What became of a line, beside the number of its pattern.
BLANK, BAD = -1, -2
_MOST = 0x7FFFFFFFFFFFFFFF
#: A SKIP that stopped too early goes on for so many bytes: a task's name has 15.
_REACH = 16
_TAB, _LINE, _RETURN, _SPACE, _QUOTE, _HASH, _PLUS, _MINUS, _POINT = (
    9,
    10,
    13,
    32,
    34,
    35,
    43,
    45,
    46,
)


class Program(NamedTuple):
    """Patterns, compiled."""

    operations: Int64s  # (n, 4)
    starts: Int64s  # first operation of each pattern, and the end of the last
    literals: Bytes
    comment: int  # byte that makes a line a comment if it comes first; -1: none


class Lines(NamedTuple):
    """What lines held, one place a line."""

    kinds: Int64s  # pattern, or BLANK or BAD
    begins: Int64s  # offset of its first byte in the block
    numbers: Int64s  # (lines, columns)
    failed: Int64s  # of a bad line: the operation it got to, in the pattern it got farthest in
    failed_at: Int64s  # and the byte in the block


@kernel
def scan(block: Bytes, start: int, stop: int, program: Program, lines: Lines, found: Int64s) -> int:
    """Match the whole lines in ``block[start:stop]`` until places run out; the end of the last.

    ``found[0]`` becomes the number of lines.
    """
    n_lines, begin = 0, start
    most = len(lines.kinds)
    for at in range(start, stop):
        if block[at] != _LINE:
            continue
        end = at
        while end > begin and block[end - 1] == _RETURN:
            end -= 1
        lines.begins[n_lines] = begin
        match(block, begin, end, program, lines, n_lines)
        n_lines += 1
        begin = at + 1
        if n_lines == most:
            break
    found[0] = n_lines
    return begin


@kernel
def match(block: Bytes, begin: int, end: int, program: Program, lines: Lines, line: int) -> None:
    """Match one line against every pattern, until one fits."""
    first = begin
    while first < end and (block[first] == _SPACE or block[first] == _TAB):
        first += 1
    if first == end or block[first] == program.comment:
        lines.kinds[line] = BLANK
        return
    lines.kinds[line] = BAD
    lines.failed_at[line] = -1
    numbers = lines.numbers[line]
    for pattern in range(len(program.starts) - 1):
        at = first
        operation, last = program.starts[pattern], program.starts[pattern + 1]
        skip, again, most = -1, first, first  # the last SKIP, where it goes on, and up to where
        while operation < last:
            after = step(block, at, end, program, operation, numbers)
            if after >= 0:
                if program.operations[operation, 0] == SKIP:
                    skip, again, most = operation, after, min(end, after + _REACH)
                at = after
                operation += 1
                continue
            if at > lines.failed_at[line]:
                lines.failed_at[line] = at
                lines.failed[line] = operation
            if skip < 0:
                break
            again = step(block, again, most, program, skip, numbers)
            if again < 0:
                break
            operation, at = skip + 1, again
        if operation == last:
            lines.kinds[line] = pattern
            return


@kernel
def step(block: Bytes, at: int, end: int, program: Program, operation: int, numbers: Int64s) -> int:
    """Do one operation at a byte; where it ends, or -1 if it does not fit."""
    code, column = program.operations[operation, 0], program.operations[operation, 1]
    one, two = program.operations[operation, 2], program.operations[operation, 3]
    if code == LITERAL:
        return literal(block, at, end, program.literals, one, two)
    if code == BLANKS:
        while at < end and (block[at] == _SPACE or block[at] == _TAB):
            at += 1
        return at
    if code == DECIMAL:
        return decimal(block, at, end, one == 1, numbers, column)
    if code == SCALED:
        return scaled(block, at, end, one, numbers, column)
    if code == HEX:
        return hexadecimal(block, at, end, numbers, column)
    if code == WORD:
        return word(block, at, end, one, two == 1, numbers, column)
    if code == SKIP:
        while at < end:
            after = literal(block, at, end, program.literals, one, two)
            if after >= 0:
                return after
            at += 1
        return -1
    if code == QUOTED:
        return quoted(block, at, end)
    if code == ARGUMENT:
        return argument(block, at, end, one == 1)
    if code == REST:
        return end
    return end if at == end else -1


@kernel
def literal(block: Bytes, at: int, end: int, literals: Bytes, offset: int, length: int) -> int:
    """Match these bytes."""
    if at + length > end:
        return -1
    for i in range(length):
        if block[at + i] != literals[offset + i]:
            return -1
    return at + length


@kernel
def decimal(block: Bytes, at: int, end: int, signed: bool, numbers: Int64s, column: int) -> int:
    """Match a decimal number that fits int64."""
    negative = at < end and signed and block[at] == _MINUS
    if negative or (at < end and signed and block[at] == _PLUS):
        at += 1
    value: Any = 0
    first = at
    while at < end:
        digit = np.int64(block[at]) - 48
        if digit < 0 or digit > 9:
            break
        if value > (_MOST - digit) // 10:
            return -1
        value = value * 10 + digit
        at += 1
    numbers[column] = -value if negative else value
    return at if at > first else -1


@kernel
def scaled(block: Bytes, at: int, end: int, places: int, numbers: Int64s, column: int) -> int:
    """Match a decimal fraction, as so many of its decimal places; further ones are cut off."""
    at = decimal(block, at, end, False, numbers, column)
    if at < 0:
        return -1
    value: Any = numbers[column]
    left = places
    if at + 1 < end and block[at] == _POINT:
        at += 1
        while at < end and 48 <= block[at] <= 57:
            if left > 0:
                digit = np.int64(block[at]) - 48
                if value > (_MOST - digit) // 10:
                    return -1
                value = value * 10 + digit
                left -= 1
            at += 1
    for _ in range(left):
        if value > _MOST // 10:
            return -1
        value *= 10
    numbers[column] = value
    return at


@kernel
def hexadecimal(block: Bytes, at: int, end: int, numbers: Int64s, column: int) -> int:
    """Match a hexadecimal number below 2**63."""
    if at + 2 < end and block[at] == 48 and (block[at + 1] | 32) == 120:
        at += 2
    value: Any = 0
    first = at
    while at < end:
        digit = np.int64(block[at]) - 48
        if digit > 9:
            digit = (np.int64(block[at]) | 32) - 87
            if digit < 10:
                break
        if digit < 0 or digit > 15:
            break
        if value > _MOST >> 4:
            return -1
        value = (value << 4) + digit
        at += 1
    numbers[column] = value
    return at if at > first else -1


@kernel
def word(
    block: Bytes, at: int, end: int, stop: int, blanks: bool, numbers: Int64s, column: int
) -> int:
    """Match a word: its hash into its column, and first byte and length into the next two."""
    first = at
    value: Any = 0xCBF29CE484
    while at < end and block[at] != stop:
        if not blanks and (block[at] == _SPACE or block[at] == _TAB):
            break
        value = ((value ^ np.int64(block[at])) * 4194301) & 0xFFFFFFFFFF  # below 2**62
        at += 1
    numbers[column], numbers[column + 1], numbers[column + 2] = value, first, at - first
    return at if at > first else -1


@kernel
def argument(block: Bytes, at: int, end: int, comma: bool) -> int:
    """Match an argument of a call, or all that are left: brackets are paired, strings opaque."""
    depth = 0
    while at < end:
        byte = block[at]
        if byte == _QUOTE:
            after = quoted(block, at, end)
            if after < 0:
                return -1
            at = after
            continue
        if byte == 40 or byte == 91 or byte == 123:  # ( [ {
            depth += 1
        elif byte == 41 or byte == 93 or byte == 125:  # ) ] }
            if depth == 0:
                return at
            depth -= 1
        elif byte == 44 and depth == 0 and comma:
            return at
        at += 1
    return -1


@kernel
def quoted(block: Bytes, at: int, end: int) -> int:
    """Match a quoted string, and the three points that follow one that was cut."""
    if at >= end or block[at] != _QUOTE:
        return -1
    at += 1
    while at < end and block[at] != _QUOTE:
        at += 2 if block[at] == 92 else 1
    at += 1
    while at < end and block[at] == _POINT:
        at += 1
    return at if at <= end else -1
