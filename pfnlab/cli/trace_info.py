"""``pfnlab trace info FILE``: the figures of a trace that decide, and where and when it touches."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pfnlab.cli import flags, output

if TYPE_CHECKING:
    from pfnlab.engine.trace_summary import Heat, Portrait

_SHADES, _PLAIN = " ░▒▓█", " .:*#"
_MOST_ROWS = 24
_LABEL = 12
#: How often `pfnlab.engine.trace_summary` looks at an event.
_LOOKS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", metavar="FILE", help="a trace in any known format")
    flags.add_output(parser, "heat map as .png, .svg or .pdf")
    flags.add_json(parser, "print the figures as JSON")
    flags.add_reading(parser)


def run(arguments: argparse.Namespace) -> int:
    """Look through the trace and print what it is."""
    from pfnlab.engine.trace_summary import portrait
    from pfnlab.traces.formats import load

    if arguments.output:
        output.kind_of(arguments.output)
    trace = load(arguments.file, **flags.reading_of(arguments))
    width = max(min(shutil.get_terminal_size((88, 24)).columns, 120) - _LABEL - 2, 20)
    with output.progress(trace.name, _LOOKS * len(trace), "event") as on_events:
        found = portrait(trace, n_columns=width, on_events=on_events)
    if arguments.output:
        from pfnlab import figures

        output.save_picture(figures.heat_map(found), arguments.output)
    if arguments.json:
        output.print_json(_facts(found) | {"provenance": dict(trace.provenance)})
        return 0
    output.print_lines([*_lines(found), "", *heat_lines(found.heat, _shades())])
    output.print_lines(f"{n:{_LABEL - 1}} {text}" for n, text in sorted(trace.provenance.items()))
    return 0


def _facts(found: Portrait) -> dict[str, object]:
    """Return the figures by name, without the map."""
    from dataclasses import fields

    facts = {f.name: getattr(found, f.name) for f in fields(found) if f.name != "heat"}
    return facts | {"descriptors_a_granule": found.descriptors_a_granule}


def _lines(found: Portrait) -> Iterator[str]:
    from pfnlab.params.units import short_bytes

    accesses = max(found.accesses, 1)
    kinds = (("LOOKUP", found.lookups), ("GET", found.gets), ("PUT", found.puts))
    ops = ", ".join(f"{n:,} {name}" for name, n in kinds if n)
    yield f"{found.name}: {found.n_events:,} events ({ops or 'none'}), {found.evidence}"
    lasts = "no times" if found.seconds is None else f"{found.seconds:,.4g} s"
    atomic = found.atomic_accesses / accesses
    yield f"{'lasts':{_LABEL}}{lasts}; {atomic:.1%} of accesses can't sleep"
    per_page = found.accesses / max(found.n_pages, 1)
    yield (
        f"{'touches':{_LABEL}}{found.n_pages:,} pages of {short_bytes(found.page_bytes)} within "
        f"{short_bytes(found.span_bytes)}, each {per_page:.1f} times"
    )
    yield (
        f"{'follows':{_LABEL}}{found.next_page / accesses:.1%} go to the next page, "
        f"{found.same_page / accesses:.1%} to the same, {found.same_granule / accesses:.1%} to the "
        f"same 4 KiB of descriptors"
    )
    if found.gets or found.puts:
        yield (
            f"{'holds':{_LABEL}}{found.peak_references:,} references at most; "
            f"{found.unmatched_puts:,} PUTs without a GET"
        )
    misses = ", ".join(f"{miss:.2%} at {share:.0%}" for share, miss in found.miss_ratios.items())
    yield f"{'misses':{_LABEL}}{misses} of its footprint (lra, 4 KiB granules, 2 MiB chunks)"
    yield ""
    yield f"{'granule':{_LABEL}}{'footprint':>12}{'descriptors used':>20}{'of those in it':>16}"
    for size, used in found.descriptors_a_granule.items():
        share = used * 64 / size
        footprint = short_bytes(found.footprints[size])
        yield f"{short_bytes(size):{_LABEL}}{footprint:>12}{used:>20,.1f}{share:>16.2%}"


def _shades() -> str:
    """Return characters from nothing to all, that the terminal's encoding has."""
    try:
        _SHADES.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return _PLAIN
    return _SHADES


def heat_lines(heat: Heat, shades: str) -> Iterator[str]:
    """Yield a map of accesses: time to the right, place downwards, gaps folded.

    Shades are steps of the logarithm.
    """
    from pfnlab.engine.trace_summary import folded
    from pfnlab.params.units import short_bytes

    rows = folded(heat, _MOST_ROWS)
    touched = [int(count) for row in rows for count in row.counts if count]
    least, most = min(touched, default=1), max(touched, default=1)
    yield f"where each of {len(rows)} rows begins, gaps left out; time to the right"
    before = None
    for row in rows:
        steps = [_step(int(count), least, most, len(shades) - 1) for count in row.counts]
        gap = before is not None and row.first_area > before
        mark = "┄" if gap and shades == _SHADES else ("-" if gap else " ")
        place, line = short_bytes(row.begin_bytes), "".join(shades[step] for step in steps)
        yield f"{place:>{_LABEL - 2}}{mark} {line}"
        before = row.last_area + 1


def _step(count: int, least: int, most: int, n_steps: int) -> int:
    """Return 0 for nothing, else a step of the logarithm from the least to the most."""
    from math import log

    if not count or least == most:
        return n_steps if count else 0
    return 1 + int((n_steps - 1) * log(count / least) / log(most / least) + 0.5)
