"""What goes wrong around a notebook: each says what happened, and recovers."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.driving import DEAD, MESSAGE, Notebook

pytestmark = pytest.mark.slow

Open = Callable[..., Notebook]
OTHER = "block_io:20000"
RESTARTED = ".pfnlab-restarted"


def run(notebook: Notebook) -> None:
    assert notebook.run_all() == []
    notebook.settle()


def check_it_works(notebook: Notebook) -> None:
    with notebook.nudged("chunk_bytes") as changed:
        assert changed
    assert notebook.text(MESSAGE) == ""
    assert notebook.complaints == []


def test_a_kernel_restarted_in_the_middle_says_so_and_runs_again(open_notebook: Open) -> None:
    notebook = open_notebook("explore")
    run(notebook)
    hint = notebook.page.locator(RESTARTED).first
    assert not hint.is_visible()
    notebook.restart()
    notebook.page.locator(DEAD).first.wait_for()
    hint.wait_for()
    assert "run all cells" in hint.inner_text().lower()
    run(notebook)
    assert not hint.is_visible()
    check_it_works(notebook)


def test_a_trace_that_vanished_is_named_and_found_again(
    open_notebook: Open, small: str, tmp_path: Path
) -> None:
    path = Path(shutil.copy(small, tmp_path / "mine.parquet"))
    away = tmp_path / "away.parquet"
    notebook = open_notebook("explore", source=str(path))
    run(notebook)
    path.rename(away)
    check_it_works(notebook)  # it is in memory
    notebook.enter("source", OTHER)
    notebook.enter("source", str(path))
    assert "no such workload or trace file" in notebook.text(MESSAGE)
    assert str(path) in notebook.text(MESSAGE)
    (error,) = notebook.run_all()
    assert str(path) in error
    away.rename(path)
    run(notebook)
    check_it_works(notebook)
