"""From one declaration to one control: a field of `Params`, or a cost, to what people move.

A number has a slider, a key press a step, and a text box that takes whatever the library takes.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import ipywidgets

from pfnlab.errors import ParameterError, PfnlabError
from pfnlab.params import Parameter
from pfnlab.params.cost_presets import Figure
from pfnlab.params.costs import Costs

STYLE = {"description_width": "130px"}
#: Three controls go beside each other under two pictures of the explorer.
WIDE, _BOX = "268px", "78px"
#: Steps of a cost's slider either side of where it starts, two to a doubling.
_STEPS = 8
_IN_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+(\.\d*)?")


class Control(Protocol):
    """What is moved: its value can be read and set, and setting it by hand tells whoever asked."""

    row: ipywidgets.Widget

    @property
    def value(self) -> Any:
        """The value as the library stores it."""

    def move(self, value: Any) -> None:
        """Take a value without telling anybody."""

    def watch(self, moved: Callable[[], None], refused: Callable[[str], None]) -> None:
        """Call `moved` whenever a person sets another value, `refused` when one can't be taken."""


class Choice:
    """A dropdown of names."""

    def __init__(self, name: str, help: str, names: Sequence[str], value: str) -> None:
        self.dropdown = ipywidgets.Dropdown(
            options=list(names), value=value, description=name, tooltip=help, style=STYLE,
            layout=ipywidgets.Layout(width=WIDE),
        )  # fmt: skip
        self.row = self.dropdown
        classed(self.row, name)
        self._quiet = False

    @property
    def value(self) -> str:
        """The name that is chosen."""
        return str(self.dropdown.value)

    def move(self, value: str) -> None:
        """Choose a name without telling anybody."""
        self._quiet = True
        self.dropdown.value = value
        self._quiet = False

    def watch(self, moved: Callable[[], None], refused: Callable[[str], None]) -> None:
        """Call `moved` whenever another name is chosen."""
        self.dropdown.observe(lambda change: None if self._quiet else moved(), names="value")


class Number:
    """A slider over some steps, and beside it a text box for any other value.

    Parameters
    ----------
    name, help
        What the slider says, and what it says when pointed at.
    steps
        The values of the slider, ascending; one that is typed joins them.
    value
        Where it starts.
    show, read
        A value as a person writes it, and back; `read` refuses by a `PfnlabError`.
    """

    def __init__(
        self,
        name: str,
        help: str,
        steps: Sequence[Any],
        value: Any,
        show: Callable[[Any], str],
        read: Callable[[str], Any],
    ) -> None:
        self._show, self._read, self._quiet = show, read, False
        self.slider = ipywidgets.SelectionSlider(
            options=self._options([*steps, value]), value=value, description=name, tooltip=help,
            readout=False, continuous_update=True, style=STYLE,
            layout=ipywidgets.Layout(flex="1 1 0%", width="auto", min_width="0"),
        )  # fmt: skip
        self.box = ipywidgets.Text(
            value=show(value), continuous_update=False, tooltip=f"{name}: {help}",
            layout=ipywidgets.Layout(flex=f"0 0 {_BOX}", width=_BOX),
        )  # fmt: skip
        self.row = ipywidgets.HBox([self.slider, self.box], layout=ipywidgets.Layout(width=WIDE))
        classed(self.row, name)

    def _options(self, values: Sequence[Any]) -> list[tuple[str, Any]]:
        return [(self._show(value), value) for value in sorted({*values})]

    @property
    def value(self) -> Any:
        """The value, as the library stores it."""
        return self.slider.value

    def move(self, value: Any) -> None:
        """Take a value, which becomes a step if it is none, without telling anybody."""
        self._quiet = True
        known = [known for _, known in self.slider.options]
        if value not in known:
            self.slider.options = self._options([*known, value])
        self.slider.value = value
        self.box.value = self._show(value)
        self._quiet = False

    def describe(self, help: str) -> None:
        """Say something else when pointed at."""
        self.slider.tooltip = help

    def watch(self, moved: Callable[[], None], refused: Callable[[str], None]) -> None:
        """Call `moved` when the slider is moved or a value typed, `refused` if it can't be read."""

        def slid(change: object) -> None:
            if not self._quiet:
                self.move(self.value)
                moved()

        def typed(change: object) -> None:
            if self._quiet:
                return
            try:
                value = self._read(self.box.value.strip())
            except PfnlabError as error:
                self.move(self.value)  # the box says what holds; the message, what was typed
                refused(str(error))
                return
            self.move(value)
            moved()

        self.slider.observe(slid, names="value")
        self.box.observe(typed, names="value")


def parameter_control(parameter: Parameter, value: int | str) -> Control:
    """Return the control that fits a field of `Params`, at `value`."""
    if parameter.choices:
        return Choice(parameter.name, parameter.help, parameter.names, str(value))
    return Number(
        parameter.name, _helped(parameter), steps(parameter, int(value)), value,
        parameter.show, parameter.read,
    )  # fmt: skip


def cost_control(name: str, figure: Figure, costs: Costs) -> Number:
    """Return the control of a cost: from a sixteenth of it to 16 times, and nothing at all.

    What no source gives is marked as assumed.
    """
    base = figure.value or 100.0
    rounded = (float(f"{base * 2 ** (step / 2):.3g}") for step in range(-_STEPS, _STEPS + 1))
    unit = "CPUs" if name == "preset_cpus" else "ns"

    def read(text: str) -> float:
        number = text.removesuffix(unit).strip()
        try:
            value = float(number.replace(",", "") if _IN_THOUSANDS.fullmatch(number) else number)
        except ValueError:
            raise ParameterError(name, text, f"must be a number of {unit}") from None
        return float(getattr(costs.replace(**{name: value}), name))

    return Number(
        name, about(figure), [0.0, *rounded], figure.value, lambda v: f"{v:,.12g} {unit}", read
    )


def moved_to(costs: Costs, chosen: Mapping[str, float]) -> Costs:
    """Return `costs` with what was chosen; the same, and by the same name, if nothing differs."""
    moved = {name: value for name, value in chosen.items() if value != getattr(costs, name)}
    return costs.replace(**moved) if moved else costs


def about(figure: Figure) -> str:
    """Return what is said of a cost when it is pointed at: its source, and how far it is one."""
    assumed = "(assumed) " if figure.trust == "A" else ""
    return f"{assumed}{figure.source} [{figure.trust}]"


def steps(parameter: Parameter, value: int) -> list[int]:
    """Powers of two within the field's bounds and 2**10 around `value`, and `value` itself."""
    powers = {1 << shift for shift in range(63)}
    if parameter.minimum == 0 and not parameter.power_of_two:
        powers.add(0)
    low, high = max(parameter.minimum, value >> 10), min(parameter.maximum, max(value, 1) << 10)
    return sorted({step for step in powers if low <= step <= high} | {value})


def _helped(parameter: Parameter) -> str:
    return f"{parameter.help} ({parameter.unit})" if parameter.unit else parameter.help


def classed(row: ipywidgets.Widget, name: str) -> None:
    """Name a control's row for whoever looks for it on the page."""
    row.add_class("pfnlab-control")
    row.add_class(f"pfnlab-control-{name}")
