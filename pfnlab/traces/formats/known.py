"""The formats there are: the modules that have their records, and the choice of one of them."""

from pathlib import Path
from types import ModuleType

from pfnlab.errors import ParameterError, TraceError, near
from pfnlab.traces.formats import (
    Format,
    blkparse,
    block_csv,
    damon,
    ftrace_block,
    ftrace_faults,
    ftrace_pagecache,
    lackey,
    offsets,
    oracle_general,
    perf_script,
    strace,
    vscsi,
)
from pfnlab.traces.formats.compressed import head_of

_HEAD_BYTES = 1 << 14
#: Modules of formats: each has one record, `FORMAT`, or several, `FORMATS`.
MODULES: list[ModuleType] = [
    offsets,
    block_csv,
    vscsi,
    oracle_general,
    strace,
    ftrace_pagecache,
    ftrace_block,
    ftrace_faults,
    blkparse,
    perf_script,
    lackey,
    damon,
]


def formats() -> dict[str, Format]:
    """Return every foreign format by its name."""
    records = (getattr(each, "FORMATS", None) or (each.FORMAT,) for each in MODULES)
    return {record.name: record for several in records for record in several}


def format_named(name: object) -> Format:
    """Return the format of that name; an unknown one is refused with its neighbours."""
    known = formats()
    if not isinstance(name, str) or name not in known:
        raise ParameterError("format", name, f"no such format; {near(str(name), known)}")
    return known[name]


def format_of(path: Path) -> Format:
    """Tell the format of a file by its first bytes.

    Raises
    ------
    TraceError
        If it is empty, or of no format or of several: then `format` must be given.
    """
    head = head_of(path, _HEAD_BYTES)
    if not head.strip():
        raise TraceError(f"{path}: is empty, must hold a trace")
    found = [each for each in formats().values() if each.looks_so(head)]
    if len(found) == 1:
        return found[0]
    if found:
        names = " or ".join(each.name for each in found)
        raise TraceError(f"{path}: can be {names}; say format=")
    names = ", ".join(formats())
    raise TraceError(
        f"{path}: is of no format that is known by its first lines; say format= (native Parquet, "
        f"a folder of .npy columns, {names}), for text without a header columns= too"
    )
