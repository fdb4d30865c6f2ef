"""What differs between two frames: held against multisets of rows, then one planted change each."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pfnlab
from pfnlab.frames.changes import Changes, changes
from pfnlab.frames.changes.column_kinds import kind_of

ROW = {
    "source": st.sampled_from(["pgbench", "zipf"]),
    "chunk_bytes": st.sampled_from([4096, 65536, 2 << 20]),
    "policy": st.sampled_from(["lra", "lru"]),
    "accesses": st.sampled_from([100, 200]),
    "faults": st.integers(0, 3),
    "mean_resident_bytes": st.sampled_from([0.0, 0.5, 1e9, math.nan, math.inf]),
    "note": st.sampled_from([None, "", "why"]),
}
ROWS = st.lists(st.fixed_dictionaries(ROW), max_size=8)


def frame_of(rows: list[dict[str, Any]], columns: Any = ROW) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns))


def as_multiset(frame: pd.DataFrame) -> Counter[tuple[object, ...]]:
    rows = frame.to_dict("records")
    return Counter(tuple(None if pd.isna(v) else v for v in row.values()) for row in rows)


# --- Reference and laws ------------------------------------------------------------------------


@given(ROWS, ROWS)
def test_frames_are_equal_if_they_hold_the_same_rows(
    first: list[dict[str, Any]], second: list[dict[str, Any]]
) -> None:
    before, after = frame_of(first), frame_of(second)
    assert changes(before, after).equal == (as_multiset(before) == as_multiset(after))


@given(ROWS, st.randoms(use_true_random=False))
def test_a_shuffled_copy_is_equal(rows: list[dict[str, Any]], random: Any) -> None:
    shuffled = random.sample(rows, len(rows))
    found = changes(frame_of(rows), frame_of(shuffled))
    assert found.equal
    assert found.n_paired == len(rows)


@given(ROWS.filter(bool), st.data(), st.randoms(use_true_random=False))
def test_a_planted_change_is_found_and_named(
    rows: list[dict[str, Any]], data: st.DataObject, random: Any
) -> None:
    place = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.sampled_from(["accesses", "faults", "mean_resident_bytes"]))
    changed = [dict(row) for row in rows]
    changed[place][column] = 77
    found = changes(frame_of(rows), frame_of(random.sample(changed, len(changed))))
    assert not found.equal
    assert len(found.cells) == 1
    cell = found.cells.iloc[0]
    same = rows[cell["before_row"]]
    twin = sorted(same.items(), key=str), sorted(rows[place].items(), key=str)
    assert repr(twin[0]) == repr(twin[1])  # itself, or a twin of it
    assert (cell["column"], cell["after"]) == (column, 77)
    assert cell["before"] == rows[place][column] or math.isnan(rows[place][column])
    assert not len(found.only_before)
    assert not len(found.only_after)


@given(ROWS, ROWS)
def test_the_other_way_round_says_the_same(
    first: list[dict[str, Any]], second: list[dict[str, Any]]
) -> None:
    there, back = (
        changes(*some)
        for some in (
            (frame_of(first), frame_of(second)),
            (frame_of(second), frame_of(first)),
        )
    )
    assert there.n_paired == back.n_paired
    assert (len(there.only_before), len(there.only_after)) == (
        len(back.only_after), len(back.only_before),
    )  # fmt: skip
    assert len(there.cells) == len(back.cells)
    assert there.n_paired + len(there.only_before) == len(first)


# --- One difference each -----------------------------------------------------------------------


def sweep_frame(**columns: Any) -> pd.DataFrame:
    about = {"source": "zipf", "evidence": "proxy", "n_events": 9, "n_cpus": 64}
    sizes = {"chunk_bytes": [4096, 65536], "threshold_bytes": [1 << 20, 1 << 21]}
    counts = {"accesses": 9, "faults": [5, 3], "costs": "hvo-8s", "event_ns": [50.0, 30.0]}
    return pd.DataFrame(about | sizes | counts | columns)


def test_a_constant_parameter_that_differs_leaves_rows_paired() -> None:
    found = changes(sweep_frame(), sweep_frame(n_cpus=128, event_ns=[90.0, 70.0]))
    assert found.constants == {"n_cpus": (64, 128)}
    assert (found.n_paired, len(found.cells), found.n_following) == (2, 0, 2)
    assert not found.equal


def test_values_of_an_axis_that_only_one_has() -> None:
    found = changes(sweep_frame(), sweep_frame(chunk_bytes=[4096, 2 << 20]))
    assert found.values == {"chunk_bytes": ([65536], [2 << 20])}
    assert found.only_before["chunk_bytes"].tolist() == [65536]
    assert found.only_after["chunk_bytes"].tolist() == [2 << 20]
    assert found.n_paired == 1


def test_columns_that_only_one_has_are_named() -> None:
    found = changes(sweep_frame(), sweep_frame().drop(columns="faults").assign(hits=1))
    assert (found.only_before_columns, found.only_after_columns) == (("faults",), ("hits",))
    assert not found.equal


def test_counts_are_exact_and_the_largest_comes_first() -> None:
    after = sweep_frame(accesses=[9, 10**15 + 9], faults=[6, 0])
    cells = changes(sweep_frame(), after).cells
    assert cells["column"].tolist() == ["faults", "accesses", "faults"]
    assert cells["before"].tolist() == [3, 9, 5]
    assert cells["ratio"].iloc[2] == 1.2
    large = pd.DataFrame({"source": ["a"], "faults": [2**60]})
    assert not changes(large, large + pd.DataFrame({"source": [""], "faults": [1]})).equal


def test_a_mean_may_round_otherwise() -> None:
    before = sweep_frame(mean_resident_bytes=[0.1 + 0.2, 1.0])
    assert changes(before, sweep_frame(mean_resident_bytes=[0.3, 1.0])).equal
    assert not changes(before, sweep_frame(mean_resident_bytes=[0.3 + 1e-9, 1.0])).equal


def test_times_follow_from_counts_and_costs() -> None:
    times = changes(sweep_frame(), sweep_frame(costs="here", event_ns=[51.0, 31.0]))
    assert (times.costs, times.n_following, len(times.cells)) == ((("hvo-8s", "here"),), 2, 0)
    counted = changes(sweep_frame(), sweep_frame(faults=[6, 3], event_ns=[51.0, 31.0]))
    assert counted.cells["column"].tolist() == ["faults", "event_ns"]
    assert counted.n_following == 1  # the other row has the same counts: its time changed by itself
    assert counted.cells["kind"].tolist() == ["count", "time"]


def test_what_is_measured_has_noise() -> None:
    before = pd.DataFrame({"source": ["a", "b"], "measured_ns": [100.0, 100.0], "date": "today"})
    after = before.assign(measured_ns=[104.0, 90.0], date="tomorrow")
    found = changes(before, after)
    assert found.cells["before_row"].tolist() == [1]
    assert found.n_within_noise == 1
    assert changes(before, after, noise=0.2).equal
    assert len(changes(before, after, noise=0).cells) == 2
    assert changes(before.assign(spread=0.15), after.assign(spread=0.01)).equal


def test_a_recorded_range_is_the_noise() -> None:
    about = {"row": ["x", "y"], "ratio_min": [1.0, 1.0], "ratio_max": [2.0, 2.0]}
    before = pd.DataFrame(about | {"ratio": [1.5, 1.5]})
    after = before.assign(ratio=[3.0, 3.0], ratio_min=[1.9, 2.5], ratio_max=[4.0, 4.0])
    found = changes(before, after)
    assert (found.cells["before_row"].tolist(), found.n_within_noise) == ([1], 1)


def test_a_share_names_the_row_and_not_the_bytes_that_follow() -> None:
    shares = {"threshold_of_footprint": [0.1, 0.5], "chunk_bytes": 4096}
    found = changes(
        sweep_frame(**shares), sweep_frame(**shares, threshold_bytes=[1 << 20, 1 << 22])
    )
    assert found.cells["column"].tolist() == ["threshold_bytes"]
    assert found.n_paired == 2


@pytest.mark.parametrize("absent", [None, math.nan, pd.NA])
def test_what_is_na_is_the_same_however_it_is_written(absent: Any) -> None:
    first = pd.DataFrame({"source": ["a"], "faults": pd.array([None], "Int64")})
    second = pd.DataFrame({"source": ["a"], "faults": pd.Series([absent], dtype="object")})
    assert changes(first, second).equal
    third = pd.DataFrame({"source": ["a"], "faults": [1]})
    assert changes(first, third).cells["before"].tolist() == [None]


def test_the_type_of_a_column_is_no_difference() -> None:
    first = pd.DataFrame({"source": ["a", "b"], "faults": [1, 2], "holds": [True, False]})
    second = first.astype({"faults": "float64", "holds": "object"})
    assert changes(first, second).equal
    assert changes(first, first.astype({"faults": "Int64", "holds": "boolean"})).equal


def test_lists_in_cells_are_compared() -> None:
    first = pd.DataFrame({"event": [0, 1], "resident": [[1], [1, 2]]})
    second = pd.DataFrame({"event": [0, 1], "resident": [np.array([1]), np.array([1, 3])]})
    assert changes(first, second).cells["before"].tolist() == ["[1, 2]"]


@pytest.mark.parametrize("empty", [pd.DataFrame(), frame_of([])])
def test_empty_frames(empty: pd.DataFrame) -> None:
    assert changes(empty, empty).equal
    found = changes(empty, sweep_frame())
    assert not found.equal
    assert (found.n_paired, len(found.only_after)) == (0, 2)


def test_frames_with_nothing_in_common() -> None:
    found = changes(pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1, 2]}))
    assert isinstance(found, Changes)
    assert (found.names, found.only_before_columns) == ((), ("a",))
    assert not found.equal


@pytest.mark.parametrize("noise", [-0.1, math.nan, math.inf, True, "5%"])
def test_noise_is_a_share(noise: Any) -> None:
    with pytest.raises(pfnlab.ParameterError, match="noise="):
        changes(sweep_frame(), sweep_frame(), noise=noise)


def test_kinds_of_columns() -> None:
    kinds = {
        "count": ("faults", "miss_ratio", "minor_faults", "note"),
        "time": ("event_ns", "stolen_ns"),
        "measured": ("elapsed_ns", "predicted_ns", "subject_median", "ratio", "n_ipis", "seconds"),
        "about": ("ratio_min", "date", "machine", "spread", "error"),
    }
    for kind, names in kinds.items():
        assert {kind_of(name) for name in names} == {kind}


def test_columns_of_any_name_but_no_two_of_one() -> None:
    assert changes(pd.DataFrame({0: [1]}), pd.DataFrame({"0": [1]})).equal
    twice = pd.DataFrame([[1, 2]], columns=["faults", "faults"])
    with pytest.raises(pfnlab.PfnlabError, match="faults: stands for several columns"):
        changes(twice, twice)


def test_the_text_names_each_change() -> None:
    after = sweep_frame(n_cpus=128, faults=[5, 6])
    lines = str(changes(sweep_frame(), after)).splitlines()
    assert lines[0] == "differs (2 and 2 rows, 2 paired)"
    assert lines[1] == "  parameters  n_cpus 64 -> 128 in every row"
    assert (
        lines[2] == "  values      faults 3 -> 6 (x 2)  [chunk_bytes 64KiB, threshold_bytes 2MiB]"
    )
    assert str(changes(after, after)) == "equal (2 rows)"
