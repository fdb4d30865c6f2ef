"""Cost presets: every figure with its source and how far it can be trusted. Data, no logic."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

#: V checked at the source, V2 second-hand, M from memory, C computed from others, L measured on one
#: small noisy machine, A an assumption: no source gives the figure.
Trust = Literal["V", "V2", "M", "C", "L", "A"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One cost in ns (`preset_cpus`: CPUs) with its trust tag and source."""

    value: float
    trust: Trust
    source: str


_HVO = "HVO batching cover letter v8 (Oct 2023): extra time a 2 MiB page, <= 2 flushes"
_LATR = "LATR, ASPLOS 2018"
_ZONE_DEVICE = "ZONE_DEVICE init of 100 GB, lkml 2605.2/02033, steady state"
_DEFERRED = "deferred struct page init, 1 TB on 4 nodes, lkml 1504.3/03018"
_PROPORTIONAL = "shootdown / preset_cpus: assumed proportional to the CPUs reached"

# What presets of x86-64 kernels share. Initialising writes all 64 bytes: nothing is zeroed.
_KERNEL = {
    "trap": Figure(700, "M", "exception, allocation and mapping of a minor fault, no zeroing"),
    "zero_per_4k": Figure(0, "C", "initialising a struct page writes all of it"),
    "init_per_descriptor": Figure(10.4, "V", _ZONE_DEVICE),
    "unmap_per_4k": Figure(222, "L", "madvise(MADV_DONTNEED) of 2 MiB, Zen 4 guest, a page"),
    "freeze_per_descriptor": Figure(1, "A", "streaming read of one reference count"),
    "ipi": Figure(500, "A", "interrupt entry and exit on a CPU that is flushed"),
    "invlpg": Figure(100, "V", "arch/x86/mm/tlb.c: about 100 ns each"),
    "full_flush_refill": Figure(5000, "A", "page walks that refill one CPU's TLB"),
    "dram_latency": Figure(100, "M", "local DRAM, dependent load"),
    "device_latency": Figure(350, "V", "Optane average idle read, Intel 2018"),
    "dtlb_miss": Figure(10, "M", "page walk that hits the cache, 20 to 40 cycles"),
    "rebuild": Figure(0, "A", "state lost with an evicted descriptor; depends on its owner"),
}

_GUEST = {
    "ipi": Figure(2000, "A", "interrupt entry and exit in a virtual machine"),
    "dtlb_miss": Figure(52, "L", "nested walk, Zen 4 guest, low end"),
}


def _proportional(shootdown: float, cpus: float) -> dict[str, Figure]:
    return {"shootdown_per_cpu": Figure(round(shootdown / cpus, 1), "C", _PROPORTIONAL)}


_PRESETS: dict[str, Mapping[str, Figure]] = {
    "lka2015-2s16": _KERNEL
    | _proportional(6000, 16)
    | {
        "init_per_descriptor": Figure(17, "V", _DEFERRED),
        "shootdown": Figure(6000, "M", f"{_LATR}: 16 cores, 2 sockets"),
        "preset_cpus": Figure(16, "V2", _LATR),
        "dram_latency": Figure(81, "M", "local DDR4"),
        "device_latency": Figure(305, "V2", "Optane random read, arXiv 1903.05714"),
    },
    "latr-8s120": _KERNEL
    | _proportional(80000, 120)
    | {
        "init_per_descriptor": Figure(17, "V", _DEFERRED),
        "shootdown": Figure(80000, "M", f"{_LATR}: 120 cores, 8 sockets"),
        "preset_cpus": Figure(120, "V2", _LATR),
        "device_latency": Figure(305, "V2", "Optane random read, arXiv 1903.05714"),
    },
    "hvo-8s": _KERNEL
    | _proportional(33000, 144)
    | {
        "shootdown": Figure(33000, "C", f"{_HVO}; 22 to 45 us on 8 sockets"),
        "preset_cpus": Figure(144, "A", "8 x Xeon E7-8895; 18 cores each assumed"),
    },
    "hvo-vm252": _KERNEL
    | _GUEST
    | _proportional(205000, 252)
    | {
        "trap": Figure(1100, "M", "minor fault in a guest, nested paging"),
        "shootdown": Figure(205000, "C", f"{_HVO}; 136 to 273 us with 252 vCPUs"),
        "preset_cpus": Figure(252, "V", _HVO),
    },
    "invlpgb": _KERNEL
    | {
        "init_per_descriptor": Figure(4, "V", "streaming-store patches, lkml 2605.2/02033"),
        "shootdown": Figure(2000, "A", "broadcast by hardware; no published figure found"),
        "shootdown_per_cpu": Figure(0, "V", "no IPI: lkml 2412.2/08821"),
        "preset_cpus": Figure(36, "V", "36-core Milan, lkml 2412.2/08821"),
        "ipi": Figure(0, "V", "no IPI: lkml 2412.2/08821"),
        "device_latency": Figure(
            250, "V2", "CXL memory, typical claim; 2 to 5 times local DRAM (arXiv 2405.14209)"
        ),
    },
    "uffd-proto": _KERNEL
    | _GUEST
    | _proportional(10000, 2)
    | {
        "trap": Figure(7800, "V", "userfaultfd round trip, mean, makedist.com 2016-10-10"),
        "init_per_descriptor": Figure(0, "A", "the handler supplies a zeroed page"),
        "shootdown": Figure(10000, "L", "one delivered IPI, 2-vCPU guest, low end"),
        "preset_cpus": Figure(2, "L", "2-vCPU guest"),
    },
    "gpu-uvm": _KERNEL
    | {
        "trap": Figure(45000, "V2", "far-fault batch in GPU UVM studies, no vmemmap fault"),
        "shootdown": Figure(10000, "A", "GPU TLB invalidation; no published figure found"),
        "shootdown_per_cpu": Figure(0, "A", "the GPU's TLBs, not the CPUs'"),
        "preset_cpus": Figure(1, "A", "the GPU's TLBs, not the CPUs'"),
        "device_latency": Figure(1000, "M", "remote access over the bus"),
    },
}
#: Every built-in preset by name.
PRESETS: Mapping[str, Mapping[str, Figure]] = MappingProxyType(_PRESETS)
