"""The two lines above pictures: how far they can be trusted, and what was refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import ipywidgets

from pfnlab.errors import PfnlabError
from pfnlab.figures.palette import ILLEGAL

#: What a page says by itself once its kernel is gone, for nothing else can.
_RESTARTED = """<style>
.pfnlab-restarted {display: none}
.jupyter-widgets-disconnected .pfnlab-restarted,
.jupyter-widgets-disconnected.pfnlab-restarted {display: block}
</style>
<b class="pfnlab-restarted">The kernel was restarted, so these controls are dead.
Run all cells again (Run &rarr; Run All Cells).</b>"""


class Lines:
    """A status and a message, in a row."""

    def __init__(self) -> None:
        self.status = ""
        self._status, self._message = _line("pfnlab-status"), _line("pfnlab-message")
        self.row = ipywidgets.VBox([restarted(), ipywidgets.HBox([self._status, self._message])])

    @property
    def message(self) -> str:
        """The message, as HTML; empty if nothing is wrong."""
        return str(self._message.value)

    def tell(self, status: str) -> None:
        """Show how far the pictures are: ``sample 1/N``, ``replaying ...``, ``exact``."""
        self.status = status
        self._status.value = f"<b>{escape(status)}</b>"

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Say what goes wrong within; the page would be silent on what a callback raises."""
        try:
            yield
        except Exception as error:
            self.say(said(error))

    def say(self, message: str) -> None:
        """Show what went wrong, until something goes right."""
        text = f"<b style='color:{ILLEGAL}'>{escape(message, quote=False)}</b>" if message else ""
        self._message.value = text


def restarted() -> ipywidgets.HTML:
    """Return the line that shows itself when the kernel was restarted."""
    return ipywidgets.HTML(_RESTARTED)


def said(error: Exception) -> str:
    """Return what is told of an error: pfnlab's own name what is wrong, others their kind too."""
    return str(error) if isinstance(error, PfnlabError) else f"{type(error).__name__}: {error}"


def _line(name: str) -> ipywidgets.HTML:
    line = ipywidgets.HTML(layout=ipywidgets.Layout(min_height="28px", margin="0 12px 0 0"))
    line.add_class(name)
    return line
