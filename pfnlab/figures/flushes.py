"""Picture of shootdowns: by CPUs, by flush ceiling, by batch, and what a lazy purge withholds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from pfnlab.figures.drawing import COLOURS, GREY, INK, bytes_axis, end_label, new_figure
from pfnlab.flushes import AHEAD, LAZY, PASS
from pfnlab.frames import require
from pfnlab.params import PARAMETERS, Params
from pfnlab.quarantine import OS_PAGE_BYTES
from pfnlab.units import short_bytes

_DRAWN = ("unmapping", "accesses", "initiator_ns", "lookup_ns", "fault_ns", "stolen_ns", "costs",
          "best_batch", "miss_slope", "shootdowns", "lazy_cpus", "mean_withheld_bytes", "faults",
          "evicted_chunks", "full_flushes", "collateral_refills")  # fmt: skip


def shootdowns(frame: pd.DataFrame, machine: Params | None = None) -> Figure:
    """Draw what shootdowns cost, and what makes them rare; `machine` says which one to draw."""
    require(frame, ["source", "evidence", *PARAMETERS, *_DRAWN])
    chosen = machine or _usual(frame)
    sources = list(frame["source"].unique())
    figure, grid = new_figure(
        "A shootdown costs more with every CPU it reaches; a batch makes it rare for few more "
        f"faults ({frame['costs'].iloc[0]})",
        len(sources), 4, 17.6, 3.5 * len(sources),
    )  # fmt: skip
    for row, source in zip(grid, sources, strict=True):
        rows = frame[frame["source"] == source]
        evicting = rows[rows["evicted_chunks"] > 0]
        evicting = evicting[evicting["threshold_bytes"] == evicting["threshold_bytes"].min()]
        _by_cpus(row[0], evicting, chosen)
        _by_ceiling(row[1], evicting, chosen)
        _by_batch(row[2], evicting, chosen)
        _withheld(row[3], evicting)
        row[0].set_title(f"{source} ({rows['evidence'].iloc[0]})", loc="left", fontsize=10)
    return figure


def _usual(frame: pd.DataFrame) -> Params:
    """Return the machine that most rows are of."""
    machine = {name: int(frame[name].mode().iloc[0]) for name in ("n_cpus", "flush_ceiling_pages")}
    return Params(**machine)


def _mechanism_ns(rows: pd.DataFrame) -> pd.Series[float]:
    """Return what an access takes beside its lookup, on its own CPU."""
    return (rows["initiator_ns"] - rows["lookup_ns"]) / rows["accesses"].clip(lower=1)


def _by_cpus(axes: Axes, rows: pd.DataFrame, chosen: Params) -> None:
    """Draw the mechanism's time by CPUs for some chunks and batches, and that of the faults."""
    passes = rows[rows["unmapping"] == PASS]
    passes = passes[passes["flush_ceiling_pages"] == chosen.flush_ceiling_pages]
    for colour, size in zip(COLOURS, _shown(passes, chosen), strict=False):
        line = passes[(passes["chunk_bytes"] == size[0]) & (passes["batch_chunks"] == size[1])]
        line = line.sort_values("n_cpus")
        axes.plot(line["n_cpus"], _mechanism_ns(line), color=colour, marker="o", ms=4, lw=1.8)
        stolen = line["stolen_ns"] / line["accesses"].clip(lower=1)
        axes.plot(line["n_cpus"], stolen.where(stolen > 0), color=colour, ls=":", lw=1.4)
        label = f"{short_bytes(size[0])} x {size[1]:,}"
        end_label(axes, line["n_cpus"].iloc[-1], _mechanism_ns(line).iloc[-1], label, colour)
    base = passes.sort_values("n_cpus").drop_duplicates("n_cpus")
    faults = base["fault_ns"] / base["accesses"].clip(lower=1)
    axes.plot(base["n_cpus"], faults, color=GREY, ls="--", lw=1.5)
    end_label(axes, base["n_cpus"].iloc[-1], faults.iloc[-1], "faults alone", GREY, -9)
    _log2(axes, "CPUs")
    axes.set_yscale("log")
    axes.set_ylabel("ns an access, without lookups\n(dotted: taken from all other CPUs)")


def _shown(passes: pd.DataFrame, chosen: Params) -> list[tuple[int, int]]:
    """Return the smallest chunk, the largest, and the chosen chunk and batch, as far as replayed."""
    sizes = sorted(set(passes["chunk_bytes"]))
    near = min(sizes, key=lambda size: abs(np.log2(size / chosen.chunk_bytes)))
    batches = sorted(set(passes.loc[passes["chunk_bytes"] == near, "batch_chunks"]))
    batch = min(batches, key=lambda n: abs(np.log2(n / chosen.batch_chunks)))
    many = passes.loc[passes["chunk_bytes"] == sizes[0], "batch_chunks"]
    most = many[many <= 512].max()
    shown = [(sizes[0], 1), (sizes[len(sizes) // 2], 1), (sizes[-1], 1), (sizes[0], int(most))]
    return list(dict.fromkeys([*shown, (near, batch)]))


def _by_ceiling(axes: Axes, rows: pd.DataFrame, chosen: Params) -> None:
    """Draw what a shootdown takes from each other CPU by the ceiling, a line a chunk size."""
    passes = rows[(rows["unmapping"] == PASS) & (rows["batch_chunks"] == 1)]
    passes = passes[(passes["n_cpus"] == chosen.n_cpus) & (passes["shootdowns"] > 0)]
    sizes = [size for size in sorted(set(passes["chunk_bytes"])) if size > OS_PAGE_BYTES]
    for colour, size in zip(COLOURS, sizes[-6:], strict=False):
        line = passes[passes["chunk_bytes"] == size].sort_values("flush_ceiling_pages")
        each = line["stolen_ns"] / line["shootdowns"] / max(chosen.n_cpus - 1, 1)
        axes.plot(line["flush_ceiling_pages"].clip(lower=1), each, color=colour, marker="o", ms=4,
                  lw=1.8, drawstyle="steps-post")  # fmt: skip
        pages = size // OS_PAGE_BYTES
        last = line["flush_ceiling_pages"].iloc[-1], each.iloc[-1]
        end_label(axes, *last, f"{short_bytes(size)} ({pages} pages)", colour)
    axes.axvline(chosen.flush_ceiling_pages, color=GREY, ls="--", lw=1)
    _log2(axes, "flush ceiling, pages")
    axes.set_yscale("log")
    axes.set_ylabel("ns of each other CPU, a shootdown")


def _by_batch(axes: Axes, rows: pd.DataFrame, chosen: Params) -> None:
    """Draw the time by batch, with the batch that the formula names and the best one."""
    passes = rows[(rows["unmapping"] == PASS) & rows["miss_slope"].notna()]
    on = (passes["n_cpus"] == chosen.n_cpus) & (
        passes["flush_ceiling_pages"] == chosen.flush_ceiling_pages
    )
    line = passes[on].sort_values("batch_chunks")
    cost = _mechanism_ns(line)
    axes.plot(line["batch_chunks"], cost, color=COLOURS[0], marker="o", ms=4, lw=1.8)
    named = float(line["best_batch"].iloc[0])
    least = int(cost.to_numpy().argmin())
    axes.axvline(named, color=COLOURS[1], lw=1.4)
    axes.annotate(f"k* = {named:,.0f}", (named, 0.93), xycoords=("data", "axes fraction"),
                  xytext=(4, 0), textcoords="offset points", color=COLOURS[1], fontsize=9)  # fmt: skip
    axes.plot(line["batch_chunks"].iloc[least], cost.iloc[least], "o", ms=9, mfc="none",
              mec=INK)  # fmt: skip
    axes.annotate(f"best replayed: {line['batch_chunks'].iloc[least]:,}", (0.97, 0.72),
                  xycoords="axes fraction", ha="right", color=INK, fontsize=9)  # fmt: skip
    refills = rows[(rows["unmapping"] == LAZY) & (rows["n_cpus"] == chosen.n_cpus)]
    del refills
    _log2(axes, f"batch, chunks of {short_bytes(line['chunk_bytes'].iloc[0])}")
    axes.set_yscale("log")
    axes.set_ylabel(f"ns an access, without lookups\n({chosen.n_cpus} CPUs)")


def _withheld(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw the DRAM that a quarantine filled ahead withholds, and the CPUs whose it would be."""
    ahead = rows[rows["unmapping"] == AHEAD].drop_duplicates("batch_chunks")
    ahead = ahead.sort_values("batch_chunks")
    size = (ahead["batch_chunks"] - 1) * ahead["granule_bytes"]
    shown = size > 0
    axes.plot(size[shown], ahead["mean_withheld_bytes"][shown], color=COLOURS[2], marker="o", ms=4,
              lw=1.8)  # fmt: skip
    limit = float(ahead["threshold_bytes"].iloc[0])
    axes.axhline(limit, color=GREY, ls="--", lw=1.2)
    axes.annotate(f"threshold {short_bytes(limit)}", (0.02, limit), xycoords=("axes fraction", "data"),
                  xytext=(0, 4), textcoords="offset points", color=GREY, fontsize=9)  # fmt: skip
    named = ahead[ahead["lazy_cpus"] > 0]
    for _, row in named.iterrows():
        held = (row["batch_chunks"] - 1) * row["granule_bytes"]
        axes.plot(held, row["mean_withheld_bytes"], "s", color=COLOURS[1], ms=5)
    bytes_axis(axes, "x", "quarantine before a purge")
    bytes_axis(axes, "y", "DRAM withheld, mean")


def _log2(axes: Axes, label: str) -> None:
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(LogLocator(base=4, numticks=8))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel(label)
