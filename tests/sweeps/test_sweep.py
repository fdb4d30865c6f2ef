"""Sweeps and costs: the pure grid, rows against single replays, interruption, frames on disk."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import pfnlab
from pfnlab import frames, sweeps
from pfnlab.engine import feeding, many
from pfnlab.engine.result import COUNTERS, DERIVED
from pfnlab.params import PARAMETERS, memory
from pfnlab.params.cost_presets import PRESETS
from pfnlab.sweeps import rows

KIB, MIB = 1 << 10, 1 << 20


def small() -> pfnlab.Trace:
    return pfnlab.workload("block_io", n_events=20_000).trace(pfnlab.Params(region_bytes="1GiB"))


def test_points_are_the_product_in_order() -> None:
    found = sweeps.points(
        pfnlab.Params(), {"chunk_bytes": ["4KiB", "2MiB"], "batch_chunks": [1, 7]}
    )
    assert [(p.params.chunk_bytes, p.params.batch_chunks) for p in found] == [
        (4 * KIB, 1), (4 * KIB, 7), (2 * MIB, 1), (2 * MIB, 7),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"chunk_byte": [1]}, "chunk_byte=[1]: no such axis; did you mean 'chunk_bytes'"),
        ({"chunk_bytes": []}, "chunk_bytes=[]: an axis must be a list of values"),
        ({"batch_chunks": {1, 4}}, "batch_chunks={1, 4}: an axis must be a list of values"),
        ({"batch_chunks": {1: 4}}, "batch_chunks={1: 4}: an axis must be a list of values"),
        ({"batch_chunks": np.array(3)}, "batch_chunks=array(3): an axis must be a list of values"),
        ({"chunk_bytes": "2MiB"}, "chunk_bytes='2MiB': an axis must be a list"),
        ({"chunk_bytes": [3]}, "chunk_bytes=3: must be a power of two"),
        ({"granule_bytes": ["4MiB"]}, "chunk_bytes='2MiB': must be at least granule_bytes"),
        ({"granule_bytes": ["4MiB"], "chunk_bytes": ["2MiB"]}, "chunk_bytes='2MiB'"),
        ({"threshold_fraction": [0]}, "threshold_fraction=0: must be a number above 0"),
        ({"threshold_fraction": [math.nan]}, "threshold_fraction=nan: must be a number above 0"),
        (
            {"threshold_fraction": [0.1], "threshold_bytes": ["2MiB"]},
            "threshold_bytes sets the threshold too",
        ),
    ],
)
def test_bad_grids_are_refused_before_anything_is_replayed(
    axes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "replay_many", None)
    with pytest.raises(pfnlab.ParameterError, match=re.escape(message)):
        pfnlab.sweep(small(), pfnlab.Params(region_bytes="1GiB"), **axes)


@pytest.mark.parametrize("executor", [None, pytest.param(ThreadPoolExecutor, id="factory")])
def test_values_of_an_axis_are_taken_by_place(executor: Any, tmp_path: Path) -> None:
    """A Series, too, whose labels say another order or none."""
    batches: Any = pd.Series([9, 1, 4], index=[2, 1, 0])
    chunks = np.array(["4KiB", "64KiB"])
    trace = pfnlab.Trace(np.arange(3000) % 900 * 64)
    axes: dict[str, Any] = {"chunk_bytes": chunks, "threshold_fraction": pd.Series([0.01], [7])}
    plain: dict[str, Any] = {"batch_chunks": [9, 1, 4], "chunk_bytes": [4096, 65536]}
    plain["threshold_fraction"] = [0.01]
    params = pfnlab.Params(region_bytes="1GiB")
    expected = pfnlab.sweep(trace, params, **plain)
    for store in (None, tmp_path, tmp_path):
        frame = pfnlab.sweep(
            trace, params, executor=executor, store=store, batch_chunks=batches, **axes
        )
        pd.testing.assert_frame_equal(frame, expected)
    pd.testing.assert_frame_equal(pfnlab.sweep(trace, params, store=tmp_path, **plain), expected)


def test_skipping_leaves_out_only_what_cannot_stand_together() -> None:
    sizes = {"granule_bytes": ["4KiB", "2MiB"], "chunk_bytes": ["64KiB", "2MiB"]}
    found = sweeps.points(pfnlab.Params(), sizes, skip_invalid=True)
    assert [(p.params.granule_bytes, p.params.chunk_bytes) for p in found] == [
        (4 * KIB, 64 * KIB), (4 * KIB, 2 * MIB), (2 * MIB, 2 * MIB),
    ]  # fmt: skip
    with pytest.raises(pfnlab.ParameterError, match="chunk_bytes=3"):
        sweeps.points(pfnlab.Params(), {"chunk_bytes": [3]}, skip_invalid=True)


@pytest.mark.parametrize("executor", [None, 2])
def test_every_row_is_a_single_replay(executor: int | None) -> None:
    trace, params = small(), pfnlab.Params(region_bytes="1GiB")
    axes: dict[str, Any] = {
        "chunk_bytes": [4 * KIB, 2 * MIB],
        "threshold_of_footprint": [1e-9, 0.1, 1.0],
    }
    frame = pfnlab.sweep(trace, params, executor=executor, **axes)
    assert len(frame) == 6
    for row in frame.to_dict("records"):
        own = pfnlab.Params(**{name: row[name] for name in PARAMETERS})
        share = int(row["threshold_of_footprint"] * trace.footprint_bytes(own))
        assert own.threshold_bytes == max(share, own.chunk_bytes)
        counts = pfnlab.replay(trace, own).counts()
        assert {name: row[name] for name in (*COUNTERS, *DERIVED)} == counts
        assert (row["source"], row["evidence"]) == (trace.name, trace.evidence)


def test_a_spec_is_drawn_and_a_placed_trace_placed_for_every_region() -> None:
    regions = ["1GiB", "4GiB"]
    params = pfnlab.Params(threshold_bytes="2MiB")
    spec = pfnlab.workload("uniform", n_events=5000)
    frame = pfnlab.sweep(spec, params, region_bytes=regions)
    assert frame["footprint_bytes"].tolist() == [
        spec.trace(params.replace(region_bytes=r)).footprint_bytes(params.replace(region_bytes=r))
        for r in regions
    ]
    trace = pfnlab.Trace(np.array([0, 40_000, 200_000])).placed("1GiB", "spread")
    frame = pfnlab.sweep(trace, params, region_bytes=regions)
    assert frame["faults"].tolist() == [3, 3]


def test_an_empty_trace_gives_zeros() -> None:
    frame = pfnlab.sweep(pfnlab.Trace(np.array([], np.int64)), chunk_bytes=["4KiB"], costs="hvo-8s")
    assert frame.loc[0, [*COUNTERS, *DERIVED, "event_ns"]].eq(0).all()


@pytest.mark.parametrize("executor", [None, 2])
def test_an_interrupt_keeps_the_finished_points(
    executor: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []

    def interrupted(*args: Any) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        feeding.drive(*args)

    monkeypatch.setattr(many, "drive", interrupted)
    with pytest.raises(pfnlab.SweepInterrupted, match="of 5 points are done") as caught:
        pfnlab.sweep(
            small(),
            pfnlab.Params(region_bytes="1GiB"),
            executor=executor,
            batch_chunks=[1, 2, 3, 4, 5],
        )
    frame = caught.value.frame
    assert 1 <= len(frame) <= 2
    assert frame["batch_chunks"].tolist() == sorted(frame["batch_chunks"])


def test_a_huge_share_is_no_more_than_everything() -> None:
    params = pfnlab.Params(region_bytes="1GiB")
    frame = pfnlab.sweep(small(), params, threshold_fraction=[1.0, 1e30, 1e308])
    assert frame["faults"].nunique() == 1


@pytest.mark.parametrize("source", ["zipf", None, "data/traces/pgbench.parquet"])
def test_a_source_is_no_name(source: Any) -> None:
    with pytest.raises(pfnlab.ParameterError, match="source="):
        pfnlab.sweep(source)


def test_events_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 1 << 20)
    with pytest.raises(pfnlab.ParameterError, match="n_events=1000000: the events of a workload"):
        pfnlab.workload("zipf").trace(pfnlab.Params())


@pytest.mark.parametrize("executor", [0, -1, 1.5, "2", True])
def test_bad_executors_are_refused(executor: Any) -> None:
    with pytest.raises(pfnlab.ParameterError, match="executor="):
        pfnlab.sweep(small(), executor=executor)


def test_frames_carry_their_parameters_and_versions(tmp_path: Path) -> None:
    frame = pfnlab.sweep(small(), pfnlab.Params(region_bytes="1GiB"), batch_chunks=[1, 2])
    path = frames.write_frame(frame, tmp_path / "frame.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(path), frame)
    about = json.loads(pq.read_schema(path).metadata[frames.METADATA_KEY])
    assert about["parameters"]["batch_chunks"] == [1, 2]
    assert set(about["parameters"]) == set(PARAMETERS)
    assert about["pfnlab"] == pfnlab.__version__


# --- Costs --------------------------------------------------------------------------------------


def test_costs_are_the_formulas_of_the_design() -> None:
    params = pfnlab.Params(n_cpus=10, granule_bytes="16KiB", chunk_bytes="64KiB")
    numbers = dict(  # noqa: C408 - reads as the arguments it becomes
        trap=1, zero_per_4k=10, init_per_descriptor=100, shootdown=1000, shootdown_per_cpu=7,
        preset_cpus=4, unmap_per_4k=11, freeze_per_descriptor=13, ipi=17, invlpg=19,
        full_flush_refill=23, dram_latency=29, device_latency=31, dtlb_miss=37, rebuild=41,
    )  # fmt: skip
    counts = dict(  # noqa: C408
        accesses=1000, atomic_faults=10, faults=100, refaults=60, evicted_granules=50,
        shootdowns=20, ranged_flush_pages=48, full_flushes=17,
    )  # fmt: skip
    cost = pfnlab.Costs(**numbers).apply(counts, params)  # type: ignore[arg-type]
    assert cost.fault_ns == 100 * (1 + 10 * 4 + 100 * 256)
    assert cost.pass_ns == 20 * (1000 + 7 * (10 - 4))
    assert cost.evict_ns == 50 * (11 * 4 + 13 * 256)
    assert cost.stolen_ns == 9 * (17 * 20 + 19 * 48 + 23 * 17)
    assert cost.lookup_ns == 990 * (29 + 37)
    assert cost.refault_ns == 60 * 41
    parts = cost.fault_ns + cost.pass_ns + cost.evict_ns + cost.lookup_ns + cost.refault_ns
    assert (cost.initiator_ns, cost.event_ns) == (parts, parts / 990)


@pytest.mark.parametrize("name", PRESETS)
def test_every_figure_of_a_preset_has_a_source(name: str) -> None:
    costs = pfnlab.Costs.preset(name)
    for figure in costs.figures().values():
        assert figure.source != "set by the user"
        assert figure.trust in {"V", "V2", "M", "C", "L", "A"}
    changed = costs.replace(trap=123456.0)
    assert changed.name == f"{name}*"
    assert changed.figures()["trap"].trust == "A"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pfnlab.Costs.preset("hvo-8"), "did you mean 'hvo-8s'"),
        (
            lambda: pfnlab.Costs.preset("hvo-8s").replace(trap=-1),
            "trap=-1: must be a number, ",
        ),
        (
            lambda: pfnlab.Costs.preset("hvo-8s").replace(ipi=math.nan),
            "ipi=nan: must be a number, ",
        ),
        (lambda: pfnlab.Costs.preset("hvo-8s").replace(trapp=1), "did you mean 'trap'"),
    ],
)
def test_bad_costs_are_refused(call: Any, message: str) -> None:
    with pytest.raises(pfnlab.ParameterError, match=re.escape(message)):
        call()


def test_pricing_a_frame_replays_nothing() -> None:
    params = pfnlab.Params(region_bytes="1GiB")
    frame = pfnlab.sweep(small(), params, batch_chunks=[1, 2], costs="latr-8s120")
    again = sweeps.priced(frame, "hvo-8s")
    expected = pfnlab.sweep(small(), params, batch_chunks=[1, 2], costs="hvo-8s")
    pd.testing.assert_frame_equal(again, expected)


@pytest.mark.parametrize("name", PRESETS)
def test_a_frame_is_priced_as_each_of_its_rows(name: str) -> None:
    """Columns at once, or one result after the other: the formulas are the same."""
    params = pfnlab.Params(region_bytes="1GiB", n_cpus=3)
    axes: dict[str, Any] = {"granule_bytes": ["4KiB", "2MiB"], "n_cpus": [1, 500]}
    frame = pfnlab.sweep(small(), params, costs=name, **axes)
    for row in frame.to_dict("records"):
        one = params.replace(**{field: row[field] for field in axes})
        cost = pfnlab.replay(small(), one).cost(name).as_dict()
        assert {field: row[field] for field in cost} == cost


def test_no_access_takes_no_time() -> None:
    nothing = pfnlab.Trace(np.zeros(0, np.int64))
    frame = pfnlab.sweep(nothing, pfnlab.Params(region_bytes="1GiB"), costs="hvo-8s")
    assert frame["event_ns"].tolist() == [0.0]


def test_more_points_than_memory_has_rows_for_are_refused() -> None:
    with pytest.raises(pfnlab.ParameterError, match="batch_chunks='1,000,000,000,000 points'"):
        pfnlab.sweep(small(), batch_chunks=range(1, 10**12 + 1))


def test_an_estimate_counts_points_and_passes_and_replays_only_a_sample() -> None:
    spec = pfnlab.workload("zipf", n_events=2**33)  # hours, were it replayed
    axes: dict[str, Any] = {
        "policy": ["lra", "lru", "clock"],
        "chunk_bytes": ["4KiB"],
        "threshold_fraction": list(np.linspace(0.01, 1, 100)),
    }
    found = sweeps.estimate(spec, axes=axes, n_workers=2)
    assert (found.n_points, found.n_passes) == (300, 1 + 2 + 100)
    assert found.sampled_events == 2**20
    assert found.memory_bytes > 4 * 2**33
    single = sweeps.estimate(spec, axes={"batch_chunks": [2]}, n_workers=2)
    assert 0 < single.seconds < found.seconds


@pytest.mark.parametrize("stream", [False, True])
def test_an_estimate_takes_any_source(stream: bool, root: Path) -> None:
    trace = pfnlab.load(root / "data/traces/pagecache.parquet", stream=stream)
    found = sweeps.estimate(trace, axes={"batch_chunks": [1, 2, 3]})
    assert (found.n_points, found.n_passes, found.n_events) == (3, 3, len(trace))
    with pytest.raises(pfnlab.ParameterError, match="chunk_byte"):
        sweeps.estimate(trace, axes={"chunk_byte": [1]})


COMPILING = """
import numpy, sys, pfnlab
trace, sweep = pfnlab.Trace(numpy.arange(10**6)), pfnlab.sweep
print("begins", flush=True)
try:
    sweep(trace, policy=["lru", "clock", "sieve"] * 500, batch_chunks=[2, 3])
except pfnlab.SweepInterrupted as stop:
    print("ends", flush=True)
"""


@pytest.mark.parametrize("after_seconds", [0.3, 1.0, 2.0, 3.0])
@pytest.mark.slow
def test_an_interrupt_is_heard_while_kernels_are_compiled(
    after_seconds: float, tmp_path: Path, root: Path
) -> None:
    """The compiler's callbacks swallow it: then it must come again, and fail nothing else."""
    started = subprocess.Popen(
        [sys.executable, "-c", COMPILING], cwd=root, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
    )  # fmt: skip
    with started:
        assert started.stdout is not None
        assert started.stdout.readline() == "begins\n"
        time.sleep(after_seconds)
        started.send_signal(signal.SIGINT)
        out, err = started.communicate(timeout=300)
    assert (out, err) == ("ends\n", "")
