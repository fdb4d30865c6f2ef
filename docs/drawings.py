"""The drawings of the architecture: ``python docs/drawings.py`` writes them as SVG.

`layers` is drawn from the import contract in ``pyproject.toml``; `flow` is laid out here, and a
test holds each of its arrows against the imports that there are. Neither can go stale unseen.
"""

import re
import tomllib
from html import escape
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
WIDTH, LAYERS_WIDTH = 1086, 560
FONT = 'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"'
MONO = 'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace"'
INK, QUIET, LINE = "#1b1f24", "#57606a", "#8c959f"
#: From the ground up: the room that begins a storey, what it is about, and a colour.
STOREYS = (
    ("kernels", "compiled loops, every error, Ctrl-C", "#f0f1f3"),
    ("params", "what is configured and what it costs", "#dbe9f6"),
    ("traces", "events, and tables of rows", "#d9efe0"),
    ("engine", "one replay", "#fdebc8"),
    ("sweeps", "many replays, pictures, this machine", "#f6ddd0"),
    ("claims", "verdicts, and the alternatives", "#eadff0"),
    ("notebooks", "what people use", "#f8d9e3"),
)


class Box(NamedTuple):
    """What is in one place of the flow: a module, what it gives, column and row."""

    module: str
    gives: str
    column: float
    row: float
    storey: int


BOXES = (
    Box("traces.formats", "foreign files", 0, 0, 2),
    Box("traces.native", "trace files", 0, 1, 2),
    Box("traces.workloads", "synthetic", 0, 2, 2),
    Box("params", "Params", 0, 3, 1),
    Box("traces.trace", "Trace", 1, 1, 2),
    Box("params.geometry", "Geometry", 1, 3, 1),
    Box("kernels", "numba loops", 2, 0, 0),
    Box("engine", "replay", 2, 1.5, 3),
    Box("params.costs", "Costs", 2, 3, 1),
    Box("host", "calibration", 2, 4, 4),
    Box("engine.result", "Result", 3, 1.5, 3),
    Box("sweeps", "sweep", 4, 0, 4),
    Box("frames", "frame", 4, 1, 2),
    Box("alternatives", "schemes, advise", 4, 3, 5),
    Box("claims", "Verdict", 5, 0.5, 5),
    Box("figures", "Figure", 5, 2, 4),
    Box("notebooks", "notebooks, report", 6, 1, 6),
    Box("notebooks.widgets", "sliders", 6, 2, 6),
    Box("cli", "commands", 6, 3, 6),
)
#: What flows where; each is an import, in one direction or the other.
ARROWS = (
    ("traces.formats", "traces.trace"), ("traces.native", "traces.trace"),
    ("traces.workloads", "traces.trace"), ("params", "params.geometry"),
    ("traces.trace", "engine"), ("params.geometry", "engine"), ("kernels", "engine"),
    ("engine", "engine.result"), ("params.costs", "engine.result"), ("host", "params.costs"),
    ("engine.result", "sweeps"), ("engine.result", "alternatives"), ("sweeps", "frames"),
    ("frames", "claims"), ("frames", "figures"), ("frames", "alternatives"),
    ("claims", "notebooks"), ("figures", "notebooks"), ("figures", "notebooks.widgets"),
    ("figures", "cli"), ("alternatives", "cli"),
)  # fmt: skip
BOX_WIDTH, BOX_HEIGHT, COLUMN, ROW = 136, 46, 155, 78


def contract() -> list[list[str]]:
    """Return the layers of ``pyproject.toml``, the ground first."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["id"] == "layers")
    return [re.findall(r"\w+", line) for line in reversed(layers)]


def text(x: float, y: float, words: str, size: int, colour: str = INK, more: str = FONT) -> str:
    about = f'x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" {more}'
    return f"<text {about}>{escape(words)}</text>"


def rectangle(x: float, y: float, width: float, height: float, fill: str, more: str = "") -> str:
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" '
        f'fill="{fill}" {more}/>'
    )


def picture(parts: list[str], width: float, height: float, title: str) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img" aria-label="{escape(title)}">'
    )
    paper = rectangle(0, 0, width, height, "#ffffff")  # legible on a dark page too
    return "\n".join([head, f"<title>{escape(title)}</title>", paper, *parts, "</svg>", ""])


def layers() -> str:
    """Return the layers as SVG: a module imports only from lines below its own."""
    parts, y, step = [], 14.0, 31.0
    for (_, about, colour), lines in zip(STOREYS[::-1], storeys()[::-1], strict=True):
        height = step * len(lines) + 22
        parts.append(rectangle(14, y, LAYERS_WIDTH - 28, height, colour))
        parts.append(text(24, y + 17, about, 12, QUIET))
        for place, line in enumerate(reversed(lines)):
            parts += _line(line, y + 22 + place * step)
        y += height + 5
    return picture(parts, LAYERS_WIDTH, y + 9, "The layers of pfnlab: imports go downwards only")


def storeys() -> list[list[list[str]]]:
    """Return the layers of each storey, the ground first."""
    starts = {module: number for number, (module, _, _) in enumerate(STOREYS)}
    found: list[list[list[str]]] = [[] for _ in STOREYS]
    current = 0
    for layer in contract():
        current = max([current, *(starts[name] for name in layer if name in starts)])
        found[current].append(layer)
    return found


def _line(modules: list[str], y: float) -> list[str]:
    parts, x = [], 24.0
    for module in modules:
        width = 7.9 * len(module) + 18
        parts.append(rectangle(x, y, width, 24, "#ffffff", f'stroke="{LINE}"'))
        parts.append(text(x + 9, y + 16, module, 13, more=MONO))
        x += width + 8
    return parts


def flow() -> str:
    """Return as SVG how what is asked for becomes frames, verdicts and pictures."""
    places = {box.module: box for box in BOXES}
    parts = [
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="{QUIET}"/></marker></defs>'
    ]
    parts += [_arrow(places[start], places[end]) for start, end in ARROWS]
    parts += [part for box in BOXES for part in _box(box)]
    lowest = max(box.row for box in BOXES)
    return picture(parts, WIDTH, lowest * ROW + BOX_HEIGHT + 32, "How data flows through pfnlab")


def _corner(box: Box) -> tuple[float, float]:
    return 10 + box.column * COLUMN, 16 + box.row * ROW


def _box(box: Box) -> list[str]:
    x, y = _corner(box)
    return [
        rectangle(x, y, BOX_WIDTH, BOX_HEIGHT, STOREYS[box.storey][2], f'stroke="{LINE}"'),
        text(x + 8, y + 19, box.gives, 14),
        text(x + 8, y + 37, box.module, 12, QUIET, MONO),
    ]


def _arrow(start: Box, end: Box) -> str:
    (x, y), (to_x, to_y) = _corner(start), _corner(end)
    if start.column == end.column:  # up or down, from edge to edge
        down = to_y > y
        x, to_x = x + BOX_WIDTH / 2, to_x + BOX_WIDTH / 2
        y, to_y = (y + BOX_HEIGHT, to_y - 1) if down else (y, to_y + BOX_HEIGHT + 1)
        path = f"M{x:g} {y:g}L{to_x:g} {to_y:g}"
    else:
        x, y, to_x, to_y = x + BOX_WIDTH, y + BOX_HEIGHT / 2, to_x - 1, to_y + BOX_HEIGHT / 2
        bend = (to_x - x) / 2
        path = f"M{x:g} {y:g}C{x + bend:g} {y:g} {to_x - bend:g} {to_y:g} {to_x:g} {to_y:g}"
    line = f'fill="none" stroke="{QUIET}" stroke-width="1.3" marker-end="url(#tip)"'
    return f'<path d="{path}" {line}/>'


DRAWINGS = {"flow": flow, "layers": layers}

if __name__ == "__main__":
    for name, draw in DRAWINGS.items():
        (HERE / "images" / f"{name}.svg").write_text(draw())
