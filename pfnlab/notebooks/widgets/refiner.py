"""One question after another, the last one counts: a quick answer at once, the exact one later."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, NamedTuple, TypeVar

from pfnlab.notebooks.widgets.status import said

Asked = TypeVar("Asked")
Seen = TypeVar("Seen")
#: Told of events done; raises to stop the work.
Look = Callable[[int], None]

#: After the last key press, before all events are replayed.
IDLE_S = 0.25


class SupersededError(Exception):
    """Somebody asked something else meanwhile."""


class Pending(NamedTuple):
    """A question that waits for its exact answer; `seen` if it has had a quick one."""

    number: int
    asked: object
    seen: bool


class Refiner(Generic[Asked, Seen]):
    """Answers in a notebook without making anybody wait.

    The quick answer is found and shown before `ask` returns. The exact one is found in a thread,
    once nothing was asked for a moment, so the page stays alive meanwhile; it is given up as soon
    as something newer has an answer, and shown by the notebook's own loop. Where no loop runs, as
    in a script, it is found at once.

    Parameters
    ----------
    quick
        Returns a first answer, or None if there is none that would be quicker.
    exact
        Returns the answer; it must call its second argument now and then.
    show
        Shows the answer to a question.
    refuse
        Is told what went wrong.
    busy
        Called when the work on an answer begins.
    """

    def __init__(
        self,
        quick: Callable[[Asked], Seen | None],
        exact: Callable[[Asked, Look], Seen],
        show: Callable[[Asked, Seen], None],
        refuse: Callable[[str], None],
        busy: Callable[[], None] = lambda: None,
    ) -> None:
        self._quick, self._exact, self._show = quick, exact, show
        self._refuse, self._busy = refuse, busy
        self._number = 0
        self._settled = 0  # the newest question that was answered or refused
        self._pending: Pending | None = None
        self._task: asyncio.Task[None] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="pfnlab-exact")

    def ask(self, asked: Asked) -> None:
        """Show the quick answer, and see to it that the exact one follows."""
        self._number += 1
        self._busy()
        try:
            seen = self._quick(asked)
            if seen is not None:
                self._settle(self._number, asked, seen)
        except Exception as error:  # nobody would see what a widget's callback raises
            self._pending, self._settled = None, self._number
            self._refuse(said(error))
            return
        self._pending = Pending(self._number, asked, seen is not None)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a script: nobody would ever run what is put off
            self._now(asked)
            return
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._refine())

    def drop(self) -> None:
        """Forget what was asked: something newer was refused before it could be asked."""
        self._number += 1
        self._pending, self._settled = None, self._number

    def _settle(self, number: int, asked: Asked, seen: Seen) -> None:
        self._settled = max(self._settled, number)
        self._show(asked, seen)

    def _now(self, asked: Asked) -> None:
        try:
            self._settle(self._number, asked, self._exact(asked, lambda n: None))
        except Exception as error:
            self._refuse(said(error))

    async def _refine(self) -> None:
        """Answer exactly, again and again until nothing was asked meanwhile."""
        while (pending := self._pending) is not None:
            if pending.seen:
                await asyncio.sleep(IDLE_S)
            if pending is not self._pending:
                continue
            self._pending = None
            self._busy()
            await self._answer(pending)

    async def _answer(self, pending: Pending) -> None:
        def is_wanted() -> bool:
            """Without quick answers people see exact ones only, so a late one is shown, too."""
            if pending.seen:
                return pending.number == self._number
            return pending.number > self._settled

        def look(n_events: int) -> None:
            if not (is_wanted() and threading.main_thread().is_alive()):
                raise SupersededError

        loop, asked = asyncio.get_running_loop(), pending.asked
        try:
            seen = await loop.run_in_executor(self._pool, self._exact, asked, look)  # type: ignore[arg-type]
            if is_wanted():
                self._settle(pending.number, asked, seen)  # type: ignore[arg-type]
        except SupersededError:
            pass
        except Exception as error:
            if is_wanted():
                self._refuse(said(error))
