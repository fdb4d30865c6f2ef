"""What each event of a stepped trace changed: what a picture of it shows and a sentence says."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import pandas as pd

from pfnlab.errors import FrameError
from pfnlab.frames import require

#: Most chunks, and granules of one, that can still be told apart.
MAX_CHUNKS, MAX_CHUNK_GRANULES = 8, 8

COUNTED = ("accesses", "hits", "faults", "cold_faults", "reserve_faults", "atomic_faults", "puts",
           "unmatched_puts", "shootdowns", "futile_passes", "pinned_skips", "evicted_chunks",
           "overcommits")  # fmt: skip
_ASKED = ("event", "pfn", "op", "atomic", "cpu", "granule", "chunk")
_HELD = ("resident", "order", "pinned", "pins", "set_aside", "reserve_left")
_SET = ("source", "evidence", "policy", "first_pfn", "granule_bytes", "chunk_bytes",
        "descriptor_bytes", "threshold_bytes", "reserve_granules", "n_cpus")  # fmt: skip

Kind = Literal["hit", "fault", "eviction", "skip", "refusal", "put"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the mechanism holds between two events."""

    resident: frozenset[int]  # granules
    order: tuple[int, ...]  # chunks, the next victim first
    pins: dict[int, int]  # live pins of the chunks that have any
    set_aside: tuple[int, ...]  # chunks
    reserve_left: int  # granules


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One event: who asked for what, what was held before and after it, what was counted."""

    event: int
    pfn: int
    op: str
    atomic: bool
    cpu: int
    granule: int
    chunk: int
    before: Held
    after: Held
    added: dict[str, int]  # counters, by this event
    total: dict[str, int]  # counters, up to and with it

    @property
    def populated(self) -> bool:
        """Whether its granule was faulted in."""
        return bool(self.added["faults"])

    @property
    def refused(self) -> bool:
        """Whether the caller could neither be served nor sleep."""
        return bool(self.added["atomic_faults"])

    @property
    def evicted(self) -> tuple[int, ...]:
        """Chunks that were unmapped, in the order in which they stood."""
        gone = {*self.before.order} - {*self.after.order, *self.after.set_aside}
        return tuple(chunk for chunk in self.before.order if chunk in gone)

    @property
    def unmapped(self) -> frozenset[int]:
        """Granules that were resident before, and are no more."""
        return self.before.resident - self.after.resident

    @property
    def skipped(self) -> tuple[int, ...]:
        """Chunks that a pass found pinned, and set aside."""
        return tuple(c for c in self.before.order if c in self.after.set_aside)

    @property
    def kinds(self) -> frozenset[Kind]:
        """What a person may look for in it."""
        found: dict[Kind, object] = {
            "hit": self.added["hits"],
            "fault": self.populated,
            "eviction": self.added["evicted_chunks"],
            "skip": self.added["pinned_skips"],
            "refusal": self.refused,
            "put": self.added["puts"],
        }
        return frozenset(kind for kind, happened in found.items() if happened)


class Setting(NamedTuple):
    """What stays as it is while the events pass."""

    source: str
    evidence: str
    policy: str
    first_pfn: int
    granule_bytes: int
    chunk_bytes: int
    descriptor_bytes: int
    threshold_bytes: int
    reserve_granules: int
    n_cpus: int

    @property
    def chunk_granules(self) -> int:
        """Granules of a chunk."""
        return self.chunk_bytes // self.granule_bytes

    @property
    def granule_pfns(self) -> int:
        """Pages whose descriptors fill a granule."""
        return self.granule_bytes // self.descriptor_bytes

    @property
    def threshold_granules(self) -> int:
        """Granules that fit below the threshold."""
        return self.threshold_bytes // self.granule_bytes


@dataclass(frozen=True)  # without slots, for what is cached
class Tale:
    """The events of one replay, and what stays as it is meanwhile."""

    setting: Setting
    moments: tuple[Moment, ...]

    @cached_property
    def chunks(self) -> tuple[int, ...]:
        """Chunks that are touched, ascending."""
        return tuple(sorted({moment.chunk for moment in self.moments}))

    @cached_property
    def cpus(self) -> tuple[int, ...]:
        """CPUs that ask, those that ask most first."""
        return tuple(cpu for cpu, _ in Counter(m.cpu for m in self.moments).most_common())

    @cached_property
    def peak_granules(self) -> int:
        """Most granules resident after any event."""
        return max(len(moment.after.resident) for moment in self.moments)

    @cached_property
    def peak_order(self) -> int:
        """Most chunks in the order after any event."""
        return max(len(moment.after.order) for moment in self.moments)

    @cached_property
    def peak_set_aside(self) -> int:
        """Most chunks set aside after any event."""
        return max(len(moment.after.set_aside) for moment in self.moments)

    def at(self, event: int) -> Moment:
        """Return an event by its number.

        Raises
        ------
        FrameError
            If there is no such event.
        """
        if isinstance(event, bool) or event not in range(len(self.moments)):
            last = len(self.moments) - 1
            raise FrameError(f"event={event!r}: must be an event of the frame, from 0 to {last}")
        return self.moments[event]


def tale_of(frame: pd.DataFrame) -> Tale:
    """Read the events of the first replay in a frame that `pfnlab.steps` and parameters fill.

    Raises
    ------
    FrameError
        If columns or events are missing, or there are too many chunks or granules to draw.
    """
    require(frame, [*_SET, *_ASKED, *COUNTED, *_HELD])
    rows = _first_replay(frame)
    setting = Setting(*(_plain(rows[0][name]) for name in _SET))
    before = Held(
        resident=frozenset(), order=(), pins={}, set_aside=(), reserve_left=setting.reserve_granules
    )
    moments: list[Moment] = []
    total = dict.fromkeys(COUNTED, 0)
    for row in rows:
        added = {name: int(row[name]) for name in COUNTED}
        total = {name: total[name] + added[name] for name in COUNTED}
        asked = {name: _plain(row[name]) for name in _ASKED}
        after = _held(row)
        moments.append(Moment(**asked, before=before, after=after, added=added, total=total))
        before = after
    tale = Tale(setting, tuple(moments))
    _check_size(tale)
    return tale


def _first_replay(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows up to where another replay starts."""
    events = frame["event"].tolist()
    n = next((i for i in range(1, len(events)) if events[i] == 0), len(events))
    if events[:n] != list(range(n)):
        raise FrameError(f"frame: has events {events[0]} to {events[n - 1]}, "
                         f"must have every event from 0 on, in order")  # fmt: skip
    return frame.head(n).to_dict("records")  # type: ignore[return-value]  # keys are text


def _held(row: dict[str, Any]) -> Held:
    return Held(
        resident=frozenset(_ints(row["resident"])),
        order=_ints(row["order"]),
        pins=dict(zip(_ints(row["pinned"]), _ints(row["pins"]), strict=True)),
        set_aside=_ints(row["set_aside"]),
        reserve_left=int(row["reserve_left"]),
    )


def _ints(values: Iterable[Any]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _check_size(tale: Tale) -> None:
    for found, most, what in (
        (len(tale.chunks), MAX_CHUNKS, "chunks touched"),
        (tale.setting.chunk_granules, MAX_CHUNK_GRANULES, "granules in a chunk"),
    ):
        if found > most:
            raise FrameError(
                f"frame: has {found} {what}, must have at most {most} to be drawn as a scene; "
                "pfnlab.claims.measures.mechanism.sized makes such a region"
            )
