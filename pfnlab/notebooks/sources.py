"""Sources by their text: a workload, a trace file, or the story of 00_model; recorded frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pfnlab.errors import NotebookError, ParameterError, near
from pfnlab.traces.formats import load
from pfnlab.traces.workloads import WORKLOADS, Spec, workload_of

if TYPE_CHECKING:
    import pandas as pd

    from pfnlab.traces.sources import Source

#: Root of the checkout, where `notebooks/` and `data/` are.
ROOT = Path(__file__).resolve().parents[2]
#: Name of the story as a source.
TOY = "toy"


def find_source(text: str) -> Source:
    """Return the workload of that text, or the trace in that file.

    ``zipf`` is a workload at its defaults, ``uniform:1000`` one with so many events,
    ``zipf:alpha=0.5,seed=3`` one with any fields of its own, and ``toy`` the story of 00_model.
    A relative path is looked up from the working folder, then from the root of the checkout.

    Raises
    ------
    ParameterError
        For a text that is none of these; near matches are named.
    TraceError
        For a file that holds no trace.
    """
    return opener_of(text)()


def opener_of(text: str) -> Callable[[], Source]:
    """Check the text of a source and return a function that opens it; no trace is read before."""
    if text == TOY:
        from pfnlab.claims.measures.mechanism import Story  # it needs pandas

        return Story
    if is_workload(text):
        spec = workload_of(text)
        return lambda: spec
    if (path := path_of(text)) is not None:
        return lambda: load(path)
    known = [*WORKLOADS, TOY, *shipped_traces()]
    requirement = f"no such workload or trace file; {near(text, known)}"
    raise ParameterError("source", text, requirement)


def path_of(text: str) -> Path | None:
    """Return the path of the trace file of that text, None if there is none."""
    try:
        return next((path for path in (Path(text), ROOT / text) if text and path.exists()), None)
    except (OSError, ValueError):  # too long for a name, or with a zero byte in it
        return None


def located(text: str) -> str:
    """Return a text that names the same source from the root of the checkout."""
    if is_workload(text) or text == TOY or Path.cwd() == ROOT:
        return text
    path = path_of(text)
    return str(path.absolute()) if path is not None and path == Path(text) else text


def is_workload(text: str) -> bool:
    """Whether a text names a workload, right or wrong in its fields."""
    return text.partition(":")[0] in WORKLOADS


def text_of(text: str, source: Source) -> str:
    """Return the text that frames keep: a workload's full text, or a file's as it was given."""
    return source.text if isinstance(source, Spec) else text


def shipped_traces() -> list[str]:
    """Return the paths of the traces in `data/traces`, from the root of the checkout."""
    return sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("data/traces/*.parquet"))


def measured(name: str) -> pd.DataFrame:
    """Return the measurement recorded in ``data/measured/<name>.csv``, machine and date with it."""
    import pandas as pd

    path = ROOT / "data" / "measured" / f"{name}.csv"
    if not path.exists():
        known = [path.stem for path in path.parent.glob("*.csv")]
        raise NotebookError(f"measured={name!r}: no such measurement; {near(name, known)}")
    return pd.read_csv(path)
