"""Faults taken against pages populated, when several CPUs touch the same fresh pages at once.

    python -m pfnlab.host.shared_faults data/measured/shared_faults.csv

Two CPUs that fault on one page both take the fault; one of them finds the page there and gives its
own back. DESIGN 5 does not model that loser; this measures how often there is one.
"""

import csv
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from pfnlab.errors import ParameterError, PfnlabError
from pfnlab.host.limits import this_machine, why_no_twin
from pfnlab.host.reserved_range import reserved, resident_granules
from pfnlab.kernels.host import lockstep
from pfnlab.kernels.host.system_calls import USAGE_WORDS
from pfnlab.params.units import OS_PAGE_BYTES

_MOST_PAGES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedFaults:
    """Counts of threads that touched the same fresh pages, each thread on a CPU of its own.

    Attributes
    ----------
    n_threads
        Threads that touched every page, at the same time.
    n_pages
        Pages that were populated, as ``mincore`` tells.
    n_faults
        Minor faults that the threads took.
    seconds
        How long it took.
    machine, date
        CPUs and kernel, and the day, ISO 8601.
    """

    n_threads: int
    n_pages: int
    n_faults: int
    seconds: float
    machine: str
    date: str


def measure_shared_faults(n_pages: int = 20_000, n_threads: int = 2) -> list[SharedFaults]:
    """Touch `n_pages` fresh pages by one thread, then as many by `n_threads` in lockstep.

    Raises
    ------
    PfnlabError
        If this machine can't: see `pfnlab.host.limits.why_no_twin`.
    ParameterError
        If there are not so many CPUs, or `n_pages` is not between 1 and 2**20.
    """
    if (reason := why_no_twin()) is not None:
        raise PfnlabError(f"faults can't be counted by thread here: {reason}")
    if isinstance(n_pages, bool) or not isinstance(n_pages, int) or not 0 < n_pages <= _MOST_PAGES:
        raise ParameterError("n_pages", n_pages, f"must be between 1 and {_MOST_PAGES}")
    n_cpus = len(os.sched_getaffinity(0))
    if isinstance(n_threads, bool) or not isinstance(n_threads, int) or not 1 < n_threads <= n_cpus:
        raise ParameterError("n_threads", n_threads, f"must be 2 or more, and a CPU each: {n_cpus}")
    return [_measured(n_pages, n) for n in (1, n_threads)]


def _measured(n_pages: int, n_threads: int) -> SharedFaults:
    cpus = sorted(os.sched_getaffinity(0))
    progress = np.zeros(2 * n_threads * lockstep.LINE_WORDS, np.int64)
    usages = [np.full(USAGE_WORDS, 0, np.int64) for _ in range(n_threads)]

    def touch(mine: int) -> int:
        os.sched_setaffinity(0, {cpus[mine]})
        try:
            return lockstep.touch_together(words, n_pages, progress, mine, n_threads, usages[mine])
        finally:
            progress[mine * lockstep.LINE_WORDS] = -1  # nobody waits for one that failed

    with (
        reserved(n_pages * OS_PAGE_BYTES, huge=False) as words,
        ThreadPoolExecutor(n_threads) as pool,
    ):
        lockstep.touch_together(words, 0, progress, 0, n_threads, usages[0])
        started = time.monotonic()
        faults = [each.result() for each in [pool.submit(touch, i) for i in range(n_threads)]]
        seconds = time.monotonic() - started
        n_populated = len(resident_granules(words, OS_PAGE_BYTES))
    return SharedFaults(
        n_threads=n_threads,
        n_pages=n_populated,
        n_faults=sum(faults),
        seconds=round(seconds, 3),
        **this_machine(),
    )


def main(arguments: list[str]) -> int:
    """Measure, and write a table to the file that is named."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m pfnlab.host.shared_faults FILE.csv\n")
        return 2
    measured = measure_shared_faults()
    with Path(arguments[0]).open("w", newline="") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(SharedFaults)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in measured)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
