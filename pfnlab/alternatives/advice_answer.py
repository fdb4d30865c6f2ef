"""`Advice`: the points that were tried, what to choose among them, and the answer in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from pfnlab.alternatives.scheme import known_schemes
from pfnlab.frames.best import DRAM, TIME, front_of, knee_of
from pfnlab.frames.labels import PROPERTIES
from pfnlab.params import PARAMETERS, Params
from pfnlab.params.costs import Costs
from pfnlab.params.units import format_bytes, short_bytes
from pfnlab.traces.sources import Evidence

#: Parameters that tell points of the grid apart, in the order of the answer.
_CHOICES = ("granule_bytes", "chunk_bytes", "batch_chunks", "threshold_bytes", "policy",
            "reserve_granules")  # fmt: skip
_SHOWN = 3
_RECORD = "It needs a record of accesses, which a kernel mapping does not keep."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Advice:
    """What to choose for one trace on one region, and everything it was chosen from.

    Attributes
    ----------
    trace, evidence, params, costs, dram_budget, needs
        The question; `dram_budget` in bytes, or None.
    grid
        One row per replayed point, as of `pfnlab.sweep`, and ``dram_bytes``.
    best
        The fastest point whose DRAM is within the budget, the knee if there is none; None if no
        point fits.
    lra
        The same among the points whose policy is ``lra``, the one that needs no record of
        accesses; a kernel mapping keeps none.
    all_schemes
        The table of `pfnlab.schemes`, for the sizes and threshold of `lra`.
    gets
        Of the trace.
    """

    trace: str
    evidence: Evidence
    params: Params
    costs: Costs
    dram_budget: int | None
    needs: tuple[str, ...]
    grid: pd.DataFrame = field(repr=False)
    best: Params | None
    lra: Params | None
    all_schemes: pd.DataFrame = field(repr=False)
    gets: int

    @property
    def front(self) -> pd.DataFrame:
        """The legal points that no other beats in DRAM and time, by rising DRAM."""
        return front_of(self.grid)

    @property
    def knee(self) -> Params | None:
        """The point of the front farthest below the chord of its ends, log-log."""
        front = self.front
        place = knee_of(front)
        return None if place is None else params_of(front.iloc[place])

    @property
    def schemes(self) -> pd.DataFrame:
        """The schemes that serve this trace on a device, fit the budget and keep the needs.

        By rising time per access. Left out are HVO, which is for RAM; pfns alone where the trace
        takes references; schemes that would make an atomic access allocate; and demand policies
        but lra, which would need a record of accesses.
        """
        table = self.all_schemes.dropna(subset=[TIME])
        table = table[table["atomic_faults"] == 0]
        keeps = table[[*self.needs]].fillna(False).astype(bool).all(axis=1)
        fits = table["all_dram_bytes"] <= (self.dram_budget or float("inf"))
        serves = ~table["scheme"].isin(self._barred())
        return table[keeps & fits & serves].sort_values(TIME, kind="stable")

    def _barred(self) -> set[str]:
        barred = {name for name, scheme in known_schemes().items() if not scheme.for_devices}
        barred |= {"pfn_only"} if self.gets else set()
        return barred if self.lra else barred | {"demand_lra"}

    @property
    def scheme(self) -> str | None:
        """The fastest of `schemes`; None if there is none."""
        table = self.schemes
        return None if table.empty else str(table["scheme"].iloc[0])

    def __str__(self) -> str:
        return "\n".join(f"{head:11}{text}" for head, text in self._parts())

    def _repr_markdown_(self) -> str:
        return "\n".join(f"* **{head}** {text}" for head, text in self._parts())

    def _parts(self) -> list[tuple[str, str]]:
        region = format_bytes(self.params.region_bytes)
        where = f"{self.trace} ({self.evidence}) on {region}, {self.params.n_cpus} CPUs"
        static = short_bytes(self.params.vmemmap_bytes)
        asked = f"{where}, costs {self.costs.name}{self._limits()}; static descriptors: {static}"
        parts = [("Asked:", f"{asked}.")]
        parts.append(("Scheme:", self._scheme_text()))
        if self.lra is not None:
            parts.append(("With lra:", self._point_text(self.lra)))
        if self.best is None or self.best != self.lra:
            parts.append(("Any order:", self._best_text()))
        knee = self.knee
        if knee is not None and knee != self.best:
            parts.append(("Knee:", self._point_text(knee)))
        n_illegal = int((self.grid["atomic_faults"] > 0).sum())
        if n_illegal:
            text = f"{n_illegal:,} of {len(self.grid):,} points make atomic callers fault: left out"
            parts.append(("Illegal:", f"{text}."))
        return parts

    def _limits(self) -> str:
        budget = f", within {short_bytes(self.dram_budget)}" if self.dram_budget else ""
        return budget + (f", keeping {', '.join(self.needs)}" if self.needs else "")

    def _scheme_text(self) -> str:
        table = self.schemes
        if table.empty:
            return "none fits the budget and keeps what is needed."
        texts = [_scheme_text(row) for row in table.head(_SHOWN).to_dict("records")]
        note = str(table["note"].iloc[0])
        texts[0] += f" [{note}]" if note else ""
        return "; then ".join(texts) + "."

    def _best_text(self) -> str:
        if self.best is not None:
            plain = self.best.policy == "lra"
            return self._point_text(self.best) + ("" if plain else f" {_RECORD}")
        front = self.front
        if front.empty:
            return "no point of the grid is legal: atomic callers would have to sleep at each."
        least = short_bytes(front[DRAM].iloc[0])
        return f"no point of the grid fits the budget; the smallest takes {least}."

    def _point_text(self, point: Params) -> str:
        row = self.row(point)
        shown = [name for name in _CHOICES if name != "reserve_granules" or row[name]]
        choice = ", ".join(_choice(name, row[name]) for name in shown)
        stolen = row["stolen_ns"] / max(row["accesses"], 1)
        return (
            f"{choice}: {short_bytes(row[DRAM])} of DRAM at most, {row[TIME]:.0f} ns an access "
            f"({row['miss_ratio']:.2%} fault; {stolen:.0f} ns stolen from other CPUs)."
        )

    def row(self, point: Params) -> dict[str, Any]:
        """Return the row of the grid that replayed `point`."""
        values = point.as_dict()
        same = pd.Series(True, index=self.grid.index)
        for name, value in values.items():
            same &= self.grid[name] == value
        return {str(name): value for name, value in self.grid[same].iloc[0].items()}


def params_of(row: pd.Series[Any]) -> Params:
    """Return the parameters of a grid's row."""
    return Params(**{name: row[name] for name in PARAMETERS})


def _choice(name: str, value: Any) -> str:
    text = short_bytes(value) if name.endswith("_bytes") else str(value)
    return f"{name.removesuffix('_bytes').removesuffix('_chunks')} {text}"


def _scheme_text(row: dict[Any, Any]) -> str:
    lacks = [name for name in PROPERTIES if not row[name]]
    lack = f", lacks {', '.join(lacks)}" if lacks else ""
    device = f", {short_bytes(row['device_bytes'])} of the device" if row["device_bytes"] else ""
    size = row["all_dram_bytes"]
    dram = f"{short_bytes(size)} of DRAM" if size else "no DRAM"
    return f"{row['scheme']} ({row[TIME]:.0f} ns an access, {dram}{device}{lack})"
