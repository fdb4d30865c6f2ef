"""Runs of accesses to one granule, against itertools."""

from itertools import accumulate, groupby

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfnlab.kernels import runs

pytestmark = pytest.mark.kernel

Runs = tuple[list[int], list[int]]


def expected(pfns: list[int], first_pfn: int, granule_pfns: int) -> Runs:
    """Granules and ends of the runs."""
    grouped = [
        (granule, len(list(run)))
        for granule, run in groupby(pfns, lambda pfn: (pfn - first_pfn) // granule_pfns)
    ]
    return [granule for granule, _ in grouped], list(accumulate(n for _, n in grouped))


def collapsed(pfns: list[int], first_pfn: int, shift: int, dtype: npt.DTypeLike) -> Runs:
    granules, ends = np.empty(len(pfns), np.uint32), np.empty(len(pfns), np.uint32)
    n = runs.collapse(first_pfn, shift, np.array(pfns, dtype), len(pfns), granules, ends)
    return granules[:n].tolist(), ends[:n].tolist()


TRACES = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 4))).map(
    lambda items: [5 + page for page, n in items for _ in range(n)]
)


@given(TRACES, st.sampled_from([0, 3, 5]), st.integers(0, 6), st.sampled_from(["u4", "i8"]))
def test_runs_are_those_of_itertools(
    pfns: list[int], first_pfn: int, shift: int, dtype: str
) -> None:
    assert collapsed(pfns, first_pfn, shift, dtype) == expected(pfns, first_pfn, 1 << shift)


@given(TRACES, st.integers(0, 3), st.integers(0, 3), st.booleans())
def test_runs_collapse_further_as_if_from_the_trace(
    pfns: list[int], fine: int, shift: int, in_place: bool
) -> None:
    granules, ends = (np.array(column, np.uint32) for column in expected(pfns, 5, 1 << fine))
    into = (granules, ends) if in_place else (np.empty_like(granules), np.empty_like(ends))
    n = runs.coarsen(shift, granules, ends, len(granules), *into)
    assert (into[0][:n].tolist(), into[1][:n].tolist()) == expected(pfns, 5, 1 << (fine + shift))
