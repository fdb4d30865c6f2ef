"""Every format against damaged files: some each time, and all that ever broke a reader."""

from pathlib import Path

import pytest

import pfnlab
from pfnlab.traces.formats.known import formats
from tests import fuzz_formats
from tests.fuzz_formats import FOUND, fixtures, fuzz, little_memory, outcome

N_FILES = 300
WITH_FIXTURE = [name for name, files in fixtures().items() if files]


@pytest.mark.parametrize("name", WITH_FIXTURE)
@pytest.mark.slow
def test_a_damaged_file_gives_a_trace_or_an_error(name: str, tmp_path: Path) -> None:
    with little_memory():
        ends, wrong = fuzz(name, N_FILES, 0, tmp_path / "damaged")
    assert not wrong
    assert ends["trace"], "damage so large hides what it should find"
    assert ends["TraceError"]


@pytest.mark.parametrize("path", sorted(FOUND.iterdir()), ids=lambda path: path.name)
def test_what_broke_a_reader_breaks_none(path: Path) -> None:
    known = path.name.partition("-")[0]
    assert known in formats()
    with little_memory():
        for options in ({"format": known}, {"format": None}, {"format": known, "skip_bad": 99}):
            end = outcome(path, **options)
            assert not end.startswith("WRONG"), end


def test_the_fuzzer_sees_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"

    def ends_as(load: object) -> str:
        monkeypatch.setattr("pfnlab.load", load)
        return outcome(path)

    def fails(error: BaseException) -> object:
        def load(*_: object, **__: object) -> None:
            raise error

        return load

    def hangs(*_: object, **__: object) -> None:
        while True:
            pass

    with little_memory():
        assert "KeyError" in ends_as(fails(KeyError("column")))
        assert "MemoryError" in ends_as(fails(MemoryError()))
        assert "no file in" in ends_as(fails(pfnlab.TraceError("is bad")))
        monkeypatch.setattr(fuzz_formats, "LIMIT_S", 0.01)
        assert "took more than" in ends_as(hangs)
