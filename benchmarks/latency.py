"""From a key press to its picture in a real JupyterLab: ``python -m benchmarks.latency``.

The clock is the page's: from the key's own time stamp to the frame that shows the new picture.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import pfnlab
from benchmarks.report import about
from benchmarks.traces import ROOT
from pfnlab.params import PARAMETERS
from tests.browser.chromium import chromium, launched
from tests.browser.driving import STATUS, Notebook
from tests.browser.lab import Lab, serving
from tests.small_notebooks import copied

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SOURCE, REGION = "zipf:1000000", "1TiB"
PRESSES, REPETITIONS = 25, 3
#: Presses in a row, before another control is moved and the slider goes back: so no configuration
#: is seen twice, and nothing can be remembered.
LEG = 5
COST = ("shootdown", "trap")
MODEL = ("chunk_bytes", "batch_chunks")
COUNTED = ("accesses", "faults", "refaults", "shootdowns", "evicted_chunks")
COUNTERS = """() => Object.fromEntries(Array.from(
    document.querySelectorAll('.pfnlab-counted tr'),
    row => Array.from(row.children, cell => cell.textContent.trim()).slice(0, 2)))"""


class WrongAnswerError(Exception):
    """The page shows other numbers than `pfnlab.replay` counts."""


@dataclass(slots=True, kw_only=True)
class Row:
    """What is measured, in ms, once a press or opening, and what it should reach."""

    what: str
    median_below: float | None = None
    p90_below: float | None = None
    repetitions: list[list[float]] = field(default_factory=list)

    @property
    def values(self) -> list[float]:
        """All values."""
        return [value for repetition in self.repetitions for value in repetition]

    @property
    def median(self) -> float:
        """Median of all values."""
        return statistics.median(self.values)

    @property
    def p90(self) -> float:
        """Nine of ten values are no larger."""
        return float(np.quantile(self.values, 0.9, method="inverted_cdf"))

    @property
    def reached(self) -> bool:
        """Whether it is below what it should be."""
        return self.median < (self.median_below or np.inf) and self.p90 < (self.p90_below or np.inf)


def rows() -> dict[str, Row]:
    """Return what is measured, without values."""
    return {
        "asked": Row(what="page asked for -> first picture", median_below=5000),
        "run": Row(what="cells run -> first picture"),
        "cost": Row(what=f"{COST[0]} slider -> picture", median_below=60, p90_below=120),
        "model": Row(what=f"{MODEL[0]} slider -> first picture, a sample", median_below=120),
        "four": Row(what=f"{MODEL[0]} slider -> all four pictures of the sample"),
        "exact": Row(what=f"{MODEL[0]} slider -> exact", p90_below=2000),
    }


# --- In the page ------------------------------------------------------------------------------


def measure(lab: Lab, browser: Browser, path: str, found: Mapping[str, Row]) -> None:
    """Open the notebook, press keys, check the numbers that are shown, and note the times."""
    notebook = Notebook(lab, browser, path)
    began = notebook.now_ms()
    if errors := notebook.run_all():
        raise WrongAnswerError(errors[0])
    notebook.settle()
    first = shown(notebook)[0]
    found["asked"].repetitions.append([first])
    found["run"].repetitions.append([first - began])
    found["cost"].repetitions.append([times[0] for times, _ in pressed(notebook, *COST)])
    model = [*pressed(notebook, *MODEL)]
    found["model"].repetitions.append([times[0] for times, _ in model])
    found["four"].repetitions.append([times[3] for times, _ in model])
    found["exact"].repetitions.append([told for _, told in model])
    check(notebook)
    notebook.close()


def pressed(notebook: Notebook, slider: str, other: str) -> Iterator[tuple[list[float], float]]:
    """Press keys on a slider; yield when its pictures were shown, and when it was exact, in ms."""
    for press in range(PRESSES):
        if press and press % LEG == 0:
            notebook.press(other, "ArrowRight")
            notebook.settle()
        notebook.forget()
        notebook.press(slider, "ArrowLeft" if press // LEG % 2 else "ArrowRight")
        notebook.settle()
        key = notebook.seen("key")[-1].at_ms
        told = [one.shown_ms or one.at_ms for one in notebook.seen("status")]
        times = [at - key for at in shown(notebook)]
        if not times:
            raise WrongAnswerError(f"{slider}: pressed, and no other picture")
        yield times, (told[-1] - key if told else times[-1])


def shown(notebook: Notebook) -> list[float]:
    """Return when pictures were shown, in ms."""
    return [one.shown_ms or one.at_ms for one in notebook.seen("picture")]


def check(notebook: Notebook) -> None:
    """Compare the numbers on the page with those of a replay of what the controls say.

    Raises
    ------
    WrongAnswerError
        If they differ, or are not exact.
    """
    said = {n: notebook.position(n) if p.choices else notebook.typed(n)
            for n, p in PARAMETERS.items()}  # fmt: skip
    read: dict[str, Any] = {n: PARAMETERS[n].read(text) for n, text in said.items()}
    params = pfnlab.Params(**read)
    name, _, n_events = SOURCE.partition(":")
    trace = pfnlab.workload(name, n_events=int(n_events)).trace(params)
    counts = pfnlab.replay(trace, params)
    expected = {name: f"{getattr(counts, name):,}" for name in COUNTED}
    page = notebook.page.evaluate(COUNTERS)
    on_page = {name: page.get(name) for name in COUNTED}
    if notebook.text(STATUS) != "exact" or on_page != expected:
        raise WrongAnswerError(f"{notebook.text(STATUS)}: {on_page}, replayed: {expected}")


# --- The table --------------------------------------------------------------------------------


def markdown(found: Mapping[str, Row], facts: Mapping[str, str]) -> str:
    """Return the dated table."""
    head = ("from -> to", "n", "median", "of each repetition", "p90", "min-max", "mark", "")
    table = [head, ("---",) * len(head), *(_cells(row) for row in found.values())]
    return "\n".join([
        "# From a key press to its picture", "",
        "Written by `.venv/bin/python -m benchmarks.latency`, never by hand: `explore` in a real",
        f"JupyterLab and Chromium, `{SOURCE}` in {REGION}, {PRESSES} presses a slider, no",
        "configuration twice. From the key's time stamp to the frame after the picture was",
        "loaded, on the page's clock. At the end of each repetition the counters on the page were",
        "those of `pfnlab.replay`. The first opening, which fills caches, does not count.", "",
        *(f"* {name}: {value}" for name, value in facts.items()), "",
        *(f"| {' | '.join(cells)} |" for cells in table), "",
    ])  # fmt: skip


def _cells(row: Row) -> tuple[str, ...]:
    marks = {"median": row.median_below, "p90": row.p90_below}
    mark = ", ".join(f"{name} < {bound:g} ms" for name, bound in marks.items() if bound)
    medians = ", ".join(f"{statistics.median(values):.0f}" for values in row.repetitions)
    return (
        row.what,
        str(len(row.values)),
        f"{row.median:.0f} ms",
        medians,
        f"{row.p90:.0f} ms",
        f"{min(row.values):.0f}-{max(row.values):.0f}",
        mark,
        ("met" if row.reached else "**missed**") if mark else "",
    )


def facts(browser: Browser) -> dict[str, str]:
    """Return machine, versions and date."""
    wanted = ("date", "machine", "kernel", "python", "pfnlab")
    load = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"
    packages = {name: version(name) for name in ("jupyterlab", "ipywidgets", "matplotlib")}
    known = {name: value for name, value in about().items() if name in wanted}
    return {**known, **packages, "chromium": browser.version, "load before": load}


@contextmanager
def opened() -> Iterator[tuple[Lab, Browser, str]]:
    """Give a server, a browser, and the notebook that is opened."""
    with tempfile.TemporaryDirectory() as folder:
        root, settings = Path(folder, "root"), Path(folder, "settings")
        root.mkdir()
        settings.mkdir()
        parameters: dict[str, Any] = {"source": SOURCE, "region_bytes": REGION}
        path = copied("explore", root, parameters)
        with serving(root, settings) as lab, launched(chromium()) as browser:
            yield lab, browser, path


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and write it; 1 if a mark was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, metavar="N")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "LATENCY.md")
    options = parser.parse_args(arguments)
    found = rows()
    with opened() as (lab, browser, path):
        known = facts(browser)
        for repetition in range(options.repetitions + 1):
            print(f"latency: {repetition}/{options.repetitions}", file=sys.stderr, flush=True)
            measure(lab, browser, path, found if repetition else rows())
    table = markdown(found, known)
    print(table)
    options.out.write_text(table)
    return 0 if all(row.reached for row in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
