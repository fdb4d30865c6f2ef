"""The mechanism, event by event: what is resident, what is marked on it, and the victim order."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from pfnlab.figures import palette
from pfnlab.figures.drawing import new_figure, of_source
from pfnlab.figures.palette import COLOURS, GREY, INK
from pfnlab.frames import require
from pfnlab.params.units import short_bytes

_FAULT, _ILLEGAL, _PIN = INK, palette.ILLEGAL, palette.PIN
_HELD = ["resident", "order", "pinned", "set_aside"]
_COUNTED = [
    "hits",
    "faults",
    "cold_faults",
    "atomic_faults",
    "puts",
    "shootdowns",
    "evicted_chunks",
]
_TITLES = {
    "lra": "A fault moves its chunk to the top of the order, a hit does not; the bottom goes first",
    "lru": "Every access moves its chunk to the top of the order; the bottom goes first",
}
_LABELLED_EVENTS = 100
#: Events that still can be told apart in one picture.
MAX_DRAWN = 200


def mechanism(frame: pd.DataFrame) -> Figure:
    """Draw the first 200 steps of the first source.

    Above, granules by chunk: a bar while resident, a mark for each event. Below, the chunks in the
    victim order after each event, the next to go at the bottom; and the resident bytes.
    """
    require(frame, ["source", "evidence", "event", "op", "atomic", "granule", "chunk", *_COUNTED,
                    *_HELD, "resident_bytes", "granule_bytes", "chunk_bytes", "threshold_bytes",
                    "policy"])  # fmt: skip
    rows = frame[frame["source"] == frame["source"].iloc[0]].head(MAX_DRAWN).reset_index(drop=True)
    title = _TITLES.get(rows["policy"][0], "Faults populate granules, passes unmap chunks")
    figure, grid = new_figure(title, 3, 1, 11.0, 9.2)
    above, order, level = (row[0] for row in grid)
    figure.set_layout_engine("constrained", h_pad=0.06)
    above.get_gridspec().set_height_ratios([3.4, 2.0, 1.0])  # type: ignore[union-attr]
    _granules(above, rows)
    _victims(order, rows)
    _level(level, rows)
    about = of_source(rows["source"][0], rows["evidence"][0])
    deepest = max(rows["evicted_chunks"].max(), 1)
    above.set_title(about, loc="left", fontsize=10, pad=8 + 9 * deepest)
    for axes in (above, order, level):
        axes.set_xlim(-0.6, len(rows) - 0.4)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=20))
        axes.set_xlabel("event")
    handles, labels = above.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=8, frameon=False)
    return figure


def _chunk_granules(rows: pd.DataFrame) -> int:
    return int(rows["chunk_bytes"][0] // rows["granule_bytes"][0])


def _colour(chunk: int) -> str:
    return COLOURS[chunk % len(COLOURS)]


def _granules(axes: Axes, rows: pd.DataFrame) -> None:
    """Bars of residence, marks of events, a line for each shootdown."""
    in_chunk = _chunk_granules(rows)
    touched = sorted(set(rows["chunk"]))
    place = {chunk: i for i, chunk in enumerate(touched)}

    def y(granule: int) -> float:
        return place[granule // in_chunk] * (in_chunk + 0.6) + granule % in_chunk

    for granule, start, end in _spans(rows["resident"]):
        look: dict[str, Any] = {"facecolor": _colour(granule // in_chunk), "alpha": 0.33, "lw": 0}
        axes.add_patch(Rectangle((start - 0.5, y(granule) - 0.42), end - start, 0.84, **look))
    for chunk, start, end in _spans(rows["pinned"]):
        low = y(chunk * in_chunk) - 0.52
        axes.plot([start - 0.5, end - 0.5], [low, low], color=_PIN, lw=3.5, solid_capstyle="butt")
    for x in rows.index[rows["shootdowns"] > 0]:
        axes.axvline(x - 0.5, color=_ILLEGAL, lw=1.3, ls="--")
    _unmapped(axes, rows, in_chunk)
    _marks(axes, rows, y)
    axes.set_yticks([y(chunk * in_chunk) + (in_chunk - 1) / 2 for chunk in touched],
                    [f"chunk {chunk}" for chunk in touched])  # fmt: skip
    axes.tick_params(axis="y", length=0)
    axes.grid(False)
    axes.set_ylim(-0.9, len(touched) * (in_chunk + 0.6) - 0.5)
    axes.set_ylabel(f"granules of {short_bytes(rows['granule_bytes'][0])}, by chunk")


def _spans(held: pd.Series[Any]) -> list[tuple[int, int, int]]:
    """Return what is held from which event on, and up to which not included."""
    spans: list[tuple[int, int, int]] = []
    since: dict[int, int] = {}
    for x, now in enumerate([*held, ()]):
        spans += [(each, since.pop(each), x) for each in sorted({*since} - {*now})]
        since |= {each: x for each in now if each not in since}
    return spans


def _unmapped(axes: Axes, rows: pd.DataFrame, in_chunk: int) -> None:
    """Write over each shootdown which chunks it unmapped, unless there are too many to read."""
    gone = {x: _gone(before, now, in_chunk)
            for x, (before, now) in enumerate(pairwise(rows["resident"]), 1)}  # fmt: skip
    gone = {x: chunks for x, chunks in gone.items() if chunks}
    if not gone or len(rows) > _LABELLED_EVENTS:
        return
    # One above the other: the next shootdown may be one event away.
    texts = {-1.0: "unmapped chunk"} | {x - 0.5: "\n".join(gone[x]) for x in gone}
    for x, text in texts.items():
        axes.text(x, 1.01, text, transform=axes.get_xaxis_transform(), fontsize=8, color=_ILLEGAL,
                  ha="right" if x < 0 else "center", linespacing=1.0)  # fmt: skip


def _gone(before: Iterable[int], now: Iterable[int], in_chunk: int) -> list[str]:
    chunks = {granule // in_chunk for granule in {*before} - {*now}}
    return [str(chunk) for chunk in sorted(chunks)]


def _marks(axes: Axes, rows: pd.DataFrame, y: Any) -> None:
    """One mark an event, and two empty ones for the legend of bars and lines."""
    kinds: list[tuple[str, pd.Series[bool], dict[str, Any]]] = [
        ("first fault", rows["cold_faults"] > 0, {"marker": "o", "color": _FAULT}),
        ("fault again", (rows["faults"] > 0) & (rows["cold_faults"] == 0),
         {"marker": "o", "color": _FAULT, "markerfacecolor": "white", "mew": 1.6}),
        ("hit", rows["hits"] > 0, {"marker": "|", "color": _FAULT, "markersize": 9, "mew": 1.6}),
        ("illegal fault", rows["atomic_faults"] > 0,
         {"marker": "X", "color": _ILLEGAL, "markersize": 9}),
        ("PUT", rows["puts"] > 0, {"marker": "v", "color": _PIN, "markersize": 7}),
    ]  # fmt: skip
    for label, which, look in kinds:
        some = rows[which]
        axes.plot(some.index, [y(each) for each in some["granule"]], ls="", label=label, **look)
    axes.plot([], [], color=GREY, alpha=0.4, lw=8, label="resident")
    axes.plot([], [], color=_PIN, lw=3.5, label="pinned")
    axes.plot([], [], color=_ILLEGAL, lw=1.3, ls="--", label="shootdown")


def _victims(axes: Axes, rows: pd.DataFrame) -> None:
    """Stack the chunks of the order after each event; those set aside lie below it."""
    highest = max((len(order) for order in rows["order"]), default=1)
    labelled = len(rows) <= _LABELLED_EVENTS
    deepest = max((len(chunks) for chunks in rows["set_aside"]), default=0)
    for x, step in enumerate(rows.to_dict("records")):
        places = list(enumerate(step["order"]))
        places += [(-1 - i, chunk) for i, chunk in enumerate(step["set_aside"])]
        for height, chunk in places:
            look: dict[str, Any] = {"facecolor": _colour(chunk), "alpha": 0.45, "lw": 0}
            if height < 0:
                look |= {"hatch": "///", "edgecolor": _PIN}
            axes.add_patch(Rectangle((x - 0.46, height - 0.44), 0.92, 0.88, **look))
            if labelled:
                axes.text(x, height, str(chunk), ha="center", va="center", fontsize=8, color=INK)
        if step["shootdowns"]:
            axes.axvline(x - 0.5, color=_ILLEGAL, lw=1.3, ls="--")
    aside = [(-1 - i, "set aside: pinned") for i in range(min(deepest, 1))]
    ends = [*aside, (0, "goes next")]
    axes.set_yticks([at for at, _ in ends], [text for _, text in ends])
    axes.set_ylim(-0.6 - deepest, highest - 0.4)
    axes.set_ylabel(f"{rows['policy'][0]} order: newest on top")
    axes.grid(False)


def _level(axes: Axes, rows: pd.DataFrame) -> None:
    """Resident granules after each event, under the threshold."""
    granule, threshold = rows["granule_bytes"][0], rows["threshold_bytes"][0]
    axes.step(rows.index, rows["resident_bytes"] / granule, where="mid", color=INK, lw=1.8)
    axes.axhline(threshold / granule, color=_ILLEGAL, lw=1.2)
    axes.annotate(f"threshold {short_bytes(threshold)}", (0, threshold / granule), xytext=(0, 4),
                  textcoords="offset points", fontsize=8, color=_ILLEGAL)  # fmt: skip
    top = max(threshold, rows["resident_bytes"].max()) / granule
    axes.set_ylim(0, 1.3 * top)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    axes.set_ylabel("resident granules")
