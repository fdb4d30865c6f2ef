"""Workloads: the same events everywhere, the distributions they claim, and their protocols."""

import functools
import itertools
import math
import operator
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfnlab.errors import ParameterError
from pfnlab.params import Params
from pfnlab.params.geometry import Geometry
from pfnlab.traces.requests import GET, LOOKUP, PUT
from pfnlab.traces.trace import Trace
from pfnlab.traces.workloads import WORKLOADS, workload
from pfnlab.traces.workloads.block_io import chained
from pfnlab.traces.workloads.churn import NextFit
from pfnlab.traces.workloads.page_calls import ATOMIC, Calls, play
from pfnlab.traces.workloads.random_words import below, chances, key_of, scatter, words, words_at
from pfnlab.traces.workloads.zipf_ranks import ZipfRanks, block_starts, block_weights, powers

# sha256 of each workload's default million events in the default region, seed 0. A change means
# that every published trace of that name changes. Regenerate with
#   python -c "from pfnlab.params import Params; from pfnlab.traces.workloads import *
#   for n in WORKLOADS: print(f'    \"{n}\": \"{workload(n).trace(Params()).digest()}\",')"
DIGESTS = {
    "zipf": "43a1304a806002ce03751dd080c6bd74b9511b2183699ad21645609c53c715e1",
    "uniform": "75860f11b4af7ece514e0584aa3ec8fbcb85024ea74e2514e4a42a04cbf35ad9",
    "sequential": "399c9c13ed1fb96449b27e0ac71f91b63a279d7ee1a99e64389bd6ef087f9ac4",
    "hotspot": "0308b9c53d0107e5788ca4c1ccbf9b3a3d6f4e722258c996f20b1f91e3271a9b",
    "block_io": "06f9eb3af4746b8b4af5b55d472eb855532f23ec9e2f39454e09c6f25f562d03",
    "gpu_tensors": "de7cfc8b6098abf27b4e03a45e509077c622557ed6cc28269d0f1a9689d67289",
    "churn": "88aabf53a39432d044dc4c7693d9f8c545f6e19d88a6f32db5607db6ee949878",
    "gup_fast": "51adb995ab20029f1486786a980a287bc3575e05e45691cc8c4903c3f94a36fd",
    "softirq": "33e10361265bf230444ddfbd078bd6da3069d5340cbe033d7c08c1a25201681a",
}

NAMES = sorted(WORKLOADS)
REGIONS = {
    "141GiB": Params(region_bytes="141GiB"),
    "80GB": Params(region_bytes="80GB", first_pfn=12345),
    "odd": Params(region_bytes=4096 * (2**25 + 12347), first_pfn=2**32 - 2**25 - 12347),
    "over32": Params(region_bytes=4096 * (2**25 + 12347), first_pfn=2**32 - 2**25 - 12346),
    "6TiB": Params(region_bytes="6TiB", first_pfn=0x1_0000_0000),
    "64TiB": Params(region_bytes="64TiB"),
    "32PiB": Params(region_bytes="32PiB", first_pfn=2**52),
    "2MiB pages": Params(region_bytes="12TiB", page_bytes="2MiB", first_pfn=77),
}


def draw(name: str, params: Params | None = None, **fields: Any) -> Trace:
    """Draw a workload, by default for 1 TiB."""
    return workload(name, **fields).trace(params or Params())


def columns(trace: Trace) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pfns, ops and atomic with their defaults filled in."""
    n = len(trace)
    ops = np.zeros(n, np.uint8) if trace.ops is None else trace.ops
    atomic = np.zeros(n, bool) if trace.atomic is None else trace.atomic
    return trace.pfns.astype(np.int64), ops, atomic


def surprise(seen: np.ndarray, expected: np.ndarray) -> float:
    """Return how many standard deviations chi-square lies above its mean."""
    chi2 = float(((seen - expected) ** 2 / expected).sum())
    cells = len(seen) - 1
    return (chi2 - cells) / math.sqrt(2 * cells)


# The same events everywhere


def test_every_workload_has_a_digest() -> None:
    assert set(DIGESTS) == set(WORKLOADS)


@pytest.mark.kernel
@pytest.mark.parametrize("name", NAMES)
def test_default_events_are_these(name: str) -> None:
    trace = draw(name)
    assert trace.digest() == DIGESTS[name]
    assert (len(trace), trace.name, trace.evidence) == (1_000_000, name, "proxy")
    assert trace.pfns.dtype == np.uint32


@pytest.mark.parametrize("name", NAMES)
def test_a_short_trace_begins_a_long_one(name: str) -> None:
    long = columns(draw(name, n_events=200_001, seed=5))
    for n in (0, 1, 1000, 70_000):
        short = columns(draw(name, n_events=n, seed=5))
        assert all(np.array_equal(a, b[:n]) for a, b in zip(short, long, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_seed(name: str) -> None:
    one, two = draw(name, n_events=30_000, seed=1), draw(name, n_events=30_000, seed=2)
    assert one.digest() != two.digest()
    assert one.digest() == draw(name, Params(seed=1), n_events=30_000).digest()
    assert one.provenance["seed"] == "1"
    # Not merely the same pattern elsewhere: pages in common are few or in another order.
    assert np.mean(one.pfns == two.pfns) < 0.5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_events", [1000, 1 << 15, 50_000, 1 << 20])
def test_pieces_are_the_trace(name: str, n_events: int) -> None:
    """Cut shorter and longer than what is drawn at a time, and moved by the first pfn."""
    params, spec = REGIONS["80GB"], workload(name, n_events=100_001, seed=5)
    whole = spec.trace(params)
    found: list[list[np.ndarray]] = []
    room = set()
    for number, piece in enumerate(spec.pieces(params, n_events)):
        assert piece.start == number * n_events
        assert len(piece.pfns) == min(n_events, 100_001 - piece.start)
        assert not any(c.flags.writeable for c in piece[1:] if c is not None)
        room.add(piece.pfns.__array_interface__["data"][0])
        found.append([c.copy() for c in piece[1:] if c is not None])
    assert len(room) == 1  # in memory for one piece, whatever the length of the trace
    expected = [c for c in (whole.pfns, whole.ops, whole.atomic) if c is not None]
    for mine, theirs in zip(zip(*found, strict=True), expected, strict=True):
        joined = np.concatenate(mine)
        assert joined.dtype == theirs.dtype
        assert np.array_equal(joined, theirs)


def test_pieces_are_refused_like_the_trace() -> None:
    assert list(workload("zipf", n_events=0).pieces(Params())) == []
    with pytest.raises(ParameterError, match="region_bytes"):
        next(workload("churn").pieces(Params(region_bytes="4KiB")))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("region", REGIONS)
def test_pfns_are_in_range(name: str, region: str) -> None:
    params = REGIONS[region]
    trace = draw(name, params, n_events=100_000)
    Geometry.of(params).check(trace.pfns)
    fits = params.first_pfn + params.n_pages <= 2**32
    assert trace.pfns.dtype == (np.uint32 if fits else np.int64)
    assert trace.page_bytes == params.page_bytes
    if name in ("uniform", "zipf", "sequential", "hotspot", "block_io", "gup_fast", "softirq"):
        tenths = (trace.pfns.astype(np.int64) - params.first_pfn) * 10 // params.n_pages
        assert set(tenths.tolist()) == set(range(10))


@pytest.mark.parametrize("name", NAMES)
def test_first_pfn_only_moves(name: str) -> None:
    here = draw(name, Params(region_bytes="100GiB"), n_events=20_000)
    there = draw(name, Params(region_bytes="100GiB", first_pfn=10**7 + 1), n_events=20_000)
    assert np.array_equal(there.pfns, here.pfns + np.uint32(10**7 + 1))


# Random numbers


def mixed_by_hand(z: int) -> int:
    """SplitMix64's finaliser in Python integers."""
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def test_words_are_splitmix64() -> None:
    golden, key = 0x9E3779B97F4A7C15, key_of(3, "x")
    expected = [mixed_by_hand((key + i * golden) % 2**64) for i in range(40, 50)]
    assert words(key, 40, 10).tolist() == expected
    assert words_at(key, np.arange(40, 50)).tolist() == expected
    # The first output of the published generator seeded with 1234567 (its state steps first).
    assert words(1234567, 1, 1).tolist() == [6457827717110365317]
    assert words(key, 5, 100_000)[-1] == mixed_by_hand((key + 100_004 * golden) % 2**64)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1), st.integers(1, 2**62))
@settings(deadline=None)
def test_below_is_the_exact_product(random: list[int], n: int) -> None:
    expected = [word * n >> 64 for word in random]
    assert below(np.array(random, np.uint64), n).tolist() == expected
    bounds = np.full(len(random), n, np.uint64)
    assert below(np.array(random, np.uint64), bounds).tolist() == expected


@pytest.mark.parametrize("n", [2**32 - 1, 2**33 - 1, 2**40 + 1, 2**62 - 1])
def test_below_carries(n: int) -> None:
    """Words at which a carry lost between 32-bit halves shows."""
    edges = [-(-(k << 64) // n) + d for k in (1, n // 3, n // 2, n - 1) for d in (-1, 0, 1)]
    random = [0, 2**32 - 1, 2**63, 2**64 - 2, 2**64 - 1, *edges]
    expected = [word * n >> 64 for word in random]
    assert below(np.array(random, np.uint64), n).tolist() == expected


@pytest.mark.parametrize("share", [0.0, 1e-9, 0.25, 0.9, 1.0])
def test_chances_cut_where_the_share_says(share: float) -> None:
    cut = int(Fraction(share) * 2**64)
    values = sorted({0, max(cut - 1, 0), min(cut, 2**64 - 1), 2**64 - 1})
    expected = [value < cut for value in values]
    assert chances(np.array(values, np.uint64), share).tolist() == expected


@pytest.mark.parametrize("n", [*range(1, 35), 100, 127, 128, 129, 1000, 4097, 65_537, 300_007])
def test_scatter_is_a_bijection(n: int) -> None:
    placed = scatter(np.arange(n, dtype=np.uint64), n, key_of(n))
    assert np.array_equal(np.sort(placed), np.arange(n, dtype=np.uint64))


@given(st.integers(1, 2**50), st.integers(0, 2**64 - 1), st.data())
@settings(deadline=None)
def test_scatter_in_large_ranges(n: int, key: int, data: st.DataObject) -> None:
    some = data.draw(st.sets(st.integers(0, n - 1), min_size=1))
    placed = scatter(np.array(sorted(some), np.uint64), n, key).tolist()
    assert len(set(placed)) == len(some)
    assert max(placed) < n


@pytest.mark.parametrize("n", [1 << 20, 1_000_003, 3 << 30])
def test_scatter_spreads_neighbours(n: int) -> None:
    """Neighbours go to places that are uniform, and whose distances are too."""
    keys = [key_of(n, k) for k in range(4)]
    placed = np.concatenate([scatter(np.arange(50_000, dtype=np.uint64), n, key) for key in keys])
    cells = np.bincount((placed * np.uint64(64) // np.uint64(n)).astype(np.int64), minlength=64)
    assert abs(surprise(cells, np.full(64, len(placed) / 64))) < 5
    apart = (placed[1:].astype(np.int64) - placed[:-1].astype(np.int64)) % n
    cells = np.bincount(apart * 64 // n, minlength=64)
    assert surprise(cells, np.full(64, len(apart) / 64)) < 5


# Zipf


@pytest.mark.parametrize("exponent", [-0.0, -0.5, -1.0, -1.7, -30.0, 2.5])
def test_powers(exponent: float) -> None:
    x = np.concatenate([np.arange(1.0, 3000), np.geomspace(1, 2.0**43, 1000), [1 + 1 / 64]])
    expected = np.array([float(value) ** exponent for value in x])
    np.testing.assert_allclose(powers(x, exponent), expected, rtol=3e-13)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1 - 1e-9, 1.0, 1.5, 4.0, 12.0])
def test_block_weights_are_sums(alpha: float) -> None:
    starts = block_starts(1_000_003)
    each = [rank**-alpha for rank in range(1, starts[-1])]
    expected = [math.fsum(each[a - 1 : b - 1]) for a, b in itertools.pairwise(starts)]
    np.testing.assert_allclose(block_weights(starts, alpha), expected, rtol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 64, 129, 4096, 4097, 2**28, 2**34, 2**43])
def test_blocks_cover_all_ranks_and_are_few(n: int) -> None:
    starts = block_starts(n)
    assert (starts[0], starts[-1]) == (1, n + 1)
    assert all(0 < b - a <= max(1, a // 64) for a, b in itertools.pairwise(starts))
    assert len(starts) < 2000


@pytest.mark.parametrize("alpha", [0.0, 0.6, 0.9, 1.0, 1.5, 40.0, 1000.0])
@pytest.mark.parametrize("n", [1, 2, 3, 1000, 1_000_003])
def test_alias_table_and_acceptance_give_exactly_zipf(alpha: float, n: int) -> None:
    """What the tables say of each block, added up, is the sum of its weights."""
    ranks = ZipfRanks.of(n, alpha, 0)
    coins = 2.0**ranks.coin_bits
    own = ranks.shares / coins
    share = np.stack([own, 1 - own], axis=1).ravel() / len(own)
    seen: dict[int, float] = dict.fromkeys(block_starts(n), 0.0)
    for first, part in zip(ranks.first.tolist(), share.tolist(), strict=True):
        seen[first] += part
    starts = block_starts(n)
    weights = [
        math.fsum(rank**-alpha for rank in range(a, b)) if alpha < 40 or a < 200 else 0.0
        for a, b in itertools.pairwise(starts)
    ]
    total = math.fsum(weights)
    for first, weight in zip(starts, weights, strict=False):
        assert seen[first] == pytest.approx(weight / total, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 0.9, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("n", [2, 1000, 1_000_003])
def test_zipf_frequencies(alpha: float, n: int) -> None:
    """Chi-square over the top ranks and, beyond, over bins that cut across the blocks."""
    count = 400_000
    ranks = ZipfRanks.of(n, alpha, key_of(7, alpha, n))
    seen = np.bincount(ranks.draw(11, count).astype(np.int64), minlength=n)
    p = np.arange(1, n + 1, dtype=np.float64) ** -alpha
    expected = p / p.sum() * count
    edges, edge = [0], 0.0
    for rank, more in enumerate(expected.tolist()):
        edge += more
        if edge >= 200:
            edges.append(rank + 1)
            edge = 0.0
    edges[-1] = n
    assert len(edges) > 2
    bins = np.array(edges[:-1])
    found, wanted = np.add.reduceat(seen, bins), np.add.reduceat(expected, bins)
    assert len(seen) == n
    assert abs(surprise(found, wanted)) < 5.5


def test_zipf_inside_a_long_block() -> None:
    """Acceptance bends the uniform draw inside a block: seen only with a steep exponent."""
    ranks = ZipfRanks.of(2**20, 8.0, 3)
    drawn = ZipfRanks.draw(ranks, 0, 1 << 15)
    assert np.mean(drawn == 0) == pytest.approx(0.99593, abs=0.002)
    entries = np.flatnonzero(ranks.length > 1000)[:1]
    first, length = int(ranks.first[entries[0]]), int(ranks.length[entries[0]])
    # Force every draw into that block, as a table of this block alone would.
    ranks.shares[:], ranks.first[:], ranks.length[:] = 0, first, length
    inside = (ranks.draw(0, 1 << 18) + np.uint64(1)).astype(np.float64)
    x = np.arange(first, first + length, dtype=np.float64)
    mean, square = (np.average(x**k, weights=(x / first) ** -8.0) for k in (1, 2))
    sigma = math.sqrt((square - mean**2) / len(inside))
    assert abs(inside.mean() - mean) < 5 * sigma
    assert abs(x.mean() - mean) > 10 * sigma  # plain uniform would be caught


def test_zipf_pages_and_blocks() -> None:
    params = Params(region_bytes=4096 * 100_003)
    trace = draw("zipf", params, n_events=300_000, n_pages=1000, alpha=0.5)
    assert len(np.unique(trace.pfns)) == 1000
    assert np.ptp(trace.pfns.astype(np.int64)) > 90_000
    trace = draw("zipf", params, n_events=300_000, n_pages=1000, alpha=0.5, scatter_pages=256)
    assert len(np.unique(trace.pfns)) == 1000
    assert len(np.unique(trace.pfns // 256)) == 4
    whole = draw("zipf", params, n_events=1_500_000, alpha=0.0, scatter_pages=2**12)
    assert len(np.unique(whole.pfns)) == 100_003


def test_zipf_top_page_of_a_huge_region() -> None:
    """2**34 pages: the hottest page is as hot as the harmonic sum says."""
    trace = draw("zipf", Params(region_bytes="64TiB"), n_events=1_000_000, alpha=1.0)
    harmonic = math.log(2**34) + 0.5772156649015329
    top = Counter(trace.pfns.tolist()).most_common(1)[0][1]
    expected = len(trace) / harmonic
    assert abs(top - expected) < 5 * math.sqrt(expected)


# Other lookups


def test_uniform() -> None:
    params = Params(region_bytes=4096 * 997)
    seen = np.bincount(draw("uniform", params).pfns, minlength=997)
    assert abs(surprise(seen, np.full(997, 1_000_000 / 997))) < 5


def runs_of(pages: np.ndarray) -> np.ndarray:
    """Return the lengths of the runs of successive pages but for the last, which is cut."""
    return np.diff(np.flatnonzero(np.concatenate([[True], np.diff(pages) != 1])))


@pytest.mark.parametrize(("single", "longest"), [(0.5, 512), (0.0, 7), (1.0, 64)])
def test_sequential_runs(single: float, longest: int) -> None:
    trace = draw("sequential", n_events=500_000, single_share=single, max_run_pages=longest)
    lengths = runs_of(trace.pfns.astype(np.int64))
    assert lengths.max() <= longest
    p = np.full(longest, (1 - single) / longest)
    p[0] += single
    seen = np.bincount(lengths, minlength=longest + 1)[1:]
    if single == 1.0:
        assert seen.tolist() == [len(lengths)] + [0] * (longest - 1)
    else:
        assert abs(surprise(seen, p * len(lengths))) < 5


def test_sequential_in_a_region_of_one_run() -> None:
    trace = draw(
        "sequential",
        Params(region_bytes="64KiB"),
        n_events=1600,
        single_share=0.0,
        max_run_pages=16,
    )
    assert trace.pfns.max() == 15


@pytest.mark.parametrize("drift", [0, "3MiB"])
def test_hotspot_share_and_moves(drift: int | str) -> None:
    fields: dict[str, Any] = {
        "hot_bytes": "4MiB",
        "hot_share": 0.8,
        "period_events": 30_011,
        "drift_bytes": drift,
    }
    trace = draw("hotspot", n_events=300_110, **fields)
    pages = trace.pfns.astype(np.int64)
    windows = []
    for period in pages.reshape(10, 30_011):
        # 1 TiB is 2**18 windows long: at most a few cold accesses fall near the window.
        near = np.sort(period[np.abs(period - mode_of(period)) < 2048])
        low = int(near[3])
        assert near[-4] - low < 1024
        assert abs(len(near) - 0.8 * 30_011) < 5 * math.sqrt(0.16 * 30_011)
        inside = near[(near >= low) & (near < low + 1024)]
        cells = np.bincount((inside - low) // 64, minlength=16)
        assert surprise(cells, np.full(16, len(inside) / 16)) < 6
        windows.append(low)
    steps = np.diff(windows)
    if drift:
        assert np.abs(steps - 768).max() <= 2
    else:
        assert np.abs(steps).min() > 10_000


def mode_of(pages: np.ndarray) -> int:
    """Return the middle of the most visited 4 MiB."""
    values, counts = np.unique(pages // 1024, return_counts=True)
    return int(values[np.argmax(counts)]) * 1024 + 512


def test_hotspot_drift_stays_in_the_region() -> None:
    params = Params(region_bytes="5MiB")
    trace = draw("hotspot", params, hot_bytes="4MiB", period_events=10, drift_bytes="1GiB")
    assert trace.pfns.max() == 1279


# Requests


def settled(trace: Trace) -> list[int]:
    """Play GETs and PUTs by hand; return the pins live after each event."""
    pins: Counter[int] = Counter()
    live, history = 0, []
    for pfn, op in zip(trace.pfns.tolist(), columns(trace)[1].tolist(), strict=True):
        if op == GET:
            pins[pfn] += 1
            live += 1
        elif op == PUT:
            assert pins[pfn] > 0, "a PUT without its GET"
            pins[pfn] -= 1
            live -= 1
        history.append(live)
    return history


@pytest.mark.parametrize("depth", [0, 1, 3, 32])
@pytest.mark.parametrize("n_calls", [1, 50, 3000])
def test_play_is_from_requests(depth: int, n_calls: int) -> None:
    """Endless calls, cut, are what `Trace.from_requests` makes of the same requests."""
    rng = np.random.default_rng(depth)
    first, n_pages = rng.integers(0, 10**6, 60_000), rng.integers(1, 9, 60_000)
    pinned, soft = rng.random(60_000) < 0.7, rng.random(60_000) < 0.5
    submit = np.where(pinned, GET, LOOKUP) + np.where(soft, ATOMIC, 0)
    complete = np.where(pinned, PUT, LOOKUP) + ATOMIC

    def calls(start: int, count: int) -> Calls:
        part = slice(start, start + count)
        assert start + count <= 60_000
        return Calls(
            first[part],
            n_pages[part],
            submit[part].astype(np.uint8),
            complete[part].astype(np.uint8),
        )

    whole = Trace.from_requests(
        first[:n_calls] * 4096,
        n_pages[:n_calls] * 4096,
        depth,
        pinned=pinned[:n_calls],
        submit_atomic=soft[:n_calls],
    )
    # Only the last `depth` completions differ: an endless sequence submits more before them.
    n = len(whole) - int(n_pages[max(0, n_calls - depth) : n_calls].sum())
    pieces, done = [], 0
    stream = play(calls, depth, 4.5)
    while done < n:
        pieces.append(next(stream))
        done += len(pieces[-1].pages)
    for column, expected in zip(("pages", "ops", "atomic"), columns(whole), strict=True):
        joined = np.concatenate([getattr(piece, column) for piece in pieces] or [np.empty(0)])
        assert np.array_equal(joined[:n], expected[:n])


@pytest.mark.parametrize("depth", [0, 1, 32])
def test_block_io_protocol(depth: int) -> None:
    trace = draw("block_io", n_events=200_000, io_depth=depth, max_request_pages=16)
    _, ops, atomic = columns(trace)
    assert set(ops.tolist()) == {GET, PUT}
    assert np.array_equal(atomic, ops == PUT)
    history = settled(trace)
    # Between a submission and the completion that follows it one more request is open.
    assert max(history) <= (depth + 1) * 16
    assert max(history) > (depth + 1) * 16 * 0.5
    assert min(history[50_000:]) >= depth


def submissions(trace: Trace, op: int = GET) -> list[tuple[int, int]]:
    """Return first page and pages of each request, from a trace of depth 0."""
    pfns, ops, _ = columns(trace)
    cuts = np.flatnonzero(np.diff((ops == op).astype(np.int8)) != 0) + 1
    bounds = [0, *cuts.tolist(), len(pfns)]
    pairs = itertools.pairwise(bounds)
    whole = [(int(pfns[a]), b - a) for a, b in pairs if ops[a] == op and b < len(pfns)]
    return whole


def test_block_io_requests() -> None:
    trace = draw("block_io", n_events=400_000, io_depth=0, max_request_pages=16, alpha=0.0)
    found = submissions(trace)
    lengths = np.bincount([n for _, n in found], minlength=17)[1:]
    assert abs(surprise(lengths, np.full(16, len(found) / 16))) < 5
    follows = sum(b == a + n for (a, n), (b, _) in itertools.pairwise(found))
    assert abs(follows - 0.3 * len(found)) < 5 * math.sqrt(0.21 * len(found))


def test_block_io_sequences_do_not_break() -> None:
    """Nor where one piece of requests ends and the next begins."""
    trace = draw("block_io", n_events=500_000, io_depth=0, sequential_share=1.0)
    pfns, ops, _ = columns(trace)
    assert pfns[ops == GET].tolist() == list(range(int((ops == GET).sum())))


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(1, 9), st.booleans()), min_size=1))
@settings(deadline=None)
def test_chained(requests: list[tuple[int, int, bool]]) -> None:
    at, expected = 1000, []
    for first, n_pages, follows in requests:
        expected.append(at if follows else first)
        at = expected[-1] + n_pages
    starts, lengths, chains = (np.array(column) for column in zip(*requests, strict=True))
    assert chained(starts, lengths, chains, 1000).tolist() == expected


def test_block_io_all_sequential_goes_round() -> None:
    params = Params(region_bytes=4096 * 1001)
    trace = draw("block_io", params, n_events=400_000, sequential_share=1.0, max_request_pages=8)
    assert len(np.unique(trace.pfns)) == 1001


def test_gup_fast_contexts() -> None:
    trace = draw("gup_fast", n_events=400_000, max_run_pages=8, hold_calls=5)
    _, ops, atomic = columns(trace)
    assert set(ops.tolist()) == {GET, PUT}
    assert atomic[ops == GET].all()
    assert 0.45 < atomic[ops == PUT].mean() < 0.55
    assert max(settled(trace)) <= 6 * 8
    never, always = (draw("gup_fast", n_events=9999, atomic_put_share=x) for x in (0, 1))
    assert np.array_equal(columns(never)[2], columns(never)[1] == GET)
    assert columns(always)[2].all()


def test_softirq_contexts() -> None:
    trace = draw("softirq", n_events=400_000, max_request_pages=8, io_depth=4)
    _, ops, atomic = columns(trace)
    assert atomic[ops != LOOKUP].all()
    looks = ops == LOOKUP
    assert 0.22 < looks.mean() < 0.28
    assert abs(atomic[looks].mean() - 0.5) < 0.01
    settled(trace)
    # Each atomic lookup repeats a sleepable one.
    first = Counter(trace.pfns[looks & ~atomic].tolist())
    first.subtract(trace.pfns[looks & atomic].tolist())
    assert min(first.values()) >= 0
    assert sum(first.values()) <= 5 * 8
    assert columns(draw("softirq", n_events=9999, unpinned_share=1.0))[1].max() == LOOKUP


# Tensors


def test_gpu_layers_are_contiguous_and_streamed_in_order() -> None:
    fields: dict[str, Any] = {
        "n_layers": 5,
        "layer_bytes": "10MiB",
        "touch_bytes": "64KiB",
        "hot_every": 7,
    }
    params = Params(region_bytes="1GiB")
    trace = draw(
        "gpu_tensors", params, n_events=40_000, pinned_share=0.4, hot_bytes="64KiB", **fields
    )
    pages, ops, atomic = columns(trace)
    assert not atomic.any()
    hot = pages < 16
    assert not hot[ops != LOOKUP].any()
    # A use is 160 touches, and a hot one after every 7.
    assert abs(hot[ops == LOOKUP].mean() - 22 / 182) < 0.001
    assert set(pages[hot].tolist()) == set(range(16))
    layer = (pages - 16) // 2560
    uses = np.flatnonzero(np.diff(layer[~hot], prepend=-1))
    seen = layer[~hot][uses].tolist()
    order = list(dict.fromkeys(seen))
    # Two uses in a row of the last or the first layer show as one.
    assert len(order) == 5
    there_and_back = [*order, *order[-2::-1]]
    assert seen[:9] == there_and_back
    pinned = set()
    for which in order:
        mine = (layer == which) & ~hot
        touches = pages[mine & (ops == LOOKUP)][:160]
        assert touches.tolist() == list(range(16 + 2560 * which, 16 + 2560 * (which + 1), 16))
        if (ops[mine] == GET).any():
            pinned.add(which)
            kinds = [[op] * 160 for op in (GET, LOOKUP, PUT)]
            assert ops[mine][:480].tolist() == functools.reduce(operator.iadd, kinds, [])
            assert pages[mine][:160].tolist() == touches.tolist()
            assert pages[mine][320:480].tolist() == touches.tolist()
    assert len(pinned) == 2
    assert max(settled(trace)) == 160


def test_gpu_layers_longer_than_a_piece() -> None:
    params = Params(region_bytes="80GB")
    trace = draw(
        "gpu_tensors",
        params,
        n_events=300_000,
        n_layers=1,
        layer_bytes="400MiB",
        touch_bytes="4KiB",
        pinned_share=1.0,
        hot_every=0,
    )
    assert np.bincount(columns(trace)[1]).tolist() == [300_000 - 197_600, 102_400 + 0, 95_200]


# Files


def test_churn_pins_files_for_life() -> None:
    """Read the trace back: GET runs are creations, PUT runs deletions of exactly one live file."""
    params = Params(region_bytes=4096 * 2 * 20 * 64)
    trace = draw(
        "churn", params, n_events=150_000, live_files=20, max_file_pages=64, lookups_per_file=30
    )
    pages, ops, atomic = columns(trace)
    assert not atomic.any()
    cuts = np.flatnonzero((np.diff(ops) != 0) | ((np.diff(pages) != 1) & (ops[1:] != LOOKUP))) + 1
    bounds = [0, *cuts.tolist(), len(pages)]
    live: dict[int, int] = {}
    owned: set[int] = set()
    sizes, most = [], 0
    for a, b in itertools.pairwise(bounds[:-1]):
        mine = set(range(int(pages[a]), int(pages[a]) + b - a))
        if ops[a] == GET:
            assert not mine & owned, "two live files overlap"
            owned |= mine
            live[int(pages[a])] = b - a
            sizes.append(b - a)
        elif ops[a] == PUT:
            assert live.pop(int(pages[a])) == b - a
            owned -= mine
        else:
            assert b - a == 30
            assert set(pages[a:b].tolist()) <= owned
        most = max(most, len(live))
    assert most == 20
    assert len(sizes) > 1000
    weights = 1 / np.arange(1, 65)
    expected = weights / weights.sum() * len(sizes)
    assert abs(surprise(np.bincount(sizes, minlength=65)[1:], expected)) < 5


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=50)
def test_next_fit_never_overlaps(seed: int) -> None:
    """Against a bitmap, at the fullest that `Churn.pages_needed` allows."""
    rng = np.random.default_rng(seed)
    files, longest = int(rng.integers(1, 12)), int(rng.integers(1, 20))
    n_pages = 2 * files * longest
    space, used = NextFit.of(n_pages), np.zeros(n_pages, bool)
    live: list[tuple[int, int]] = []
    for _ in range(200):
        if len(live) == files:
            start, size = live.pop(int(rng.integers(len(live))))
            space.release(start, size)
            used[start : start + size] = False
        size = int(rng.integers(1, longest + 1))
        start = space.take(size)
        assert start + size <= n_pages
        assert not used[start : start + size].any()
        used[start : start + size] = True
        live.append((start, size))
        edges = np.flatnonzero(np.diff(np.concatenate([[True], used, [True]]).astype(np.int8)))
        assert space.starts == edges[::2].tolist()
        assert space.sizes == (edges[1::2] - edges[::2]).tolist()


def test_next_fit_goes_on_from_where_it_ended() -> None:
    space = NextFit.of(100)
    assert [space.take(10) for _ in range(3)] == [0, 10, 20]
    space.release(0, 10)
    assert space.take(10) == 30
    space.release(30, 10)
    assert space.take(5) == 30
    assert space.take(65) == 35
    assert space.take(10) == 0
    space = NextFit.of(100)
    assert [space.take(size) for size in (5, 5, 10, 10)] == [0, 5, 10, 20]
    for start, size in ((0, 5), (10, 10), (20, 10)):
        space.release(start, size)
    assert space.take(5) == 10


# Refusals

BAD = [
    ("zipf", "n_events", -1),
    ("zipf", "n_events", 2**33 + 1),
    ("zipf", "n_events", 1.5),
    ("zipf", "n_events", None),
    ("zipf", "n_events", True),
    ("zipf", "seed", -1),
    ("zipf", "seed", 2**63),
    ("zipf", "alpha", -0.1),
    ("zipf", "alpha", math.nan),
    ("zipf", "alpha", math.inf),
    ("zipf", "alpha", "0.9"),
    ("zipf", "alpha", None),
    ("zipf", "alpha", 10**400),
    ("zipf", "n_pages", 0),
    ("zipf", "scatter_pages", 3),
    ("zipf", "scatter_pages", 0),
    ("sequential", "single_share", 1.1),
    ("sequential", "max_run_pages", 0),
    ("hotspot", "hot_bytes", 0),
    ("hotspot", "hot_bytes", "1 furlong"),
    ("hotspot", "hot_share", -0.01),
    ("hotspot", "period_events", 0),
    ("hotspot", "drift_bytes", "-1MiB"),
    ("block_io", "max_request_pages", 0),
    ("block_io", "io_depth", -1),
    ("block_io", "sequential_share", math.nan),
    ("block_io", "alpha", 1001),
    ("gpu_tensors", "n_layers", 0),
    ("gpu_tensors", "layer_bytes", 0),
    ("gpu_tensors", "touch_bytes", 0),
    ("gpu_tensors", "pinned_share", 2),
    ("gpu_tensors", "hot_every", -1),
    ("churn", "live_files", 0),
    ("churn", "max_file_pages", 0),
    ("churn", "lookups_per_file", -1),
    ("gup_fast", "max_run_pages", 0),
    ("gup_fast", "hold_calls", -1),
    ("gup_fast", "atomic_put_share", math.inf),
    ("softirq", "unpinned_share", 1.5),
    ("softirq", "io_depth", 2**20 + 1),
]


@pytest.mark.parametrize(("name", "field", "value"), BAD)
def test_bad_values_are_refused_by_name(name: str, field: str, value: object) -> None:
    with pytest.raises(ParameterError) as caught:
        workload(name, **{field: value})
    assert caught.value.field == field
    assert caught.value.value is value
    assert "must" in caught.value.requirement


def test_unknown_names_are_refused_with_their_neighbours() -> None:
    with pytest.raises(ParameterError, match=r"workload='zipff'.*'zipf'"):
        workload("zipff")
    with pytest.raises(ParameterError, match=r"alhpa=1.*zipf.*'alpha'"):
        workload("zipf", alhpa=1)
    with pytest.raises(ParameterError, match=r"alhpa=1.*'alpha'"):
        workload("zipf").replace(alhpa=1)


SMALL = [
    ("zipf", {"n_pages": 17}, 17),
    ("sequential", {"max_run_pages": 17}, 17),
    ("hotspot", {"hot_bytes": 16 * 4096 + 1}, 17),
    ("block_io", {"max_request_pages": 17}, 17),
    ("gpu_tensors", {"n_layers": 4, "layer_bytes": "16KiB", "hot_bytes": 1}, 17),
    ("churn", {"live_files": 3, "max_file_pages": 3}, 18),
    ("gup_fast", {"max_run_pages": 17}, 17),
    ("softirq", {"max_request_pages": 17}, 17),
]


@pytest.mark.parametrize(("name", "fields", "needed"), SMALL)
def test_small_regions_are_refused_before_anything_is_allocated(
    name: str, fields: dict[str, Any], needed: int
) -> None:
    with pytest.raises(ParameterError, match="region_bytes") as caught:
        draw(name, Params(region_bytes=4096 * (needed - 1)), n_events=2**33, **fields)
    assert f"{needed * 4}KiB for {name}" in caught.value.requirement
    fits = Params(region_bytes=4096 * needed)
    assert draw(name, fits, n_events=5000, **fields).pfns.max() < needed


def test_one_page_will_do() -> None:
    for name in ("uniform", "zipf"):
        assert draw(name, Params(region_bytes=4096), n_events=10).pfns.tolist() == [0] * 10


def test_sizes_take_units_and_variants_are_checked() -> None:
    spec = workload("hotspot", hot_bytes="64MiB")
    assert spec.hot_bytes == 64 << 20  # type: ignore[attr-defined]
    assert spec.replace(hot_bytes="1GiB") == workload("hotspot")
    with pytest.raises(ParameterError, match="hot_share"):
        spec.replace(hot_share=3)
    with pytest.raises(AttributeError):
        spec.hot_bytes = 1  # type: ignore[attr-defined]
