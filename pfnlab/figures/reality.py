"""What a machine did, beside what was predicted: counts, time, and what touches cost others."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from pfnlab.figures import palette
from pfnlab.figures.drawing import legend_below, new_figure, short
from pfnlab.figures.palette import GREY, INK
from pfnlab.frames import require

_BAND = 0.15
_NEEDED = ("source", "n_events", "note", "minor_faults", "predicted_minor_faults", "predicted_ns",
           "measured_ns", "n_threads", "n_pages", "n_faults", "operation", "n_operations",
           "n_ipis")  # fmt: skip


def reality(frame: pd.DataFrame) -> Figure:
    """Draw predicted against real counts and times, and faults and interrupts a page."""
    require(frame, _NEEDED)
    ran = frame[frame["n_events"] > 0]
    counts, times = ran[ran["minor_faults"].notna()], ran[ran["measured_ns"].notna()]
    figure, (row,) = new_figure(_claim(counts, times), 1, 3, 13.4, 4.3)
    looks = palette.sources(ran["source"])
    _diagonal(row[0], counts, "predicted_minor_faults", "minor_faults", 1, looks)
    row[0].set(xlabel="minor faults predicted", ylabel="minor faults the kernel counted")
    _diagonal(row[1], times, "predicted_ns", "measured_ns", 1e6, looks)
    row[1].set(xlabel="predicted, ms", ylabel="measured, ms")
    _others(row[2], frame)
    for axes, rows in zip(row, (counts, times, frame), strict=False):
        if rows.empty or not axes.has_data():
            _say(axes, frame)
    for source, look in looks.items():
        row[0].plot([], [], **look.marks(), mfc="none", label=short(source))
    legend_below(figure, *row[0].get_legend_handles_labels())
    return figure


def _claim(counts: pd.DataFrame, times: pd.DataFrame) -> str:
    """Say how far what was found lies from what was predicted."""
    said: list[str] = []
    if len(counts):
        off = (counts["minor_faults"] / counts["predicted_minor_faults"] - 1).abs().max()
        apart = f"off by at most {off:.1%}" if off else "all as predicted"
        said.append(f"The kernel takes the faults of the replay, {apart}")
    if len(times):
        near = (times["measured_ns"] / times["predicted_ns"] - 1).abs() <= _BAND
        said.append(f"{near.sum()} of {len(near)} times lie within {_BAND:.0%}")
    return "; ".join(said) or "Faults and times are predicted; this machine can count neither"


def _diagonal(
    axes: Axes,
    rows: pd.DataFrame,
    predicted: str,
    found: str,
    unit: float,
    looks: dict[str, palette.Look],
) -> None:
    """Draw one against the other; on the line they are equal, in the band nearly so."""
    if rows.empty:
        return
    axes.set(xscale="log", yscale="log")
    every = pd.concat([rows[predicted], rows[found]]).astype(float) / unit
    ends = [every.min() / 1.5, every.max() * 1.5]
    axes.plot(ends, ends, color=GREY, lw=1)
    axes.annotate("equal", (ends[0], ends[0]), xytext=(10, 0), textcoords="offset points",
                  fontsize=9, color=GREY)  # fmt: skip
    if unit > 1:
        low, high = ([end * (1 + sign * _BAND) for end in ends] for sign in (-1, 1))
        axes.fill_between(ends, low, high, color=GREY, alpha=0.15, lw=0)
        axes.annotate(f"shaded: within {_BAND:.0%}", (0.04, 0.93), color=GREY,
                      xycoords="axes fraction", fontsize=9)  # fmt: skip
    for source, some in rows.groupby("source", sort=False):
        look = looks[str(source)]
        x, y = (some[name].astype(float) / unit for name in (predicted, found))
        axes.plot(x, y, **look.marks(), ms=5, mfc="none")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(numticks=6))
        axis.set_minor_locator(NullLocator())


def _others(axes: Axes, frame: pd.DataFrame) -> None:
    """Draw as bars what a page costs others: faults that shared touches take, and interrupts."""
    axes.set(xlabel="faults taken, or interrupts received, a page", ylabel="")
    shared, sent = frame[frame["n_faults"].notna()], frame[frame["operation"].notna()]
    faults = shared["n_faults"].astype(float) / shared["n_pages"].astype(float)
    each = sent["n_ipis"].astype(float) / sent["n_operations"].astype(float)
    threads = [f"faults, {int(n)} thread{'s' * (n > 1)}" for n in shared["n_threads"]]
    names = [*threads, *(f"interrupts, {name}" for name in sent["operation"])]
    heights = [*faults, *each]
    if not names:
        return
    colours = [GREY] * len(faults) + [INK] * len(each)
    axes.barh(range(len(names)), heights, color=colours, height=0.6)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_ylabel("what is counted, and who does what")
    axes.set_xlim(0, max(*heights, 1.0) * 1.2)
    axes.grid(axis="y", visible=False)
    for place, height in enumerate(heights):
        axes.annotate(f"{height:.2f}", (height, place), xytext=(5, 0), va="center",
                      textcoords="offset points", fontsize=9, color=INK)  # fmt: skip


def _say(axes: Axes, frame: pd.DataFrame) -> None:
    """Say in an empty panel why it is."""
    reasons = "\n".join(frame["note"].dropna().unique()) or "not measured"
    axes.set(xticks=[], yticks=[])
    axes.text(0.5, 0.5, reasons, transform=axes.transAxes, ha="center", color=GREY, fontsize=9)
