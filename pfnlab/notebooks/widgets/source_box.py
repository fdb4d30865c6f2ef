"""The source that the explorer looks at: its box with suggestions, and its trace, opened once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ipywidgets

from pfnlab.engine.exploration import Exploration
from pfnlab.errors import ParameterError
from pfnlab.notebooks.sources import find_source
from pfnlab.notebooks.widgets.controls import STYLE, classed
from pfnlab.params import Params
from pfnlab.params.costs import Costs
from pfnlab.traces.sources import Replayable
from pfnlab.traces.trace import Trace

#: Where a trace lies in the region: at its own pfns, or laid into it area by area.
PLACEMENTS = ("own", "packed", "spread")
#: Fields that decide how a workload is drawn, or where a trace is placed.
_PLACING = ("region_bytes", "first_pfn", "page_bytes", "seed")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is looked at: the text of a source, how it is placed, parameters and costs."""

    source: str
    placement: str
    params: Params
    costs: Costs

    def replays_as(self, other: Chosen) -> bool:
        """Whether the other asks for the same replay; costs and CPUs change none."""
        n_cpus = self.params.n_cpus
        mine = self.source, self.placement, self.params
        return mine == (other.source, other.placement, other.params.replace(n_cpus=n_cpus))


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A setting, and what looks at its source: two that look alike are still two."""

    setting: Chosen
    exploration: Exploration


class Opened:
    """The source that is looked at, opened and drawn once for as long as it stays."""

    def __init__(self) -> None:
        self._text = ""
        self._source: Any = None
        self._placed: tuple[Any, Exploration] | None = None

    def exploration(self, asked: Chosen) -> Exploration:
        """Return what looks at a source; what is on disk is read when another source is asked."""
        if asked.source != self._text or self._source is None:
            self._source, self._text = find_source(asked.source), asked.source
            self._placed = None
        key = (asked.placement, *(getattr(asked.params, name) for name in _PLACING))
        placed = self._placed
        if placed is None or placed[0] != key:
            placed = self._placed = key, Exploration(self._trace(asked))
        return placed[1]

    def _trace(self, asked: Chosen) -> Replayable:
        if asked.placement == "own":
            trace: Replayable = self._source.trace(asked.params)
            return trace
        if not isinstance(self._source, Trace):
            requirement = "must be own for what is no trace in memory"
            raise ParameterError("placement", asked.placement, requirement)
        params = asked.params
        how: Any = asked.placement  # one of PLACEMENTS
        return self._source.placed(params.region_bytes, how, first_pfn=params.first_pfn)


class SourceBox:
    """A box with suggestions: any trace file or workload."""

    def __init__(self, known: list[str], value: str) -> None:
        self.box = ipywidgets.Combobox(
            value=value, options=known, description="source", continuous_update=False,
            tooltip="a trace file, or a workload such as zipf:alpha=0.5,n_events=1000000",
            style=STYLE, layout=ipywidgets.Layout(width="400px"),
        )  # fmt: skip
        self.row = self.box
        classed(self.row, "source")

    @property
    def value(self) -> str:
        """The text."""
        return str(self.box.value)

    def move(self, value: str) -> None:
        """Take another text."""
        self.box.value = value

    def watch(self, moved: Callable[[], None], refused: Callable[[str], None]) -> None:
        """Call `moved` whenever another text is entered."""
        self.box.observe(lambda change: moved(), names="value")
