"""Pictures of the schemes side by side: what each takes, and what it can't do."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from pfnlab.figures import palette
from pfnlab.figures.drawing import legend_below, new_figure, of_source
from pfnlab.figures.palette import FAINT, GREY, INK
from pfnlab.frames import require
from pfnlab.frames.labels import PROPERTIES
from pfnlab.params.units import short_bytes

# Drawn at the left edge: nothing has no place on a logarithmic axis.
_NONE, _NO_NS = 4096, 10.0
_SPREAD = 0.66  # of a row, over which its sources are spread


def schemes(frame: pd.DataFrame) -> Figure:
    """Draw DRAM, device bytes, time an access and the properties of every scheme, a row each."""
    require(frame, ["source", "evidence", "n_events", "scheme", "region_bytes", "all_dram_bytes",
                    "device_bytes", "event_ns", *PROPERTIES])  # fmt: skip
    rows = frame[frame["n_events"] > 0].drop_duplicates(["source", "scheme"])
    require(rows, ["scheme"])
    names = list(rows["scheme"].unique())
    region = short_bytes(rows["region_bytes"].max())
    figure, (panels,) = new_figure(
        f"No scheme wins everywhere, whatever holds the descriptors of {region}", 1, 4,
        12.6, 1.6 + 0.31 * len(names),
    )  # fmt: skip
    for axes in panels:
        axes.set_yticks(range(len(names)), [""] * len(names))
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(axis="y", color=FAINT)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylabel("scheme")
    columns = ("all_dram_bytes", "device_bytes", "event_ns")
    looks = palette.sources(rows["source"])
    by_source = [(str(source), some) for source, some in rows.groupby("source", sort=False)]
    for axes, column in zip(panels, columns, strict=False):
        for place, (source, some) in enumerate(by_source):
            label = of_source(source, some["evidence"].iloc[0])
            lower = _SPREAD * ((place + 0.5) / len(by_source) - 0.5)
            values = some.set_index("scheme")[column].reindex(names)
            _dots(axes, values, lower, looks[source], label)
    _bytes_scale(panels[0], "DRAM at the peak, page tables in it")
    _bytes_scale(panels[1], "capacity taken from the device")
    panels[2].set_xscale("log")
    panels[2].xaxis.set_major_formatter(
        FuncFormatter(lambda v, _: "none" if v <= _NO_NS else f"{v:g} ns")
    )
    panels[2].set_xlabel("time an access")
    _properties(panels[3], rows.groupby("scheme")[[*PROPERTIES]].min().reindex(names))
    silent = rows.groupby("scheme")["event_ns"].count().reindex(names) == 0
    for place in [place for place, none in enumerate(silent) if none]:
        panels[0].text(2 * _NONE, place, "no answer here: see `note`", va="center",
                       fontsize=8, color=GREY)  # fmt: skip
    legend_below(figure, *panels[0].get_legend_handles_labels())
    return figure


def _dots(
    axes: Axes, values: pd.Series[float], lower: float, look: palette.Look, label: str
) -> None:
    known = values.astype("Float64").to_numpy(dtype=float, na_value=float("nan"))
    least = _NONE if axes.get_subplotspec().colspan.start < 2 else _NO_NS  # type: ignore[union-attr]
    x = np.maximum(known, least)
    axes.plot(x, np.arange(len(known)) + lower, **look.marks(), ms=5, label=label, zorder=3)


def _bytes_scale(axes: Axes, label: str) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks([_NONE, 1 << 20, 1 << 30])
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda v, _: "none" if v <= _NONE else short_bytes(v))
    )
    axes.set_xlim(_NONE / 2, 2**36)
    axes.set_xlabel(label)


def _properties(axes: Axes, rows: pd.DataFrame) -> None:
    """Mark what a scheme has by a dot, and what it lacks by a cross."""
    for column, name in enumerate(PROPERTIES):
        has = rows[name].astype("boolean")
        for mark, colour, which in (("o", INK, has), ("x", GREY, ~has)):
            places = [row for row, yes in enumerate(which.fillna(False)) if yes]
            axes.scatter([column] * len(places), places, s=30, marker=mark, color=colour, zorder=3)
        for row in [row for row, unknown in enumerate(has.isna()) if unknown]:
            axes.text(column, row, "?", ha="center", va="center", color=GREY, fontsize=9)
    labels = [name.replace("_", "\n").replace("dram", "DRAM") for name in PROPERTIES]
    axes.set_xticks(range(len(PROPERTIES)), labels, fontsize=7.5, color=INK)
    axes.set_xlim(-0.5, len(PROPERTIES) - 0.5)
    axes.set_xlabel("has it (dot) or lacks it (cross)")
