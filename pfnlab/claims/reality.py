"""Claims about the model itself, M1 to M3, on a frame of `measures.reality` or a recorded table."""

from dataclasses import replace
from typing import Any

import pandas as pd

from pfnlab.claims.verdict import Finding, Verdict, by_trace, joined
from pfnlab.frames import require

# Bounds that decide the verdicts; each is a judgement, named here once.
MEDIAN_ERROR, P90_ERROR = 0.15, 0.30
MOST_SPREAD = 0.15  # of a constant's repeats, above which no preset would be written
LEAST_LOST = 0.01  # share of faults that found the page there, above which a loser is seen

_HERE = ("source", "evidence", "n_events", "machine", "date")


def counts_agree(frame: pd.DataFrame) -> Verdict:
    """M1: the kernel counts what the simulator predicts when traces run for real."""
    require(frame, [*_HERE, "runs", "differing", "minor_faults", "predicted_minor_faults"])
    rows = frame[frame["minor_faults"].notna()]
    findings = {name: _equal(some) for name, some in by_trace(rows)}
    verdict = joined(
        findings or {"no run": Finding(None, _why(frame, "counts"))},
        kind="measured",
        claim="M1",
        who="this model",
        statement=(
            "Run for real on pages of a process, faults, evictions, the kernel's minor faults and "
            "the resident set are what the simulator predicts, each one exactly"
        ),
    )
    where = f"\nMeasured on {_where(rows)}." if findings else ""
    return replace(verdict, evidence=f"{verdict.evidence}{where}")


def _equal(rows: pd.DataFrame) -> Finding:
    runs, differing = int(rows["runs"].sum()), int(rows["differing"].sum())
    faults, predicted = (int(rows[n].sum()) for n in ("minor_faults", "predicted_minor_faults"))
    return Finding(
        differing == 0 and faults == predicted,
        f"{differing} of {runs} runs of {rows['n_events'].max():,} events differ; the kernel "
        f"counted {faults:,} minor faults, predicted {predicted:,}",
    )


def times_are_predicted(frame: pd.DataFrame) -> Verdict:
    """M2: costs calibrated on a machine predict the time of other traces."""
    require(frame, [*_HERE, "predicted_ns", "measured_ns", "spread"])
    rows = frame[frame["measured_ns"].notna()]
    return joined(
        {"all runs": _near(rows) if len(rows) else Finding(None, _why(frame, "times"))},
        kind="measured",
        claim="M2",
        who="this model",
        statement=(
            "Costs calibrated on a machine predict the time of traces that they were not fitted "
            f"on: median error at most {MEDIAN_ERROR:.0%}, 90th percentile at most {P90_ERROR:.0%}"
        ),
    )


def _near(rows: pd.DataFrame) -> Finding:
    """Judge the errors; if repeats differ too much, nothing is decided."""
    error = (rows["predicted_ns"] - rows["measured_ns"]).abs() / rows["measured_ns"]
    median, p90, spread = error.median(), error.quantile(0.9), float(rows["spread"].max())
    holds = bool(median <= MEDIAN_ERROR and p90 <= P90_ERROR)
    noisy = not spread <= MOST_SPREAD
    text = (
        f"{len(rows)} runs, median error {median:.1%}, 90th percentile {p90:.1%}; the repeats of a "
        f"constant spread by up to {spread:.0%} ({_where(rows)})"
    )
    return Finding(None, f"{text}: too noisy a machine to tell") if noisy else Finding(holds, text)


def shared_touches_fault_again(frame: pd.DataFrame) -> Verdict:
    """M3: CPUs that touch a fresh page at the same time all fault, and one populates it."""
    require(frame, ["n_threads", "n_pages", "n_faults", "machine", "date"])
    rows = frame[frame["n_faults"].notna()].sort_values("n_threads")
    about: dict[str, Any] = {
        "kind": "measured",
        "claim": "M3",
        "who": "this model",
        "statement": "One CPU takes a fault for each page it populates, two that touch the same "
        "fresh pages at once take more: a fault taken is not a page populated, and the model has "
        "no such loser",
    }
    if len(rows) < 2 or rows["n_threads"].iloc[0] != 1:
        needs = Finding(None, _why(frame, "one thread and several"))
        return joined({"no run": needs}, **about)
    alone, together = rows.iloc[0], rows.iloc[-1]
    exact = alone["n_faults"] == alone["n_pages"]
    lost = together["n_faults"] - together["n_pages"]
    text = (
        f"{int(alone['n_pages']):,} pages take 1 thread {int(alone['n_faults']):,} faults, as many "
        f"take {int(together['n_threads'])} in lockstep {int(together['n_faults']):,} "
        f"({_where(rows)})"
    )
    holds = bool(exact and lost >= LEAST_LOST * together["n_pages"])
    return joined({"shared pages": Finding(holds, text)}, **about)


def _where(rows: pd.DataFrame) -> str:
    return f"{rows['machine'].iloc[0]}, {rows['date'].iloc[0]}"


def _why(frame: pd.DataFrame, needed: str) -> str:
    """Say what is needed, and why the frame does not have it."""
    notes = list(frame["note"].dropna().unique()) if "note" in frame else []
    return f"needs {needed}; " + "; ".join(notes) if notes else f"needs {needed}"
