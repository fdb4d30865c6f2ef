"""Who wins where: the fastest scheme on each region and workload, by what it must keep."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pfnlab.figures import palette
from pfnlab.figures.drawing import heading, new_figure, short
from pfnlab.figures.palette import GREY, INK
from pfnlab.frames import require
from pfnlab.frames.best import DRAM_SHARE, WINNING, winners
from pfnlab.params.units import short_bytes

_NEEDS = (
    ("Fastest, whatever it lacks", ()),
    ("Address and references kept, DRAM bounded: what the thread asks",
     ("stable_address", "shared_refcount", "bounded_dram")),
    ("State kept and usable in atomic context as well",
     ("stable_address", "shared_refcount", "bounded_dram", "state_survives", "atomic_safe")),
)  # fmt: skip
_LONGEST = 16  # letters of a source that fit above its column
_STRIPE = 0.05  # of a cell: in the colour of the winner's family


def by_region(frame: pd.DataFrame) -> Figure:
    """Draw the winner of each region and workload, a panel for each set of needs."""
    every = sorted({need for _, needs in _NEEDS for need in needs})
    require(frame, ["region_bytes", *WINNING, *every])
    regions, sources = list(frame["region"].unique()), list(frame["source"].unique())
    figure, (panels,) = new_figure(
        "Demand faulting wins where pages come back, and more often the slower the device", 1, 3,
        4.0 + 3 * (0.6 + 0.95 * len(sources)), 2.3 + 0.55 * len(regions),
    )  # fmt: skip
    for axes, (title, needs) in zip(panels, _NEEDS, strict=True):
        _matrix(axes, winners(frame, needs), regions, sources)
        heading(axes, title, pad=18)
        axes.set_xlabel("source")
    sizes = frame.drop_duplicates("region").set_index("region")["region_bytes"]
    labels = [f"{name}\n{short_bytes(sizes[name])}" for name in regions]
    panels[0].set_yticks(range(len(regions)), labels, fontsize=8)
    panels[0].set_ylabel("region")
    share = f"at most 1/{1 / DRAM_SHARE:.0f} of a static array's DRAM"
    figure.text(0.01, 0.01, f"Each cell: the winner with {share}; ns an access; DRAM at the peak",
                fontsize=9, color=GREY)  # fmt: skip
    figure.get_layout_engine().set(rect=(0, 0.05, 1, 0.95))  # type: ignore[union-attr,call-arg]
    return figure


def _matrix(axes: Axes, won: pd.DataFrame, regions: list[str], sources: list[str]) -> None:
    axes.set_xlim(-0.5, len(sources) - 0.5)
    axes.set_ylim(len(regions) - 0.5, -0.5)
    axes.set_xticks(range(len(sources)), [""] * len(sources))
    axes.set_yticks(range(len(regions)), [""] * len(regions))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    for x, source in enumerate(sources):
        axes.annotate(short(source, _LONGEST), (x, 1), xytext=(0, 4), ha="center", fontsize=9,
                      xycoords=axes.get_xaxis_transform(), textcoords="offset points",
                      color=INK)  # fmt: skip
    cells = {(row["region"], row["source"]): row for row in won.to_dict("records")}
    for y, region in enumerate(regions):
        for x, source in enumerate(sources):
            row = cells.get((region, source))
            name = str(row["scheme"]) if row else ""
            colour = palette.scheme(name).colour if row else "white"
            axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, color=colour, alpha=0.2))
            axes.add_patch(Rectangle((x - 0.48, y - 0.46), _STRIPE, 0.92, color=colour))
            text = "none"
            if row:
                cost = f"{row['event_ns']:.0f} ns, {short_bytes(row['all_dram_bytes'])}"
                text = f"{name}\n{cost}"
            axes.text(x + _STRIPE / 2, y, text, ha="center", va="center", fontsize=7.5, color=INK)
