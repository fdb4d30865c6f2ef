"""The twin against the reference: the kernel faults, keeps and unmaps what DESIGN 5 says."""

import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import pfnlab
from pfnlab.host import limits, shared_faults, twin
from pfnlab.host.limits import peak_locks, unmaps_by_vector, why_no_twin
from pfnlab.host.reserved_range import libc_of, reserved, resident_granules
from pfnlab.host.twin import Twin, run_twin
from tests.engine.test_replay import Case, cases, crowded, expected, traced

pytestmark = pytest.mark.skipif(why_no_twin() is not None, reason=str(why_no_twin()))

KIB, MIB = 1 << 10, 1 << 20
N_CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
EVICT = ["madvise", *(["process_madvise"] if unmaps_by_vector() else [])]
HUGE = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def lra(case: Case) -> Case:
    """The case with the one order that a twin knows, in a region that is quick to look through."""
    params, events = case
    return params.replace(policy="lra"), events


def agrees(found: Twin) -> None:
    assert found.mismatches() == {}
    assert found.minor_faults == found.expected_minor_faults
    assert found.resident_bytes == found.result.resident_bytes
    assert np.array_equal(found.resident_granules, found.predicted_granules)


# --- Exact agreement ---------------------------------------------------------------------------


@pytest.mark.parametrize("evict_by", EVICT)
@given(cases().map(lra) | crowded().map(lra))
def test_every_counter_is_the_references(evict_by: Any, case: Case) -> None:
    params, events = case
    found = run_twin(traced(events), params, evict_by=evict_by)
    assert found.result.counts() == expected(params, events)
    agrees(found)


@pytest.mark.kernel
@settings(max_examples=15)
@given(crowded().map(lra))
def test_the_interpreted_loop_does_the_same(case: Case) -> None:
    """The interpreter has faults of its own, so only what the kernel keeps is compared."""
    params, events = case
    found = run_twin(traced(events), params, compiled=False)
    assert found.result.counts() == expected(params, events)
    assert found.resident_bytes == found.result.resident_bytes
    assert found.minor_faults >= found.expected_minor_faults


SETTINGS: list[dict[str, Any]] = [
    {"chunk_bytes": "4KiB"},
    {"chunk_bytes": "64KiB", "batch_chunks": 8},
    {"chunk_bytes": "2MiB"},
    {"granule_bytes": "16KiB", "chunk_bytes": "256KiB"},
    {"granule_bytes": "256KiB", "chunk_bytes": "1MiB", "batch_chunks": 2},
    {"granule_bytes": "2MiB", "chunk_bytes": "4MiB"},
]


@pytest.mark.parametrize("name", ["pgbench", "sqlite", "pagecache"])
@pytest.mark.parametrize("sizes", SETTINGS, ids=lambda sizes: "-".join(map(str, sizes.values())))
@pytest.mark.parametrize("evict_by", EVICT)
def test_real_traces(name: str, sizes: dict[str, Any], evict_by: Any, root: Path) -> None:
    whole = pfnlab.load(root / f"data/traces/{name}.parquet", stream=False)
    n = 3000
    trace = pfnlab.Trace(whole.pfns[:n], whole.ops[:n] if whole.ops is not None else None,
                         whole.atomic[:n] if whole.atomic is not None else None)  # fmt: skip
    params = pfnlab.Params(threshold_bytes="8MiB", reserve_granules=4, **sizes)
    found = run_twin(trace, params, evict_by=evict_by)
    agrees(found)
    assert found.result.faults > 10


@pytest.mark.parametrize("family", ["zipf", "sequential", "gup_fast", "softirq", "hotspot"])
def test_workloads(family: str) -> None:
    params = pfnlab.Params(
        region_bytes="64GiB", chunk_bytes="16KiB", threshold_bytes="256KiB", reserve_granules=2
    )
    found = run_twin(pfnlab.workload(family, n_events=20_000).trace(params), params)
    agrees(found)
    assert found.result.faults > 0


def test_a_vmemmap_of_a_tebibyte_can_be_reserved() -> None:
    params = pfnlab.Params(region_bytes="64TiB", chunk_bytes="64KiB", threshold_bytes="1MiB")
    found = run_twin(pfnlab.workload("uniform", n_events=2000).trace(params), params)
    agrees(found)
    assert found.result.faults == 2000


@pytest.mark.skipif(N_CPUS < 2, reason="needs a second CPU")
def test_threads_on_other_cpus_change_no_count() -> None:
    params = pfnlab.Params(region_bytes="64GiB", chunk_bytes="4KiB", threshold_bytes="256KiB")
    trace = pfnlab.workload("zipf", n_events=5000).trace(params)
    affinity = os.sched_getaffinity(0)
    run_twin(trace, params)  # whoever counts progress has a thread of its own
    threads = threading.active_count()
    found = run_twin(trace, params, neighbours=1)
    agrees(found)
    assert os.sched_getaffinity(0) == affinity
    assert threading.active_count() == threads


@pytest.mark.skipif(
    not HUGE.exists() or "[never]" in HUGE.read_text(), reason="needs transparent huge pages"
)
def test_a_huge_page_is_one_fault() -> None:
    params = pfnlab.Params(granule_bytes="2MiB", chunk_bytes="2MiB", threshold_bytes="8MiB")
    trace = pfnlab.Trace(np.tile(np.arange(0, 10 * 32768, 32768), 3))
    found = run_twin(trace, params, pages="huge")
    agrees(found)
    if not found.small_pages:
        assert found.minor_faults == found.result.faults == 30


def test_small_pages_in_place_of_a_huge_one_are_noticed() -> None:
    libc, disable_thp = libc_of(), 41
    if libc.prctl(disable_thp, 1, 0, 0, 0) != 0:
        pytest.skip("this process can't do without huge pages")
    try:
        params = pfnlab.Params(granule_bytes="2MiB", chunk_bytes="2MiB", threshold_bytes="8MiB")
        found = run_twin(pfnlab.Trace(np.arange(0, 10 * 32768, 32768)), params, pages="huge")
    finally:
        libc.prctl(disable_thp, 0, 0, 0, 0)
    agrees(found)
    assert found.small_pages == found.result.faults == 10
    assert found.minor_faults == 10 * 512


def test_a_pass_is_one_call_where_the_kernel_takes_vectors() -> None:
    if not unmaps_by_vector():
        pytest.skip("this kernel does not")
    params = pfnlab.Params(
        region_bytes="64GiB", chunk_bytes="4KiB", threshold_bytes="256KiB", batch_chunks=16
    )
    trace = pfnlab.workload("uniform", n_events=2000).trace(params)
    found = run_twin(trace, params, evict_by="process_madvise")
    agrees(found)
    assert found.evict_calls == found.result.shootdowns
    assert found.evict_calls < run_twin(trace, params).evict_calls == found.result.evicted_chunks


def test_a_lie_of_the_simulator_is_seen() -> None:
    params = pfnlab.Params(region_bytes="1GiB", chunk_bytes="4KiB", threshold_bytes="16KiB")
    found = run_twin(pfnlab.workload("uniform", n_events=100).trace(params), params)
    object.__setattr__(found, "minor_faults", found.minor_faults + 1)
    object.__setattr__(found, "resident_granules", found.resident_granules + 1)
    assert set(found.mismatches()) == {"minor_faults", "resident_granules"}


# --- Nothing is left behind --------------------------------------------------------------------


def status() -> tuple[str, int, int]:
    text = Path("/proc/self/status").read_text()
    locked = text.partition("VmLck:")[2].split()[0]
    maps = [line for line in Path("/proc/self/maps").read_text().splitlines() if "/" not in line]
    return locked, threading.active_count(), len(maps)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_behind_after_an_error(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    params = pfnlab.Params(region_bytes="64GiB", chunk_bytes="64KiB", threshold_bytes="1MiB")
    trace = pfnlab.workload("block_io", n_events=30_000).trace(params)
    neighbours = min(N_CPUS - 1, 1)
    run_twin(trace, params, neighbours=neighbours)  # their stacks and heaps stay mapped
    before = status()
    calls: list[int] = []

    def stop(tables: Any, full: bool) -> None:
        calls.append(1)
        if len(calls) == 2:  # pins are live
            raise error

    monkeypatch.setattr(twin, "_refuse", stop)
    with pytest.raises(error):
        run_twin(trace, params, neighbours=neighbours)
    assert len(calls) == 2
    locked, threads, maps = status()
    assert (locked, threads) == before[:2]
    assert abs(maps - before[2]) < 4  # the allocator's own


@pytest.mark.slow
def test_ctrl_c_stops_it() -> None:
    code = (
        "import pfnlab, sys\n"
        "from pfnlab.host.twin import run_twin\n"
        "params = pfnlab.Params(chunk_bytes='4KiB', threshold_bytes='1MiB')\n"
        "trace = pfnlab.workload('uniform', n_events=40_000_000).trace(params)\n"
        "run_twin(pfnlab.Trace(trace.pfns[:1000]), params)\n"  # compiles
        "print('ready', flush=True)\n"
        "run_twin(trace, params)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as started:  # fmt: skip
        assert started.stdout is not None
        assert started.stdout.readline() == b"ready\n"
        threading.Event().wait(1.0)
        started.send_signal(signal.SIGINT)
        _, errors = started.communicate(timeout=60)
    assert started.returncode != 0
    assert b"KeyboardInterrupt" in errors


# --- Where it stops being exact, and why ---------------------------------------------------------


def faults_of(touch: Any) -> int:
    """Minor faults of this thread while `touch` runs; its own first run is not counted."""
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    touch()
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before


N_PAGES = 512
WORDS = slice(0, N_PAGES * 512, 512)  # one word of each page


def test_modelled_a_touch_that_writes_is_one_fault_a_page() -> None:
    with reserved(N_PAGES * 4096, huge=False) as words:
        assert faults_of(lambda: words.__setitem__(WORDS, 1)) in range(N_PAGES, N_PAGES + 4)
        assert len(resident_granules(words, 4096)) == N_PAGES


def test_modelled_a_touch_that_reads_first_is_two() -> None:
    """The zero page first, then a copy on write."""
    with reserved(N_PAGES * 4096, huge=False) as words:
        some = np.zeros(N_PAGES, np.int64)
        some += words[WORDS]
        reads = faults_of(lambda: np.add(some, 0, out=some))
        del reads
        assert faults_of(lambda: words.__setitem__(WORDS, 1)) in range(N_PAGES, N_PAGES + 4)
    with reserved(N_PAGES * 4096, huge=False) as words:
        both = faults_of(lambda: (some.__iadd__(words[WORDS]), words.__setitem__(WORDS, 1)))
        assert both in range(2 * N_PAGES, 2 * N_PAGES + 8)


@pytest.mark.skipif(
    not HUGE.exists() or "[never]" in HUGE.read_text(), reason="needs transparent huge pages"
)
def test_modelled_huge_pages_left_on_are_far_fewer_faults() -> None:
    with reserved(16 * 2 * MIB, huge=True) as words:
        every = slice(0, len(words), 512)
        n_faults = faults_of(lambda: words.__setitem__(every, 1))
        if n_faults > 1000:
            pytest.skip("the kernel had no huge pages to give")
        assert n_faults in range(16, 20)  # and not 8192


def test_modelled_a_granule_is_as_many_faults_as_pages() -> None:
    """A marker in every page: also where the first touch is not of the granule's first page."""
    params = pfnlab.Params(granule_bytes="64KiB", chunk_bytes="64KiB", threshold_bytes="1MiB")
    first = run_twin(pfnlab.Trace(np.arange(0, 20) * 1024), params)
    later = run_twin(pfnlab.Trace(np.arange(0, 20) * 1024 + 1023), params)
    assert first.minor_faults == later.minor_faults == 20 * 16


def test_modelled_faults_of_other_threads_are_in_no_threads_count() -> None:
    """RUSAGE_SELF counts those of all threads."""
    everyone = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    with reserved(N_PAGES * 4096, huge=False) as words:
        other = threading.Thread(target=lambda: words.__setitem__(WORDS, 1))

        def have_it_done() -> None:
            other.start()
            other.join()

        mine = faults_of(have_it_done)
    assert mine < N_PAGES / 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - everyone >= N_PAGES


def test_modelled_a_locked_page_stops_a_range_half_way() -> None:
    """Which is why a pin locks its whole chunk: then nothing of it goes."""
    libc = libc_of()
    with reserved(4 * 4096, huge=False) as words:
        words[0 : 4 * 512 : 512] = 1
        address = words.ctypes.data
        assert libc.mlock(address + 2 * 4096, 4096) == 0
        assert libc.madvise(address, 4 * 4096, 4) != 0
        assert resident_granules(words, 4096).tolist() == [2, 3]


@pytest.mark.skipif(N_CPUS < 2, reason="needs a second CPU")
def test_modelled_two_threads_in_lockstep_take_more_faults_than_pages_come() -> None:
    """Both fault, one loses: a fault taken is not a page populated."""
    alone, together = shared_faults.measure_shared_faults(2000)
    assert (alone.n_pages, alone.n_faults) == (2000, 2000)
    assert together.n_pages == 2000
    assert 2000 <= together.n_faults <= 4000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_pages": 0}, "n_pages=0: must be between 1 and"),
        ({"n_threads": 1}, "n_threads=1: must be 2 or more"),
        ({"n_threads": 10_000}, "n_threads=10000: must be 2 or more, and a CPU each"),
    ],
)
def test_a_measurement_that_cannot_be_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(pfnlab.ParameterError, match=message):
        shared_faults.measure_shared_faults(**arguments)


def test_refused_faults_that_user_space_answers() -> None:
    """userfaultfd's SIGBUS mode is counted nowhere, so there is no such twin."""
    with pytest.raises(pfnlab.ParameterError, match="pages='userfaultfd': must be"):
        run_twin(pfnlab.Trace(np.arange(3)), pfnlab.Params(), pages="userfaultfd")  # type: ignore[arg-type]


# --- Refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"policy": "lru"}, {}, "policy='lru': must be lra"),
        ({"descriptor_bytes": 16}, {}, "descriptor_bytes=16: must be at least 32"),
        ({}, {"pages": "huge"}, "granule_bytes='4 KiB': must be 2 MiB with pages='huge'"),
        ({}, {"pages": "big"}, "pages='big': must be 'small' or 'huge'"),
        ({}, {"evict_by": "munmap"}, "evict_by='munmap': must be"),
        ({}, {"neighbours": -1}, "neighbours=-1: must be a number of threads"),
        ({}, {"neighbours": 10_000}, "neighbours=10000: must leave a CPU to the twin"),
    ],
)
def test_what_a_twin_does_not_do(
    changes: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(pfnlab.ParameterError, match=message):
        run_twin(pfnlab.Trace(np.arange(3)), pfnlab.Params(**changes), **options)


def test_refused_without_a_kernel_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "why_no_twin", lambda: "needs Linux")
    with pytest.raises(pfnlab.PfnlabError, match="no twin can run here: needs Linux"):
        run_twin(pfnlab.Trace(np.arange(3)), pfnlab.Params())
    monkeypatch.undo()
    monkeypatch.setattr(limits, "unmaps_by_vector", lambda: False)
    with pytest.raises(pfnlab.ParameterError, match="must let a process unmap its own pages"):
        run_twin(pfnlab.Trace(np.arange(3)), pfnlab.Params(), evict_by="process_madvise")


def pinned(n_chunks: int, apart: int) -> pfnlab.Trace:
    """Pages of so many chunks of 4 KiB, `apart` chunks from one to the next, all pinned."""
    return pfnlab.Trace(np.arange(n_chunks) * 64 * apart, np.ones(n_chunks, np.uint8))


def test_refused_more_locked_memory_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    params = pfnlab.Params(chunk_bytes="4KiB", threshold_bytes="1MiB")
    monkeypatch.setattr(limits, "lockable_bytes", lambda: 99 * 4096)
    with pytest.raises(pfnlab.PfnlabError, match=r"pins lock 100 chunks at once, .*ulimit -l"):
        run_twin(pinned(100, 2), params)
    agrees(run_twin(pinned(99, 2), params))


def test_refused_scattered_locks_that_run_out_of_mappings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adjacent locked chunks are one mapping, scattered ones two each."""
    params = pfnlab.Params(chunk_bytes="4KiB", threshold_bytes="1MiB")
    assert peak_locks(pinned(100, 2), params) == (100, 100)
    assert peak_locks(pinned(100, 1), params) == (100, 1)
    most = limits._n_mappings() + 64 + 100
    monkeypatch.setattr(limits, "_most_mappings", lambda: most)
    with pytest.raises(pfnlab.PfnlabError, match=r"scattered pins cut .*vm.max_map_count"):
        run_twin(pinned(100, 2), params)
    agrees(run_twin(pinned(100, 1), params))


def test_modelled_the_kernel_itself_runs_out_of_mappings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were it not refused before, the kernel would refuse a lock, and that is not overlooked."""
    monkeypatch.setattr(twin, "check_locks", lambda trace, params: None)
    n_chunks = int(Path("/proc/sys/vm/max_map_count").read_text()) // 2 + 100
    if n_chunks > 1 << 18:
        pytest.skip("this machine allows more mappings than a test should make")
    params = pfnlab.Params(chunk_bytes="4KiB", threshold_bytes="1GiB")
    with pytest.raises(pfnlab.PfnlabError, match="the kernel refused to lock a chunk"):
        run_twin(pinned(n_chunks, 2), params)


def test_refused_a_range_beyond_the_address_space() -> None:
    limit = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 33, limit[1]))
    try:
        message = "region_bytes='1TiB': its vmemmap of 16 GiB must fit the address space"
        with pytest.raises(pfnlab.ParameterError, match=message):
            run_twin(pfnlab.Trace(np.arange(3)), pfnlab.Params(region_bytes="1TiB"))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)


def test_refused_more_memory_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pfnlab.params.memory.available_bytes", lambda: 1 << 16)
    trace = pfnlab.Trace(np.arange(0, 6400, 64))
    with pytest.raises(pfnlab.ParameterError, match="must fit in memory"):
        run_twin(trace, pfnlab.Params())
