"""The notebooks that judge claims, a chapter each: which claims, and how the frame is drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from pfnlab import claims, figures, notebooks
from pfnlab.claims import Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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


def verdicts(chapter: Chapter, frame: pd.DataFrame) -> claims.Verdicts:
    """Return what the frame of a chapter, and its measurements, say about each of its claims."""
    measured = [claim(notebooks.measured(name)) for claim, name in chapter.measured]
    return claims.Verdicts([*claims.verdicts(frame, *chapter.claims), *measured])


def in_order(found: Mapping[str, Iterable[Verdict]]) -> list[tuple[Verdict, str]]:
    """Return every verdict with its notebook: the claims of the thread first, by number."""
    rows = [(verdict, notebook) for notebook, some in found.items() for verdict in some]
    return sorted(rows, key=lambda row: (row[0].claim[0] != "T", int(row[0].claim[1:])))


def summary(verdicts: Iterable[Verdict]) -> str:
    """Return how many verdicts fell which way."""
    answers = Counter(verdict.answer for verdict in verdicts)
    return ", ".join(f"{answer}: {number}" for answer, number in answers.most_common())
