"""The twin: the mechanism of DESIGN 5 running for real, on memory of this process.

Descriptors are stored into a reserved range as large as the vmemmap. The kernel's page fault is the
populate, ``madvise(MADV_DONTNEED)`` the eviction, ``mlock2`` the pin. Its shootdown reaches only
CPUs that run this process; that of a kernel range reaches all.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from pfnlab.engine.counters import layout_of, named, result_of
from pfnlab.engine.event_codes import Settler
from pfnlab.engine.feeding import drive
from pfnlab.engine.mechanism import Mechanism
from pfnlab.engine.result import Result
from pfnlab.errors import PfnlabError
from pfnlab.host.limits import check_locks, check_twin, vmemmap_bytes, why_no_twin
from pfnlab.host.other_cpus import spinning, tlb_interrupts
from pfnlab.host.reserved_range import reserved, resident_granules
from pfnlab.kernels import state as places
from pfnlab.kernels.host import reserved as memory
from pfnlab.kernels.host import twin as kernel
from pfnlab.kernels.host.interpreted import interpreted
from pfnlab.kernels.host.system_calls import CLOCK_WORDS, MOST_RANGES, USAGE_WORDS
from pfnlab.params import Params
from pfnlab.params.geometry import Geometry
from pfnlab.params.memory import check_fits
from pfnlab.traces.sources import Replayable

__all__ = ["Twin", "run_twin", "why_no_twin"]

Pages = Literal["small", "huge"]
Run = Callable[..., int]
EvictBy = Literal["madvise", "process_madvise"]
#: Events between two looks at Ctrl-C: each may take a fault and the unmapping of 2 MiB.
_PIECE_EVENTS = 1 << 13
_FAILED_PLACES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """Counts and times of a trace that ran for real.

    Attributes
    ----------
    result
        The counters of DESIGN 5, as of `pfnlab.replay`.
    predicted, predicted_granules
        The simulator's counters, and the indices of the granules that it leaves resident.
    minor_faults
        Counts of the kernel for the thread that ran the events.
    resident_granules
        Indices of the granules that are resident at the end, as ``mincore`` tells, int64.
    elapsed_ns
        Time of all events.
    evict_calls, evicted_pages
        Calls that unmapped, also those that were refused, and 4 KiB pages that went.
    small_pages
        Granules that should have been one huge page and were not.
    tlb_ipis
        Shootdown interrupts of the whole machine meanwhile; None where they can't be read.
    """

    result: Result
    predicted: Result
    predicted_granules: npt.NDArray[np.int64]
    minor_faults: int
    resident_granules: npt.NDArray[np.int64]
    elapsed_ns: int
    evict_calls: int
    evicted_pages: int
    small_pages: int
    tlb_ipis: int | None
    huge: bool

    @property
    def expected_minor_faults(self) -> int:
        """Faults that the kernel must have counted: one per page, or one per huge page."""
        pages = self.result.params.granule_bytes // memory.PAGE_BYTES
        if not self.huge:
            return self.result.faults * pages
        return self.result.faults + self.small_pages * (pages - 1)

    @property
    def resident_bytes(self) -> int:
        """Bytes that are resident at the end, as ``mincore`` tells."""
        return len(self.resident_granules) * self.result.params.granule_bytes

    def mismatches(self) -> dict[str, tuple[int | float, int | float]]:
        """Return what differs, by name: what was predicted, and what happened.

        Of ``resident_granules`` it is how many either has, and how many both have. An interpreted
        twin may show minor faults of the interpreter's own.
        """
        expected, found = self.predicted.counts(), self.result.counts()
        mine, kernels = self.predicted_granules, self.resident_granules
        expected |= {
            "minor_faults": self.expected_minor_faults,
            "resident_granules": len(np.union1d(mine, kernels)),
        }
        common = len(np.intersect1d(mine, kernels))
        found |= {"minor_faults": self.minor_faults, "resident_granules": common}
        return {
            name: (expected[name], found[name]) for name in found if expected[name] != found[name]
        }


def run_twin(
    trace: Replayable,
    params: Params,
    *,
    pages: Pages = "small",
    evict_by: EvictBy = "madvise",
    neighbours: int = 0,
    compiled: bool = True,
) -> Twin:
    """Run a trace for real, and predict it.

    Parameters
    ----------
    trace, params
        As for `pfnlab.replay`; the policy must be lra.
    pages
        ``"huge"``: a granule is 2 MiB, and one transparent huge page.
    evict_by
        ``"madvise"``: a call a chunk; ``"process_madvise"``: one for up to 1024 chunks of a pass.
    neighbours
        Threads that keep other CPUs busy in this process, which its shootdowns then interrupt.
    compiled
        False interprets the same loop: thousands of times slower, and no figure of time.

    Raises
    ------
    PfnlabError
        Before anything is reserved: where this machine can't (see `why_no_twin`), or its limits
        on memory, locked memory or mappings are too low for the trace.
    ParameterError, TraceError
        For what the twin does not do, and as `pfnlab.replay`.
    """
    check_twin(params, pages, evict_by, neighbours)
    simulator = Mechanism(trace, params)
    drive(trace, params, [simulator])
    (predicted,) = simulator.results()
    check_fits(
        predicted.peak_resident_bytes + predicted.page_table_kept_bytes,
        "threshold_bytes",
        params.threshold_bytes,
        "what is resident at once",
    )
    check_locks(trace, params)
    events = kernel.run if compiled else interpreted(kernel.run)
    return _ran(trace, params, simulator, pages == "huge", evict_by, neighbours, events)


def _ran(
    trace: Replayable,
    params: Params,
    simulator: Mechanism,
    huge: bool,
    evict_by: EvictBy,
    neighbours: int,
    run: Run,
) -> Twin:
    """Run all events; whatever happens, memory, locks and threads are gone afterwards."""
    geometry = Geometry.of(params)
    tables = _tables(trace, geometry, params)
    with ExitStack() as stack:
        words = stack.enter_context(reserved(vmemmap_bytes(params), huge=huge))
        pidfd = -1
        if evict_by == "process_madvise":
            pidfd = os.pidfd_open(os.getpid())
            stack.callback(os.close, pidfd)
        stack.enter_context(spinning(neighbours))
        place = _range(params, int(words.ctypes.data), huge, pidfd)
        before = tlb_interrupts()
        _feed(trace, params, place, tables, words, run)
        after = tlb_interrupts()
        resident = resident_granules(words, params.granule_bytes)
    counts = tables.counts
    return Twin(
        result=result_of(params, len(trace), named(places, counts)),
        predicted=simulator.results()[0],
        predicted_granules=simulator.resident_granules,
        minor_faults=int(tables.seen[memory.MINOR_FAULTS]),
        resident_granules=resident,
        elapsed_ns=int(tables.seen[memory.ELAPSED_NS]),
        evict_calls=int(tables.seen[memory.EVICT_CALLS]),
        evicted_pages=int(counts[places.EVICTED_GRANULES]) * place.granule_pages,
        small_pages=int(tables.seen[memory.SMALL_PAGES]),
        tlb_ipis=None if before is None or after is None else after - before,
        huge=huge,
    )


def _feed(
    trace: Replayable,
    params: Params,
    place: memory.Range,
    tables: memory.Tables,
    words: npt.NDArray[np.int64],
    run: Run,
) -> None:
    """Run the trace piece by piece."""
    settler = Settler(trace.name)
    # Once with no event, so that what a first call touches is not counted.
    run(place, tables, words, np.zeros(0, np.uint32), np.zeros(0, np.uint8), 0, 0)
    with tqdm(total=len(trace), desc=f"twin of {trace.name}", unit="event", disable=None) as bar:
        for events in trace.pieces(params, _PIECE_EVENTS):
            codes = settler.codes(events)
            done = run(place, tables, words, events.pfns, codes, 0, len(codes))
            _refuse(tables, done < len(codes))
            bar.update(len(codes))


def _refuse(tables: memory.Tables, full: bool) -> None:
    """Stop when what the kernel answered can't be, or what it refused was needed."""
    if full:
        raise PfnlabError(f"twin: more than {_FAILED_PLACES // 2} GETs failed and were not PUT")
    if tables.seen[memory.REFUSED_LOCKS]:
        raise PfnlabError("twin: the kernel refused to lock a chunk (ulimit -l, vm.max_map_count)")
    if tables.seen[memory.WRONG_ANSWERS]:
        raise PfnlabError("twin: the kernel unmapped what was pinned, or refused what was not")


def _range(params: Params, address: int, huge: bool, pidfd: int) -> memory.Range:
    return memory.Range(
        address=address,
        **layout_of(params),
        descriptor_words=params.descriptor_bytes // 8,
        granule_pages=params.granule_bytes // memory.PAGE_BYTES,
        reserve_granules=params.reserve_granules,
        huge=huge,
        pidfd=pidfd,
    )


def _tables(trace: Replayable, geometry: Geometry, params: Params) -> memory.Tables:
    """Allocate the tables and write to all of them: their own faults must not be counted later."""
    n_rows = min(len(trace), geometry.n_chunks) + memory.FIRST_ROW
    n_keys = 1 << (2 * n_rows).bit_length()
    n_windows = geometry.n_windows
    needed = 40 * n_rows + 16 * n_keys + geometry.n_granules // 8 + 9 * n_windows
    check_fits(needed, "region_bytes", params.region_bytes, "the tables of a twin")
    tables = memory.Tables(
        chunks=_written((n_rows, 5), 0),
        keys=_written(n_keys, places.FREE),
        rows=_written(n_keys, 0),
        failed_pfns=_written(_FAILED_PLACES, places.FREE),
        failed=_written(_FAILED_PLACES, 0),
        ever=np.full(-(-geometry.n_granules // 64), 0, np.uint64),
        windows=_written(n_windows, 0),
        windows_ever=np.full(n_windows, 0, np.uint8),
        counts=_written(places.N_COUNTS, 0),
        seen=_written(memory.N_SEEN, 0),
        victims=_written(MOST_RANGES, 0),
        ranges=_written(2 * MOST_RANGES, 0),
        core=np.full(512, 0, np.uint8),
        usage=_written(USAGE_WORDS, 0),
        clock=_written(CLOCK_WORDS, 0),
    )
    tables.chunks[memory.HEAD, (memory.PREV, memory.NEXT)] = memory.HEAD
    tables.counts[places.RESERVE] = params.reserve_granules
    return tables


def _written(shape: int | tuple[int, int], value: int) -> npt.NDArray[np.int64]:
    array = np.empty(shape, np.int64)
    array.fill(value)
    return array
