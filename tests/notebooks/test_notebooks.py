"""Notebooks as committed and under papermill; the claims, figures and sliders they use."""

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest

import pfnlab
from pfnlab import claims, notebooks
from pfnlab.claims.measures import mechanism
from pfnlab.frames import readable
from pfnlab.notebooks import chapters, demo
from pfnlab.params import PARAMETERS
from pfnlab.params.units import short_ns
from tests import small_notebooks

NOTEBOOKS = sorted(notebooks.FOLDER.glob("*.ipynb"))
CALLS = [(c.notebook, call) for c in chapters.CHAPTERS for call in (*c.claims, c.figure)]
MAX_PNG_BYTES = 150_000
#: Notebooks whose frame is a sweep of every event of the source.
SWEPT = ("02_region_size", "03_chunk_size", "04_eviction_threshold", "sweep")


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


# --- As committed -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_parameters_cell_holds_the_vocabulary_at_its_defaults(path: Path) -> None:
    (cell,) = [c for c in code_cells(path) if "parameters" in c.metadata.get("tags", [])]
    values = {n.targets[0].id: ast.literal_eval(n.value) for n in ast.parse(cell.source).body}
    assert set(values) <= set(notebooks.ALLOWED)
    assert {"source", "costs", "out"} <= set(values)
    params = pfnlab.Params(**{name: values[name] for name in PARAMETERS})
    assert params == pfnlab.Params()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_are_thin_and_committed_executed_and_clean(path: Path) -> None:
    text = path.read_text()
    assert "widget-state" not in text
    assert "iopub" not in text
    assert not re.search(r"[\"' ](/home|/root|/tmp|/work|/Users)/", text)
    pictures = 0
    for cell in code_cells(path):
        tree = ast.parse(cell.source)
        assert not any(
            isinstance(n, ast.FunctionDef | ast.ClassDef | ast.For) for n in ast.walk(tree)
        )
        assert cell.execution_count
        for output in cell.outputs:
            assert output.output_type != "error"
            pictures += "image/png" in output.get("data", {})
            assert len(output.get("data", {}).get("image/png", "")) * 3 / 4 <= MAX_PNG_BYTES
    assert pictures


# --- Run, here and under papermill ------------------------------------------------------------


def papermill(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_runs_small(path: Path, small_frames: dict[str, pd.DataFrame]) -> None:
    check_small(path.stem, small_frames[path.stem])


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_runs_small_under_papermill(path: Path, tmp_path: Path) -> None:
    out, source = tmp_path / "frame.parquet", small_notebooks.small_trace(tmp_path)
    parameters = small_notebooks.parameters(path.stem, str(source)) | {"out": str(out)}
    notebooks.execute(path.stem, parameters, tmp_path / "out.ipynb")
    check_small(path.stem, pd.read_parquet(out))


def check_small(name: str, frame: pd.DataFrame) -> None:
    frame = frame[frame["n_events"] > 0]  # others were measured, not replayed
    assert set(frame["source"]) == {"block_io"}
    if name == "00_model":  # a row an event, of the first ones
        assert (frame["accesses"] + frame["puts"] == 1).all()
        assert frame["event"].tolist() == list(range(mechanism.SHOWN_EVENTS))
        return
    if name in SWEPT:
        assert (frame["accesses"] + frame["puts"] == 20_000).all()
    if "hits" in frame:
        handled = frame["hits"] + frame["faults"] + frame["atomic_faults"]
        assert (handled == frame["accesses"]).all()
        assert frame["accesses"].between(1, 20_000).all()
    assert frame["event_ns"].max() > 0


@pytest.mark.slow
def test_the_command_of_the_readme(tmp_path: Path, root: Path) -> None:
    command = "-p source data/traces/pgbench.parquet -y 'chunk_bytes_axis: [64KiB, 2MiB]' -p out"
    assert (
        f"papermill notebooks/03_chunk_size.ipynb out.ipynb {command} frame.parquet"
        in (root / "README.md").read_text()
    )
    out = tmp_path / "frame.parquet"
    arguments = ["notebooks/03_chunk_size.ipynb", str(tmp_path / "out.ipynb")]
    done = papermill(*arguments, *shlex.split(command), str(out), cwd=root)
    assert done.returncode == 0, done.stderr[-2000:]
    frame = pd.read_parquet(out)
    assert sorted(set(frame["chunk_bytes"])) == [64 << 10, 2 << 20]
    assert set(frame["source"]) == {"pgbench"}


def test_an_injected_value_overrules_the_axes_of_the_notebook() -> None:
    own = "source = 'zipf'\ncosts = 'hvo-8s'\nchunk_bytes_axis = ['64KiB', '2MiB']"
    own += "\nthreshold_of_footprint_axis = [0.25]"
    for injected, axes in (
        ("x = 1", {"chunk_bytes", "threshold_of_footprint"}),
        ("chunk_bytes = 4096", {"threshold_of_footprint"}),
        ("threshold_bytes = '4MiB'", {"chunk_bytes"}),
        ("threshold_bytes_axis = ['8MiB']", {"chunk_bytes", "threshold_bytes"}),
    ):
        namespace: dict[str, Any] = {}
        exec(f"{own}\n{injected}", {}, namespace)  # noqa: S102 - the lines above
        namespace["In"] = [own, "" if injected == "x = 1" else f"# Parameters\n{injected}"]
        assert set(notebooks.request(namespace).axes) == axes


@pytest.mark.slow
def test_an_unknown_name_fails_under_plain_papermill(tmp_path: Path, root: Path) -> None:
    out = tmp_path / "out.ipynb"
    done = papermill("notebooks/sweep.ipynb", str(out), "-p", "chunk_byte", "4096", cwd=root)
    assert done.returncode != 0
    assert "chunk_byte: no such notebook parameter; did you mean 'chunk_bytes'" in done.stderr
    assert out.exists()


@pytest.mark.parametrize(
    ("injected", "message"),
    [
        ("chunk_bytes_axs = [1]", "chunk_bytes_axs: no such notebook parameter"),
        ("source = 'zipff'", "source='zipff': no such workload or trace file; did you mean 'zipf'"),
        ("source = 'zipf:1e3'", "source='zipf:1e3': after ':' there must be a number of events"),
        ("source = 'zipf:'", "source='zipf:': after ':' there must be a number of events"),
        ("source = 'zipff:9'", "source='zipff:9': no such workload or trace file"),
        ("source = []", "source=[]: must name a trace file or a workload"),
        ("source = 5", "source=5: must name a trace file or a workload"),
        ("costs = 5", "costs=5: must be a preset's name"),
        ("out = 5", "out=5: must be None or the path"),
        ("out = '.'", "out='.': must be None or the path"),
        ("chunk_bytes_axis = 0", "chunk_bytes=0: an axis must be a list"),
        ("costs = 'hvo'", "costs='hvo': no such preset"),
        ("chunk_bytes = 3", "chunk_bytes=3: must be a power of two"),
        ("batch_chunks_axis = [0]", "batch_chunks=0: must be between"),
    ],
)
def test_bad_parameters_are_refused(injected: str, message: str) -> None:
    namespace: dict[str, Any] = {"source": "zipf", "costs": "hvo-8s", "out": None}
    exec(injected, {}, namespace)  # noqa: S102 - the lines above
    namespace["In"] = [
        "",
        "source = 'zipf'\ncosts = 'hvo-8s'",
        f"# Parameters\n{injected}",
        "x = 1",
    ]
    with pytest.raises(pfnlab.PfnlabError, match=re.escape(message)):
        notebooks.request(namespace)


def test_a_workload_may_be_named_with_its_events() -> None:
    source = notebooks.find_source("uniform:1000")
    assert source == pfnlab.workload("uniform", n_events=1000)
    assert len(source.trace(pfnlab.Params())) == 1000


def test_execute_refuses_before_it_starts_a_kernel(tmp_path: Path) -> None:
    with pytest.raises(pfnlab.NotebookError, match="did you mean 'sweep'"):
        notebooks.execute("sweeep", {}, tmp_path / "out.ipynb")
    with pytest.raises(pfnlab.NotebookError, match="did you mean 'chunk_bytes'"):
        notebooks.execute("sweep", {"chunk_byte": 1}, tmp_path / "out.ipynb")
    assert not list(tmp_path.iterdir())


# --- Verdicts and the README ------------------------------------------------------------------


@pytest.mark.slow
def test_the_demo_leaves_notebook_frame_and_picture(results: Path) -> None:
    names = {path.name for path in results.iterdir() if path.is_file()}
    kinds = ("ipynb", "parquet", "pdf", "png", "svg")
    assert names == {f"{c.notebook}.{kind}" for c in chapters.CHAPTERS for kind in kinds}


@pytest.mark.slow
def test_the_tables_of_verdicts_are_what_the_run_writes(
    default_frames: dict[str, pd.DataFrame], root: Path
) -> None:
    frames = default_frames
    found = {c.notebook: chapters.verdicts(c, frames[c.notebook]) for c in chapters.CHAPTERS}
    readme, page = (root / "README.md").read_text(), (root / demo.VERDICTS).read_text()
    assert demo.with_table(readme, demo.table(found)) == readme
    assert demo.with_table(page, demo.details(found)) == page


@pytest.mark.slow
def test_verdicts_can_fail(default_frames: dict[str, pd.DataFrame]) -> None:
    frames = default_frames
    names = ("02_region_size", "03_chunk_size", "04_eviction_threshold")
    region, chunk, threshold = (frames[name] for name in names)
    over = region.assign(peak_resident_bytes=region["threshold_bytes"] + 1)
    assert claims.bounded_dram(region).holds is True
    assert claims.bounded_dram(over).holds is False
    assert claims.chunks_amortise(chunk).holds is True
    assert claims.chunks_amortise(chunk.assign(shootdowns=1000)).holds is False
    assert claims.small_share_suffices(threshold.assign(refaults=0)).holds is True
    all_again = threshold.assign(refaults=threshold["accesses"])
    assert claims.small_share_suffices(all_again).holds is False


def test_verdicts_stay_open_where_a_frame_can_not_tell(frames: dict[str, pd.DataFrame]) -> None:
    names = ("02_region_size", "03_chunk_size", "04_eviction_threshold")
    region, chunk, threshold = (frames[name] for name in names)
    one_region = region[region["region_bytes"] == region["region_bytes"].max()]
    assert claims.bounded_dram(one_region).holds is None
    assert claims.bounded_dram(region.assign(evicted_chunks=0)).holds is None
    assert claims.chunks_amortise(chunk.assign(shootdowns=0)).holds is None
    assert claims.chunks_amortise(chunk[chunk["batch_chunks"] == 1].head(1)).holds is None
    whole = threshold[threshold["threshold_of_footprint"] == 1.0]
    assert claims.small_share_suffices(whole).holds is None
    assert "needs a row near 25%, has 100%" in claims.small_share_suffices(whole).evidence
    pinned = threshold.assign(peak_resident_bytes=threshold["footprint_bytes"])
    assert claims.small_share_suffices(pinned).holds is None


def test_a_verdict_does_not_mix_thresholds() -> None:
    trace, params = pfnlab.load(notebooks.ROOT / "data/traces/sqlite.parquet"), pfnlab.Params()
    frame = pfnlab.sweep(trace, params, threshold_of_footprint=[0.02, 1.0], chunk_bytes=["4KiB"])
    assert claims.chunks_amortise(frame).holds is None


@pytest.mark.parametrize(("name", "call"), CALLS, ids=[f"{n}-{c.__name__}" for n, c in CALLS])
def test_claims_and_figures_refuse_other_frames(
    name: str, call: Callable[[pd.DataFrame], Any], frames: dict[str, pd.DataFrame]
) -> None:
    for frame in (pd.DataFrame(), frames[name].head(0), frames[name][["source", "evidence"]]):
        with pytest.raises(pfnlab.PfnlabError, match="frame: has no"):
            call(frame)


@pytest.mark.parametrize(("name", "call"), CALLS, ids=[f"{n}-{c.__name__}" for n, c in CALLS])
def test_a_missing_column_is_named(
    name: str, call: Callable[[pd.DataFrame], Any], frames: dict[str, pd.DataFrame]
) -> None:
    frame = frames[name]

    def refused(columns: list[str]) -> list[str]:
        """Return those that are missed; columns that are not are dropped together, it is faster."""
        try:
            call(frame.drop(columns=columns))
        except pfnlab.PfnlabError as error:
            if len(columns) == 1:
                assert columns[0] in str(error)
                return columns
            half = len(columns) // 2
            return refused(columns[:half]) + refused(columns[half:])
        return []

    assert len(refused([*frame.columns])) >= 3


def test_figures_have_titles_units_and_every_source(frames: dict[str, pd.DataFrame]) -> None:
    for chapter in chapters.CHAPTERS:
        picture = chapter.figure(frames[chapter.notebook])
        assert picture.get_suptitle()
        for axes in picture.axes:
            assert axes.get_xlabel()
            beside_another = not any(label.get_text() for label in axes.get_yticklabels())
            assert axes.get_ylabel() or beside_another
        texts = " ".join(text.get_text() for axes in picture.axes for text in axes.texts)
        titles = " ".join(axes.get_title(loc="left") for axes in picture.axes)
        keys = [text.get_text() for legend in picture.legends for text in legend.get_texts()]
        frame = frames[chapter.notebook]
        for source in frame["source"][frame["n_events"] > 0].unique():
            assert source in " ".join([texts, titles, *keys])


def test_tables_are_written_for_people() -> None:
    frame = pd.DataFrame(
        {
            "source": ["zipf", "zipf"],
            "dram_bytes": pd.array([17 << 30, None], "Int64"),
            "setup_ns": [2.7917e9, 370.04],
            "faults": [1_234_567, 0],
            "miss_ratio": [0.12345, 1.0],
            "touches": [1000.4, 0.5],
        },
        index=[7, 9],
    )
    written = readable(frame)
    assert [*written] == [*frame]
    assert written.to_numpy().tolist() == [
        ["zipf", "17 GiB", "2.79 s", "1,234,567", "12.35%", "1,000"],
        ["zipf", "", "370 ns", "0", "100.00%", "0.5"],
    ]
    assert [short_ns(ns) for ns in (0, -23_063, 999.7, 5e15)] == [
        "0 ns", "-23.1 us", "1 us", "5,000,000 s",
    ]  # fmt: skip


@pytest.mark.slow
def test_the_overview_has_a_line_for_each_verdict(default_frames: dict[str, pd.DataFrame]) -> None:
    frames = default_frames
    found = {c.notebook: chapters.verdicts(c, frames[c.notebook]) for c in chapters.CHAPTERS}
    lines = demo.overview(found).splitlines()
    assert len(lines) == sum(map(len, found.values()))
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("T1  holds         01  A static descriptor")
