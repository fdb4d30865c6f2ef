"""Pictures of sweeps: one parameter against counts. Computes no verdict and opens no window."""

import pandas as pd
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
    short,
)
from pfnlab.figures.palette import GREY
from pfnlab.frames import require
from pfnlab.params.units import short_bytes


def region_size(frame: pd.DataFrame) -> Figure:
    """Draw peak descriptor DRAM against region size, beside what static descriptors take."""
    drawn = ["region_bytes", "vmemmap_bytes", "threshold_bytes"]
    require(frame, ["source", "evidence", *drawn, "peak_resident_bytes", "page_table_bytes"])
    sources = list(frame["source"].unique())
    figure, grid = new_figure(
        "Descriptors stay within the threshold while the device grows; page tables come on top",
        1, len(sources), 5.4 * len(sources), 4.0,
    )  # fmt: skip
    for axes, source in zip(grid[0], sources, strict=True):
        rows = frame[frame["source"] == source].sort_values("region_bytes")
        static = rows.drop_duplicates("region_bytes")
        axes.plot(static["region_bytes"], static["vmemmap_bytes"], color=GREY, ls="--", marker=".")
        end = float(static["region_bytes"].iloc[-1]), float(static["vmemmap_bytes"].iloc[-1])
        end_label(axes, *end, "static, 1/64", GREY)
        for threshold, some in rows.groupby("threshold_bytes"):
            bound = float(str(threshold))
            look, dram = palette.size(bound), some["peak_resident_bytes"] + some["page_table_bytes"]
            axes.plot(some["region_bytes"], dram, **look.lines(), lw=2)
            last = float(some["region_bytes"].iloc[-1]), float(dram.iloc[-1])
            end_label(axes, *last, f"threshold {short_bytes(bound)}", look.colour)
        heading(axes, of_source(source, rows["evidence"].iloc[0]))
        bytes_axis(axes, "x", "region")
        bytes_axis(axes, "y", "peak DRAM, page tables included")
    return figure


_LINES = (
    ("granule = chunk: one fault fills it all", palette.place(1)),
    ("chunk: 4 KiB granules, evicted together", palette.place(0)),
    ("batch: 4 KiB chunks, one shootdown", palette.place(2)),
)


def chunk_size(frame: pd.DataFrame) -> Figure:
    """Draw faults, shootdowns and bytes initialised against size, by which size grows."""
    drawn = ["granule_bytes", "chunk_bytes", "batch_chunks", "miss_ratio", "shootdowns"]
    require(frame, ["source", "evidence", *drawn, "populated_bytes"])
    sources = list(frame["source"].unique())
    figure, grid = new_figure(
        "One word, chunk, is three sizes: what a fault populates, what is evicted, "
        "what one shootdown covers",
        len(sources), 3, 12.6, (3.4 if len(sources) < 3 else 2.8) * len(sources),
    )  # fmt: skip
    panels = (("miss_ratio", "faults an access"), ("shootdowns", "shootdowns"),
              ("populated_bytes", "descriptors initialised"))  # fmt: skip
    for row, source in zip(grid, sources, strict=True):
        rows = frame[frame["source"] == source]
        for axes, (column, label) in zip(row, panels, strict=True):
            for (name, look), line in zip(_LINES, _three_sizes(rows), strict=True):
                axes.plot(line["x"], line[column], **look.lines(), lw=1.8, ms=5, label=name)
            bytes_axis(axes, "x", "vmemmap that one shootdown covers at least")
            axes.set_ylabel(label)
        row[0].yaxis.set_major_formatter(PercentFormatter(1.0))
        row[0].set_ylim(0, 1.1 * rows["miss_ratio"].max() or 1)
        row[1].set_yscale("symlog", linthresh=1)
        row[1].set_ylim(0, 3 * rows["shootdowns"].max() or 1)
        bytes_axis(row[2], "y", panels[2][1])
        heading(row[0], of_source(source, rows["evidence"].iloc[0]))
    legend_below(figure, *grid[0][0].get_legend_handles_labels())
    return figure


def _three_sizes(rows: pd.DataFrame) -> list[pd.DataFrame]:
    smallest = rows["granule_bytes"].min()
    single = rows["batch_chunks"] == 1
    granule = rows["granule_bytes"]
    picks = (
        single & (granule == rows["chunk_bytes"]),
        single & (granule == smallest),
        (granule == smallest) & (rows["chunk_bytes"] == smallest),
    )
    lines = [rows[pick].copy() for pick in picks]
    for line in lines:
        line["x"] = line["chunk_bytes"] * line["batch_chunks"]
    return [line.sort_values("x") for line in lines]


def eviction_threshold(frame: pd.DataFrame) -> Figure:
    """Draw faults and shootdowns against the threshold as a share of the footprint."""
    drawn = ["threshold_bytes", "footprint_bytes", "accesses", "cold_faults", "faults"]
    require(frame, ["source", *drawn, "shootdowns"])
    figure, (row,) = new_figure(
        "A larger threshold buys fewer refaults, until only first touches are left", 1, 2, 11, 4.0
    )
    looks = palette.sources(frame["source"])
    for source, some in frame.groupby("source", sort=False):
        look, name = looks[str(source)], short(source)
        rows = some.sort_values("threshold_bytes")
        share = rows["threshold_bytes"] / rows["footprint_bytes"].clip(lower=1)
        accesses = rows["accesses"].clip(lower=1)
        faults, shootdowns = rows["faults"] / accesses, rows["shootdowns"] / accesses
        row[0].plot(share, faults, **look.lines(), lw=2)
        row[0].plot(share, rows["cold_faults"] / accesses, color=look.colour, ls=":", lw=1.5)
        row[1].plot(share, shootdowns, **look.lines(), lw=2)
        end_label(row[0], share.iloc[-1], faults.iloc[-1], name, look.colour)
        end_label(row[1], share.iloc[-1], shootdowns.iloc[-1], name, look.colour)
    row[0].set_ylabel("faults an access (dotted: first touches)")
    row[1].set_ylabel("shootdowns an access")
    row[1].set_yscale("symlog", linthresh=1e-5)
    row[1].set_ylim(bottom=0)
    row[0].set_ylim(bottom=0)
    row[0].yaxis.set_major_formatter(PercentFormatter(1.0))
    for axes in row:
        axes.set_xlabel("threshold, share of the footprint")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    return figure
