"""Costs from the user's own machine: micro-benchmarks that tell a fault's parts from an unmap's.

Slope and intercept separate them: a granule of many pages takes the trap once and each page's
zeroing, a chunk of many pages the call and its flush once and each page's unmapping. All are
measured in turn, again and again, so that a disturbance falls on all alike, and is seen.
"""

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from pfnlab.errors import ParameterError, PfnlabError
from pfnlab.files import whole_file
from pfnlab.host.limits import why_no_twin
from pfnlab.host.twin import run_twin
from pfnlab.kernels.host.reserved import PAGE_BYTES
from pfnlab.params import Params
from pfnlab.params.cost_presets import PRESETS, Figure
from pfnlab.params.costs import DEFAULT_PRESET, FIGURES, Costs
from pfnlab.params.user_costs import preset_file
from pfnlab.traces.trace import Trace

#: A preset is written only if the middle half of the repeats of every constant lies within this
#: share of their median.
MOST_SPREAD = 0.15
REPEATS = 15

_REGION_BYTES = 64 << 30
_SINGLE, _MANY = 1, 64  # pages of a granule, which is the chunk
_N_SINGLE, _N_MANY = 16_384, 256  # granules that are touched, a quarter of those there are
#: Of these may stay resident where others push them out. 32 MiB: less would stay in the CPU's
#: caches, and zeroing it again would be too fast.
_KEPT_SHARE = 1 / 2
_N_BESIDE = 2048
_FEW_PAGES, _MANY_PAGES, _N_TOUCHES, _ROUNDS = 64, 2048, 100_000, 5

Indices = npt.NDArray[np.int64]
Sample = dict[str, float]
#: Measures everything once; a test gives its own.
Measure = Callable[[], Sample]

#: The measured constants, in ns per operation, and how each is measured.
MEASURED: Mapping[str, str] = {
    "fault_single": f"faults on {_N_SINGLE} granules of 4 KiB",
    "fault_many": f"faults on {_N_MANY} granules of {_MANY} pages",
    "cycle_single": "the same granules of 4 KiB, each unmapping another",
    "cycle_many": f"the same granules of {_MANY} pages, each unmapping another",
    "cycle_beside": "the same, 4 KiB, while a thread runs on another CPU",
    "hit_few": f"hits in {_FEW_PAGES} resident pages",
    "hit_many": f"hits in {_MANY_PAGES} resident pages",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Repeats of everything that was measured, and the costs that follow.

    Attributes
    ----------
    samples
        A row a repeat, the columns of `MEASURED`, ns. ``cycle_beside`` is absent on one CPU.
    host, kernel, date
        Where and when, for the preset.
    """

    samples: pd.DataFrame
    host: str
    kernel: str
    date: str

    def table(self) -> pd.DataFrame:
        """Return median, spread (IQR / median) and origin of each constant."""
        constants = constants_of(self.samples)
        quartiles = constants.quantile([0.25, 0.5, 0.75])
        median = quartiles.loc[0.5]
        spread = (quartiles.loc[0.75] - quartiles.loc[0.25]) / median.abs()
        how = [_HOW[str(name)] for name in constants]
        return pd.DataFrame({"ns": median, "spread": spread, "how": how})

    def noise(self) -> dict[str, float]:
        """Return the spread of every constant that is too noisy to be used, or below 0."""
        table = self.table()
        bad = table[~(table["spread"] <= MOST_SPREAD) | (table["ns"] < 0)]
        return {str(name): float(spread) for name, spread in bad["spread"].items()}

    def figures(self) -> dict[str, Figure]:
        """Return every cost with its trust and source: measured, or taken over."""
        own = f"pfnlab calibrate, {self.host}, Linux {self.kernel}, {self.date}"
        measured = self.table().to_dict("index")
        figures: dict[str, Figure] = {}
        for name in FIGURES:
            if name in measured:
                row: dict[Any, Any] = measured[name]
                said = f"{own}: {row['how']}; IQR/median {row['spread']:.1%}"
                figures[name] = Figure(round(float(row["ns"]), 2), "L", said)
            elif name in _GIVEN:
                figures[name] = _GIVEN[name]
            else:
                known = PRESETS[DEFAULT_PRESET][name]
                source = f"not measured, as {DEFAULT_PRESET}: {known.source}"
                figures[name] = Figure(known.value, "A", source)
        return figures

    def costs(self, name: str) -> Costs:
        """Return the costs under a name."""
        return Costs(name=name, **{field: each.value for field, each in self.figures().items()})


_GIVEN = {
    "init_per_descriptor": Figure(0, "C", "a twin's kernel zeroes; nothing else is initialised"),
    "preset_cpus": Figure(1, "C", "the CPUs of this process that ran"),
    "freeze_per_descriptor": Figure(0, "C", "a twin does not look at references before it unmaps"),
    "shootdown_per_cpu": Figure(0, "A", "not measured: there was no second CPU"),
}
_HOW = {
    "trap": "intercept of faults on granules of 1 and 64 pages",
    "zero_per_4k": "slope of faults on granules of 1 and 64 pages: giving a page and zeroing it",
    "shootdown": "intercept of unmapping 1 and 64 pages: the call and its flush",
    "shootdown_per_cpu": "unmapping beside a running thread, less without one",
    "unmap_per_4k": "slope of unmapping 1 and 64 pages",
    "dram_latency": f"a hit in {_FEW_PAGES} resident pages",
    "dtlb_miss": f"a hit in {_MANY_PAGES} resident pages, less one in {_FEW_PAGES}",
}


def constants_of(samples: pd.DataFrame) -> pd.DataFrame:
    """Return the constants of each repeat: slopes and intercepts of what was measured."""
    more = _MANY - _SINGLE
    zero = (samples["fault_many"] - samples["fault_single"]) / more
    # The first granules of a cycle push nothing out.
    single = (samples["cycle_single"] - samples["fault_single"]) / (1 - _KEPT_SHARE)
    many = (samples["cycle_many"] - samples["fault_many"]) / (1 - _KEPT_SHARE)
    page = (many - single) / more
    constants = {
        "trap": samples["fault_single"] - zero,
        "zero_per_4k": zero,
        "shootdown": single - page,
        "unmap_per_4k": page,
        "dram_latency": samples["hit_few"],
        "dtlb_miss": samples["hit_many"] - samples["hit_few"],
    }
    if "cycle_beside" in samples:
        constants["shootdown_per_cpu"] = samples["cycle_beside"] - samples["fault_single"] - single
    return pd.DataFrame(constants)


def calibrate(*, repeats: int = REPEATS, measure: Measure | None = None) -> Calibration:
    """Measure this machine; some seconds.

    Raises
    ------
    PfnlabError
        If it can't be measured here: see `pfnlab.host.limits.why_no_twin`.
    """
    if measure is None and (reason := why_no_twin()) is not None:
        raise PfnlabError(f"this machine can't be calibrated: {reason}")
    rows = _repeated(measure or _measured_here, repeats)
    return Calibration(
        samples=pd.DataFrame(rows),
        host=f"{os.cpu_count()} CPUs {platform.machine()}",
        kernel=platform.release().split("-")[0],
        date=time.strftime("%Y-%m-%d", time.gmtime()),
    )


def _repeated(measure: Measure, repeats: int) -> list[Sample]:
    """Measure twice more than asked: the first finds memory that the host never gave before."""
    for _ in range(2):
        measure()
    bar = tqdm(range(repeats), desc="calibrating", unit="repeat", disable=None)
    return [measure() for _ in bar]


def _measured_here() -> Sample:
    """Measure everything in turn, round after round, and take the median of each.

    A round that the host interrupts then counts for nothing.
    """
    rounds = pd.DataFrame([_round(seed) for seed in range(_ROUNDS)])
    return {str(name): float(ns) for name, ns in rounds.median().items()}


def _round(seed: int) -> Sample:
    """Measure everything once, each by a trace that does nothing else."""
    few, many = _N_SINGLE, _N_MANY
    sample = {
        "fault_single": _ns_an_event(_order(few, seed), 1, few),
        "fault_many": _ns_an_event(_order(many, seed), _MANY, many),
        "cycle_single": _ns_an_event(_order(few, seed), 1, _kept(few)),
        "cycle_many": _ns_an_event(_order(many, seed), _MANY, _kept(many)),
        "hit_few": _hit_ns(_FEW_PAGES, seed),
        "hit_many": _hit_ns(_MANY_PAGES, seed),
    }
    if len(os.sched_getaffinity(0)) > 1:
        beside = _order(_N_BESIDE, seed)
        sample["cycle_beside"] = _ns_an_event(beside, 1, 1, neighbours=1)
    return sample


def _order(n: int, seed: int) -> Indices:
    """Return `n` granules of four times as many in random order, int64, as a trace has them."""
    return np.random.default_rng(seed).permutation(4 * n)[:n]


def _kept(n: int) -> int:
    return int(n * _KEPT_SHARE)


def _ns_an_event(granules: Indices, pages: int, kept: int, neighbours: int = 0) -> float:
    """Time of touching each granule of so many pages once, when no more than `kept` may stay."""
    size = pages * PAGE_BYTES
    params = Params(region_bytes=_REGION_BYTES, granule_bytes=size, chunk_bytes=size)
    trace = Trace(granules * (size // params.descriptor_bytes), name="calibration")
    params = params.replace(threshold_bytes=kept * size)
    return run_twin(trace, params, neighbours=neighbours).elapsed_ns / len(trace)


def _hit_ns(n_pages: int, seed: int) -> float:
    """Time of touching a descriptor in one of so many resident pages."""
    params = Params(region_bytes=_REGION_BYTES, chunk_bytes=PAGE_BYTES)
    pages = np.arange(n_pages) * (PAGE_BYTES // params.descriptor_bytes)
    touches = np.random.default_rng(seed).integers(0, pages[-1] + 64, _N_TOUCHES)
    # The faults are measured alone, and taken off.
    with_touches = run_twin(Trace(np.concatenate([pages, touches])), params).elapsed_ns
    without = run_twin(Trace(pages), params).elapsed_ns
    return (with_touches - without) / _N_TOUCHES


def check_name(name: str, *, replace: bool = False) -> Path:
    """Return the file that a new preset of this name would be written to.

    Raises
    ------
    ParameterError
        If the name is a built-in's, or no file name, or taken and not to be replaced.
    """
    if name in PRESETS:
        raise ParameterError("name", name, "must not be a built-in preset's")
    path = preset_file(name)
    if path is None:
        raise ParameterError("name", name, "must be letters, digits, '.', '_' and '-', 64 at most")
    if path.exists() and not replace:
        raise ParameterError("name", name, f"is taken by {path}; --force replaces it")
    return path


def write_preset(
    name: str, figures: Mapping[str, Figure], about: Mapping[str, Any], *, replace: bool = False
) -> Path:
    """Write a preset, whole or not at all.

    Raises
    ------
    ParameterError
        As `check_name`.
    FileError
        If it can't be written.
    """
    path = check_name(name, replace=replace)
    stored = {
        field: {"value": figure.value, "trust": figure.trust, "source": figure.source}
        for field, figure in figures.items()
    }
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps({**about, "figures": stored}, indent=1) + "\n")
    return path
