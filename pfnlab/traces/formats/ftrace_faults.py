"""ftrace of ``exceptions:page_fault_user``: a LOOKUP of each page that user code faulted on.

Pages are virtual, address // page size; those of all tasks in the text share one space. The flags
are those of the exception's entry, where interrupts are always off: they say nothing about the
place where a page is looked up, and so are left out.
"""

from collections.abc import Iterator

from pfnlab.traces.formats import Format, ftrace
from pfnlab.traces.formats.reading import Accesses, Reading

FAMILY = "ftrace_faults"
PATTERNS = ftrace.patterns_of(["page_fault_user: address=0x{address:x} {...}"])
looks_so = ftrace.looks_so(FAMILY)


def read(reading: Reading) -> Iterator[Accesses]:
    """Yield a lookup a fault, times from the first."""
    began = None
    for lines in ftrace.lines_of(reading, PATTERNS, FAMILY):
        times = lines.time_ns
        if len(times):
            began = int(times[0]) if began is None else began
            pages = lines.column("address") // reading.page_bytes
            yield Accesses(pages, cpus=lines.column("cpu"), time_ns=(times - began).clip(0))


FORMAT = Format(
    name="ftrace_faults",
    summary="ftrace text: page_fault_user",
    looks_so=looks_so,
    read=read,
)
