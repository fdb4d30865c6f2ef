"""Axes to points: the pure grid, checked whole before anything is replayed, walked lazily."""

import math
from collections.abc import Iterator, Mapping, Sequence, Set, Sized
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from pfnlab.errors import ParameterError, near
from pfnlab.params import PARAMETERS, Params, parameter_of
from pfnlab.params.units import positive

#: Axes that give the threshold as a share of the vmemmap, or of the granules the trace touches.
SHARES = ("threshold_fraction", "threshold_of_footprint")
THRESHOLDS = (*SHARES, "threshold_bytes")
AXES = (*PARAMETERS, *SHARES)
#: What a source is drawn for: points that agree in these share one trace.
REGION = ("region_bytes", "first_pfn", "page_bytes", "seed")
#: Points that differ in nothing else can share a pass over the trace.
_SHARE_A_PASS = (*THRESHOLDS, "n_cpus")


Done = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Point:
    """One configuration of a grid; `share` is the axis that sets its threshold, if one does.

    `index` is its place in the product of the axes.
    """

    index: int
    params: Params
    share: str = ""
    value: float = 0.0

    def with_threshold(self, whole_bytes: int) -> Params:
        """Return the parameters with the threshold a share of `whole_bytes`, one chunk at least."""
        # Beyond any region a larger share changes nothing, and a float may be as large as it likes.
        largest = PARAMETERS["threshold_bytes"].maximum
        threshold = max(int(min(self.value * whole_bytes, largest)), self.params.chunk_bytes)
        return self.params.replace(threshold_bytes=threshold)

    @property
    def region(self) -> tuple[int | str, ...]:
        """What a source is drawn for."""
        return tuple(getattr(self.params, name) for name in REGION)


@dataclass(frozen=True, slots=True)
class Grid:
    """The points that `axes` span around `params`; none is held, each is made when it is due.

    Raises
    ------
    ParameterError
        For an unknown or empty axis, or two axes that both set the threshold.
    """

    params: Params
    axes: Mapping[str, Sequence[Any]]
    skip_invalid: bool = False

    def __post_init__(self) -> None:
        check_axes(self.axes)
        # By place, from here on: a Series is iterated by place, but looked up by label.
        listed = {n: v if isinstance(v, range) else list(v) for n, v in self.axes.items()}
        object.__setattr__(self, "axes", listed)

    @property
    def size(self) -> int:
        """Points of the whole product, those left out by `skip_invalid` among them."""
        return math.prod(len(values) for values in self.axes.values())

    def __iter__(self) -> Iterator[Point]:
        """Yield every point, the last axis fastest.

        Raises
        ------
        ParameterError
            At a point whose parameters can't stand together, unless such are skipped; at the end
            if that left none.
        """
        n_points = 0
        for index, values in enumerate(product(*self.axes.values())):
            if (point := self._point(index, dict(zip(self.axes, values, strict=True)))) is not None:
                n_points += 1
                yield point
        if not n_points:
            names = ", ".join(self.axes)
            raise ParameterError(
                names, "?", "no point of the grid has parameters that can stand together"
            )

    def sharing(self, done: Done | None = None) -> Iterator[list[Point]]:
        """Yield the points in lists that can share a pass, those of one region in a row.

        Points for whose index `done` is true are left out; it is asked when a list is due.
        """
        inner = [name for name in _SHARE_A_PASS if name in self.axes]
        outer = [name for name in self.axes if name not in inner]
        outer.sort(key=lambda name: name not in REGION)  # stable: the rest keep their order
        for before in self._places(outer):
            places = ({**before, **after} for after in self._places(inner))
            found = (self._at(each, done) for each in places)
            if together := [point for point in found if point is not None]:
                yield together

    def _places(self, names: Sequence[str]) -> Iterator[dict[str, int]]:
        """Yield every choice of a place on each of the axes `names`."""
        for places in product(*(range(len(self.axes[name])) for name in names)):
            yield dict(zip(names, places, strict=True))

    def _at(self, places: Mapping[str, int], done: Done | None) -> Point | None:
        index = 0
        for name, values in self.axes.items():
            index = index * len(values) + places[name]
        if done is not None and done[index]:
            return None
        return self._point(index, {name: self.axes[name][places[name]] for name in self.axes})

    def _point(self, index: int, values: dict[str, Any]) -> Point | None:
        share = next((name for name in SHARES if name in values), "")
        value = positive(share, values.pop(share)) if share else 0.0
        try:
            if share:  # stands in until the share's whole is known
                chunk = values.get("chunk_bytes", self.params.chunk_bytes)
                values["threshold_bytes"] = parameter_of("chunk_bytes").parse(chunk)
            return Point(index, self.params.replace(**values), share, value)
        except ParameterError:
            # A value wrong by itself is a mistake; only what can't stand together is skipped.
            for name, single in values.items():
                parameter_of(name).parse(single)
            if self.skip_invalid:
                return None
            raise


def points(
    params: Params, axes: Mapping[str, Sequence[Any]], *, skip_invalid: bool = False
) -> list[Point]:
    """Return every point of the grid that `axes` span around `params`, the last axis fastest.

    Raises
    ------
    ParameterError
        For an unknown or empty axis, two axes that both set the threshold, or a point whose
        parameters can't stand together (with `skip_invalid` such points are left out).
    """
    return list(Grid(params, axes, skip_invalid))


def check_axes(axes: Mapping[str, Sequence[Any]]) -> None:
    """Refuse an axis that is unknown, no list, empty or set twice."""
    for name, values in axes.items():
        if name not in AXES:
            raise ParameterError(name, values, f"no such axis; {near(name, AXES)}")
        if not _is_list(values):
            raise ParameterError(name, values, "an axis must be a list of values, at least one")
    setting = [name for name in THRESHOLDS if name in axes]
    if len(setting) > 1:
        raise ParameterError(setting[0], axes[setting[0]], f"{setting[1]} sets the threshold too")


def _is_list(values: object) -> bool:
    """Whether values come in an order, and are at least one: a list, an array, a Series."""
    if isinstance(values, str | bytes | Set | Mapping) or not isinstance(values, Sized):
        return False
    return getattr(values, "ndim", 1) == 1 and len(values) > 0
