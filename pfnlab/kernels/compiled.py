"""How pfnlab compiles: one decorator, so that the compiler's flags live in one place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import config, njit

Function = TypeVar("Function", bound=Callable[..., Any])

# The cache on disk is keyed by source file and signature, not by NUMBA_BOUNDSCHECK: with it, a
# run that asks for bounds checks would be served code that has none.
_CACHE = not config.BOUNDSCHECK  # type: ignore[attr-defined]  # set when numba reads its environment
# A dict, because numba's annotations do not know `_nrt`.
_FLAGS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "forceinline": True,
    "_nrt": False,
}


def kernel(function: Function) -> Function:
    """Compile `function` on first call: no GIL, so that sweeps can use threads; cached on disk.

    Kernels never allocate, so reference counting is left out (``_nrt``): a fault takes 12 ns with
    neither it nor calls (``forceinline``), 25 without the inlining, and 200 with both.
    numpy's error model, because no kernel divides. No ``fastmath``: counters are exact.
    """
    return cast(Function, njit(cache=_CACHE, **_FLAGS)(function))
