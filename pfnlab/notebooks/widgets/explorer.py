"""All the sliders of the lab around four linked pictures of one configuration."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from html import escape
from typing import Any

import ipywidgets

from pfnlab.engine.exploration import Explored
from pfnlab.figures.explorer import VIEWS, Shown
from pfnlab.notebooks.sources import shipped_traces
from pfnlab.notebooks.widgets import save
from pfnlab.notebooks.widgets.controls import (
    STYLE,
    WIDE,
    Choice,
    Control,
    about,
    classed,
    cost_control,
    moved_to,
    parameter_control,
)
from pfnlab.notebooks.widgets.counter_table import table
from pfnlab.notebooks.widgets.pictures import LivePicture
from pfnlab.notebooks.widgets.refiner import Refiner
from pfnlab.notebooks.widgets.source_box import PLACEMENTS, Chosen, Opened, Question, SourceBox
from pfnlab.notebooks.widgets.status import Lines, said
from pfnlab.params import PARAMETERS, Params
from pfnlab.params.cost_presets import PRESETS
from pfnlab.params.costs import Costs, costs_of
from pfnlab.params.regions import REGIONS, region
from pfnlab.params.user_costs import calibrated_names
from pfnlab.traces.workloads import WORKLOADS

_NONE = "–"
#: What only the alternatives cost, none of which is in the pictures.
_NOT_SHOWN = ("device_latency",)
#: What a preset of a region sets.
_OF_A_DEVICE = ("region_bytes", "page_bytes", "n_cpus")


class Explorer(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets has no annotations
    """The panel of the `explore` notebook.

    A cost is moved without a replay. Whatever else is moved is replayed on a sample of a large
    trace at once, and exactly as soon as nothing is pressed for a moment.

    Parameters
    ----------
    source
        What a source is called, see `pfnlab.notebooks.sources.find_source`.
    params, costs
        Where the sliders start.
    """

    def __init__(self, source: str, params: Params, costs: str | Costs) -> None:
        self._costs = self._begun = costs_of(costs)
        self._sources = Opened()
        self._params = {n: parameter_control(PARAMETERS[n], getattr(params, n)) for n in PARAMETERS}
        self._cost_controls = {
            name: cost_control(name, figure, self._costs)
            for name, figure in self._costs.figures().items()
            if name not in _NOT_SHOWN
        }
        self.pictures = {name: LivePicture(name) for name in VIEWS}
        self._question: Question | None = None  # what the pictures answer
        self._seen: Explored | None = None
        self._pinned: Shown | None = None
        self._pinned_question: Question | None = None
        self.lines = Lines()
        self._counted = ipywidgets.HTML()
        self._presets = self._made_presets(source)
        self.moment = ipywidgets.IntSlider(
            100, 0, 100, description="moment, %", style=STYLE,
            tooltip="marks a moment of the trace in the pictures that have time",
            layout=ipywidgets.Layout(width="400px"),
        )  # fmt: skip
        classed(self.moment, "moment")
        self.moment.observe(lambda change: self._remark(), names="value")
        self._refiner: Refiner[Question, Explored] = Refiner(
            lambda question: question.exploration.sample(question.setting.params),
            lambda question, look: question.exploration.exact(question.setting.params, look),
            self._answered, self._refused, self._busy,
        )  # fmt: skip
        super().__init__(self._laid_out())
        self.add_class("pfnlab-explorer")
        self._watch()
        self._replay()

    @property
    def controls(self) -> dict[str, Control]:
        """All controls by name."""
        return {**self._presets, **self._params, **self._cost_controls}

    # --- What is asked ------------------------------------------------------------------------

    @property
    def setting(self) -> Chosen:
        """What the controls say.

        Raises
        ------
        ParameterError
            If sizes can't stand together.
        """
        params = Params(**{name: control.value for name, control in self._params.items()})
        source, placement = self._presets["source"].value, self._presets["placement"].value
        return Chosen(source, placement, params, self._priced())

    def _priced(self) -> Costs:
        """Return what the sliders of costs say."""
        chosen = {name: control.value for name, control in self._cost_controls.items()}
        return moved_to(self._costs, chosen)

    @property
    def explored(self) -> Explored | None:
        """What the pictures show; None before the first."""
        return self._seen

    # --- What is moved ------------------------------------------------------------------------

    def _watch(self) -> None:
        for name, control in self._params.items():
            control.watch(self._price if name == "n_cpus" else self._replay, self.lines.say)
            if name in _OF_A_DEVICE:
                control.watch(lambda: self._presets["region"].move(_NONE), lambda message: None)
        for control in self._cost_controls.values():
            control.watch(self._price, self.lines.say)
        for name in ("source", "placement"):
            self._presets[name].watch(self._replay, self.lines.say)
        self._presets["region"].watch(self._to_region, self.lines.say)
        self._presets["machine"].watch(self._to_machine, self.lines.say)

    def _replay(self) -> None:
        """Ask for another replay."""
        self._busy()
        try:
            setting = self.setting
            question = Question(setting, self._sources.exploration(setting))
        except Exception as error:
            self._refiner.drop()
            self._refused(said(error))
            return
        self.lines.say("")
        self._refiner.ask(question)

    def _price(self) -> None:
        """Draw anew what depends on costs; nothing is replayed."""
        if self._seen is None or self._question is None:
            return
        with self.lines.guarded():
            self._show(self._seen, priced_only=True)
            # What was refused before still is, unless all is as the pictures say.
            if self.setting.replays_as(self._question.setting):
                self.lines.say("")

    def _remark(self) -> None:
        """Mark another moment in the pictures that have time; nothing is replayed."""
        if self._seen is not None:
            with self.lines.guarded():
                self._draw("timeline", "residency")

    def _to_region(self) -> None:
        name = self._presets["region"].value
        if name != _NONE:
            for field in _OF_A_DEVICE:
                self._params[field].move(getattr(region(name), field))
            self._replay()

    def _to_machine(self) -> None:
        name = self._presets["machine"].value
        with self.lines.guarded():
            self._costs = self._begun if name == self._begun.name else costs_of(name)
            figures = self._costs.figures()
            for each, control in self._cost_controls.items():
                control.move(figures[each].value)
                control.describe(about(figures[each]))
            self._price()

    # --- What is shown ------------------------------------------------------------------------

    def _busy(self) -> None:
        self.lines.tell("replaying ...")

    def _refused(self, message: str) -> None:
        self.lines.say(message)
        self.lines.tell(self._seen.status if self._seen else "")

    def _answered(self, question: Question, seen: Explored) -> None:
        self._question = question
        self._seen = seen.on_cpus(self._params["n_cpus"].value)
        if question is self._pinned_question:  # a sample was pinned, and here is all of it
            self._pinned = self._shown(self._seen)
        self._show(self._seen)

    def _show(self, seen: Explored, priced_only: bool = False) -> None:
        self._seen = seen.on_cpus(self._params["n_cpus"].value)
        self._draw(*(["time"] if priced_only else VIEWS))
        self.lines.tell(seen.status)
        self._counted.value = table(self._shown(self._seen), self._pinned)
        if self._code.layout.display is None:
            self._copy()

    def _shown(self, seen: Explored) -> Shown:
        return Shown(seen, self._priced(), self.moment.value / 100)

    def _draw(self, *names: str) -> None:
        """Draw some pictures anew, in this order."""
        assert self._seen is not None  # else there is nothing to draw
        now = self._shown(self._seen)
        for name in names:
            self.pictures[name].show(now, self._pinned)

    # --- Buttons ------------------------------------------------------------------------------

    def _pin(self, button: Any = None) -> None:
        if self._seen is not None:
            self._pinned, self._pinned_question = self._shown(self._seen), self._question
            self._show(self._seen)

    def _unpin(self, button: Any = None) -> None:
        self._pinned = self._pinned_question = None
        if self._seen is not None:
            self._show(self._seen)

    def _copy(self, button: Any = None) -> None:
        if (shown := self._shown_setting()) is not None:
            with self.lines.guarded():
                self._code.value = save.as_python(shown)
                self._code.layout.display = None

    def _shown_setting(self) -> Chosen | None:
        """Return what the pictures show, which after a refusal is not what the controls say."""
        if self._question is None or self._seen is None:
            return None
        return replace(self._question.setting, params=self._seen.params, costs=self._priced())

    def _save(self, button: Any = None) -> None:
        setting = self._shown_setting()
        if self._question is None or self._seen is None or setting is None:
            self.lines.say("save: there is nothing to be saved yet")
            return
        with self.lines.guarded():
            seen, exploration = self._seen, self._question.exploration
            if seen.divisor > 1:  # what is kept is exact
                seen = exploration.exact(setting.params)
            steps = {*exploration.thresholds(setting.params), setting.params.threshold_bytes}
            written = save.save(
                self._name.value, exploration.trace, sorted(steps), setting, self._shown(seen),
                self._pinned,
            )  # fmt: skip
            self.lines.say("")
            self._saved.value = f"wrote {escape(written)}"
            self._name.value = save.free_name()

    # --- Layout -------------------------------------------------------------------------------

    def _made_presets(self, source: str) -> dict[str, Control]:
        sources = [*dict.fromkeys([source, *shipped_traces(), *WORKLOADS])]
        devices = [_NONE, *REGIONS]
        machines = [*dict.fromkeys([self._costs.name, *PRESETS, *calibrated_names()])]
        return {
            "source": SourceBox(sources, source),
            "placement": Choice(
                "placement", "own pfns; or laid into the region area by area", PLACEMENTS, "own"
            ),
            "region": Choice("region", "a device's size, pages and CPUs", devices, _NONE),
            "machine": Choice("machine", "a preset of costs", machines, self._costs.name),
        }  # fmt: skip

    def _laid_out(self) -> list[ipywidgets.Widget]:
        """Pictures with the controls beside them, or below where the page is narrow."""
        tabs = ipywidgets.Tab(
            [_flowing(self._params), _flowing(self._cost_controls)], titles=("mechanism", "costs")
        )
        pictures = ipywidgets.GridBox(
            [each.image for each in self.pictures.values()],
            layout=ipywidgets.Layout(grid_template_columns="repeat(2, minmax(0, 424px))"),
        )
        controls = ipywidgets.VBox(
            [self.lines.row, _flowing(self._presets), tabs, self._buttons(), self._code],
            layout=ipywidgets.Layout(flex="1 1 310px", max_width="872px"),
        )
        pictures = ipywidgets.VBox(
            [pictures, self.moment], layout=ipywidgets.Layout(flex="0 1 856px")
        )
        return [self.lines.row, _wrapped([pictures, controls]), self._counted]

    def _buttons(self) -> ipywidgets.Widget:
        self._name = ipywidgets.Text(
            value=save.free_name(), layout=ipywidgets.Layout(width="160px"),
            tooltip="path without ending; .png and .parquet are written",
        )  # fmt: skip
        self._name.add_class("pfnlab-save-name")
        self._saved = ipywidgets.HTML()
        self._code = ipywidgets.Textarea(
            rows=11, layout=ipywidgets.Layout(width="100%", display="none")
        )
        self._code.add_class("pfnlab-code")
        return _wrapped(
            [
                _button("Pin", "compare what follows with this", self._pin),
                _button("Unpin", "compare no more", self._unpin),
                _button("Copy as Python", "the call that makes these pictures", self._copy),
                _button("Save as", "write frame and PNG", self._save),
                self._name,
                self._saved,
            ]
        )


def _flowing(controls: Mapping[str, Control]) -> ipywidgets.Widget:
    rows = [control.row for control in controls.values()]
    for row in rows:
        row.layout.flex, row.layout.max_width = f"1 1 {WIDE}", "420px"
    return _wrapped(rows)


def _wrapped(parts: list[ipywidgets.Widget]) -> ipywidgets.Widget:
    """Lay parts side by side, and below each other where there is no room."""
    layout = ipywidgets.Layout(display="flex", flex_flow="row wrap", align_items="flex-start")
    return ipywidgets.Box(parts, layout=layout)


def _button(text: str, help: str, clicked: Callable[[Any], None]) -> ipywidgets.Button:
    button = ipywidgets.Button(
        description=text, tooltip=help, layout=ipywidgets.Layout(width="auto")
    )
    button.on_click(clicked)
    return button
