"""Controls above one picture that follows them: what every claim's notebook has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ipywidgets
import pandas as pd
from matplotlib.figure import Figure

from pfnlab.asked import Request
from pfnlab.costs import FIGURES, Costs, costs_of
from pfnlab.errors import ParameterError, PfnlabError, near
from pfnlab.figures import png
from pfnlab.grid import priced
from pfnlab.params import PARAMETERS, Params
from pfnlab.widgets.controls import Control, cost_control, parameter_control
from pfnlab.widgets.lines import Lines
from pfnlab.widgets.pictures import picture
from pfnlab.widgets.refining import Look, Refiner

#: Fields that change no counter: moving them is pricing.
PRICED = ("n_cpus",)


@dataclass(frozen=True, slots=True)
class Setting:
    """What the controls say."""

    params: Params
    costs: Costs


Measure = Callable[[Any], Any]
Price = Callable[[Any, Setting], Any]


class Following(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets has no annotations
    """Controls of some parameters and costs above a picture; see `pfnlab.widgets.explore`."""

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
        self._measured, self._costs = measured, costs_of(run.costs)
        self.controls = {name: self._control(name) for name in names}
        self.lines = Lines()
        self.picture = picture()
        self.picture.value = png(first)
        self._refiner: Refiner[Params, Any] = Refiner(
            lambda params: None, self._replay, self._show, self.lines.say,
            lambda: self.lines.tell("replaying ..."),
        )  # fmt: skip
        rows = [control.row for control in self.controls.values()]
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
        start = self._costs
        moved = {n: v for n, v in values.items() if n in FIGURES and v != getattr(start, n)}
        return Setting(params, start.replace(**moved) if moved else start)

    def _moved(self) -> None:
        try:
            params = self.setting.params
        except PfnlabError as error:
            self.lines.say(str(error))
            return
        self.lines.say("")
        self._refiner.ask(params)

    def _replay(self, params: Params, look: Look) -> Any:
        assert self._measure is not None  # else nothing asks for it
        return self._measure(self._run.moved_to(params))

    def _moved_price(self) -> None:
        try:
            self._show(self._measured)
            self.lines.say("")
        except PfnlabError as error:
            self.lines.say(str(error))

    def _show(self, measured: Any) -> None:
        self._measured = measured
        drawn = measured if self._price is None else self._price(measured, self.setting)
        self.picture.value = png(self._draw(drawn))
        self.lines.tell("exact")


def repriced(frame: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    """Return the frame of a sweep under other costs, and other CPUs unless they were swept."""
    swept = "n_cpus" in frame and frame["n_cpus"].nunique() > 1
    return priced(frame if swept else frame.assign(n_cpus=setting.params.n_cpus), setting.costs)
