"""A sweep over samples of its traces: the same rows, about right, in a fraction of the time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from pfnlab.engine import replay_many, sampling
from pfnlab.engine.sampling import Sample
from pfnlab.params import Params
from pfnlab.params.costs import Costs, costs_of
from pfnlab.sweeps.axes import Point, points
from pfnlab.sweeps.per_region import Drawn, drawn
from pfnlab.sweeps.rows import Row, priced, row_of, rows_of
from pfnlab.traces.sources import Evidence, Replayable, Source

_MOST_KEPT = 16


@dataclass(slots=True)
class Held:
    """A source whose traces, and samples of them, are kept for the next sweep."""

    source: Source
    _kept: dict[Any, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What reports call it: as the source."""
        return self.source.name

    @property
    def evidence(self) -> Evidence:
        """Whether its events are references on descriptors or stand in for them."""
        return self.source.evidence

    def trace(self, params: Params) -> Replayable:
        """Return the events for the region of `params`, drawn when they are first asked for."""
        key = (params.region_bytes, params.page_bytes, params.first_pfn, params.seed)
        if key not in self._kept:
            self._keep(key, self.source.trace(params))
        trace: Replayable = self._kept[key]
        return trace

    def sample(self, region: Drawn) -> Sample | None:
        """Return a sample that serves all points of a region; None if one would tell nothing."""
        trace = region.trace
        largest = max(region.configurations, key=_chunk_pages)
        unit = largest.replace(threshold_bytes=largest.chunk_bytes, policy="lra", batch_chunks=1)
        at = (id(trace), _chunk_pages(unit))
        if at not in self._kept:  # with the trace, so that no other gets its id
            self._keep(at, (trace, sampling.touched_chunks(trace, unit)))
        _, touched = self._kept[at]
        divisor = min(
            sampling.divisor(trace, params, len(touched)) for params in region.configurations
        )
        if divisor == 1:
            return None
        key = (*at, divisor)
        if key not in self._kept:
            self._keep(key, (trace, sampling.sampled(trace, unit, touched, divisor)))
        sample: Sample = self._kept[key][1]
        return sample

    def _keep(self, key: Any, found: Any) -> None:
        self._kept[key] = found
        if len(self._kept) > _MOST_KEPT:
            self._kept.clear()
            self._kept[key] = found


@dataclass(frozen=True, slots=True)
class SampledSweep:
    """What a sweep would replay of one source: the points of each region, and a sample for them.

    A point whose sizes can't stand together is skipped.
    """

    regions: list[Drawn]
    samples: list[Sample | None]

    @classmethod
    def of(cls, source: Held, params: Params, axes: Mapping[str, Any]) -> SampledSweep:
        """Draw and sample, and replay nothing yet."""
        regions = list(drawn(source, points(params, axes, skip_invalid=True)))
        return cls(regions, [source.sample(region) for region in regions])

    @property
    def divisor(self) -> int:
        """N of `pfnlab.engine.sampling`, the largest of all; 1 if no trace can be sampled."""
        return max((sample.divisor for sample in self.samples if sample), default=1)

    @property
    def n_events(self) -> int:
        """Events that would be replayed, counted again for each point."""
        return sum(
            len(region.points) * len(sample.trace if sample else region.trace)
            for region, sample in zip(self.regions, self.samples, strict=True)
        )

    def frame(self, costs: str | Costs) -> pd.DataFrame:
        """Return the frame of `pfnlab.sweep`: estimates where there is a sample, else exact."""
        found = [
            each
            for region, sample in zip(self.regions, self.samples, strict=True)
            for each in (rows_of(region) if sample is None else _estimated(region, sample))
        ]
        rows = [row for _, row in sorted(found, key=lambda pair: pair[0].index)]
        return priced(pd.DataFrame(rows), costs_of(costs))


def _chunk_pages(params: Params) -> int:
    return params.chunk_bytes // params.descriptor_bytes


def _estimated(region: Drawn, sample: Sample) -> Iterator[tuple[Point, Row]]:
    configurations = [sample.params(params) for params in region.configurations]
    for index, result in replay_many(sample.trace, configurations):
        point, params = region.points[index], region.configurations[index]
        whole = sample.enlarged(result, params)
        footprint = region.footprints.get(
            params.granule_bytes, whole.cold_faults * params.granule_bytes
        )
        yield point, row_of(region.trace, point, footprint, whole)
