"""Workloads: frozen specs that draw a `Trace` for any region, reproducible from a seed.

Each family is one module; a new one is a `Spec` with a `name`, added to `WORKLOADS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pfnlab.errors import ParameterError, near
from pfnlab.workloads.block_io import BlockIO
from pfnlab.workloads.churn import Churn
from pfnlab.workloads.gpu_tensors import GpuTensors
from pfnlab.workloads.gup_fast import GupFast
from pfnlab.workloads.hotspot import Hotspot
from pfnlab.workloads.sequential import Sequential
from pfnlab.workloads.softirq import Softirq
from pfnlab.workloads.spec import Spec, check_fields
from pfnlab.workloads.uniform import Uniform
from pfnlab.workloads.zipf import Zipf

_ALL = (Zipf, Uniform, Sequential, Hotspot, BlockIO, GpuTensors, Churn, GupFast, Softirq)

#: The workloads by name.
WORKLOADS: Mapping[str, type[Spec]] = MappingProxyType({spec.name: spec for spec in _ALL})

__all__ = ["WORKLOADS", "Spec", "workload"]


def workload(name: str, **fields: Any) -> Spec:
    """Return the workload called `name` with some of its fields set.

    Raises
    ------
    ParameterError
        If there is no such workload or field (near matches are named), or a value is refused.
    """
    if name not in WORKLOADS:
        raise ParameterError("workload", name, f"no such workload; {near(str(name), WORKLOADS)}")
    spec = WORKLOADS[name]
    check_fields(spec, fields)
    return spec(**fields)
