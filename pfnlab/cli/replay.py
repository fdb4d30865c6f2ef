"""``pfnlab replay SOURCE``: one replay, its counters, and the time they stand for."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pfnlab.cli import flags, output

if TYPE_CHECKING:
    from pfnlab.engine.result import Result
    from pfnlab.params.costs import Cost
    from pfnlab.traces.sources import Replayable

_LABEL = 13


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    flags.add_source(parser)
    flags.add_params(parser)
    flags.add_costs(parser)
    flags.add_json(parser, "print all as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Replay and print."""
    from pfnlab.engine import replay

    setup = flags.setup_of(arguments)
    trace = setup.source.trace(setup.params)
    with output.progress(trace.name, len(trace), "event") as on_events:
        result = replay(trace, setup.params, on_events=on_events)
    cost = result.cost(setup.costs)
    if arguments.json:
        about = {"source": trace.name, "evidence": trace.evidence, "n_events": len(trace)}
        output.print_json(about | setup.params.as_dict() | result.counts() | cost.as_dict())
    else:
        output.print_lines(_lines(trace, result, cost))
    return 0


def _lines(trace: Replayable, result: Result, cost: Cost) -> Iterator[str]:
    from pfnlab.params.units import short_bytes, short_ns

    params, size, time = result.params, short_bytes, short_ns
    yield f"{trace.name}: {len(trace):,} events, {trace.evidence}"
    yield _line("region", size(params.region_bytes), "that has", size(params.vmemmap_bytes),
                "of descriptors")  # fmt: skip
    yield _line("mechanism", f"{size(params.granule_bytes)} granules,",
                f"{size(params.chunk_bytes)} chunks, threshold {size(params.threshold_bytes)},",
                f"{params.policy}, batches of {params.batch_chunks:,},",
                f"reserve of {params.reserve_granules:,}")  # fmt: skip
    yield ""
    yield _line("accesses", f"{result.accesses:,}:", f"{result.hits:,} hits,",
                f"{result.faults:,} faults ({result.miss_ratio:.2%});", f"{result.puts:,} PUTs,",
                f"{result.unmatched_puts:,} of them unmatched")  # fmt: skip
    yield _line("faults", f"{result.cold_faults:,} cold, {result.refaults:,} again;",
                f"{size(result.populated_bytes)} populated;", f"{result.reserve_faults:,} took",
                "from the reserve")  # fmt: skip
    yield _line("illegal", f"{result.atomic_faults:,} atomic calls met no descriptor, and failed")
    yield _line("evicted", f"{result.evicted_chunks:,} chunks of",
                f"{result.evicted_granules:,} granules;", f"{result.pinned_skips:,} skipped for",
                "their pins")  # fmt: skip
    yield _line("shootdowns", f"{result.shootdowns:,} ({result.full_flushes:,} full flushes,",
                f"{result.ranged_flush_pages:,} pages of ranged);",
                f"{result.futile_passes:,} passes found nothing")  # fmt: skip
    yield _line("resident", f"{size(result.peak_resident_bytes)} at most,",
                f"{size(result.mean_resident_bytes)} on average,",
                f"{size(result.resident_bytes)} at the end;",
                f"beyond the threshold {result.overcommits:,} times")  # fmt: skip
    yield _line("page tables", f"{size(result.page_table_bytes)} at most,",
                f"{size(result.page_table_kept_bytes)} if none is freed")  # fmt: skip
    yield ""
    yield _line("an access", f"{time(cost.event_ns)} of its own, with costs {cost.costs}")
    yield _line("in all", f"{time(cost.initiator_ns)}: {time(cost.lookup_ns)} lookups,",
                f"{time(cost.fault_ns)} faults, {time(cost.evict_ns)} evictions,",
                f"{time(cost.pass_ns)} passes, {time(cost.refault_ns)} rebuilding")  # fmt: skip
    yield _line("stolen", f"{time(cost.stolen_ns)} from the other CPUs ({params.n_cpus:,} in all)")


def _line(label: str, *parts: str) -> str:
    return f"{label:{_LABEL}}{' '.join(parts)}"
