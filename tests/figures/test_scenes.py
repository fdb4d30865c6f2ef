"""The scenes of a stepped trace: what is drawn and said, and the player that shows them."""

import asyncio
import io
import re
from base64 import b64decode
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

import pfnlab
from pfnlab import figures
from pfnlab.claims.measures import mechanism
from pfnlab.figures import scenes
from pfnlab.figures.scenes.moments import COUNTED, tale_of
from pfnlab.notebooks import widgets

PARAMS = mechanism.sized(pfnlab.Params())
POLICIES = ("lra", "lru", "clock", "sieve", "random")
Event = tuple[int, int, bool, int]


def stepped(source: Any, params: pfnlab.Params = PARAMS) -> pd.DataFrame:
    trace = source.trace(params)
    about = {"source": trace.name, "evidence": trace.evidence, **params.as_dict()}
    return pfnlab.steps(trace, params).assign(**about)


def trace_of(events: list[Event]) -> pfnlab.Trace:
    pfns, ops, atomic, cpus = (np.array(column) for column in zip(*events, strict=True))
    return pfnlab.Trace(pfns, ops, atomic, cpus)


@pytest.fixture(scope="module")
def story() -> pd.DataFrame:
    return stepped(mechanism.Story())


def artists(picture: Figure, of: str) -> dict[int, Artist]:
    """Artists by the number in their id, as in ``resident-7``."""
    ids = ((str(each.get_gid() or ""), each) for each in picture.axes[0].get_children())
    return {int(gid.removeprefix(of)): each for gid, each in ids if gid.startswith(of)}


def texts(picture: Figure) -> list[Text]:
    found = [each for each in picture.findobj(Text) if isinstance(each, Text)]
    return [text for text in found if text.get_text() and text.axes in (None, picture.axes[0])]


def height(artist: Artist) -> float:
    return float(artist.get_window_extent().y0)


# --- What is drawn is what the mechanism holds ---------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
def test_a_scene_shows_what_is_held(policy: str) -> None:
    frame = stepped(mechanism.Story(), PARAMS.replace(policy=policy, reserve_granules=1))
    for event in range(0, len(frame), 3):
        row, picture = frame.iloc[event], figures.scene(frame, event)
        assert sorted(artists(picture, "resident-")) == [*row["resident"]]
        after = artists(picture, "after-")
        upwards = sorted(after, key=lambda chunk: height(after[chunk]))
        assert upwards == [*row["set_aside"][::-1], *row["order"]]
        if event:
            held = frame.iloc[event - 1]
            assert {*artists(picture, "before-")} == {*held["order"], *held["set_aside"]}


def test_a_shootdown_interrupts_every_other_cpu(story: pd.DataFrame) -> None:
    for event, (cpu, shootdowns) in enumerate(story[["cpu", "shootdowns"]].to_numpy()):
        others = {0, 1, 2, 3} - {cpu} if shootdowns else set()
        assert {*artists(figures.scene(story, event), "ipi-")} == others


def test_of_many_cpus_four_are_drawn_and_the_others_told() -> None:
    frame = stepped(trace_of([(64 * i, 0, False, 7 * i) for i in range(16)]), PARAMS)
    many = frame.assign(n_cpus=128)
    last = figures.scene(many, 12)
    names = [text.get_text() for text in texts(last)]
    assert [name for name in names if re.fullmatch(r"CPU \d+", name)] == [
        "CPU 0", "CPU 7", "CPU 14", "CPU 84",
    ]  # fmt: skip
    assert "and 124 more: an IPI to each" in names


some_events = st.lists(
    st.tuples(
        st.sampled_from(range(0, 6 * 256, 64)),
        st.sampled_from([0, 0, 1, 1, 2]),
        st.booleans(),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=60,
)


@pytest.mark.kernel
@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=20)
@given(some_events, st.integers(1, 3), st.integers(0, 2))
def test_what_moved_is_what_was_counted(
    policy: str, events: list[Event], batch: int, reserve: int
) -> None:
    params = PARAMS.replace(policy=policy, batch_chunks=batch, reserve_granules=reserve)
    frame = stepped(trace_of(events), params)
    tale = tale_of(frame)
    for moment in tale.moments:
        assert len(moment.evicted) == moment.added["evicted_chunks"]
        assert len(moment.skipped) == moment.added["pinned_skips"]
        assert {granule // 4 for granule in moment.unmapped} == {*moment.evicted}
        gained = moment.after.resident - moment.before.resident
        assert gained == ({moment.granule} if moment.populated else frozenset())
        assert moment.kinds
    whole = pfnlab.replay(trace_of(events), params).counts()
    assert tale.moments[-1].total == {name: whole[name] for name in COUNTED}


# --- What is said ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (0, "event 0: CPU 0 looks up pfn 0. Fault: granule 0 is populated; nothing was mapped "
            "there, so no other CPU need be told."),
        (1, "Hit: granule 0 is resident; lra never looks at hits, so the order stays."),
        (3, "event 3: CPU 1 takes a reference on pfn 256. Fault: granule 4 is populated; nothing "
            "was mapped there, so no other CPU need be told. The reference pins chunk 1: 1 pin."),
        (15, "Fault, over the threshold: chunk 0 is unmapped; one IPI to each of the 3 other CPUs; "
             "then granule 16 is populated."),
        (16, "Fault again: granule 0 is populated"),
        (17, "Fault, over the threshold: chunk 1 is pinned and set aside; chunk 2 is unmapped; "
             "one IPI to each of the 3 other CPUs; then granule 17 is populated."),
        (19, "event 19: CPU 3, atomic, looks up pfn 581. Illegal: granule 9 is not resident, an "
             "atomic caller may not sleep to populate it, and there is no reserve. The call "
             "fails; nothing changes."),
        (20, "Put: the last reference is dropped; chunk 1 may be unmapped again; no longer set "
             "aside, it returns to the order as the newest."),
        (29, "Put: its GET was refused, so there is no reference to drop; the two cancel out."),
    ],
)  # fmt: skip
def test_the_story_is_told(story: pd.DataFrame, event: int, said: str) -> None:
    assert said in figures.Film(story).told(event)
    drawn = " ".join(text.get_text() for text in texts(figures.scene(story, event)))
    assert said.split(". ", 1)[-1].split(";", maxsplit=1)[0] in drawn.replace("\n", " ")


LOOKUPS = [(64 * granule, 0, False, 0) for granule in range(12)]


@pytest.mark.parametrize(
    ("events", "changes", "said"),
    [
        ([*LOOKUPS, (64 * 12, 0, False, 0)], {"batch_chunks": 2},
         "chunks 0 and 1 are unmapped; one IPI"),
        ([*LOOKUPS, (64 * 12, 0, False, 0)], {"n_cpus": 1},
         "chunk 0 is unmapped; there is no other CPU to tell; then"),
        ([*LOOKUPS, (64 * 12, 0, False, 0)], {"n_cpus": 2}, "one IPI to the other CPU; then"),
        ([(64 * g, 1, False, 0) for g in range(13)], {},
         "chunks 0, 1 and 2 are pinned and set aside; nothing may be unmapped; then granule 12 is "
         "populated, over the threshold. The reference pins chunk 3: 1 pin."),
        ([(0, 0, True, 0)], {"reserve_granules": 2},
         "Fault of an atomic caller: granule 0 is populated from the reserve (1 left), and no "
         "room is made."),
        ([(0, 0, True, 0), (64, 0, True, 0)], {"reserve_granules": 1}, "the reserve is empty"),
        ([(0, 1, False, 0), (0, 1, False, 0)], {}, "the order stays. The reference pins chunk 0: "
                                                   "2 pins."),
        ([(0, 1, False, 0), (0, 1, False, 0), (0, 2, False, 0)], {},
         "Put: a reference is dropped; chunk 0 keeps 1 pin."),
        ([(5, 2, False, 0)], {}, "Put: there is no reference to drop on pfn 5; nothing changes."),
        ([(0, 0, False, 0)] * 2, {"policy": "lru"}, "its chunk becomes the last used"),
        ([(0, 0, False, 0)] * 2, {"policy": "sieve"}, "its chunk is marked as used"),
    ],
)  # fmt: skip
def test_what_else_can_happen_is_told(
    events: list[Event], changes: dict[str, Any], said: str
) -> None:
    frame = stepped(trace_of(events), PARAMS.replace(**changes))
    assert said in figures.Film(frame).told(len(events) - 1)


# --- How it looks ------------------------------------------------------------------------------


def longest() -> pd.DataFrame:
    """Sentences as long as they get, and numbers too."""
    params = PARAMS.replace(first_pfn=2**40, n_cpus=4, reserve_granules=1, batch_chunks=2)
    pinned = [(64 * granule + 63, 1, False, 65_535) for granule in (0, 0, 4, 5, 8)]
    events = [*pinned, *LOOKUPS, *((64 * g, g % 3, g % 2 == 1, 9) for g in range(23, 0, -1))]
    moved = [(pfn + 2**40, op, atomic, cpu) for pfn, op, atomic, cpu in events]
    return stepped(trace_of(moved), params).assign(n_cpus=65_536)


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        ("story", {}),
        ("story", {"policy": "clock", "reserve_granules": 2, "batch_chunks": 2}),
        ("story", {"policy": "random", "granule_bytes": "64KiB"}),
        ("folded", {"policy": "lru"}),
        ("longest", {}),
    ],
)
def test_texts_can_be_read_and_do_not_overlap(source: str, changes: dict[str, Any]) -> None:
    params = mechanism.sized(pfnlab.Params(**changes))
    if source == "longest":
        frame = longest()
    else:
        folded = mechanism.Folded(pfnlab.workload("block_io", n_events=1000))
        frame = stepped(mechanism.Story() if source == "story" else folded, params)
    for event in range(len(frame)):
        picture = figures.scene(frame, event)
        FigureCanvasAgg(picture)
        shown = [(text, text.get_window_extent()) for text in texts(picture)]
        for text, extent in shown:
            assert float(text.get_fontsize()) >= 8
            assert picture.bbox.x0 <= extent.x0 < extent.x1 <= picture.bbox.x1, text
            assert picture.bbox.y0 <= extent.y0 < extent.y1 <= picture.bbox.y1, text
        for (one, its), (other, others) in combinations(shown, 2):
            assert not its.overlaps(others), (event, one, other)


def test_the_live_picture_is_the_figure(story: pd.DataFrame) -> None:
    film = figures.Film(story)
    for event in (17, 3, 17, 19):  # there and back: nothing of one is left in another
        picture = figures.scene(story, event)
        canvas = FigureCanvasAgg(picture)
        canvas.draw()  # type: ignore[no-untyped-call]
        still = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)  # type: ignore[no-untyped-call]
        live = np.asarray(Image.open(io.BytesIO(film.png(event))).convert("RGB")).astype(int)
        assert live.shape == still.shape
        assert (abs(live - still).max(axis=2) > 48).mean() < 1e-5  # it has 256 colours


def test_a_film_leaves_no_artist_behind(story: pd.DataFrame) -> None:
    film = figures.Film(story)
    before = len(film._axes.get_children())
    for event in (0, 15, 19):
        film.png(event)
    assert len(film._axes.get_children()) == before


@pytest.mark.parametrize("suffix", ["svg", "pdf", "png"])
def test_a_scene_can_be_saved(story: pd.DataFrame, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"scene.{suffix}"
    figures.scene(story, 15).savefig(path)
    assert path.stat().st_size > 5_000


# --- Refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [-1, 32, 1.5, "3", True, None])
def test_an_event_that_is_not_there_is_refused(story: pd.DataFrame, event: Any) -> None:
    with pytest.raises(pfnlab.PfnlabError, match=r"event=.*: must be an event .* from 0 to 31"):
        figures.scene(story, event)


def test_frames_that_can_not_be_drawn_are_refused(story: pd.DataFrame) -> None:
    empty = stepped(pfnlab.Trace(np.zeros(0, np.int64)))
    with pytest.raises(pfnlab.PfnlabError, match="frame: has no"):
        widgets.play(empty)
    with pytest.raises(pfnlab.PfnlabError, match="has events 5 to 31, must have every event"):
        widgets.play(story.tail(27))
    with pytest.raises(pfnlab.PfnlabError, match="has 9 chunks touched, must have at most 8"):
        wide = PARAMS.replace(region_bytes=9 * 4 * 64 * 4096)
        figures.scene(stepped(trace_of([(256 * c, 0, False, 0) for c in range(9)]), wide), 0)
    with pytest.raises(pfnlab.PfnlabError, match="16 granules in a chunk, must have at most 8"):
        figures.scene(stepped(mechanism.Story(), PARAMS.replace(chunk_bytes="64KiB",
                                                          threshold_bytes="64KiB")), 0)  # fmt: skip


def test_a_column_that_is_missing_is_named(story: pd.DataFrame) -> None:
    for column in ("cpu", "pins", "order", "n_cpus", "pinned_skips"):
        with pytest.raises(pfnlab.PfnlabError, match=f"frame: has no columns {column};"):
            figures.scene(story.drop(columns=column), 0)


def test_the_first_replay_of_several_is_drawn(story: pd.DataFrame) -> None:
    other = stepped(mechanism.Story(), PARAMS.replace(policy="lru"))
    film = figures.Film(pd.concat([story, other], ignore_index=True))
    assert len(film) == 32
    assert film.png(9) == figures.Film(story).png(9)


# --- CPUs --------------------------------------------------------------------------------------


def test_the_cpu_of_each_event(tmp_path: Path) -> None:
    trace = trace_of([(64 * i, 0, False, i + 1) for i in range(5)])
    streamed = pfnlab.load(pfnlab.save(trace, tmp_path / "t.parquet"), stream=True)
    for each in (trace, streamed):
        assert pfnlab.steps(each, PARAMS)["cpu"].tolist() == [1, 2, 3, 4, 5]
    folded = mechanism.Folded(trace).trace(PARAMS)
    assert pfnlab.steps(folded, PARAMS)["cpu"].tolist() == [1, 2, 3, 0, 1]
    unknown = pfnlab.Trace(np.array([1, 2]))
    assert pfnlab.steps(unknown, PARAMS)["cpu"].tolist() == [0, 0]


def test_the_toy_has_four_cpus_at_most() -> None:
    for n_cpus, expected in ((64, {0, 1, 2, 3}), (2, {0, 1}), (1, {0})):
        params = mechanism.sized(pfnlab.Params(n_cpus=n_cpus))
        assert params.n_cpus == len(expected)
        assert {*stepped(mechanism.Story(), params)["cpu"]} == expected


# --- The player --------------------------------------------------------------------------------


def buttons(player: widgets.Player) -> dict[str, Any]:
    transport, jumps, *_ = player.children
    named = {each.description: each for each in jumps.children[1:]}
    return {"back": transport.children[1], "on": transport.children[2], **named}


def test_the_slider_shows_its_event(story: pd.DataFrame) -> None:
    player, film = widgets.play(story), figures.Film(story)
    assert (player.slider.min, player.slider.max, player.slider.value) == (0, 31, 0)
    assert (player.clock.max, player.clock.interval) == (31, 500)
    assert player.picture.value == film.png(0)
    for event in (17, 3, 31):
        player.slider.value = event
        assert player.picture.value == film.png(event)
    assert player.status.value == "event 31 of 31: fault, eviction"


def test_what_the_browser_sends_of_slider_or_clock_is_shown(story: pd.DataFrame) -> None:
    player, film = widgets.play(story), figures.Film(story)
    for sender, event in (("clock", 9), ("slider", 9), ("slider", 4), ("clock", 4), ("clock", 5)):
        getattr(player, sender).value = event
        assert player.picture.value == film.png(event)


def test_the_last_value_wins(story: pd.DataFrame) -> None:
    player = widgets.play(story)
    for event in [*range(32), *range(31, 4, -1)]:
        player.slider.value = event
    assert player.picture.value == figures.Film(story).png(5)


def test_buttons_step_and_jump(story: pd.DataFrame) -> None:
    player = widgets.play(story)
    press = buttons(player)
    press["back"].click()  # there is nothing before the first
    assert player.slider.value == 0
    press["on"].click()
    press["on"].click()
    press["back"].click()
    assert player.slider.value == 1
    seen = []
    for name in ("fault", "eviction", "skipped pin", "refusal", "refusal", "refusal"):
        press[name].click()
        seen.append(player.slider.value)
    assert seen == [2, 15, 17, 19, 28, 19]  # after the last one, the first again
    player.slider.value = 31
    press["on"].click()
    assert player.slider.value == 31


def test_what_does_not_happen_can_not_be_jumped_to() -> None:
    press = buttons(widgets.play(stepped(trace_of(LOOKUPS))))
    assert [name for name, each in press.items() if each.disabled] == [
        "eviction", "skipped pin", "refusal",
    ]  # fmt: skip


def test_the_speed_is_that_of_the_clock(story: pd.DataFrame) -> None:
    player = widgets.play(story)
    speed = player.children[0].children[-1]
    speed.label = "8 events/s"
    assert player.clock.interval == 125


def test_scenes_are_drawn_ahead_while_nothing_is_asked(story: pd.DataFrame) -> None:
    async def idle() -> list[bool]:
        player = widgets.play(story.head(6))
        player.slider.value = 3  # events before and after it
        for _ in range(1000):
            if all(player.film.is_drawn(event) for event in range(6)):
                break
            await asyncio.sleep(0.01)
        return [player.film.is_drawn(event) for event in range(6)]

    assert all(asyncio.run(idle()))
    assert not widgets.play(story).film.is_drawn(1)  # without a kernel nothing is


def test_only_the_last_pictures_are_kept(
    story: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenes, "KEPT", 3)
    film = figures.Film(story)
    for event in (0, 1, 2, 0, 3):
        film.png(event)
    assert [film.is_drawn(event) for event in range(4)] == [True, False, True, True]


def test_a_still_stands_where_no_kernel_runs(story: pd.DataFrame) -> None:
    bundle = widgets.play(story)._repr_mimebundle_()
    picture = b64decode(bundle["image/png"])
    assert Image.open(io.BytesIO(picture)).size == (840, 660)
    assert len(picture) < 60_000
    assert bundle["text/plain"] == figures.Film(story).told(17)
    assert "application/vnd.jupyter.widget-view+json" in bundle
