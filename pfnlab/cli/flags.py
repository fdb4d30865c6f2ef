"""Flags that several commands share, each declared once, and what they stand for.

Those of the configuration come from `PARAMETERS`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from pfnlab.errors import ParameterError
from pfnlab.params import PARAMETERS, Params

if TYPE_CHECKING:
    from pfnlab.params.costs import Costs
    from pfnlab.traces.sources import Source

_SEVERAL = "Several values are swept: 4KiB,64KiB names them, 64KiB..2MiB doubles."


# --- The configuration ------------------------------------------------------------------------


def add_params(parser: argparse.ArgumentParser, *, swept: bool = False) -> None:
    """Declare a flag for every field of `Params`: ``chunk_bytes`` is ``--chunk-bytes``.

    Where they are `swept`, a flag takes several values; `values_of` reads them.
    """
    group = parser.add_argument_group("configuration", _SEVERAL if swept else None)
    for name, parameter in PARAMETERS.items():
        kind = "SIZE" if parameter.unit == "bytes" else parameter.unit.upper() or "N"
        default = parameter.show(parameter.default)
        group.add_argument(
            flag_of(name),
            dest=name,
            metavar=f"{kind}[,...]" if swept else kind,
            help=f"{parameter.help} ({default})",
        )


def flag_of(name: str) -> str:
    """Return the flag of a field."""
    return f"--{name.replace('_', '-')}"


def fields_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of `Params` that were given, and no defaults."""
    texts = {name: getattr(arguments, name) for name in PARAMETERS}
    return {name: PARAMETERS[name].read(t) for name, t in texts.items() if t is not None}


def values_of(text: str, read: Callable[[str], Any]) -> list[Any]:
    """Return the values of a flag: ``4KiB,64KiB``, or ``64KiB..2MiB`` which doubles.

    `read` makes a value of a text, or refuses it by the name of the flag's field.
    """
    values: list[Any] = []
    for word in text.split(","):
        first, dots, last = word.strip().partition("..")
        values += _doubled(read(first), read(last), word) if dots else [read(first)]
    return values


def _doubled(first: Any, last: Any, word: str) -> list[Any]:
    found = [first]
    while isinstance(first, int | float) and 0 < found[-1] < last:
        found.append(found[-1] * 2)
    if found[-1] != last:
        raise ParameterError("axis", word, "must double from its first value to its last")
    return found


def add_costs(parser: argparse.ArgumentParser, default: str = "hvo-8s") -> None:
    """Declare the cost preset."""
    parser.add_argument("--costs", metavar="PRESET", help=f"what operations cost ({default})")


def add_names(parser: argparse.ArgumentParser, flag: str, help: str) -> None:
    """Declare a flag that takes names with commas between them."""
    parser.add_argument(flag, type=_names, default=None, metavar="A,B", help=help)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r}: must be names with commas between them")
    return names


# --- One source on one device -----------------------------------------------------------------


class Setup(NamedTuple):
    """One source on one device, with its costs."""

    source: Source
    params: Params
    costs: Costs


def add_source(parser: argparse.ArgumentParser) -> None:
    """Declare the source."""
    parser.add_argument(
        "source", metavar="SOURCE", help="a trace file, or a workload: zipf:alpha=0.5,seed=3"
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Declare the source, the flags of the configuration, ``--region`` and ``--costs``."""
    add_source(parser)
    parser.add_argument(
        "--region",
        metavar="NAME",
        help="a known device: its size, pages, CPUs and latency, which flags overrule",
    )
    add_costs(parser, "the device's, else hvo-8s")
    add_params(parser)


def setup_of(arguments: argparse.Namespace) -> Setup:
    """Return what the flags stand for; names are checked before a file is opened."""
    from pfnlab.notebooks.sources import find_source
    from pfnlab.params.costs import DEFAULT_PRESET, costs_of
    from pfnlab.params.regions import region

    fields, name = fields_of(arguments), getattr(arguments, "region", None)
    if name is None:
        params, costs = Params(**fields), costs_of(arguments.costs or DEFAULT_PRESET)
    else:
        device = region(name)
        params, costs = device.params(**fields), device.costs(arguments.costs)
    return Setup(find_source(arguments.source), params, costs)


# --- Files of others --------------------------------------------------------------------------


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Declare how a foreign trace file is read."""
    parser.add_argument("--format", help="name of its format (default: told by its content)")
    parser.add_argument(
        "--io-depth", type=int, default=32, metavar="N",
        help="a request without a completion time completes once N later ones were submitted (32)",
    )  # fmt: skip
    parser.add_argument(
        "--devices", default="apart", metavar="HOW",
        help="apart (default), packed (touched areas of 128 MiB), or the name of one device",
    )  # fmt: skip
    parser.add_argument(
        "--skip-bad", type=int, default=0, metavar="N", help="bear N bad lines or records (0)"
    )
    parser.add_argument(
        "--page-bytes", default="4KiB", metavar="SIZE", help="pages that addresses are cut into"
    )
    parser.add_argument("--columns", metavar="A,B", help="columns of a text without a header")


def reading_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options of `pfnlab.load` that the flags stand for."""
    names = ("format", "io_depth", "devices", "skip_bad", "page_bytes")
    columns = arguments.columns.split(",") if arguments.columns else None
    return {name: getattr(arguments, name) for name in names} | {"columns": columns}


# --- Where results go -------------------------------------------------------------------------


def add_output(parser: argparse.ArgumentParser, help: str) -> None:
    """Declare the file of the result."""
    parser.add_argument("-o", "--output", metavar="FILE", help=help)


def add_json(parser: argparse.ArgumentParser, help: str) -> None:
    """Declare ``--json``."""
    parser.add_argument("--json", action="store_true", help=help)


# --- Where a sweep is replayed ----------------------------------------------------------------


def add_executor(parser: argparse.ArgumentParser) -> None:
    """Declare how many replay at the same time, and where."""
    parser.add_argument(
        "-j", "--jobs", type=int, metavar="N", help="threads or processes (one for each CPU)"
    )
    parser.add_argument(
        "--executor", default="threads", metavar="WHERE",
        help="threads (default), processes, or dask:ADDRESS of a scheduler",
    )  # fmt: skip


class Workers(NamedTuple):
    """The executor that `pfnlab.sweep` takes, and the number of jobs that it does at once."""

    executor: Any
    number: int


@contextmanager
def workers_of(arguments: argparse.Namespace) -> Iterator[Workers]:
    """Give the workers that the flags stand for; a cluster is left at the end."""
    import pfnlab
    from pfnlab.notebooks.sweep_request import n_cpus

    where, jobs = arguments.executor, arguments.jobs
    if jobs is not None and jobs < 1:
        raise ParameterError("jobs", jobs, "must be a number of threads or processes")
    if where == "threads":
        yield Workers(jobs or n_cpus(), jobs or n_cpus())
    elif where == "processes":
        yield Workers(pfnlab.processes(jobs or n_cpus()), jobs or n_cpus())
    elif not where.startswith("dask:"):
        raise ParameterError("executor", where, "must be threads, processes or dask:ADDRESS")
    elif jobs is not None:
        raise ParameterError("jobs", jobs, "must be left to the cluster")
    else:
        with _client(where) as client:
            executor = client.get_executor(pure=False, retries=2)
            yield Workers(executor, max(sum(client.ncores().values()), 1))


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
