"""Execute the notebooks with their defaults, in place, and keep only what a reader should see.

Dropped are widget state, timings and widgets, but for the still that one brings; pictures, tables
and verdicts stay.

    .venv/bin/python notebooks/refresh.py [NAME ...]
"""

import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

FOLDER = Path(__file__).resolve().parent
WIDGET = "application/vnd.jupyter.widget-view+json"
ENCRYPTED = Config(KernelManager={"transport_encryption": "auto"})


def refresh(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, kernel_name="python3", config=ENCRYPTED).execute(
        cwd=str(FOLDER.parent)
    )
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if is_for_readers(output)]
            for output in cell.outputs:
                output.get("data", {}).pop(WIDGET, None)
    nbformat.write(notebook, path)
    print(path.name, path.stat().st_size // 1024, "KiB")


def is_for_readers(output: Any) -> bool:
    data = output.get("data", {})
    return WIDGET not in data or "image/png" in data


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.ipynb")):
        refresh(FOLDER / f"{name}.ipynb")
