"""A player for the scenes of a stepped trace: play, step, scrub, and jump to what matters."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import ipywidgets
import pandas as pd

from pfnlab.figures import Film
from pfnlab.figures.scenes.moments import Kind
from pfnlab.notebooks.widgets.status import restarted

#: What one can jump to, and how it is called.
_JUMPS: dict[Kind, str] = {
    "fault": "fault",
    "eviction": "eviction",
    "skip": "skipped pin",
    "refusal": "refusal",
}
_KINDS: dict[Kind, str] = {"hit": "hit", **_JUMPS, "put": "PUT"}
_SPEEDS = {"1 event/s": 1000, "2 events/s": 500, "4 events/s": 250, "8 events/s": 125}
#: Scenes either way that are drawn ahead of time, and the pause in s after each for the user.
_AHEAD, _PAUSE = 64, 0.02


def play(frame: pd.DataFrame) -> Player:
    """Return a player for the events of the first replay in a frame.

    Parameters
    ----------
    frame
        As for `pfnlab.figures.scene`.

    Raises
    ------
    FrameError
        If the frame lacks columns or events, or its region is too large to draw.
    """
    return Player(Film(frame))


class Player(ipywidgets.VBox):  # type: ignore[misc]  # it has no annotations
    """Buttons and a slider over the events of a film, above the scene of one of them.

    Scenes are drawn ahead of time while nothing else is asked of the kernel, so that stepping and
    scrubbing show what is there already. Where no kernel runs, the still of the most telling
    event stands for it.
    """

    def __init__(self, film: Film) -> None:
        self.film = film
        last = len(film) - 1
        self.slider = ipywidgets.IntSlider(
            max=last, description="event", layout=ipywidgets.Layout(width="440px")
        )
        self.slider.add_class("pfnlab-control-event")
        self.clock = ipywidgets.Play(max=last, interval=_SPEEDS["2 events/s"], show_repeat=False)
        # In the browser, so that playing asks the kernel for pictures only.
        self._link = ipywidgets.jslink((self.clock, "value"), (self.slider, "value"))
        self.picture = ipywidgets.Image(format="png")
        self.picture.add_class("pfnlab-picture").add_class("pfnlab-picture-scene")
        self.status = ipywidgets.HTML()
        self.status.add_class("pfnlab-status")
        self._pending: asyncio.TimerHandle | None = None
        # Of the two that are linked the browser sends the other one first, 10 ms earlier.
        self.slider.observe(self._moved, names="value")
        self.clock.observe(self._moved, names="value")
        self._show(0)
        super().__init__([self._transport(), self._jumps(), restarted(), self.picture, self.status])

    def _transport(self) -> ipywidgets.HBox:
        """Return what moves through time."""
        speed = ipywidgets.Dropdown(
            options=_SPEEDS, value=self.clock.interval, layout=ipywidgets.Layout(width="120px")
        )
        speed.observe(self._set_speed, names="value")
        back = _button("step-backward", "one event back", lambda: self._move(-1))
        on = _button("step-forward", "one event on", lambda: self._move(+1))
        return ipywidgets.HBox([self.clock, back, on, self.slider, speed])

    def _jumps(self) -> ipywidgets.HBox:
        """Return a button for each kind of event that there is."""
        buttons = [self._jump_to(kind, name) for kind, name in _JUMPS.items()]
        return ipywidgets.HBox([ipywidgets.Label("Go to the next"), *buttons])

    def _jump_to(self, kind: Kind, name: str) -> Any:
        events = self.film.events(kind)
        button = _button("", f"the next event with a {name}", lambda: self._jump(events))
        button.description, button.disabled = name, not events
        button.layout.width = "110px"
        return button

    def _move(self, by: int) -> None:
        self.slider.value += by  # which the slider keeps within its bounds

    def _jump(self, events: list[int]) -> None:
        """Go to the next of some events, to the first one after the last."""
        later = [event for event in events if event > self.slider.value]
        self.slider.value = (later or events)[0]

    def _set_speed(self, change: Any) -> None:
        self.clock.interval = change["new"]

    def _moved(self, change: Any) -> None:
        if change["new"] != self._shown:
            self._show(change["new"])

    def _show(self, event: int) -> None:
        self._shown = event
        self.picture.value = self.film.png(event)
        self.status.value = self._said(event)
        self._draw_ahead()

    def _said(self, event: int) -> str:
        found = self.film.kinds(event)
        names = ", ".join(name for kind, name in _KINDS.items() if kind in found)
        return f"event {event} of {len(self.film) - 1}: {names}"

    def _draw_ahead(self) -> None:
        """Draw what is near, one scene whenever the kernel has nothing else to do."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # no kernel: nobody waits either
        if self._pending is not None:
            self._pending.cancel()
        self._pending = loop.call_later(_PAUSE, self._draw_one)

    def _draw_one(self) -> None:
        now, end = self._shown, len(self.film)
        later = range(now + 1, min(now + _AHEAD, end))
        earlier = range(now - 1, max(now - _AHEAD, -1), -1)
        missing = (event for event in (*later, *earlier) if not self.film.is_drawn(event))
        if (event := next(missing, None)) is not None:
            self.film.png(event)
            self._draw_ahead()

    def _most_telling(self) -> int:
        """Return the event that shows most: a pinned chunk skipped, or else an eviction."""
        some = [*self.film.events("skip"), *self.film.events("eviction"), 0]
        return some[0]

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """Show the player, and its still where widgets can't be shown."""
        event = self._most_telling()
        bundle: dict[str, Any] = super()._repr_mimebundle_(**kwargs)
        bundle["image/png"] = b64encode(self.film.png(event)).decode()
        bundle["text/plain"] = self.film.told(event)
        return bundle


def _button(icon: str, tooltip: str, act: Callable[[], None]) -> Any:
    layout = ipywidgets.Layout(width="40px")
    button = ipywidgets.Button(icon=icon, tooltip=tooltip, layout=layout)
    button.on_click(lambda _: act())
    return button
