"""A user's own victim order: the documented one is lra, and nonsense is refused, not run."""

import inspect
import re
import runpy
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import pfnlab
from pfnlab.params import policies
from tests.engine.test_replay import Case, cases, crowded, lcg_trace, traced

pytestmark = pytest.mark.kernel


def documented() -> str:
    """The example as it stands in the docstring of `pfnlab.Policy`."""
    text = inspect.cleandoc(pfnlab.Policy.__doc__ or "")
    found = re.search(r"code-block:: python\n\n(.*?)\nParameters\n", text, re.DOTALL)
    assert found
    return textwrap.dedent(found[1])


@pytest.fixture(scope="module", autouse=True)
def fifo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pfnlab.Policy]:
    file = tmp_path_factory.mktemp("example") / "fifo.py"
    file.write_text(f"import pfnlab\n{documented()}")
    names = runpy.run_path(str(file))
    assert names["params"].policy == "fifo"
    yield policies.REGISTERED["fifo"]
    policies._registered.clear()


def test_the_documented_example_has_20_lines_at_most() -> None:
    assert 10 < len([line for line in documented().splitlines() if line.strip()]) <= 20


@settings(max_examples=200)
@given(crowded() | cases())
def test_the_documented_example_equals_lra_in_every_counter(case: Case) -> None:
    params, events = case
    trace = traced(events)
    counts = [pfnlab.replay(trace, params.replace(policy=p)).counts() for p in ("lra", "fifo")]
    assert counts[0] == counts[1]


def test_it_is_a_scheme_too() -> None:
    params = pfnlab.Params(region_bytes="1GiB", chunk_bytes="8KiB", threshold_bytes="16KiB")
    trace = pfnlab.workload("block_io", n_events=2000).trace(params)
    table = pfnlab.schemes(trace, params, names=["demand_lra", "demand_fifo"])
    lra, fifo = table.drop(columns=["scheme"]).to_dict("records")
    assert lra == fifo


def zeros(table: Any, scalars: Any, chunk: int) -> None:
    """Leave the order as it is."""


def still(table: Any, scalars: Any, chunk: int, faulted: bool) -> bool:
    return False


def most_recent(table: Any, scalars: Any, filling: int) -> int:
    newest = table[0, 0]
    return int(table[newest, 0] if newest == filling else newest)


def test_scalars_tables_and_hits_reach_a_policy(fifo: pfnlab.Policy) -> None:
    def count_hits(table: Any, scalars: Any, chunk: int, faulted: bool) -> bool:
        scalars[1] += 1
        return bool(scalars[1] % 2 == 0 or faulted)

    mru = pfnlab.Policy(
        name="mru", columns=2, insert=fifo.insert, access=still, remove=fifo.remove,
        victim=most_recent,
    )  # fmt: skip
    odd = pfnlab.Policy(
        name="odd", columns=2, scalars=2, insert=fifo.insert, access=count_hits,
        remove=fifo.remove, victim=fifo.victim,
    )  # fmt: skip
    pfnlab.register(mru)
    pfnlab.register(odd)
    trace = pfnlab.Trace(np.array(lcg_trace(2000)) * 64)
    params = pfnlab.Params(region_bytes="1GiB", chunk_bytes=4096, threshold_bytes=100 * 4096)
    frame = pfnlab.sweep(trace, params, policy=["lra", "lru", "fifo", "mru", "odd"])
    faults = dict(zip(frame["policy"], frame["faults"], strict=True))
    assert faults["fifo"] == faults["lra"]
    assert len(set(faults.values())) == 4
    # A loop of 11 chunks in a threshold of 10: most recent first misses but the 11th of each turn.
    loop = pfnlab.Trace(np.array(list(range(11)) * 20) * 64)
    assert pfnlab.replay(loop, params.replace(policy="mru", threshold_bytes=40960)).faults < 60


BAD_VICTIMS: list[tuple[Callable[..., Any], str]] = [
    (lambda table, scalars, filling: 0, "it returned 0"),
    (lambda table, scalars, filling: filling, "not the one being filled; it returned "),
    (lambda table, scalars, filling: 1, "it returned 1"),
    (lambda table, scalars, filling: -5, "it returned -5"),
    (lambda table, scalars, filling: 2**40, "it returned 1099511627776"),
    (lambda table, scalars, filling: 9999, "it returned 9999"),
    (lambda table, scalars, filling: table[10**6, 0], "index"),
    (lambda table, scalars, filling: scalars[3], "index"),
]


@pytest.mark.parametrize(
    ("victim", "message"),
    [
        *BAD_VICTIMS[:2],
        *(pytest.param(*each, marks=pytest.mark.slow) for each in BAD_VICTIMS[2:]),
    ],
)
def test_nonsense_ends_in_an_error(victim: Callable[..., Any], message: str) -> None:
    pfnlab.register(
        pfnlab.Policy(name="bad", insert=zeros, access=still, remove=zeros, victim=victim)
    )
    params = pfnlab.Params(
        region_bytes="40GiB", chunk_bytes=4096, threshold_bytes=8 * 4096, policy="bad"
    )
    trace = pfnlab.Trace(np.array(lcg_trace(2000)) * 64)
    with pytest.raises(pfnlab.ParameterError, match=f"policy='bad'.*{re.escape(message)}"):
        pfnlab.replay(trace, params)


def no_ints(table: Any, scalars: Any, filling: int) -> Any:
    return None


def unknown(table: Any, scalars: Any, filling: int) -> Any:
    return undefined_name  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("victim", "message"),
    [
        (no_ints, "victim must return an int on every way out"),
        (unknown, "victim can't be compiled"),
    ],
)
def test_what_cant_be_compiled_is_refused_by_part(
    victim: Callable[..., Any], message: str, request: pytest.FixtureRequest
) -> None:
    from numba import config

    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        pytest.skip("nothing is compiled")
    pfnlab.register(
        pfnlab.Policy(name="bad", insert=zeros, access=still, remove=zeros, victim=victim)
    )
    with pytest.raises(pfnlab.ParameterError, match=f"policy='bad': {message}"):
        pfnlab.replay(traced([(0, 0, False)]), pfnlab.Params(policy="bad"))


def policy(**changes: Any) -> pfnlab.Policy:
    fields: dict[str, Any] = {
        "name": "mine", "insert": zeros, "access": still, "remove": zeros, "victim": most_recent,
    }  # fmt: skip
    return pfnlab.Policy(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "my policy"}, "name='my policy': must be letters"),
        ({"insert": 3}, "insert=3: must be a function"),
        ({"access": zeros}, "must take 4 arguments"),
        ({"columns": 0}, "columns=0: must be between 1 and 64"),
        ({"scalars": True}, "scalars=True: must be an int"),
    ],
)
def test_bad_policies_are_refused_by_part(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(pfnlab.ParameterError, match=re.escape(message)):
        policy(**changes)


@pytest.mark.parametrize("name", ["lra", "lru", "clock", "sieve", "random", "s3fifo", "opt"])
def test_a_built_in_policy_cant_be_overridden(name: str) -> None:
    with pytest.raises(pfnlab.ParameterError, match="must not be that of a built-in policy"):
        pfnlab.register(policy(name=name))


def test_a_name_is_known_once_registered_and_a_near_one_refused() -> None:
    with pytest.raises(pfnlab.ParameterError, match="policy='youngest': must be one of"):
        pfnlab.Params(policy="youngest")
    pfnlab.register(policy(name="youngest"))
    assert pfnlab.Params(policy="youngest").policy == "youngest"
    with pytest.raises(pfnlab.ParameterError, match="did you mean 'youngest'"):
        pfnlab.Params(policy="yongest")


@pytest.mark.slow
def test_a_users_functions_never_reach_the_cache_on_disk(tmp_path: Path, root: Path) -> None:
    import os
    import subprocess
    import sys

    file = tmp_path / "fifo.py"
    run = "import numpy as np; pfnlab.replay(pfnlab.Trace(np.arange(9)), params)"
    file.write_text(f"import pfnlab\n{documented()}\n{run}\n")
    cache = tmp_path / "cache"
    environment = {**os.environ, "PYTHONPATH": str(root), "NUMBA_CACHE_DIR": str(cache)}

    def stored(code: str) -> set[str]:
        subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True)
        return {path.name for path in cache.rglob("replay.replay_lookups-*.nbc")}

    if os.environ.get("NUMBA_DISABLE_JIT") or os.environ.get("NUMBA_BOUNDSCHECK"):
        pytest.skip("nothing is stored")
    own = f"import runpy; runpy.run_path({str(file)!r})"
    assert stored(own) == set()
    built_in = f"import pfnlab; params = pfnlab.Params(policy='lru')\n{run}"
    assert len(stored(built_in)) == 1
    assert stored(own) == stored(built_in)
