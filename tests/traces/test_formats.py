"""Foreign traces: each reader against a plain reference, bad files, every compression."""

import gzip
import lzma
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pfnlab
from pfnlab.cli import main
from pfnlab.traces.formats import Format, completions
from pfnlab.traces.formats import known as known_formats
from pfnlab.traces.formats.completions import Timed, by_depth
from pfnlab.traces.formats.known import formats
from pfnlab.traces.formats.reading import Accesses, Reading, Requests

FOLDER = Path(__file__).parent / "formats"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "traces"


class Line(NamedTuple):
    """One request, or one lookup of a page where `length` is None."""

    device: str | None
    offset: int
    length: int | None
    submit_ns: int | None = None
    complete_ns: int | None = None


# --- A plain reference of each format: fields cut out of lines, not by the scanner ----------------


def csv(path: Path) -> Iterator[list[str]]:
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            yield [field.strip() for field in line.split(",")]


def msr(path: Path) -> list[Line]:
    rows = [
        (f"{host} {disk}", int(offset), int(size), int(time), int(response))
        for time, host, disk, _, offset, size, response in csv(path)
    ]
    began = rows[0][3]
    return [Line(d, o, n, (t - began) * 100, (t - began + r) * 100) for d, o, n, t, r in rows]


def spc(path: Path) -> list[Line]:
    return [
        Line(asu, int(lba) * 512, int(size), round(float(time) * 1e9))
        for asu, lba, size, _, time, *_ in csv(path)
    ]


def mqsim(path: Path) -> list[Line]:
    rows = [line.split() for line in path.read_text().splitlines() if line and line[0] != "#"]
    return [Line(d, int(lbn) * 512, int(n) * 512, int(t)) for t, d, lbn, n, _ in rows]


def alibaba(path: Path) -> list[Line]:
    return [Line(d, int(o), int(n), int(t) * 1000) for d, _, o, n, t in csv(path)]


def tencent(path: Path) -> list[Line]:
    return [Line(d, int(o) * 512, int(n) * 512, int(t) * 10**9) for t, o, n, _, d in csv(path)]


def offsets(path: Path) -> list[Line]:
    return [Line(None, int(o), int(n)) for o, n in list(csv(path))[1:]]


def pfns(path: Path) -> list[Line]:
    rows = [line.split() for line in path.read_text().splitlines()[1:]]
    return [Line(None, int(pfn), None, int(time)) for time, pfn, _ in rows]


def vscsi(path: Path) -> list[Line]:
    records = struct.iter_unpack("<IIIHHQQ", path.read_bytes())
    moves = {0x28, 0x2A}
    return [
        Line(None, block * 512, n, us * 1000)
        for _, n, _, op, _, block, us in records
        if op in moves
    ]


def oracle_general(path: Path) -> list[Line]:
    records = struct.iter_unpack("<IQIq", path.read_bytes())
    return [Line(None, thing, None, time * 10**9) for time, thing, _, _ in records]


REFERENCES: dict[str, tuple[str, Callable[[Path], list[Line]]]] = {
    "msr.csv": ("msr", msr),
    "spc.csv": ("spc", spc),
    "mqsim.trace": ("mqsim", mqsim),
    "alibaba.csv": ("alibaba", alibaba),
    "tencent.csv": ("tencent", tencent),
    "offsets.csv": ("offsets", offsets),
    "pfns.txt": ("offsets", pfns),
    "vscsi.bin": ("vscsi", vscsi),
    "oracle_general.bin": ("oracle_general", oracle_general),
}
FILES = sorted(REFERENCES)


def expected(lines: list[Line], io_depth: int) -> tuple[list[int], list[int]]:
    """Pages and operations of a file whose devices lie apart, by lists and one sort."""
    if lines[0].length is None:
        return [line.offset for line in lines], [0] * len(lines)
    area = 128 << 20
    ends: dict[str | None, int] = {}
    for line in lines:
        end = -(-(line.offset + (line.length or 0)) // area) * area
        ends[line.device] = max(ends.get(line.device, 0), end)
    bases, base = {}, 0
    for device, end in ends.items():
        bases[device], base = base, base + end
    halves: list[tuple[Any, ...]] = []
    for i, line in enumerate(lines):
        at, length = bases[line.device] + line.offset, line.length or 0
        pages = list(range(at // 4096, (at + length - 1) // 4096 + 1)) if length else []
        if line.complete_ns is None:
            halves += [((2 * i,), pages, 1), ((2 * (i + io_depth) + 1,), pages, 2)]
        else:
            own = line.complete_ns == line.submit_ns
            halves.append(((line.submit_ns, 1, i), pages, 1))
            halves.append(((line.complete_ns, 2 if own else 0, i), pages, 2))
    halves.sort(key=lambda half: half[0])
    return (
        [page for _, pages, _ in halves for page in pages],
        [op for _, pages, op in halves for _ in pages],
    )


def ops_of(trace: pfnlab.Trace) -> list[int]:
    return trace.ops.tolist() if trace.ops is not None else [0] * len(trace)


@pytest.mark.kernel
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("io_depth", [0, 1, 32])
def test_a_reader_gives_what_the_reference_gives(name: str, io_depth: int) -> None:
    _, reference = REFERENCES[name]
    trace = pfnlab.load(FOLDER / name, stream=False, io_depth=io_depth)
    assert (trace.pfns.tolist(), ops_of(trace)) == expected(reference(FOLDER / name), io_depth)
    assert trace.evidence == "proxy"
    assert trace.name == name.partition(".")[0]


@pytest.mark.parametrize("name", FILES)
def test_a_format_is_told_by_its_content(name: str, tmp_path: Path) -> None:
    target = tmp_path / "unknown"
    target.write_bytes((FOLDER / name).read_bytes())
    assert pfnlab.load(target).provenance["format"] == REFERENCES[name][0]


def test_every_format_has_a_fixture() -> None:
    assert {known for known, _ in REFERENCES.values()} <= set(formats())


# --- Compression, conversion -------------------------------------------------------------------


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
}


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("name", ["mqsim.trace", "vscsi.bin"])
def test_compressed_files_are_read_alike(name: str, suffix: str, tmp_path: Path) -> None:
    plain = pfnlab.load(FOLDER / name, stream=False)
    data = COMPRESS[suffix]((FOLDER / name).read_bytes())
    path = tmp_path / f"{name}.{suffix}"
    path.write_bytes(data)
    trace = pfnlab.load(path, stream=False)
    assert trace.digest() == plain.digest()
    assert trace.name == plain.name
    path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(
        pfnlab.TraceError, match=r"can be decompressed up to byte \d+ only|is empty"
    ):
        pfnlab.load(path)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("target", ["out.parquet", "out"])
def test_conversion_equals_loading(name: str, target: str, tmp_path: Path) -> None:
    from pfnlab.cli import main

    assert main(["trace", "convert", str(FOLDER / name), str(tmp_path / target)]) == 0
    converted = pfnlab.load(tmp_path / target, stream=False)
    loaded = pfnlab.load(FOLDER / name, stream=False)
    assert converted.digest() == loaded.digest()
    for column, values in loaded.columns().items():
        assert np.array_equal(values, converted.columns()[column])
    typed = f"pfnlab trace convert {name} {target}"
    assert converted.provenance == {**loaded.provenance, "command": typed}
    assert [path.name for path in tmp_path.iterdir()] == [target]


# --- Requests to events ------------------------------------------------------------------------

REQUESTS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 4), st.integers(0, 9), st.integers(0, 5)),
    max_size=30,
)


@given(REQUESTS, st.integers(0, 5), st.integers(1, 7), st.integers(0, 30))
def test_streamed_completions_equal_those_of_the_whole(
    rows: list[tuple[int, int, int, int]], io_depth: int, at_once: int, cut: int
) -> None:
    columns = np.array(rows, np.int64).reshape(-1, 4).T
    offset, length = columns[0] * 2048, columns[1] * 4096
    submit = np.sort(columns[2])
    complete = submit + columns[3]
    before, completions._AT_ONCE = completions._AT_ONCE, at_once
    try:
        parts = [slice(cut), slice(cut, None)]
        plain = [Requests(offset[part], length[part]) for part in parts]
        check(list(by_depth(iter(plain), io_depth, 4096)),
              pfnlab.Trace.from_requests(offset, length, io_depth))  # fmt: skip
        timed = [Requests(offset[p], length[p], None, submit[p], complete[p]) for p in parts]
        whole = pfnlab.Trace.from_requests(offset, length, submit_ns=submit, complete_ns=complete)
        check(list(Timed(4096).events(iter(timed))), whole)
    finally:
        completions._AT_ONCE = before


def check(parts: list[Accesses], whole: pfnlab.Trace) -> None:
    for name, column in whole.columns().items():
        found = [getattr(part, name) for part in parts]
        if found and found[0] is not None:
            assert np.concatenate(found).tolist() == column.tolist()


def test_a_submission_that_comes_late_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "late.csv"
    path.write_text("100,h,0,Read,0,4096,5\n130,h,0,Read,4096,4096,5\n110,h,0,Read,8192,4096,5\n")
    trace = pfnlab.load(path, stream=False)
    assert trace.pfns.tolist() == [0, 0, 1, 2, 1, 2]
    assert trace.provenance["counts"] == "requests submitted late: 1"


# --- Devices -----------------------------------------------------------------------------------

TWO = "8 1 0 8 1\n9 7 1048576 8 1\n10 1 2097152 8 1\n"  # device 1 in two areas, 1 GiB apart


@pytest.mark.parametrize(
    ("devices", "pages"),
    [
        ("apart", [0, (9 + 4) * 32768, 8 * 32768]),
        ("packed", [0, 2 * 32768, 32768]),
        ("1", [0, 8 * 32768]),
    ],
)
def test_devices_are_placed(devices: str, pages: list[int], tmp_path: Path) -> None:
    path = tmp_path / "two.trace"
    path.write_text(TWO)
    trace = pfnlab.load(path, stream=False, devices=devices, io_depth=0)
    assert trace.pfns[::2].tolist() == pages
    if devices == "apart":
        assert trace.provenance["placed"] == "1 at page 0; 7 at page 294912"


def test_an_unknown_device_is_refused(tmp_path: Path) -> None:
    (tmp_path / "two.trace").write_text(TWO)
    with pytest.raises(pfnlab.TraceError, match="it has no such device; known are 1, 7"):
        pfnlab.load(tmp_path / "two.trace", devices="2")
    with pytest.raises(pfnlab.TraceError, match="its format names no devices"):
        pfnlab.load(FOLDER / "offsets.csv", devices="2")


# --- What is bad -------------------------------------------------------------------------------

TEXTS = [name for name in FILES if not name.endswith(".bin")]


@pytest.mark.kernel
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(
    "garbage",
    [b"\x00\xff\x17\n", b"-1 -1 -1\n", b"9" * 40 + b"," * 9 + b"\n", b"a;b;c\n", b",,,,,,\n"],
)
def test_a_bad_line_is_named_or_skipped(name: str, garbage: bytes, tmp_path: Path) -> None:
    data = (FOLDER / name).read_bytes()
    data = data if data.endswith(b"\n") else data + b"\n"
    path = tmp_path / name
    path.write_bytes(data + garbage + data.split(b"\n")[-2] + b"\n")
    known = REFERENCES[name][0]
    line = data.count(b"\n") + 1
    with pytest.raises(
        pfnlab.TraceError, match=rf"line {line}, byte \d+ \(column \d+\): must have"
    ):
        pfnlab.load(path, format=known)
    trace = pfnlab.load(path, format=known, skip_bad=1)
    assert "bad, skipped: 1" in trace.provenance["counts"]


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_such_file_is_refused(name: str, tmp_path: Path) -> None:
    known, path = REFERENCES[name][0], tmp_path / "file"
    noise = np.random.default_rng(1).integers(0, 256, 5000, np.uint8).tobytes()
    for data in (b"", b"\n\n", noise, b"\xff" * 4096, b"1" * (9 << 20)):
        path.write_bytes(data)
        with pytest.raises(pfnlab.PfnlabError) as error:
            pfnlab.load(path, format=known)
        assert str(path) in str(error.value)


@pytest.mark.parametrize("name", ["vscsi.bin", "oracle_general.bin"])
def test_a_cut_record_is_named(name: str, tmp_path: Path) -> None:
    data = (FOLDER / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[:-5])
    with pytest.raises(pfnlab.TraceError, match=r"byte \d+: must be a whole record of \d+ bytes"):
        pfnlab.load(path)
    assert len(pfnlab.load(path, skip_bad=1)) < len(pfnlab.load(FOLDER / name))


def test_records_of_the_other_endianness_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "swapped"
    path.write_bytes(struct.pack(">IIIHHQQ", 1, 4096, 1, 0x28, 1, 8, 10) * 3)
    with pytest.raises(pfnlab.TraceError, match="is of no format that is known"):
        pfnlab.load(path)
    with pytest.raises(pfnlab.TraceError, match="record 0, byte 0: must have a command"):
        pfnlab.load(path, format="vscsi")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("8 1 9223372036854775807 8 1", "line 1: offset_bytes must be between 0 and"),
        ("8 1 9223372036854775808 8 1", "must have sector"),
        ("8 1 0 9007199254740992 1", "line 1: length_bytes must be between 0 and"),
        ("8 1 0 8", "must have type"),
        ("8 1 0 8 1 7", "must have the end of the line"),
    ],
)
def test_numbers_beyond_any_device_are_refused(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text(line + "\n")
    with pytest.raises(pfnlab.TraceError, match=message):
        pfnlab.load(tmp_path / "a", format="mqsim")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "msrr"}, "no such format; did you mean 'msr'"),
        ({"skip_bad": -1}, "skip_bad=-1: must be a number of bad lines"),
        ({"io_depth": 1.5}, "io_depth=1.5: must be 0"),
        ({"page_bytes": 1000}, "page_bytes=1000: must be a power of two"),
        ({"columns": ["ofset"], "format": "offsets"}, "no such column; did you mean 'offset'"),
        ({"columns": ["bytes"], "format": "offsets"}, "must name offset or pfn, each column once"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(pfnlab.ParameterError, match=message):
        pfnlab.load(FOLDER / "offsets.csv", **options)


def test_a_text_without_header_needs_columns(tmp_path: Path) -> None:
    path = tmp_path / "plain.txt"
    path.write_text("12;4096;x\n4096;1;y\n")
    with pytest.raises(pfnlab.TraceError, match="for text without a header columns= too"):
        pfnlab.load(path)
    trace = pfnlab.load(path, format="offsets", columns=["offset", "bytes", "_"], io_depth=0)
    assert isinstance(trace, pfnlab.Trace)
    assert trace.pfns.tolist() == [0, 1, 0, 1, 1, 1]


def test_failures_leave_nothing_behind(tmp_path: Path) -> None:
    from pfnlab.cli import main

    (tmp_path / "bad.trace").write_text("8 1 0 8 1\n8 1 0\n")
    assert main(["trace", "convert", str(tmp_path / "bad.trace"), str(tmp_path / "o.parquet")]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["bad.trace"]
    assert main(["trace", "convert", str(FOLDER / "msr.csv"), str(tmp_path / "o.csv")]) == 2


# --- Real traces, where they are -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "n_requests", "n_pages", "n_areas"),
    [
        ("tpcc-small.trace", 6_999, 20_470, 4_873),
        ("wsrch-small.trace", 24_783, 93_029, None),
        ("cloudPhysicsIO.vscsi", 113_872, 269_210, None),
        ("self_sqlite_pread.csv.zst", 89_264, 28_780, None),
    ],
)
def test_real_traces_have_the_published_footprints(
    name: str, n_requests: int, n_pages: int, n_areas: int | None
) -> None:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not here")
    trace = pfnlab.load(path, stream=False, io_depth=0)
    pages = np.unique(trace.pfns)
    assert len(pages) == n_pages
    assert n_areas is None or len(np.unique(pages // 32768)) == n_areas
    # Synchronous: a request's GETs are followed by its PUTs.
    assert trace.ops is not None
    starts = np.flatnonzero(np.diff(trace.ops.astype(np.int8), prepend=2) == -1)
    assert len(starts) == n_requests


def test_a_format_is_one_record_in_a_listed_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Detection, the flag and the docs' table follow from the record."""

    def read(reading: Reading) -> Iterator[Accesses]:
        text = b"".join(block for _, block in reading.blocks())
        yield Accesses(np.array([int(line) for line in text.split()[1:]], np.int64))

    module: Any = ModuleType("fake")
    module.FORMAT = Format(
        name="fake", summary="made up", looks_so=lambda head: head.startswith(b"FAKE"), read=read
    )
    monkeypatch.setattr(known_formats, "MODULES", [*known_formats.MODULES, module])
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "docs")
    import declared

    path, out = tmp_path / "file.txt", tmp_path / "out.parquet"
    path.write_text("FAKE\n3\n1\n3\n")
    assert pfnlab.load(path, stream=False).pfns.tolist() == [3, 1, 3]
    assert main(["trace", "convert", str(path), str(out), "--format", "fake"]) == 0
    assert pfnlab.load(out, stream=False).provenance["format"] == "fake"
    assert ("`fake`", "proxy", "made up") in declared.formats().rows
    with pytest.raises(pfnlab.ParameterError, match="did you mean 'fake'"):
        pfnlab.load(path, format="fakes")
