"""A trace's heat map: where it touches, and when."""

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from pfnlab.engine.trace_summary import Portrait, folded
from pfnlab.figures.drawing import heading, new_figure, of_source, short
from pfnlab.figures.palette import INK
from pfnlab.params.units import short_bytes

_MOST_ROWS, _MOST_LABELS = 200, 12


def heat_map(found: Portrait) -> Figure:
    """Draw accesses by time and place; what nothing touches is left out between the rows."""
    rows = folded(found.heat, _MOST_ROWS)
    counts = np.array([row.counts for row in rows]) if rows else np.zeros((1, 1), np.int64)
    share = found.n_pages * 64 / max(found.footprints[4096], 1)
    title = (
        f"{short(found.name)} touches {found.n_pages:,} pages within "
        f"{short_bytes(found.span_bytes)} and {share:.0%} of each 4 KiB granule"
    )
    figure, ((axes,),) = new_figure(title, 1, 1, 9.0, 4.5)
    axes.grid(visible=False)
    heading(axes, of_source(found.name, found.evidence))
    shown = np.ma.masked_equal(counts, 0)
    norm = LogNorm(vmin=1, vmax=max(int(counts.max()), 2))
    image = axes.imshow(shown, aspect="auto", interpolation="nearest", cmap="viridis_r", norm=norm)
    figure.colorbar(image, ax=axes, label="accesses", pad=0.01)
    every = max(1, -(-len(rows) // _MOST_LABELS))
    ticks = list(range(0, len(rows), every))
    axes.set_yticks(ticks, [short_bytes(rows[tick].begin_bytes) for tick in ticks])
    n_columns = counts.shape[1]
    places = np.linspace(0, n_columns, 5)
    labels = [f"{found.n_events * place / n_columns:,.0f}" for place in places]
    axes.set_xticks(places - 0.5, labels)
    axes.set_xlabel("event")
    axes.set_ylabel("place in the region (untouched areas left out)")
    axes.tick_params(colors=INK)
    return figure
