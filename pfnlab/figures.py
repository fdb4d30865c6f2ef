"""Frame to matplotlib `Figure`: pictures of sweeps. Computes no verdict and opens no window."""

from __future__ import annotations

import io

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from pfnlab.frames import require
from pfnlab.units import short_bytes

# Okabe and Ito's palette, told apart by the colour-blind too; one colour a role, everywhere.
INK, GREY = "#222222", "#767676"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def _figure(
    title: str, n_rows: int, n_columns: int, width: float, height: float
) -> tuple[Figure, list[list[Axes]]]:
    figure = Figure(figsize=(width, height), layout="constrained", dpi=80)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        axes.set_axisbelow(True)
    return figure, [list(row) for row in grid]


def _bytes_axis(axes: Axes, which: str, label: str) -> None:
    """Logarithmic to base 2, ticks as KiB, MiB, GiB."""
    scale = axes.set_xscale if which == "x" else axes.set_yscale
    scale("log", base=2)
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(base=4 if which == "x" else 2, numticks=8))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: short_bytes(value)))
    axis.set_label_text(label)


def _end_label(axes: Axes, x: float, y: float, text: str, colour: str, rise: float = 0.0) -> None:
    axes.annotate(
        text, (x, y), xytext=(6, rise), textcoords="offset points",
        color=colour, fontsize=9, va="center", annotation_clip=False,
    )  # fmt: skip


def region_size(frame: pd.DataFrame) -> Figure:
    """Draw peak descriptor DRAM against region size, beside what static descriptors take."""
    drawn = ["region_bytes", "vmemmap_bytes", "threshold_bytes"]
    require(frame, ["source", "evidence", *drawn, "peak_resident_bytes", "page_table_bytes"])
    sources = list(frame["source"].unique())
    figure, grid = _figure(
        "Descriptors stay within the threshold while the device grows; page tables come on top",
        1, len(sources), 5.4 * len(sources), 4.0,
    )  # fmt: skip
    for axes, source in zip(grid[0], sources, strict=True):
        rows = frame[frame["source"] == source].sort_values("region_bytes")
        static = rows.drop_duplicates("region_bytes")
        axes.plot(static["region_bytes"], static["vmemmap_bytes"], color=GREY, ls="--", marker=".")
        end = float(static["region_bytes"].iloc[-1]), float(static["vmemmap_bytes"].iloc[-1])
        _end_label(axes, *end, "static, 1/64", GREY)
        for colour, (threshold, some) in zip(
            COLOURS, rows.groupby("threshold_bytes"), strict=False
        ):
            dram = some["peak_resident_bytes"] + some["page_table_bytes"]
            axes.plot(some["region_bytes"], dram, color=colour, marker="o", lw=2)
            last = float(some["region_bytes"].iloc[-1]), float(dram.iloc[-1])
            _end_label(axes, *last, f"threshold {short_bytes(float(str(threshold)))}", colour)
        axes.set_title(f"{source} ({rows['evidence'].iloc[0]})", loc="left", fontsize=10)
        _bytes_axis(axes, "x", "region")
        _bytes_axis(axes, "y", "peak DRAM, page tables included")
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
    figure, grid = _figure(
        "One word, three sizes: what a fault populates, what is evicted, what one shootdown covers",
        len(sources), 3, 12.6, 3.4 * len(sources),
    )  # fmt: skip
    panels = (("miss_ratio", "faults an access"), ("shootdowns", "shootdowns"),
              ("populated_bytes", "bytes of descriptors initialised"))  # fmt: skip
    for row, source in zip(grid, sources, strict=True):
        rows = frame[frame["source"] == source]
        for axes, (column, label) in zip(row, panels, strict=True):
            for (name, colour, marker), line in zip(_LINES, _three_sizes(rows), strict=True):
                axes.plot(
                    line["x"], line[column], color=colour, marker=marker, lw=1.8, ms=5, label=name
                )
            _bytes_axis(axes, "x", "vmemmap that one shootdown covers at least")
            axes.set_ylabel(label)
        row[0].yaxis.set_major_formatter(PercentFormatter(1.0))
        row[0].set_ylim(0, 1.1 * rows["miss_ratio"].max() or 1)
        row[1].set_yscale("symlog", linthresh=1)
        row[1].set_ylim(0, 3 * rows["shootdowns"].max() or 1)
        _bytes_axis(row[2], "y", panels[2][1])
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
    figure, (row,) = _figure(
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
        _end_label(row[0], share.iloc[-1], faults.iloc[-1], str(source), colour)
        middle = len(rows) // 2
        _end_label(row[1], share.iloc[middle], shootdowns.iloc[middle], str(source), colour, 9)
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
    """Draw one column of any sweep against the parameter that takes most values, by source."""
    require(frame, ["source", y])
    x = max(_varying(frame), key=lambda name: frame[name].nunique(), default="threshold_bytes")
    others = [name for name in _varying(frame) if name != x]
    figure, ((axes,),) = _figure(f"{y} against {x}", 1, 1, 9, 4.4)
    lines = list(frame.groupby(["source", *others], sort=False))
    for i, (key, rows) in enumerate(lines):
        line = rows.sort_values(x)
        axes.plot(
            line[x], line[y], marker="o", color=COLOURS[i % len(COLOURS)], label=_key(key, others)
        )
    if x.endswith("_bytes"):
        _bytes_axis(axes, "x", x)
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


def png(figure: Figure, dpi: int = 80) -> bytes:
    """Return the figure as a PNG file's bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()
