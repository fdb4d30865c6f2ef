"""A user's victim order: plain functions, compiled to be called by `pfnlab.kernels.victims`.

They are checked for their indices (``boundscheck``), whatever the rest of the code is: a mistake
in one must not write into other tables.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import config, njit, types
from numba.core.errors import NumbaError

from pfnlab.kernels.compiled import FLAGS

Hook = Callable[..., Any]


class Own(NamedTuple):
    """The tables of one replay and the four functions that work on them."""

    table: npt.NDArray[np.int64]  # (rows, columns)
    scalars: npt.NDArray[np.int64]
    insert: Hook
    access: Hook
    remove: Hook
    victim: Hook


class HookError(Exception):
    """A function can't be compiled, or returns what it must not."""


_TABLES = (types.int64[:, ::1], types.int64[::1], types.int64)
_EXTRA = {"access": (types.boolean,)}
_RETURNS = {
    "access": ((types.Boolean, types.Integer), "must return True or False on every way out"),
    "victim": ((types.Integer,), "must return an int on every way out"),
}


@lru_cache(maxsize=256)
def compiled_hook(name: str, function: Hook) -> Hook:
    """Compile a user's function for its part, and look at what it returns.

    Raises
    ------
    HookError
        Saying what is wrong with it.
    """
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return function
    hook = njit(boundscheck=True, **FLAGS)(getattr(function, "py_func", function))
    arguments = (*_TABLES, *_EXTRA.get(name, ()))
    try:
        hook.compile(arguments)
    except NumbaError as error:
        raise HookError(f"{name} can't be compiled: {error}") from error
    allowed, requirement = _RETURNS.get(name, ((types.Type,), ""))
    returned = hook.overloads[arguments].signature.return_type
    if not isinstance(returned, allowed):
        raise HookError(f"{name} {requirement}, not {returned}")
    return hook  # type: ignore[no-any-return]
