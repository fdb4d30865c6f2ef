"""Sizes, the vocabulary and the geometry: round trips, defaults, refusals."""

import dataclasses
import pickle
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pfnlab
from pfnlab.params import PARAMETERS
from pfnlab.params.units import KIB, MIB, TIB, short_bytes


@given(st.integers(0, 2**60))
def test_formatting_is_parsing_backwards(size: int) -> None:
    assert pfnlab.parse_bytes(pfnlab.format_bytes(size)) == size


@pytest.mark.parametrize(
    ("text", "size"),
    [("64MiB", 64 << 20), ("1.5 TiB", 3 << 39), ("141GB", 141 * 10**9), (4096, 4096)],
)
def test_sizes_are_read_as_people_write_them(text: str | int, size: int) -> None:
    assert pfnlab.parse_bytes(text) == size


NOT_SIZES = ["64M", "", "MiB", "1.3B", "-1KiB", "1e3KiB", "nan", 1.5, True, None, []]


@pytest.mark.parametrize("bad", NOT_SIZES)
def test_other_sizes_are_refused(bad: object) -> None:
    with pytest.raises(pfnlab.ParameterError, match="chunk_bytes="):
        pfnlab.parse_bytes(bad, "chunk_bytes")


def test_every_field_is_described_once() -> None:
    defaults = pfnlab.Params()
    assert list(PARAMETERS) == [field.name for field in dataclasses.fields(pfnlab.Params)]
    for name, parameter in PARAMETERS.items():
        assert parameter.name == name
        assert parameter.help
        assert parameter.parse(parameter.default) == getattr(defaults, name) == parameter.default
        if parameter.unit == "bytes":
            assert parameter.parse(parameter.show(parameter.default)) == parameter.default


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"chunk_bytes": 3}, "chunk_bytes=3: must be a power of two"),
        ({"granule_bytes": "6KiB"}, "granule_bytes='6KiB': must be a power of two"),
        ({"page_bytes": 0}, "page_bytes=0: must be a power of two"),
        ({"descriptor_bytes": 4}, "descriptor_bytes=4: must be between 8B and 4KiB"),
        ({"region_bytes": 4097}, "region_bytes=4097: must be a multiple of 4KiB"),
        ({"region_bytes": "64PiB"}, "region_bytes='64PiB': must be between 4KiB and 32PiB"),
        ({"granule_bytes": "4MiB"}, "chunk_bytes='2MiB': must be at least granule_bytes (4MiB)"),
        ({"threshold_bytes": "1MiB"}, "threshold_bytes='1MiB': must be at least chunk_bytes"),
        ({"batch_chunks": 0}, "batch_chunks=0: must be between 1"),
        ({"batch_chunks": 1.5}, "batch_chunks=1.5: must be an int"),
        ({"reserve_granules": -1}, "reserve_granules=-1: must be between 0"),
        (
            {"policy": "lur"},
            "must be one of lra, lru, clock, sieve, s3fifo, random, opt; did you mean",
        ),
        ({"first_pfn": -1}, "first_pfn=-1: must be between 0"),
        ({"n_cpus": True}, "n_cpus=True: must be an int"),
    ],
)
def test_bad_parameters_name_field_value_and_requirement(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(pfnlab.ParameterError, match=re.escape(message)):
        pfnlab.Params(**fields)


def test_an_unknown_field_is_refused_with_its_neighbour() -> None:
    with pytest.raises(pfnlab.ParameterError, match="did you mean 'chunk_bytes'"):
        pfnlab.Params().replace(chunk_byte=4096)


def test_errors_survive_pickling() -> None:
    error = pfnlab.ParameterError("chunk_bytes", 3, "must be a power of two")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own bytes


@given(
    region=st.integers(1, 2**30),
    first=st.integers(0, 2**40),
    granule=st.sampled_from([12, 16, 21]),
    chunk=st.sampled_from([0, 4, 9]),
    data=st.data(),
)
def test_translation_is_the_formula_of_the_design(
    region: int, first: int, granule: int, chunk: int, data: st.DataObject
) -> None:
    params = pfnlab.Params(
        region_bytes=region * 4096,
        first_pfn=first,
        granule_bytes=1 << granule,
        chunk_bytes=1 << granule + chunk,
        threshold_bytes="1TiB",
    )
    geometry = pfnlab.Geometry.of(params)
    pfn = first + data.draw(st.integers(0, region - 1))
    pfns = np.array([pfn])
    assert geometry.offsets_of(pfns)[0] == (pfn - first) * 64
    assert geometry.granules_of(pfns)[0] == (pfn - first) * 64 >> granule < geometry.n_granules
    assert geometry.chunks_of(pfns)[0] == (pfn - first) * 64 >> granule + chunk < geometry.n_chunks
    assert geometry.first_pfns_of(geometry.chunks_of(pfns))[0] <= pfn


def test_x86_64_anchors() -> None:
    # 128 MiB of 4 KiB pages are 32768 descriptors, 2 MiB of vmemmap: one section.
    geometry = pfnlab.Geometry.of(pfnlab.Params(region_bytes="128MiB"))
    assert (geometry.n_pages, geometry.vmemmap_bytes, geometry.n_chunks) == (32768, 2 << 20, 1)
    assert geometry.granule_pfns == 64
    assert pfnlab.Params(region_bytes="1TiB").vmemmap_bytes == 17179869184  # struct page a TiB


@pytest.mark.parametrize("region", ["141GiB", "6TiB", "64TiB"])
def test_footprint_counts_distinct_granules(region: str) -> None:
    params = pfnlab.Params(region_bytes=region)
    pfns = np.random.default_rng(3).integers(0, params.n_pages, 5000)
    for granule in (4096, 2 << 20):
        expected = len({int(p) * 64 // granule for p in pfns}) * granule
        assert pfnlab.Trace(pfns).footprint_bytes(params.replace(granule_bytes=granule)) == expected


def test_short_sizes_are_read_at_a_glance() -> None:
    written = [short_bytes(size) for size in (0, 999, 1000, 1023 * MIB + 500 * KIB, 1.5 * TIB)]
    assert written == ["0 B", "999 B", "1,000 B", "1,023 MiB", "1.5 TiB"]
