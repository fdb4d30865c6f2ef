"""The programs that are traced: each runs from nothing and leaves one raw text file."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from capture_host import (
    block_device,
    drop_caches,
    ftrace,
    memory_cgroup,
    program,
    run,
    undisturbed,
)

MIB = 1 << 20
GIB = 1 << 30
ISSUE, COMPLETE = "block/block_rq_issue", "block/block_rq_complete"
ADD, DELETE = "filemap/mm_filemap_add_to_page_cache", "filemap/mm_filemap_delete_from_page_cache"
INSERT, ACTIVATE = "pagemap/mm_lru_insertion", "pagemap/mm_lru_activate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A traced program: what it needs of the host, and the function that runs it."""

    programs: tuple[str, ...]
    events: tuple[str, ...]
    free_bytes: int
    user: str | None = None
    record: Callable[[Path, Path], None]
    """``record(scratch, raw)``: work in directory `scratch`, leave the raw text in file `raw`."""


PG_SCALE = 800  # about 12 GB: 80 million accounts
PG_MEMORY_BYTES = 512 * MIB
PG_TRANSACTIONS = 20_000  # for each of the clients
PG_CLIENTS = 8
PG_USER = "postgres"
PG_SETTINGS = {
    "listen_addresses": "''",
    "shared_buffers": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "30s",
    "autovacuum": "off",
}
# Nine tenths reads whose keys are skewed towards the newest accounts, one tenth TPC-B-like.
PG_SELECT = r"""\set newest random_zipfian(1, 100000 * :scale, 1.05)
\set aid 100000 * :scale + 1 - :newest
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
"""


def record_pgbench(scratch: Path, raw: Path) -> None:
    """Trace the disk's requests while pgbench runs on a cluster much larger than its memory."""
    scratch.chmod(0o755)
    home = scratch / "postgres"
    home.mkdir()
    shutil.chown(home, PG_USER, PG_USER)
    cluster, script = home / "cluster", home / "select.sql"
    script.write_text(PG_SELECT)
    major, minor = block_device(scratch)
    device = f"dev == {major << 20 | minor}"
    connect = ["-h", str(home), "-U", PG_USER, "postgres"]
    pgbench = [program("pgbench"), "-n"]
    run([program("initdb"), "-A", "trust", "-D", str(cluster)], user=PG_USER, cwd=home)
    with (cluster / "postgresql.auto.conf").open("a") as config:
        settings = {**PG_SETTINGS, "unix_socket_directories": f"'{home}'"}
        config.writelines(f"{name} = {value}\n" for name, value in settings.items())
    with _postgres(cluster, None):
        run([*pgbench, "-i", "-q", "-s", str(PG_SCALE), *connect], user=PG_USER, cwd=home)
    with memory_cgroup(PG_MEMORY_BYTES) as join, _postgres(cluster, join):
        drop_caches()
        load = ["-s", str(PG_SCALE), "-c", str(PG_CLIENTS), "-j", "2", "-t", str(PG_TRANSACTIONS)]
        mix = ["-b", "tpcb-like@1", "-f", f"{script}@9"]
        with ftrace({ISSUE: device, COMPLETE: device}, 256 << 10, raw):
            run([*pgbench, *load, *mix, *connect], user=PG_USER, cwd=home)


@contextlib.contextmanager
def _postgres(cluster: Path, join: Callable[[], None] | None) -> Iterator[None]:
    """A PostgreSQL server on `cluster` (in a cgroup), stopped at the end."""
    control = [program("pg_ctl"), "-D", str(cluster), "-w", "-t", "120"]
    home = cluster.parent
    try:
        run([*control, "-l", str(home / "log"), "start"], user=PG_USER, join=join, cwd=home)
        yield
    except BaseException:
        with undisturbed(), contextlib.suppress(Exception):
            run([*control, "-m", "immediate", "stop"], user=PG_USER, cwd=home)
        raise
    else:
        run([*control, "-m", "fast", "stop"], user=PG_USER, cwd=home)


SQLITE_ROWS = 8_000_000
SQLITE_BUILD = """
PRAGMA page_size = 4096; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
CREATE TABLE item (id INTEGER PRIMARY KEY, key INTEGER, payload TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
INSERT INTO item SELECT i, (i * 2654435761) % 4294967291, hex(zeroblob(100)) FROM n;
CREATE INDEX item_key ON item (key);
"""
SQLITE_JOB = """
PRAGMA cache_size = -2048; PRAGMA synchronous = FULL;
SELECT sum(length(payload)) FROM item WHERE key BETWEEN 1000000000 AND 1030000000;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
SELECT sum(length(payload)) FROM n JOIN item ON item.id = 1 + (n.i * 40503 * 40503) % {rows};
UPDATE item SET payload = hex(zeroblob(90)) WHERE key BETWEEN 2000000000 AND 2002000000;
SELECT sum(length(payload)) FROM item WHERE id BETWEEN 3000000 AND 3400000;
"""


def record_sqlite(scratch: Path, raw: Path) -> None:
    """Record every page that sqlite3 reads from and writes to a database file."""
    database, build, job = (scratch / name for name in ("items.db", "build.sql", "job.sql"))
    build.write_text(SQLITE_BUILD.format(rows=SQLITE_ROWS))
    job.write_text(SQLITE_JOB.format(rows=SQLITE_ROWS))
    sqlite = [program("sqlite3"), "-batch", "-init", "/dev/null", str(database)]
    run([*sqlite, f".read {build}"])
    strace = [program("strace"), "-e", "trace=pread64,pwrite64", "-P", str(database)]
    times = ["--absolute-timestamps=format:unix,precision:ns", "--syscall-times=ns", "-s", "0"]
    run([*strace, *times, "-o", str(raw), *sqlite, f".read {job}"])


CACHE_MEMORY_BYTES = 1 * GIB
CACHE_ROUNDS = 1
CACHE_SOURCES = ("/usr/share",)


def record_pagecache(scratch: Path, raw: Path) -> None:
    """Trace real pfns in and out of the page cache while a file tree is copied and read."""
    events = {ADD: "", DELETE: "", INSERT: "", ACTIVATE: ""}
    drop_caches()
    with memory_cgroup(CACHE_MEMORY_BYTES) as join, ftrace(events, 256 << 10, raw):
        for index in range(CACHE_ROUNDS):
            _cycle_files(scratch, index, join)


def _cycle_files(scratch: Path, index: int, join: Callable[[], None]) -> None:
    """One round: copy trees of real files, pack them, read the pack, delete what was copied."""
    tree, packed = scratch / f"tree{index}", scratch / f"tree{index}.tar"
    tree.mkdir()
    run([program("cp"), "-r", *CACHE_SOURCES, str(tree)], join=join)
    run([program("tar"), "-cf", str(packed), "-C", str(scratch), tree.name], join=join)
    run([program("rm"), "-r", str(tree)], join=join)
    run([program("sha256sum"), str(packed)], join=join)
    packed.unlink()


JOBS = {
    "pgbench": Job(
        programs=("initdb", "pg_ctl", "pgbench", "postgres", "setpriv"),
        events=(ISSUE, COMPLETE),
        free_bytes=20 * GIB,
        user=PG_USER,
        record=record_pgbench,
    ),
    "sqlite": Job(
        programs=("sqlite3", "strace"), events=(), free_bytes=4 * GIB, record=record_sqlite
    ),
    "pagecache": Job(
        programs=("cp", "rm", "sha256sum", "tar"),
        events=(ADD, DELETE, INSERT, ACTIVATE),
        free_bytes=6 * GIB,
        record=record_pagecache,
    ),
}
