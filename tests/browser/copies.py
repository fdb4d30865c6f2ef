"""Copies of the notebooks in a folder of their own, without outputs, with other parameters."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from papermill.iorw import load_notebook_node, write_ipynb
from papermill.parameterize import parameterize_notebook

import pfnlab
from pfnlab.notebooks.papermill_runs import FOLDER

NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
#: What is opened unless all are asked for.
CHOSEN = ("00_model", "04_eviction_threshold", "explore")
N_EVENTS = 20_000
SMALL: Mapping[str, Any] = {"region_bytes": "16GiB", "chunk_bytes": "64KiB"}
#: An axis would overrule the small region.
AXES: Mapping[str, Mapping[str, Any]] = {
    "02_region_size": {"region_bytes_axis": ["16GiB", "64GiB"]},
}
#: Small as they are.
AS_THEY_ARE = ("00_model",)


def parameters(name: str, source: str) -> dict[str, Any]:
    """Return parameters with which a notebook runs in seconds."""
    if name in AS_THEY_ARE:
        return {}
    return {"source": source, **SMALL, **AXES.get(name, {})}


def small_trace(folder: Path) -> Path:
    """Save a trace that every notebook replays in a moment, and return where."""
    params = pfnlab.Params(region_bytes=SMALL["region_bytes"])
    return pfnlab.save(
        pfnlab.workload("block_io", n_events=N_EVENTS).trace(params), folder / "small.parquet"
    )


def copied(name: str, folder: Path, parameters: Mapping[str, Any]) -> str:
    """Write a copy of a notebook to `folder`, and return its file's name.

    It has no outputs, so that what a page shows comes from this run; `parameters` are injected
    as papermill does.
    """
    notebook = load_notebook_node(str(FOLDER / f"{name}.ipynb"))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    if parameters:
        notebook = parameterize_notebook(notebook, dict(parameters), kernel_name="python3")
    path = folder / f"{name}.ipynb"
    write_ipynb(notebook, str(path))
    return path.name
