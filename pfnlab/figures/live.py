"""A picture that is drawn again and again: what moves is painted over what stays."""

import io
from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

Pixels = npt.NDArray[Any]


class Patch(NamedTuple):
    """A text as it was painted, to be laid over a picture again: where, and its pixels."""

    said: Hashable
    top: int
    left: int
    rgb: Pixels  # times how much they cover, float32
    lets_through: Pixels  # how much of what is behind, 0 to 1


class LiveFigure:
    """A figure whose background is drawn once, as long as limits and ticks stay.

    Drawing all of it takes 30 to 60 ms. Of what moves texts are the dear part, 1 to 3 ms each,
    and seldom more than two say something new: so the others are laid over as they were.

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
        self._moving: list[Artist] = []
        self._patches: dict[Text, Patch] = {}
        self._behind: object = None
        self._looks: Hashable = None

    def moving(self, artists: Iterable[Artist]) -> None:
        """Say which artists are painted anew for every picture, in this order."""
        for artist in artists:
            artist.set_animated(True)
            self._moving.append(artist)

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
            self._behind = self._canvas.copy_from_bbox(self.figure.bbox)  # type: ignore[no-untyped-call]
            self._looks = looks
        shown = [
            each
            for each in self._moving
            if each.get_visible() and each.axes is not None and each.axes.get_visible()
        ]
        for artist in shown:
            if isinstance(artist, Text) and artist.get_text():
                self._render(artist)
        self._canvas.restore_region(self._behind)  # type: ignore[no-untyped-call]
        for artist in shown:
            if not isinstance(artist, Text):
                artist.axes.draw_artist(artist)  # type: ignore[union-attr]  # it has axes
            elif artist.get_text():
                self._lay(self._patches[artist])
        return _png(self._pixels[..., :3])

    @property
    def _pixels(self) -> npt.NDArray[np.uint8]:
        return np.asarray(self._canvas.buffer_rgba())  # type: ignore[no-untyped-call]

    def _render(self, text: Text) -> None:
        """Paint a text by itself, unless it is as it was."""
        said = (self._looks, text.get_text(), text.get_position(), text.get_color(),
                text.get_horizontalalignment(), text.get_verticalalignment())  # fmt: skip
        known = self._patches.get(text)
        if known is not None and known.said == said:
            return
        self._canvas.get_renderer().clear()  # type: ignore[no-untyped-call]
        text.axes.draw_artist(text)  # type: ignore[union-attr]  # it has axes
        covers = self._pixels[..., 3]
        rows, columns = (np.flatnonzero(covers.any(axis=axis)) for axis in (1, 0))
        at = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)) if len(rows) else ()
        part = self._pixels[at].astype(np.float32) if at else np.zeros((0, 0, 4), np.float32)
        share = part[..., 3:] / 255
        top, left = (int(rows[0]), int(columns[0])) if at else (0, 0)
        self._patches[text] = Patch(said, top, left, part[..., :3] * share, 1 - share)

    def _lay(self, patch: Patch) -> None:
        """Lay a text over the picture."""
        height, width, _ = patch.rgb.shape
        at = slice(patch.top, patch.top + height), slice(patch.left, patch.left + width)
        behind = self._pixels[at]
        behind[..., :3] = np.rint(behind[..., :3] * patch.lets_through + patch.rgb)


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Encode quickly: the picture travels within the machine, and its size matters less."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png", compress_level=1)
    return buffer.getvalue()
