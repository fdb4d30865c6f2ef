"""The kind of a column: the name of a row, a count, a modelled time, or a measurement."""

import re
from typing import Literal

import pandas as pd

from pfnlab.params import PARAMETERS

Kind = Literal["count", "time", "measured", "about"]

#: Columns of text that say what came out of a row, not which row it is.
_RESULTS = ("note", "costs", "evidence", "differs", "mark", "reached", "unit")
#: Numbers that say which row it is, beside the parameters.
_SETTINGS = ("event", "hold_events", "lead_events", "lazy_cpus", "neighbours", "n_threads",
             "nvdimm_bytes", "pinned_share", "single_passes")  # fmt: skip
#: When and where it was measured, and how well: never a difference by itself.
_ABOUT = re.compile(r"machine|date|spread|error|.*_all|(ratio|.*_median)_(min|max)")
#: Figures that a clock or a busy machine decides.
_MEASURED = re.compile(
    r"(measured|elapsed|predicted)_ns|(.*_)?seconds|.*_median|ratio|running|n_ipis|n_faults|"
    r"create_s|bind_ms_min"
)


def kind_of(name: str) -> Kind:
    """Return what a column that names no row holds.

    A ``time`` is a model's, and follows from counts and costs; a ``measured`` one has noise.
    """
    if _ABOUT.fullmatch(name):
        return "about"
    if _MEASURED.fullmatch(name):
        return "measured"
    return "time" if name.endswith("_ns") else "count"


def naming(before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """Return the columns of both frames that say which row is which.

    A threshold that was given as a share of something is named by that share in every row, for
    its bytes may follow from what is compared.
    """
    common = [str(name) for name in before if name in after]
    shares = [name for name in common if name.startswith("threshold_") and name not in PARAMETERS]
    complete = [s for s in shares if before[s].notna().all() and after[s].notna().all()]
    found = [name for name in common if _names_a_row(name, before, after)]
    return [name for name in found if not (complete and name == "threshold_bytes")]


def _names_a_row(name: str, before: pd.DataFrame, after: pd.DataFrame) -> bool:
    if name in PARAMETERS or name in _SETTINGS or name.startswith("threshold_"):
        return True
    if name in _RESULTS or kind_of(name) == "about":
        return False
    return _is_text(before[name]) and _is_text(after[name])


def _is_text(column: pd.Series) -> bool:
    values = column.dropna()
    return len(values) > 0 and all(isinstance(value, str) for value in values)
