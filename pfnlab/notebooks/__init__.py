"""What notebooks share: strict parameters, the sources they name, and measures of these.

Names are loaded when first used: the command line needs few of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pfnlab.notebooks.papermill_runs import ALLOWED, FOLDER, execute, request
    from pfnlab.notebooks.sources import ROOT, find_source, measured, shipped_traces
    from pfnlab.notebooks.sweep_request import Request

__all__ = ["ALLOWED", "FOLDER", "ROOT", "Request", "execute", "find_source", "measured", "request",
           "shipped_traces"]  # fmt: skip

_HOMES = {
    "papermill_runs": ("ALLOWED", "FOLDER", "execute", "request"),
    "sources": ("ROOT", "find_source", "measured", "shipped_traces"),
    "sweep_request": ("Request",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
