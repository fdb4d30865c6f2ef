"""Sliders from `Params` and `Costs` that redraw a picture by calling the function that drew it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from pfnlab.costs import Costs, costs_of
from pfnlab.errors import ParameterError, PfnlabError, near
from pfnlab.figures import png
from pfnlab.params import Parameter, Params, parameter_of
from pfnlab.presets import Figure as Sourced
from pfnlab.widgets.player import Player, play

__all__ = ["Player", "explore", "play", "price", "steps"]

Draw = Callable[[Params], Figure]
_LAYOUT = ipywidgets.Layout(width="420px")
_BUSY = "<i>working ...</i>"
_STYLE = {"description_width": "150px"}


def explore(draw: Draw, params: Params, *names: str, first: Figure) -> ipywidgets.VBox:
    """Return sliders for the fields `names` above a picture that follows them.

    Parameters
    ----------
    draw
        Makes the picture for a configuration; the same function that made `first`.
    params
        Where the sliders start.
    names
        Fields of `Params`, one slider each.
    first
        The picture for `params`, so that opening a notebook computes nothing twice.
    """
    controls = {name: _control(parameter_of(name), getattr(params, name)) for name in names}
    return _following(controls, lambda values: draw(params.replace(**values)), first)


def price(
    draw: Callable[[Costs], Figure], costs: str | Costs, *names: str, first: Figure
) -> ipywidgets.VBox:
    """Return sliders for the costs `names` above a picture that follows them; nothing is replayed.

    Each slider tells the source of its figure, and says so where no source gives it.

    Parameters
    ----------
    draw
        Makes the picture for some costs; the same function that made `first`.
    costs
        Where the sliders start: a preset's name or a `Costs`.
    names
        Fields of `Costs`, one slider each.
    first
        The picture for `costs`.
    """
    start = costs_of(costs)
    known = start.figures()
    for name in names:
        if name not in known:
            raise ParameterError(name, "?", f"no such cost; {near(name, known)}")
    controls = {name: _cost_control(name, known[name]) for name in names}
    return _following(controls, lambda values: draw(start.replace(**values)), first)


def _following(
    controls: dict[str, Any], draw: Callable[[dict[str, Any]], Figure], first: Figure
) -> ipywidgets.VBox:
    """Return controls above a picture that is drawn anew when one of them is moved."""
    picture = ipywidgets.Image(value=png(first), format="png")
    message = ipywidgets.HTML()

    def redraw(change: object) -> None:
        message.value = _BUSY  # shown at once: it is sent before the drawing starts
        try:
            picture.value = png(draw(_values(controls)))
            message.value = ""
        except PfnlabError as error:
            message.value = f"<b>{error}</b>"

    for control in controls.values():
        control.observe(redraw, names="value")
    return ipywidgets.VBox([*controls.values(), message, picture])


def _cost_control(name: str, figure: Sourced) -> Any:
    """Return a slider from a sixteenth of a cost to 16 times, and nothing at all."""
    assumed = " (assumed)" if figure.trust == "A" else ""
    base = figure.value or 100.0
    values = sorted({0.0, figure.value, *(base * 2 ** (step / 2) for step in range(-8, 9))})
    return ipywidgets.SelectionSlider(
        options=[(f"{value:,.4g}", value) for value in values],
        value=figure.value,
        description=f"{name}{assumed}",
        tooltip=f"{figure.source} [{figure.trust}]",
        style=_STYLE,
        layout=_LAYOUT,
    )


def _values(controls: dict[str, Any]) -> dict[str, Any]:
    return {name: control.value for name, control in controls.items()}


def _control(parameter: Parameter, value: int | str) -> Any:
    """Return the control that fits a field: a dropdown for names, a log2 slider for numbers."""
    about = {
        "description": parameter.name,
        "tooltip": parameter.help,
        "style": _STYLE,
        "layout": _LAYOUT,
        "value": value,
    }
    if parameter.choices:
        return ipywidgets.Dropdown(options=parameter.names, **about)
    options = [(parameter.show(step), step) for step in steps(parameter, int(value))]
    # One step a key press; a drag is coalesced by ipywidgets, and its last value wins.
    return ipywidgets.SelectionSlider(options=options, continuous_update=True, **about)


def steps(parameter: Parameter, value: int) -> list[int]:
    """Powers of two within the field's bounds and 2**10 around `value`, and `value` itself."""
    powers = {1 << shift for shift in range(63)}
    if parameter.minimum == 0 and not parameter.power_of_two:
        powers.add(0)
    low, high = max(parameter.minimum, value >> 10), min(parameter.maximum, max(value, 1) << 10)
    return sorted({step for step in powers if low <= step <= high} | {value})
