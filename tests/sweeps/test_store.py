"""A store of finished points: resumed bit for bit, be it killed, full, damaged or deleted."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grimp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pfnlab
from pfnlab import engine
from pfnlab.sweeps import code_version, rows, store
from pfnlab.sweeps.axes import Grid
from tests import driver, kill_points

PARAMS = pfnlab.Params(region_bytes="1GiB")
AXES: dict[str, Any] = {"chunk_bytes": ["4KiB", "2MiB"], "batch_chunks": [1, 2, 3, 4, 5]}


def small(last: int = 7) -> pfnlab.Trace:
    return pfnlab.Trace(np.append(np.arange(3000) % 900 * 64, last))


def swept(folder: Path, trace: Any = None, **changes: Any) -> pd.DataFrame:
    return pfnlab.sweep(trace or small(), PARAMS, store=folder, **(AXES | changes))


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count the points that the engine was asked for."""
    counted: list[int] = []
    replay_many = engine.replay_many

    def counting(trace: Any, points: Any, **options: Any) -> Any:
        counted.append(len(points))
        return replay_many(trace, points, **options)

    monkeypatch.setattr(rows, "replay_many", counting)
    yield counted


def parts(folder: Path) -> list[Path]:
    return sorted((folder / "parts").glob("*.parquet"))


def test_a_rerun_replays_nothing_and_gives_the_same_frame(
    tmp_path: Path, replayed: list[int]
) -> None:
    plain = pfnlab.sweep(small(), PARAMS, **AXES)
    replayed.clear()
    first = swept(tmp_path)
    assert sum(replayed) == 10
    again = swept(tmp_path)
    assert sum(replayed) == 10
    pd.testing.assert_frame_equal(first, plain)
    pd.testing.assert_frame_equal(again, plain)


def test_a_larger_grid_replays_only_what_is_new(tmp_path: Path, replayed: list[int]) -> None:
    swept(tmp_path)
    frame = swept(tmp_path, batch_chunks=[9, 3, 1, 3])
    assert sum(replayed) == 10 + 2
    pd.testing.assert_frame_equal(
        frame, pfnlab.sweep(small(), PARAMS, **(AXES | {"batch_chunks": [9, 3, 1, 3]}))
    )


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"trace": small(last=8)}, id="an event"),
        pytest.param({"trace": pfnlab.Trace(small().pfns, name="other")}, id="its name"),
        pytest.param({"threshold_fraction": [0.5]}, id="a parameter"),
    ],
)
def test_what_changes_a_row_is_replayed_again(
    changed: dict[str, Any], tmp_path: Path, replayed: list[int]
) -> None:
    swept(tmp_path)
    swept(tmp_path, **changed)
    assert sum(replayed) == 20


def test_other_code_replays_again(
    tmp_path: Path, replayed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    swept(tmp_path)
    monkeypatch.setattr(store, "code_version", lambda: "another")
    swept(tmp_path)
    assert sum(replayed) == 20


def test_the_code_version_is_that_of_what_counts(tmp_path: Path) -> None:
    """An edit of a kernel changes it, one of a figure does not."""
    package = tmp_path / "pfnlab"
    shutil.copytree(Path(pfnlab.__file__).parent, package)
    program = "from pfnlab.sweeps.code_version import code_version; print(code_version())"

    def version() -> str:
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout

    before = version()
    assert len(before.strip()) == 64
    with (package / "figures" / "palette.py").open("a") as file:
        file.write("# changed\n")
    assert version() == before
    with (package / "kernels" / "policies" / "lru.py").open("a") as file:
        file.write("# changed\n")
    assert version() != before


def test_every_room_that_a_sweep_imports_counts() -> None:
    """All but the two that hold no rule: a frame's tables and Ctrl-C."""
    graph = grimp.build_graph("pfnlab", exclude_type_checking_imports=True)
    below = graph.find_upstream_modules("pfnlab.sweeps", as_package=True)
    rooms = {name.split(".")[1] for name in below if name != "pfnlab"}
    assert sorted(rooms | {"sweeps"}) == sorted({*code_version.COUNTING, "frames", "interrupts"})


def test_a_policy_of_ones_own_is_known_by_its_source(tmp_path: Path, replayed: list[int]) -> None:
    def victim(table: Any, scalars: Any, filling: Any) -> Any:
        return 0

    def other_victim(table: Any, scalars: Any, filling: Any) -> Any:
        return filling * 0

    def nothing(table: Any, scalars: Any, chunk: Any) -> None: ...

    def stays(table: Any, scalars: Any, chunk: Any, faulted: Any) -> bool:
        return False

    for chosen in (victim, victim, other_victim):
        policy = pfnlab.Policy(
            name="stored", insert=nothing, access=stays, remove=nothing, victim=chosen
        )
        pfnlab.register(policy)
        swept(tmp_path, policy=["stored"])
    assert sum(replayed) == 20


def test_what_a_policy_takes_from_around_it_is_known_too(
    tmp_path: Path, replayed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number of a function around it, or of its module."""

    def made(number: int) -> pfnlab.Policy:
        def victim(table: Any, scalars: Any, filling: Any) -> Any:
            return filling * number * _FACTOR * 0

        def nothing(table: Any, scalars: Any, chunk: Any) -> None: ...

        def stays(table: Any, scalars: Any, chunk: Any, faulted: Any) -> bool:
            return False

        return pfnlab.Policy(
            name="taking", insert=nothing, access=stays, remove=nothing, victim=victim
        )

    for number, factor, expected in ((0, 1, 10), (0, 1, 10), (1, 1, 20), (1, 2, 30)):
        monkeypatch.setitem(globals(), "_FACTOR", factor)
        pfnlab.register(made(number))
        swept(tmp_path, policy=["taking"])
        assert sum(replayed) == expected


_FACTOR = 1


@pytest.mark.parametrize("damage", ["cut", "flipped", "garbage", "empty"])
def test_a_damaged_part_is_named_set_aside_and_repaired(damage: str, tmp_path: Path) -> None:
    first = swept(tmp_path)
    (part,) = parts(tmp_path)
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    bad = {"cut": bytes(data[:-9]), "flipped": bytes(data), "garbage": b"PAR1", "empty": b""}
    part.write_bytes(bad[damage])
    with pytest.warns(pfnlab.StoreWarning, match=f"{part.name} is damaged .* replayed again"):
        again = swept(tmp_path)
    pd.testing.assert_frame_equal(again, first)
    assert part.with_suffix(".damaged").exists()
    pd.testing.assert_frame_equal(swept(tmp_path), first)  # says nothing more


def test_a_deleted_part_is_reported_once_and_repaired(tmp_path: Path, replayed: list[int]) -> None:
    first = swept(tmp_path)
    parts(tmp_path)[0].unlink()
    with pytest.warns(pfnlab.StoreWarning, match="is gone; its 10 points are replayed again"):
        again = swept(tmp_path)
    pd.testing.assert_frame_equal(again, first)
    assert sum(replayed) == 20
    swept(tmp_path)
    assert sum(replayed) == 20


def test_a_list_of_parts_cut_in_the_middle_is_no_obstacle(tmp_path: Path) -> None:
    """A kill may do it; the parts that are noted after it are missed all the same."""
    first = swept(tmp_path)
    names = tmp_path / "parts.txt"
    names.write_text(names.read_text().rstrip()[:-5])
    pd.testing.assert_frame_equal(swept(tmp_path), first)
    before = parts(tmp_path)
    swept(tmp_path, batch_chunks=[77])
    (late,) = set(parts(tmp_path)) - set(before)
    late.unlink()
    with pytest.warns(pfnlab.StoreWarning, match=f"/{late.name} is gone; its 2 points"):
        swept(tmp_path)


def test_what_can_be_no_folder_is_refused(tmp_path: Path, replayed: list[int]) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(pfnlab.FileError, match="file: can't be written, it must be a folder"):
        swept(tmp_path / "file")
    with pytest.raises(pfnlab.FileError, match=r"xxx: can't be written \(File name too long\)"):
        swept(tmp_path / ("x" * 300))
    with pytest.raises(pfnlab.ParameterError, match="store='': must name a folder"):
        pfnlab.sweep(small(), PARAMS, store="", **AXES)
    assert not replayed


def test_a_part_that_can_not_be_read_now_is_left_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many open files are no damage."""
    first = swept(tmp_path)

    def busy(self: Path) -> bytes:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", busy)
        with pytest.raises(pfnlab.FileError, match=r"can't be read \(Too many open files\)"):
            swept(tmp_path)
    pd.testing.assert_frame_equal(swept(tmp_path), first)


def test_a_store_that_can_not_be_written_says_what_it_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another sweep's part is gone: this one's rows are there, and nothing need be written."""
    first = swept(tmp_path)
    before = parts(tmp_path)
    swept(tmp_path, batch_chunks=[77])
    (other,) = set(parts(tmp_path)) - set(before)
    other.unlink()

    def read_only(self: Any, line: str) -> None:
        raise pfnlab.FileError("parts.txt: can't be written (Read-only file system)")

    monkeypatch.setattr(store.Store, "_note", read_only)
    with pytest.warns(pfnlab.StoreWarning, match="is gone"):
        pd.testing.assert_frame_equal(swept(tmp_path), first)


def test_a_folder_that_cannot_be_written_is_refused_before_a_replay(
    tmp_path: Path, replayed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system")

    first = swept(tmp_path)
    monkeypatch.setattr(Path, "touch", read_only)
    pd.testing.assert_frame_equal(swept(tmp_path), first)  # nothing to write: no obstacle
    with pytest.raises(pfnlab.FileError, match=r"can't be written \(Read-only file system\)"):
        swept(tmp_path, batch_chunks=[77])
    assert sum(replayed) == 10


def test_a_full_disk_keeps_what_is_done_and_a_rerun_repairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real thing is in `test_a_full_tmpfs`, where one may be mounted."""
    whole = pfnlab.sweep(small(), PARAMS, **AXES)
    add, n_parts = store.Store.add, iter(range(9))

    def full(self: Any, keys: Any, some: Any) -> None:
        if next(n_parts):
            raise pfnlab.FileError("part: can't be written (No space left on device)")
        add(self, keys, some)

    monkeypatch.setattr(store.Store, "add", full)
    monkeypatch.setattr(store, "_GATHER_SECONDS", 0.0)
    with pytest.raises(pfnlab.StoreError, match=r"No space left .* are in `\.frame`") as got:
        swept(tmp_path, threshold_fraction=list(np.linspace(0.1, 1, 40)))
    assert len(got.value.frame) >= 1
    monkeypatch.undo()
    pd.testing.assert_frame_equal(swept(tmp_path), whole)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("must be allowed to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_tmpfs(tiny_disk: Path) -> None:
    axes: dict[str, Any] = {"batch_chunks": list(range(1, 400))}
    filler = tiny_disk / "filler"
    filler.write_bytes(bytes(44 << 10))
    with pytest.raises(pfnlab.StoreError, match="No space left on device"):
        swept(tiny_disk / "store", **axes)
    assert not [path for path in tiny_disk.rglob("*") if path.suffix == ".tmp"]
    filler.write_bytes(b"")
    shutil.rmtree(tiny_disk / "store", ignore_errors=True)
    some: dict[str, Any] = {"batch_chunks": list(range(1, 9))}
    first = swept(tiny_disk / "store", **some)
    pd.testing.assert_frame_equal(first, pfnlab.sweep(small(), PARAMS, **(AXES | some)))


@pytest.mark.slow
def test_two_sweeps_share_a_store(tmp_path: Path) -> None:
    """At the same time, in two processes, cut differently: each ends with the whole frame."""
    whole = pfnlab.sweep(driver.source(), driver.PARAMS, **driver.AXES)
    command = [sys.executable, "-m", "tests.driver", str(tmp_path / "store")]
    wheres = ("threads", "processes")
    running = [
        subprocess.Popen([*command, str(tmp_path / f"{where}.parquet"), where, str(tmp_path / "l")])
        for where in wheres
    ]
    assert [process.wait() for process in running] == [0, 0]
    for where in wheres:
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / f"{where}.parquet"), whole)
    again = pfnlab.sweep(driver.source(), driver.PARAMS, store=tmp_path / "store", **driver.AXES)
    pd.testing.assert_frame_equal(again, whole)


def test_an_interrupt_keeps_what_is_finished(tmp_path: Path) -> None:
    whole = pfnlab.sweep(driver.source(), driver.PARAMS, **driver.AXES)
    long = driver.AXES | {"batch_chunks": [*driver.AXES["batch_chunks"], *range(30, 1000)]}
    add, presses = store.Store.add, iter([signal.SIGINT])

    def interrupted(self: store.Store, keys: Any, rows: Any) -> None:
        add(self, keys, rows)
        for press in presses:
            os.kill(os.getpid(), press)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(pfnlab.SweepInterrupted) as caught:
        patch.setattr(store.Store, "add", interrupted)
        pfnlab.sweep(driver.source(), driver.PARAMS, store=tmp_path / "s", **long)
    n_points = len(whole) // len(driver.AXES["batch_chunks"]) * len(long["batch_chunks"])
    n_stored = kill_points.stored_points(tmp_path / "s")
    assert 0 < len(caught.value.frame) <= n_stored < n_points
    again = pfnlab.sweep(driver.source(), driver.PARAMS, store=tmp_path / "s", **driver.AXES)
    pd.testing.assert_frame_equal(again, whole)


@pytest.mark.slow
def test_twenty_kills_lose_nothing() -> None:
    """`python -m tests.kill_points 1000 SEED` does so a thousand times."""
    assert kill_points.main(21, seed=int(time.time())) == 0


@given(st.lists(st.sampled_from([0.1, 0.25, 0.5, 1.0]), min_size=1, max_size=4), st.booleans())
def test_lists_that_share_a_pass_are_the_grid(shares: list[float], skip: bool) -> None:
    """Each point once, with its own index, those of a region in a row."""
    axes: dict[str, Any] = {
        "threshold_of_footprint": shares,
        "region_bytes": ["1GiB", "2GiB"],
        "n_cpus": [1, 2],
        "granule_bytes": ["4KiB", "2MiB"] if skip else ["4KiB"],
        "chunk_bytes": ["64KiB", "2MiB"],
    }
    grid = Grid(pfnlab.Params(), axes, skip)
    lists = list(grid.sharing())
    points = [point for each in lists for point in each]
    assert sorted(points, key=lambda point: point.index) == list(grid)
    assert {len(each) for each in lists} == {2 * len(shares)}
    regions = [each[0].region for each in lists]
    assert sorted(regions) == regions
