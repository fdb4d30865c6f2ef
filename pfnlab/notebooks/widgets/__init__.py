"""Sliders from `Params` and `Costs` over pictures that follow them at once."""

from collections.abc import Callable
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from pfnlab.errors import ParameterError
from pfnlab.notebooks.sweep_request import Request
from pfnlab.notebooks.widgets.controls import steps
from pfnlab.notebooks.widgets.explorer import Explorer
from pfnlab.notebooks.widgets.panel import Following, Measure, Price, Setting, repriced
from pfnlab.notebooks.widgets.player import Player, play

__all__ = ["Explorer", "Following", "Player", "Setting", "explore", "play", "repriced", "steps"]


def explore(
    run: Request,
    draw: Callable[[Any], Figure] | None = None,
    *names: str,
    measured: Any = None,
    first: Figure | None = None,
    measure: Measure | None = Request.sweep,
    price: Price | None = repriced,
) -> ipywidgets.VBox:
    """Return controls above pictures that follow them.

    Moving a cost, or ``n_cpus``, draws anew what was measured; moving another parameter measures
    anew, while the page stays alive, and the last value wins.

    Parameters
    ----------
    run
        What the notebook was asked for: where the controls start, its sources and costs.
    draw
        Makes the picture; without it, the explorer: all controls around four linked pictures of
        the first source.
    names
        Fields of `Params` and of `Costs`, a control each.
    measured, first
        What was measured for `run`, and the picture of it: opening a notebook computes nothing
        twice.
    measure
        Gets `run` for other parameters and returns what is drawn; None where nothing is replayed.
    price
        Gets what was measured and a `Setting` of parameters and costs, and returns what is drawn;
        None where nothing depends on costs.

    Raises
    ------
    ParameterError
        For a name that is neither, or an explorer with a name.
    """
    if draw is None:
        if names:
            raise ParameterError("names", names, "must be none for the explorer, which has all")
        return Explorer(run.texts[0], run.params, run.costs)
    if first is None:
        raise ParameterError("first", first, "must be the picture of what was measured")
    return Following(run, draw, names, measured, first, measure, price)
