"""The templates of the report: each value is text, and escaped."""

import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

# No HTML or SVG may hold them, and a name of a trace may.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """Return text with a mark in place of each character that a page can't hold."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def code(text: str) -> Markup:
    """Return an element that shows text as it is typed."""
    return Markup("<code>{}</code>").format(clean(text))


def environment() -> Environment:
    """Return jinja2 as the report uses it: names must be known, and every value is escaped."""
    return Environment(
        loader=PackageLoader("pfnlab.notebooks", "report"),
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else clean(str(value)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def rendered(template: str, values: dict[str, Any]) -> str:
    """Return a template of this folder with some values."""
    return environment().get_template(template).render(values)
