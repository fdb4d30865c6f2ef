"""A JupyterLab on loopback and a Chromium for all tests of this folder, and notebooks to open."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests import small_notebooks
from tests.browser.chromium import AbsentError, chromium, launched
from tests.browser.driving import Notebook
from tests.browser.lab import Lab, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[2]
#: Notebooks that are opened unless all are asked for, and those that are small as they are.
CHOSEN, AS_THEY_ARE = ("00_model", "04_eviction_threshold", "explore"), ("00_model",)
FOUND_IN = ROOT / "results" / "browser"
OPENED = pytest.StashKey[list[Notebook]]()


class Opening(Protocol):
    """Opens a copy of a notebook, with these parameters in place of the small ones."""

    def __call__(self, name: str, **parameters: Any) -> AbstractContextManager[Notebook]: ...


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "notebook_name" in metafunc.fixturenames:
        every = metafunc.config.getoption("--all-notebooks")
        metafunc.parametrize("notebook_name", small_notebooks.NAMES if every else CHOSEN)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what the pages of a failed test show, and the server's log, and say where."""
    report = yield
    if report.failed:
        opened: list[Notebook] = item.config.stash.get(OPENED, [])
        for number, notebook in enumerate(opened):
            stem = FOUND_IN / f"{item.name}-{number}"
            notebook.photograph(stem.with_suffix(".png"))
            stem.with_suffix(".log").write_text(notebook.lab.tail(100_000))
            report.sections.append(("Page", f"{stem}.png\n{stem}.log"))
    return report


# Of this package: playwright's event loop must have ended before other tests start their own.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with ExitStack() as stack:
        try:
            browser = stack.enter_context(launched(chromium()))
        except AbsentError as absent:
            # In CI it must be there.
            (pytest.fail if os.environ.get("CI") else pytest.skip)(str(absent))
        yield browser


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Lab]:
    with serving(tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("settings")) as lab:
        yield lab


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a trace that every notebook replays in a moment."""
    return str(small_notebooks.small_trace(tmp_path_factory.mktemp("trace")))


@pytest.fixture(scope="package")
def opening(lab: Lab, browser: Browser, small: str, pytestconfig: pytest.Config) -> Opening:
    opened = pytestconfig.stash.setdefault(OPENED, [])

    @contextmanager
    def one(name: str, **parameters: Any) -> Iterator[Notebook]:
        folder = Path(tempfile.mkdtemp(dir=lab.root))
        changed = {} if name in AS_THEY_ARE else small_notebooks.parameters(name, small)
        path = folder / small_notebooks.copied(name, folder, {**changed, **parameters})
        notebook = Notebook(lab, browser, str(path.relative_to(lab.root)))
        opened.append(notebook)
        yield notebook
        opened.remove(notebook)
        notebook.close()

    return one


@pytest.fixture
def open_notebook(opening: Opening) -> Iterator[Callable[..., Notebook]]:
    """Opens copies of notebooks that are closed after the test."""
    with ExitStack() as stack:
        yield lambda name, **parameters: stack.enter_context(opening(name, **parameters))
