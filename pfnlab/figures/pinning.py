"""Pictures of pins: what they keep from eviction, how large DRAM gets, what eviction destroys."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from pfnlab.figures.drawing import COLOURS, GREY, bytes_axis, new_figure
from pfnlab.frames import require
from pfnlab.studies.pinning import LIFE, NO_PINS, RECORDED
from pfnlab.units import short_bytes

_RECORDED_COLOUR, _LIFE_COLOUR = COLOURS[0], COLOURS[1]
_SIZE_COLOURS = (COLOURS[2], COLOURS[3])


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
        middle.axhline(1, color=GREY, lw=1, ls="--")
        top.set_title(f"{source} ({rows['evidence'].iloc[0]})", loc="left", fontsize=10)
        top.set_ylabel("evictable chunks")
        middle.set_ylabel("peak DRAM, in thresholds")
        bottom.set_ylabel("refaults an access")
        middle.set_ylim(bottom=0)
        bottom.set_ylim(bottom=0)
    for row in (grid[0], grid[1]):
        handles, labels = row[0].get_legend_handles_labels()
        row[-1].legend(handles, labels, frameon=False, fontsize=9, loc="center left",
                       bbox_to_anchor=(1.0, 0.5))  # fmt: skip
    return figure


def _evictable(axes: Axes, rows: pd.DataFrame) -> None:
    """Replayed share beside the closed form and pins placed at random, for two kinds of pins."""
    for kind, colour in ((RECORDED, _RECORDED_COLOUR), (LIFE, _LIFE_COLOUR)):
        some = rows[(rows["pins"] == kind) & (rows["pinned_share"] == 1)].sort_values("chunk_bytes")
        x = some["chunk_bytes"]
        axes.plot(x, some["evictable_share"], color=colour, marker="o", lw=2, label=f"pins {kind}")
        axes.plot(x, some["independent_share"], color=colour, ls="--", lw=1.2,
                  label=r"  $(1-q)^n$ for as many")  # fmt: skip
        axes.plot(x, some["scattered_share"], color=colour, ls="", marker="x",
                  label="  as many, placed at random")  # fmt: skip
    bytes_axis(axes, "x", "chunk")
    axes.set_xticks(sorted(rows["chunk_bytes"].unique()))
    axes.set_ylim(-0.03, 1.03)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _by_hold(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw `y` against how long a pin is held, for the smallest and the largest chunk."""
    held = rows[~rows["pins"].isin([RECORDED, NO_PINS])]
    holds = sorted(held["hold_events"].unique())
    labels = ["no pins"] + [_short(hold) for hold in holds]
    if (held["pins"] == LIFE).any():
        labels[-1] = "life"
    shares = sorted(held["pinned_share"].unique(), reverse=True)
    chunks = sorted({rows["chunk_bytes"].min(), rows["chunk_bytes"].max()})
    for chunk, colour in zip(chunks, _SIZE_COLOURS, strict=False):
        of_size = rows[rows["chunk_bytes"] == chunk]
        bare = of_size.loc[of_size["pins"] == NO_PINS, "y"].mean()
        for share, style in zip(shares, ("-", ":", "-.", "--"), strict=False):
            line = of_size[(of_size["pinned_share"] == share) & of_size["pins"].isin(held["pins"])]
            y = [bare, *line.sort_values("hold_events")["y"]]
            name = f"chunk {short_bytes(chunk)}, {share:.0%} of the pages"
            axes.plot(range(len(y)), y, color=colour, ls=style, marker=".", label=name)
        recorded = of_size.loc[of_size["pins"] == RECORDED, "y"].mean()
        axes.plot([-0.6], [recorded], color=colour, marker=">", ms=8, ls="",
                  label=f"chunk {short_bytes(chunk)}, as recorded", clip_on=False)  # fmt: skip
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlim(-0.6, len(labels) - 0.8)
    axes.set_xlabel("pinned until idle for ... accesses")


def _short(hold: int) -> str:
    return f"{hold // 1024} Ki" if hold and hold % 1024 == 0 else f"{hold:,}"
