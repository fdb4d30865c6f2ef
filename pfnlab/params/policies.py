"""`Policy`: a victim order of your own, in plain Python functions that run compiled."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType, MappingProxyType, ModuleType
from typing import Any

from pfnlab.errors import ParameterError
from pfnlab.params.units import whole


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltIn:
    """A victim order that comes with pfnlab.

    Attributes
    ----------
    name
        What ``Params(policy=...)`` calls it.
    code
        Of the order in `pfnlab.kernels.state`; None for lra, and where the mechanism has none.
    whole_chunks
        Whether its kernel knows one granule per chunk only, and no pass that unmaps several.
    sees_accesses
        Whether hits change the order, as a kernel's order could only if it saw every access.
    """

    name: str
    code: int | None = None
    whole_chunks: bool = False
    sees_accesses: bool = False


_BUILT_IN = (
    BuiltIn(name="lra"),
    BuiltIn(name="lru", code=1, sees_accesses=True),
    BuiltIn(name="clock", code=2, sees_accesses=True),
    BuiltIn(name="sieve", code=3, sees_accesses=True),
    BuiltIn(name="s3fifo", whole_chunks=True, sees_accesses=True),
    BuiltIn(name="random", code=0),
    BuiltIn(name="opt", whole_chunks=True),
)
#: Every victim order of pfnlab by name; no policy of a user takes one of these names.
BUILT_IN: Mapping[str, BuiltIn] = MappingProxyType({order.name: order for order in _BUILT_IN})
POLICIES = tuple(BUILT_IN)
WHOLE_CHUNK_POLICIES = tuple(order.name for order in _BUILT_IN if order.whole_chunks)
INFORMED = tuple(order.name for order in _BUILT_IN if order.sees_accesses)

#: The functions of a policy, and how many arguments each takes.
PARTS = {"insert": 3, "access": 4, "remove": 3, "victim": 3}
_MAX_COLUMNS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A victim order made of four functions, which pfnlab compiles and calls in the mechanism.

    Each gets the policy's own two arrays, int64 and zero at the start of a replay: `table` with a
    row for every chunk, and `scalars`. A chunk is known by its row, 2 or more; rows 0 and 1 belong
    to no chunk, and may serve as ends of lists. A first in, first out order, which is ``"lra"``:

    .. code-block:: python

        def insert(table, scalars, chunk):
            newest = table[0, 0]  # column 0: the next older chunk; of row 0, the newest
            table[chunk, 0], table[chunk, 1] = newest, 0
            table[newest, 1] = table[0, 0] = chunk

        def access(table, scalars, chunk, faulted):
            return faulted

        def remove(table, scalars, chunk):
            older, newer = table[chunk, 0], table[chunk, 1]
            table[older, 1], table[newer, 0] = newer, older

        def victim(table, scalars, filling):
            oldest = table[0, 1]  # column 1: the next newer chunk; of row 0, the oldest
            return table[oldest, 1] if oldest == filling else oldest

        pfnlab.register(pfnlab.Policy(name="fifo", columns=2, insert=insert, access=access,
                                      remove=remove, victim=victim))
        params = pfnlab.Params(policy="fifo")

    Parameters
    ----------
    name
        What ``Params(policy=...)`` calls it, once it is registered.
    insert
        ``insert(table, scalars, chunk)``: a chunk enters the order.
    access
        ``access(table, scalars, chunk, faulted)``: a chunk in the order was hit, or had another
        granule faulted in. Returns whether it moves: then `remove` and `insert` are called.
    remove
        ``remove(table, scalars, chunk)``: a chunk leaves the order; its row may be left as it is.
    victim
        ``victim(table, scalars, filling)``: the next chunk to go, one in the order other than
        `filling`, or 0 if there is none. It is removed at once: evicted, or set aside if pinned.
    columns, scalars
        Number of columns of `table`, and of elements of `scalars`.

    Raises
    ------
    ParameterError
        Naming the policy or its part, and what it must be.
    """

    name: str
    insert: Callable[..., Any]
    access: Callable[..., Any]
    remove: Callable[..., Any]
    victim: Callable[..., Any]
    columns: int = 1
    scalars: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[A-Za-z]\w*", self.name):
            raise ParameterError("name", self.name, "must be letters, digits and _")
        for part, n_arguments in PARTS.items():
            _check_function(part, getattr(self, part), n_arguments)
        for field in ("columns", "scalars"):
            whole(field, getattr(self, field), 1, _MAX_COLUMNS)


def _check_function(part: str, function: object, n_arguments: int) -> None:
    if not callable(function):
        raise ParameterError(part, function, "must be a function")
    try:
        inspect.signature(function).bind(*range(n_arguments))
    except TypeError:
        requirement = f"must take {n_arguments} arguments"
        raise ParameterError(part, function, requirement) from None


_registered: dict[str, Policy] = {}

#: Policies of the user, by name.
REGISTERED: Mapping[str, Policy] = MappingProxyType(_registered)


def register(policy: Policy) -> None:
    """Make a policy known by its name, to `Params`, `sweep` and sliders of this process.

    One registered before under that name is replaced, so that a notebook's cell can run again.

    Raises
    ------
    ParameterError
        If it is no `Policy`, or the name is that of a policy of pfnlab's.
    """
    if not isinstance(policy, Policy):
        raise ParameterError("policy", policy, "must be a pfnlab.Policy")
    if policy.name in POLICIES:
        raise ParameterError("name", policy.name, "must not be that of a built-in policy")
    _registered[policy.name] = policy


def meaning(policy: Policy) -> str:
    """Return what a policy does, as text: one of the same name that does otherwise has another.

    It tells the code of its functions, and the values that they take from around them.

    Raises
    ------
    ParameterError
        If one of them is no function written in Python.
    """
    parts = [_of_function(getattr(policy, part), ()) for part in PARTS]
    return repr((parts, policy.columns, policy.scalars))


def _of_function(function: object, around: tuple[object, ...]) -> Any:
    plain = getattr(function, "py_func", function)  # of one that is compiled already
    if not isinstance(plain, FunctionType):
        raise ParameterError("policy", function, "must be made of functions written in Python")
    if plain in around:  # it calls itself
        return plain.__qualname__
    taken = inspect.getclosurevars(plain)
    values = sorted({**taken.nonlocals, **taken.globals}.items())
    told = [(name, _of_value(value, (*around, plain))) for name, value in values]
    return _of_code(plain.__code__), plain.__defaults__, plain.__kwdefaults__, told


def _of_code(code: CodeType) -> Any:
    constants = [_of_code(c) if isinstance(c, CodeType) else c for c in code.co_consts]
    return code.co_code, constants, code.co_names, code.co_varnames


def _of_value(value: object, around: tuple[object, ...]) -> Any:
    if isinstance(value, ModuleType | type):
        return value.__name__
    if hasattr(value, "tobytes") and hasattr(value, "dtype"):  # numpy's, which is not loaded here
        return str(value.dtype), getattr(value, "shape", ()), value.tobytes()
    return _of_function(value, around) if callable(value) else value
