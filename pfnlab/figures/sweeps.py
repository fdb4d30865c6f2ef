"""Pictures of sweeps: one parameter against counts. Computes no verdict and opens no window."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from pfnlab.figures.drawing import COLOURS, GREY, bytes_axis, end_label, new_figure
from pfnlab.frames import require
from pfnlab.units import short_bytes

_STYLES = (("-", "o"), ("--", "s"), (":", "^"), ("-.", "D"))


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
        for colour, (threshold, some) in zip(
            COLOURS, rows.groupby("threshold_bytes"), strict=False
        ):
            dram = some["peak_resident_bytes"] + some["page_table_bytes"]
            axes.plot(some["region_bytes"], dram, color=colour, marker="o", lw=2)
            last = float(some["region_bytes"].iloc[-1]), float(dram.iloc[-1])
            end_label(axes, *last, f"threshold {short_bytes(float(str(threshold)))}", colour)
        axes.set_title(f"{source} ({rows['evidence'].iloc[0]})", loc="left", fontsize=10)
        bytes_axis(axes, "x", "region")
        bytes_axis(axes, "y", "peak DRAM, page tables included")
    return figure


_LINES = (
    ("granule = chunk: one fault fills it all", COLOURS[1], "s"),
    ("chunk: 4 KiB granules, evicted together", COLOURS[0], "o"),
    ("batch: 4 KiB chunks, one shootdown", COLOURS[2], "^"),
)


def chunk_size(frame: pd.DataFrame) -> Figure:
    """Draw faults, shootdowns and bytes initialised against size, by which size grows."""
    drawn = ["granule_bytes", "chunk_bytes", "batch_chunks", "miss_ratio", "shootdowns"]
    require(frame, ["source", "evidence", *drawn, "populated_bytes"])
    sources = list(frame["source"].unique())
    figure, grid = new_figure(
        "One word, three sizes: what a fault populates, what is evicted, what one shootdown covers",
        len(sources), 3, 12.6, (3.4 if len(sources) < 3 else 2.8) * len(sources),
    )  # fmt: skip
    panels = (("miss_ratio", "faults an access"), ("shootdowns", "shootdowns"),
              ("populated_bytes", "descriptors initialised"))  # fmt: skip
    for row, source in zip(grid, sources, strict=True):
        rows = frame[frame["source"] == source]
        for axes, (column, label) in zip(row, panels, strict=True):
            for (name, colour, marker), line in zip(_LINES, _three_sizes(rows), strict=True):
                axes.plot(
                    line["x"], line[column], color=colour, marker=marker, lw=1.8, ms=5, label=name
                )
            bytes_axis(axes, "x", "vmemmap that one shootdown covers at least")
            axes.set_ylabel(label)
        row[0].yaxis.set_major_formatter(PercentFormatter(1.0))
        row[0].set_ylim(0, 1.1 * rows["miss_ratio"].max() or 1)
        row[1].set_yscale("symlog", linthresh=1)
        row[1].set_ylim(0, 3 * rows["shootdowns"].max() or 1)
        bytes_axis(row[2], "y", panels[2][1])
        row[0].set_title(f"{source} ({rows['evidence'].iloc[0]})", loc="left", fontsize=10)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
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
    for colour, (source, some) in zip(COLOURS, frame.groupby("source", sort=False), strict=False):
        rows = some.sort_values("threshold_bytes")
        share = rows["threshold_bytes"] / rows["footprint_bytes"].clip(lower=1)
        accesses = rows["accesses"].clip(lower=1)
        faults, shootdowns = rows["faults"] / accesses, rows["shootdowns"] / accesses
        row[0].plot(share, faults, color=colour, marker="o", lw=2)
        row[0].plot(share, rows["cold_faults"] / accesses, color=colour, ls=":", lw=1.5)
        row[1].plot(share, shootdowns, color=colour, marker="o", lw=2)
        end_label(row[0], share.iloc[-1], faults.iloc[-1], str(source), colour)
        middle = len(rows) // 2
        end_label(row[1], share.iloc[middle], shootdowns.iloc[middle], str(source), colour, 9)
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


def any_sweep(frame: pd.DataFrame, y: str = "miss_ratio") -> Figure:
    """Draw one column of any sweep against the parameter that takes most values.

    A source has a style of line, a configuration a colour.
    """
    require(frame, ["source", y])
    x = max(_varying(frame), key=lambda name: frame[name].nunique(), default="threshold_bytes")
    others = [name for name in _varying(frame) if name != x]
    figure, ((axes,),) = new_figure(f"{y} against {x}", 1, 1, 9, 4.4)
    lines: list[tuple[Any, pd.DataFrame]] = list(frame.groupby(["source", *others], sort=False))
    sources, kinds = (
        list(dict.fromkeys(part)) for part in ([k[0] for k, _ in lines], [k[1:] for k, _ in lines])
    )
    for key, rows in lines:
        line = rows.sort_values(x)
        lap, place = divmod(kinds.index(key[1:]), len(COLOURS))
        style, marker = _STYLES[(sources.index(key[0]) + lap) % len(_STYLES)]
        axes.plot(line[x], line[y], ls=style, marker=marker, color=COLOURS[place],
                  label=_key(key, others))  # fmt: skip
    if x.endswith("_bytes"):
        bytes_axis(axes, "x", x)
    else:
        axes.set_xlabel(x)
    axes.set_ylabel(y)
    if len(lines) <= 12:
        figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


def _varying(frame: pd.DataFrame) -> list[str]:
    last = frame.columns.get_loc("accesses") if "accesses" in frame else len(frame.columns)
    skipped = {"source", "evidence", "n_events", "footprint_bytes", "vmemmap_bytes"}
    names = [name for name in frame.columns[: int(str(last))] if name not in skipped]
    varying = [name for name in names if frame[name].nunique() > 1]
    shares = [
        name for name in varying if name.startswith("threshold_") and name != "threshold_bytes"
    ]
    return [name for name in varying if not (shares and name == "threshold_bytes")]


def _key(key: object, others: list[str]) -> str:
    values = key if isinstance(key, tuple) else (key,)
    texts = [str(values[0])]
    for name, value in zip(others, values[1:], strict=True):
        texts.append(f"{name} {short_bytes(value) if name.endswith('_bytes') else value}")
    return ", ".join(texts)
