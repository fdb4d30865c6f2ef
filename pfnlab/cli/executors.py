"""Where a command replays: threads, processes or a dask cluster; flags and what they stand for."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from pfnlab.errors import ParameterError


def add_executor(parser: argparse.ArgumentParser) -> None:
    """Declare how many replay at the same time, and where."""
    parser.add_argument(
        "-j", "--jobs", type=int, metavar="N", help="threads or processes (one for each CPU)"
    )
    parser.add_argument(
        "--executor", default="threads", metavar="WHERE",
        help="threads (default), processes, or dask:ADDRESS of a scheduler",
    )  # fmt: skip


class Where(NamedTuple):
    """What `pfnlab.sweep` takes as its executor, and how many jobs it does at once."""

    executor: Any
    n_workers: int


@contextmanager
def executor_of(arguments: argparse.Namespace) -> Iterator[Where]:
    """Give the executor that the flags ask for; a cluster is left at the end."""
    import pfnlab
    from pfnlab.notebooks.sweep_request import n_cpus

    where, jobs = arguments.executor, arguments.jobs
    if jobs is not None and jobs < 1:
        raise ParameterError("jobs", jobs, "must be a number of threads or processes")
    if where == "threads":
        yield Where(jobs or n_cpus(), jobs or n_cpus())
    elif where == "processes":
        yield Where(pfnlab.processes(jobs or n_cpus()), jobs or n_cpus())
    elif not where.startswith("dask:"):
        raise ParameterError("executor", where, "must be threads, processes or dask:ADDRESS")
    elif jobs is not None:
        raise ParameterError("jobs", jobs, "must be left to the cluster")
    else:
        with _client(where) as client:
            executor = client.get_executor(pure=False, retries=2)
            yield Where(executor, max(sum(client.ncores().values()), 1))


def _client(where: str) -> Any:
    """Return a client of the scheduler at an address."""
    try:
        from distributed import Client
    except ImportError:
        requirement = "needs dask.distributed: pip install 'pfnlab[dask]'"
        raise ParameterError("executor", where, requirement) from None
    connect: Any = Client  # distributed is annotated in part
    try:
        return connect(where.removeprefix("dask:"))
    except (OSError, ValueError) as error:
        raise ParameterError("executor", where, f"no scheduler answers there ({error})") from error
