"""The main job: every claim notebook headless on the shipped trace, then verdicts and pictures."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from textwrap import shorten

import pandas as pd
from matplotlib.figure import Figure

from pfnlab import claims, figures, notebooks
from pfnlab.claims import Verdict
from pfnlab.errors import NotebookError

BEGIN, END = "<!-- claims: written by ./run demo -->", "<!-- claims end -->"
_OVERVIEW_WIDTH = 78

Claim = Callable[[pd.DataFrame], Verdict]


@dataclass(frozen=True, slots=True)
class Chapter:
    """One notebook: what its frame says, claim by claim, and how it is drawn.

    Measured claims are judged on a recorded measurement (`notebooks.measured`) in place of the
    notebook's frame, so that the table does not change with the machine that writes it.
    """

    notebook: str
    claims: tuple[Claim, ...]
    figure: Callable[[pd.DataFrame], Figure]
    measured: tuple[tuple[Claim, str], ...] = ()


CHAPTERS = (
    Chapter("00_model", (), figures.mechanism),  # a definition: shown, not claimed
    Chapter(
        "01_static_cost",
        (
            claims.static_takes_a_64th,
            claims.device_costs_latency_and_wear,
            claims.pfn_only_loses_sharing,
            claims.temporary_is_cheaper,
            claims.two_level_beats_demand,
            claims.freed_dram_is_worth_little,
        ),
        figures.schemes,
    ),
    Chapter("02_region_size", (claims.bounded_dram,), figures.region_size),
    Chapter("03_chunk_size", (claims.chunks_amortise, claims.granules_trade), figures.chunk_size),
    Chapter("04_eviction_threshold", (claims.small_share_suffices,), figures.eviction_threshold),
    Chapter(
        "05_shootdowns",
        (
            claims.establishing_is_local,
            claims.best_batch_is_near,
            claims.lazy_purge_is_a_batch,
            claims.ceiling_is_constant,
        ),
        figures.shootdowns,
        ((claims.touches_send_no_ipis, "tlb_ipis"),),
    ),
    Chapter(
        "06_atomic_context",
        (claims.atomic_calls_fault, claims.a_remedy_suffices),
        figures.atomic_context,
    ),
    Chapter("07_pins", (claims.pins_break_the_bound, claims.pins_are_independent), figures.pins),
    Chapter("08_pmem_and_gpu", (claims.serves_both,), figures.by_region),
    Chapter("09_is_lra_enough", (claims.lra_is_enough,), figures.order_losses),
    Chapter(
        "10_reality_check",
        (),
        figures.reality,
        (
            (claims.counts_agree, "agreement"),
            (claims.times_are_predicted, "predicted_times"),
            (claims.shared_touches_fault_again, "shared_faults"),
        ),
    ),
)


def run(chapter: Chapter, folder: Path) -> claims.Verdicts:
    """Execute one notebook; leave notebook, frame and picture in `folder`."""
    frame_path = folder / f"{chapter.notebook}.parquet"
    notebooks.execute(
        chapter.notebook, {"out": str(frame_path)}, folder / f"{chapter.notebook}.ipynb"
    )
    frame = pd.read_parquet(frame_path)
    picture = chapter.figure(frame)
    for suffix in ("png", "svg"):
        picture.savefig(folder / f"{chapter.notebook}.{suffix}", dpi=120)
    print(f"{chapter.notebook}: {len(frame)} points", file=sys.stderr, flush=True)
    return verdicts(chapter, frame)


def verdicts(chapter: Chapter, frame: pd.DataFrame) -> claims.Verdicts:
    """Return what the frame of a chapter, and its measurements, say about each of its claims."""
    measured = [claim(notebooks.measured(name)) for claim, name in chapter.measured]
    return claims.Verdicts([*claims.verdicts(frame, *chapter.claims), *measured])


def table(found: Mapping[str, Iterable[Verdict]]) -> str:
    """Return the claims of all notebooks as a Markdown table, in the order of their numbers."""
    lines = [
        "| claim of the thread | argued by | notebook | verdict | figures |",
        "|---|---|---|---|---|",
    ]
    for verdict, notebook in in_order(found):
        link = f"[{notebook.partition('_')[0]}](notebooks/{notebook}.ipynb)"
        evidence = verdict.evidence.replace("\n", "<br>")
        lines.append(
            f"| **{verdict.claim}** {verdict.statement} | {verdict.who} | {link} "
            f"| **{verdict.answer}** ({verdict.kind}) | {evidence} |"
        )
    return "\n".join(lines) + "\n"


def in_order(found: Mapping[str, Iterable[Verdict]]) -> list[tuple[Verdict, str]]:
    """Return every verdict with its notebook: the claims of the thread first, by number."""
    rows = [(verdict, notebook) for notebook, some in found.items() for verdict in some]
    return sorted(rows, key=lambda row: (row[0].claim[0] != "T", int(row[0].claim[1:])))


def summary(verdicts: Iterable[Verdict]) -> str:
    """Return how many verdicts fell which way."""
    answers = Counter(verdict.answer for verdict in verdicts)
    return ", ".join(f"{answer}: {number}" for answer, number in answers.most_common())


def overview(found: Mapping[str, Iterable[Verdict]]) -> str:
    """Return a line for each verdict, without its figures: what fits a screen."""
    return "\n".join(
        f"{verdict.claim:<4}{verdict.answer:<13} {notebook.partition('_')[0]}  "
        + shorten(verdict.statement, _OVERVIEW_WIDTH, placeholder=" ...")
        for verdict, notebook in in_order(found)
    )


def with_table(readme: str, text: str) -> str:
    """Return the README with `text` between its markers."""
    before, rest = readme.split(BEGIN, 1)
    return f"{before}{BEGIN}\n\n{text}\n{END}{rest.split(END, 1)[1]}"


def main() -> int:
    """Run the demo from the root of the checkout; 0 if every notebook ran."""
    started = time.monotonic()
    if not notebooks.FOLDER.is_dir():
        raise NotebookError(f"{notebooks.FOLDER}: no such folder; run the demo in a checkout")
    folder = notebooks.ROOT / "results"
    folder.mkdir(exist_ok=True)
    doing = f"replaying real traces and workloads in {len(CHAPTERS)} notebooks ..."
    print(doing, file=sys.stderr, flush=True)
    with ThreadPoolExecutor(2) as pool:
        every = list(pool.map(lambda chapter: run(chapter, folder), CHAPTERS))
    names = [chapter.notebook for chapter in CHAPTERS]
    found = dict(zip(names, every, strict=True))
    text = table(found)
    (folder / "verdicts.md").write_text(text)
    readme = notebooks.ROOT / "README.md"
    readme.write_text(with_table(readme.read_text(), text))
    for verdict, notebook in in_order(found):
        print(f"{verdict}\n  see notebooks/{notebook}.ipynb\n")
    print(f"In short, with the number of the notebook:\n\n{overview(found)}\n")
    print(summary(chain.from_iterable(every)))
    seconds = time.monotonic() - started
    print(f"frames, pictures, notebooks and verdicts.md are in results/ ({seconds:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
