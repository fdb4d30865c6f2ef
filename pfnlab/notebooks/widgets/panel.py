"""Controls above one picture that follows them: what every claim's notebook has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ipywidgets
import pandas as pd
from matplotlib.figure import Figure

from pfnlab.engine import sampling
from pfnlab.errors import ParameterError, PfnlabError, near
from pfnlab.figures import png
from pfnlab.notebooks.sweep_request import Request
from pfnlab.notebooks.widgets.controls import Control, cost_control, moved_to, parameter_control
from pfnlab.notebooks.widgets.pictures import picture
from pfnlab.notebooks.widgets.refiner import Look, Refiner
from pfnlab.notebooks.widgets.status import Lines
from pfnlab.params import PARAMETERS, Params
from pfnlab.params.costs import FIGURES, Costs, costs_of
from pfnlab.sweeps import priced
from pfnlab.sweeps.sampled import Held, SampledSweep

#: Fields that change no counter: moving them is pricing.
PRICED = ("n_cpus",)


@dataclass(frozen=True, slots=True)
class Setting:
    """What the controls say."""

    params: Params
    costs: Costs


#: Events that people wait for: a tenth of a second or two.
_MOST_EVENTS = 20_000_000

_WIDE = "560px"

Measure = Callable[[Any], Any]
Price = Callable[[Any, Setting], Any]


class Following(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets has no annotations
    """Controls of some parameters and costs above a picture; see `widgets.explore`."""

    def __init__(
        self,
        run: Request,
        draw: Callable[[Any], Figure],
        names: tuple[str, ...],
        measured: Any,
        first: Figure,
        measure: Measure | None,
        price: Price | None,
    ) -> None:
        self._run, self._draw, self._measure, self._price = run, draw, measure, price
        self._measured, self._divisor, self._costs = measured, 1, costs_of(run.costs)
        self.controls = {name: self._control(name) for name in names}
        self.lines = Lines()
        self.picture = picture()
        self.picture.value = png(first)
        self.lines.tell("exact")
        self._held = [Held(source) for source in run.placed()] if measure is Request.sweep else []
        self._refiner: Refiner[Params, tuple[Any, int]] = Refiner(
            self._sample, self._replay, lambda params, seen: self._show(seen), self._refused,
            lambda: self.lines.tell("replaying ..."),
        )  # fmt: skip
        rows = [control.row for control in self.controls.values()]
        for row in rows:
            row.layout.width = _WIDE
        super().__init__([*rows, self.lines.row, self.picture])
        self.add_class("pfnlab-explorer")
        for name, control in self.controls.items():
            only_priced = measure is None or name in (*FIGURES, *PRICED)
            control.watch(self._moved_price if only_priced else self._moved, self.lines.say)

    def _control(self, name: str) -> Control:
        if name in PARAMETERS:
            return parameter_control(PARAMETERS[name], getattr(self._run.params, name))
        known = self._costs.figures()
        if name not in known:
            requirement = f"no such parameter or cost; {near(name, [*PARAMETERS, *known])}"
            raise ParameterError("names", name, requirement)
        return cost_control(name, known[name], self._costs)

    @property
    def setting(self) -> Setting:
        """What the controls say.

        Raises
        ------
        ParameterError
            If sizes can't stand together.
        """
        values = {name: control.value for name, control in self.controls.items()}
        params = self._run.params.replace(**{n: v for n, v in values.items() if n in PARAMETERS})
        costs = {name: value for name, value in values.items() if name in FIGURES}
        return Setting(params, moved_to(self._costs, costs))

    def _moved(self) -> None:
        try:
            params = self.setting.params
        except PfnlabError as error:
            self._refiner.drop()
            self._refused(str(error))
            return
        self.lines.say("")
        self._refiner.ask(params)

    def _sample(self, params: Params) -> tuple[pd.DataFrame, int] | None:
        """Sweep samples of the sources; None for what is no sweep, or where that takes long."""
        if not self._held or params.region_bytes != self._run.params.region_bytes:
            return None
        axes = self._run.moved_to(params).axes
        sweeps = [SampledSweep.of(source, params, axes) for source in self._held]
        largest = max(each.divisor for each in sweeps)
        if largest == 1 or sum(each.n_events for each in sweeps) > _MOST_EVENTS:
            return None
        frames = [each.frame(self._costs) for each in sweeps]
        return pd.concat(frames, ignore_index=True), largest

    def _replay(self, params: Params, look: Look) -> tuple[Any, int]:
        assert self._measure is not None  # else nothing asks for it
        return self._measure(self._run.moved_to(params)), 1

    def _moved_price(self) -> None:
        with self.lines.guarded():
            self._show((self._measured, self._divisor))
            if self.setting:  # else a refusal still stands
                self.lines.say("")

    def _refused(self, message: str) -> None:
        self.lines.say(message)
        self._tell()

    def _tell(self) -> None:
        self.lines.tell(sampling.status(self._divisor))

    def _show(self, seen: tuple[Any, int]) -> None:
        self._measured, self._divisor = seen
        drawn = self._measured
        if self._price is not None:
            drawn = self._price(drawn, self.setting)
        self.picture.value = png(self._draw(drawn))
        self._tell()


def repriced(frame: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    """Return the frame of a sweep under other costs, and other CPUs unless they were swept."""
    swept = "n_cpus" in frame and frame["n_cpus"].nunique() > 1
    return priced(frame if swept else frame.assign(n_cpus=setting.params.n_cpus), setting.costs)
