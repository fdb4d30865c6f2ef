"""Kernels as plain Python: for a machine without a compiler, and to see that both do the same."""

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

from numba import types

from pfnlab.kernels.host.system_calls import foreign


@cache
def interpreted(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Return the Python function that a kernel was compiled from; so are all that it calls."""
    python = getattr(kernel, "py_func", kernel)
    called = python.__globals__.keys() & set(python.__code__.co_names)
    own = {name: _interpreted(python.__globals__[name]) for name in called}
    return FunctionType(
        python.__code__, {**python.__globals__, **own}, python.__name__, python.__defaults__
    )


def _interpreted(value: Any) -> Any:
    if isinstance(value, types.ExternalFunction):
        return foreign(value)
    return interpreted(value) if hasattr(value, "py_func") else value
