"""What a capture needs of the host: checks, a private ftrace instance, a memory-limited cgroup.

Everything here is undone when its ``with`` block ends, also on an error or Ctrl-C.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

TRACEFS = Path("/sys/kernel/tracing")
CGROUPS = Path("/sys/fs/cgroup")
INSTANCE = "pfnlab_capture"


class CaptureError(RuntimeError):
    """A capture could not be made, or its result would not be complete."""


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C and SIGTERM while inside: for cleaning up, which must not stop half-way."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A new folder in `parent` that other users may pass through, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="pfnlab-capture-", dir=parent))
    try:
        folder.chmod(0o711)  # PostgreSQL's user has to reach its folder below
        yield folder
    finally:
        with undisturbed():
            shutil.rmtree(folder, ignore_errors=True)


def find_program(name: str) -> str | None:
    """Path of program `name`, on PATH or among Debian's PostgreSQL programs (newest first)."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return shutil.which(name) or next((str(path) for path in debian), None)


def program(name: str) -> str:
    """Path of program `name`, which must exist."""
    path = find_program(name)
    if path is None:
        raise CaptureError(f"program={name}: not found")
    return path


def missing(
    programs: Sequence[str],
    events: Sequence[str],
    scratch: Path,
    free_bytes: int,
    user: str | None = None,
) -> list[str]:
    """Everything a capture needs and this host lacks, one sentence each; empty if it can start."""
    lacks = [f"program {name}: not found" for name in programs if find_program(name) is None]
    if user is not None and user not in {entry.pw_name for entry in pwd.getpwall()}:
        lacks.append(f"user {user}: this host has none")
    if not scratch.is_dir():
        lacks.append(f"scratch {scratch}: is no directory")
    elif shutil.disk_usage(scratch).free < free_bytes:
        lacks.append(f"scratch {scratch}: needs {free_bytes >> 30} GiB of free space")
    elif events and not _block_node(scratch).exists():
        lacks.append(f"scratch {scratch}: not on a block device (tmpfs, overlay, network?)")
    if not events:
        return lacks
    if os.geteuid() != 0:
        return [*lacks, "root: tracing, cgroups and drop_caches need it"]
    if not (TRACEFS / "events").is_dir():
        return [*lacks, f"tracefs: not mounted (mount -t tracefs nodev {TRACEFS})"]
    lacks += [
        f"tracepoint {event}: this kernel has none"
        for event in events
        if not (TRACEFS / "events" / event).is_dir()
    ]
    if _memory_cgroups() is None:
        lacks.append("memory cgroup: neither a v2 nor a v1 hierarchy with a memory controller")
    return lacks


def block_device(path: Path) -> tuple[int, int]:
    """Major and minor number of the whole disk under the file system that holds `path`."""
    disk = _block_node(path).resolve(strict=True)
    if (disk / "partition").exists():
        disk = disk.parent
    major, minor = (disk / "dev").read_text().split(":")
    return int(major), int(minor)


def _block_node(path: Path) -> Path:
    """Where sysfs describes the block device under `path`, if there is one."""
    device = path.stat().st_dev
    return Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")


def drop_caches() -> None:
    """Write dirty pages out and drop the clean page cache."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n")


@contextlib.contextmanager
def ftrace(events: dict[str, str], buffer_kib: int, raw: Path) -> Iterator[None]:
    """Record `events` (``"group/name": filter or ""``) into text file `raw` while inside.

    A separate instance, so a trace somebody else runs is left alone. Raises
    `CaptureError` if the ring buffer of any CPU (`buffer_kib` each) lost an event.
    """
    instance = TRACEFS / "instances" / INSTANCE
    instance.mkdir()
    try:
        _set(instance / "tracing_on", "0")
        _set(instance / "trace_clock", "mono")
        _set(instance / "buffer_size_kb", str(buffer_kib))
        for event, condition in events.items():
            if condition:
                _set(instance / "events" / event / "filter", condition)
            _set(instance / "events" / event / "enable", "1")
        _set(instance / "tracing_on", "1")
        yield
        _set(instance / "tracing_on", "0")
        _refuse_losses(instance)
        with (instance / "trace").open("rb") as source, raw.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
    finally:
        with undisturbed():
            instance.rmdir()


def _refuse_losses(instance: Path) -> None:
    """Raise unless every CPU's ring buffer kept every event."""
    for stats in sorted(instance.glob("per_cpu/cpu*/stats")):
        lines = (line.split(": ") for line in stats.read_text().splitlines() if ": " in line)
        counts = dict(lines)
        for field in ("overrun", "commit overrun", "dropped events"):
            if int(counts[field]) != 0:
                cpu = stats.parent.name
                raise CaptureError(f"{cpu} {field}={counts[field]}: must be 0 (larger buffer?)")


@contextlib.contextmanager
def memory_cgroup(limit_bytes: int) -> Iterator[Callable[[], None]]:
    """A cgroup with limited memory, page cache included; yields a ``preexec_fn`` to join it."""
    found = _memory_cgroups()
    if found is None:
        raise CaptureError("memory cgroup: no hierarchy with a memory controller")
    root, limit_file = found
    group = root / INSTANCE
    group.mkdir()
    try:
        _set(group / limit_file, str(limit_bytes))
        yield lambda: _set(group / "cgroup.procs", "0")  # 0: whoever writes it
    finally:
        with undisturbed():
            _move_out(group, root)
            group.rmdir()


def _memory_cgroups() -> tuple[Path, str] | None:
    """The root of the memory hierarchy and its limit's file name: v2, or the older v1."""
    controllers = CGROUPS / "cgroup.subtree_control"
    if controllers.exists() and "memory" in controllers.read_text().split():
        return CGROUPS, "memory.max"
    if (CGROUPS / "memory" / "memory.limit_in_bytes").exists():
        return CGROUPS / "memory", "memory.limit_in_bytes"
    return None


def _move_out(group: Path, root: Path) -> None:
    """Move what still runs in `group` to `root`, so that the group can be removed."""
    for pid in (group / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            _set(root / "cgroup.procs", pid)


def _set(path: Path, value: str) -> None:
    """Write `value` into a control file."""
    path.write_text(value + "\n")


def run(
    command: Sequence[str],
    user: str | None = None,
    join: Callable[[], None] | None = None,
    cwd: Path | None = None,
) -> None:
    """Run `command` (as `user`, inside the cgroup of `join`); `CaptureError` if it fails."""
    if user is not None:  # not Popen(user=...): it would drop root before `join` runs
        switch = [program("setpriv"), "--reuid", user, "--regid", user, "--init-groups", "--"]
        command = [*switch, *command]
    with tempfile.TemporaryFile() as log:  # not a pipe: a daemon would hold it open
        started = subprocess.Popen(
            list(command),
            preexec_fn=join,  # noqa: PLW1509 - no threads here
            process_group=0,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C"},
        )
        try:
            status = started.wait()
        except BaseException:
            os.killpg(started.pid, signal.SIGKILL)  # with its children: strace's would live on
            started.wait()
            raise
        if status != 0:
            log.seek(0)
            output = log.read().decode(errors="replace")[-2000:]
            raise CaptureError(f"{' '.join(command)}: exit {status}\n{output}")
