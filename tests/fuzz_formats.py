"""Damaged files for every format: each gives a trace, or an error that names the file.

``python -m tests.fuzz_formats N [SEED]`` reads N damaged files a format in one process, with little
memory and a time limit a file, and keeps what breaks a reader in ``tests/traces/formats/found``.
"""

import faulthandler
import gzip
import lzma
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa

import pfnlab
from pfnlab.traces.formats.known import format_of, formats

FOLDER = Path(__file__).parent / "traces" / "formats"
FOUND = FOLDER / "found"
MIB = 1 << 20
#: What the readers may believe to be available, and what they may reserve beyond what is in use.
MEMORY_BYTES, SPARE_BYTES = 256 * MIB, 2048 * MIB
LIMIT_S = 10.0

NUMBERS = [
    *(str(value + by) for value in (0, 2**31, 2**32, 2**40, 2**44, 2**56, 2**63) for by in (-1, 0)),
    *("-0", "00", "+1", "0x10", "1e9", ".5", "1.", "1.9999999999", "9" * 30, "NaN", "", "18014398"),
]
RAW = [b"\0", b"\n", b"\r", b"\r\n", b'"', b"\\", b"#", b"\xef\xbb\xbf", b"\xff\xfe", b"PAR1",
       b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"{*}", b"%s", b"\t", b" "]  # fmt: skip
SEPARATORS = b",; \t\n:.+-[]()"


def fixtures() -> dict[str, list[bytes]]:
    """Whole files of each format, as far as their content tells it."""
    files: dict[str, list[bytes]] = {name: [] for name in formats()}
    for path in sorted(FOLDER.iterdir()):
        with suppress(pfnlab.TraceError):
            files[format_of(path).name].append(path.read_bytes())
    return files


# --- Damage --------------------------------------------------------------------------------------


def flipped(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    some = bytearray(data)
    for _flip in range(rng.choice([1, 1, 2, 8])):
        some[rng.randrange(len(some))] ^= 1 << rng.randrange(8)
    return bytes(some)


def cut(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    begin, end = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    parts = [data[:end], data[begin:], data[:begin] + data[end:]]
    return rng.choice(parts)


def spliced(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    other, at = rng.choice(others), rng.randrange(len(data) + 1)
    begin = rng.randrange(len(other) + 1)
    return data[:at] + other[begin : begin + rng.randrange(80)] + data[at:]


def with_number(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """Replace a number, or bytes where there is none."""
    found = list(re.finditer(rb"\d+", data))
    number = rng.choice(NUMBERS).encode()
    if found and rng.random() < 0.8:
        begin, end = rng.choice(found).span()
    else:
        begin = end = rng.randrange(len(data) + 1)
    return data[:begin] + number + data[end:]


def with_raw(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(RAW) + data[at:]


def with_binary(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """Put an integer where a record may have one."""
    n = rng.choice([1, 2, 4, 8])
    at = rng.randrange(len(data) + 1) // n * n
    value: int = rng.choice([0, 1, 2 ** (8 * n) - 1, 2 ** (8 * n - 1), 2 ** (8 * n - 1) - 1])
    number = value.to_bytes(n, "little")[:: rng.choice([1, -1])]
    return data[:at] + number + data[at + n :]


def unseparated(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    places = [i for i, byte in enumerate(data) if byte in SEPARATORS]
    if not places:
        return data
    at = rng.choice(places)
    instead = rng.choice([b"", b"", bytes([rng.choice(SEPARATORS)])])
    return data[:at] + instead + data[at + 1 :]


def repeated(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    begin = rng.randrange(len(data))
    part = data[begin : begin + rng.randrange(1, 60)]
    times = rng.choice([2, 3, 10, 100]) if rng.random() < 0.98 else 2000
    return data[:begin] + part * times + data[begin:]


DAMAGES: list[Callable[[random.Random, bytes, list[bytes]], bytes]] = [
    flipped, cut, spliced, with_number, with_number, with_raw, with_binary, unseparated, repeated,
]  # fmt: skip
WRAPPERS: list[Callable[[bytes], bytes]] = [
    lambda data: gzip.compress(data, 1, mtime=0),
    lambda data: lzma.compress(data, preset=0),
    lambda data: bytes(pa.compress(data, codec="zstd", asbytes=True)),
]


def damaged(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """Damage a file once or a few times; now and then within, or around, a compressed one."""
    for _ in range(rng.choice([1, 1, 1, 2, 3, 5])):
        data = rng.choice(DAMAGES)(rng, data, others) or b"\n"
    if rng.random() < 0.1:
        data = rng.choice(WRAPPERS)(data)
        if rng.random() < 0.7:
            data = rng.choice([flipped, cut, with_binary, repeated])(rng, data, others)
    return data


# --- One file, and many --------------------------------------------------------------------------


class TooLong(BaseException):
    """A reader took longer than it may: no handler of errors may catch this."""


def _ring(*_: object) -> None:
    raise TooLong


@contextmanager
def little_memory() -> Iterator[None]:
    """Let readers believe in little memory, and have not much more."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    bell = signal.signal(signal.SIGALRM, _ring)
    try:
        with (
            patch("pfnlab.traces.formats.foreign.available_bytes", lambda: MEMORY_BYTES),
            patch(
                "pfnlab.traces.formats.reading._MOST_LINES", 64
            ),  # faster, and files of many rounds
        ):
            yield
    finally:
        signal.signal(signal.SIGALRM, bell)
        resource.setrlimit(resource.RLIMIT_AS, before)


def _in_time(path: Path, options: dict[str, Any]) -> pfnlab.Trace:
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        trace: pfnlab.Trace = pfnlab.load(path, stream=False, **options)
        return trace
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def outcome(path: Path, **options: Any) -> str:
    """Read a file; what became of it: ``"trace"``, the name of the error, or else what is wrong."""
    try:
        trace = _in_time(path, options)
        n_bad = trace.provenance.get("counts", "").partition("bad, skipped: ")[2].split(";")[0]
        assert int(n_bad.replace(",", "") or 0) <= options.get("skip_bad", 0)
        assert len(trace) > 0
        assert int(trace.pfns.min()) >= 0
        return "trace"
    except pfnlab.PfnlabError as error:
        return type(error).__name__ if str(path) in str(error) else f"WRONG: no file in {error!r}"
    except TooLong:
        return f"WRONG: took more than {LIMIT_S} s"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"WRONG: {''.join(traceback.format_exception(error)[-3:])}"


def options_for(rng: random.Random, name: str) -> dict[str, Any]:
    """Some options: most files are read as what they were."""
    return {
        "format": name if rng.random() < 0.8 else None,
        "skip_bad": rng.choice([0, 0, 1, 10**6]),
        "io_depth": rng.choice([0, 1, 32]),
        "devices": rng.choice(["apart", "apart", "packed"]),
    }


def fuzz(name: str, n_files: int, seed: int, path: Path) -> tuple[Counter[str], dict[str, bytes]]:
    """Read so many damaged files of a format; how they ended, and what was wrong with which."""
    files = fixtures()
    others = [data for some in files.values() for data in some]
    ends: Counter[str] = Counter()
    wrong: dict[str, bytes] = {}
    for i in range(n_files):
        rng = random.Random(f"{name} {seed} {i}")
        data = damaged(rng, rng.choice(files[name]), others)
        path.write_bytes(data)
        options = options_for(rng, name)
        end = outcome(path, **options)
        if end.startswith("WRONG"):
            wrong[f"{options} {end}"] = data
            end = "WRONG"
        ends[end] += 1
    return ends, wrong


def main() -> int:
    """Fuzz all formats, or those that are named."""
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    names = [word for word in sys.argv[1:] if not word.isdigit()] or list(formats())
    n_files, seed = [*numbers, 0][0], [*numbers, 0, 0][1]
    n_wrong = 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, little_memory():
        for name in names:
            faulthandler.dump_traceback_later(3600, exit=True)
            began = time.monotonic()
            ends, wrong = fuzz(name, n_files, seed, Path(folder) / "damaged")
            took = time.monotonic() - began
            sys.stdout.write(f"{name}: {dict(ends)} in {took:.0f} s\n")
            for what, data in wrong.items():
                FOUND.mkdir(exist_ok=True)
                target = FOUND / f"{name}-{sha256(data).hexdigest()[:8]}"
                target.write_bytes(data)
                sys.stdout.write(f"  {target.name}: {what}\n")
            sys.stdout.flush()
            n_wrong += len(wrong)
    return 1 if n_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
