"""``pfnlab host``: what this kernel pays for descriptors, and what else would cost on it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from pfnlab.cli import flags, output

if TYPE_CHECKING:
    from pfnlab.host.struct_page import Host


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--root", default="/", metavar="FOLDER", help="where proc and sys are (default: /)"
    )
    flags.add_json(parser, "print all as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Read the host and print it."""
    from pfnlab.alternatives.real_kernel import host_schemes
    from pfnlab.host.struct_page import this_host

    host = this_host(arguments.root)
    if arguments.json:
        table = json.loads(host_schemes(host).to_json(orient="records"))
        about = asdict(host) | {"descriptors_bytes": host.descriptors_bytes, "schemes": table}
        output.print_json(about, indent=1)
    else:
        output.print_lines(_lines(host))
    return 0


def _lines(host: Host) -> Iterator[str]:
    from pfnlab.params.units import short_bytes

    memory = "unknown" if host.memory_bytes is None else short_bytes(host.memory_bytes)
    yield f"Linux {host.kernel}, {host.n_cpus} CPUs, pages of {short_bytes(host.page_bytes)}"
    yield f"memory       {memory}"
    paid = host.descriptors_bytes
    if paid is None:
        yield "descriptors  unknown"
    else:
        each = host.bytes_a_page
        share = "" if each is None else f", {each:.1f} bytes a page of RAM"
        boot, later = (short_bytes(n or 0) for n in (host.memmap_boot_bytes, host.memmap_bytes))
        yield f"descriptors  {short_bytes(paid)} ({boot} at boot, {later} later){share}"
    for kind, size in host.ranges.items():
        yield f"range        {short_bytes(size)} of {kind}"
    for device in host.devices:
        note = f" ({device.note})" if device.note else ""
        yield f"device       {device.name}, {device.kind}, {short_bytes(device.size_bytes)}{note}"
    for size, number in host.huge_pages.items():
        yield f"hugetlb      {number:,} pages of {short_bytes(size)}"
    for name, text in host.settings.items():
        yield f"setting      {name} = {text}"
    for sentence in host.unknown:
        yield f"not known    {sentence}"
    devices = [(device.name, device.size_bytes) for device in host.devices]
    for title, n_bytes in [("its RAM", host.memory_bytes or 0), *devices]:
        if n_bytes:
            yield ""
            yield f"Descriptors of {title} ({short_bytes(n_bytes)}), were they held as"
            yield from _table(host, n_bytes)


def _table(host: Host, size: int) -> Iterator[str]:
    from pfnlab.alternatives.real_kernel import host_schemes
    from pfnlab.params.units import short_bytes

    for row in host_schemes(host, size).to_dict("records"):
        dram, device = short_bytes(row["all_dram_bytes"]), short_bytes(row["device_bytes"])
        yield f"  {row['scheme']:20}{dram:>12} of DRAM{device:>12} of the device  {row['note']}"
