"""Event codes of a trace: what each event does, with every PUT settled once, not at each replay."""

import threading
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from pfnlab.errors import TraceError
from pfnlab.kernels import event_codes as kernel
from pfnlab.kernels import page_counts
from pfnlab.kernels.state import ATOMIC
from pfnlab.traces.columns import Events
from pfnlab.traces.trace import Trace

Codes = npt.NDArray[np.uint8]

#: Codes of a trace of up to so many events are kept with it; a longer one's are made piece by
#: piece at every replay, in a buffer of one piece.
KEPT_EVENTS = 1 << 27
#: A chunk's live pins are counted in 32 bits; so many in all can't overflow one.
MAX_LIVE_GETS = 2**31 - 1
PIECE_EVENTS = 1 << 20
_PLACES = 1 << 10


class Settler:
    """Makes the codes of a trace, piece after piece from its first event on."""

    def __init__(self, trace_name: str) -> None:
        self.trace_name = trace_name
        self.table = kernel.Outstanding(*page_counts.table(_PLACES), np.zeros(3, np.int64))

    def codes(self, events: Events) -> Codes:
        """Return the codes of the next events, uint8."""
        codes = np.empty(len(events.pfns), np.uint8)
        self.write(codes, events)
        return codes

    def write(self, codes: Codes, events: Events) -> None:
        """Write the codes of the next events into an array of just as many."""
        _, pfns, ops, atomic = events
        if ops is None:
            codes[:] = 0 if atomic is None else atomic * np.uint8(ATOMIC)
            return
        done, end = 0, len(codes)
        while (done := kernel.settle(self.table, pfns, ops, atomic, codes, done, end)) < end:
            self._grow()
        if self.table.totals[kernel.PEAK_GETS] > MAX_LIVE_GETS:
            requirement = f"must be at most {MAX_LIVE_GETS}"
            raise TraceError(f"ops of trace {self.trace_name!r}: GETs not yet PUT {requirement}")

    def _grow(self) -> None:
        pfns, gets = page_counts.larger(self.table.pfns, self.table.gets)
        self.table = self.table._replace(pfns=pfns, gets=gets)


_kept: WeakKeyDictionary[Trace, Codes] = WeakKeyDictionary()
_settling = threading.Lock()


def kept_codes(trace: Trace) -> Codes | None:
    """Return the codes of all events of a trace, made at the first call; None if it is too long.

    Threads that replay one trace wait for the first of them to settle it.
    """
    if len(trace) > KEPT_EVENTS:
        return None
    with _settling:
        if trace not in _kept:
            settler, codes = Settler(trace.name), np.empty(len(trace), np.uint8)
            whole = Events(0, trace.pfns, trace.ops, trace.atomic)
            for start in range(0, len(trace), PIECE_EVENTS):
                piece = codes[start : start + PIECE_EVENTS]
                settler.write(piece, whole.part(start, start + len(piece)))
            _kept[trace] = codes
        return _kept[trace]
