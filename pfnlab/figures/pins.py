"""Pictures of pins: what they keep from eviction, how large DRAM gets, what eviction destroys."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from pfnlab.figures import palette
from pfnlab.figures.drawing import (
    bytes_axis,
    end_label,
    heading,
    legend_below,
    new_figure,
    of_source,
)
from pfnlab.figures.palette import INK
from pfnlab.frames import require
from pfnlab.frames.labels import LIFE, NO_PINS, RECORDED
from pfnlab.params.units import short_bytes

_KINDS = {RECORDED: palette.place(0), LIFE: palette.place(2)}


def pins(frame: pd.DataFrame) -> Figure:
    """Draw evictable chunks against chunk size, and DRAM and refaults against the hold time."""
    drawn = ["pins", "hold_events", "pinned_share", "chunk_bytes", "threshold_bytes"]
    counted = ["peak_resident_bytes", "refaults", "accesses"]
    shares = ["evictable_share", "independent_share", "scattered_share"]
    require(frame, ["source", "evidence", *drawn, *counted, *shares])
    sources = list(frame["source"].unique())
    figure, grid = new_figure(
        "Pins for life leave no bound on DRAM; pins cluster, so more can be evicted than (1-q)^n",
        3, len(sources), 2.4 + 3.5 * len(sources), 7.2,
    )  # fmt: skip
    for column, source in enumerate(sources):
        rows = frame[frame["source"] == source]
        top, middle, bottom = (row[column] for row in grid)
        _evictable(top, rows)
        peak = rows["peak_resident_bytes"] / rows["threshold_bytes"]
        _by_hold(middle, rows.assign(y=peak))
        _by_hold(bottom, rows.assign(y=rows["refaults"] / rows["accesses"].clip(lower=1)))
        middle.axhline(1, color=INK, lw=1, ls="--")
        heading(top, of_source(source, rows["evidence"].iloc[0]))
        top.set_ylabel("evictable chunks")
        middle.set_ylabel("peak DRAM, in thresholds")
        bottom.set_ylabel("refaults an access")
        middle.set_ylim(bottom=0)
        bottom.set_ylim(bottom=0)
    handles, labels = grid[0][0].get_legend_handles_labels()
    more = grid[1][0].get_legend_handles_labels()
    legend_below(figure, [*handles, *more[0]], [*labels, *more[1]])
    return figure


def _evictable(axes: Axes, rows: pd.DataFrame) -> None:
    """Replayed share beside the closed form and pins placed at random, for two kinds of pins."""
    for kind, look in _KINDS.items():
        some = rows[(rows["pins"] == kind) & (rows["pinned_share"] == 1)].sort_values("chunk_bytes")
        if some.empty:
            continue
        x, colour = some["chunk_bytes"], look.colour
        axes.plot(x, some["evictable_share"], color=colour, marker="o", lw=2)
        axes.plot(x, some["independent_share"], color=colour, ls="--", lw=1.2)
        axes.plot(x, some["scattered_share"], color=colour, ls="", marker="x")
        end_label(axes, x.iloc[-1], some["evictable_share"].iloc[-1], kind, colour)
    for text, how in (
        ("replayed", {"marker": "o", "lw": 2}),
        (r"$(1-q)^n$ for as many pins", {"ls": "--", "lw": 1.2}),
        ("as many pins, placed at random", {"ls": "", "marker": "x"}),
    ):
        axes.plot([], [], color=INK, label=text, **how)
    bytes_axis(axes, "x", "chunk")
    axes.set_xticks(sorted(rows["chunk_bytes"].unique()))
    axes.set_ylim(-0.03, 1.03)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _by_hold(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw `y` against how long a pin is held, for the smallest and the largest chunk."""
    held = rows[~rows["pins"].isin([RECORDED, NO_PINS])]
    holds = sorted(held["hold_events"].unique())
    labels = ["no pins"] + [f"{hold:,}" for hold in holds]
    if (held["pins"] == LIFE).any():
        labels[-1] = "life"
    shares = sorted(held["pinned_share"].unique(), reverse=True)
    styles = dict(zip(shares, palette.LINES, strict=False))
    for chunk in sorted({rows["chunk_bytes"].min(), rows["chunk_bytes"].max()}):
        look, of_size = palette.size(chunk), rows[rows["chunk_bytes"] == chunk]
        bare = of_size.loc[of_size["pins"] == NO_PINS, "y"].mean()
        for share, style in styles.items():
            line = of_size[(of_size["pinned_share"] == share) & of_size["pins"].isin(held["pins"])]
            y = [bare, *line.sort_values("hold_events")["y"]]
            axes.plot(range(len(y)), y, color=look.colour, ls=style, marker=".")
            if share == shares[0]:
                end_label(axes, len(y) - 1, y[-1], short_bytes(chunk), look.colour)
        recorded = of_size.loc[of_size["pins"] == RECORDED, "y"].mean()
        axes.plot([-0.6], [recorded], color=look.colour, marker=">", ms=8, ls="", clip_on=False)
    for share, style in styles.items():
        axes.plot([], [], color=INK, ls=style, marker=".", label=f"{share:.0%} of the pages pinned")
    axes.plot([], [], color=INK, marker=">", ms=8, ls="", label="pins as recorded")
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlim(-0.6, len(labels) - 0.8)
    axes.set_xlabel("accesses that a page is idle before it is unpinned")
