"""Rows about fresh processes, traces on disk and drawing: start-up, peak memory, zipf."""

import inspect
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import pfnlab
from benchmarks.race import AbsentError, Contestant, Mark, Race
from benchmarks.traces import REGION, ROOT, Scale, scratch_folder, zs
from pfnlab.params.memory import available_bytes

FIRST_RESULT = """
import numpy as np, pfnlab
trace = pfnlab.Trace(np.arange(0, 64 * 1000, 64, dtype=np.uint32))
print(pfnlab.replay(trace, pfnlab.Params()).faults)
"""
# The peak of this process alone: ru_maxrss would start at what the parent held when it forked.
PEAK = """
import re, sys
from pathlib import Path
import numpy as np, pfnlab
from benchmarks.fresh import STREAMED_SHAPE, from_disk
def mib(field):
    return int(re.search(field + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
pfnlab.replay(pfnlab.Trace(np.arange(64, dtype=np.uint32)), STREAMED_SHAPE)
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = mib("VmRSS")
print(pfnlab.replay(from_disk(sys.argv[1]), STREAMED_SHAPE).faults, mib("VmHWM") - before)
"""
ZIPF_ALPHA = 1.1
#: Granule = chunk = 2 MiB at 10 %: the fastest replay, so the hardest to keep fed.
STREAMED_SHAPE = REGION.replace(
    granule_bytes="2MiB", chunk_bytes="2MiB", threshold_bytes=REGION.vmemmap_bytes // 10
)


def python(code: str, *arguments: str) -> str:
    """Run `code` in a fresh interpreter and return what it printed."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()


def program(name: str, code: str, mark: Mark | None = None) -> Contestant:
    """Return a fresh process, its start and end included; the answer is what it prints."""
    return Contestant(
        name=name, run=lambda: python(code), answer=lambda printed: {code: printed}, mark=mark
    )


def imports(scale: Scale) -> Race:
    """Return `import pfnlab` against `import numpy`, as whole processes."""
    mine, theirs = (f"import {name}; print({name}.__version__)" for name in ("pfnlab", "numpy"))
    return Race(
        unit="s",
        contestants=[
            program("import pfnlab", mine),
            program("import numpy", theirs, Mark(1 / 1.5)),
        ],
        expected={mine: pfnlab.__version__, theirs: np.__version__},
        note="at most 1.5 times the time is a ratio of at least 0.667",
    )


def first_result(scale: Scale) -> Race:
    """Return a small replay in a fresh process; the compile cache is warm."""
    mine = program("import, replay, print", FIRST_RESULT, Mark(1.0, "s", at_most=True))
    return Race(unit="s", contestants=[mine], expected={FIRST_RESULT: "1000"})


def from_disk(folder: str | Path) -> Any:
    """Return the trace in `folder`, streamed where `load` can be told so, else memory-mapped."""
    load: Callable[..., Any] = pfnlab.load
    streamed = "stream" in inspect.signature(load).parameters
    return load(folder, stream=True) if streamed else load(folder)


class OnDisk:
    """A trace of `n` accesses in a temporary folder of `.npy` columns; fewer if they do not fit."""

    def __init__(self, n: int) -> None:
        folder = scratch_folder(self)
        # Twice in memory for a moment (drawn, joined), once in the page cache; half of it spared.
        fits = min(shutil.disk_usage(folder).free, available_bytes() // 3) // 2 // 4
        self.n = min(n, fits)
        if self.n < 1_000_000:
            raise AbsentError("too little free memory or disk")
        self.note = "" if self.n == n else f"{self.n:,} accesses, not {n:,}: more would not fit"
        drawn = zs(min(self.n, 20_000_000)).pfns
        self.trace = pfnlab.Trace(np.resize(drawn, self.n), name="zs")
        self.path = pfnlab.save(self.trace, folder / "trace")


def streamed(scale: Scale) -> Race:
    """Return the replay of a folder of `.npy` columns against the same trace in memory."""
    disk = OnDisk(scale.streamed)

    def replay(source: Callable[[], Any]) -> Callable[[], pfnlab.Result]:
        # The folder lives as long as what is timed does.
        return lambda _keep=disk: pfnlab.replay(source(), STREAMED_SHAPE)  # type: ignore[misc]

    def answer(result: pfnlab.Result) -> dict[str, Any]:
        return {"counts": tuple(result.counts().items())}

    return Race(
        contestants=[
            Contestant(
                name="from disk", n=disk.n, run=replay(lambda: from_disk(disk.path)), answer=answer
            ),
            Contestant(
                name="in memory",
                n=disk.n,
                run=replay(lambda: disk.trace),
                answer=answer,
                mark=Mark(0.8),
            ),
        ],
        note=disk.note,
    )


def peak_memory(scale: Scale) -> Race:
    """Return the peak memory that a fresh process takes for a trace on disk."""
    disk = OnDisk(scale.streamed)
    faults = pfnlab.replay(disk.trace, STREAMED_SHAPE).faults
    mine = Contestant(
        name="replay from disk",
        n=disk.n,
        run=lambda: python(PEAK, str(disk.path)).split(),
        answer=lambda printed: {"faults": int(printed[0])},
        measured=lambda printed: float(printed[1]),
        mark=Mark(1024, "MiB", at_most=True),
    )
    return Race(contestants=[mine], expected={"faults": faults}, note=disk.note)


def zipf(scale: Scale) -> Race:
    """Return zipf draws against numpy's; checked by the share of the commonest page."""
    n, alpha = scale.accesses // 4, ZIPF_ALPHA
    spec = pfnlab.workload("zipf", alpha=alpha, n_events=n, seed=1)

    def near_theory(commonest: int, ranks: float) -> dict[str, Any]:
        # The sum of r**-alpha up to `ranks`, by Euler and Maclaurin from 1000 on.
        head = math.fsum(r**-alpha for r in range(1, 1000))
        tail = (1000 ** (1 - alpha) - ranks ** (1 - alpha)) / (alpha - 1) + 1000**-alpha / 2
        share = 1 / (head + tail)
        return {"as in theory": abs(commonest / n - share) < 5 * math.sqrt(share / n)}

    random = np.random.default_rng(1)
    return Race(
        contestants=[
            Contestant(
                name="pfnlab zipf",
                n=n,
                run=lambda: spec.trace(REGION),
                answer=lambda t: near_theory(np.unique(t.pfns, return_counts=True)[1].max(),
                                             REGION.n_pages),
            ),
            Contestant(
                name="numpy Generator.zipf",
                n=n,
                run=lambda: random.zipf(alpha, n),
                answer=lambda ranks: near_theory(int((ranks == 1).sum()), math.inf),
                mark=Mark(8),
            ),
        ],
        expected={"as in theory": True},
    )  # fmt: skip


RACES: Mapping[str, Callable[[Scale], Race]] = {
    "disk/streamed": streamed,
    "disk/peak memory": peak_memory,
    "draw/zipf 1.1": zipf,
    "start/import": imports,
    "start/first result": first_result,
}
