"""Pictures of victim orders: what LRA loses to the others, and theory over simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from pfnlab.figures.drawing import COLOURS, GREY, INK, end_label, new_figure
from pfnlab.frames import require

#: One colour, marker and line an order, everywhere.
_LOOKS = {
    "lra": (INK, "o", "-"),
    "lru": (COLOURS[0], "o", "-"),
    "clock": (COLOURS[5], "^", "-"),
    "sieve": (COLOURS[1], "s", "-"),
    "s3fifo": (COLOURS[4], "D", "-"),
    "random": (COLOURS[2], "v", ":"),
    "opt": (GREY, "o", "--"),
}
_NAMES = {"opt": "opt (knows the future)", "random": "random (knows nothing)"}


def order_losses(frame: pd.DataFrame) -> Figure:
    """Draw how many more faults LRA takes than each other order, against the threshold."""
    require(frame, ["source", "evidence", "policy", "threshold_bytes", "footprint_bytes", "faults"])
    sources = list(frame["source"].unique())
    n_rows = -(-len(sources) // 2)
    figure, grid = new_figure(
        "What evicting without a look at accesses costs: faults of LRA beyond each other order's",
        n_rows, min(len(sources), 2), 11.6, 3.2 * n_rows + 0.6,
    )  # fmt: skip
    panels = [axes for row in grid for axes in row]
    for axes, source in zip(panels, sources, strict=False):
        rows = frame[frame["source"] == source]
        _losses(axes, rows)
        axes.set_title(f"{source} ({rows['evidence'].iloc[0]})", loc="left", fontsize=10)
        axes.set_xlabel("threshold, share of the footprint")
        axes.set_ylabel("faults of LRA beyond the other's")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    for axes in panels[len(sources) :]:
        axes.remove()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False)
    return figure


def _losses(axes: Axes, rows: pd.DataFrame) -> None:
    by_order = rows.pivot_table(
        index=["footprint_bytes", "threshold_bytes"], columns="policy", values="faults"
    )
    footprints, thresholds = (by_order.index.get_level_values(i).to_numpy() for i in (0, 1))
    share = thresholds / np.maximum(footprints, 1)
    axes.axhline(0, color=INK, lw=1.2)
    for order, (colour, marker, line) in _LOOKS.items():
        if order == "lra" or order not in by_order or "lra" not in by_order:
            continue
        more = by_order["lra"] / by_order[order] - 1
        axes.plot(share, more, color=colour, marker=marker, ls=line, lw=1.8, ms=5,
                  label=_NAMES.get(order, order))  # fmt: skip
    end_label(axes, float(share.max()), 0.0, "LRA", INK)


def beside_theory(frame: pd.DataFrame) -> Figure:
    """Draw the misses that were simulated (points) over those that theory predicts (lines)."""
    drawn = ["policy", "n_items", "alpha", "capacity", "simulated", "predicted", "form"]
    require(frame, ["source", *drawn])
    figure, ((axes, apart),) = new_figure(
        "Independent references: the replay (points) keeps to the closed forms (lines)",
        1, 2, 12, 4.0,
    )  # fmt: skip
    row = frame.iloc[0]
    about = f"{row['source']}, {row['n_items']:,} granules, alpha {row['alpha']:g}"
    for i, (order, some) in enumerate(frame.groupby("policy", sort=False)):
        rows = some.sort_values("capacity")
        colour, marker, _ = _LOOKS[str(order)]
        share = rows["capacity"] / rows["n_items"]
        label = f"{order}: {rows['form'].iloc[0]}"
        axes.plot(share, rows["predicted"], color=colour, lw=1.6, ls=(":", "-")[i % 2])
        axes.plot(share, rows["simulated"], color=colour, marker=marker, ls="", ms=5, label=label)
        off = rows["simulated"] / rows["predicted"] - 1
        apart.plot(share, off, color=colour, marker=marker, lw=1.2, ms=5)
        end_label(apart, float(share.iloc[-1]), float(off.iloc[-1]), str(order), colour)
    axes.legend(frameon=False, fontsize=9)
    axes.set_ylabel("faults a reference")
    axes.set_ylim(0, 1)
    apart.axhline(0, color=GREY, lw=1)
    apart.set_ylabel("replay beyond theory")
    apart.yaxis.set_major_formatter(PercentFormatter(1.0))
    limit = 1.2 * float((frame["simulated"] / frame["predicted"] - 1).abs().max()) or 0.01
    apart.set_ylim(-max(limit, 0.01), max(limit, 0.01))
    for each in (axes, apart):
        each.set_title(about, loc="left", fontsize=10)
        each.set_xlabel("threshold, share of the granules")
        each.xaxis.set_major_formatter(PercentFormatter(1.0))
    return figure
