"""Demand schemes: the mechanism of DESIGN 5, replayed once for every way to choose victims."""

from collections.abc import Callable, Iterator
from typing import Any

from pfnlab.alternatives.scheme import Holding, Scheme, Unanswered
from pfnlab.engine import replay_many
from pfnlab.engine.descriptor_use import Followed
from pfnlab.engine.plan import check_policy
from pfnlab.engine.result import Result
from pfnlab.engine.shared_default import replay_shared_default
from pfnlab.errors import ParameterError
from pfnlab.params import Params
from pfnlab.params.costs import Costs
from pfnlab.params.policies import INFORMED
from pfnlab.traces.sources import Replayable

_PAGE = 4096
#: The default page and a page of PTEs that map nothing else, which all empty windows share.
_SHARED_BYTES = 2 * _PAGE
_SEES_ACCESSES = "needs to see every access, of which a kernel mapping keeps no record"
_NOTES = dict.fromkeys(INFORMED, _SEES_ACCESSES)
_NOTES["opt"] = "needs to know the future: a bound"

Look = Callable[[int], None]


def replayed(
    trace: Replayable, params: Params, schemes: list[Scheme], seen: Followed, look: Look
) -> Iterator[Holding | Unanswered]:
    """Replay a trace for each of the demand schemes, and yield what it takes."""
    plain: dict[int, Scheme] = {}
    points: list[Params] = []
    for scheme in schemes:
        if scheme.name == "demand_shared":
            result = replay_shared_default(trace, params.replace(policy="lra"), on_events=look)
            yield _holding(scheme, result, seen, shared=True)
            continue
        try:
            point = point_of(scheme.name, params)
            check_policy(trace, point)
        except ParameterError as error:
            yield Unanswered(scheme=scheme, note=_reason(error))
            continue
        plain[len(points)] = scheme
        points.append(point)
    for index, result in replay_many(trace, points, look=look):
        yield _holding(plain[index], result, seen, shared=False)


def _reason(error: ParameterError) -> str:
    return f"{error.field}={error.value}: {error.requirement}"


def point_of(name: str, params: Params) -> Params:
    """Return the configuration that a demand scheme replays."""
    if name != "demand_keep":
        return params.replace(policy=name.removeprefix("demand_"))
    chunk = params.chunk_bytes
    whole = -(-params.vmemmap_bytes // chunk) * chunk
    return params.replace(policy="lra", threshold_bytes=whole, batch_chunks=1)


def _holding(
    scheme: Scheme, result: Result, seen: Followed, *, shared: bool
) -> Holding | Unanswered:
    if result.accesses and result.accesses == result.atomic_faults:
        return Unanswered(scheme=scheme, note=_note(scheme, result, seen))
    params, counts = result.params, result.counts()
    fixed = params.reserve_granules * params.granule_bytes + (_SHARED_BYTES if shared else 0)
    fixed += result.page_table_bytes

    def event_ns(costs: Costs) -> float:
        flushed = costs.pass_ns(params) * result.faults if shared else 0.0
        own = costs.apply(counts, params).initiator_ns
        return (own + flushed) / max(result.accesses - result.atomic_faults, 1)

    def stolen_ns(costs: Costs) -> float:
        return costs.apply(counts | _flushes(result) if shared else counts, params).stolen_ns

    return Holding(
        scheme=scheme,
        dram_bytes=result.peak_resident_bytes + fixed,
        mean_dram_bytes=result.mean_resident_bytes + fixed,
        page_table_bytes=result.page_table_bytes,
        tables_counted=True,
        virtual_bytes=params.vmemmap_bytes,
        faults=result.faults,
        atomic_faults=result.atomic_faults,
        event_ns=event_ns,
        stolen_ns=stolen_ns,
        lost=frozenset({"bounded_dram"} if result.overcommits else ()),
        note=_note(scheme, result, seen),
    )


def _flushes(result: Result) -> dict[str, Any]:
    """Count flushes where every fault replaces a live mapping and needs one of its own."""
    pages = result.params.granule_bytes // _PAGE
    ranged = pages <= result.params.flush_ceiling_pages
    return {
        "shootdowns": result.shootdowns + result.faults,
        "ranged_flush_pages": result.ranged_flush_pages + (result.faults * pages if ranged else 0),
        "full_flushes": result.full_flushes + (0 if ranged else result.faults),
    }


def _note(scheme: Scheme, result: Result, seen: Followed) -> str:
    notes = [_NOTES.get(scheme.name.removeprefix("demand_"), "")]
    if scheme.name == "demand_shared":
        notes.append(f"{result.faults:,} faults replaced a live mapping, each with a shootdown")
    if result.atomic_faults:
        share = f"{result.atomic_faults:,} of {seen.atomic_accesses:,}"
        notes.append(f"{share} atomic accesses would have been illegal")
    if result.overcommits and scheme.name != "demand_keep":
        notes.append(f"pins or atomic callers forced {result.overcommits:,} overcommits")
    return "; ".join(filter(None, notes))
