"""Pictures in a notebook: PNGs in `ipywidgets.Image`, which also leave a still in saved output."""

from typing import Any

import ipywidgets

from pfnlab.figures.explorer import HEIGHT, VIEWS, WIDTH, Shown
from pfnlab.figures.live import LiveFigure

_DPI = 96


def picture(name: str = "", **layout: Any) -> ipywidgets.Image:
    """Return an empty picture, named for whoever looks for it on the page."""
    image = ipywidgets.Image(format="png", layout=ipywidgets.Layout(max_width="100%", **layout))
    image.add_class("pfnlab-picture")
    if name:
        image.add_class(f"pfnlab-picture-{name}")
    return image


class LivePicture:
    """One of the explorer's four pictures; it is sent only if it differs from the last."""

    def __init__(self, name: str) -> None:
        self._live = LiveFigure(WIDTH, HEIGHT, _DPI)
        self._view = VIEWS[name](self._live.figure)
        self._live.moving(self._view.moving)
        self.image = picture(name, width=f"{WIDTH * _DPI:.0f}px")

    def show(self, now: Shown, beside: Shown | None) -> None:
        """Draw and send."""
        self.image.value = self._live.png(self._view.show(now, beside))
