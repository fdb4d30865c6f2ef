"""The report: self-contained, everything escaped, nothing left out in silence."""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pfnlab
from pfnlab.frames import ATTRIBUTE, write_frame
from pfnlab.notebooks.chapters import CHAPTERS
from pfnlab.notebooks.report import write_report
from pfnlab.notebooks.report.markup import code, environment
from pfnlab.params import Params

EVIL = '<script>alert("1")</script>\x1b[31m $\\frac$ & \'"'
LOADS = {"src", "srcset", "data", "poster", "action", "background", "xlink:href"}
VOID = {"img", "meta", "br", "hr", "link"}


class Page(HTMLParser):
    """What a browser would see: elements, attributes, text; and whether elements nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def sweep_frame(**columns: Any) -> pd.DataFrame:
    about = {"source": "zipf", "evidence": "proxy", "n_events": 9, **Params().as_dict()}
    swept = {"threshold_bytes": [1 << 21, 1 << 22, 1 << 23], "accesses": 9}
    counts = {"faults": [9, 5, 3], "miss_ratio": [1.0, 5 / 9, 1 / 3]}
    return pd.DataFrame(about | swept | counts | columns)


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def check_alone(page: Page) -> None:
    """Nothing may be loaded from elsewhere, and nothing may run."""
    for name, attributes in page.tags:
        assert name not in ("script", "link", "iframe", "object", "embed", "base", "form")
        for attribute, value in attributes.items():
            assert not attribute.startswith("on")
            if attribute in LOADS or (attribute == "href" and name != "a"):
                assert (value or "").startswith("data:image/")
            if attribute == "href":
                assert (value or "").startswith("#")
    styles = page.text + " ".join(str(a.get("style")) for _, a in page.tags)
    assert "@import" not in styles
    assert not re.search(r"url\(\s*['\"]?(?!data:)", styles)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One frame that no chapter knows, and one whose notebook was executed."""
    write_frame(sweep_frame(), tmp_path / "mine.parquet")
    write_frame(sweep_frame(), tmp_path / "second.parquet")
    cells = [{"cell_type": "markdown", "source": ["# Is it <fast>?\n", "\n", "text"]}]
    given = {"out": "/home/me/second.parquet", "source": "/home/me/my trace.parquet"}
    run = {"start_time": "2026-01-01", "duration": 1.25, "parameters": given}
    run["input_path"] = "/home/me/notebooks/x.ipynb"
    notebook = {"cells": cells, "metadata": {"papermill": run}}
    (tmp_path / "second.ipynb").write_text(json.dumps(notebook))
    return tmp_path


def test_a_folder_becomes_one_page(folder: Path) -> None:
    path = write_report(folder)
    assert path == folder / "report.html"
    page = read(path)
    check_alone(page)
    assert len(page.all("h1")) == 1
    assert "Is it <fast>?" in page.text
    for said in ("mine.parquet", "zipf (proxy), 9 events", "numba", "the same in every row"):
        assert said.lower() in page.text.lower()
    again = "papermill notebooks/second.ipynb second.ipynb -p out second.parquet -p source"
    assert again in page.text
    assert "/home/me" not in path.read_text()


def test_pictures_are_inside_and_said_in_words(folder: Path) -> None:
    pictures = read(write_report(folder)).all("img")
    assert len(pictures) == 2
    for picture in pictures:
        kind, data = str(picture["src"]).split(";base64,")
        assert kind == "data:image/svg+xml"
        assert b"<svg" in base64.b64decode(data)
        alt = str(picture["alt"])
        assert "miss_ratio against threshold_bytes" in alt


def test_tables_have_heads_and_the_page_a_language(folder: Path) -> None:
    page = read(write_report(folder))
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(attributes["scope"] in ("col", "row") for attributes in page.all("th"))
    every = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    names = {*every}
    assert len(names) == len(every)
    links = [str(a["href"])[1:] for a in page.all("a")]
    assert links
    assert set(links) <= names
    levels = [int(name[1]) for name, _ in page.tags if re.fullmatch(r"h\d", name)]
    assert levels == [1] + [2] * (len(levels) - 1)


def test_what_comes_from_files_is_escaped(tmp_path: Path) -> None:
    frame = sweep_frame(source=EVIL, note=EVIL, **{"<i>": [1, 2, 3]})
    file = tmp_path / "<b>&'.parquet"
    write_frame(frame, file)
    notebook = {
        "cells": [{"cell_type": "markdown", "source": f"# {EVIL}"}],
        "metadata": {"papermill": {"parameters": {EVIL: EVIL}, "start_time": EVIL}},
    }
    file.with_suffix(".ipynb").write_text(json.dumps(notebook))
    path = write_report(file)
    assert path == tmp_path / "<b>&'.html"
    page = read(path)
    check_alone(page)
    assert not page.all("i")
    assert not page.all("b")
    assert "\x1b" not in path.read_text()
    assert '<script>alert("1")</script>' in page.text
    (picture,) = page.all("img")
    assert "<script>ale" in str(picture["alt"])  # a picture shortens names


def test_what_was_asked_for_is_said_without_defaults_and_folders(tmp_path: Path) -> None:
    frame = sweep_frame()
    asked = {"chunk_bytes": "2MiB", "n_cpus": 8, "source": "/home/me/a b.parquet", "costs": None}
    digests = {"/home/me/a b.parquet": "abc"}
    frame.attrs[ATTRIBUTE] = json.dumps(
        {"request": asked | {"out": "/home/me/o"}, "digests": digests}
    )
    write_frame(frame, tmp_path / "mine.parquet")
    path = write_report(tmp_path)
    page = read(path)
    assert "n_cpus 8, source a b.parquet" in page.text
    assert "digests a b.parquet" in page.text
    assert "pfnlab sweep --from mine.parquet -o again-mine.parquet" in page.text
    assert "/home/me" not in path.read_text()


@given(st.text() | st.text(alphabet="<>&\"'=/ a"))
def test_text_comes_back_as_it_was(text: str) -> None:
    template = environment().from_string('<p title="{{ text }}">{{ text }}</p>')
    whole = template.render(text=text)
    page = Page(whole)
    assert page.tags[0][0] == "p"
    assert len(page.tags) == 1
    assert whole.count("<") == 2
    assert whole.count('"') == 2
    if text.isprintable():
        assert (page.tags[0][1]["title"], "".join(page.texts)) == (text, text)
    assert Page(code(text)).all("code") == [{}]
    assert environment().from_string("{{ text }}").render(text=code("<b>")) == (
        "<code>&lt;b&gt;</code>"
    )


def test_claims_are_judged_and_shown(tmp_path: Path) -> None:
    """Frames of the chapters' names; measured claims need no more than their recorded runs."""
    write_frame(sweep_frame(), tmp_path / "10_reality_check.parquet")
    page = read(write_report(tmp_path))
    assert "What the thread claimed" in page.text
    badges = [a["class"] for a in page.all("span") if "badge" in str(a.get("class"))]
    assert badges
    assert set(badges) <= {"badge yes", "badge no", "badge open"}
    assert "No picture: frame: has no columns" in page.text  # no sweep draws the reality check


def test_a_frame_that_lacks_what_a_claim_needs_says_so(tmp_path: Path) -> None:
    write_frame(pd.DataFrame({"x": [1, 2]}), tmp_path / f"{CHAPTERS[2].notebook}.parquet")
    page = read(write_report(tmp_path))
    assert "No picture: frame: has no columns source" in page.text
    assert "No verdict: frame: has no columns" in page.text


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"x": []}),
        pd.DataFrame({"a": [[1], [2, 3]], "holds": [True, None], "years": [np.inf, 1.0]}),
        sweep_frame(source=None),
        sweep_frame(n_events=None, evidence=None),
        sweep_frame(n_events=None),
        sweep_frame(faults="many", miss_ratio="high"),
        sweep_frame(threshold_bytes=1 << 21),
    ],
)
def test_odd_frames_are_shown_all_the_same(frame: pd.DataFrame, tmp_path: Path) -> None:
    write_frame(frame, tmp_path / "odd.parquet")
    check_alone(read(write_report(tmp_path / "odd.parquet")))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"cells": 3}', "\ud800"])
def test_a_broken_notebook_is_named(text: str, folder: Path) -> None:
    (folder / "second.ipynb").write_bytes(text.encode(errors="surrogatepass"))
    assert "second.ipynb can't be read" in read(write_report(folder)).text


def test_a_large_frame_stays_small(tmp_path: Path) -> None:
    n_rows = 30_000
    frame = sweep_frame().iloc[np.zeros(n_rows, int)].assign(seed=range(n_rows))
    write_frame(frame, tmp_path / "large.parquet")
    path = write_report(tmp_path)
    assert path.stat().st_size < 100_000
    assert "No picture: 30,000 rows are more than one picture shows" in read(path).text


def test_the_same_frames_give_the_same_pictures(folder: Path) -> None:
    first, second = (
        [p["src"] for p in read(write_report(folder, folder / f"{i}.html")).all("img")]
        for i in range(2)
    )
    assert first == second


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(pfnlab.PfnlabError, match="has no frames"):
        write_report(tmp_path)
    with pytest.raises(pfnlab.PfnlabError, match="no such folder or frame"):
        write_report(tmp_path / "absent.parquet")
    (tmp_path / "text.parquet").write_text("no frame")
    with pytest.raises(pfnlab.PfnlabError, match="holds no table"):
        write_report(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["text.parquet"]
