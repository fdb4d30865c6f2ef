"""The player of 00_model: scrubbed, stepped and played by keys."""

from collections.abc import Callable

import pytest

from tests.browser.driving import STATUS, Notebook

pytestmark = pytest.mark.slow

SCENE = "scene"
PLAY = ".widget-play button"
N_PICTURES = 4


def test_the_player_steps_and_plays(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook("00_model")
    assert notebook.run_all() == []
    notebook.settle()
    start, told = notebook.png(SCENE), notebook.text(STATUS)
    notebook.press("event", "ArrowRight")
    notebook.settle()
    assert notebook.png(SCENE) != start
    assert notebook.text(STATUS) != told
    notebook.press("event", "ArrowLeft")
    notebook.settle()
    assert (notebook.png(SCENE), notebook.text(STATUS)) == (start, told)
    notebook.forget()
    play = notebook.page.locator(PLAY).first
    play.press("Space")
    notebook.wait(lambda: len(notebook.seen("picture")) >= N_PICTURES, "pictures in motion")
    play.press("Space")
    notebook.settle()
    notebook.forget()
    notebook.page.wait_for_timeout(1500)  # three events' time
    assert notebook.seen("picture") == []
    assert notebook.complaints == []
