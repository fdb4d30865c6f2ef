"""The explorer by keyboard alone: each control, its text box, and what the pictures make of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import pfnlab
from tests.browser.conftest import Opening
from tests.browser.driving import MESSAGE, Notebook
from tests.small_notebooks import SMALL

pytestmark = pytest.mark.slow

PICTURES = ("timeline", "curve", "time", "residency")
SOURCE, SHIPPED = "block_io:20000", "data/traces/sqlite.parquet"
#: What a control needs in another's box to change anything.
NEEDS = {
    "reserve_granules": ("source", "gup_fast:20000"),  # atomic callers
    "full_flush_refill": ("flush_ceiling_pages", "8"),  # full flushes; a chunk is 16 pages
}
#: A source is typed, and a region moves others.
NO_WAY_BACK = ("source", "region")
#: Presses of Tab for each control, at most: a slider, its box, and what is between.
TABS = 3


@pytest.fixture(scope="module")
def explorer(opening: Opening) -> Iterator[Notebook]:
    with opening("explore", source=SOURCE, flush_ceiling_pages=16) as notebook:
        assert notebook.run_all() == []
        notebook.settle()
        yield notebook
        assert notebook.errors() == []
        assert notebook.complaints == []


@contextmanager
def typed(explorer: Notebook, *texts: str) -> Iterator[None]:
    """Type each text into the box of the control named before it, and what was there afterwards."""
    boxes = dict(zip(texts[::2], texts[1::2], strict=True))
    before = {name: explorer.typed(name) for name in boxes}
    for name, text in boxes.items():
        explorer.enter(name, text)
    yield
    for name in reversed(before):
        explorer.enter(name, before[name])


def test_four_pictures_are_shown(explorer: Notebook) -> None:
    for name in PICTURES:
        assert explorer.png(name).startswith(b"\x89PNG"), name


def test_tab_reaches_every_control_in_order(explorer: Notebook) -> None:
    reached: list[str] = []
    for name in explorer.controls():
        if name not in reached:  # on a tab that was not open yet
            explorer.reveal(name)
            visible = [n for n in explorer.controls() if explorer.handle(n).is_visible()]
            explorer.handle(visible[0]).focus()
            found = [visible[0], *(explorer.tab() for _ in range(TABS * len(visible)))]
            assert list(filter(None, dict.fromkeys(found))) == visible
            reached += visible
    assert {*reached} == {*explorer.controls()}


def test_every_control_changes_a_picture_and_changes_it_back(
    explorer: Notebook, small: str
) -> None:
    idle, changed = set[str](), set[str]()
    needs = {"placement": ("source", small), "first_pfn": ("source", small), **NEEDS}
    for name in explorer.controls():
        if name in NO_WAY_BACK:
            continue
        with typed(explorer, *needs.get(name, ())):
            start = explorer.fingerprints()
            with explorer.nudged(name) as those:
                changed |= those
                if not those:
                    idle.add(name)
            assert explorer.fingerprints() == start, f"{name}: moved back, but other pictures"
    assert (idle, changed) == (set(), {*PICTURES})


def test_a_region_moves_what_belongs_to_it(explorer: Notebook) -> None:
    before = explorer.typed("region_bytes")
    explorer.press("region", "Space")
    for key in ("ArrowDown", "Enter"):
        explorer.press("region", key)
    explorer.settle()
    assert explorer.typed("region_bytes") == "1TiB"
    explorer.enter("region_bytes", before)


@pytest.mark.parametrize(
    ("name", "text"),
    [("chunk_bytes", "3KiB"), ("chunk_bytes", "much"), ("threshold_bytes", "1KiB")],
)
def test_a_wrong_value_is_refused_in_the_words_of_the_library(
    explorer: Notebook, name: str, text: str
) -> None:
    with pytest.raises(pfnlab.ParameterError) as refusal:
        pfnlab.Params(**SMALL).replace(**{name: text})
    before, value = explorer.fingerprints(), explorer.typed(name)
    explorer.enter(name, text)
    assert explorer.text(MESSAGE) == str(refusal.value)
    assert explorer.fingerprints() == before
    assert explorer.typed(name) == value
    with explorer.nudged(name):
        assert explorer.text(MESSAGE) == ""
    assert explorer.fingerprints() == before


def test_a_typed_size_is_the_slider_moved_there(explorer: Notebook) -> None:
    before, value = explorer.fingerprints(), explorer.typed("chunk_bytes")
    with explorer.nudged("chunk_bytes"):
        by_slider = explorer.fingerprints()
    explorer.enter("chunk_bytes", "128KiB")
    assert explorer.fingerprints() == by_slider
    explorer.enter("chunk_bytes", value)
    assert explorer.fingerprints() == before


def test_a_notebook_in_another_folder_finds_the_traces_of_the_checkout(
    explorer: Notebook, root: Path
) -> None:
    assert not explorer.lab.root.is_relative_to(root)
    pictures = explorer.fingerprints()
    with typed(explorer, "region_bytes", "1TiB", "source", SHIPPED):
        assert explorer.text(MESSAGE) == ""
        assert explorer.fingerprints() != pictures
    assert explorer.fingerprints() == pictures
