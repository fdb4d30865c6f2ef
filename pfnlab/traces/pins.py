"""The events of a trace under other pins: prefaulted, pinned for the I/O, unpinned, repinned."""

from typing import Any

import numpy as np
import numpy.typing as npt

from pfnlab.params.units import share, whole
from pfnlab.traces.edits import Added, atomic_of, ops_of, replaced, with_events, without_events
from pfnlab.traces.requests import GET, LOOKUP, PUT, Flags, Int64s
from pfnlab.traces.trace import Trace
from pfnlab.traces.workloads.random_words import chances, key_of, words_at


def atomic_calls(trace: Trace) -> Flags:
    """Return which events are LOOKUPs or GETs of a caller that can't sleep, bool."""
    return np.asarray(atomic_of(trace) & (ops_of(trace) != PUT))


def prefaulted(trace: Trace, lead_events: int = 0, *, held: bool = False) -> Trace:
    """Return a trace whose atomic calls were prefaulted: looked up before, by a caller that sleeps.

    Each atomic LOOKUP or GET gets a sleepable LOOKUP of its page `lead_events` events earlier (at
    the start of the trace if that is earlier still). Eviction in between can undo it, unless it is
    `held`: then it is a GET, dropped right after the atomic call, and no such call can fault. That
    a PUT without a GET drops it is not prevented.

    Parameters
    ----------
    lead_events
        Events between the prefault and its call; 0 is right before it, where the caller is about
        to take a lock. A submitter in softirq has no such moment: for it this is what somebody
        earlier, who can sleep, would have to do.
    held
        Whether the prefault takes a reference for the time in between.

    Raises
    ------
    ParameterError
        If `lead_events` is negative or no int.
    """
    lead = whole("lead_events", lead_events, 0)
    calls = np.flatnonzero(atomic_calls(trace))
    if not len(calls):
        return trace
    op = np.full(len(calls), GET if held else LOOKUP, np.uint8)
    added = Added(before=np.maximum(calls - min(lead, len(trace)), 0), of=calls, ops=op)
    if held:
        drops = np.full(len(calls), PUT, np.uint8)
        added = Added.all(Added(before=calls + 1, of=calls, ops=drops), added)
    made_by = f"prefaulted(lead_events={lead}, held={held})"
    return with_events(trace, added, made_by=made_by)


def pinned_for_io(trace: Trace) -> Trace:
    """Return a trace whose requests pin what their completions look up.

    An atomic LOOKUP is taken for the completion of the latest sleepable LOOKUP of its page that
    has no completion yet: that one becomes a GET and the completion a PUT. Others stay as they
    are. Which of two requests for one page completes first does not matter: their pins are alike.
    """
    atomic = atomic_of(trace)
    lookups = np.flatnonzero(ops_of(trace) == LOOKUP)
    if not atomic[lookups].any() or atomic[lookups].all():
        return trace
    lookups = lookups[np.argsort(trace.pfns[lookups], kind="stable")]  # page by page
    completes = atomic[lookups]
    paired = _paired(trace.pfns[lookups], completes)
    ops = ops_of(trace).copy()
    ops[lookups[paired]] = np.where(completes[paired], PUT, GET)
    return replaced(trace, {"ops": ops}, made_by="pinned_for_io()")


def unpinned(trace: Trace) -> Trace:
    """Return a trace that takes no references: GETs and PUTs look their pages up instead.

    Its completions are those of requests that pinned nothing; `pinned_for_io` is the inverse for
    requests whose submitters sleep and whose completions do not.
    """
    if trace.ops is None:
        return trace
    return replaced(trace, {"ops": None}, made_by="unpinned()")


def _paired(pages: npt.NDArray[Any], closes: Flags) -> Flags:
    """Return which brackets of each page have a partner, bool; pages are in order.

    A closing bracket has none if it takes its page's balance below all that was before; an
    opening one has one if the balance later falls below what it rose to.
    """
    page = np.cumsum(np.diff(pages, prepend=pages[:1]) != 0, dtype=np.int64)
    balance = np.cumsum(np.where(closes, -1, 1), dtype=np.int64)
    first = np.flatnonzero(np.diff(page, prepend=-1))
    before = balance[first] - np.where(closes[first], -1, 1)
    balance -= before[page]
    # Apart by more than any balance, so that one page's least is never another's.
    apart = page * (2 * len(pages) + 2)
    low = np.minimum.accumulate(np.minimum(balance, 0) - apart) + apart
    low_before = np.concatenate([[0], low[:-1]])
    low_before[first] = 0
    later = np.minimum.accumulate((balance + apart)[::-1])[::-1] - apart
    low_after = np.append(later[1:], 0)
    last = np.append(first[1:], len(pages)) - 1
    low_after[last] = balance[last]
    return np.where(closes, balance >= low_before, low_after < balance)


def repinned(
    trace: Trace, hold_events: int | None, *, pinned_share: float = 1.0, seed: int = 0
) -> Trace:
    """Return the accesses of a trace under pins of another length.

    The trace's PUTs are dropped and its GETs become LOOKUPs. Then a page is pinned by an access
    and stays pinned until `hold_events` accesses to other pages have passed without one to it:
    0 is I/O that completes at once, a few thousand a mapping that is torn down when it is idle.
    None pins a page from its first access to its last, which is the life of a mapping as far as
    the trace can tell. All callers can sleep.

    Parameters
    ----------
    pinned_share
        Share of the pages that are ever pinned, drawn page by page; the others are only looked up.
    seed
        Draws them.

    Raises
    ------
    ParameterError
        If `hold_events` is negative or no int, or the share no number from 0 to 1.
    """
    hold = None if hold_events is None else whole("hold_events", hold_events, 0)
    chosen_share = share("pinned_share", pinned_share)
    made_by = f"repinned(hold_events={hold}, pinned_share={chosen_share}, seed={seed})"
    bare = without_events(trace, ops_of(trace) == PUT, made_by=made_by)
    bare = replaced(bare, {"ops": None, "atomic": None})
    draws = words_at(key_of(seed, "pinned"), bare.pfns.astype(np.int64))
    pinned = np.flatnonzero(chances(draws, chosen_share))
    return _with_pins(bare, pinned, hold) if len(pinned) else bare


def _with_pins(bare: Trace, pinned: Int64s, hold: int | None) -> Trace:
    """Pin the pages of some accesses of a trace without pins."""
    order = pinned[np.argsort(bare.pfns[pinned], kind="stable")]  # page by page
    begins, ends = _periods(bare.pfns[order], order, hold)
    ops = np.full(len(bare), LOOKUP, np.uint8)
    ops[order[begins]] = GET
    last = np.sort(order[ends])
    drop = last + 1 + min(hold or 0, len(bare))
    last = last[drop <= len(bare)]  # later ones stay pinned at the end
    puts = Added(before=drop[: len(last)], of=last, ops=np.full(len(last), PUT, np.uint8))
    return with_events(replaced(bare, {"ops": ops}), puts)


def _periods(pages: npt.NDArray[Any], accesses: Int64s, hold: int | None) -> tuple[Flags, Flags]:
    """Return which accesses begin and end a page's pinned period, bool; pages are in order."""
    new_page = np.diff(pages) != 0
    apart = new_page if hold is None else new_page | (np.diff(accesses) > hold)
    return np.concatenate([[True], apart]), np.concatenate([apart, [True]])
