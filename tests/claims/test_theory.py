"""Closed forms against sums over all subsets and orders, a Markov chain, and published figures."""

import json
import math
import random
import re
from collections import deque
from fractions import Fraction
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pfnlab
from pfnlab.claims import theory

ORACLES = json.loads((Path(__file__).parents[1] / "oracles.json").read_text())
# Zipf, 1000 items: exponent, capacity, then FIFO exact, FIFO approximate, LRU by Che, A0.
ZIPF_1000 = """
    0.6 100 .800295 .800511 .779748 .632333    0.6 500 .373542 .373612 .336514 .254531
    0.8 100 .665889 .666320 .622210 .474173    0.8 500 .272521 .272605 .230285 .166470
    1.0 100 .479187 .479751 .423475 .307007    1.0 500 .167496 .167571 .132464 .092532
    1.2 100 .292531 .293066 .242550 .168997    1.2 500 .085473 .085524 .063288 .043036
"""
# Zipf(0.8), 10,000 items, capacity 1000: batch, simulated, approximate (6 million references).
CHUNKED = """
    1 .60586 .60582    8 .60643 .60639    64 .61105 .61100    128 .61633 .61638
    256 .62666 .62751  512 .64662 .65148  1000 .67903 .70612
"""
# The same: fault and pass in ns, k* by formula and by search, ns a reference at 1, k* and C.
BEST_BATCH = [
    (1500, 6000, 172, 168, 4544, 952, 1063),
    (1500, 45000, 473, 435, 28171, 1033, 1091),
    (1500, 230000, 1000, 871, 140248, 1218, 1222),
    (500000, 45000, 26, 26, 330172, 304984, 353094),
]


def rows(table: str, width: int) -> list[tuple[float, ...]]:
    numbers = [float(word) for word in table.split()]
    return [tuple(numbers[i : i + width]) for i in range(0, len(numbers), width)]


# --- References: other routes, in exact arithmetic ----------------------------------------------


def fifo_by_subsets(p: list[Fraction], held: int) -> Fraction:
    sets = [[p[i] for i in some] for some in combinations(range(len(p)), held)]
    weights = [math.prod(some, start=Fraction(1)) for some in sets]
    missed = [w * (1 - sum(some)) for w, some in zip(weights, sets, strict=True)]
    return sum(missed, start=Fraction(0)) / sum(weights, start=Fraction(0))


def lru_by_orders(p: list[Fraction], held: int) -> Fraction:
    total = Fraction(0)
    for order in permutations(p, held):
        chance, left = Fraction(1), Fraction(1)
        for each in order:
            chance *= each / left
            left -= each
        total += chance * left
    return total


def fifo_by_chain(p: list[float], held: int) -> float:
    """The stationary Markov chain of FIFO queues, by repeated steps of the chain."""
    chances = {tuple(range(held)): 1.0}
    for _ in range(600):
        after: dict[tuple[int, ...], float] = {}
        for queue, chance in chances.items():
            for item, probability in enumerate(p):
                new = queue if item in queue else (*queue[1:], item)
                after[new] = after.get(new, 0.0) + chance * probability
        chances = after
    return sum(c * (1 - sum(p[i] for i in queue)) for queue, c in chances.items())


def misses_in_batches(p: Any, held: int, batch: int, n: int) -> float:
    """Misses a reference of a FIFO queue that loses its `batch` oldest when it is full."""
    drawn = random.Random(1).choices(range(len(p)), p, k=n)
    queue: deque[int] = deque()
    resident: set[int] = set()
    misses = 0
    for i, item in enumerate(drawn):
        if item in resident:
            continue
        misses += i >= n // 10  # the rest fills the queue
        if len(queue) == held:
            for _ in range(batch):
                resident.remove(queue.popleft())
        queue.append(item)
        resident.add(item)
    return misses / (n - n // 10)


weights = st.lists(st.integers(0, 50), min_size=2, max_size=6).filter(lambda some: sum(some) > 0)


@given(weights, st.data())
def test_exact_forms_are_the_sums_over_subsets_and_orders(some: list[int], data: Any) -> None:
    n_used = sum(weight > 0 for weight in some)
    p = [Fraction(weight, sum(some)) for weight in some]
    held = data.draw(st.integers(1, len(p) - 1))
    used = [each for each in p if each]  # an item never drawn is never held
    fifo = fifo_by_subsets(used, held) if held < n_used else 0
    lru = lru_by_orders(used, held) if held < n_used else 0
    floats = [float(each) for each in p]
    assert theory.fifo_exact(floats, held) == pytest.approx(float(fifo), abs=1e-12)
    assert theory.lru_exact(floats, held) == pytest.approx(float(lru), abs=1e-12)


def test_fifo_is_the_stationary_chain_of_queues() -> None:
    p = [0.4, 0.3, 0.2, 0.1]
    for held in (1, 2, 3):
        assert theory.fifo_exact(p, held) == pytest.approx(fifo_by_chain(p, held), abs=1e-9)


@pytest.mark.parametrize("batch", [1, 5, 20])
def test_chunked_lra_is_near_a_simulated_queue(batch: int) -> None:
    p = theory.zipf_probabilities(800, 0.8)
    seen = misses_in_batches(p, 80, batch, 200_000)
    assert theory.chunked_lra(p, 80, batch) == pytest.approx(seen, rel=0.01)


# --- Published figures ------------------------------------------------------------------------


def test_four_items() -> None:
    p = [float(Fraction(each)) for each in ORACLES["irm4"]["p"]]
    for held in (1, 2, 3):
        fifo, lru = (float(Fraction(ORACLES["irm4"][name][held - 1])) for name in ("FIFO", "LRU"))
        assert theory.fifo_exact(p, held) == pytest.approx(fifo, abs=1e-14)
        assert theory.lru_exact(p, held) == pytest.approx(lru, abs=1e-14)
        assert theory.optimum_static(p, held) == [0.5, 0.25, 0.125][held - 1]


def test_ten_items() -> None:
    p = theory.zipf_probabilities(10, 1)
    fifo = [theory.fifo_exact(p, held) for held in range(1, 10)]
    lru = [theory.lru_exact(p, held) for held in range(1, 7)]
    assert fifo == pytest.approx(ORACLES["zipf1_N10"]["FIFO"], abs=5e-7)
    assert lru == pytest.approx(ORACLES["zipf1_N10"]["LRU"], abs=5e-7)
    assert theory.lru_approximate(p, 3) == pytest.approx(0.534276, abs=5e-7)
    assert theory.fifo_approximate(p, 3) == pytest.approx(0.570480, abs=5e-7)


@pytest.mark.parametrize("row", rows(ZIPF_1000, 6), ids=str)
def test_a_thousand_items(row: tuple[float, ...]) -> None:
    alpha, held, *published = row
    p = theory.zipf_probabilities(1000, alpha)
    forms = (theory.fifo_exact, theory.fifo_approximate, theory.lru_approximate)
    found = [form(p, int(held)) for form in (*forms, theory.optimum_static)]
    assert found == pytest.approx(published, abs=5.1e-7)


@pytest.mark.parametrize("row", rows(CHUNKED, 3), ids=str)
def test_ten_thousand_items_in_batches(row: tuple[float, ...]) -> None:
    batch, simulated, published = row
    found = theory.chunked_lra(theory.zipf_probabilities(10_000, 0.8), 1000, int(batch))
    assert found == pytest.approx(published, abs=5.1e-6)
    assert found == pytest.approx(simulated, rel=0.002 if batch <= 250 else 0.042)


@pytest.mark.parametrize("row", BEST_BATCH, ids=str)
def test_the_best_batch(row: tuple[int, ...]) -> None:
    fault, shootdown, estimate, best, *costs = row
    p, times = theory.zipf_probabilities(10_000, 0.8), {"fault_ns": fault, "pass_ns": shootdown}
    # Published from a slope rounded to four digits.
    assert theory.best_batch_estimate(p, 1000, **times) == pytest.approx(estimate, abs=0.6)
    assert theory.best_batch(p, 1000, **times) == best
    found = [theory.cost_per_reference(p, 1000, k, **times) for k in (1, best, 1000)]
    assert found == pytest.approx(costs, abs=0.5)


def test_the_slope_of_ten_thousand_items() -> None:
    p = theory.zipf_probabilities(10_000, 0.8)
    assert theory.fifo_slope(p, 1000) == pytest.approx(-1.628e-4, abs=5e-8)


def test_lazy_max_pages() -> None:
    for n_cpus, pages in ORACLES["lazy_max_pages"].items():
        assert theory.lazy_max_pages(int(n_cpus)) == pages
    assert theory.lazy_max_pages(64, page_bytes=65536) == 57344 // 16


def test_sparse_touches_of_one_tib() -> None:
    for n_references, mib, gib in ((10**3, 3.906, 1.839), (10**4, 39.02, 11.28), (10**5, 386, 16)):
        small = theory.expected_granules(1 << 22, n_references) * 4096 / 2**20
        large = theory.expected_granules(1 << 13, n_references) * 2**21 / 2**30
        assert (small, large) == pytest.approx((mib, gib), rel=3e-4)


def test_pinned_chunks() -> None:
    published = {1e-4: (0.9936, 0.8096, 0.0377), 1e-3: (0.938, 0.121, 6e-15), 1e-2: (0.526, 6e-10)}
    for share, chances in published.items():
        found = [theory.evictable(share, n) for n in (64, 2112, 32768)[: len(chances)]]
        assert found == pytest.approx(chances, rel=0.2, abs=1e-9)
        assert found[0] == pytest.approx(chances[0], abs=5e-4)


# --- Laws -------------------------------------------------------------------------------------


@given(st.integers(2, 60), st.floats(0, 3), st.data())
def test_orders_keep_their_rank(n_items: int, alpha: float, data: Any) -> None:
    p = theory.zipf_probabilities(n_items, alpha)
    held = data.draw(st.integers(1, n_items - 1))
    fifo, best = theory.fifo_exact(p, held), theory.optimum_static(p, held)
    assert best - 1e-12 <= fifo <= 1 - held / n_items + 1e-12  # which is the uniform case
    if n_items <= 12:
        assert best - 1e-12 <= theory.lru_exact(p, held) <= fifo + 1e-12
    if held > 1:
        assert fifo <= theory.fifo_exact(p, held - 1) + 1e-12
    shuffled = data.draw(st.permutations(p.tolist()))
    assert theory.fifo_exact(shuffled, held) == pytest.approx(fifo, rel=1e-9)


@pytest.mark.parametrize("form", [theory.fifo_approximate, theory.lru_approximate])
@given(st.integers(2, 60), st.floats(0, 3), st.floats(0.05, 0.95))
def test_approximations_fall_as_more_is_held(
    form: Any, n_items: int, alpha: float, share: float
) -> None:
    p, held = theory.zipf_probabilities(n_items, alpha), share * n_items
    assert form(p, held) > form(p, min(held * 1.01, n_items - 1e-3)) - 1e-12
    assert form(p, n_items * 0.9999) < 0.01
    assert form(p, 1e-6) == pytest.approx(1, abs=1e-5)


def test_the_slope_is_that_of_the_curve() -> None:
    p = theory.zipf_probabilities(300, 0.9)
    for held in (0.5, 10, 150, 290):
        rise = theory.fifo_approximate(p, held + 1e-4) - theory.fifo_approximate(p, held - 1e-4)
        assert theory.fifo_slope(p, held) == pytest.approx(rise / 2e-4, rel=1e-5)


@given(st.integers(2, 200), st.floats(0, 2), st.floats(0.1, 1e5), st.floats(0.1, 1e5), st.data())
def test_no_batch_beats_the_best(
    n_items: int, alpha: float, fault: float, shootdown: float, data: Any
) -> None:
    p, held = theory.zipf_probabilities(n_items, alpha), data.draw(st.integers(1, n_items - 1))
    times = {"fault_ns": fault, "pass_ns": shootdown}
    best = theory.best_batch(p, held, **times)
    costs = [theory.cost_per_reference(p, held, k, **times) for k in range(1, held + 1)]
    assert costs[best - 1] <= min(costs) * (1 + 1e-9)
    assert 1 <= theory.best_batch_estimate(p, held, **times) <= held


def test_a_free_fault_or_a_free_pass() -> None:
    p = theory.zipf_probabilities(100, 0.8)
    assert theory.best_batch(p, 20, fault_ns=0, pass_ns=1) > 1
    assert theory.best_batch_estimate(p, 20, fault_ns=0, pass_ns=1) == 20
    for fault in (0, 1):
        assert theory.best_batch(p, 20, fault_ns=fault, pass_ns=0) == 1
        assert theory.best_batch_estimate(p, 20, fault_ns=fault, pass_ns=0) == 1


@given(st.integers(1, 50), st.integers(0, 200))
def test_granules_touched(n_granules: int, n_references: int) -> None:
    missed = Fraction(n_granules - 1, n_granules) ** n_references
    expected = float(n_granules * (1 - missed))
    assert theory.expected_granules(n_granules, n_references) == pytest.approx(expected, rel=1e-9)


def test_a_huge_region_keeps_its_digits() -> None:
    assert theory.expected_granules(1 << 60, 1000) == pytest.approx(1000, rel=1e-12)


def test_probabilities_far_apart_do_not_underflow() -> None:
    p = theory.zipf_probabilities(1000, 30.0)  # the last is 1e-90
    assert 0 < theory.lru_approximate(p, 990) < theory.fifo_approximate(p, 990) < 1e-80
    assert 0 < theory.fifo_exact(p, 990) < 1e-80
    many = theory.zipf_probabilities(5000, 0.8)
    near = theory.fifo_approximate(many, 2500)
    assert theory.fifo_exact(many, 2500) == pytest.approx(near, rel=1e-4)


# --- Refusals ---------------------------------------------------------------------------------

P = [0.5, 0.5]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.fifo_exact([0.5, 0.6], 1), "sum of probabilities=1.1: must be 1"),
        (lambda: theory.fifo_exact([1.5, -0.5], 1), "probabilities[1]=-0.5: must be finite"),
        (lambda: theory.fifo_exact([math.nan, 1], 1), "probabilities[0]=nan: must be finite"),
        (lambda: theory.fifo_exact([1.0], 1), "probabilities=(1,): must be one row of at least 2"),
        (lambda: theory.fifo_exact([P, P], 1), "probabilities=(2, 2): must be one row"),
        (lambda: theory.fifo_exact(["a", "b"], 1), "must be numbers"),
        (lambda: theory.fifo_exact(P, 0), "capacity=0: must be between 1 and 1"),
        (lambda: theory.fifo_exact(P, 2), "capacity=2: must be between 1 and 1"),
        (lambda: theory.fifo_exact(P, 1.5), "capacity=1.5: must be an int"),  # type: ignore[arg-type]
        (lambda: theory.fifo_exact(P, True), "capacity=True: must be an int"),
        (lambda: theory.lru_exact(P, 2), "capacity=2: must be between"),
        (
            lambda: theory.lru_exact(np.full(21, 1 / 21), 3),
            "probabilities='21 items': must be at most 20 items; lru_approximate",
        ),
        (lambda: theory.optimum_static(P, 2), "capacity=2: must be between"),
        (lambda: theory.lru_approximate(P, 2), "capacity=2: must be above 0 and below 2 items"),
        (lambda: theory.fifo_approximate(P, 0), "capacity=0: must be above 0 and below 2 items"),
        (lambda: theory.fifo_slope(P, math.nan), "capacity=nan: must be a number"),
        (lambda: theory.chunked_lra(P, 1, 2), "batch=2: must be between 1 and 1"),
        (
            lambda: theory.cost_per_reference(P, 1, 1, fault_ns=-1, pass_ns=1),
            "fault_ns=-1: must be a number, at least 0",
        ),
        (
            lambda: theory.best_batch(P, 1, fault_ns=1, pass_ns=math.inf),
            "pass_ns=inf: must be a number, at least 0",
        ),
        (lambda: theory.zipf_probabilities(1, 1), "n_items=1: must be at least 2"),
        (lambda: theory.zipf_probabilities(2, -1), "alpha=-1: must be a number, between 0 and"),
        (lambda: theory.expected_granules(0, 1), "n_granules=0: must be at least 1"),
        (lambda: theory.expected_granules(1, -1), "n_references=-1: must be at least 0"),
        (lambda: theory.evictable(1.5, 1), "pinned_share=1.5: must be a number, between 0 and 1"),
        (lambda: theory.evictable(0.5, -1), "n_descriptors=-1: must be at least 0"),
        (lambda: theory.lazy_max_pages(0), "n_cpus=0: must be at least 1"),
        (lambda: theory.lazy_max_pages(1, 5000), "page_bytes=5000: must be a power of two"),
    ],
)
def test_bad_arguments_are_refused(call: Any, message: str) -> None:
    with pytest.raises(pfnlab.ParameterError, match=re.escape(message)):
        call()


def test_theory_is_reached_by_its_name() -> None:
    assert pfnlab.theory.fifo_exact is theory.fifo_exact
    assert "theory" in dir(pfnlab)
