"""The explorer by keyboard alone: each control, its text box, and what the pictures make of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import pfnlab
from tests.browser.conftest import Opening
from tests.browser.copies import SMALL
from tests.browser.driving import MESSAGE, Notebook

PICTURES = ("timeline", "curve", "time", "residency")
LARGE = "zipf:1000000"
TABS_AT_MOST = 200
#: The name of the control that has the keyboard.
FOCUSED = """() => document.activeElement.closest('.pfnlab-control')?.className
    .match(/pfnlab-control-(\\w+)/)?.[1] ?? ''"""
HELD_S = 10


@pytest.fixture(scope="module")
def explorer(opening: Opening) -> Iterator[Notebook]:
    with opening("explore") as notebook:
        assert notebook.run_all() == []
        notebook.settle()
        yield notebook
        assert notebook.errors() == []
        assert notebook.complaints == []


def test_four_pictures_are_shown(explorer: Notebook) -> None:
    for name in PICTURES:
        assert explorer.png(name).startswith(b"\x89PNG"), name


def test_tab_reaches_every_control(explorer: Notebook) -> None:
    names = explorer.controls()
    explorer.handle(names[0]).focus()
    reached = [names[0]]
    for _ in range(TABS_AT_MOST):
        explorer.page.keyboard.press("Tab")
        reached.append(explorer.page.evaluate(FOCUSED))
        if set(names) <= set(reached):
            break
    assert list(filter(None, dict.fromkeys(reached))) == names  # and in the order of the page


def test_every_control_changes_a_picture_and_changes_it_back(explorer: Notebook) -> None:
    start, idle = explorer.fingerprints(), []
    for name in explorer.controls():
        explorer.nudge(name)
        if explorer.fingerprints() == start:
            idle.append(name)
        explorer.nudge_back(name)
        assert explorer.fingerprints() == start, f"{name}: back where it was, with other pictures"
    assert idle == []


@pytest.mark.parametrize(
    ("name", "text"),
    [("chunk_bytes", "3KiB"), ("chunk_bytes", "much"), ("threshold_bytes", "1KiB")],
)
def test_a_wrong_value_is_refused_in_the_words_of_the_library(
    explorer: Notebook, name: str, text: str
) -> None:
    with pytest.raises(pfnlab.ParameterError) as refusal:
        pfnlab.Params(**SMALL).replace(**{name: text})
    before, value = explorer.fingerprints(), explorer.box(name).input_value()
    explorer.enter(name, text)
    explorer.wait(lambda: explorer.text(MESSAGE) == str(refusal.value), str(refusal.value))
    assert explorer.fingerprints() == before
    explorer.enter(name, value)
    explorer.wait(lambda: explorer.text(MESSAGE) == "", "a message that goes")
    explorer.settle()
    assert explorer.fingerprints() == before


def test_a_typed_size_is_the_slider_moved_there(explorer: Notebook) -> None:
    before, value = explorer.fingerprints(), explorer.box("chunk_bytes").input_value()
    explorer.nudge("chunk_bytes")
    by_slider = explorer.fingerprints()
    explorer.nudge_back("chunk_bytes")
    explorer.enter("chunk_bytes", "128KiB")
    explorer.wait(lambda: explorer.fingerprints() == by_slider, "the picture of 128KiB")
    explorer.enter("chunk_bytes", value)
    explorer.wait(lambda: explorer.fingerprints() == before, "the picture of before")


def test_a_slider_held_for_ten_seconds_leaves_no_backlog(explorer: Notebook) -> None:
    """Keys go down faster than pictures can follow; after the last one there is no queue."""
    name, start = "threshold_bytes", explorer.fingerprints()
    explorer.forget()
    presses = explorer.sway(name, HELD_S)
    end = explorer.now_ms()
    explorer.settle()
    explorer.page.wait_for_timeout(2000)
    pictures = explorer.seen("picture")
    late = [one for one in pictures if one.at_ms > end]
    assert presses > 100
    assert len(pictures) < presses * len(PICTURES)
    assert len(late) <= 3 * len(PICTURES)
    assert explorer.fingerprints() == start  # it swayed to where it had been
