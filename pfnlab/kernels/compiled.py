"""How pfnlab compiles: one decorator, so that the compiler's flags live in one place."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import config, njit, types
from numba.core.caching import CompileResultCacheImpl, FunctionCache

Function = TypeVar("Function", bound=Callable[..., Any])

# The cache on disk is keyed by source file and signature, not by NUMBA_BOUNDSCHECK: with it, a
# run that asks for bounds checks would be served code that has none.
_CACHE = not config.BOUNDSCHECK  # type: ignore[attr-defined]  # set when numba reads its environment
# A dict, because numba's annotations do not know `_nrt`.
FLAGS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "forceinline": True,
    "_nrt": False,
}


def _sources_digest() -> bytes:
    """Digest of every file of compiled code, names and contents."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        text = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {len(text)}\n".encode())
        digest.update(text)
    return digest.digest()


_SOURCES = _sources_digest()


def kernel(function: Function) -> Function:
    """Compile `function` on first call: no GIL, so that sweeps can use threads; cached on disk.

    Kernels never allocate, so reference counting is left out (``_nrt``): a fault takes 12 ns with
    neither it nor calls (``forceinline``), 25 without the inlining, and 200 with both.
    numpy's error model, because no kernel divides. No ``fastmath``: counters are exact.
    """
    compiled = njit(**FLAGS)(function)
    if _CACHE and not config.DISABLE_JIT:  # type: ignore[attr-defined]
        compiled._cache = _SourcesCache(function)
    return cast(Function, compiled)


class _Storable(CompileResultCacheImpl):
    """What goes on disk: all but code made for a user's functions, which nobody finds again."""

    def check_cachable(self, result: Any) -> bool:
        """Whether compiled code may be stored."""
        if any(_holds_functions(argument) for argument in result.signature.args):
            return False
        return bool(super().check_cachable(result))  # type: ignore[no-untyped-call]


def _holds_functions(argument: Any) -> bool:
    if isinstance(argument, types.BaseTuple):
        return any(map(_holds_functions, argument))  # type: ignore[call-overload]
    return isinstance(argument, types.Callable)


class _SourcesCache(FunctionCache):
    """numba's cache on disk, stale whenever any file of compiled code has changed.

    numba stamps it with the function's own file, and would serve stale code when a callee in
    another file is edited.
    """

    _impl_class = _Storable

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        stamp = self._cache_file._source_stamp
        self._cache_file._source_stamp = (stamp, _SOURCES)
