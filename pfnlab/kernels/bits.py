"""Words of 64 bits: counting set bits, finding the outermost one, and asking for a cache line.

One machine instruction each, which numba gives no other way to. With the JIT off they are plain
Python. `count_portions` counts the bits of parts of a bitmap: what is resident where.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import config, types
from numba.extending import intrinsic

from pfnlab.kernels.compiled import kernel

ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)

if config.DISABLE_JIT:  # type: ignore[attr-defined]  # set when numba reads its environment

    def popcount(word: Any) -> int:
        """Count the bits that are set."""
        return int(word).bit_count()

    def lowest_bit(word: Any) -> int:
        """Index of the lowest bit that is set, or 64."""
        return (int(word) & -int(word)).bit_length() - 1 if word else 64

    def highest_bit(word: Any) -> int:
        """Index of the highest bit that is set; `word` is not 0."""
        return int(word).bit_length() - 1

    def prefetch(table: Any, index: Any) -> None:
        """Ask for the cache line of ``table[index]``, which must exist."""
        table[index]

else:

    @intrinsic
    def popcount(context: Any, word: Any) -> Any:
        """Count the bits that are set."""

        def emit(target: Any, builder: Any, signature: Any, values: Any) -> Any:
            return builder.ctpop(values[0])

        return types.int64(types.uint64), emit

    @intrinsic
    def lowest_bit(context: Any, word: Any) -> Any:
        """Index of the lowest bit that is set, or 64."""

        def emit(target: Any, builder: Any, signature: Any, values: Any) -> Any:
            return builder.cttz(values[0], ir.Constant(ir.IntType(1), 0))

        return types.int64(types.uint64), emit

    @intrinsic
    def highest_bit(context: Any, word: Any) -> Any:
        """Index of the highest bit that is set; `word` is not 0."""

        def emit(target: Any, builder: Any, signature: Any, values: Any) -> Any:
            zeros = builder.ctlz(values[0], ir.Constant(ir.IntType(1), 1))
            return builder.sub(ir.Constant(ir.IntType(64), 63), zeros)

        return types.int64(types.uint64), emit

    @intrinsic
    def prefetch(context: Any, table: Any, index: Any) -> Any:
        """Ask for the cache line of ``table[index]``, which must exist."""

        def emit(target: Any, builder: Any, signature: Any, values: Any) -> Any:
            array = target.make_array(signature.args[0])(target, builder, values[0])
            address = builder.bitcast(
                builder.gep(array.data, [values[1]]), ir.IntType(8).as_pointer()
            )
            kind = ir.FunctionType(
                ir.VoidType(), [address.type, ir.IntType(32), ir.IntType(32), ir.IntType(32)]
            )
            function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
            flags = [
                ir.Constant(ir.IntType(32), flag) for flag in (1, 3, 1)
            ]  # to write, keep, data
            builder.call(function, [address, *flags])
            return target.get_dummy_value()

        return types.void(table, types.int64), emit


@kernel
def count_portions(words: Any, places: Any, starts: Any, first: Any, last: Any, out: Any) -> None:
    """Count into ``out[p]`` the bits of portion `p` from ``first[p]`` to ``last[p]`` inclusive.

    Its words are ``places[starts[p] : starts[p + 1]]``, ascending: those that ever hold a bit, so
    that gaps of a large region are not walked. All of ``words[places]`` exist.
    """
    for portion in range(len(out)):
        low, high, total = first[portion], last[portion], 0
        for i in range(starts[portion], starts[portion + 1]):
            place = places[i]
            word = words[place]
            if place == low >> 6:
                word &= ALL << np.uint64(low & 63)
            if place == high >> 6:
                word &= ALL >> np.uint64(63 - (high & 63))
            total += popcount(word)
        out[portion] = total
