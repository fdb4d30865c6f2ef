"""All the sliders of the lab around four linked pictures of one configuration."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets

from pfnlab.calibrated import calibrated_names
from pfnlab.costs import Costs, costs_of
from pfnlab.errors import PfnlabError
from pfnlab.figures.exploring import VIEWS, Shown
from pfnlab.named import shipped_traces
from pfnlab.params import PARAMETERS, Params
from pfnlab.presets import PRESETS
from pfnlab.regions import REGIONS, region
from pfnlab.studies.exploring import Explored
from pfnlab.widgets import keeping
from pfnlab.widgets.controls import Choice, Control, cost_control, parameter_control
from pfnlab.widgets.counted import table
from pfnlab.widgets.keeping import Setting
from pfnlab.widgets.lines import Lines
from pfnlab.widgets.pictures import LivePicture
from pfnlab.widgets.refining import Look, Refiner
from pfnlab.widgets.sources import PLACEMENTS, Asked, Opened, SourceBox
from pfnlab.workloads import WORKLOADS

_NONE = "–"


class Explorer(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets has no annotations
    """The panel of the `explore` notebook.

    A cost is moved without a replay. Whatever else is moved is replayed on a sample of a large
    trace at once, and exactly as soon as nothing is pressed for a moment.

    Parameters
    ----------
    source
        What a source is called, see `pfnlab.named.find_source`.
    params, costs
        Where the sliders start.
    """

    def __init__(self, source: str, params: Params, costs: str | Costs) -> None:
        self._costs = costs_of(costs)
        self._sources = Opened()
        self._params = {n: parameter_control(PARAMETERS[n], getattr(params, n)) for n in PARAMETERS}
        self._cost_controls = {
            name: cost_control(name, figure, self._costs)
            for name, figure in self._costs.figures().items()
        }
        self.pictures = {name: LivePicture(name) for name in VIEWS}
        self._seen: Explored | None = None
        self._pinned: Shown | None = None
        self.lines = Lines()
        self._counted = ipywidgets.HTML()
        self._presets = self._made_presets(source)
        self._refiner = Refiner(
            self._sample,
            self._exact,
            self._show,
            self.lines.say,
            lambda: self.lines.tell("replaying ..."),
        )
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
    def setting(self) -> Setting:
        """What the controls say.

        Raises
        ------
        ParameterError
            If sizes can't stand together.
        """
        params = Params(**{name: control.value for name, control in self._params.items()})
        source, placement = self._presets["source"].value, self._presets["placement"].value
        return Setting(source, placement, params, self._priced())

    def _priced(self) -> Costs:
        """Return what the sliders of costs say."""
        chosen = {name: control.value for name, control in self._cost_controls.items()}
        moved = {n: value for n, value in chosen.items() if value != getattr(self._costs, n)}
        return self._costs.replace(**moved) if moved else self._costs

    @property
    def explored(self) -> Explored | None:
        """What the pictures show; None before the first."""
        return self._seen

    def _sample(self, asked: Asked) -> Explored | None:
        return self._sources.exploration(asked).sample(asked.params)

    def _exact(self, asked: Asked, look: Look) -> Explored:
        return self._sources.exploration(asked).exact(asked.params, look)

    # --- What is moved ------------------------------------------------------------------------

    def _watch(self) -> None:
        for name, control in self._params.items():
            control.watch(self._price if name == "n_cpus" else self._replay, self.lines.say)
        for control in self._cost_controls.values():
            control.watch(self._price, self.lines.say)
        for name in ("source", "placement"):
            self._presets[name].watch(self._replay, self.lines.say)
        self._presets["region"].watch(self._to_region, self.lines.say)
        self._presets["machine"].watch(self._to_machine, self.lines.say)

    def _replay(self) -> None:
        """Ask for another replay."""
        try:
            setting = self.setting
        except PfnlabError as error:
            self.lines.say(str(error))
            return
        self.lines.say("")
        self._refiner.ask(Asked(setting.source, setting.placement, setting.params))

    def _price(self) -> None:
        """Draw anew what depends on costs; nothing is replayed."""
        if self._seen is not None:
            self._show(self._seen, priced_only=True)
            self.lines.say("")

    def _to_region(self) -> None:
        name = self._presets["region"].value
        if name == _NONE:
            return
        device = region(name)
        for field in ("region_bytes", "page_bytes", "n_cpus"):
            self._params[field].move(getattr(device, field))
        self._cost_controls["device_latency"].move(device.device_latency)
        self._replay()

    def _to_machine(self) -> None:
        try:
            self._costs = costs_of(self._presets["machine"].value)
        except PfnlabError as error:
            self.lines.say(str(error))
            return
        for name, control in self._cost_controls.items():
            control.move(getattr(self._costs, name))
        self._price()

    # --- What is shown ------------------------------------------------------------------------

    def _show(self, seen: Explored, priced_only: bool = False) -> None:
        self._seen = seen.on_cpus(self._params["n_cpus"].value)
        now = Shown(self._seen, self._priced())
        for name, picture in self.pictures.items():
            if name == "time" or not priced_only:
                picture.show(now, self._pinned)
        self.lines.tell(seen.status)
        self._counted.value = table(now, self._pinned)
        if self._code.layout.display is None:
            self._copy()

    # --- Buttons ------------------------------------------------------------------------------

    def _pin(self, button: Any = None) -> None:
        if self._seen is not None:
            self._pinned = Shown(self._seen, self._priced())
            self._show(self._seen)

    def _unpin(self, button: Any = None) -> None:
        self._pinned = None
        if self._seen is not None:
            self._show(self._seen)

    def _copy(self, button: Any = None) -> None:
        try:
            self._code.value = keeping.as_python(self.setting)
        except PfnlabError as error:
            self.lines.say(str(error))
            return
        self._code.layout.display = None

    def _save(self, button: Any = None) -> None:
        if self._seen is None:
            self.lines.say("save: there is nothing to be saved yet")
            return
        setting, now = self.setting, Shown(self._seen, self.setting.costs)
        try:
            exploration = self._sources.exploration(
                Asked(setting.source, setting.placement, setting.params)
            )
            if self._seen.divisor > 1:  # what is kept is exact
                now = Shown(exploration.exact(setting.params), setting.costs)
            steps = sorted(
                {*exploration.thresholds(setting.params), setting.params.threshold_bytes}
            )
            written = keeping.save(
                self._name.value.strip(), exploration.trace, steps, setting, now, self._pinned
            )
        except PfnlabError as error:
            self.lines.say(str(error))
            return
        self.lines.say("")
        self._saved.value = f"wrote {escape(written)}"
        self._name.value = keeping.free_name()

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
            "region": Choice("region", "a device's size, pages, CPUs and latency", devices, _NONE),
            "machine": Choice("machine", "a preset of costs", machines, self._costs.name),
        }  # fmt: skip

    def _laid_out(self) -> list[ipywidgets.Widget]:
        """Pictures with the controls beside them, or below where the page is narrow."""
        tabs = ipywidgets.Tab(
            [_flowing(self._params), _flowing(self._cost_controls)], titles=("mechanism", "costs")
        )
        pictures = ipywidgets.GridBox(
            [each.image for each in self.pictures.values()],
            layout=ipywidgets.Layout(
                grid_template_columns="repeat(2, minmax(0, 424px))", flex="0 1 856px"
            ),
        )
        controls = ipywidgets.VBox(
            [_flowing(self._presets), tabs, self._buttons(), self._code],
            layout=ipywidgets.Layout(flex="1 1 310px", max_width="872px"),
        )
        return [self.lines.row, _wrapped([pictures, controls]), self._counted]

    def _buttons(self) -> ipywidgets.Widget:
        self._name = ipywidgets.Text(
            value=keeping.free_name(), layout=ipywidgets.Layout(width="120px"),
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


def _flowing(controls: dict[str, Control]) -> ipywidgets.Widget:
    return _wrapped([control.row for control in controls.values()])


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
