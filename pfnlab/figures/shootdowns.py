"""Pictures of shootdowns: by CPUs, by flush ceiling, by batch; and what a lazy purge withholds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    NullLocator,
    PercentFormatter,
)

from pfnlab.engine.lazy_purge import LEAST_FLUSHES, TLB_ENTRIES
from pfnlab.figures import palette
from pfnlab.figures.drawing import (
    bytes_axis,
    end_label,
    heading,
    legend_below,
    new_figure,
    of_source,
)
from pfnlab.figures.palette import GREY, INK
from pfnlab.frames import require
from pfnlab.frames.labels import AHEAD, LAZY, PASS
from pfnlab.params import PARAMETERS, Params
from pfnlab.params.units import OS_PAGE_BYTES, short_bytes

_MACHINE = ("n_cpus", "flush_ceiling_pages")
_MANY = 512  # the batch of the smallest chunk that is drawn by CPUs


def shootdowns(frame: pd.DataFrame, chosen: Params | None = None) -> Figure:
    """Draw what an access pays for shootdowns by CPUs, flush ceiling and batch.

    `chosen` names the machine, and one more chunk and batch to draw: the nearest replayed.
    """
    times = ("costs", "initiator_ns", "lookup_ns", "fault_ns", "stolen_ns", "best_batch")
    require(frame, ["source", "evidence", *PARAMETERS, "unmapping", "accesses", "evicted_chunks",
                    "miss_slope", *times])  # fmt: skip
    at = chosen or _usual(frame)
    sources = list(frame["source"].unique())
    figure, grid = new_figure(
        "A shootdown costs more with every CPU it reaches; a batch makes it rare "
        f"(costs {frame['costs'].iloc[0]})",
        len(sources), 3, 13.4, 2.9 * len(sources) + 0.4,
    )  # fmt: skip
    for row, source in zip(grid, sources, strict=True):
        rows = frame[frame["source"] == source]
        passes = rows[(rows["unmapping"] == PASS) & (rows["evicted_chunks"] > 0)]
        passes = passes[passes["threshold_bytes"] == passes["threshold_bytes"].min()]
        _headings(row, of_source(source, rows["evidence"].iloc[0]), passes, at)
        for axes in row:
            _log(axes)
        if len(passes):
            _by_cpus(row[0], passes[passes["flush_ceiling_pages"] == at.flush_ceiling_pages], at)
            on = passes[passes["n_cpus"] == at.n_cpus]
            _by_ceiling(row[1], on, at)
            _by_batch(row[2], on[on["flush_ceiling_pages"] == at.flush_ceiling_pages])
    return figure


def _headings(row: list[Axes], name: str, passes: pd.DataFrame, at: Params) -> None:
    """Say of each panel of a source what is drawn, and on which machine."""
    smallest = short_bytes(passes["chunk_bytes"].min()) if len(passes) else "the smallest"
    own, stolen = "ns an access, its lookup aside", "ns an access, of all other CPUs"
    about = (
        (f"{name}: chunk x chunks a pass", "CPUs", own),
        (f"flush pages of a chunk, {at.n_cpus:,} CPUs",
         f"flush ceiling, pages (dashed: {at.flush_ceiling_pages:,})", stolen),
        (f"batches of {smallest} chunks, {at.n_cpus:,} CPUs", "batch, chunks", own),
    )  # fmt: skip
    for axes, (title, x, y) in zip(row, about, strict=True):
        heading(axes, title)
        axes.set_ylabel(y)
        _log2(axes, x)


def _usual(frame: pd.DataFrame) -> Params:
    """Return the machine that most rows are of."""
    n_cpus, ceiling = (int(frame[name].mode().iloc[0]) for name in _MACHINE)
    return Params(n_cpus=n_cpus, flush_ceiling_pages=ceiling)


def _own_ns(rows: pd.DataFrame) -> pd.Series[float]:
    """Return what an access takes beside its lookup, on its own CPU."""
    return (rows["initiator_ns"] - rows["lookup_ns"]) / rows["accesses"].clip(lower=1)


def _by_cpus(axes: Axes, passes: pd.DataFrame, chosen: Params) -> None:
    smallest = passes["chunk_bytes"].min()
    single = passes[(passes["chunk_bytes"] == smallest) & (passes["batch_chunks"] == 1)]
    single = single.sort_values("n_cpus")
    faults = single["fault_ns"] / single["accesses"].clip(lower=1)
    axes.plot(single["n_cpus"], faults, color=INK, ls="--", lw=1.2)
    if len(single):
        end_label(axes, single["n_cpus"].iloc[-1], faults.iloc[-1], "faults alone", INK)
    for chunk, batch in _shown(passes, chosen):
        look = palette.size(chunk)
        line = passes[(passes["chunk_bytes"] == chunk) & (passes["batch_chunks"] == batch)]
        line = line.sort_values("n_cpus")
        style = "-" if batch == 1 else "-."
        axes.plot(line["n_cpus"], _own_ns(line), **look._replace(line=style).lines(), ms=5, lw=1.8)
        label = f"{short_bytes(chunk)} x {batch:,}"
        end_label(axes, line["n_cpus"].iloc[-1], _own_ns(line).iloc[-1], label, look.colour)


def _shown(passes: pd.DataFrame, chosen: Params) -> list[tuple[int, int]]:
    """Return small, middle and large chunks, a large batch, and the nearest to the chosen."""
    sizes = sorted(set(passes["chunk_bytes"]))
    near = min(sizes, key=lambda size: abs(np.log2(size / chosen.chunk_bytes)))
    batches = set(passes.loc[passes["chunk_bytes"] == near, "batch_chunks"])
    batch = min(batches, key=lambda n: abs(np.log2(n / chosen.batch_chunks)))
    small = passes.loc[passes["chunk_bytes"] == sizes[0], "batch_chunks"]
    many = int(small[small <= _MANY].max())
    shown = [(sizes[0], 1), (sizes[len(sizes) // 2], 1), (sizes[-1], 1), (sizes[0], many)]
    replayed = set(zip(passes["chunk_bytes"], passes["batch_chunks"], strict=True))
    return [size for size in dict.fromkeys([*shown, (near, batch)]) if size in replayed]


def _by_ceiling(axes: Axes, passes: pd.DataFrame, chosen: Params) -> None:
    single = passes[(passes["batch_chunks"] == 1) & (passes["stolen_ns"] > 0)]
    if single.empty:  # a machine of one CPU has no others
        return
    for size in _far_apart(single["chunk_bytes"]):
        look = palette.size(size)
        line = single[single["chunk_bytes"] == size].sort_values("flush_ceiling_pages")
        each = line["stolen_ns"] / line["accesses"].clip(lower=1)
        ceilings = line["flush_ceiling_pages"].clip(lower=1)
        axes.plot(ceilings, each, **look.lines(), ms=5, lw=1.8, drawstyle="steps-post")
        label = f"{size // OS_PAGE_BYTES} page{'s' * (size > OS_PAGE_BYTES)}"
        end_label(axes, ceilings.iloc[-1], each.iloc[-1], label, look.colour)
    axes.margins(y=0.12)
    axes.axvline(max(chosen.flush_ceiling_pages, 1), color=INK, ls="--", lw=1)


def _far_apart(sizes: pd.Series[int]) -> list[int]:
    """Return the largest size, and down from it those a quarter of the last one or less."""
    kept: list[int] = []
    for size in sorted(set(sizes), reverse=True):
        if not kept or 4 * size <= kept[-1]:
            kept.append(size)
    return kept


def _by_batch(axes: Axes, passes: pd.DataFrame) -> None:
    line = passes[passes["miss_slope"].notna()].sort_values("batch_chunks")
    if line.empty:
        return
    cost, batches = _own_ns(line).to_numpy(), line["batch_chunks"].to_numpy()
    named, least = float(line["best_batch"].iloc[0]), int(cost.argmin())
    look = palette.size(line["chunk_bytes"].iloc[0])
    axes.axvline(named, color=INK, lw=1.4, ls="--")
    axes.plot(batches, cost, **look.lines(), ms=5, lw=1.8)
    axes.plot(batches[least], cost[least], "o", ms=10, mfc="none", mec=INK)
    right_half = named > np.sqrt(float(batches[0]) * float(batches[-1]))
    side, away = ("right", -5) if right_half else ("left", 5)
    notes = f"dashed, formula: {named:,.0f}", f"ring, best replayed: {batches[least]:,}"
    for line_number, text in enumerate(notes):
        axes.annotate(text, (named, 0.93 - 0.09 * line_number), xytext=(away, 0), ha=side,
                      xycoords=axes.get_xaxis_transform(), textcoords="offset points",
                      fontsize=9, color=INK)  # fmt: skip


def lazy_purge(frame: pd.DataFrame) -> Figure:
    """Draw the refills after full flushes, and what quarantines withhold and cost."""
    counted = ("faults", "shootdowns", "full_flushes", "collateral_refills", "mean_withheld_bytes")
    require(frame, ["source", "evidence", *PARAMETERS, "unmapping", "lazy_cpus", *counted])
    figure, (row,) = new_figure(
        "A lazy purge is a batch whose pages wait for the flush: the larger, the more it withholds",
        1, 3, 13.4, 4.1,
    )  # fmt: skip
    _log2(row[0], "pages that one flush covers\n(squares: one chunk, dots: a batch)")
    _log(row[0])
    by_source = list(frame.groupby("source", sort=False))
    looks = palette.sources(frame["source"])
    for source, some in by_source:
        look = looks[str(source)]
        rows = some[some["threshold_bytes"] == some["threshold_bytes"].min()]
        _refills(row[0], rows[rows["unmapping"] == LAZY], look.colour)
        name = of_source(source, rows["evidence"].iloc[0])
        row[0].plot([], [], color=look.colour, lw=1.8, label=name)
        once = rows.drop_duplicates(["unmapping", "chunk_bytes", "batch_chunks"])
        once = once[once["chunk_bytes"] == once["granule_bytes"]]
        once = once.assign(held=(once["batch_chunks"] - 1) * once["granule_bytes"])
        _withheld(row[1], once[(once["unmapping"] == AHEAD) & (once["held"] > 0)], look.colour)
        _more_faults(row[2], once[once["held"] > 0], look.colour)
    row[0].axhline(TLB_ENTRIES, color=GREY, ls="--", lw=1)
    row[0].annotate(f"all {TLB_ENTRIES:,} entries", (1.0, TLB_ENTRIES), xytext=(0, -11),
                    xycoords=row[0].get_yaxis_transform(), textcoords="offset points",
                    ha="right", fontsize=9, color=GREY)  # fmt: skip
    row[0].set_ylabel("TLB refills after a full flush")
    bytes_axis(row[1], "x", "quarantine\n(squares: lazy_max_pages of so many CPUs)")
    row[1].set_ylabel("mean DRAM withheld, of threshold")
    bytes_axis(row[2], "x", "quarantine\n(dotted: filled at the threshold, solid: ahead of it)")
    row[2].set_ylabel("more faults than a batch of that size")
    legend_below(figure, *row[0].get_legend_handles_labels())
    for axes in row[1:]:
        axes.xaxis.set_major_locator(LogLocator(base=16, numticks=8))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_ylim(bottom=0)
    return figure


def _refills(axes: Axes, lazy: pd.DataFrame, colour: str) -> None:
    enough = lazy["full_flushes"] >= LEAST_FLUSHES
    full = lazy[(lazy["full_flushes"] == lazy["shootdowns"]) & enough]
    full = full.drop_duplicates(["chunk_bytes", "batch_chunks"])
    pages = full["chunk_bytes"] * full["batch_chunks"] // OS_PAGE_BYTES
    each = full["collateral_refills"] / full["full_flushes"]
    single = full["batch_chunks"] == 1
    for mine, marker in ((single, "s"), (~single, "o")):
        line = pd.DataFrame({"pages": pages[mine], "each": each[mine]}).sort_values("pages")
        axes.plot(line["pages"], line["each"], color=colour, marker=marker, ms=4, lw=1.6)


def _withheld(axes: Axes, ahead: pd.DataFrame, colour: str) -> None:
    line = ahead.sort_values("held")
    share = line["mean_withheld_bytes"] / line["threshold_bytes"]
    axes.plot(line["held"], share, color=colour, marker="o", ms=4, lw=1.8)
    for held, part, cpus in zip(line["held"], share, line["lazy_cpus"], strict=True):
        if cpus > 0:
            axes.plot(held, part, "s", color=colour, ms=7)
            axes.annotate(f"{cpus:,.0f}", (held, part), xytext=(-8, 0), ha="right", va="center",
                          textcoords="offset points", color=palette.text(colour),
                          fontsize=8)  # fmt: skip


def _more_faults(axes: Axes, once: pd.DataFrame, colour: str) -> None:
    by_way = {way: once[once["unmapping"] == way].set_index("held")["faults"] for way in
              (PASS, LAZY, AHEAD)}  # fmt: skip
    single = by_way[PASS][~by_way[PASS].index.duplicated()]
    for way, style in ((LAZY, ":"), (AHEAD, "-")):
        more = (by_way[way] / single - 1).dropna().sort_index()
        axes.plot(more.index, more, color=colour, ls=style, marker="o", ms=3, lw=1.8)


def _log2(axes: Axes, label: str) -> None:
    axes.set_xscale("log", base=2)
    base = 16 if label.startswith("batch") else 4
    axes.xaxis.set_major_locator(LogLocator(base=base, numticks=9))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(_whole))
    axes.set_xlabel(label)


def _log(axes: Axes) -> None:
    """Logarithmic, with ticks as plain numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=9))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.yaxis.set_minor_locator(NullLocator())  # ticks take most of the time of a redraw


def _whole(value: float, place: int) -> str:
    """Write a count; a share of one, which an axis of one point has, is none."""
    return f"{value:,.0f}" if value >= 1 else ""
