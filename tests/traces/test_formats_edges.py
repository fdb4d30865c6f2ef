"""Foreign files at their edges: compressed in parts, too large, a full disk, an interruption."""

import gzip
import json
import lzma
import os
import resource
import signal
import struct
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import pfnlab
from pfnlab.cli import main
from pfnlab.traces.formats import completions, compressed
from pfnlab.traces.formats.devices import Places

LINE = b"8 1 0 8 1\n"
FOLDER = Path(__file__).parent / "formats"


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "zst": zstd,
}


# --- Compression ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", COMPRESS)
def test_parts_compressed_one_after_another_are_one_file(suffix: str, tmp_path: Path) -> None:
    """As ``cat a.zst b.zst``, an empty part among them."""
    compress, path = COMPRESS[suffix], tmp_path / "many"
    path.write_bytes(compress(LINE) + compress(b"") + compress(LINE * 3))
    assert len(pfnlab.load(path, io_depth=0)) == 2 * 4


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("tail", [b"garbage", b"\xfd7zXZ\0", b"x" * 99])
def test_what_follows_a_compressed_part_is_never_dropped(
    suffix: str, tail: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "tail"
    path.write_bytes(COMPRESS[suffix](LINE) + tail)
    with pytest.raises(pfnlab.TraceError, match=r"can be decompressed up to byte \d+ only"):
        pfnlab.load(path)


def test_zeros_between_and_after_streams_of_xz_are_padding(tmp_path: Path) -> None:
    path = tmp_path / "padded.xz"
    many = bytes(compressed._READ_BYTES)
    path.write_bytes(lzma.compress(LINE) + bytes(4) + lzma.compress(LINE) + many + bytes(4))
    assert len(pfnlab.load(path, io_depth=0)) == 4


def test_xz_that_wants_much_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressed, "_XZ_BYTES", 1 << 20)
    path = tmp_path / "large.xz"
    path.write_bytes(lzma.compress(LINE, filters=[{"id": lzma.FILTER_LZMA2, "preset": 6}]))
    with pytest.raises(pfnlab.TraceError, match=r"up to byte 0 only.*[Mm]emory"):
        pfnlab.load(path)


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_bomb_is_read_in_bounded_memory(suffix: str, tmp_path: Path) -> None:
    """64 MiB of blank lines in a few KiB: no more than some blocks of 4 MiB are ever held."""
    path = tmp_path / "bomb"
    path.write_bytes(COMPRESS[suffix](LINE + b"\n" * (64 << 20)))
    pfnlab.load(FOLDER / "mqsim.trace")  # compiles
    tracemalloc.start()
    try:
        assert len(pfnlab.load(path, format="mqsim")) == 2
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_a_line_without_an_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "line.gz"
    path.write_bytes(gzip.compress(b"1" * (64 << 20), 1))
    with pytest.raises(pfnlab.TraceError, match="byte 0: a line must end within 4194304 bytes"):
        pfnlab.load(path, format="mqsim")


# --- Requests of many pages ----------------------------------------------------------------------


@pytest.mark.parametrize("header", ["offset,bytes", "offset,bytes,time_ns"])
def test_large_requests_come_in_pieces(
    header: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.csv"
    rows = [(i * 4096, n * 4096, i) for i, n in enumerate([1, 9, 0, 30, 2, 2, 7, 100])]
    text = "\n".join(",".join(map(str, row[: header.count(",") + 1])) for row in rows)
    path.write_text(f"{header}\n{text}\n")
    for io_depth in (0, 3):
        whole = pfnlab.load(path, stream=False, io_depth=io_depth)
        with monkeypatch.context() as some:
            some.setattr(completions, "_PAGES_AT_ONCE", 8)
            pieces = pfnlab.load(path, stream=False, io_depth=io_depth)
        for name, column in whole.columns().items():
            assert np.array_equal(column, pieces.columns()[name])
    assert len(whole) == 2 * sum(n // 4096 for _, n, _ in rows)


def test_events_beyond_memory_are_refused_before_they_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.csv"
    path.write_text("offset,bytes\n" + "0,4294967295\n" * 10_000)  # 2**34 events in 130 KB
    monkeypatch.setattr("pfnlab.traces.formats.foreign.available_bytes", lambda: 1 << 26)
    with pytest.raises(pfnlab.TraceError, match=r"must fit in half .* 'pfnlab trace convert large"):
        pfnlab.load(path)


def test_many_devices_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "many.trace"
    path.write_text("".join(f"8 {device} 0 8 1\n" for device in range(40_000)))
    placed = pfnlab.load(path, stream=False).provenance["placed"].split("; ")
    assert placed[::39_999] == ["0 at page 0", f"39999 at page {39_999 * 32768}"]


# --- What is no file -----------------------------------------------------------------------------


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path(os.devnull)):
        with pytest.raises(pfnlab.TraceError, match="must be a file, it is"):
            pfnlab.load(path)
        with pytest.raises(pfnlab.TraceError, match="must be a file, it is"):
            pfnlab.load(path, format="msr")


@pytest.mark.parametrize("how", ["grows", "is replaced"])
def test_a_file_that_changes_while_it_is_read_is_refused(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Devices are placed by what was found when the file was read first."""
    path = tmp_path / "live.trace"
    path.write_bytes(LINE)

    class Changing(Places):
        @classmethod
        def of(cls, *arguments: Any) -> Places:
            found = Places.of(*arguments)
            if how == "grows":
                with path.open("ab") as file:
                    file.write(b"9 1 1099511627776 8 1\n")
            else:
                (tmp_path / "other").write_bytes(LINE)
                (tmp_path / "other").replace(path)
            return found

    monkeypatch.setattr("pfnlab.traces.formats.foreign.Places", Changing)
    with pytest.raises(pfnlab.TraceError, match=r"live.trace: was changed while it was read"):
        pfnlab.load(path)


# --- Columns of a header -------------------------------------------------------------------------


@pytest.mark.kernel
@pytest.mark.parametrize(
    "text",
    [
        "host,offset,bytes\nabc,4096,4096\n",
        "host ; offset ; bytes\na b c ; 4096 ; 4096\n",
        "offset,,bytes,x\r\n4096,,4096, \r\n",
        "host offset bytes\nabc\t4096  4096\n",
    ],
)
def test_other_columns_are_passed_over(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert pfnlab.load(tmp_path / "a.csv", stream=False).pfns.tolist() == [1, 1]


def test_a_header_that_names_two_things_is_refused_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("offset,pfn\n1,2\n")
    with pytest.raises(pfnlab.TraceError, match=r"a.csv: line 1: the header must name offset or"):
        pfnlab.load(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text(f"pfn\n1\n{2**52}\n")
    with pytest.raises(pfnlab.TraceError, match=r"b.csv: line 3: pfn must be below 2\*\*52"):
        pfnlab.load(tmp_path / "b.csv")


# --- vscsi of version 2 ---------------------------------------------------------------------------


def test_vscsi_of_version_2_is_read_as_that_of_version_1(tmp_path: Path) -> None:
    """Made by hand: the fields of the fixture, in the order of the other version."""
    one = list(struct.iter_unpack("<IIIHHQQ", (FOLDER / "vscsi.bin").read_bytes()))
    two = [(op, 0x0200, sn, n, nsg, lbn, us, 77) for sn, n, nsg, op, _, lbn, us in one]
    path = tmp_path / "two"
    path.write_bytes(b"".join(struct.pack("<HHIIIQQQ", *record) for record in two))
    found, wanted = pfnlab.load(path), pfnlab.load(FOLDER / "vscsi.bin")
    assert found.provenance["format"] == "vscsi"
    assert found.provenance["counts"] == wanted.provenance["counts"]
    assert found.digest() == wanted.digest()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(pfnlab.TraceError, match=r"byte 120: must be a whole record of 40 bytes"):
        pfnlab.load(path)


# --- Conversion ----------------------------------------------------------------------------------


def test_conversion_says_what_it_skipped_and_keeps_what_was_typed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "a b.trace", tmp_path / "o.parquet"
    source.write_bytes(LINE + b"x\n" + LINE + b"y\n")
    words = ["trace", "convert", "--skip-bad=2", "--format=mqsim", "--json"]
    words += [str(source), str(target)]
    assert main(words) == 0
    said = capsys.readouterr()
    assert f"pfnlab: {source}: 2 bad lines or records were skipped\n" in said.err
    about = json.loads(said.out)
    options = "--skip-bad=2 --format=mqsim --json"
    assert about["command"] == f"pfnlab trace convert {options} 'a b.trace' o.parquet"
    assert about["counts"] == "bad, skipped: 2"


def test_a_folder_that_is_there_is_refused_before_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "o").mkdir()
    monkeypatch.setattr("pfnlab.traces.formats.foreign.Foreign.events", None)
    assert main(["trace", "convert", str(FOLDER / "msr.csv"), str(tmp_path / "o")]) == 1
    assert "it must not exist yet" in capsys.readouterr().err


def compressed_lines(path: Path, n_lines: int) -> Path:
    path.write_bytes(gzip.compress(LINE * n_lines, 1))
    return path


@pytest.mark.parametrize("target", ["o.parquet", "o"])
def test_a_full_disk_leaves_nothing(target: str, tmp_path: Path) -> None:
    """A limit of file sizes stands for the disk: it stops a write just as well, for anyone."""
    source = compressed_lines(tmp_path / "many.trace.gz", 200_000)
    command = [sys.executable, "-m", "pfnlab", "trace", "convert", str(source), target]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "can't be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


@pytest.mark.parametrize(("target", "size"), [("o.parquet", "1m"), ("o", "1m"), ("o", "10m")])
def test_a_full_tmpfs_leaves_nothing(target: str, size: str, tmp_path: Path) -> None:
    """While events are spooled, and in the last case while they are written."""
    source = compressed_lines(tmp_path / "many.trace.gz", 200_000)
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "pfnlab-test", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk takes root and leave to mount")
    try:
        assert main(["trace", "convert", str(source), str(disk / target)]) == 1
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("at", [".pfnlab-*", ".o.parquet.*"])
@pytest.mark.slow
def test_an_interrupted_conversion_leaves_nothing(at: str, tmp_path: Path) -> None:
    """Ctrl-C while events are spooled, and while they are written."""
    source = compressed_lines(tmp_path / "many.trace.gz", 3_000_000)
    command = [sys.executable, "-m", "pfnlab", "trace", "convert", str(source), "o.parquet"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(tmp_path.glob(at)) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert (process.returncode, "Traceback" in said) == (130, False), said
    assert "pfnlab: interrupted" in said
    assert [path.name for path in tmp_path.iterdir()] == [source.name]
