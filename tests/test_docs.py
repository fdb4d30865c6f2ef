"""The documentation builds without a warning, is complete, and its links lead somewhere."""

import importlib
import inspect
import runpy
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

import grimp
import pytest
from bs4 import BeautifulSoup
from markdown_it import MarkdownIt
from mdit_py_plugins.anchors import anchors_plugin

import pfnlab
from tests.pages import DOCS, PAGES, ROOT, name_of

#: Hosts that pages may link to. Nothing is fetched: who adds one has looked.
HOSTS = {"github.com", "lkml.org", "lore.kernel.org"}
#: Where the footer gives credit.
THEME_HOSTS = {"pradyunsg.me"}
#: Public packages, whose public names must all be in the reference.
PUBLIC = ("claims", "figures", "notebooks", "theory", "widgets")

# --- Links as they are read on GitHub -----------------------------------------------------------


@cache
def tokens(page: Path) -> list[Any]:
    markdown = MarkdownIt("commonmark").enable("table").use(anchors_plugin, max_level=4)
    return markdown.parse(page.read_text())


def links(page: Path) -> Iterator[str]:
    for token in tokens(page):
        for child in token.children or ():
            if target := child.attrs.get("href") or child.attrs.get("src"):
                yield str(target)


def anchors(page: Path) -> set[str]:
    return {str(token.attrs["id"]) for token in tokens(page) if "id" in token.attrs}


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "data" / "README.md", ROOT / "CHANGELOG.md"], ids=name_of
)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in links(page):
        parts = urlsplit(target)
        if parts.scheme:
            check_external(target)
            continue
        file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        assert file.exists(), f"{name_of(page)}: {target}"
        assert file.is_relative_to(ROOT)
        if parts.fragment:
            assert parts.fragment in anchors(file), f"{name_of(page)}: {target}"


def check_external(target: str) -> None:
    parts = urlsplit(target)
    assert parts.scheme == "https", target
    assert parts.hostname in HOSTS, f"{target}: look at it, then add its host to HOSTS"


# --- The pages as built -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All pages as HTML; a warning of Sphinx fails."""
    folder = tmp_path_factory.mktemp("docs")
    sphinx = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going"]
    command = [*sphinx, "-d", str(folder / "read"), str(DOCS), str(folder / "html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@cache
def soup(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(), "html.parser")


@cache
def ids(page: Path) -> set[str]:
    return {str(tag["id"]) for tag in soup(page).find_all(id=True)}


@pytest.mark.slow
def test_links_of_the_built_pages_lead_somewhere(built: Path) -> None:
    pages = sorted(built.rglob("*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        for tag in soup(page).find_all(["a", "img", "link", "script"]):
            if target := tag.get("href") or tag.get("src"):
                check_built(page, str(target), fetched=tag.name != "a")


def check_built(page: Path, target: str, *, fetched: bool) -> None:
    """A page fetches nothing from elsewhere, and what it points to is there."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        assert not fetched, f"{page.name} needs the network: {target}"
        if parts.hostname not in THEME_HOSTS:
            check_external(target)
        return
    file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    file = file / "index.html" if file.is_dir() else file
    assert file.exists(), f"{page.name}: {target}"
    if parts.fragment and file.suffix == ".html":
        assert unquote(parts.fragment) in ids(file), f"{page.name}: {target}"


# --- The reference ------------------------------------------------------------------------------


def public_names() -> Iterator[tuple[str, Any]]:
    """Yield every public name with what it stands for."""
    for name in pfnlab.__all__:
        if name != "__version__":
            yield f"pfnlab.{name}", getattr(pfnlab, name)
    for package in PUBLIC:
        module = importlib.import_module(f"pfnlab.{pfnlab._ALIASES.get(package, package)}")
        for name in exported(module):
            yield f"pfnlab.{package}.{name}", getattr(module, name)


def exported(module: ModuleType) -> list[str]:
    """Return what a module says is public, or its own functions and classes."""
    if hasattr(module, "__all__"):
        return [name for name in module.__all__ if callable(getattr(module, name))]
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
    ]


@pytest.mark.slow
def test_every_public_name_is_in_the_reference(built: Path) -> None:
    documented = set().union(*map(ids, built.glob("reference/*.html")))
    names = [name for name, _ in public_names()]
    assert len(names) > 80
    assert [name for name in names if name not in documented] == []


def test_every_public_name_has_a_docstring() -> None:
    bare = []
    for name, value in public_names():
        if not own_doc(value):
            bare.append(name)
        for method, member in vars(value).items() if inspect.isclass(value) else ():
            if not method.startswith("_") and is_method(member) and not inspect.getdoc(member):
                bare.append(f"{name}.{method}")
    assert bare == []


def own_doc(value: Any) -> str:
    """Return a docstring, but not the signature that a dataclass without one is given."""
    text = inspect.getdoc(value) or ""
    return "" if inspect.isclass(value) and text.startswith(f"{value.__name__}(") else text


def is_method(member: Any) -> bool:
    return inspect.isfunction(member) or isinstance(member, property | classmethod | staticmethod)


# --- The drawings -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawings() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "drawings.py"))


def test_drawings_are_current(drawings: dict[str, Any]) -> None:
    for name, draw in drawings["DRAWINGS"].items():
        drawn = (DOCS / "images" / f"{name}.svg").read_text()
        assert drawn == draw(), f"{name}.svg is stale: python docs/drawings.py"


def test_every_arrow_of_the_flow_is_an_import(drawings: dict[str, Any]) -> None:
    graph = grimp.build_graph("pfnlab", cache_dir=None)
    for start, end in drawings["ARROWS"]:
        one, other = f"pfnlab.{start}", f"pfnlab.{end}"
        assert imports(graph, one, other) or imports(graph, other, one), f"{start} -> {end}"


def imports(graph: grimp.ImportGraph, importer: str, imported: str) -> bool:
    """Whether a module, or one of its package, imports another, or one of its package."""
    inside = {importer, *graph.find_descendants(importer)}
    wanted = {imported, *graph.find_descendants(imported)}
    return any(graph.find_modules_directly_imported_by(module) & wanted for module in inside)
