"""A picture that is drawn again and again: what moves is painted over what stays."""

from __future__ import annotations

import io
from collections.abc import Hashable, Iterable

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image


class LiveFigure:
    """A figure whose background is drawn once, as long as limits and ticks stay.

    Moving artists that did not move lately are kept on a second background: what costs most are
    texts, and of those seldom more than two change at a time. A figure drawn whole takes 30 to
    60 ms, one of its texts 1 to 3.

    Parameters
    ----------
    width, height
        In inches.
    dpi
        Pixels an inch.
    """

    def __init__(self, width: float, height: float, dpi: int = 100) -> None:
        self.figure = Figure(figsize=(width, height), dpi=dpi)
        self._canvas = FigureCanvasAgg(self.figure)
        self._states: dict[Artist, Hashable] = {}  # of each moving artist, as last drawn
        self._changed: set[Artist] = set()  # by the last picture
        self._looks: Hashable = None
        self._behind: object = None
        self._calm: object = None  # the background with the artists that stayed
        self._calm_states: object = None

    def moving(self, artists: Iterable[Artist]) -> None:
        """Say which artists are painted anew for every picture."""
        for artist in artists:
            artist.set_animated(True)
            self._states[artist] = None

    def png(self, looks: Hashable = None) -> bytes:
        """Return the picture as a PNG file's bytes.

        Parameters
        ----------
        looks
            Whatever decides what stays behind: limits, ticks, labels. The background is drawn
            anew when it differs from last time.
        """
        if self._behind is None or looks != self._looks:
            self._canvas.draw()  # type: ignore[no-untyped-call]
            self._behind, self._looks = self._copied(), looks
            self._calm_states = None
        states = {artist: _state(artist) for artist in self._states}
        changed = {artist for artist, state in states.items() if state != self._states[artist]}
        lively = changed | self._changed
        self._states, self._changed = states, changed
        self._paint_calm({a: state for a, state in states.items() if a not in lively})
        self._paint(artist for artist in states if artist in lively)
        pixels = np.asarray(self._canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        return _png(pixels[..., :3])

    def _paint_calm(self, states: dict[Artist, Hashable]) -> None:
        """Paint the background and what stayed on it, anew only if that is not as last time."""
        if states == self._calm_states:
            self._canvas.restore_region(self._calm)  # type: ignore[no-untyped-call]
            return
        self._canvas.restore_region(self._behind)  # type: ignore[no-untyped-call]
        self._paint(states)
        self._calm, self._calm_states = self._copied(), states

    def _paint(self, artists: Iterable[Artist]) -> None:
        for artist in artists:
            if artist.get_visible() and artist.axes is not None:
                artist.axes.draw_artist(artist)

    def _copied(self) -> object:
        return self._canvas.copy_from_bbox(self.figure.bbox)  # type: ignore[no-untyped-call]


def _state(artist: Artist) -> Hashable:
    """Return what decides how a moving artist looks, beside what stays as it is."""
    state: tuple[Hashable, ...] = (artist.get_visible(),)
    if isinstance(artist, Text):
        place = (
            artist.get_position(),
            artist.get_horizontalalignment(),
            artist.get_verticalalignment(),
        )
        state += (artist.get_text(), place, artist.get_color())
    elif isinstance(artist, Line2D):
        state += (np.asarray(artist.get_xydata()).tobytes(),)
    elif isinstance(artist, Rectangle):
        state += (artist.get_bbox().bounds,)
    elif isinstance(artist, AxesImage):
        pixels = np.asarray(artist.get_array())
        state += (pixels.tobytes(), tuple(artist.get_extent()), artist.get_clim())
    else:
        raise TypeError(f"{type(artist).__name__}: not known how to see whether it moved")
    return state


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Encode quickly: the picture travels within the machine, and its size matters less."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png", compress_level=1)
    return buffer.getvalue()
