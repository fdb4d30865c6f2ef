"""What a sweep was asked for, in a parameter file's names: with it a frame can be made again."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pfnlab.frames import ATTRIBUTE
from pfnlab.params import PARAMETERS, Params
from pfnlab.params.costs import Costs
from pfnlab.sweeps.axes import AXES
from pfnlab.traces.native import file_of
from pfnlab.traces.sources import Source
from pfnlab.traces.streamed import StreamedTrace
from pfnlab.traces.trace import Trace
from pfnlab.traces.workloads import Spec

Named = dict[str, Any]


def attributes(
    source: Source,
    params: Params,
    axes: Mapping[str, Sequence[Any]],
    costs: str | Costs | None,
) -> dict[str, str]:
    """Return what ``DataFrame.attrs`` keeps of a sweep; nothing if a file could not say it.

    A text stands for a workload, and for a trace as it was read from a file; one that was made in
    memory has none, nor have costs of one's own.
    """
    text = _text_of(source, "region_bytes" in axes)
    if text is None or not (costs is None or isinstance(costs, str)):
        return {}
    run = {"source": text, "costs": costs, "out": None}
    read = source.placement.origin if isinstance(source, Trace) and source.placement else source
    digests = {text: read.digest()} if isinstance(read, Trace | StreamedTrace) else {}
    return remembered(flat(params, axes, run), digests)


def flat(params: Params, axes: Mapping[str, Sequence[Any]], run: Mapping[str, Any]) -> Named:
    """Return every parameter by its name in a parameter file, as a person would type it."""
    fields = {name: _shown(name, value) for name, value in params.as_dict().items()}
    swept = {f"{name}_axis": [_shown(name, v) for v in axes.get(name, ())] for name in AXES}
    return {**fields, **run, **swept}


def remembered(request: Named, digests: Mapping[str, str]) -> dict[str, str]:
    """Return what ``DataFrame.attrs`` keeps: text, for pandas copies all else again and again."""
    return {ATTRIBUTE: json.dumps({"request": request, "digests": dict(digests)})}


def _text_of(source: Source, placed: bool) -> str | None:
    if isinstance(source, Spec):
        return source.text
    if isinstance(source, StreamedTrace):
        return str(source.source.path)
    if not isinstance(source, Trace):
        return None
    placement = source.placement
    if placement is None:
        return None if placed else file_of(source)
    # Where regions are swept a file's trace is spread over each of them; else it is as recorded.
    return file_of(placement.origin) if placed and placement.how == "spread" else None


def _shown(name: str, value: Any) -> Any:
    """Write a size with its unit; all else is written as it is."""
    parameter = PARAMETERS.get(name)
    if parameter is not None and parameter.unit == "bytes":
        return parameter.show(parameter.parse(value))
    return value.item() if isinstance(value, np.generic) else value
