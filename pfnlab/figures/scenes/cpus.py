"""The CPUs of a scene: who asks, in which context, and whom a shootdown interrupts."""

from matplotlib.axes import Axes

from pfnlab.figures.palette import GREY, ILLEGAL, INK
from pfnlab.figures.scenes import brush
from pfnlab.figures.scenes.moments import Moment, Setting, Tale

_DRAWN = 4
LEFT, RIGHT = 3.8, 18.4
_TOP, _STEP, _HEIGHT = 51.0, 7.6, 6.4


def drawn_cpus(tale: Tale, moment: Moment) -> list[int]:
    """Return the CPUs that are drawn: those that ask most, and always the one that asks now."""
    n_cpus = max(tale.setting.n_cpus, 1 + max(tale.cpus))
    callers = tale.cpus[:_DRAWN]
    idle = [cpu for cpu in range(min(n_cpus, 2 * _DRAWN)) if cpu not in callers]
    shown = sorted([*callers, *idle][: min(n_cpus, _DRAWN)])
    return shown if moment.cpu in shown else [*shown[:-1], moment.cpu]


def draw_cpus(axes: Axes, tale: Tale, moment: Moment) -> None:
    """Draw a box a CPU, and an arrow to each that gets an IPI."""
    shown = drawn_cpus(tale, moment)
    interrupted = bool(moment.added["shootdowns"])
    for place, cpu in enumerate(shown):
        if cpu == moment.cpu:
            _caller(axes, place, moment)
        else:
            _other(axes, place, cpu, interrupted)
    if interrupted:
        _interrupts(axes, shown, shown.index(moment.cpu))
    _more(axes, tale.setting, len(shown), interrupted)


def _bottom(place: int) -> float:
    return _TOP - place * _STEP - _HEIGHT


def middle(tale: Tale, moment: Moment) -> float:
    """Return the height at which the caller is drawn."""
    return _bottom(drawn_cpus(tale, moment).index(moment.cpu)) + _HEIGHT / 2


def _caller(axes: Axes, place: int, moment: Moment) -> None:
    y = _bottom(place)
    edge = ILLEGAL if moment.refused else INK
    look = {"facecolor": brush.NOW, "edgecolor": edge, "lw": 2.2}
    brush.pill(axes, LEFT, y, RIGHT - LEFT, _HEIGHT, **look)
    brush.heading(axes, LEFT + 1, y + 4.9, f"CPU {moment.cpu}")
    brush.words(axes, LEFT + 1, y + 3.05, moment.op)
    context = "atomic: may not sleep" if moment.atomic else "can sleep"
    colour = ILLEGAL if moment.atomic else INK
    brush.words(axes, LEFT + 1, y + 1.35, context, color=colour)


def _other(axes: Axes, place: int, cpu: int, interrupted: bool) -> None:
    y = _bottom(place)
    look: brush.Look = {"edgecolor": brush.LINE}
    if interrupted:
        look = {"facecolor": brush.tint(ILLEGAL, 0.16), "edgecolor": ILLEGAL, "lw": 1.8}
    brush.pill(axes, LEFT, y, RIGHT - LEFT, _HEIGHT, **look)
    rise, colour = (4.9, INK) if interrupted else (3.2, GREY)
    brush.words(axes, LEFT + 1, y + rise, f"CPU {cpu}", fontsize=brush.PLAIN, color=colour)
    if interrupted:
        brush.words(axes, LEFT + 1, y + 2.2, "IPI: flush the TLB", color=ILLEGAL,
                    fontweight="bold")  # fmt: skip


def _interrupts(axes: Axes, shown: list[int], caller: int) -> None:
    """Draw an arrow from the caller to each other CPU, in the margin on the left."""
    start = _bottom(caller) + _HEIGHT / 2
    for place, cpu in enumerate(shown):
        end = _bottom(place) + _HEIGHT / 2
        if place != caller:
            bulge = 1.2 + 0.8 * abs(place - caller)  # so that no two arrows lie on each other
            bend = bulge / abs(end - start) * (1 if end < start else -1)
            ends = (LEFT - 0.4, start), (LEFT - 0.3, end)
            brush.arrow(axes, *ends, bend, color=ILLEGAL, gid=f"ipi-{cpu}")


def _more(axes: Axes, setting: Setting, n_shown: int, interrupted: bool) -> None:
    more = setting.n_cpus - n_shown
    if more > 0:
        told = ": an IPI to each" if interrupted else ""
        colour = ILLEGAL if interrupted else GREY
        brush.words(axes, LEFT, _bottom(n_shown - 1) - 1.6, f"and {more} more{told}", color=colour)
