"""A Ctrl-C that a library's callback swallowed is delivered again, and is no other failure."""

from __future__ import annotations

import signal
import sys
from _thread import interrupt_main
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer, current_thread, main_thread

_AGAIN_SECONDS = 0.1


@contextmanager
def interrupts_kept() -> Iterator[None]:
    """Raise `KeyboardInterrupt` also for one that came while compiled code was being made.

    Python can't raise through a callback from C, such as those of the compiler: it reports the
    interrupt and goes on, and what the callback left undone then fails as something else.
    Only the main thread is interrupted, so elsewhere there is nothing to keep.
    """
    if current_thread() is not main_thread():
        yield
        return
    report = sys.unraisablehook
    again: list[Timer] = []

    def keep(unraisable: sys.UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            report(unraisable)
            return
        timer = Timer(_AGAIN_SECONDS, _interrupt)
        timer.daemon = True
        again.append(timer)
        timer.start()

    sys.unraisablehook = keep
    try:
        yield
    except Exception as error:
        if again:
            raise KeyboardInterrupt from error
        raise
    finally:
        sys.unraisablehook = report
        waiting = [timer for timer in again if not timer.finished.is_set()]
        for timer in waiting:
            timer.cancel()
    if waiting:  # all was done before the time came to raise it
        raise KeyboardInterrupt


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Put a Ctrl-C off until the end, and keep it from processes that are started within."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _interrupt() -> None:
    """Interrupt the main thread, where it waits too."""
    main = main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)
    else:
        interrupt_main()
