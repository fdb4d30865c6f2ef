"""What goes wrong around a notebook: each says what happened, and recovers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pfnlab
from tests.browser.driving import DEAD, MESSAGE, STATUS, Notebook

Open = Callable[..., Notebook]
LARGE = "zipf:1000000"


def test_a_large_trace_shows_a_sample_first(open_notebook: Open) -> None:
    notebook = open_notebook("explore", source=LARGE, region_bytes="1TiB")
    assert notebook.run_all() == []
    notebook.settle()
    notebook.forget()
    notebook.press("chunk_bytes", "ArrowRight")
    notebook.wait(lambda: notebook.text(STATUS).startswith("sample 1/"), "a sample")
    notebook.wait(lambda: notebook.text(STATUS).startswith("exact"), "exact")
    assert notebook.complaints == []


def test_a_kernel_restarted_in_the_middle(open_notebook: Open) -> None:
    notebook = open_notebook("explore")
    assert notebook.run_all() == []
    notebook.settle()
    notebook.restart()
    notebook.page.locator(DEAD).first.wait_for()
    hint = notebook.page.locator(".pfnlab-restarted")
    assert "restarted" in hint.inner_text()
    notebook.photograph(Path("/tmp/browser/restarted.png"))
    assert notebook.run_all() == []
    notebook.settle()
    assert notebook.page.locator(DEAD).count() == 0
    assert not hint.is_visible()
    with notebook.nudged("chunk_bytes") as changed:
        assert changed


def test_a_trace_that_vanished_is_named_and_found_again(
    open_notebook: Open, tmp_path: Path
) -> None:
    path = tmp_path / "mine.parquet"
    params = pfnlab.Params(region_bytes="16GiB")
    pfnlab.save(pfnlab.workload("block_io", n_events=20_000).trace(params), path)
    notebook = open_notebook("explore", source=str(path))
    assert notebook.run_all() == []
    notebook.settle()
    away = path.rename(tmp_path / "away.parquet")
    notebook.press("chunk_bytes", "ArrowRight")
    notebook.wait(lambda: "mine.parquet" in notebook.text(MESSAGE), "the file that is gone")
    before = notebook.fingerprints()
    away.rename(path)
    notebook.press("chunk_bytes", "ArrowRight")
    notebook.wait(lambda: notebook.fingerprints() != before, "another picture")
    assert notebook.text(MESSAGE) == ""
