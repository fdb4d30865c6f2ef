"""How pfnlab compiles: one decorator, so that the compiler's flags live in one place."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from numba import config, njit, types
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

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


#: Called with the name of a loop that is not in the cache, when compiling it starts.
on_compile: Callable[[str], None] | None = None


def kernel(function: Function) -> Function:
    """Compile `function` on first call: no GIL, so that sweeps can use threads; cached on disk.

    Kernels never allocate, so reference counting is left out (``_nrt``): a fault takes 12 ns with
    neither it nor calls (``forceinline``), 25 without the inlining, and 200 with both.
    numpy's error model, because no kernel divides. No ``fastmath``: counters are exact.
    Other kernels inline a second dispatcher of the same function, which Python can't call.
    """
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return function
    entry: Any = njit(**{**FLAGS, **_ENTRY})(function)
    part: Any = njit(**{**FLAGS, **_PART})(function)
    entry.get_call_template, entry.get_overload = part.get_call_template, part.get_overload
    entry.part = part  # numba holds it by a weak reference only
    if _CACHE:
        entry._cache = _SourcesCache(function)
    return cast(Function, entry)


class _PartLibrary(JITCodeLibrary):
    """Code of a kernel for others to inline: it has no wrapper, is not loaded and not stored."""

    codegen = SimpleNamespace(set_env=lambda name, environment: None)  # nothing is linked yet

    def finalize(self) -> None:
        """Optimise as if for machine code."""
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._optimize_final_module()  # type: ignore[no-untyped-call]
        # LLVM prepares loops for the processor in place; callers that inline a loop which was not
        # prepared took up to 12 % longer.
        self._codegen._tm.emit_object(self._final_module)
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Return none."""
        self._ensure_finalized()  # type: ignore[no-untyped-call]
        return 0


class _PartCompiler(Compiler):
    def __init__(self, typing_context: Any, target: Any, library: Any, *rest: Any) -> None:
        library = _PartLibrary(target.codegen(), "part")  # type: ignore[no-untyped-call]
        super().__init__(typing_context, target, library, *rest)  # type: ignore[no-untyped-call]


_ENTRY: dict[str, Any] = {"no_cfunc_wrapper": True, "forceinline": False}
_PART: dict[str, Any] = {
    "no_cfunc_wrapper": True,
    "no_cpython_wrapper": True,
    "pipeline_class": _PartCompiler,
}


class _Storable(CompileResultCacheImpl):
    """Stores all but code made for a user's functions, which no other process can find."""

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
        self._kernel = f"{function.__module__.removeprefix('pfnlab.kernels.')}.{function.__name__}"

    def load_overload(self, signature: Any, target: Any) -> Any:
        """Return what is on disk, or None once the listener was told that compiling starts."""
        found = super().load_overload(signature, target)  # type: ignore[no-untyped-call]
        if found is None and on_compile is not None:
            on_compile(self._kernel)
        return found
