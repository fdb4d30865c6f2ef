"""Everything that a command must refuse: one line that names field and value, nothing written."""

from pathlib import Path

import pytest

from pfnlab.notebooks import papermill_runs, sweep_request
from tests.commands import complaint

SMALL = "softirq:300"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "required: COMMAND"),
        (["hots"], "'hots' is no command; did you mean 'host'?"),
        (["trace", "inof"], "'inof' is no command; did you mean 'info'?"),
        (["trace"], "required: COMMAND"),
        (["trace", "info"], "required: FILE"),
        (["host", "--jsn"], "unrecognized arguments: --jsn"),
        (
            ["replay", "zipff"],
            "source='zipff': no such workload or trace file; did you mean 'zipf'",
        ),
        (["replay", "zipf", "--chunk-bytes", "3B"], "chunk_bytes='3B': must be a power of two"),
        (["replay", "zipf", "--chunk-bytes", ""], "chunk_bytes='': must be a number with a unit"),
        (["replay", "zipf", "--batch-chunks", "x"], "batch_chunks='x': must be an int"),
        (["replay", "zipf", "--policy", "lri"], "did you mean"),
        (
            ["replay", "zipf", "--costs", "hvo"],
            "costs='hvo': no such preset; did you mean 'hvo-8s'",
        ),
        (
            ["replay", "data/traces/pgbench.parquet", "--page-bytes", "2MiB"],
            "must be the region's page size",
        ),
        (["sweep"], "source=(): must name a trace file or a workload"),
        (["sweep", "zipf", "--chunk-bytes", "3B,4KiB"], "chunk_bytes='3B': must be a power of two"),
        (["sweep", "zipf", "--policy", "lra,lri"], "policy='lri': must be one of"),
        (["sweep", "zipf", "--seed", "x"], "seed='x': must be an int"),
        (
            ["sweep", "zipf", "--threshold-of-footprint", "x"],
            "threshold_of_footprint='x': must be a number",
        ),
        (
            ["sweep", "zipf", "--threshold-of-footprint", "0"],
            "threshold_of_footprint=0.0: must be a number",
        ),
        (
            ["sweep", "zipf", "--threshold-of-footprint", "nan..1"],
            "must double from its first value",
        ),
        (
            ["sweep", "zipf", "--threshold-of-footprint", "0.1", "--threshold-bytes", "2MiB"],
            "threshold_bytes='2MiB': --threshold-of-footprint sets the threshold too",
        ),
        (
            ["sweep", "zipf", "-o", "x.csv"],
            "out='x.csv': must be None or the path of a Parquet file",
        ),
        (["sweep", "zipf", "-o", "."], "out='.': must be None or the path of a Parquet file"),
        (["sweep", "zipf", "-j", "0"], "jobs=0: must be a number of threads or processes"),
        (
            ["sweep", "zipf", "--executor", "x"],
            "executor='x': must be threads, processes or dask:ADDRESS",
        ),
        (
            ["sweep", "zipf", "--executor", "dask:x", "-j", "2"],
            "jobs=2: must be left to the cluster",
        ),
        (["sweep", "zipf", "--from", "x.parquet"], "from='x.parquet': says all that is asked for"),
        (
            ["sweep", "--from", "x.parquet"],
            "x.parquet: can't be read as a frame (there is no such file)",
        ),
        (["sweep", "-f", "x.yaml"], "x.yaml: can't be read (No such file"),
        (["sweep", "-f", "x.json"], "x.json: must end in .yaml, .yml, .toml"),
        (
            [
                "sweep",
                "zipf",
                "--seed",
                "1,2",
                "--batch-chunks",
                ",".join(["1"] * 1000),
                "--n-cpus",
                ",".join(["1"] * 1000),
            ],
            "'2,000,000 points': must be at most 1,000,000",
        ),
        (
            ["notebook", "run", "sweeep"],
            "notebook='sweeep': no such notebook; did you mean 'sweep'",
        ),
        (
            ["notebook", "run", "sweep", "sweeep"],
            "notebook='sweeep': no such notebook; did you mean 'sweep'",
        ),
        (
            ["notebook", "run", "sweep", "-p", "chunk_byte", "1"],
            "chunk_byte: no such parameter of sweep; did you",
        ),
        (
            ["notebook", "run", "sweep", "-y", "chunk_byte: 1"],
            "chunk_byte: no such parameter of sweep; did you",
        ),
        (
            ["notebook", "run", "sweep", "03_chunk_size", "-p", "policy_axis", "lra"],
            "policy='lra': an axis must be a list",
        ),
        (
            ["notebook", "run", "03_chunk_size", "-y", "policy_axis: [lra]"],
            "policy_axis: no such parameter of 03_chunk_size; did you mean 'policy'",
        ),
        (
            ["notebook", "run", "sweep", "-p", "chunk_bytes", "3"],
            "chunk_bytes=3: must be a power of two",
        ),
        (
            ["notebook", "run", "sweep", "-y", "chunk_bytes: [1]"],
            "must be one value; a list of them is",
        ),
        (
            ["notebook", "run", "sweep", "-p", "source", "zipff"],
            "source='zipff': no such workload or trace file",
        ),
        (
            ["notebook", "run", "sweep", "-y", "source: 5"],
            "source=5: must name a trace file or a workload",
        ),
        (
            ["notebook", "run", "08_pmem_and_gpu", "-p", "regions", "h20"],
            "region='h20': no such region; did you mean",
        ),
        (
            ["notebook", "run", "sweep", "-p", "out", "x.csv"],
            "must be None or the path of a Parquet file",
        ),
        (["notebook", "run", "sweep", "-y", "a: ["], "-y: line 1: "),
        (["notebook", "run", "sweep", "-f", "absent.yaml"], "absent.yaml: can't be read"),
        (["notebook", "run", "sweep", "-j", "0"], "jobs=0: must be a number of kernels"),
        (["schemes"], "required: SOURCE"),
        (["schemes", "sofirq:10"], "did you mean 'softirq'?"),
        (["schemes", "softirq:x"], "there must be a number of events"),
        (["schemes", SMALL, "--region", "optan-1tib"], "did you mean 'optane-1tib'"),
        (["schemes", SMALL, "--costs", "hvo"], "costs='hvo'"),
        (["schemes", SMALL, "--names", "demand_lar"], "did you mean"),
        (["schemes", SMALL, "--names", ""], "must be names with commas between them"),
        (["schemes", SMALL, "--names", "memdesc,,hvo_2m"], "must be names with commas"),
        (["schemes", SMALL, "--chunk-bytes", "3KiB"], "chunk_bytes='3KiB': must be a power of two"),
        (["schemes", SMALL, "--chunk-bytes", ""], "chunk_bytes='': must be a number with a unit"),
        (["schemes", SMALL, "-o", "table.txt"], "must end in .parquet, .png, .svg or .pdf"),
        (["schemes", "uniform:0", "--names", "memdesc", "-o", "none.png"], "has no rows"),
        (["advise", SMALL, "--needs", "stable_adress"], "did you mean 'stable_address'?"),
        (["advise", SMALL, "--dram-budget", "64"], "must be a number with a unit"),
        (["advise", SMALL, "--dram-budget", "1KiB"], "must hold one granule"),
        (["advise", SMALL, "-j", "0"], "jobs=0: must be"),
        (["advise", SMALL, "--executor", "thread"], "must be threads, processes or dask"),
        (["advise", SMALL, "-j", "two"], "invalid int value: 'two'"),
        (["advise", "uniform:0"], "has no accesses to advise on"),
        (["advise", SMALL, "-o", "front.txt"], "must end in .parquet, .png, .svg or .pdf"),
        (["compare", "absent", "other"], "absent: can't be read (no such file)"),
        (["compare", ".", "absent"], "must both be frames, or both folders"),
        (["compare", ".", "."], ".: has no frames"),
        (["compare", "a.parquet", "b.parquet", "--noise", "x"], "invalid float value: 'x'"),
        (["report", "absent"], "absent: no such folder or frame; ./run demo leaves some"),
        (["report", "."], ".: has no frames"),
        (["report", ".", "-o", "report.txt"], "must end in .html"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No sweep and no kernel is started, either."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep_request, "sweep", None)
    monkeypatch.setattr(papermill_runs.Kernels, "execute", None)
    assert message in complaint(words, capsys)
    assert not [*tmp_path.iterdir()]
