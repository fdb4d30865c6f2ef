"""A source and the points of one region to events, footprints and configurations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from pfnlab.params import Params
from pfnlab.sweeps.axes import Point
from pfnlab.traces.sources import Replayable, Source


@dataclass(frozen=True, slots=True)
class Drawn:
    """The points of one region, with the events of a source that was drawn for it."""

    trace: Replayable
    points: Sequence[Point]
    footprints: Mapping[int, int]  # bytes, by granule size, as far as they are needed
    configurations: list[Params]  # of the points, shares turned into thresholds

    @classmethod
    def of(cls, trace: Replayable, points: Sequence[Point], known: dict[int, int]) -> Drawn:
        """Look at the trace as far as its points need it; footprints that are `known` stay so."""
        for granule, params in _granules_to_see(trace, points).items():
            if granule not in known:
                known[granule] = trace.footprint_bytes(params)
        footprints = dict(known)
        configurations = [_with_threshold(point, footprints) for point in points]
        return cls(trace, points, footprints, configurations)


def drawn(source: Source, todo: Sequence[Point]) -> Iterator[Drawn]:
    """Draw a source for one region after another, so that one trace is in memory at a time."""
    for _, group in groupby(sorted(todo, key=_region), key=_region):
        same_region = list(group)
        yield Drawn.of(source.trace(same_region[0].params), same_region, {})


def _region(point: Point) -> tuple[int | str, ...]:
    return point.region


def _with_threshold(point: Point, footprints: Mapping[int, int]) -> Params:
    """Return the parameters of a point, its share turned into a threshold."""
    if not point.share:
        return point.params
    of_footprint = point.share == "threshold_of_footprint"
    whole = footprints[point.params.granule_bytes] if of_footprint else point.params.vmemmap_bytes
    return point.with_threshold(whole)


def _granules_to_see(trace: Replayable, points: Sequence[Point]) -> dict[int, Params]:
    """Return the sizes of granule for which footprints must be found.

    They are left out where a replay finds it anyway: every granule that a sleepable lookup
    touches is populated once for the first time.
    """
    found_anyway = not trace.has_ops and not trace.has_atomic
    needed = [p for p in points if not found_anyway or p.share == "threshold_of_footprint"]
    return {point.params.granule_bytes: point.params for point in needed}
