"""A trace in miniature: one of every N chunks it touches, under an N-th of the threshold.

All events on a chunk are kept or none: runs, pins and refaults stay as they are, and what competes
for the threshold shrinks with it. The method is Waldspurger and others' (SHARDS, FAST 2015;
miniature simulations, ATC 2017), but that of each N neighbours one is drawn: chunks near each
other are alike, so the estimates vary less than if each were drawn by itself.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pfnlab.engine.result import COUNTERS, Result
from pfnlab.params import Params
from pfnlab.params.geometry import Geometry
from pfnlab.params.memory import check_region_fits
from pfnlab.traces.sources import Replayable
from pfnlab.traces.trace import Trace

#: Events that a sample has at most, about.
SAMPLE_EVENTS = 50_000
#: Touched chunks, and chunks under the threshold, that a sample keeps at least: with fewer it
#: would tell nothing.
LEAST_CHUNKS, LEAST_LIMIT_CHUNKS = 32, 3
#: A sample of a half would save too little.
LEAST_DIVISOR = 4
#: Counters of what callers do, not of what is done for chunks.
_OF_EVENTS = ("accesses", "puts", "unmatched_puts")
_PIECE_EVENTS = 1 << 20
_GOLDEN = np.uint64(0x9E37_79B9_7F4A_7C15)  # 2**64 over the golden ratio: Knuth's multiplier
_HIGH_BITS = np.uint64(40)

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The events on some chunks of a trace, those chunks moved together.

    Attributes
    ----------
    trace
        The events that were kept, in a region of just the chunks that were.
    kept
        Their numbers in the whole trace, ascending, int64.
    chunks
        Index in the whole region of each chunk of the sample's, ascending, int64.
    n_events
        Events of the whole trace.
    divisor
        N: the whole trace touches about so many times the chunks.
    chunk_pages
        Pages whose descriptors are on one of those chunks.
    """

    trace: Trace
    kept: Indices
    chunks: Indices
    n_events: int
    divisor: int
    chunk_pages: int

    def params(self, params: Params) -> Params:
        """Return the configuration under which the sample stands for the whole.

        Its chunks must not be larger than those of the sample.
        """
        return params.replace(
            first_pfn=0,
            region_bytes=len(self.chunks) * self.chunk_pages * params.page_bytes,
            threshold_bytes=max(params.threshold_bytes // self.divisor, params.chunk_bytes),
            reserve_granules=-(-params.reserve_granules // self.divisor),
        )

    def scales(self, counters: Iterable[str]) -> dict[str, float]:
        """Return how many times as many each counter would be of the whole trace."""
        events = self.n_events / max(len(self.trace), 1)
        return {name: events if name in _OF_EVENTS else self.divisor for name in counters}

    def enlarged(self, result: Result, params: Params) -> Result:
        """Return what a replay of the sample says of the whole, which `params` configure.

        Accesses and PUTs are as many more as the trace has events; what is done for chunks, and
        bytes, N times as many: a sample without the hottest chunk still tells those (as SHARDS
        with its adjustment). Page tables come out too small, for the chunks of a sample are
        neighbours, which share them.
        """
        counts: dict[str, Any] = {name: getattr(result, name) for name in COUNTERS}
        scaled = {n: round(counts[n] * scale) for n, scale in self.scales(COUNTERS).items()}
        scaled["faults"] = min(scaled["faults"], scaled["accesses"] - scaled["atomic_faults"])
        scaled["hits"] = scaled["accesses"] - scaled["faults"] - scaled["atomic_faults"]
        return replace(result, params=params, **scaled)


def status(divisor: int) -> str:
    """Say how far figures can be trusted: ``exact``, or ``sample 1/N``."""
    return "exact" if divisor == 1 else f"sample 1/{divisor}"


def divisor(trace: Replayable, params: Params, n_chunks: int) -> int:
    """Return N for a sample of a trace that touches `n_chunks`: a power of two, 1 for no sample."""
    limit_chunks = params.threshold_bytes // params.chunk_bytes
    most = min(
        len(trace) // SAMPLE_EVENTS, n_chunks // LEAST_CHUNKS, limit_chunks // LEAST_LIMIT_CHUNKS
    )
    return 1 if most < LEAST_DIVISOR else int(1 << most.bit_length() - 1)


def touched_chunks(trace: Replayable, params: Params) -> Indices:
    """Return the chunks that a trace touches, ascending; one pass over it.

    Raises
    ------
    TraceError
        If the trace's page size or one of its pfns is not the region's.
    ParameterError
        If a byte for each chunk of the region would not fit in memory.
    """
    geometry = Geometry.of(params)
    check_region_fits(params, geometry.n_chunks, "a sample of a trace")
    touched = np.zeros(geometry.n_chunks, np.bool_)
    for events in trace.pieces(params, _PIECE_EVENTS):
        touched[geometry.chunks_of(events.pfns)] = True
    return np.flatnonzero(touched)


def sampled(trace: Replayable, params: Params, touched: Indices, divisor: int) -> Sample:
    """Return the events on one of every `divisor` chunks of those `touched`; one pass."""
    chunks = _drawn(touched, divisor)
    parts = list(_on_chunks(trace, params, chunks))
    columns: dict[str, Any] = {n: np.concatenate([part[n] for part in parts]) for n in parts[0]}
    kept = columns.pop("kept")
    small = Trace(**columns, page_bytes=trace.page_bytes, name=trace.name, evidence=trace.evidence)
    return Sample(small, kept, chunks, len(trace), divisor, Geometry.of(params).chunk_pfns)


def _drawn(touched: Indices, divisor: int) -> Indices:
    """Draw one of each `divisor` neighbours; which, says a hash of its place."""
    places = np.arange(len(touched) // divisor, dtype=np.uint64)
    drawn = ((places + np.uint64(1)) * _GOLDEN >> _HIGH_BITS) % np.uint64(divisor)
    return touched[(places * np.uint64(divisor) + drawn).astype(np.int64)]


def _on_chunks(trace: Replayable, params: Params, chunks: Indices) -> Iterator[dict[str, Any]]:
    """Yield the events on some chunks piece by piece, as columns, with pages moved together."""
    geometry = Geometry.of(params)
    drawn = np.zeros(geometry.n_chunks, np.bool_)
    drawn[chunks] = True
    yield {"kept": np.zeros(0, np.int64)} | _empty(trace)
    for events in trace.pieces(params, _PIECE_EVENTS):
        of_event = geometry.chunks_of(events.pfns)
        which = np.flatnonzero(drawn[of_event])
        offsets = (events.pfns[which].astype(np.int64) - params.first_pfn) % geometry.chunk_pfns
        place = np.searchsorted(chunks, of_event[which])
        columns = {"kept": which + events.start, "pfns": place * geometry.chunk_pfns + offsets}
        others = {"ops": events.ops, "atomic": events.atomic}
        yield columns | {n: column[which] for n, column in others.items() if column is not None}


def _empty(trace: Replayable) -> dict[str, Any]:
    columns: dict[str, Any] = {"pfns": np.zeros(0, np.int64)}
    columns |= {"ops": np.zeros(0, np.uint8)} if trace.has_ops else {}
    return columns | ({"atomic": np.zeros(0, np.bool_)} if trace.has_atomic else {})
