"""Workloads: frozen specs that draw a `Trace` for any region, reproducible from a seed.

Each family is one module; a new one is a `Spec` with a `name`, added to `WORKLOADS`.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

from pfnlab.errors import ParameterError, near
from pfnlab.traces.workloads.block_io import BlockIO
from pfnlab.traces.workloads.churn import Churn
from pfnlab.traces.workloads.gpu_tensors import GpuTensors
from pfnlab.traces.workloads.gup_fast import GupFast
from pfnlab.traces.workloads.hotspot import Hotspot
from pfnlab.traces.workloads.sequential import Sequential
from pfnlab.traces.workloads.softirq import Softirq
from pfnlab.traces.workloads.spec import Spec, check_fields
from pfnlab.traces.workloads.uniform import Uniform
from pfnlab.traces.workloads.zipf import Zipf

_ALL = (Zipf, Uniform, Sequential, Hotspot, BlockIO, GpuTensors, Churn, GupFast, Softirq)

#: The workloads by name.
WORKLOADS: Mapping[str, type[Spec]] = MappingProxyType({spec.name: spec for spec in _ALL})

__all__ = ["WORKLOADS", "Spec", "workload", "workload_of"]


def workload(name: str, **changes: Any) -> Spec:
    """Return the workload called `name` with some of its fields set.

    Raises
    ------
    ParameterError
        If there is no such workload or field (near matches are named), or a value is refused.
    """
    if name not in WORKLOADS:
        raise ParameterError("workload", name, f"no such workload; {near(str(name), WORKLOADS)}")
    spec = WORKLOADS[name]
    check_fields(spec, changes)
    return spec(**changes)


def workload_of(text: str) -> Spec:
    """Return the workload that a text stands for; the inverse of `Spec.text`.

    Parameters
    ----------
    text
        A name alone, ``uniform:1000`` with a number of events, or ``zipf:alpha=0.5,seed=3`` with
        any fields; sizes have a unit, as in ``64MiB``.

    Raises
    ------
    ParameterError
        Naming what is unknown or refused.
    """
    name, colon, rest = text.partition(":")
    words = rest.split(",") if colon else []
    if words and words[0].isascii() and words[0].isdigit():
        words[0] = f"n_events={words[0]}"
    given = dict(_field(text, word) for word in words)
    if len(given) < len(words):
        raise ParameterError("source", text, "must name each field once")
    spec = workload(name)
    check_fields(type(spec), given)
    known = {
        each.name: replace(each.metadata["parameter"], name=each.name) for each in fields(spec)
    }
    return spec.replace(**{field: known[field].read(value) for field, value in given.items()})


def _field(text: str, word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        requirement = "after ':' there must be a number of events, or fields as in 'zipf:alpha=0.5'"
        raise ParameterError("source", text, requirement)
    return name.strip(), value.strip()
