"""How Sphinx builds these pages: Markdown here, the reference from docstrings, nothing fetched."""

import re
import sys
from os.path import relpath
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]  # `declared` beside this file, and this very checkout

import pfnlab  # noqa: E402 - needs the path above

project = "pfnlab"
author = copyright = "pfnlab contributors"
version = release = pfnlab.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "declared",
]
exclude_patterns = ["_build"]
default_role = "link"

myst_enable_extensions = ["attrs_inline", "colon_fence"]
myst_heading_anchors = 3  # as GitHub makes them, so that a link works there and here

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_attr_annotations = False  # types stand in the signature
napoleon_use_ivar = True  # a field that is documented twice is an error
napoleon_use_rtype = False
maximum_signature_line_length = 88

copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True

#: Pages that are files outside this folder, for which links name the file, as GitHub needs it.
INCLUDED = {"CONTRIBUTING.md": "/contributing.md", "data/README.md": "/captures.md"}

html_theme = "furo"  # its fonts are the system's; nothing comes from another host
html_title = f"pfnlab {version}"
html_static_path = ["_static"]
html_css_files = ["pfnlab.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"


def to_included(app: Sphinx, page: str, source: list[str]) -> None:
    """Turn links to files outside this folder into links to the pages that include them."""
    for name, included in INCLUDED.items():
        source[0] = re.sub(rf"\]\((\.\./)+{re.escape(name)}", f"]({included}", source[0])


#: Types as the code writes them, by what Sphinx makes of them.
WRITTEN = {
    r"~?(?:[\w.]+\._?)?_Buffer \| .*?_NestedSequence\[~?complex \| ~?bytes \| ~?str\]": "ArrayLike",
    r"~numpy\.ndarray\[tuple\[~typing\.Any, \.\.\.\], ~numpy\.dtype\[(.*?)\]\]": r"NDArray[\1]",
    r"<factory>|<function <lambda> at \w+>": "...",
}


def as_written(app: Sphinx, *about: object) -> tuple[str | None, str | None]:
    """Shorten the types of a signature."""
    signature, returned = (str(each) if each else None for each in about[-2:])
    for long, short in WRITTEN.items():
        signature = signature and re.sub(long, short, signature)
        returned = returned and re.sub(long, short, returned)
    return signature, returned


def say_where(app: Sphinx, error: Exception | None) -> None:
    """Name the page to open."""
    if error is None:
        logging.getLogger(__name__).info("Open %s", relpath(app.outdir / "index.html"))


def setup(app: Sphinx) -> None:
    app.connect("source-read", to_included)
    app.connect("autodoc-process-signature", as_written)
    app.connect("build-finished", say_where)
