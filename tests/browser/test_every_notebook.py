"""Every notebook in a real JupyterLab: it runs, shows its pictures, and follows its controls."""

from collections.abc import Callable

import pytest

from tests.browser.conftest import FOUND_IN
from tests.browser.driving import PICTURE, Notebook

pytestmark = pytest.mark.slow

SHOWN = """() => Array.from(document.querySelectorAll('.jp-OutputArea img'))
    .map(image => image.complete && image.naturalWidth > 0)"""


def test_a_notebook_runs_and_follows_a_control(
    notebook_name: str, open_notebook: Callable[..., Notebook]
) -> None:
    notebook = open_notebook(notebook_name)
    assert notebook.run_all() == []
    notebook.page.locator(f"img{PICTURE}").first.scroll_into_view_if_needed()
    notebook.wait(lambda: bool(shown := notebook.page.evaluate(SHOWN)) and all(shown), "pictures")
    notebook.settle()
    notebook.photograph(FOUND_IN / f"{notebook_name}.png")
    assert any(followed(notebook, name) for name in notebook.controls())
    assert notebook.complaints == []


def followed(notebook: Notebook, name: str) -> bool:
    with notebook.nudged(name) as changed:
        return bool(changed)
