"""Pictures that commands write: ``-o NAME.png``, ``.svg`` or ``.pdf``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pfnlab.errors import ParameterError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = ("png", "svg", "pdf")
_DPI = 120


def kind_of(path: str, *others: str) -> str:
    """Return the kind of file that a path asks for; one that is no picture must be in `others`."""
    kinds = (*others, *KINDS)
    kind = path.rpartition(".")[2]
    if kind not in kinds:
        *first, last = (f".{name}" for name in kinds)
        raise ParameterError("output", path, f"must end in {', '.join(first)} or {last}")
    return kind


def save_picture(figure: Figure, path: str) -> None:
    """Write a figure as the kind that its path names, whole or not at all."""
    from pfnlab import figures
    from pfnlab.files import whole_file

    kind = kind_of(path)
    vector = figures.pdf if kind == "pdf" else figures.svg
    with whole_file(path) as temporary:
        temporary.write_bytes(figures.png(figure, _DPI) if kind == "png" else vector(figure))
