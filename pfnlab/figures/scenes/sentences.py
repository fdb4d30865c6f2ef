"""One sentence for each event: what happened, and why."""

from pfnlab.figures.scenes.moments import Moment, Setting

_ASKS = {
    "LOOKUP": "looks up",
    "GET": "takes a reference on",
    "PUT": "drops its reference on",
}
_ON_A_HIT = {
    "lra": "lra never looks at hits, so the order stays",
    "lru": "its chunk becomes the last used",
    "clock": "its chunk is marked as used",
    "sieve": "its chunk is marked as used",
    "random": "nothing else changes",
}


def asked(moment: Moment) -> str:
    """Say who asks for what, as ``CPU 2, atomic, looks up pfn 704``."""
    context = ", atomic," if moment.atomic else ""
    return f"CPU {moment.cpu}{context} {_ASKS[moment.op]} pfn {moment.pfn}"


def told(moment: Moment, setting: Setting) -> str:
    """Say what came of it, and why."""
    if moment.op == "PUT":
        return _put(moment)
    if moment.refused:
        return _refused(moment, setting)
    return _served(moment, setting) + _pinned(moment)


def _put(moment: Moment) -> str:
    chunk = moment.chunk
    if moment.added["unmatched_puts"]:
        return f"Put: there is no reference to drop on pfn {moment.pfn}; nothing changes."
    if moment.before.pins == moment.after.pins:
        return "Put: its GET was refused, so there is no reference to drop; the two cancel out."
    left = moment.after.pins.get(chunk, 0)
    if left:
        return f"Put: a reference is dropped; chunk {chunk} keeps {_pins(left)}."
    back = ""
    if chunk in moment.before.set_aside:
        back = "; no longer set aside, it returns to the order as the newest"
    return f"Put: the last reference is dropped; chunk {chunk} may be unmapped again{back}."


def _refused(moment: Moment, setting: Setting) -> str:
    why = "the reserve is empty" if setting.reserve_granules else "there is no reserve"
    return (
        f"Illegal: granule {moment.granule} is not resident, an atomic caller may not sleep to "
        f"populate it, and {why}. The call fails; nothing changes."
    )


def _served(moment: Moment, setting: Setting) -> str:
    granule = moment.granule
    if not moment.populated:
        return f"Hit: granule {granule} is resident; {_ON_A_HIT[setting.policy]}"
    if moment.added["reserve_faults"]:
        return (
            f"Fault of an atomic caller: granule {granule} is populated from the reserve "
            f"({moment.after.reserve_left} left), and no room is made{_over(moment)}"
        )
    again = "" if moment.added["cold_faults"] else " again"
    if not (moment.evicted or moment.skipped or moment.added["futile_passes"]):
        return (
            f"Fault{again}: granule {granule} is populated; nothing was mapped there, "
            f"so no other CPU need be told{_over(moment)}"
        )
    return f"Fault{again}, over the threshold: {_pass(moment, setting)}; then granule {granule} " \
           f"is populated{_over(moment)}"  # fmt: skip


def _pass(moment: Moment, setting: Setting) -> str:
    said = []
    if moment.skipped:
        said.append(f"{_chunks(moment.skipped)} pinned and set aside")
    if moment.evicted:
        said += [f"{_chunks(moment.evicted)} unmapped", _flushed(setting.n_cpus - 1)]
    else:
        said.append("nothing may be unmapped")
    return "; ".join(said)


def _flushed(others: int) -> str:
    if others == 0:
        return "there is no other CPU to tell"
    return f"one IPI to {f'each of the {others} other CPUs' if others > 1 else 'the other CPU'}"


def _over(moment: Moment) -> str:
    return ", over the threshold" if moment.added["overcommits"] else ""


def _pinned(moment: Moment) -> str:
    if moment.op != "GET":
        return "."
    return f". The reference pins chunk {moment.chunk}: {_pins(moment.after.pins[moment.chunk])}."


def _pins(count: int) -> str:
    return f"{count} pin" if count == 1 else f"{count} pins"


def _chunks(chunks: tuple[int, ...]) -> str:
    if len(chunks) == 1:
        return f"chunk {chunks[0]} is"
    return f"chunks {', '.join(map(str, chunks[:-1]))} and {chunks[-1]} are"
