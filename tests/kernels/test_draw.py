"""Compiled draws: the same events as the plain ones, which `test_workloads.py` holds to the laws.

Where the JIT is off these run the kernels interpreted, and so draw less.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfnlab.kernels import draw as draw_kernel
from pfnlab.traces.workloads.page_calls import Calls, interleaved_compiled, interleaved_plain
from pfnlab.traces.workloads.random_words import key_of
from pfnlab.traces.workloads.zipf_pages import ZipfPages
from pfnlab.traces.workloads.zipf_ranks import ZipfRanks, growth_of, polynomial

pytestmark = pytest.mark.kernel


@given(
    n_pages=st.one_of(st.integers(1, 300), st.integers(1, 2**43)),
    ranks_share=st.floats(0.001, 1.0),
    block_bits=st.integers(0, 43),
    alpha=st.one_of(st.floats(0.0, 3.0), st.floats(3.0, 1000.0), st.sampled_from([0.0, 0.9, 1.0])),
    start=st.one_of(st.integers(0, 2**33), st.just(2**62)),
    count=st.integers(0, 2200),
    seed=st.integers(0, 2**64 - 1),
)
@settings(max_examples=150 if draw_kernel.COMPILED else 15)
def test_compiled_pages_are_the_plain_ones(
    n_pages: int,
    ranks_share: float,
    block_bits: int,
    alpha: float,
    start: int,
    count: int,
    seed: int,
) -> None:
    """Whatever the exponent, the region and its partial last block, and wherever a draw begins."""
    ranks = ZipfRanks.of(max(1, int(ranks_share * n_pages)), alpha, seed)
    drawn = ZipfPages(ranks, n_pages, 1 << block_bits, key_of(seed))
    count = count if draw_kernel.COMPILED else count % 40
    assert_compiled_is_plain(drawn, start, count)


def assert_compiled_is_plain(drawn: ZipfPages, start: int, count: int, attempts: int = 4) -> None:
    """Compare events, in each dtype that holds them."""
    plain = drawn.draw_plain(start, count)
    for dtype in (np.uint32, np.int64) if drawn.n_pages <= 2**32 else (np.int64,):
        pages = np.full(count, 7, dtype)
        with np.errstate(over="ignore"):  # interpreted, numpy warns of what is meant to wrap
            drawn.draw_compiled(start, pages, attempts)
        assert np.array_equal(pages, plain)


def test_compiled_pages_in_many_attempts() -> None:
    """Where one draw in three is rejected, so that the keys of more attempts are asked for."""
    count = 20_000 if draw_kernel.COMPILED else 200
    ranks = ZipfRanks.of(2**20, 60.0, 3)
    entry = int(np.flatnonzero(ranks.length > 1000)[0])
    ranks.shares[:] = 0
    ranks.first[:], ranks.length[:] = ranks.first[entry], ranks.length[entry]
    drawn = ZipfPages(ranks, 2**20, 1, 5)
    assert_compiled_is_plain(drawn, 0, count, attempts=1)


@given(st.integers(64, 2**37), st.floats(0, 1), st.floats(0.01, 1000.0), st.integers(-4, 4))
def test_acceptance_is_the_same_to_the_last_bit(
    first: int, share: float, alpha: float, ulps: int
) -> None:
    """At the coin where it turns, which a fused or reordered multiplication would move."""
    beyond = int(share * (first // 64))
    growth = np.array(growth_of(alpha))
    t = np.array([beyond / first])
    turn = int(2.0**53 / polynomial(growth.tolist(), t)[0]) + ulps
    coin = np.uint64(min(turn, 2**53 - 1) << 11)
    expected = (coin >> np.uint64(11)) * 2.0**-53 * polynomial(growth.tolist(), t) < 1
    assert draw_kernel.is_accepted(growth, t[0], coin) == expected[0]


def test_compiled_pages_whose_partial_block_never_comes_back() -> None:
    """Small regions, all keys: the cycle of the partial last block may lie outside the region."""
    for n_pages in range(1, 40):
        for block_pages in (1, 2, 4, 16, 64):
            for key in range(3 if draw_kernel.COMPILED else 1):
                drawn = ZipfPages(ZipfRanks.of(n_pages, 0.0, key), n_pages, block_pages, key)
                assert_compiled_is_plain(drawn, 0, 80 if draw_kernel.COMPILED else 4)


@given(
    st.lists(st.tuples(st.integers(0, 2**43), st.integers(1, 9), *[st.integers(0, 6)] * 2)),
    st.integers(0, 9),
)
def test_compiled_calls_are_the_plain_ones(
    some: list[tuple[int, int, int, int]], depth: int
) -> None:
    first, n_pages, submit, complete = np.array(some, np.int64).reshape(-1, 4).T
    codes = submit.astype(np.uint8), complete.astype(np.uint8)
    calls = Calls(np.ascontiguousarray(first), np.ascontiguousarray(n_pages), *codes)
    depth = min(depth, len(some))
    plain, compiled = interleaved_plain(calls, depth), interleaved_compiled(calls, depth)
    for mine, theirs in zip(compiled, plain, strict=True):
        assert mine is not None
        assert theirs is not None
        assert mine.dtype == theirs.dtype
        assert np.array_equal(mine, theirs)
