"""Region presets against sizes worked out by hand."""

import pytest

import pfnlab
from pfnlab.params.regions import REGIONS

#: name: capacity as sold, device page, bytes of descriptors; by hand.
SIZES = {
    "optane-1tib": (1_099_511_627_776, 4096, 17_179_869_184),
    "optane-6tib": (6_597_069_766_656, 4096, 103_079_215_104),
    "cxl-1tib": (1_099_511_627_776, 4096, 17_179_869_184),
    "h200": (141_000_000_000, 4096, 34_423_828 * 64),
    "8xh200": (1_128_000_000_000, 4096, 275_390_625 * 64),
    "mi300x": (192_000_000_000, 65536, 2_929_687 * 64),
    "64tib": (70_368_744_177_664, 4096, 1_099_511_627_776),
}


def test_every_region_has_its_size_in_whole_pages() -> None:
    assert set(REGIONS) == set(SIZES)
    for name, (sold, page, vmemmap) in SIZES.items():
        params = pfnlab.region(name).params(chunk_bytes="64KiB")
        assert params.page_bytes == page
        assert params.region_bytes == sold - sold % page
        assert params.vmemmap_bytes == vmemmap
        assert params.chunk_bytes == 65536


def test_every_figure_has_trust_and_source() -> None:
    for region in REGIONS.values():
        assert set(region.figures) == {"region_bytes", "page_bytes", "device_latency", "n_cpus"}
        for figure in region.figures.values():
            assert figure.trust in ("V", "V2", "M", "C", "L", "A")
            assert len(figure.source) > 5


def test_costs_differ_in_the_latency_only() -> None:
    assert pfnlab.region("optane-1tib").costs() == pfnlab.Costs.preset("hvo-8s")
    costs = pfnlab.region("h200").costs("hvo-vm252")
    assert costs.name == "hvo-vm252*"
    assert costs.device_latency == 1000
    assert costs.replace(device_latency=350.0, name="hvo-vm252") == pfnlab.Costs.preset("hvo-vm252")
    # A fault on the vmemmap is the CPU's: no region takes a GPU's far fault for it.
    assert {region.preset for region in REGIONS.values()} == {"hvo-8s"}


@pytest.mark.parametrize("name", ["optane-6tb", "", 5, None])
def test_an_unknown_region_is_refused_with_its_neighbours(name: object) -> None:
    with pytest.raises(pfnlab.ParameterError, match=r"no such region; (did you mean|known are)"):
        pfnlab.region(name)  # type: ignore[arg-type]
