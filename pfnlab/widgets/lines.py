"""The two lines above pictures: how far they can be trusted, and what was refused."""

from __future__ import annotations

from html import escape

import ipywidgets

from pfnlab.figures.palette import ILLEGAL


class Lines:
    """A status and a message, in a row."""

    def __init__(self) -> None:
        self.status = ""
        self._status, self._message = _line("pfnlab-status"), _line("pfnlab-message")
        self.row = ipywidgets.HBox([self._status, self._message])

    @property
    def message(self) -> str:
        """The message, as HTML; empty if nothing is wrong."""
        return str(self._message.value)

    def tell(self, status: str) -> None:
        """Show how far the pictures are: ``sample 1/N``, ``replaying ...``, ``exact``."""
        self.status = status
        self._status.value = f"<b>{escape(status)}</b>"

    def say(self, message: str) -> None:
        """Show what went wrong, until something goes right."""
        text = f"<b style='color:{ILLEGAL}'>{escape(message, quote=False)}</b>" if message else ""
        self._message.value = text


def _line(name: str) -> ipywidgets.HTML:
    line = ipywidgets.HTML(layout=ipywidgets.Layout(min_height="28px", margin="0 12px 0 0"))
    line.add_class(name)
    return line
