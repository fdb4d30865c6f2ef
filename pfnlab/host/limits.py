"""Checks of what a twin needs of this machine, before anything is reserved."""

import ctypes
import mmap
import os
import platform
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np

from pfnlab.engine.event_codes import Settler
from pfnlab.errors import ParameterError, PfnlabError
from pfnlab.host.reserved_range import HUGE_BYTES, reserved
from pfnlab.kernels.host import locks
from pfnlab.kernels.host.system_calls import MADV_DONTNEED, MADV_POPULATE_WRITE, process_madvise
from pfnlab.kernels.state import FREE
from pfnlab.params import PARAMETERS, Params
from pfnlab.params.geometry import Geometry
from pfnlab.params.units import OS_PAGE_BYTES, short_bytes
from pfnlab.traces.sources import Replayable

#: Words of a descriptor that a twin writes: touched, references, and the marker of its page.
LEAST_DESCRIPTOR_BYTES = 32
_CAP_IPC_LOCK = 14
_SLACK_MAPPINGS = 64
_PROC = Path("/proc")


def this_machine() -> dict[str, str]:
    """Return ``machine`` and ``date`` of a measurement."""
    kernel = f"{platform.system()} {platform.release().split('-')[0]}"
    today = time.strftime("%Y-%m-%d", time.gmtime())
    return {"machine": f"{os.cpu_count()} CPUs, {kernel}", "date": today}


def why_no_twin() -> str | None:
    """Return the reason why no twin can run on this machine, None if one can."""
    if sys.platform != "linux":
        return "needs Linux"
    if not hasattr(ctypes.CDLL(None), "mlock2"):
        return "needs a C library with mlock2"
    if mmap.PAGESIZE != OS_PAGE_BYTES:
        return f"needs pages of 4 KiB, this kernel has {short_bytes(mmap.PAGESIZE)}"
    with mmap.mmap(-1, OS_PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        try:
            page.madvise(MADV_POPULATE_WRITE)
        except OSError:
            return "needs a kernel with MADV_POPULATE_WRITE (5.14)"
    return None


@cache
def unmaps_by_vector() -> bool:
    """Return True if a process may unmap its own pages by ``process_madvise``."""
    if not hasattr(os, "pidfd_open"):
        return False
    with mmap.mmap(-1, OS_PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        address = np.frombuffer(page, np.uint8).ctypes.data
        pidfd = os.pidfd_open(os.getpid())
        try:
            ranges = np.array([address, OS_PAGE_BYTES], np.int64)
            return process_madvise(pidfd, ranges, 1, MADV_DONTNEED) == OS_PAGE_BYTES
        finally:
            os.close(pidfd)


def check_twin(params: Params, pages: str, evict_by: str, neighbours: int) -> None:
    """Refuse settings that this machine or any twin can't run."""
    if (reason := why_no_twin()) is not None:
        raise PfnlabError(f"no twin can run here: {reason}")
    if params.policy != "lra":
        raise ParameterError("policy", params.policy, "must be lra: a twin knows no other order")
    if params.descriptor_bytes < LEAST_DESCRIPTOR_BYTES:
        requirement = f"must be at least {LEAST_DESCRIPTOR_BYTES} for a twin, which writes to them"
        raise ParameterError("descriptor_bytes", params.descriptor_bytes, requirement)
    if pages not in ("small", "huge"):
        raise ParameterError("pages", pages, "must be 'small' or 'huge'")
    if pages == "huge" and params.granule_bytes != HUGE_BYTES:
        granule = short_bytes(params.granule_bytes)
        raise ParameterError("granule_bytes", granule, "must be 2 MiB with pages='huge'")
    if evict_by not in ("madvise", "process_madvise"):
        raise ParameterError("evict_by", evict_by, "must be 'madvise' or 'process_madvise'")
    if evict_by == "process_madvise" and not unmaps_by_vector():
        requirement = "this kernel must let a process unmap its own pages so (6.13)"
        raise ParameterError("evict_by", evict_by, requirement)
    check_address_space(params)
    most = len(os.sched_getaffinity(0)) - 1
    if isinstance(neighbours, bool) or not isinstance(neighbours, int) or neighbours < 0:
        raise ParameterError("neighbours", neighbours, "must be a number of threads")
    if neighbours > most:
        raise ParameterError("neighbours", neighbours, f"must leave a CPU to the twin: {most}")


def check_address_space(params: Params) -> None:
    """Refuse a region whose vmemmap this process can't reserve; reserve it once to find out."""
    try:
        with reserved(vmemmap_bytes(params), huge=False):
            pass
    except PfnlabError as error:
        region = PARAMETERS["region_bytes"].show(params.region_bytes)
        raise ParameterError("region_bytes", region, str(error)) from None


def vmemmap_bytes(params: Params) -> int:
    """Return the bytes of the range to reserve: the vmemmap in whole chunks."""
    return Geometry.of(params).n_chunks * params.chunk_bytes


def check_locks(trace: Replayable, params: Params) -> None:
    """Refuse pins that would lock more memory, or cut it into more mappings, than is allowed."""
    if not trace.has_ops:
        return
    n_locked, n_runs = peak_locks(trace, params)
    limit, locked = lockable_bytes(), n_locked * params.chunk_bytes
    if limit is not None and locked > limit:
        raise PfnlabError(
            f"chunk_bytes={short_bytes(params.chunk_bytes)}: pins lock {n_locked:,} chunks at "
            f"once, {short_bytes(locked)}, and this process may lock {short_bytes(limit)} "
            f"(ulimit -l)"
        )
    # Tables and neighbours' stacks are mapped later.
    needed, allowed = 2 * n_runs + _SLACK_MAPPINGS + _n_mappings(), _most_mappings()
    if needed > allowed:
        raise PfnlabError(
            f"chunk_bytes={short_bytes(params.chunk_bytes)}: scattered pins cut the range into "
            f"{needed:,} mappings, and this process may have {allowed:,} (vm.max_map_count)"
        )


def peak_locks(trace: Replayable, params: Params) -> tuple[int, int]:
    """Return the most chunks with live pins at once, and the most runs of adjacent ones."""
    geometry = Geometry.of(params)
    n_places = 1 << (2 * min(len(trace), geometry.n_chunks)).bit_length()
    keys, pins = np.full(n_places, FREE, np.int64), np.zeros(n_places, np.int64)
    found, settler = np.zeros(locks.N_FOUND, np.int64), Settler(trace.name)
    shift = geometry.chunk_pfns.bit_length() - 1
    for events in trace.pieces(params):
        codes = settler.codes(events)
        locks.follow_locks(keys, pins, found, events.pfns, codes, params.first_pfn, shift)
    return int(found[locks.PEAK_LOCKED]), int(found[locks.PEAK_RUNS])


def lockable_bytes() -> int | None:
    """Return how much this process may lock, None if there is no limit."""
    import resource

    status = (_PROC / "self/status").read_text()
    capabilities = int(status.partition("CapEff:")[2].split()[0], 16)
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return None if capabilities >> _CAP_IPC_LOCK & 1 or soft == resource.RLIM_INFINITY else soft


def _n_mappings() -> int:
    return (_PROC / "self/maps").read_text().count("\n")


def _most_mappings() -> int:
    return int((_PROC / "sys/vm/max_map_count").read_text())
