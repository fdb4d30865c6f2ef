"""A small sweep as a program, to be killed: ``python -m tests.driver STORE OUT WHERE LOG``.

Whatever has reached the disk is noted in LOG at once, so that what a kill costs can be counted.
"""

import os
import sys
from pathlib import Path
from typing import Any

import pfnlab
from pfnlab.sweeps import store

PARAMS = pfnlab.Params(region_bytes="1TiB")
AXES: dict[str, Any] = {
    "chunk_bytes": ["4KiB", "64KiB", "2MiB"],
    "policy": ["lra", "lru", "clock"],
    "batch_chunks": [1, 3, 9, 27],
    "threshold_of_footprint": [0.1, 0.3, 0.9],
}
EXECUTORS: dict[str, Any] = {"one": None, "threads": 2, "processes": pfnlab.processes(2)}


def source() -> pfnlab.Trace:
    whole = pfnlab.load("data/traces/pgbench.parquet", stream=False)
    assert isinstance(whole, pfnlab.Trace)
    return pfnlab.Trace(whole.pfns[:600_000], name="pgbench")


def noting(log: Path) -> None:
    """Note how many points each part has, once it is on the disk."""
    add = store.Store.add

    def noted(self: store.Store, keys: Any, rows: Any) -> None:
        add(self, keys, rows)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, f"{len(rows)}\n".encode())
        os.close(descriptor)

    store.Store.add = noted  # type: ignore[method-assign]


def main(folder: str, out: str, where: str, log: str) -> None:
    noting(Path(log))
    frame = pfnlab.sweep(source(), PARAMS, executor=EXECUTORS[where], store=folder, **AXES)
    frame.to_parquet(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
