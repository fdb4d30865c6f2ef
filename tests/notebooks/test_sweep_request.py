"""What is asked for by names: sources by text, parameter files, and requests that come back."""

import json
import math
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from papermill.iorw import read_yaml_file

import pfnlab
from pfnlab import frames
from pfnlab.errors import FrameError, ParameterFileError
from pfnlab.notebooks import sources, sweep_request
from pfnlab.notebooks.parameter_files import MOST_BYTES, read_parameters, write_parameters
from pfnlab.params import PARAMETERS, Parameter
from pfnlab.traces.workloads import WORKLOADS, Spec, workload_of

KIB, MIB = 1 << 10, 1 << 20


# --- Sources by text --------------------------------------------------------------------------


def values_of(facts: Any) -> st.SearchStrategy[Any]:
    """Values that a field takes, small ones more often."""
    if not isinstance(facts, Parameter):
        return st.floats(facts.minimum, facts.maximum)
    if facts.power_of_two:
        powers = [1 << n for n in range(63) if facts.minimum <= 1 << n <= facts.maximum]
        return st.sampled_from(powers)
    low = facts.minimum
    return st.integers(low, min(low + 100, facts.maximum)) | st.integers(low, facts.maximum)


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    family = WORKLOADS[draw(st.sampled_from(sorted(WORKLOADS)))]
    known = {each.name: each.metadata["parameter"] for each in fields(family)}
    chosen = draw(st.sets(st.sampled_from(sorted(known))))
    values = {name: draw(values_of(known[name])) for name in sorted(chosen)}
    try:
        return family(**values)
    except pfnlab.ParameterError:  # fields that can't stand together
        return family()


@given(specs())
def test_a_workload_is_its_text(spec: Spec) -> None:
    assert workload_of(spec.text) == spec
    assert sources.find_source(spec.text) == spec
    assert sources.find_source(spec.text).trace is not None


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("zipf", {}),
        ("zipf:1000", {"n_events": 1000}),
        ("zipf:1000,alpha=0.5", {"n_events": 1000, "alpha": 0.5}),
        ("zipf:n_events=1_000, alpha=5e-1 ,seed=3", {"n_events": 1000, "alpha": 0.5, "seed": 3}),
    ],
)
def test_texts_of_workloads(text: str, spec: dict[str, Any]) -> None:
    assert workload_of(text) == pfnlab.workload("zipf", **spec)


def test_a_text_names_only_what_is_not_the_default() -> None:
    assert pfnlab.workload("zipf").text == "zipf"
    spec = pfnlab.workload("zipf", seed=3, alpha=0.5, n_events=10**6)
    assert spec.text == "zipf:seed=3,alpha=0.5"
    assert pfnlab.workload("gpu_tensors").text == "gpu_tensors"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zipff", "source='zipff': no such workload or trace file; did you mean 'zipf'"),
        ("zipf:", "after ':' there must be a number of events, or fields"),
        ("zipf:1e3", "after ':' there must be a number of events, or fields"),
        ("zipf:alpha=0.5,7", "after ':' there must be a number of events, or fields"),
        ("zipf:alpa=0.5", "alpa='0.5': no such field of workload 'zipf'; did you mean 'alpha'"),
        ("zipf:alpha=x", "alpha='x': must be a number"),
        ("zipf:alpha=nan", "alpha=nan: must be a number, between"),
        ("zipf:n_events=-1", "n_events='-1': must be an int"),
        ("zipf:n_events=1.5", "n_events='1.5': must be an int"),
        ("zipf:n_events=" + "9" * 5000, "must be an int"),
        ("zipf:5,n_events=5", "must name each field once"),
        ("zipf:seed=None", "seed='None': must be an int"),
        ("", "source='': no such workload or trace file"),
        ("x" * 5000, "no such workload or trace file"),
        ("a\0b", "no such workload or trace file"),
    ],
)
def test_bad_texts_are_refused(text: str, message: str) -> None:
    with pytest.raises(pfnlab.ParameterError, match=re.escape(message)):
        sources.find_source(text)


def test_every_text_is_checked_before_a_trace_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "load", None)
    for source in (["data/traces/pgbench.parquet", "zipff"], ["data/traces/pgbenc.parquet"]):
        with pytest.raises(pfnlab.ParameterError, match="no such workload or trace file"):
            sweep_request.request({"source": source})
    chosen = sweep_request.request({"source": ["data/traces/pgbench.parquet", "zipf"]})
    assert chosen.texts == ("data/traces/pgbench.parquet", "zipf")


# --- Requests ---------------------------------------------------------------------------------


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """What may be asked for: sizes as text or numbers, some axes, some sources."""
    sizes = st.sampled_from(["4KiB", "64KiB", 2 * MIB, 4096])
    asked_for: dict[str, Any] = {
        "region_bytes": st.sampled_from(["1TiB", "16GiB", 1 << 40, "144GB"]),
        "granule_bytes": st.just("4KiB"),
        "chunk_bytes": sizes,
        "batch_chunks": st.integers(1, 1 << 20),
        "seed": st.integers(0, 2**63 - 1),
        "policy": st.sampled_from(PARAMETERS["policy"].choices[:3]),
        "source": st.sampled_from(["zipf", "zipf:1000", ["uniform:10", "zipf:alpha=1e-05"]]),
        "costs": st.sampled_from(["hvo-8s", "latr-8s120"]),
        "out": st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8).map(
            lambda name: f"{name.replace('/', '_')}x.parquet"
        ),
        "chunk_bytes_axis": st.lists(sizes, max_size=4),
        "batch_chunks_axis": st.lists(st.integers(1, 1 << 20), max_size=3),
        "policy_axis": st.lists(st.sampled_from(PARAMETERS["policy"].choices[:3]), max_size=3),
        "threshold_of_footprint_axis": st.lists(
            st.floats(0, 10, exclude_min=True) | st.sampled_from(["1e-3", 1]), max_size=3
        ),
    }  # fmt: skip
    chosen = draw(st.sets(st.sampled_from(sorted(asked_for)))) | {"source"}
    return {name: draw(asked_for[name]) for name in sorted(chosen)}


@given(requests(), st.sampled_from([".yaml", ".yml", ".toml"]))
def test_what_is_asked_for_survives_its_file(
    tmp_path_factory: pytest.TempPathFactory, wanted: dict[str, Any], suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"grid{suffix}"
    request = sweep_request.request(wanted)
    write_parameters(request.effective(), path)
    again = sweep_request.request(read_parameters(path))
    assert again == request
    assert again.effective() == request.effective()
    if suffix != ".toml":  # to papermill it says the same
        assert read_yaml_file(str(path)) == read_parameters(path) == request.effective()


def test_the_effective_parameters_are_all_of_them() -> None:
    effective = sweep_request.request(
        {"source": "zipf", "chunk_bytes_axis": [4096, "2MiB"]}
    ).effective()
    assert tuple(sorted(effective)) == tuple(sorted(sweep_request.NAMES))
    assert effective["chunk_bytes_axis"] == ["4KiB", "2MiB"]
    assert (effective["region_bytes"], effective["costs"]) == ("1TiB", "hvo-8s")
    assert effective["batch_chunks_axis"] == []


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"chunk_byte": 1}, "chunk_byte=1: no such parameter; did you mean 'chunk_bytes'"),
        ({"regions": "h200"}, "regions='h200': no such parameter"),
        ({"chunk_bytes": ["2MiB"]}, "must be one value; a list of them is chunk_bytes_axis"),
        ({"chunk_bytes": {"a": 1}}, "must be one value"),
        ({"chunk_bytes": None}, "chunk_bytes=None: must be an int in bytes"),
        ({"chunk_bytes": 3}, "chunk_bytes=3: must be a power of two"),
        ({"chunk_bytes": math.nan}, "chunk_bytes=nan: must be an int in bytes"),
        ({"policy": False}, "policy=False: must be one of"),
        ({"batch_chunks": 1.0}, "batch_chunks=1.0: must be an int"),
        ({"chunk_bytes_axis": "2MiB"}, "chunk_bytes='2MiB': an axis must be a list"),
        ({"chunk_bytes_axis": [[1]]}, "chunk_bytes=[1]: must be an int in bytes"),
        ({"chunk_bytes_axis": [4096, 3]}, "chunk_bytes=3: must be a power of two"),
        ({"threshold_fraction_axis": ["x"]}, "threshold_fraction='x': must be a number"),
        ({"threshold_fraction_axis": ["nan"]}, "threshold_fraction=nan: must be a number above 0"),
        ({"threshold_fraction_axis": [True]}, "threshold_fraction=True: must be a number"),
        (
            {"threshold_fraction_axis": [0.1], "threshold_bytes_axis": ["2MiB"]},
            "threshold_bytes sets the threshold too",
        ),
        (
            {"seed_axis": list(range(1001)), "batch_chunks_axis": list(range(1, 1001))},
            "'1,001,000 points': must be at most 1,000,000",
        ),
        ({"costs": "hvo"}, "costs='hvo': no such preset; did you mean 'hvo-8s'"),
        ({"out": "frame.csv"}, "out='frame.csv': must be None or the path of a Parquet file"),
        ({"out": 5}, "out=5: must be None or the path of a Parquet file"),
        ({"source": []}, "source=[]: must name a trace file or a workload"),
        ({"source": None}, "source=None: must name a trace file or a workload"),
        ({"source": [1]}, "source=[1]: must name a trace file or a workload"),
        ({"granule_bytes": "4MiB"}, "chunk_bytes='2MiB': must be at least granule_bytes"),
        (
            {"granule_bytes_axis": ["4MiB"], "chunk_bytes_axis": ["2MiB"]},
            "no point of the grid has parameters that can stand together",
        ),
    ],
)
def test_bad_requests_are_refused(wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(pfnlab.ParameterError, match=re.escape(message)):
        sweep_request.request({"source": "zipf"} | wanted)


def test_what_comes_later_overrules() -> None:
    given = {"chunk_bytes_axis": [1], "threshold_of_footprint_axis": [0.1], "seed": 1}
    assert sweep_request.overlay(given, {"chunk_bytes": 4}) == {
        "chunk_bytes": 4, "threshold_of_footprint_axis": [0.1], "seed": 1,
    }  # fmt: skip
    assert sweep_request.overlay(given, {"threshold_bytes_axis": [5]}) == {
        "chunk_bytes_axis": [1], "threshold_bytes_axis": [5], "seed": 1,
    }  # fmt: skip
    assert sweep_request.overlay(given, {"seed": 2})["seed"] == 2


# --- Files ------------------------------------------------------------------------------------

BILLION = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("g.json", "{}", "g.json: must end in .yaml, .yml, .toml"),
        ("g.yaml", "seed: 1\nseed: 2", "line 2: 'seed' must be given once"),
        ("g.toml", "seed = 1\nseed = 2", "must be TOML (Cannot overwrite a value"),
        ("g.yaml", BILLION, "line 2: there must be no aliases"),
        ("g.yaml", "<<: {seed: 1}", "line 1: a name must be text"),
        ("g.yaml", "? [1]\n: 2", "line 1: a name must be text"),
        ("g.yaml", "1: 2", "must have lines of 'name: value'"),
        ("g.yaml", "- seed", "must have lines of 'name: value'"),
        ("g.yaml", "seed: 010", "line 1: 010 must be a decimal number"),
        ("g.yaml", "n_cpus: 1:30", "line 1: 1:30 must be a decimal number"),
        ("g.yaml", "seed: 0x10", "line 1: 0x10 must be a decimal number"),
        ("g.yaml", "seed: " + "9" * 5000, "must be YAML (Exceeds the limit"),
        ("g.toml", "seed = " + "9" * 5000, "must be TOML (Exceeds the limit"),
        ("g.yaml", "a: " + "[" * 5000, "must be YAML (maximum recursion"),
        ("g.toml", "a = " + "[" * 5000, "must be TOML ("),
        ("g.yaml", "a: [1", "line 1: expected ',' or ']'"),
        ("g.yaml", "!!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("g.yaml", "a: 1\n---\nb: 2", "line 2: but found another document"),
        ("g.yaml", "\0\1\2", "must be YAML (unacceptable character"),
        ("g.toml", "\0\1\2", "must be TOML ("),
        ("g.yaml", b"a: \xff\xfe", "must be UTF-8 (byte 3 is not)"),
        ("g.yaml", "a: x\n" * (MOST_BYTES // 5 + 1), f"must have at most {MOST_BYTES} bytes"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_bad_files_are_refused_by_name(
    name: str, text: str | bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ParameterFileError) as caught:
        read_parameters(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    for name in ("pipe.yaml", "folder.yaml"):
        with pytest.raises(ParameterFileError, match="must be a file"):
            read_parameters(tmp_path / name)
    with pytest.raises(ParameterFileError, match="can't be read"):
        read_parameters(tmp_path / "absent.yaml")


def test_files_as_editors_leave_them(tmp_path: Path) -> None:
    for name, text in (("g.yaml", "seed: 1\r\n"), ("h.toml", "seed = 1\r\n")):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert read_parameters(tmp_path / name) == {"seed": 1}
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert read_parameters(tmp_path / "empty.yaml") == {}
    (tmp_path / "n.yaml").write_text("n_events: 1_000\nname: 2020-01-01\nno: 1")
    with pytest.raises(ParameterFileError, match="lines of 'name: value'"):  # YAML's no is a bool
        read_parameters(tmp_path / "n.yaml")


def test_any_text_can_be_a_path(tmp_path: Path) -> None:
    name = "a\x7f\t\"'\\ é\n\u2028\U0001f600.parquet"
    for suffix in (".yaml", ".toml"):
        path = write_parameters({"source": name}, tmp_path / f"g{suffix}")
        assert read_parameters(path) == {"source": name}


def test_what_can_not_be_text_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(pfnlab.ParameterError, match="must be text"):
        write_parameters({"source": "\udcff.csv"}, tmp_path / "g.toml")
    assert not list(tmp_path.iterdir())
    path = write_parameters({"source": "\udcff.csv"}, tmp_path / "g.yaml")
    assert read_parameters(path) == {"source": "\udcff.csv"}


# --- Frames that can be made again ------------------------------------------------------------


@pytest.fixture
def trace_file(tmp_path: Path) -> Path:
    pages = np.arange(5000) * 40 % 200_000
    return pfnlab.save(pfnlab.Trace(pages), tmp_path / "trace.parquet")


@pytest.mark.kernel
def test_a_frame_says_what_was_asked_for(trace_file: Path, tmp_path: Path) -> None:
    wanted = {"source": ["uniform:500", str(trace_file)], "batch_chunks_axis": [1, 2]}
    wanted |= {"region_bytes": "1GiB", "threshold_bytes": "2MiB"}
    request = sweep_request.request(wanted).opened()
    frame = request.sweep(executor=1)
    assert len(frame) == 4
    path = frames.write_frame(frame, tmp_path / "frame.parquet")
    about = frames.about_frame(path)
    assert about["request"] == request.effective()
    assert about["request"]["source"] == ["uniform:n_events=500", str(trace_file)]
    assert about["digests"] == {str(trace_file): pfnlab.load(trace_file, stream=False).digest()}
    again = sweep_request.request(about["request"]).opened().sweep(executor=2)
    pd.testing.assert_frame_equal(again, frame, check_exact=True)
    assert frames.differing(again, pd.read_parquet(path)) == []


@pytest.mark.kernel
def test_what_was_asked_for_survives_pandas(trace_file: Path, tmp_path: Path) -> None:
    wanted = {"source": str(trace_file), "region_bytes": "1GiB", "batch_chunks_axis": [1, 2]}
    frame = sweep_request.request(wanted).opened().sweep(executor=1)
    text = frame.attrs[frames.ATTRIBUTE]
    assert json.loads(text)["request"]["batch_chunks_axis"] == [1, 2]
    written = frames.write_frame(frame, tmp_path / "frame.parquet")
    for other in (
        frame.copy(), frame[frame["batch_chunks"] > 1], pd.concat([frame, frame]),
        pd.read_parquet(written), frame.assign(more=1), frame.sort_values("batch_chunks"),
    ):  # fmt: skip
        assert other.attrs == frame.attrs
    assert frame.equals(frame.assign())
    bare = frame.copy()
    bare.attrs = {}
    assert frame.equals(bare)
    pd.testing.assert_frame_equal(frame, bare)
    frames.write_frame(pd.read_parquet(written), tmp_path / "again.parquet")
    assert frames.about_frame(tmp_path / "again.parquet")["request"] == json.loads(text)["request"]


def test_a_slider_is_told_too() -> None:
    request = sweep_request.request(
        {"source": "zipf:10", "chunk_bytes_axis": ["4KiB", "2MiB"]}
    ).opened()
    moved = request.moved_to(request.params.replace(chunk_bytes="64KiB"))
    assert (moved.axes, moved.effective()["chunk_bytes"]) == ({}, "64KiB")
    assert request.moved_to(None) == request


def test_other_files_are_no_frames(tmp_path: Path, root: Path) -> None:
    (tmp_path / "text.parquet").write_text("no")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    for path, message in (
        (tmp_path / "absent.parquet", "can't be read as a frame (there is no such file)"),
        (tmp_path, "can't be read as a frame (there is no such file)"),
        (tmp_path / "text.parquet", "can't be read as a frame (it is no Parquet)"),
        (tmp_path / "other.parquet", "must be a frame that pfnlab wrote"),
        (root / "data/traces/pgbench.parquet", "must be a frame that pfnlab wrote"),
    ):
        with pytest.raises(FrameError, match=re.escape(message)):
            frames.about_frame(path)


def test_frames_are_compared_bit_for_bit() -> None:
    one = pd.DataFrame({"a": [0.0, math.nan], "b": ["x", "y"], "c": [1, 2]})
    assert frames.differing(one, one.copy()) == []
    assert frames.differing(one, one.assign(a=[-0.0, math.nan])) == ["a"]
    assert frames.differing(one, one.assign(a=[math.nextafter(0, 1), math.nan])) == ["a"]
    assert frames.differing(one, one.assign(b=["x", "z"])) == ["b"]
    assert frames.differing(one, one.assign(c=[1.0, 2.0])) == ["c"]
    assert frames.differing(one.drop(columns="c"), one.drop(columns="b")) == ["b", "c"]


def test_yaml_is_read_as_papermill_reads_it(tmp_path: Path) -> None:
    text = "a: 1e-3\nb: 1.5e-3\nc: 64KiB\nd: 2020-01-01\ne: [1, 2.5, x]\nf: ~\ng: off\nh: -3\n"
    path = tmp_path / "g.yaml"
    path.write_text(text)
    assert read_parameters(path) == read_yaml_file(str(path))
    assert read_parameters(path)["a"] == "1e-3" == yaml.safe_load(text)["a"]
