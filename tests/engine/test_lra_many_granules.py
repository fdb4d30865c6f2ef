"""The fast path for lookups in chunks of granules: every counter equal to the reference's."""

import os
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pfnlab
from pfnlab.kernels import runs
from pfnlab.kernels.lra import many_granules, many_granules_state
from pfnlab.params.geometry import WINDOW_BYTES, Geometry
from tests import reference

pytestmark = pytest.mark.kernel

Pfns = npt.NDArray[np.uint32]
Case = tuple[pfnlab.Params, Pfns]


def log2(power_of_two: int) -> int:
    return power_of_two.bit_length() - 1


def layout_of(params: pfnlab.Params) -> many_granules_state.Layout:
    granule, pages = params.granule_bytes, params.chunk_bytes // 4096
    return many_granules_state.Layout(
        first_pfn=params.first_pfn,
        granule_shift=log2(granule // params.descriptor_bytes),
        chunk_shift=log2(params.chunk_bytes // granule),
        window_shift=log2(WINDOW_BYTES // granule) if granule < WINDOW_BYTES else -1,
        limit_granules=params.threshold_bytes // granule,
        batch_chunks=params.batch_chunks,
        flush_pages=pages if pages <= params.flush_ceiling_pages else 0,
    )


def named(params: pfnlab.Params, state: many_granules_state.State, n_events: int) -> dict[str, Any]:
    """Counters by the names of DESIGN 5, without those that are zero for lookups."""
    count, granule = [int(value) for value in state.counts], params.granule_bytes
    return {
        "faults": count[many_granules_state.FAULTS],
        "cold_faults": count[many_granules_state.COLD_FAULTS],
        "shootdowns": count[many_granules_state.SHOOTDOWNS],
        "evicted_chunks": count[many_granules_state.EVICTED_CHUNKS],
        "evicted_granules": count[many_granules_state.EVICTED_GRANULES],
        "ranged_flush_pages": count[many_granules_state.RANGED_FLUSH_PAGES],
        "full_flushes": count[many_granules_state.FULL_FLUSHES],
        "resident_bytes": count[many_granules_state.RESIDENT] * granule,
        "peak_resident_bytes": count[many_granules_state.PEAK_RESIDENT] * granule,
        "mean_resident_bytes": count[many_granules_state.RESIDENT_SUM] * granule / max(n_events, 1),
        "page_table_bytes": count[many_granules_state.PEAK_WINDOWS] * 4096,
        "page_table_kept_bytes": count[many_granules_state.WINDOWS_EVER] * 4096,
    }


def expected(params: pfnlab.Params, pfns: Pfns) -> dict[str, Any]:
    counters = reference.replay(
        [(int(pfn), reference.LOOKUP, False) for pfn in pfns],
        first_pfn=params.first_pfn,
        descriptor=params.descriptor_bytes,
        granule=params.granule_bytes,
        chunk=params.chunk_bytes,
        threshold=params.threshold_bytes,
        batch=params.batch_chunks,
        ceiling=params.flush_ceiling_pages,
    )
    empty = many_granules_state.state(layout_of(params), 1, 0)
    return {name: counters[name] for name in named(params, empty, 0)}


def state_for(
    params: pfnlab.Params, n_events: int, log_places: int = 0
) -> many_granules_state.State:
    n_granules = Geometry.of(params).n_granules
    return many_granules_state.state(layout_of(params), n_granules, n_events, log_places)


def replayed(params: pfnlab.Params, pfns: Pfns) -> dict[str, Any]:
    layout, state = layout_of(params), state_for(params, len(pfns))
    many_granules.replay(layout, state, pfns, 0, len(pfns))
    many_granules_state.count_populated(layout, state)
    return named(params, state, len(pfns))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a small odd region, any three sizes, and events that fill a few chunks."""
    granule = 4096 << draw(st.sampled_from([0, 0, 0, 0, 3, 7, 8, 9]))
    chunk = granule << draw(st.sampled_from([0, 1, 3, 5, 6, 7, 9, 9, 10, 11]))
    descriptor = draw(st.sampled_from([64, 64, 128, 4096]))
    n_pages = draw(st.integers(1, draw(st.sampled_from([1, 3, 40])) * chunk // descriptor))
    first = draw(st.sampled_from([0, 1, 12345]))
    params = pfnlab.Params(
        region_bytes=n_pages * 4096,
        first_pfn=first,
        descriptor_bytes=descriptor,
        granule_bytes=granule,
        chunk_bytes=chunk,
        threshold_bytes=chunk + draw(st.integers(0, 2 * chunk)),
        batch_chunks=draw(st.sampled_from([1, 1, 1, 2, 3, 100])),
        flush_ceiling_pages=draw(st.sampled_from([0, 1, 33, 512])),
    )
    # Strides of a granule and more fill a chunk, so that others push it out.
    granule_pfns, n = granule // descriptor, draw(st.integers(0, 120))
    stride = draw(st.sampled_from([1, granule_pfns, granule_pfns * 3, chunk // descriptor]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pages = np.arange(n) * stride if draw(st.booleans()) else rng.integers(0, n_pages, n)
    lengths = rng.integers(1, draw(st.sampled_from([2, 2, 6])), n)
    jumps = rng.random(n) < draw(st.sampled_from([0.0, 0.3]))
    pages = np.where(jumps, rng.integers(0, min(n_pages, 9), n), pages)
    return params, ((np.repeat(pages, lengths) % n_pages) + first).astype(np.uint32)


@st.composite
def full_cases(draw: st.DrawFn) -> Case:
    """Draw events that fill chunks well beyond the threshold; the last chunk may be partial.

    Granules of 1 MiB make chunks of one 2 MiB window and of several.
    """
    granule, shifts = draw(st.sampled_from([(4096, [2, 4, 6, 7]), (1 << 20, [1, 2, 3])]))
    chunk = granule << draw(st.sampled_from(shifts))
    n_granules = chunk // granule * draw(st.integers(2, 9))
    n_granules -= draw(st.sampled_from([0, 0, 1, chunk // granule // 2]))
    n_pages = n_granules * granule // 64
    params = pfnlab.Params(
        region_bytes=n_pages * 4096,
        granule_bytes=granule,
        chunk_bytes=chunk,
        threshold_bytes=chunk + granule * draw(st.integers(0, 2 * chunk // granule)),
        batch_chunks=draw(st.sampled_from([1, 1, 2, 5])),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(0, 500))
    skew = draw(st.sampled_from([1, 3]))
    return params, (n_pages * rng.random(n) ** skew).astype(np.uint32)


@settings(max_examples=int(os.environ.get("PFNLAB_EXAMPLES", "300")))
@given(cases() | full_cases())
def test_every_counter_equals_the_reference(case: Case) -> None:
    params, pfns = case
    assert replayed(params, pfns) == expected(params, pfns)


@settings(max_examples=int(os.environ.get("PFNLAB_EXAMPLES", "150")))
@given(cases() | full_cases(), st.integers(1, 70), st.integers(1, 9), st.integers(0, 2**16 - 1))
def test_pieces_loops_a_short_log_and_dtypes_change_nothing(
    case: Case, piece: int, log_places: int, often: int
) -> None:
    params, pfns = case
    layout, state = layout_of(params), state_for(params, len(pfns), log_places)
    wide = pfns.astype(np.int64)
    for k, start in enumerate(range(0, len(pfns), piece)):
        state.counts[many_granules_state.OFTEN] = often >> (k & 15) & 1
        stop = min(start + piece, len(pfns))
        if k & 1:
            many_granules.replay(layout, state, wide, start, stop)
        else:
            many_granules.replay(layout, state, pfns[start:stop], 0, stop - start)
    many_granules_state.count_populated(layout, state)
    assert named(params, state, len(pfns)) == replayed(params, pfns)


@settings(max_examples=100)
@given(cases() | full_cases(), st.integers(1, 50), st.booleans())
def test_runs_collapsed_change_nothing(case: Case, piece: int, often: bool) -> None:
    params, pfns = case
    layout, state = layout_of(params), state_for(params, len(pfns))
    for start in range(0, len(pfns), piece):
        part = pfns[start : start + piece]
        granules, ends = np.empty(piece, np.uint32), np.empty(piece, np.uint32)
        n = runs.collapse(params.first_pfn, layout.granule_shift, part, len(part), granules, ends)
        state.counts[many_granules_state.OFTEN] = often
        many_granules.replay_runs(layout, state, granules, ends, 0, n // 2)
        many_granules.replay_runs(layout, state, granules, ends, n // 2, n)
    many_granules_state.count_populated(layout, state)
    assert named(params, state, len(pfns)) == replayed(params, pfns)


@settings(max_examples=50)
@given(full_cases(), st.integers(1, 3))
def test_a_state_made_new_again_is_new(case: Case, threshold_chunks: int) -> None:
    params, pfns = case
    other = params.replace(threshold_bytes=threshold_chunks * params.chunk_bytes, batch_chunks=1)
    state = state_for(params, len(pfns))
    many_granules.replay(layout_of(other), state, params.n_pages - 1 - pfns, 0, len(pfns))
    many_granules_state.reset(state)
    many_granules.replay(layout_of(params), state, pfns, 0, len(pfns))
    many_granules_state.count_populated(layout_of(params), state)
    assert named(params, state, len(pfns)) == replayed(params, pfns)


def test_a_partial_last_chunk_is_evicted() -> None:
    # 192 granules in chunks of 128: the last chunk ends where the bitmap does.
    params = pfnlab.Params(
        region_bytes=192 * 64 * 4096, chunk_bytes="512KiB", threshold_bytes="512KiB"
    )
    pfns = np.tile(np.arange(0, 192 * 64, 64), 2).astype(np.uint32)
    assert replayed(params, pfns) == expected(params, pfns)
    assert replayed(params, pfns)["evicted_chunks"] == 3  # the first, the partial one, the first
