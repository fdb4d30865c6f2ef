"""Sliders from `Params` that redraw a picture by calling the function that drew it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from pfnlab.errors import PfnlabError
from pfnlab.figures import png
from pfnlab.params import Parameter, Params, parameter_of

Draw = Callable[[Params], Figure]
_LAYOUT = ipywidgets.Layout(width="420px")
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
    picture = ipywidgets.Image(value=png(first), format="png")
    message = ipywidgets.HTML()

    def redraw(change: object) -> None:
        try:
            picture.value = png(draw(params.replace(**_values(controls))))
            message.value = ""
        except PfnlabError as error:
            message.value = f"<b>{error}</b>"

    for control in controls.values():
        control.observe(redraw, names="value")
    return ipywidgets.VBox([*controls.values(), message, picture])


def walk(draw: Callable[[int], Figure], n_events: int, first: Figure) -> ipywidgets.VBox:
    """Return a slider over the events of some steps above the picture up to each of them.

    Parameters
    ----------
    draw
        Makes the picture up to an event, counted from 0.
    n_events
        Events that can be stepped through.
    first
        The picture of the last event, where the slider starts.
    """
    slider = ipywidgets.IntSlider(
        value=n_events - 1, max=n_events - 1, description="event", style=_STYLE, layout=_LAYOUT
    )
    picture = ipywidgets.Image(value=png(first), format="png")

    def redraw(change: object) -> None:
        picture.value = png(draw(slider.value))

    slider.observe(redraw, names="value")
    return ipywidgets.VBox([slider, picture])


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
