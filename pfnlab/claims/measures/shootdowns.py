"""Shootdowns by CPUs, chunk, batch and flush ceiling, and the lazy purge that is a batch.

A trace is replayed once for each chunk, batch and threshold; CPU counts, ceilings and costs follow
from the counts. Its accesses look up and everybody may sleep: what pins and atomic callers change
is not asked here.
"""

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd

from pfnlab.engine.lazy_purge import GranuleAccesses, Purged, lazy_max_pages
from pfnlab.errors import ParameterError
from pfnlab.frames import require
from pfnlab.frames.labels import AHEAD, LAZY, PASS
from pfnlab.params import PARAMETERS, Params
from pfnlab.params.costs import Costs, costs_of
from pfnlab.params.units import OS_PAGE_BYTES
from pfnlab.sweeps import priced, sweep
from pfnlab.traces.sources import Replayable
from pfnlab.traces.trace import Trace
from pfnlab.traces.views import first_events, lookups

#: Share of the threshold by which it is moved to measure how the miss ratio falls with it.
SLOPE_STEP = 0.05
_BELOW_AND_ABOVE = (1 - SLOPE_STEP, 1 + SLOPE_STEP)
#: Quarantines replayed, as batches of so many granules, beside those of `lazy_max_pages`.
LAZY_BATCHES = tuple(8**power for power in range(1, 8))
#: Columns that no sweep has; NaN in the rows that have none.
OWN = ("unmapping", "single_passes", "miss_of_one", "miss_slope", "lazy_cpus", "refills_if_full",
       "mean_withheld_bytes", "peak_withheld_bytes", "mean_mapped_bytes")  # fmt: skip
_ANY_CEILING = PARAMETERS["flush_ceiling_pages"].maximum
_MACHINE = ("n_cpus", "flush_ceiling_pages")
Axes = Mapping[str, Any]


def shootdowns(
    trace: Replayable, params: Params, costs: str | Costs, axes: Axes | None = None
) -> pd.DataFrame:
    """Replay the accesses of a trace for every chunk and batch, and price them for every machine.

    Parameters
    ----------
    trace, params
        Events, and what the axes do not set.
    costs
        A preset's name or a `Costs`.
    axes
        Lists by field: `chunk_bytes`, `batch_chunks` and a threshold are replayed, `n_cpus` and
        `flush_ceiling_pages` are not.

    Returns
    -------
    pandas.DataFrame
        A row a replay and machine: the columns of a sweep, ``unmapping`` (PASS, LAZY or AHEAD),
        ``single_passes`` (those that evicted exactly one chunk), ``miss_slope`` (fall of the miss
        ratio a chunk of threshold, where a chunk is a granule), ``best_batch``, and for the lazy
        purges what they withhold and the ``collateral_refills`` of TLBs after full flushes.

    Raises
    ------
    TraceError, ParameterError
        For what a sweep refuses, and for a policy other than lra.
    """
    if params.policy != "lra":
        raise ParameterError("policy", params.policy, "must be lra where unmapping is lazy")
    asked = dict(axes or {})
    machines = {name: _checked(name, asked.pop(name, ())) for name in _MACHINE}
    looked = first_events(lookups(trace).trace(params), len(trace), params)
    anywhere = params.replace(flush_ceiling_pages=_ANY_CEILING)
    grid = sweep(looked, anywhere, skip_invalid=True, **asked)
    thresholds = sorted(set(grid.loc[grid["evicted_chunks"] > 0, "threshold_bytes"]))
    numbered = GranuleAccesses.of(looked, params)
    parts = [grid, _unevicted(looked, anywhere, asked)]
    for threshold in thresholds:
        at = anywhere.replace(threshold_bytes=int(threshold), chunk_bytes=params.granule_bytes)
        cpus = [*machines["n_cpus"], params.n_cpus]
        sizes = sorted(set(grid["chunk_bytes"]))
        parts += [_batches(looked, at, costs, params, cpus), lazily(numbered, at, cpus, sizes)]
    rows = pd.concat(parts, ignore_index=True)
    rows["unmapping"] = rows["unmapping"].fillna(PASS) if "unmapping" in rows else PASS
    rows["single_passes"] = rows["ranged_flush_pages"] * OS_PAGE_BYTES // rows["chunk_bytes"]
    rows = rows.drop_duplicates(["unmapping", *PARAMETERS], keep="last")
    rows = rows.reindex(columns=[*dict.fromkeys([*rows, *OWN])])
    rows = rows.assign(source=looked.name, evidence=looked.evidence, n_events=len(looked))
    return on_machines(rows, params, costs, **machines)


def _unevicted(trace: Trace, params: Params, axes: Axes) -> pd.DataFrame:
    """Replay each chunk with a threshold that holds all that the trace touches."""
    chunks = {name: values for name, values in axes.items() if name == "chunk_bytes"}
    whole = params.replace(threshold_bytes=max(params.vmemmap_bytes, params.chunk_bytes))
    return sweep(trace, whole.replace(batch_chunks=1), skip_invalid=True, **chunks)


def _batches(
    trace: Trace, params: Params, costs: str | Costs, machine: Params, cpus: Iterable[int]
) -> pd.DataFrame:
    """Replay batches of granules: powers of two, the lazy ones, and the one the formula names."""
    limit = params.threshold_bytes // params.granule_bytes
    single = params.replace(batch_chunks=1)
    near = [round(limit * share) * params.granule_bytes for share in _BELOW_AND_ABOVE]
    around = sweep(trace, single, threshold_bytes=[params.threshold_bytes, *near])
    here, below, above = around["miss_ratio"]
    slope = (below - above) / max(np.ptp(around["threshold_bytes"]) / params.granule_bytes, 1)
    best = round(best_batch(here, slope, machine.replace(**_sizes(params)), costs))
    batches = {min(2**power, limit) for power in range(limit.bit_length() + 1)} | {best}
    batches |= set(quarantines(params, cpus))
    rows = sweep(trace, params, batch_chunks=sorted(batches))
    return rows.assign(miss_of_one=here, miss_slope=slope)


def _sizes(params: Params) -> dict[str, int]:
    return {
        "granule_bytes": params.granule_bytes,
        "chunk_bytes": params.chunk_bytes,
        "threshold_bytes": params.threshold_bytes,
    }


def best_batch(miss_ratio: Any, miss_slope: Any, params: Params, costs: str | Costs) -> Any:
    r"""Return the batch that costs least, :math:`\sqrt{2 M c_s / (c_f |dM/dC|)}`.

    Parameters
    ----------
    miss_ratio, miss_slope
        M, and its fall for each chunk that the threshold grows by, both for a batch of 1.
    params
        The sizes, of which a chunk is a granule, and the CPUs.
    costs
        A preset's name or a `Costs`: c_s is the initiator's time of one shootdown, c_f that of one
        fault and of the eviction that made room for it.

    Returns
    -------
    float
        In chunks, 1 at least and the whole threshold at most.
    """
    chosen = costs_of(costs)
    a_fault = chosen.populate_ns(params) + chosen.unmap_ns(params)
    return _best(miss_ratio, miss_slope, chosen.pass_ns(params), a_fault, params)


def _best(miss_ratio: Any, slope: Any, a_pass: Any, a_fault: Any, sizes: Any) -> Any:
    most = sizes.threshold_bytes // sizes.chunk_bytes
    with np.errstate(divide="ignore", invalid="ignore"):  # a flat curve: the larger the better
        batch = np.sqrt(2 * miss_ratio * a_pass / (a_fault * np.maximum(slope, 0.0)))
    return np.clip(batch, 1, most)


# --- Lazy purges ------------------------------------------------------------------------------


def quarantines(params: Params, cpus: Iterable[int]) -> dict[int, int]:
    """Return the quarantines that fit, as batches of granules: CPUs of `lazy_max_pages`, or 0.

    A quarantine of P granules is purged by the eviction after, so it is a batch of P + 1.
    """
    limit = params.threshold_bytes // params.granule_bytes
    found = dict.fromkeys(LAZY_BATCHES, 0)
    for n_cpus in sorted(cpus, reverse=True):  # the fewest CPUs that have this quarantine
        found[lazy_max_pages(n_cpus) * OS_PAGE_BYTES // params.granule_bytes + 1] = n_cpus
    return {batch: n_cpus for batch, n_cpus in found.items() if batch < limit}


def lazily(
    numbered: GranuleAccesses, params: Params, cpus: Iterable[int], chunk_sizes: Iterable[int] = ()
) -> pd.DataFrame:
    """Replay the quarantines that fit below the threshold, and each chunk size without one.

    A chunk of `params` must be one granule, so that a quarantine is a batch of whole chunks.

    Returns
    -------
    pandas.DataFrame
        A row a replay, the columns of a sweep and of `quarantine.Purged`, as far as known;
        ``lazy_cpus`` is the CPU count whose `lazy_max_pages` the quarantine is, 0 if none's.
    """
    todo = [
        (params.replace(batch_chunks=batch), name, n_cpus)
        for batch, n_cpus in quarantines(params, cpus).items()
        for name in (LAZY, AHEAD)
    ]
    todo += [
        (params.replace(chunk_bytes=size, batch_chunks=1), LAZY, 0)
        for size in chunk_sizes
        if params.granule_bytes < size <= params.threshold_bytes
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return pd.DataFrame(pool.map(lambda one: _lazy_row(numbered, *one), todo))


def _lazy_row(
    numbered: GranuleAccesses, params: Params, unmapping: str, lazy_cpus: int
) -> dict[str, Any]:
    held = (params.batch_chunks - 1) * params.granule_bytes
    found = numbered.purged(params, withheld_bytes=held, ahead=unmapping == AHEAD)
    return _row(numbered, params, found) | {"unmapping": unmapping, "lazy_cpus": lazy_cpus}


def _row(numbered: GranuleAccesses, params: Params, found: Purged) -> dict[str, Any]:
    """Return a row of a sweep, as far as the quarantine's kernel counts what a sweep does."""
    cold = len(numbered.touched)
    one_a_purge = found.evicted_chunks == found.shootdowns
    pages = params.chunk_bytes // OS_PAGE_BYTES
    counted = {name: getattr(found, name) for name in found.__dataclass_fields__}
    return {
        **params.as_dict(),
        "vmemmap_bytes": params.vmemmap_bytes,
        "footprint_bytes": cold * params.granule_bytes,
        **counted,
        "hits": found.accesses - found.faults,
        "cold_faults": cold,
        "refaults": found.faults - cold,
        "miss_ratio": found.miss_ratio,
        "ranged_flush_pages": found.shootdowns * pages * one_a_purge,
        "peak_resident_bytes": found.peak_held_bytes,
        "mean_resident_bytes": found.mean_mapped_bytes + found.mean_withheld_bytes,
        "atomic_faults": 0,
        "puts": 0,
    }


# --- Machines ---------------------------------------------------------------------------------


def on_machines(
    replays: pd.DataFrame,
    params: Params,
    costs: str | Costs,
    n_cpus: Iterable[int] = (),
    flush_ceiling_pages: Iterable[int] = (),
) -> pd.DataFrame:
    """Price every replay for the machine of `params` and others; nothing is replayed.

    Parameters
    ----------
    replays
        Those of a frame of `shootdowns`.
    params
        Its CPUs and its flush ceiling are the machine's.
    costs
        A preset's name or a `Costs`.
    n_cpus, flush_ceiling_pages
        More CPU counts with the ceiling of `params`, and more ceilings with its CPUs.

    Raises
    ------
    ParameterError
        For a machine that `Params` would refuse.
    """
    machine = (params.n_cpus, params.flush_ceiling_pages)
    by_cpus = [(n, machine[1]) for n in _checked("n_cpus", n_cpus)]
    by_ceiling = [(machine[0], n) for n in _checked("flush_ceiling_pages", flush_ceiling_pages)]
    machines = pd.DataFrame(sorted({machine, *by_cpus, *by_ceiling}), columns=list(_MACHINE))
    rows = replays.drop(columns=list(_MACHINE), errors="ignore").merge(machines, how="cross")
    return _priced(rows, costs)


def _checked(name: str, values: Iterable[Any]) -> list[int]:
    return [int(PARAMETERS[name].parse(value)) for value in values]


def replays(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each replay in a frame of `shootdowns`, for `on_machines`."""
    replayed = [n for n in PARAMETERS if n not in _MACHINE]
    require(frame, [*replayed, "unmapping"])
    source = ["source"] if "source" in frame else []
    return frame.drop_duplicates([*source, "unmapping", *replayed])


def _priced(frame: pd.DataFrame, costs: str | Costs) -> pd.DataFrame:
    """Add the kinds of flushes under the ceiling of each row, its times and its best batch."""
    chosen = costs_of(costs)
    pages = frame["chunk_bytes"] // OS_PAGE_BYTES
    ranged = frame["single_passes"].where(pages <= frame["flush_ceiling_pages"], 0)
    full = frame["shootdowns"] - ranged
    frame = frame.assign(ranged_flush_pages=ranged * pages, full_flushes=full)
    a_fault = chosen.populate_ns(frame) + chosen.unmap_ns(frame)
    a_pass = chosen.pass_ns(frame)
    batch = _best(frame["miss_of_one"], frame["miss_slope"], a_pass, a_fault, frame)
    refills = frame["refills_if_full"].where(full > 0, 0 * frame["refills_if_full"])
    return priced(frame, chosen).assign(best_batch=batch, collateral_refills=refills)
