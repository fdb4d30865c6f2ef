"""HTML from values: whatever is no `Html` is text, and escaped."""

import re
from collections.abc import Iterable
from html import escape

# No HTML or SVG may hold them, and a name of a trace may.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_EMPTY = ("img",)


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def clean(text: str) -> str:
    """Return text with a mark in place of each character that a page can't hold."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def html(value: object) -> Html:
    """Return a value as HTML: escaped, unless it is HTML already."""
    return value if isinstance(value, Html) else Html(escape(clean(str(value))))


def tag(name: str, *children: object, **attributes: object) -> Html:
    """Return an element; ``class_`` is the attribute ``class``."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html(value)}"' for key, value in attributes.items()
    )
    inner = "".join(map(html, children))
    return Html(f"<{name}{given}>" if name in _EMPTY else f"<{name}{given}>{inner}</{name}>")


def joined(parts: Iterable[object]) -> Html:
    """Return several elements below one another."""
    return Html("\n".join(map(html, parts)))


def table(caption: str, heads: Iterable[str], rows: Iterable[Iterable[object]]) -> Html:
    """Return a table whose first column names the row; on a phone each row is a card."""
    names = list(heads)
    head = tag("tr", *(tag("th", name, scope="col") for name in names))
    lines = [
        tag("tr", *(_cell(place, names[place], cell) for place, cell in enumerate(row)))
        for row in rows
    ]
    body = tag("tbody", joined(lines))
    return tag("table", tag("caption", caption), tag("thead", head), body)


def _cell(place: int, head: str, value: object) -> Html:
    if place == 0:
        return tag("th", value, scope="row")
    return tag("td", value, data_head=head)


def pairs(facts: Iterable[tuple[object, object]]) -> Html:
    """Return a list of names and what they stand for."""
    return tag("dl", joined(tag("div", tag("dt", n), tag("dd", v)) for n, v in facts))


def folded(summary: str, *inside: object) -> Html:
    """Return what a reader opens if they want it."""
    return tag("details", tag("summary", summary), *inside)
