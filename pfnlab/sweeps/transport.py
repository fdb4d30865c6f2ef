"""How a source reaches a worker: a spec as it is, a trace by the path of its file."""

from __future__ import annotations

import shutil
from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from pfnlab.errors import FileError, ParameterError, TraceError
from pfnlab.files import named
from pfnlab.params import Params
from pfnlab.traces.native import load_native, mapped, save
from pfnlab.traces.placement import How
from pfnlab.traces.sources import Evidence, Source
from pfnlab.traces.streamed import StreamedTrace
from pfnlab.traces.trace import Placement, Trace
from pfnlab.traces.workloads import Spec


class Reference(Hashable, Protocol):
    """What a worker makes a source of; small, and hashable so that a worker can keep the source."""

    def source(self) -> Source:
        """Return the source."""


@dataclass(frozen=True, slots=True)
class Itself:
    """A source that is small enough to travel, such as a spec."""

    it: Source

    def source(self) -> Source:
        """Return it."""
        return self.it


@dataclass(frozen=True, slots=True)
class InFile:
    """A trace in a native file that every worker can read; `sha256` is that of its events."""

    path: str
    sha256: str
    stream: bool
    name: str  # as it is called here, whatever its file says
    evidence: Evidence
    how: How | None = None  # of its placement, if it has one
    tenants: int = 1

    def source(self) -> Source:
        """Open the file, and refuse one whose events are not those that were sent.

        Raises
        ------
        TraceError
            If this machine has no such file, or another one under its name.
        """
        path = Path(self.path)
        trace = load_native(path, stream=True) if self.stream else mapped(path)
        if trace.digest() != self.sha256:
            raise TraceError(f"{path}: its events must be those that the sweep began with")
        trace = replace(trace, name=self.name, evidence=self.evidence)
        if self.how is None or isinstance(trace, StreamedTrace):
            return trace
        return replace(trace, placement=Placement(trace, self.how, self.tenants))


class Spool:
    """Where traces in memory go, once each, so that workers can map them.

    Parameters
    ----------
    folder
        A folder that all workers see; None makes one for the time of the sweep, on this machine.
    """

    def __init__(self, folder: Path | None) -> None:
        self._temporary = TemporaryDirectory(prefix="pfnlab-") if folder is None else None
        # Workers may have another working folder.
        self._folder = (folder or Path(self._temporary.name if self._temporary else ".")).absolute()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        if self._temporary:
            self._temporary.cleanup()

    def refer(self, source: Source, params: Params) -> Reference:
        """Return what a worker makes the source of, for the region of `params`."""
        if isinstance(source, Spec):
            return Itself(source)
        if isinstance(source, Trace) and (placed := source.placement):
            return replace(self._kept(placed.origin), how=placed.how, tenants=placed.tenants)
        trace = source.trace(params)
        if isinstance(trace, StreamedTrace):
            path = str(trace.source.path.resolve())
            return InFile(path, trace.digest(), True, trace.name, trace.evidence)
        if isinstance(trace, Trace):
            return self._kept(trace)
        requirement = "must give a Trace or a StreamedTrace to be replayed by other processes"
        raise ParameterError("source", source, requirement)

    def _kept(self, trace: Trace) -> InFile:
        digest = trace.digest()
        folder = self._folder / digest[:32]
        if folder.exists() and not _holds(folder, digest):
            with named(folder):
                shutil.rmtree(folder)
        if not folder.exists():
            try:
                save(trace, folder)
            except FileError:
                if not folder.exists():  # else another sweep was faster
                    raise
        return InFile(str(folder), digest, False, trace.name, trace.evidence)


def _holds(folder: Path, digest: str) -> bool:
    """Whether a folder of an earlier sweep still has the events that it was made of."""
    try:
        return mapped(folder).digest() == digest
    except (TraceError, OSError, ValueError):
        return False


def identity(source: Source, params: Params) -> str:
    """Return what tells a source's rows for the region of `params` from those of all others.

    A spec is known by its fields, anything else by its name and the digest of its events.
    """
    if isinstance(source, Spec):
        return repr(source)
    placement = getattr(source, "placement", None)
    trace = placement.origin if placement else source.trace(params)
    placed = (placement.how, placement.tenants) if placement else ()
    return repr((trace.name, trace.evidence, trace.digest(), *placed))
