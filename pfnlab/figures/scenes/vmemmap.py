"""The vmemmap of a scene: granules by chunk, what is resident, and what happens to it."""

from matplotlib.axes import Axes

from pfnlab.figures.palette import GREY, ILLEGAL, INK, PIN
from pfnlab.figures.scenes import brush
from pfnlab.figures.scenes.moments import Moment, Setting, Tale
from pfnlab.params.units import short_bytes

LEFT = 22.0
_BOXES, _RIGHT = 28.4, 54.6
_TOP, _BOTTOM = 50.2, 22.5
_GAUGE, _GAUGE_HEIGHT = 17.2, 2.2
_WORD = 5.8  # the widest word in a box


def draw_names(axes: Axes, tale: Tale, covered: frozenset[int]) -> None:
    """Draw what stays: a name for each chunk, granules that are not resident, the threshold."""
    for chunk in tale.chunks:
        y = row_of(tale, chunk)
        brush.pill(axes, LEFT, y - 1.1, 5.8, 2.2, facecolor=brush.tint(brush.colour_of(chunk)))
        brush.words(axes, LEFT + 2.9, y, f"chunk {chunk}", ha="center")
        for granule in _granules(tale.setting, chunk):
            if granule not in covered:
                brush.box(axes, *_place(tale, granule))
                brush.words(axes, *_centre(tale, granule), str(granule), ha="center", color=GREY)
    setting = tale.setting
    x = _BOXES + setting.threshold_granules * _cell(tale)
    brush.line(axes, [x, x], [_GAUGE - 0.6, _GAUGE + _GAUGE_HEIGHT + 0.6], color=ILLEGAL, lw=2)
    text = f"threshold {short_bytes(setting.threshold_bytes)}"
    brush.words(axes, x, _GAUGE - 1.6, text, color=ILLEGAL, ha="center")


def row_of(tale: Tale, chunk: int) -> float:
    """Return the height of the middle of a chunk's row."""
    step = _step(tale)
    return _TOP - (tale.chunks.index(chunk) + 0.5) * step


def _step(tale: Tale) -> float:
    return min((_TOP - _BOTTOM) / len(tale.chunks), 5.2)


def _cell(tale: Tale) -> float:
    return (_RIGHT + 6 - _BOXES) / max(tale.setting.threshold_granules, tale.peak_granules)


def _place(tale: Tale, granule: int) -> tuple[float, float, float, float]:
    """Return the lower left corner, width and height of a granule's box."""
    width = (_RIGHT - _BOXES) / tale.setting.chunk_granules
    chunk, within = divmod(granule, tale.setting.chunk_granules)
    height = _step(tale) * 0.84
    x, y = _BOXES + within * width + 0.25, row_of(tale, chunk) - height / 2
    return x, y, width - 0.5, height


def _centre(tale: Tale, granule: int) -> tuple[float, float]:
    x, y, width, height = _place(tale, granule)
    return x + width / 2, y + height / 2


def drawn_granules(moment: Moment) -> frozenset[int]:
    """Return the granules that an event draws: what is or was resident, and what it asks for."""
    return moment.before.resident | moment.after.resident | {moment.granule}


def draw_vmemmap(axes: Axes, tale: Tale, moment: Moment) -> None:
    """Draw the granules that are or were resident, every pin, and the resident bytes."""
    _translation(axes, tale.setting, moment)
    for granule in sorted(drawn_granules(moment)):
        _granule(axes, tale, moment, granule)
    for chunk in tale.chunks:
        _note(axes, tale, moment, chunk)
    _gauge(axes, tale, moment)


def _granules(setting: Setting, chunk: int) -> range:
    return range(chunk * setting.chunk_granules, (chunk + 1) * setting.chunk_granules)


def _translation(axes: Axes, setting: Setting, moment: Moment) -> None:
    """Write the way from the pfn to its chunk."""
    first = setting.first_pfn
    pfn = "pfn \N{MINUS SIGN} first_pfn =" if first else "pfn"
    text = f"{pfn} {moment.pfn - first} ÷ {setting.granule_pfns} → granule {moment.granule}"
    text += f" ÷ {setting.chunk_granules} → chunk {moment.chunk}"
    brush.words(axes, LEFT, 52.0, text, fontsize=brush.PLAIN)


def _granule(axes: Axes, tale: Tale, moment: Moment, granule: int) -> None:
    """Draw the box of a granule: filled while resident, a word for what happens to it now."""
    colour = brush.colour_of(granule // tale.setting.chunk_granules)
    resident = granule in moment.after.resident
    look: brush.Look = {}
    if resident:
        look = {"facecolor": brush.tint(colour), "gid": f"resident-{granule}"}
    if granule in moment.unmapped:
        look |= {"edgecolor": ILLEGAL, "ls": "--", "lw": 1.4}
    if granule == moment.granule:
        look |= {"edgecolor": ILLEGAL if moment.refused else INK, "lw": 2.8, "zorder": 2}
    brush.box(axes, *_place(tale, granule), **look)
    _named(axes, tale, moment, granule)


def _named(axes: Axes, tale: Tale, moment: Moment, granule: int) -> None:
    """Write the number of a granule, and what happens to it where there is room."""
    x, y = _centre(tale, granule)
    _, _, width, height = _place(tale, granule)
    word, colour = _happens(moment, granule)
    roomy = bool(word) and width > _WORD
    rise = 0.2 * height if roomy else 0
    brush.words(axes, x, y + rise, str(granule), ha="center", zorder=4)
    if roomy:
        look = {"color": colour, "fontweight": "bold", "zorder": 4}
        brush.words(axes, x, y - 0.23 * height, word, ha="center", **look)
    elif colour == ILLEGAL:
        brush.cross(axes, x, y, min(width, height) / 3, zorder=3)


def _happens(moment: Moment, granule: int) -> tuple[str, str]:
    if granule in moment.unmapped:
        return "× unmap", ILLEGAL
    if granule != moment.granule:
        return "", INK
    if moment.refused:
        return "refused", ILLEGAL
    if moment.op == "PUT":
        return "put", PIN
    return ("populate", INK) if moment.populated else ("hit", INK)


def _note(axes: Axes, tale: Tale, moment: Moment, chunk: int) -> None:
    """Write right of a chunk how many pins it has, and whether it is set aside for them."""
    y = row_of(tale, chunk)
    pins = moment.after.pins.get(chunk, 0)
    notes = [f"● {pins} pin{'s' if pins > 1 else ''}"] if pins else []
    if chunk in moment.skipped:
        notes.append("skipped")
    elif chunk in moment.after.set_aside:
        notes.append("set aside")
    for place, note in enumerate(notes):
        height = y + (0.85 - 1.7 * place if len(notes) > 1 else 0)
        strong = "bold" if note == "skipped" else "normal"
        brush.words(axes, _RIGHT + 0.4, height, note, color=PIN, fontweight=strong)


def _gauge(axes: Axes, tale: Tale, moment: Moment) -> None:
    """Draw the resident granules against the threshold, by chunk."""
    cell, x = _cell(tale), _BOXES
    for granule in sorted(moment.after.resident):
        colour = brush.colour_of(granule // tale.setting.chunk_granules)
        look = {"facecolor": brush.tint(colour), "edgecolor": "white"}
        brush.box(axes, x, _GAUGE, cell, _GAUGE_HEIGHT, **look)
        x += cell
    level = short_bytes(len(moment.after.resident) * tale.setting.granule_bytes)
    brush.words(axes, LEFT, _GAUGE + 1.9, "resident")
    brush.words(axes, LEFT, _GAUGE + 0.3, level, fontweight="bold")
