"""`write_report`: a folder of results, or one frame, as one HTML file that needs nothing else.

`parts` finds what there is, `origin` says where it comes from, `markup` turns values into escaped
HTML, `page.html` is the page.
"""

import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

import pfnlab
from pfnlab.claims import Verdict
from pfnlab.files import whole_file
from pfnlab.frames import readable
from pfnlab.frames.changes.row_pairs import plain
from pfnlab.notebooks.chapters import in_order, summary
from pfnlab.notebooks.report.markup import Html, folded, html, joined, pairs, table, tag
from pfnlab.notebooks.report.parts import Part, parts_of
from pfnlab.notebooks.report.provenance import again, facts, origin

__all__ = ["NAME", "write_report"]

NAME = "report.html"
_ROWS = 40
_NOT_MODELLED = (
    "Verdicts speak of the traces and machines named, no more. Proxy: addresses or file offsets "
    "stand in for references on descriptors; direct: these were recorded. Counts are exact; times "
    "follow from a cost preset. Not modelled: two CPUs faulting on one granule, lookups without a "
    "reference racing with eviction, allocation under GFP_NOIO, order-9 allocation failure."
)
_MARKS = {True: "yes", False: "no", None: "open"}


def write_report(
    path: str | os.PathLike[str], output: str | os.PathLike[str] | None = None
) -> Path:
    """Write one self-contained HTML file: verdicts, figures, where all comes from.

    Parameters
    ----------
    path
        A folder that ``./run demo`` or notebooks left, or one frame.
    output
        The HTML file; if None, ``report.html`` in the folder, or beside the frame by its name.

    Raises
    ------
    FrameError
        If there is no frame, or one can't be read.
    FileError
        If the report can't be written.
    """
    source = Path(path)
    parts = parts_of(source)
    target = Path(output) if output else _beside(source)
    with whole_file(target) as temporary:
        temporary.write_text(page(parts), encoding="utf-8")
    return target


def _beside(source: Path) -> Path:
    return source / NAME if source.is_dir() else source.with_suffix(".html")


def page(parts: list[Part]) -> str:
    """Return the whole page."""
    found = in_order({part.name: part.verdicts for part in parts})
    title = _title(parts, found)
    template = Template(files(__name__).joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=html(f"{title} (pfnlab)"),
        version=html(pfnlab.__version__),
        header=joined(_header(title, parts, found)),
        main=joined([*_verdicts(found), *map(_section, parts), *origin(parts), *again(parts)]),
        footer=tag("p", _NOT_MODELLED),
    )


def _title(parts: list[Part], found: list[tuple[Verdict, str]]) -> str:
    if found:
        return "What the thread claimed, and what the replays say"
    return f"Results: {parts[0].title}" if len(parts) == 1 else "Results"


def _header(title: str, parts: list[Part], found: list[tuple[Verdict, str]]) -> Iterator[Html]:
    n_rows = sum(len(part.frame) for part in parts)
    yield tag("h1", title)
    if found:
        yield tag(
            "p",
            "In May 2015 Jerome Glisse and Ingo Molnar sketched a vmemmap that is populated by "
            "page fault and unmapped in chunks beyond a size limit. Nobody built it; pfnlab "
            "replays traces through it.",
        )
    said = f"{len(found)} verdicts ({summary(v for v, _ in found)}) from " if found else ""
    yield tag("p", f"{said}{n_rows:,} rows in {_counted(len(parts), 'frame')}.", class_="lead")
    if len(parts) > 1:
        links = [tag("li", tag("a", part.title, href=f"#{_place(part)}")) for part in parts]
        head = [tag("li", tag("a", "Verdicts", href="#verdicts"))] if found else []
        tail = [tag("li", tag("a", "Where it comes from", href="#origin"))]
        yield tag("nav", tag("ol", *head, *links, *tail), aria_label="Contents")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("s" if number != 1 else "")


def _place(part: Part) -> str:
    plain = (c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in part.name)
    return f"part-{''.join(plain)}"


def _verdicts(found: list[tuple[Verdict, str]]) -> Iterator[Html]:
    if not found:
        return
    rows = [
        (
            verdict.claim,
            Html(tag("span", verdict.statement) + tag("span", verdict.who, class_="who")),
            Html(_badge(verdict) + tag("span", verdict.kind, class_="who")),
            tag("ul", *(tag("li", line) for line in verdict.evidence.splitlines())),
        )
        for verdict, _ in found
    ]
    heads = ("No.", "Claim, and who argued it", "Verdict", "Figures that decide")
    yield tag("h2", "Verdicts", id="verdicts")
    yield tag(
        "div", table("Every claim, and what decides it", heads, rows), class_="verdicts cards"
    )


def _badge(verdict: Verdict) -> Html:
    return tag("span", verdict.answer, class_=f"badge {_MARKS[verdict.holds]}")


def _section(part: Part) -> Html:
    inside: list[Html] = [tag("h2", part.title, id=_place(part))]
    if part.verdicts:
        said = (Html(f"{html(v.claim)} {_badge(v)}") for v in part.verdicts)
        inside.append(tag("p", Html(", ".join(tag("span", v, class_="whole") for v in said))))
    if part.picture:
        image = tag("img", src=part.picture.address, alt=part.picture.words)
        said_below = f"Drawn from {part.name}.parquet, {_counted(len(part.frame), 'row')}."
        inside.append(tag("figure", image, tag("figcaption", said_below)))
    inside += [tag("p", reason, class_="lead") for reason in part.missing]
    inside.append(tag("div", _rows(part), class_="rows"))
    inside.append(folded("Where this frame comes from", pairs(facts(part))))
    return tag("section", joined(inside))


def _rows(part: Part) -> Html:
    """Return the first rows, of the columns that vary; the others once, below."""
    values = pd.DataFrame(
        {str(name): [_scalar(value) for value in column] for name, column in part.frame.items()},
        dtype="object",
    )
    varying = [name for name in values if values[name].nunique(dropna=False) > 1]
    shown = readable(values[varying or [*values][:1]].head(_ROWS))
    caption = f"{len(shown):,} of {_counted(len(values), 'row')}, columns that vary"
    rows = table(caption, shown.columns, shown.itertuples(index=False, name=None))
    scrolls = {"class_": "wide", "tabindex": 0, "role": "region", "aria_label": caption}
    inside = [tag("div", rows, **scrolls)]
    first = readable(values.drop(columns=varying).head(1)).to_dict("records")
    if first and first[0]:
        inside += [tag("p", "The same in every row:"), pairs(first[0].items())]
    return folded("Rows", *inside)


def _scalar(value: Any) -> object:
    value = plain(value)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
