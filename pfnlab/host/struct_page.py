"""The memory that the running kernel spends on ``struct page``.

All is read from ``/proc`` and ``/sys``. What they do not have is unknown, with the reason.
"""

import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: ``/proc/iomem`` ranges that hold descriptors, or could.
_KINDS = ("System RAM", "Persistent Memory", "Soft Reserved", "CXL Window")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A range that is no plain RAM: a namespace, a DAX device, a CXL region."""

    name: str
    kind: str
    size_bytes: int
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The memory that a kernel spends on descriptors.

    Attributes
    ----------
    kernel, n_cpus, page_bytes
        Release, CPUs that are online, size of a base page.
    memory_bytes
        RAM that zones hold, None if unknown.
    memmap_boot_bytes, memmap_bytes
        Descriptors allocated at boot and later, ``nr_memmap_boot_pages`` and ``nr_memmap_pages``
        (Linux 6.11 and newer); None if the kernel does not tell.
    ranges
        Bytes of physical address space by kind, from ``/proc/iomem``; empty if it hides them.
    devices
        DAX devices, NVDIMM namespaces and CXL regions.
    huge_pages
        Pages of each hugetlb pool, by their size in bytes.
    settings
        Of HVO and of ``memmap_on_memory``, as the kernel writes them.
    unknown
        A sentence for each fact that could not be read.
    """

    kernel: str
    n_cpus: int
    page_bytes: int
    memory_bytes: int | None = None
    memmap_boot_bytes: int | None = None
    memmap_bytes: int | None = None
    ranges: dict[str, int] = field(default_factory=dict)
    devices: tuple[Device, ...] = ()
    huge_pages: dict[int, int] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    @property
    def descriptors_bytes(self) -> int | None:
        """Descriptors of all kinds; None if the kernel does not tell."""
        if self.memmap_boot_bytes is None:
            return None
        return self.memmap_boot_bytes + (self.memmap_bytes or 0)

    @property
    def bytes_a_page(self) -> float | None:
        """Descriptor bytes allocated at boot for each page of RAM; None if unknown."""
        if not self.memory_bytes or self.memmap_boot_bytes is None:
            return None
        return self.memmap_boot_bytes / (self.memory_bytes / self.page_bytes)


def this_host(root: str | os.PathLike[str] = "/") -> Host:
    """Read the facts of the kernel under `root`; a missing file is no error."""
    reader = _Reader(Path(root))
    page = reader.page_bytes()
    counts = reader.pairs("proc/vmstat")
    boot, later = counts.get("nr_memmap_boot_pages"), counts.get("nr_memmap_pages")
    if boot is None:
        reader.unknown.append("descriptors: /proc/vmstat has no nr_memmap_boot_pages (Linux 6.11)")
    return Host(
        kernel=reader.text("proc/sys/kernel/osrelease") or platform.release(),
        n_cpus=reader.n_cpus(),
        page_bytes=page,
        memory_bytes=reader.memory_bytes(page),
        memmap_boot_bytes=None if boot is None else boot * page,
        memmap_bytes=None if later is None else later * page,
        ranges=reader.ranges(),
        devices=tuple(reader.devices()),
        huge_pages=reader.huge_pages(),
        settings=reader.settings(),
        unknown=tuple(reader.unknown),
    )


class _Reader:
    """Files below a root, and what was missing in them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.unknown: list[str] = []

    def text(self, name: str) -> str | None:
        """Return a file's text, None if it can't be read."""
        try:
            return (self.root / name).read_text(errors="replace").strip()
        except (OSError, ValueError):
            return None

    def number(self, name: str) -> int | None:
        """Return the number in a file, decimal or after 0x; None if there is none."""
        try:
            return int(self.text(name) or "", 0)
        except ValueError:
            return None

    def pairs(self, name: str) -> dict[str, int]:
        """Return the numbers of lines ``name number``."""
        lines = (line.split() for line in (self.text(name) or "").splitlines())
        return {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdigit()}

    def page_bytes(self) -> int:
        """Return the size of a base page: of ``/proc/self/smaps``' first mapping, or our own."""
        found = re.search(r"KernelPageSize:\s+(\d+) kB", self.text("proc/self/smaps") or "")
        size = int(found[1]) * 1024 if found else 0
        return size if size >= 4096 else os.sysconf("SC_PAGE_SIZE")

    def n_cpus(self) -> int:
        """Return the CPUs that are online."""
        parts = (self.text("sys/devices/system/cpu/online") or "").split(",")
        spans = [part.partition("-") for part in parts if part]
        try:
            return sum(int(last or first) - int(first) + 1 for first, _, last in spans) or 1
        except ValueError:
            return os.cpu_count() or 1

    def memory_bytes(self, page_bytes: int) -> int | None:
        """Return the RAM that zones hold."""
        present = re.findall(r"^\s*present\s+(\d+)$", self.text("proc/zoneinfo") or "", re.M)
        if not present:
            self.unknown.append("memory: /proc/zoneinfo has no zone with present pages")
            return None
        return sum(map(int, present)) * page_bytes

    def ranges(self) -> dict[str, int]:
        """Return the bytes of each kind of physical range."""
        text = self.text("proc/iomem")
        found: dict[str, int] = {}
        counted = -1  # last address of the outermost range that was counted
        for line in (text or "").splitlines():
            match = re.match(r"\s*([0-9a-f]+)-([0-9a-f]+) : (.*)", line)
            kind = next((k for k in _KINDS if match and match[3].startswith(k)), None)
            if match and kind and counted < int(match[1], 16) <= int(match[2], 16) > 0:
                size = int(match[2], 16) - int(match[1], 16) + 1
                found[kind] = found.get(kind, 0) + size
                counted = int(match[2], 16)
        if text is None:
            self.unknown.append("physical ranges: /proc/iomem can't be read")
        elif not found:
            self.unknown.append("physical ranges: /proc/iomem hides addresses from all but root")
        return found

    def devices(self) -> Iterator[Device]:
        """Yield the devices of the DAX, NVDIMM and CXL drivers."""
        for kind, folder, pattern in (
            ("dax", "sys/bus/dax/devices", "*"),
            ("nvdimm", "sys/bus/nd/devices", "namespace*"),
            ("cxl", "sys/bus/cxl/devices", "region*"),
        ):
            for path in sorted((self.root / folder).glob(pattern)):
                name = f"{folder}/{path.name}"
                size = self.number(f"{name}/size")
                if not size:
                    continue
                facts = (self.text(f"{name}/{fact}") for fact in ("mode", "align", "memmap"))
                yield Device(
                    name=path.name,
                    kind=kind,
                    size_bytes=size,
                    note=", ".join(fact for fact in facts if fact),
                )

    def huge_pages(self) -> dict[int, int]:
        """Return the pages of each hugetlb pool by their size."""
        found = {}
        for path in sorted((self.root / "sys/kernel/mm/hugepages").glob("hugepages-[0-9]*kB")):
            size = int(re.sub(r"\D", "", path.name)) * 1024
            found[size] = self.number(f"sys/kernel/mm/hugepages/{path.name}/nr_hugepages") or 0
        return found

    def settings(self) -> dict[str, str]:
        """Return the kernel settings that decide how descriptors are allocated."""
        files = {
            "hugetlb_optimize_vmemmap": "proc/sys/vm/hugetlb_optimize_vmemmap",
            "memmap_on_memory": "sys/module/memory_hotplug/parameters/memmap_on_memory",
        }
        found = {name: self.text(file) for name, file in files.items()}
        return {name: "unknown" if text is None else text for name, text in found.items()}
