"""The examples of README, CONTRIBUTING and docs/ run, and print what the pages show."""

import os
import re
import runpy
import shutil
from pathlib import Path
from unittest import SkipTest

import pytest

from tests.pages import DOCS, PAGES, ROOT, examples, name_of

STRACE = shutil.which("strace")
#: Languages of blocks that run; a block in ``text`` is a drawing, one in braces a directive.
RUN = {"console", "python", "sh", "yaml"}
#: The calls of the gallery need what `./run demo` leaves; tests/figures/test_figures.py runs them.
WITH_EXAMPLES = [page for page in PAGES if page.name not in ("dask.md", "gallery.md")]
#: What a cluster on a busy machine says of its own start and end is no concern of ours.
CLUSTER = pytest.param(DOCS / "howto" / "dask.md", marks=pytest.mark.filterwarnings("ignore"))


@pytest.mark.parametrize("page", [*WITH_EXAMPLES, CLUSTER], ids=name_of)
@pytest.mark.slow
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("data", "notebooks"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    for example in examples(page):
        try:
            example.evaluate()
        except SkipTest as reason:
            print(f"{name_of(page)}:{example.line} is left out: {reason}")
    check_pictures(page, tmp_path)


def check_pictures(page: Path, made: Path) -> None:
    """A picture that a page shows is one that its examples make; the index shows the README's."""
    shown = set(re.findall(r"!\[.*?\]\(\S*?images/(\S+?\.png)\)", page.read_text()))
    for name in shown if page != DOCS / "index.md" else ():
        if not (made / name).exists() and page.stem == "tutorial" and STRACE is None:
            continue  # of a trace that could not be captured
        assert (made / name).exists(), f"{page.name} shows {name}, which its examples do not make"
        if "PFNLAB_PICTURES" in os.environ:
            shutil.copy(made / name, DOCS / "images" / name)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_an_example_or_says_why_not(page: Path) -> None:
    text = page.read_text()
    languages = re.findall(r"^```(\S*)\n(?:.*\n)*?```$", text, re.MULTILINE)
    assert {each for each in languages if not each.startswith("{")} <= {*RUN, "text"}
    for skip in re.findall(r"<!-- skip.*", text):
        assert re.search(r'^<!-- skip: next .*"[\w .,:;/\'-]{12,}"\)? -->$', skip), skip


def test_every_task_and_command_that_a_page_names_exists() -> None:
    tasks = runpy.run_path(str(ROOT / "run"))["TASKS"]
    for page in PAGES:
        assert set(re.findall(r"\./run (\w+)", page.read_text())) <= {*tasks, "TASK"}, page
