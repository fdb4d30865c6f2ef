"""Threads of this process on other CPUs, which its shootdowns interrupt, and those interrupts."""

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

INTERRUPTS = Path("/proc/interrupts")
_SPIN_ROUNDS = 200_000  # of a hash that lets other threads run: some 50 ms


def tlb_interrupts() -> int | None:
    """Return the shootdown interrupts of all CPUs since boot, None where none are counted."""
    try:
        lines = INTERRUPTS.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, rest = line.strip().partition(":")
        if name == "TLB":
            return sum(int(word) for word in rest.split() if word.isdigit())
    return None


@contextmanager
def pinned_to(cpu: int) -> Iterator[None]:
    """Keep this thread on one CPU; restore its former CPUs at the end."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def spinning_on(cpu: int) -> Iterator[int]:
    """Keep another thread busy on `cpu`, mostly without the GIL, and yield its CPU clock."""
    stop, started = threading.Event(), threading.Event()

    def spin() -> None:
        try:
            os.sched_setaffinity(0, {cpu})
        finally:  # nobody waits for a thread that failed
            started.set()
        while not stop.is_set():
            hashlib.pbkdf2_hmac("sha256", b"pfnlab", b"pfnlab", _SPIN_ROUNDS)

    thread = threading.Thread(target=spin)
    try:
        thread.start()
        started.wait()
        yield time.pthread_getcpuclockid(thread.ident or 0)
    finally:
        stop.set()
        if thread.ident is not None:
            thread.join()


@contextmanager
def spinning(n_threads: int) -> Iterator[None]:
    """Keep that many other CPUs busy and this thread on a CPU of its own; 0 changes nothing."""
    with ExitStack() as stack:
        if n_threads:
            own, *others = sorted(os.sched_getaffinity(0))
            stack.enter_context(pinned_to(own))
            for cpu in others[:n_threads]:
                stack.enter_context(spinning_on(cpu))
        yield
