"""The notebooks with parameters that take seconds: copied to a folder, or run in this process."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from papermill.iorw import load_notebook_node, write_ipynb
from papermill.parameterize import parameterize_notebook
from traitlets.config import Config

import pfnlab
from pfnlab.notebooks.papermill_runs import FOLDER

NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
N_EVENTS = 20_000
SMALL: Mapping[str, Any] = {"region_bytes": "16GiB", "chunk_bytes": "64KiB"}
#: Axes that would overrule the small region, or evict nothing from it.
AXES: Mapping[str, Mapping[str, Any]] = {
    "02_region_size": {
        "region_bytes_axis": ["16GiB", "64GiB"],
        "threshold_bytes_axis": ["128KiB", "256KiB", "512KiB"],
    },
}


def parameters(name: str, source: str) -> dict[str, Any]:
    """Return parameters with which a notebook runs in seconds."""
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
    notebook = _with(name, parameters)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    path = folder / f"{name}.ipynb"
    write_ipynb(notebook, str(path))
    return path.name


def run_here(name: str, parameters: Mapping[str, Any]) -> None:
    """Run the cells of a notebook in this process, without a kernel.

    Figures and widgets are made, but shown nowhere.
    """
    shell: Any = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))  # type: ignore[no-untyped-call]
    shell.display_formatter.active_types = ["text/plain"]
    before = Path.cwd()
    os.chdir(FOLDER.parent)
    try:
        for cell in _with(name, parameters).cells:
            if cell.cell_type == "code":
                shell.run_cell(cell.source, store_history=True).raise_error()
    finally:
        os.chdir(before)


def _with(name: str, parameters: Mapping[str, Any]) -> Any:
    notebook = load_notebook_node(str(FOLDER / f"{name}.ipynb"))
    if not parameters:
        return notebook
    return parameterize_notebook(notebook, dict(parameters), kernel_name="python3")
