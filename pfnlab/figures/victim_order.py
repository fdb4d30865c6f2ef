"""Pictures of victim orders: what LRA loses to the others, and theory over simulation."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from pfnlab.figures import palette
from pfnlab.figures.drawing import bytes_axis, end_label, heading, new_figure, of_source
from pfnlab.figures.palette import INK
from pfnlab.frames import require
from pfnlab.params.policies import INFORMED
from pfnlab.params.units import parse_bytes

_NAMES = {"opt": "opt (foresees)", "random": "random (blind)"}


def order_losses(frame: pd.DataFrame) -> Figure:
    """Draw how many more faults LRA takes than each other order, against the threshold."""
    require(frame, ["source", "evidence", "policy", "threshold_bytes", "footprint_bytes", "faults"])
    sources = list(frame["source"].unique())
    n_rows = -(-len(sources) // 2)
    figure, grid = new_figure(
        _title(frame), n_rows, min(len(sources), 2), 11.6, 3.2 * n_rows + 0.6,
    )  # fmt: skip
    panels = [axes for row in grid for axes in row]
    for axes, source in zip(panels, sources, strict=False):
        rows = frame[frame["source"] == source]
        _losses(axes, rows)
        heading(axes, of_source(source, rows["evidence"].iloc[0]))
        axes.set_xlabel("threshold, share of the footprint")
        axes.set_ylabel("faults of LRA beyond the other's")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    for axes in panels[len(sources) :]:
        axes.remove()
    return figure


def _title(frame: pd.DataFrame) -> str:
    """Say how far LRA is behind the best order that looks at accesses, and behind the future."""
    by_order = frame.pivot_table(
        index=["source", "threshold_bytes"], columns="policy", values="faults", aggfunc="min"
    )
    watching = [order for order in by_order if order in INFORMED]
    if "lra" not in by_order or not watching:
        return "LRA has no order beside it here that looks at accesses"
    most = (by_order["lra"] / by_order[watching].min(axis=1) - 1).max()
    return f"LRA never looks at accesses, and faults up to {most:.0%} more than orders that do"


def _losses(axes: Axes, rows: pd.DataFrame) -> None:
    by_order = rows.pivot_table(
        index=["footprint_bytes", "threshold_bytes"], columns="policy", values="faults"
    )
    footprints, thresholds = (by_order.index.get_level_values(i).to_numpy() for i in (0, 1))
    share = thresholds / np.maximum(footprints, 1)
    axes.plot([share.min(), share.max()], [0, 0], color=INK, lw=1.2)
    end_label(axes, float(share.max()), 0.0, "lra", INK)
    for order in map(str, by_order if "lra" in by_order else ()):
        if order == "lra":
            continue
        look, more = palette.policy(order), by_order["lra"] / by_order[order] - 1
        axes.plot(share, more, **look.lines(), lw=1.8, ms=5)
        end_label(axes, share[-1], more.iloc[-1], _NAMES.get(order, order), look.colour)


#: Experiments of `pfnlab.claims.measures.against_theory`: title, x label, y label.
_PANELS = {
    "orders": ("Victim orders", "threshold, granules", "faults a reference"),
    "batches": ("Chunks unmapped at once", "batch, chunks of one granule", "faults a reference"),
    "touched": ("Sparse access", "references", "granules touched"),
}


def beside_theory(frame: pd.DataFrame) -> Figure:
    """Draw what was replayed (points) over what theory predicts (lines), and how far it is off."""
    require(frame, ["source", "experiment", "about", "series", "x", "form", "simulated",
                    "predicted"])  # fmt: skip
    figure, grid = new_figure(
        "The replay (points) keeps to the closed forms (lines), but for batches of all there is",
        2, 2, 12, 7.2,
    )  # fmt: skip
    panels = [axes for row in grid for axes in row]
    for axes, (experiment, (title, x, y)) in zip(panels, _PANELS.items(), strict=False):
        rows = frame[frame["experiment"] == experiment]
        about = rows["about"].iloc[0] if len(rows) else "not replayed"
        heading(axes, f"{title}: {about}")
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        _points_on_lines(axes, panels[3], rows)
    for axes in panels[:2]:
        axes.set_ylim(0, 1)
    if (frame["experiment"] == "touched").any():
        panels[2].set_xscale("log")
        bytes_axis(panels[2], "y", "granules touched")
    panels[3].axhline(0, color=INK, lw=1)
    panels[3].set_xscale("log")
    panels[3].yaxis.set_major_formatter(PercentFormatter(1.0))
    heading(panels[3], "How far off: replay beyond theory, all of them")
    panels[3].set_xlabel("threshold, batch or references")
    panels[3].set_ylabel("replay beyond theory")
    return figure


def _points_on_lines(axes: Axes, apart: Axes, rows: pd.DataFrame) -> None:
    for i, (series, some) in enumerate(rows.groupby("series", sort=False)):
        line = some.sort_values("x")
        look = _look(str(line["experiment"].iloc[0]), str(series))
        axes.plot(line["x"], line["predicted"], color=look.colour, lw=1.6, ls=("-", "--")[i % 2])
        label = f"{series}: {line['form'].iloc[0]}"
        axes.plot(line["x"], line["simulated"], **look.marks(), ms=5, label=label)
        off = line["simulated"] / line["predicted"] - 1
        apart.plot(line["x"], off, color=look.colour, marker=look.marker, lw=1.2, ms=5)
    if len(rows):
        axes.legend(frameon=False, fontsize=9, loc="best")


def _look(experiment: str, series: str) -> palette.Look:
    """Return a policy's look, or a granule's; batches, all of lra, have their own."""
    if experiment == "batches":
        return palette.place(3)
    return palette.policy(series) if experiment == "orders" else palette.size(parse_bytes(series))
