"""TLB shootdown interrupts of first touches and of unmaps, counted by the kernel itself.

    python -m pfnlab.host.tlb_ipis data/measured/tlb_ipis.csv

Two threads share an address space, each on a CPU of its own; one spins, the other touches pages of
a fresh range and unmaps them again. ``/proc/interrupts`` tells how many shootdown interrupts came.
"""

import csv
import mmap
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from pfnlab.errors import ParameterError, PfnlabError
from pfnlab.host.limits import this_machine
from pfnlab.host.other_cpus import INTERRUPTS, pinned_to, spinning_on, tlb_interrupts
from pfnlab.params.units import OS_PAGE_BYTES

_MOST = 1 << 20

Operation = Literal["idle", "first touch", "unmap"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TlbIpis:
    """Shootdown interrupts that all CPUs received while one thread did one thing.

    Attributes
    ----------
    operation
        ``first touch`` and ``unmap`` are of one 4 KiB page each; ``idle`` is as long a time in
        which the thread sleeps, for what others on the machine cause.
    n_operations, n_ipis
        How often it was done, and the interrupts meanwhile.
    seconds
        How long it took.
    running
        Share of that time in which the other thread had its CPU: one that has none, or whose CPU
        does something else, is not interrupted.
    machine, date
        CPUs and kernel, and the day, ISO 8601.
    """

    operation: Operation
    n_operations: int
    n_ipis: int
    seconds: float
    running: float
    machine: str
    date: str


def why_no_tlb_ipis() -> str | None:
    """Return why shootdown interrupts can't be counted here, None if they can."""
    if not hasattr(mmap, "MADV_DONTNEED") or not hasattr(os, "sched_setaffinity"):
        return "needs Linux"
    if tlb_interrupts() is None:
        return f"{INTERRUPTS} has no line of TLB shootdowns"
    if len(os.sched_getaffinity(0)) < 2:
        return "needs two CPUs, one for the thread that is interrupted"
    return None


def measure_tlb_ipis(n_pages: int = 100_000, repeats: int = 5) -> list[TlbIpis]:
    """Touch and unmap `n_pages` pages, one by one, while another thread runs on another CPU.

    Of `repeats` measurements it returns the one in which that thread ran most: on a machine with
    other work it often does not, and is not interrupted either.

    Raises
    ------
    PfnlabError
        If this machine can't count them; `why_no_tlb_ipis` says so before.
    ParameterError
        If `n_pages` or `repeats` is not between 1 and 2**20.
    """
    for name, value in (("n_pages", n_pages), ("repeats", repeats)):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _MOST:
            raise ParameterError(name, value, f"must be between 1 and {_MOST}")
    if (reason := why_no_tlb_ipis()) is not None:
        raise PfnlabError(f"TLB shootdowns can't be counted: {reason}")
    return max((_measured(n_pages) for _ in range(repeats)), key=lambda rows: rows[-1].running)


def _measured(n_pages: int) -> list[TlbIpis]:
    """Return the interrupts when idle, on first touches and on unmaps."""
    pages = range(0, n_pages * OS_PAGE_BYTES, OS_PAGE_BYTES)
    own, other = sorted(os.sched_getaffinity(0))[:2]
    with mmap.mmap(
        -1, n_pages * OS_PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    ) as area:
        area.madvise(mmap.MADV_NOHUGEPAGE)
        with pinned_to(own), spinning_on(other) as clock:
            touched = _counted("first touch", n_pages, clock, lambda: _touch(area, pages))
            unmapped = _counted("unmap", n_pages, clock, lambda: _unmap(area, pages))
            idle = _counted("idle", n_pages, clock, lambda: time.sleep(touched.seconds))
    return [idle, touched, unmapped]


def _touch(area: mmap.mmap, pages: range) -> None:
    for page in pages:
        area[page] = 1


def _unmap(area: mmap.mmap, pages: range) -> None:
    for page in pages:
        area.madvise(mmap.MADV_DONTNEED, page, OS_PAGE_BYTES)


def _counted(
    operation: Operation, n_operations: int, clock: int, do: Callable[[], None]
) -> TlbIpis:
    """Count the interrupts while `do` runs; `clock` is the CPU clock of the other thread."""
    before, started, ran = tlb_interrupts() or 0, time.monotonic(), time.clock_gettime(clock)
    do()
    seconds = time.monotonic() - started
    ran = time.clock_gettime(clock) - ran
    return TlbIpis(
        operation=operation,
        n_operations=n_operations,
        n_ipis=(tlb_interrupts() or 0) - before,
        seconds=round(seconds, 3),
        running=round(min(ran / seconds, 1.0), 3),
        **this_machine(),
    )


def main(arguments: list[str]) -> int:
    """Measure, and write a table to the file that is named."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m pfnlab.host.tlb_ipis FILE.csv\n")
        return 2
    measured = measure_tlb_ipis()
    with Path(arguments[0]).open("w", newline="") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(TlbIpis)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in measured)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
