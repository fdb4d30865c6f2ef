"""Record a program as it runs: its calls by strace, or the machine's page cache by ftrace.

A method writes the text that its tool writes; `pfnlab.traces.formats` reads it. Nothing is left
behind: the text is temporary, the trace is there whole or not at all, and no program outlives an
error or Ctrl-C.
"""

import heapq
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from pfnlab.errors import FileError, ParameterError, TraceError, near
from pfnlab.traces.formats.foreign import Foreign, Options
from pfnlab.traces.formats.ftrace import FAMILIES
from pfnlab.traces.formats.strace import CALLS
from pfnlab.traces.native import save

TRACEFS = Path("/sys/kernel/tracing")
#: Size of the kernel's buffer for each CPU: about 300,000 events.
BUFFER_KIB = 32 << 10
_GROUPS = {"mm_filemap": "filemap", "mm_lru": "pagemap"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A way to record.

    Attributes
    ----------
    format
        Of the text that it writes.
    sees, blind
        What it records and what it can't see.
    lacks
        Says why it can't be used here, None if it can.
    record
        Runs a command and writes a text in a folder; its exit status and the text.
    """

    format: str
    sees: str
    blind: str
    lacks: Callable[[], str | None]
    record: Callable[[Sequence[str], Path], tuple[int, Path]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """The result of a capture; ``n_events == 0`` means that nothing was written."""

    method: str
    status: int
    n_events: int
    provenance: dict[str, str]


def capture(command: Sequence[str], target: str | os.PathLike[str], method: str) -> Captured:
    """Run a program and write what it did as a native trace.

    Parameters
    ----------
    command
        The program and its arguments. Its input and output are those of this process, save that it
        has no terminal to read from.
    target
        ``NAME.parquet``, or a new folder of columns.
    method
        One of `METHODS`.

    Raises
    ------
    ParameterError
        If there is no such program or method, or the method can't be used here: before anything
        runs.
    FileError
        If the trace can't be written, or the kernel's buffer lost events.
    """
    path = Path(target)
    check(command, path, method)
    how = METHODS[method]
    with _folder(path.parent) as folder:
        try:
            status, text = how.record(command, folder)
        except OSError as error:
            if isinstance(error, FileError):
                raise
            where = error.filename or folder
            raise FileError(f"{where}: can't be used to record ({error.strerror})") from error
        if not text.exists() or not text.stat().st_size:
            return Captured(method=method, status=status, n_events=0, provenance={})
        n_events, provenance = _written(command, text, path, method)
    return Captured(method=method, status=status, n_events=n_events, provenance=provenance)


def check(command: Sequence[str], target: Path, method: str) -> None:
    """Refuse a program, method or target that can't be used, before anything runs."""
    if method not in METHODS:
        raise ParameterError("method", method, f"no such method; {near(method, METHODS)}")
    if not command or shutil.which(command[0]) is None:
        raise ParameterError("command", command[0] if command else "", "must be a program here")
    lacks = METHODS[method].lacks()
    if lacks:
        raise ParameterError("method", method, f"can't be used: {lacks}")
    if target.suffix not in ("", ".parquet"):
        raise TraceError(f"{target}: suffix must be .parquet, or none for a folder of .npy columns")
    if target.exists() and (target.suffix == "" or not target.is_file()):
        raise FileError(f"{target}: can't be written, it exists already")


def usable_method() -> str:
    """Return the first of `METHODS` that can be used here.

    Raises
    ------
    ParameterError
        If none can, with the reasons.
    """
    reasons = {name: method.lacks() for name, method in METHODS.items()}
    for name, lacks in reasons.items():
        if lacks is None:
            return name
    said = "; ".join(f"{name}: {lacks}" for name, lacks in reasons.items())
    raise ParameterError("method", "auto", f"none can be used here ({said})")


def _written(
    command: Sequence[str], text: Path, target: Path, method: str
) -> tuple[int, dict[str, str]]:
    """Write the trace of a text; without an event nothing is written."""
    foreign = Foreign(text, Options(format=METHODS[method].format))
    try:
        with foreign.spooled(target.parent) as trace:
            about = _about(command, method, trace.provenance)
            save(replace(trace, name=Path(command[0]).name, provenance=about), target)
            return len(trace), about
    except TraceError as error:
        if ": has no event" not in str(error):
            raise
        return 0, {}


def _about(command: Sequence[str], method: str, read: Mapping[str, str]) -> dict[str, str]:
    """Say where the trace comes from; arguments and folders are nobody else's business."""
    how = METHODS[method]
    about = {
        "origin": f"pfnlab trace capture: {how.sees}",
        "command": f"{Path(command[0]).name} and {len(command) - 1} arguments",
        "captured": date.today().isoformat(),
        "kernel": f"{os.uname().sysname} {os.uname().release} {os.uname().machine}",
        "method": method,
        "blind": how.blind,
        "program": f"pfnlab {version('pfnlab')}",
    }
    if "placed" in read:
        parts = read["placed"].split("; ")
        about["placed"] = "; ".join(part.rpartition("/")[2] for part in parts)
    return about | {name: read[name] for name in ("format", "notes", "counts") if name in read}


@contextmanager
def _folder(parent: Path) -> Iterator[Path]:
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = TemporaryDirectory(prefix=".pfnlab-", dir=parent, ignore_cleanup_errors=True)
    except OSError as error:
        raise FileError(f"{parent}: can't be written ({error.strerror})") from error
    with folder as name:
        yield Path(name)


def _run(command: Sequence[str]) -> int:
    """Run in a group of its own, which is killed if we are stopped; the exit status."""
    stdin = subprocess.DEVNULL if sys.stdin is None or sys.stdin.isatty() else None
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        started = subprocess.Popen(list(command), stdin=stdin, process_group=0)
        try:
            return started.wait()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)  # with its children: strace's would live on
            started.wait()
            raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _strace_lacks() -> str | None:
    return None if shutil.which("strace") else "there is no program strace"


def _strace(command: Sequence[str], folder: Path) -> tuple[int, Path]:
    """Record calls, a file a thread, so that none is cut in two; then put them in order."""
    calls = ",".join(f"?{call}" for call in CALLS)
    said = ["-ff", "-qq", "-y", "--signal=none", f"--trace={calls}", "--string-limit=0",
            "--absolute-timestamps=format:unix,precision:ns", "--syscall-times=ns"]  # fmt: skip
    status = _run(["strace", *said, "-o", str(folder / "thread"), "--", *command])
    text = folder / "strace.txt"
    with ExitStack() as stack, text.open("wb") as out:
        files = [stack.enter_context(path.open("rb")) for path in folder.glob("thread.*")]
        ordered = heapq.merge(*files, key=lambda line: line.partition(b" ")[0])
        out.writelines(ordered)
    return status, text


def _ftrace_lacks() -> str | None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "it needs root"
    if not (TRACEFS / "instances").is_dir():
        return f"tracefs is not mounted at {TRACEFS}"
    gone = [event for event in _events() if not (TRACEFS / "events" / event).is_dir()]
    return f"this kernel has no tracepoint {gone[0]}" if gone else None


def _events() -> list[str]:
    """Return the tracepoints of the page cache, with their groups."""
    events = FAMILIES["ftrace_pagecache"]
    return [f"{_GROUPS['_'.join(event.split('_')[:2])]}/{event}" for event in events]


def _ftrace(command: Sequence[str], folder: Path) -> tuple[int, Path]:
    """Record the page cache in an instance of our own; what others trace is left alone."""
    text = folder / "ftrace.txt"
    instance = TRACEFS / "instances" / f"pfnlab-{os.getpid()}"
    instance.mkdir()
    try:
        settings = {"trace_clock": "mono", "buffer_size_kb": str(BUFFER_KIB)}
        settings |= {f"events/{event}/enable": "1" for event in _events()}
        for name, value in settings.items():
            (instance / name).write_text(value)
        status = _run(command)
        (instance / "tracing_on").write_text("0")
        _refuse_losses(instance)
        with (instance / "trace").open("rb") as source, text.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
    finally:
        instance.rmdir()
    return status, text


def _refuse_losses(instance: Path) -> None:
    for stats in sorted(instance.glob("per_cpu/cpu*/stats")):
        for line in stats.read_text().splitlines():
            name, _, n = line.partition(": ")
            if name in ("overrun", "commit overrun", "dropped events") and int(n):
                what = f"{name} of {stats.parent.name} must be 0, it is {n}"
                raise FileError(f"{stats.parent}: {what}: the program ran for too long")


METHODS = {
    "ftrace": Method(
        format="ftrace_pagecache",
        sees="pages entering, touched in and leaving the page cache of the whole machine",
        blind="pages that were cached before, anonymous memory, reads of cached pages, direct I/O; "
        "other programs' pages are not told apart",
        lacks=_ftrace_lacks,
        record=_ftrace,
    ),
    "strace": Method(
        format="strace",
        sees=f"calls at an offset of a file ({', '.join(CALLS)}) of the program and its children",
        blind="read and write at the file's position, mmap, io_uring, pages of the kernel's own",
        lacks=_strace_lacks,
        record=_strace,
    ),
}
