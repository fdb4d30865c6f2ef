"""Controls from the vocabulary, pictures that follow them, and answers that come in time."""

import asyncio
import threading
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

import pfnlab
from pfnlab import figures
from pfnlab.engine.exploration import Explored
from pfnlab.notebooks import sweep_request, widgets
from pfnlab.notebooks.widgets import save
from pfnlab.notebooks.widgets.controls import Choice, Number
from pfnlab.notebooks.widgets.refiner import Look, Refiner, SupersededError
from pfnlab.params import PARAMETERS
from pfnlab.params.costs import FIGURES

PNG = b"\x89PNG"


def number(explorer: Any, name: str) -> Number:
    control = explorer.controls[name]
    assert isinstance(control, Number)
    return control


def choice(explorer: Any, name: str) -> Choice:
    control = explorer.controls[name]
    assert isinstance(control, Choice)
    return control


# --- Controls ---------------------------------------------------------------------------------


def test_sliders_stay_within_bounds() -> None:
    for parameter in PARAMETERS.values():
        if not parameter.choices:
            steps = widgets.steps(parameter, int(parameter.default))
            assert parameter.default in steps
            assert steps == sorted(steps)
            assert [parameter.parse(step) for step in steps] == steps


@pytest.fixture
def explorer() -> widgets.Explorer:
    source = "zipf:n_events=30000,n_pages=200000"
    return widgets.Explorer(source, pfnlab.Params(threshold_bytes="2MiB"), "hvo-8s")


def test_every_field_and_every_cost_has_a_control(explorer: widgets.Explorer) -> None:
    presets = ["source", "placement", "region", "machine"]
    priced = [name for name in FIGURES if name != "device_latency"]  # which is in no picture
    assert [*explorer.controls] == [*presets, *PARAMETERS, *priced]
    for name, parameter in PARAMETERS.items():
        control: Any = explorer.controls[name]
        widget = control.dropdown if parameter.choices else control.slider
        assert widget.description == name
        assert parameter.help in widget.tooltip
        if parameter.unit == "bytes":
            assert control.box.value == parameter.show(control.value)
    assert "(assumed)" in number(explorer, "ipi").slider.tooltip
    assert "(assumed)" not in number(explorer, "trap").slider.tooltip


def test_a_box_takes_what_the_library_takes(explorer: widgets.Explorer) -> None:
    control = number(explorer, "threshold_bytes")
    control.box.value = "3MiB"
    assert (control.value, control.box.value) == (3 << 20, "3MiB")
    assert ("3MiB", 3 << 20) in control.slider.options
    assert explorer.explored is not None
    assert explorer.explored.params.threshold_bytes == 3 << 20
    number(explorer, "trap").box.value = "1234.5 ns"
    assert number(explorer, "trap").value == 1234.5
    number(explorer, "n_cpus").box.value = "1_00"
    assert number(explorer, "n_cpus").value == 100


@pytest.mark.parametrize(
    ("name", "typed", "refusal"),
    [
        ("threshold_bytes", "3", lambda: pfnlab.Params(threshold_bytes="3")),
        ("threshold_bytes", "much", lambda: pfnlab.Params(threshold_bytes="much")),
        ("threshold_bytes", "1MiB", lambda: pfnlab.Params(threshold_bytes="1MiB")),
        ("chunk_bytes", "3MiB", lambda: pfnlab.Params(chunk_bytes="3MiB")),
        ("n_cpus", "0", lambda: pfnlab.Params(n_cpus=0)),
        ("trap", "-1", lambda: pfnlab.Costs.preset("hvo-8s").replace(trap=-1.0)),
        ("trap", "inf", lambda: pfnlab.Costs.preset("hvo-8s").replace(trap=float("inf"))),
    ],
)
def test_a_wrong_value_is_refused_as_by_the_library(
    explorer: widgets.Explorer, name: str, typed: str, refusal: Callable[[], object]
) -> None:
    before = [picture.image.value for picture in explorer.pictures.values()]
    number(explorer, name).box.value = typed
    with pytest.raises(pfnlab.ParameterError) as error:
        refusal()
    assert str(error.value) in explorer.lines.message.replace("&lt;", "<")
    assert [picture.image.value for picture in explorer.pictures.values()] == before
    if typed != "1MiB":  # which can be read, but not stand beside the chunk
        assert number(explorer, name).box.value != typed


# --- The explorer -----------------------------------------------------------------------------


def test_a_cost_never_replays(explorer: widgets.Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    def replayed(*arguments: Any) -> Any:
        raise AssertionError("replayed")

    monkeypatch.setattr(explorer._refiner, "ask", replayed)
    before = {name: picture.image.value for name, picture in explorer.pictures.items()}
    for name in {*FIGURES} - {"device_latency"} | {"n_cpus"}:
        slider = number(explorer, name).slider
        slider.value = [value for _, value in slider.options][-1]
    after = {name: picture.image.value for name, picture in explorer.pictures.items()}
    assert [name for name in after if after[name] != before[name]] == ["time"]
    choice(explorer, "machine").dropdown.value = "latr-8s120"
    assert number(explorer, "shootdown").value == 80_000


def test_what_is_shown_equals_a_replay(explorer: widgets.Explorer) -> None:
    number(explorer, "batch_chunks").slider.value = 4
    choice(explorer, "policy").dropdown.value = "sieve"
    number(explorer, "n_cpus").slider.value = 8
    setting = explorer.setting
    trace = pfnlab.workload("zipf", n_events=30_000, n_pages=200_000).trace(setting.params)
    assert explorer.explored is not None
    assert explorer.explored.status == "exact"
    assert explorer.explored.result == pfnlab.replay(trace, setting.params)


def test_every_model_slider_changes_what_it_should(explorer: widgets.Explorer) -> None:
    for name in ("granule_bytes", "chunk_bytes", "threshold_bytes", "region_bytes"):
        before = [picture.image.value for picture in explorer.pictures.values()]
        slider = number(explorer, name).slider
        values = [value for _, value in slider.options]
        slider.value = values[values.index(slider.value) + (-1 if name == "chunk_bytes" else 1)]
        assert explorer.lines.message == "", name
        assert [picture.image.value for picture in explorer.pictures.values()] != before, name


def test_a_region_is_a_device(explorer: widgets.Explorer) -> None:
    choice(explorer, "region").dropdown.value = "mi300x"
    device = pfnlab.region("mi300x")
    assert explorer.setting.params == device.params(threshold_bytes="2MiB")
    number(explorer, "n_cpus").box.value = "8"
    assert choice(explorer, "region").value == "–"
    assert explorer.lines.message == ""


def test_a_source_that_is_gone_is_named_and_comes_back(
    explorer: widgets.Explorer, tmp_path: Path
) -> None:
    path = tmp_path / "mine.parquet"
    source: Any = explorer.controls["source"]
    source.box.value = str(path)
    assert "no such workload or trace file" in explorer.lines.message
    pfnlab.save(pfnlab.Trace(np.arange(5000) % 700, name="mine"), path)
    source.box.value = ""
    source.box.value = str(path)
    assert explorer.lines.message == ""
    assert explorer.explored is not None
    assert explorer.explored.timeline.source == "mine"


def test_a_pinned_setting_stands_beside(explorer: widgets.Explorer) -> None:
    explorer._pin()
    number(explorer, "threshold_bytes").box.value = "4MiB"
    assert "pinned" in explorer._counted.value
    assert explorer._counted.value.count("<td") == 14 * 4
    explorer._unpin()
    assert "now / pinned" not in explorer._counted.value


# --- What outlives it -------------------------------------------------------------------------


def test_copied_python_makes_the_same_pictures(
    explorer: widgets.Explorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    number(explorer, "trap").box.value = "900"
    number(explorer, "threshold_bytes").box.value = "3MiB"
    choice(explorer, "policy").dropdown.value = "clock"
    names: dict[str, Any] = {}
    exec(save.as_python(explorer.setting), names)  # noqa: S102 - what the explorer wrote
    assert isinstance(names["seen"], Explored)
    assert explorer.explored is not None
    assert names["seen"].result == explorer.explored.result
    assert names["costs"] == explorer.setting.costs
    assert (tmp_path / "explore.png").read_bytes()[:4] == PNG


@pytest.mark.parametrize("placement", ["own", "packed", "spread"])
def test_copied_python_places_a_trace(
    placement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trace = pfnlab.Trace(np.arange(0, 40_000_000, 7919), name="mine")
    pfnlab.save(trace, tmp_path / "mine.parquet")
    explorer = widgets.Explorer("mine.parquet", pfnlab.Params(threshold_bytes="4MiB"), "hvo-8s")
    choice(explorer, "placement").dropdown.value = placement
    names: dict[str, Any] = {}
    exec(save.as_python(explorer.setting), names)  # noqa: S102 - what the explorer wrote
    assert explorer.explored is not None
    assert names["seen"].result == explorer.explored.result


def test_saving_writes_the_sweep_and_the_pictures(
    explorer: widgets.Explorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    explorer._name.value = "kept/here"
    explorer._save()
    assert explorer.lines.message == ""
    frame = pd.read_parquet("kept/here.parquet")
    setting = explorer.setting
    trace = pfnlab.workload("zipf", n_events=30_000, n_pages=200_000).trace(setting.params)
    again = pfnlab.sweep(
        trace, setting.params, costs="hvo-8s", threshold_bytes=frame["threshold_bytes"].tolist()
    )
    pd.testing.assert_frame_equal(frame, again)
    assert setting.params.threshold_bytes in frame["threshold_bytes"].tolist()
    assert Path("kept/here.png").read_bytes()[:4] == PNG
    explorer._name.value = "kept/here"
    explorer._save()
    assert "must be a new name, kept/here.png is there already" in explorer.lines.message


def test_results_is_where_the_explorer_saves(
    explorer: widgets.Explorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert explorer._name.value == "results/explore-1"
    explorer._save()
    saved = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*"))
    assert saved == ["results/explore-1.parquet", "results/explore-1.png"]
    assert explorer._name.value == "results/explore-2"


@pytest.mark.parametrize("name", ["", "a.png", "folder/"])
def test_a_name_that_can_not_be_saved_is_refused(
    explorer: widgets.Explorer, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    explorer._name.value = name
    explorer._save()
    assert "must be a path without ending" in explorer.lines.message
    assert not list(tmp_path.iterdir())


# --- One picture under some controls ----------------------------------------------------------


def small(text: object) -> Figure:
    picture = Figure(figsize=(1, 1))
    picture.text(0, 0, str(text))
    return picture


@pytest.fixture
def run() -> sweep_request.Request:
    return sweep_request.request(
        {"source": "zipf:n_events=5000", "threshold_bytes": "4MiB"}
    ).opened()


def test_a_slider_measures_and_draws_by_the_same_functions(run: sweep_request.Request) -> None:
    seen: list[pd.DataFrame] = []

    def draw(frame: pd.DataFrame) -> Figure:
        seen.append(frame)
        return small(len(seen))

    box = widgets.explore(run, draw, "chunk_bytes", "policy", "trap", measured=run.sweep(),
                          first=small(0))  # fmt: skip
    assert isinstance(box, widgets.Following)
    before = box.picture.value
    number(box, "chunk_bytes").slider.value = 1 << 20
    assert seen[-1]["chunk_bytes"].tolist() == [1 << 20]
    assert box.picture.value != before
    before = box.picture.value
    number(box, "chunk_bytes").slider.value = 8 << 20
    assert "threshold_bytes='4MiB': must be at least chunk_bytes" in box.lines.message
    assert box.picture.value == before
    number(box, "chunk_bytes").slider.value = 1 << 20
    assert box.lines.message == ""
    number(box, "trap").box.value = "1400"
    costs = pfnlab.Costs.preset("hvo-8s").replace(trap=1400.0)
    expected = pfnlab.sweep(run.sources[0], run.params, chunk_bytes=["1MiB"], costs=costs)
    columns = [*(c for c in expected.columns if str(c).endswith("_ns")), "faults"]
    pd.testing.assert_frame_equal(seen[-1][columns], expected[columns])


def test_a_cost_slider_prices_what_was_measured(run: sweep_request.Request) -> None:
    def measure(request: Any) -> Any:
        raise AssertionError("measured")

    seen: list[tuple[object, widgets.Setting]] = []

    def price(measured: object, setting: widgets.Setting) -> object:
        seen.append((measured, setting))
        return measured

    box = widgets.explore(run, small, "n_cpus", "ipi", measured="counts", first=small(0),
                          measure=measure, price=price)  # fmt: skip
    number(box, "n_cpus").slider.value = 128
    number(box, "ipi").box.value = "7"
    assert [measured for measured, _ in seen] == ["counts", "counts"]
    assert seen[-1][1].params == run.params.replace(n_cpus=128)
    assert seen[-1][1].costs == pfnlab.Costs.preset("hvo-8s").replace(ipi=7.0)


def test_names_that_are_nothing_are_refused(run: sweep_request.Request) -> None:
    with pytest.raises(pfnlab.ParameterError, match="no such parameter or cost; did you mean 'tr"):
        widgets.explore(run, small, "trp", measured=None, first=small(0))
    with pytest.raises(pfnlab.ParameterError, match="must be none for the explorer"):
        widgets.explore(run, None, "trap")
    with pytest.raises(pfnlab.ParameterError, match="first=None: must be the picture"):
        widgets.explore(run, small, "trap")


# --- Answers in time --------------------------------------------------------------------------


class Asking:
    """A refiner over numbers whose exact answer waits until it is told to go on."""

    def __init__(self, *, quick: bool) -> None:
        self.shown: list[str] = []
        self.said: list[str] = []
        self.begun: list[int] = []
        self.go_on = threading.Event()
        self.refiner: Refiner[int, str] = Refiner(
            lambda number: f"sample {number}" if quick else None, self._exact,
            lambda number, seen: self.shown.append(seen), self.said.append,
        )  # fmt: skip

    def _exact(self, number: int, look: Look) -> str:
        self.begun.append(number)
        if number < 0:
            raise pfnlab.TraceError(f"{number}: is gone")
        while not self.go_on.wait(0.005):
            look(1)
        return f"exact {number}"

    async def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, (self.shown, self.said, self.begun)
            await asyncio.sleep(0.005)


def test_the_last_question_is_answered_exactly() -> None:
    async def scenario() -> Asking:
        asking = Asking(quick=True)
        asking.refiner.ask(0)
        await asking.until(lambda: asking.begun == [0])
        for number in range(1, 50):
            asking.refiner.ask(number)
        assert asking.shown == [f"sample {number}" for number in range(50)]
        asking.go_on.set()
        await asking.until(lambda: asking.shown[-1] == "exact 49")
        await asyncio.sleep(0.05)
        return asking

    asking = asyncio.run(scenario())
    assert asking.begun == [0, 49]  # no backlog
    assert asking.shown[50:] == ["exact 49"]
    assert not asking.said


def test_without_a_quick_answer_the_exact_ones_do_not_pile_up() -> None:
    async def scenario() -> Asking:
        asking = Asking(quick=False)
        asking.refiner.ask(0)
        await asking.until(lambda: asking.begun == [0])
        for number in range(1, 50):
            asking.refiner.ask(number)
        asking.go_on.set()
        await asking.until(lambda: "exact 49" in asking.shown)
        return asking

    asking = asyncio.run(scenario())
    assert asking.begun == [0, 49]
    assert asking.shown == ["exact 0", "exact 49"]


def test_what_goes_wrong_is_said_and_the_next_question_answered() -> None:
    async def scenario() -> Asking:
        asking = Asking(quick=True)
        asking.go_on.set()
        asking.refiner.ask(-1)
        await asking.until(lambda: bool(asking.said))
        asking.refiner.ask(1)
        await asking.until(lambda: asking.shown[-1] == "exact 1")
        return asking

    assert asyncio.run(scenario()).said == ["-1: is gone"]


def test_work_is_given_up_when_something_else_is_asked() -> None:
    stopped: list[int] = []
    begun = threading.Event()

    async def scenario() -> None:
        def exact(number: int, look: Look) -> str:
            begun.set()
            try:
                while number == 0:
                    look(1)
                    time.sleep(0.001)
            except SupersededError:
                stopped.append(number)
                raise
            return str(number)

        shown: list[str] = []
        refiner: Refiner[int, str] = Refiner(
            str, exact, lambda number, seen: shown.append(seen), shown.append
        )
        refiner.ask(0)
        while not begun.is_set():
            await asyncio.sleep(0.005)
        refiner.ask(1)
        for _ in range(4000):
            if shown[-1] == "1" and len(shown) == 3:
                return
            await asyncio.sleep(0.005)

    asyncio.run(scenario())
    assert stopped == [0]


def test_a_large_trace_is_sampled_first() -> None:
    statuses: list[str] = []

    async def scenario() -> widgets.Explorer:
        params = pfnlab.Params(chunk_bytes="64KiB", threshold_bytes="32MiB")
        explorer = widgets.Explorer("zipf:n_events=400000", params, "hvo-8s")
        for _ in range(6000):
            statuses.append(explorer.explored.status if explorer.explored else "")
            if statuses[-1] == "exact":
                break
            await asyncio.sleep(0.01)
        return explorer

    explorer = asyncio.run(scenario())
    assert list(dict.fromkeys(statuses)) == ["sample 1/8", "exact"]
    params = explorer.setting.params
    trace = pfnlab.workload("zipf", n_events=400_000).trace(params)
    assert explorer.explored is not None
    assert explorer.explored.result == pfnlab.replay(trace, params)


def test_pictures_are_what_the_figure_shows(explorer: widgets.Explorer) -> None:
    sizes = {Image.open(BytesIO(p.image.value)).size for p in explorer.pictures.values()}
    assert sizes == {(422, 259)}
    assert explorer.explored is not None
    figure = figures.exploration(explorer.explored, explorer.setting.costs)
    assert "under lra" in str(figure.get_suptitle())


def test_a_sweep_of_a_large_trace_is_sampled_first() -> None:
    statuses: list[str] = []
    frames: list[pd.DataFrame] = []
    given: dict[str, Any] = {
        "source": ["zipf:n_events=400000", "sequential:n_events=3000"],
        "costs": "invlpgb",
        "chunk_bytes_axis": ["4KiB", "64KiB"],
        "threshold_of_footprint_axis": [0.25, 0.5],
    }
    run = sweep_request.request(given).opened()

    def draw(frame: pd.DataFrame) -> Figure:
        frames.append(frame)
        return small(len(frames))

    async def scenario() -> None:
        box = widgets.explore(run, draw, "policy", measured=run.sweep(), first=small(0))
        choice(box, "policy").dropdown.value = "lru"
        for _ in range(6000):
            statuses.append(box.lines.status)
            if statuses[-1] == "exact":
                return
            await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert statuses[0] == "sample 1/8"
    assert {*statuses} <= {"sample 1/8", "replaying ...", "exact"}
    sample, exact = frames
    again = run.sweep(run.params.replace(policy="lru"))
    pd.testing.assert_frame_equal(exact, again)
    assert [*sample.columns] == [*exact.columns]
    same = [*PARAMETERS.keys() - {"threshold_bytes"}, "source", "n_events", "costs"]
    pd.testing.assert_frame_equal(sample[same], exact[same])
    small_one = exact["source"] == "sequential"
    pd.testing.assert_frame_equal(sample[small_one], exact[small_one])
    np.testing.assert_allclose(sample["miss_ratio"], exact["miss_ratio"], rtol=0.1)
    np.testing.assert_allclose(sample["event_ns"], exact["event_ns"], rtol=0.1)
    np.testing.assert_allclose(sample["footprint_bytes"], exact["footprint_bytes"], rtol=0.02)


def test_a_moment_is_marked_where_there_is_time(explorer: widgets.Explorer) -> None:
    before = {name: picture.image.value for name, picture in explorer.pictures.items()}
    explorer.moment.value = 40
    after = {name: picture.image.value for name, picture in explorer.pictures.items()}
    assert [n for n in after if after[n] != before[n]] == ["timeline", "residency"]
    explorer.moment.value = 100
    assert {name: picture.image.value for name, picture in explorer.pictures.items()} == before


# --- What a reviewer found --------------------------------------------------------------------


def test_a_late_answer_is_not_shown_over_a_newer_one() -> None:
    shown: list[str] = []

    async def scenario() -> None:
        begun, go_on = threading.Event(), threading.Event()

        def exact(number: int, look: Look) -> str:
            begun.set()
            go_on.wait(10)
            look(1)
            return f"exact {number}"

        refiner: Refiner[int, str] = Refiner(
            lambda number: f"sample {number}" if number else None,
            exact, lambda number, seen: shown.append(seen), shown.append,
        )  # fmt: skip
        refiner.ask(0)  # has no quick answer
        while not begun.is_set():
            await asyncio.sleep(0.005)
        refiner.ask(1)
        go_on.set()
        for _ in range(4000):
            if shown[-1] == "exact 1":
                return
            await asyncio.sleep(0.005)

    asyncio.run(scenario())
    assert shown == ["sample 1", "exact 1"]


@pytest.mark.parametrize("error", [MemoryError("8 TiB"), ValueError("no")])
def test_whatever_goes_wrong_is_said(
    explorer: widgets.Explorer, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any, **options: Any) -> Any:
        raise error

    monkeypatch.setattr("pfnlab.engine.exploration.timeline", fail)
    number(explorer, "threshold_bytes").box.value = "4MiB"
    assert f"{type(error).__name__}: {error}" in explorer.lines.message
    assert explorer.lines.status == "exact"
    monkeypatch.undo()
    number(explorer, "threshold_bytes").box.value = "3MiB"
    assert explorer.lines.message == ""
    number(explorer, "trap").box.value = "1e308"
    assert "ValueError" in explorer.lines.message


@pytest.mark.slow
def test_a_region_too_large_to_be_seen_is_refused(explorer: widgets.Explorer) -> None:
    number(explorer, "descriptor_bytes").box.value = "4096B"
    number(explorer, "region_bytes").box.value = "32PiB"
    assert "region_bytes='32PiB'" in explorer.lines.message
    assert "must fit in" in explorer.lines.message


def test_a_refusal_stands_until_it_is_mended(explorer: widgets.Explorer) -> None:
    number(explorer, "threshold_bytes").box.value = "1MiB"
    number(explorer, "trap").box.value = "900"
    assert "must be at least chunk_bytes" in explorer.lines.message
    number(explorer, "threshold_bytes").box.value = "2MiB"
    assert explorer.lines.message == ""


def test_what_is_saved_and_copied_is_what_is_shown(
    explorer: widgets.Explorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    number(explorer, "threshold_bytes").box.value = "1MiB"  # refused: the pictures are of 2 MiB
    explorer._copy()
    assert "threshold_bytes='2MiB'" in explorer._code.value
    explorer._name.value = " kept "
    explorer._save()
    assert explorer.lines.message == ""
    frame = pd.read_parquet(tmp_path / "kept.parquet")
    assert 2 << 20 in frame["threshold_bytes"].tolist()


def test_a_pinned_sample_becomes_exact() -> None:
    async def scenario() -> widgets.Explorer:
        params = pfnlab.Params(chunk_bytes="64KiB", threshold_bytes="32MiB")
        explorer = widgets.Explorer("zipf:n_events=400000", params, "hvo-8s")
        explorer._pin()
        assert "pinned, sample 1/8" in explorer._counted.value
        for _ in range(6000):
            if explorer.lines.status == "exact":
                break
            await asyncio.sleep(0.01)
        return explorer

    explorer = asyncio.run(scenario())
    assert explorer._pinned is not None
    assert explorer._pinned.seen.status == "exact"
    assert "sample" not in explorer._counted.value


@pytest.mark.parametrize("source", ["toy", "data/traces/sqlite.parquet"])
def test_copied_python_finds_its_source_from_anywhere(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    explorer = widgets.Explorer(source, pfnlab.Params(threshold_bytes="8MiB"), "hvo-8s")
    names: dict[str, Any] = {}
    exec(save.as_python(explorer.setting), names)  # noqa: S102 - what the explorer wrote
    assert explorer.explored is not None
    assert names["seen"].result == explorer.explored.result


def test_costs_of_ones_own_are_written_whole(explorer: widgets.Explorer) -> None:
    costs = pfnlab.Costs.preset("hvo-8s").replace(trap=900.0, name="mine")
    mine = widgets.Explorer("zipf:n_events=3000", pfnlab.Params(), costs)
    names: dict[str, Any] = {}
    code = save.as_python(mine.setting).partition("seen =")[0]
    exec(code, names)  # noqa: S102 - what the explorer wrote
    assert names["costs"] == costs
    choice(mine, "machine").dropdown.value = "latr-8s120"
    assert "(assumed)" not in number(mine, "shootdown").slider.tooltip
    choice(mine, "machine").dropdown.value = "mine"
    assert mine.setting.costs == costs


@pytest.mark.parametrize(("typed", "value"), [("1,234.5", 1234.5), ("1234.56 ns", 1234.56)])
def test_a_cost_is_read_and_shown_in_full(
    explorer: widgets.Explorer, typed: str, value: float
) -> None:
    number(explorer, "trap").box.value = typed
    assert number(explorer, "trap").value == value
    assert number(explorer, "trap").box.value == f"{value:,} ns"
    number(explorer, "trap").box.value = "1,5"
    assert "trap='1,5': must be a number of ns" in explorer.lines.message
