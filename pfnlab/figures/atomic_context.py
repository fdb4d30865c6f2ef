"""Pictures of atomic contexts: what is illegal, and what each remedy costs."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from pfnlab.figures import palette
from pfnlab.figures.drawing import legend_below, new_figure, of_source
from pfnlab.figures.palette import FAINT, GREY
from pfnlab.frames import require
from pfnlab.frames.labels import NONE, RESERVE

_SMALLEST_SHARE = 1e-5
_SPREAD = 0.52  # of a row, over which its sources are spread


def atomic_context(frame: pd.DataFrame) -> Figure:
    """Draw the share of illegal calls, DRAM and time under each remedy, source by source."""
    drawn = ["remedy", "lead_events", "reserve_granules", "granule_bytes", "threshold_bytes"]
    require(frame, ["source", "evidence", *drawn, "atomic_calls", "illegal_share",
                    "peak_resident_bytes", "initiator_ns", "accesses"])  # fmt: skip
    figure, (row,) = new_figure(
        "A held prefault makes every atomic caller legal; a reserve only where someone refills it",
        1, 3, 13.4, 1.8 + 0.36 * frame.groupby(["remedy", "lead_events"]).ngroups,
    )  # fmt: skip
    labels = list(dict.fromkeys(_label(r) for r in frame.to_dict("records")))
    looks = palette.sources(frame["source"])
    for i, (source, some) in enumerate(frame.groupby("source", sort=False)):
        y = [labels.index(_label(r)) for r in some.to_dict("records")]
        spread = np.asarray(y) + _SPREAD * ((i + 0.5) / len(looks) - 0.5)
        held = some["peak_resident_bytes"] + some["reserve_granules"] * some["granule_bytes"]
        about = looks[str(source)].marks()
        has_calls = some["atomic_calls"] > 0
        share = some["illegal_share"].where(has_calls)
        nobody = "" if has_calls[some["remedy"] == NONE].any() else ", no atomic lookups"
        name = of_source(source, f"{some['evidence'].iloc[0]}{nobody}")
        row[0].plot(share, spread, label=name, **about)
        row[1].plot(held / some["threshold_bytes"], spread, clip_on=False, **about)
        recorded = some.loc[some["remedy"] == NONE, "accesses"].max()
        row[2].plot(some["initiator_ns"] / max(recorded, 1), spread, clip_on=False, **about)
    _remedies_axis(row, labels)
    row[0].set_xscale("symlog", linthresh=_SMALLEST_SHARE)
    row[0].set_xlim(-_SMALLEST_SHARE / 4, 2)
    row[0].set_xticks([0, 1e-4, 1e-3, 1e-2, 1e-1, 1])
    row[0].xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))
    row[0].set_xlabel("atomic calls that are illegal")
    row[1].set_xlabel("peak DRAM and reserve, in thresholds")
    row[1].axvline(1, color=GREY, lw=1, ls="--")
    row[1].set_xlim(left=0)
    row[2].set_xlabel("ns an access (an illegal call takes none)")
    row[2].set_xlim(left=0)
    legend_below(figure, *row[0].get_legend_handles_labels())
    return figure


def _label(row: dict[Any, Any]) -> str:
    """Return the remedy with what tells its rows apart; the smallest reserve is each source's."""
    if row["lead_events"]:
        return f"{row['remedy']}, {row['lead_events']:,} events ahead"
    if row["remedy"] == RESERVE:
        return f"reserve of {row['reserve_granules']:,} granules"
    return str(row["remedy"])


def _remedies_axis(row: list[Axes], labels: list[str]) -> None:
    for axes in row:
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_yticks(range(len(labels)), labels if axes is row[0] else [""] * len(labels))
        axes.grid(visible=False, axis="y")
        for edge in range(len(labels) - 1):
            axes.axhline(edge + 0.5, color=FAINT, lw=0.8)
    row[0].set_ylabel("remedy")
