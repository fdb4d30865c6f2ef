"""One question after another, the last one counts: a quick answer at once, the exact one later."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from pfnlab.errors import PfnlabError

Asked = TypeVar("Asked")
Seen = TypeVar("Seen")
#: Told of events done; raises to stop the work.
Look = Callable[[int], None]

#: After the last key press, before all events are replayed.
IDLE_S = 0.25


class SupersededError(Exception):
    """Somebody asked something else meanwhile."""


class Refiner(Generic[Asked, Seen]):
    """Answers in a notebook without making anybody wait.

    The quick answer is found and shown before `ask` returns. The exact one is found in a thread,
    once nothing was asked for a moment, so the page stays alive meanwhile; it is given up as soon
    as something else is asked, and shown by the notebook's own loop. Where no loop runs, as in a
    script, it is found at once.

    Parameters
    ----------
    quick
        Returns a first answer, or None if there is none that would be quicker.
    exact
        Returns the answer; it must call its second argument now and then.
    show
        Shows an answer.
    say
        Is told what went wrong.
    busy
        Called when an exact answer is begun.
    """

    def __init__(
        self,
        quick: Callable[[Asked], Seen | None],
        exact: Callable[[Asked, Look], Seen],
        show: Callable[[Seen], None],
        say: Callable[[str], None],
        busy: Callable[[], None] = lambda: None,
    ) -> None:
        self._quick, self._exact, self._show = quick, exact, show
        self._say, self._busy = say, busy
        self._number = 0
        self._pending: tuple[int, Asked, bool] | None = None
        self._task: asyncio.Task[None] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="pfnlab-exact")

    def ask(self, asked: Asked) -> None:
        """Show the quick answer, and see to it that the exact one follows."""
        self._number += 1
        try:
            seen = self._quick(asked)
            if seen is not None:
                self._show(seen)
        except PfnlabError as error:
            self._pending = None
            self._say(str(error))
            return
        self._pending = self._number, asked, seen is not None
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a script: nobody would ever run what is put off
            self._now(asked)
            return
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._refine())

    def _now(self, asked: Asked) -> None:
        try:
            self._show(self._exact(asked, lambda n: None))
        except PfnlabError as error:
            self._say(str(error))

    async def _refine(self) -> None:
        """Answer exactly, again and again until nothing was asked meanwhile."""
        while (pending := self._pending) is not None:
            number, asked, put_off = pending
            if put_off:
                await asyncio.sleep(IDLE_S)
            if number != self._number:
                continue
            self._pending = None
            self._busy()
            await self._answer(number, asked, put_off)

    async def _answer(self, number: int, asked: Asked, put_off: bool) -> None:
        # Without a quick answer people see nothing but exact ones, so a late one is shown, too.
        look = self._stopper(number) if put_off else _while_alive
        loop = asyncio.get_running_loop()
        try:
            seen = await loop.run_in_executor(self._pool, self._exact, asked, look)
            if number == self._number or not put_off:
                self._show(seen)
        except SupersededError:
            pass
        except PfnlabError as error:
            self._say(str(error))
        except Exception as error:  # nobody would see what a task raises
            self._say(f"{type(error).__name__}: {error}")

    def _stopper(self, number: int) -> Look:
        def look(n_events: int) -> None:
            if number != self._number:
                raise SupersededError
            _while_alive(n_events)

        return look


def _while_alive(n_events: int) -> None:
    """Stop work that nobody waits for any more, so that a kernel can end."""
    if not threading.main_thread().is_alive():
        raise SupersededError
