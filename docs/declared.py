"""Sphinx directives that write out what the package declares: fields, presets, formats, commands.

A table here can't differ from the code, for it is read from it when the pages are built.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import fields
from importlib import import_module
from io import StringIO
from typing import Any, NamedTuple
from unittest.mock import patch

from docutils import nodes
from drawings import contract
from sphinx.application import Sphinx
from sphinx.ext.autosummary import AutoLink
from sphinx.util.docutils import SphinxDirective

import pfnlab
from pfnlab.alternatives import known_schemes
from pfnlab.cli import COMMANDS, main
from pfnlab.params import PARAMETERS
from pfnlab.params.cost_presets import PRESETS
from pfnlab.params.regions import REGIONS
from pfnlab.params.units import short_bytes
from pfnlab.traces.formats.known import formats as known_formats
from pfnlab.traces.workloads import WORKLOADS

TRUST = {
    "V": "checked at the source",
    "V2": "second-hand",
    "M": "from memory",
    "C": "computed from others",
    "L": "measured on one machine",
    "A": "assumed",
}


class Table(NamedTuple):
    """Heads and rows; a cell in backticks is code."""

    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def parameters() -> Table:
    rows = [(f"`{p.name}`", f"`{p.show(p.default)}`", p.unit, p.help) for p in PARAMETERS.values()]
    return Table(("field", "default", "unit", "what"), rows)


def formats() -> Table:
    rows = [(f"`{f.name}`", f.evidence, f.summary) for f in known_formats().values()]
    return Table(("format", "evidence", "what"), rows)


def regions() -> Table:
    rows = [
        (f"`{r.name}`", r.device, short_bytes(r.region_bytes), short_bytes(r.page_bytes),
         f"{r.device_latency:,.0f} ns", r.about)
        for r in REGIONS.values()
    ]  # fmt: skip
    return Table(("region", "kind", "size", "page", "latency", "what"), rows)


def schemes() -> Table:
    every = known_schemes().values()
    rows = [(f"`{s.name}`", s.about, ", ".join(sorted(s.has)) or "none") for s in every]
    return Table(("scheme", "what", "keeps"), rows)


def workloads() -> Table:
    rows = []
    for name, spec in WORKLOADS.items():
        about = " ".join((spec.__doc__ or "").split("\n\n")[0].split())
        rows.append((f"`{name}`", "", "", about))
        for field in fields(spec):
            known = field.metadata["parameter"]
            default = "None" if field.default is None else known.show(field.default)
            rows.append(("", f"`{field.name}`", f"`{default}`", known.help))
    return Table(("workload", "field", "default", "what"), rows)


def costs() -> Table:
    rows = [
        (f"`{preset}`", f"`{name}`", f"{figure.value:,g}", TRUST[figure.trust], figure.source)
        for preset, figures in PRESETS.items()
        for name, figure in figures.items()
    ]
    return Table(("preset", "cost", "ns", "trust", "source"), rows)


def modules() -> Table:
    rows = []
    for layer in reversed(contract()):
        for name in layer:
            about = (import_module(f"pfnlab.{name}").__doc__ or "").splitlines()[0]
            rows.append((f"`{name}`", about.replace("`", "")))
    return Table(("module", "what it is, the command line first and the ground last"), rows)


TABLES: dict[str, Callable[[], Table]] = {
    "costs": costs,
    "formats": formats,
    "modules": modules,
    "parameters": parameters,
    "regions": regions,
    "schemes": schemes,
    "workloads": workloads,
}


def cell(text: str) -> nodes.entry:
    code = text.startswith("`")
    inline = nodes.literal(text=text.strip("`")) if code else nodes.Text(text)
    return nodes.entry("", nodes.paragraph("", "", inline))


def rows_of(rows: Sequence[Sequence[str]]) -> list[nodes.row]:
    return [nodes.row("", *map(cell, row)) for row in rows]


class Declared(SphinxDirective):
    """``.. declared:: parameters``: one of `TABLES`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        table = TABLES[self.arguments[0]]()
        columns = [nodes.colspec(colwidth=1) for _ in table.heads]
        head = nodes.thead("", *rows_of([table.heads]))
        body = nodes.tbody("", *rows_of(table.rows))
        group = nodes.tgroup("", *columns, head, body, cols=len(columns))
        return [nodes.table("", group, classes=["colwidths-auto", "declared"])]


def help_of(command: str) -> str:
    """Return what ``pfnlab COMMAND --help`` prints, 80 columns wide."""
    text = StringIO()
    width = patch.dict(os.environ, COLUMNS="80")
    with width, redirect_stdout(text), suppress(SystemExit):
        main([*command.split(), "--help"])
    return text.getvalue()


class Commands(SphinxDirective):
    """``.. commands::``: a section with the help of each command."""

    def run(self) -> list[nodes.Node]:
        return list(map(self.section, COMMANDS))

    def section(self, command: str) -> nodes.section:
        anchor = f"pfnlab-{command.replace(' ', '-')}"
        text = help_of(command)
        block = nodes.literal_block(text, text, language="text")
        return nodes.section("", nodes.title(text=f"pfnlab {command}"), block, ids=[anchor])


class Link(AutoLink):
    """A name in backticks: a link if it can be one, from here or as ``pfnlab.NAME``."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        found, messages = super().run()
        if isinstance(found[0], nodes.emphasis) and self.text in pfnlab.__all__:
            self.text = f"~pfnlab.{self.text}"
            found, messages = super().run()
        return found, messages


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("declared", Declared)
    app.add_directive("commands", Commands)
    app.add_role("link", Link())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
