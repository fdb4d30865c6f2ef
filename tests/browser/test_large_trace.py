"""The explorer on a million events: a sample at once, then exactly, and never a backlog."""

from collections.abc import Iterator

import pytest

from tests.browser.conftest import Opening
from tests.browser.driving import STATUS, Notebook

pytestmark = pytest.mark.slow

SOURCE = "zipf:1000000"
PICTURE = "timeline"
DRAGGED_S = 10


@pytest.fixture(scope="module")
def explorer(opening: Opening) -> Iterator[Notebook]:
    with opening("explore", source=SOURCE, region_bytes="1TiB", chunk_bytes="2MiB") as notebook:
        assert notebook.run_all() == []
        notebook.settle()
        yield notebook
        assert notebook.errors() == []
        assert notebook.complaints == []


def test_a_sample_is_shown_until_it_is_exact(explorer: Notebook) -> None:
    explorer.forget()
    explorer.press("batch_chunks", "ArrowRight")
    explorer.settle()
    told = [one.text for one in explorer.seen("status") if one.text != "replaying ..."]
    assert told[0].startswith("sample 1/")
    assert told[-1] == explorer.text(STATUS) == "exact"
    sample, exact = (
        [one for one in explorer.seen("picture") if PICTURE in one.text][i] for i in (0, -1)
    )
    assert sample.at_ms < exact.at_ms


def test_a_slider_dragged_for_ten_seconds_leaves_no_backlog(explorer: Notebook) -> None:
    """Most of the moves are passed over; soon after the last one its own picture is there."""
    start = explorer.fingerprints()
    explorer.forget()
    n_moves = explorer.drag("chunk_bytes", DRAGGED_S)
    end = explorer.now_ms()
    explorer.settle()
    pictures = [one.at_ms for one in explorer.seen("picture") if PICTURE in one.text]
    assert n_moves > 100
    assert 3 < len(pictures) < n_moves / 2
    assert len([at for at in pictures if at > end]) <= 4  # one under way, the last, and its exact
    assert explorer.text(STATUS) == "exact"
    assert explorer.fingerprints() == start
