"""Schemes without faults: what they take follows from the region and from which pages are pinned.

Formulas follow from the layouts that DESIGN 7 describes. Tests hold the static arrays and the
deduplication of device-dax against a real kernel (`data/measured/struct_page_cost.csv`).
"""

from collections.abc import Callable, Mapping
from typing import Any

from pfnlab.alternatives.scheme import Holding, Scheme
from pfnlab.engine.descriptor_use import AREA_BYTES, Followed
from pfnlab.params import Params
from pfnlab.params.costs import Costs
from pfnlab.params.geometry import Geometry
from pfnlab.params.units import GIB, MIB, short_bytes

Build = Callable[[Scheme, Params, Followed], Holding]
_PAGE = 4096  # of vmemmap, and of page tables
_POINTER_BYTES = 8  # a memdesc's page


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def static_dram(scheme: Scheme, params: Params, seen: Followed) -> Holding:
    """Take 64 bytes a page from DRAM, mapped by 2 MiB pages and initialised before first use."""
    size, n_pages = params.vmemmap_bytes, params.n_pages
    return Holding(
        scheme=scheme,
        dram_bytes=size,
        mean_dram_bytes=size,
        virtual_bytes=size,
        setup_ns=lambda costs: costs.init_per_descriptor * n_pages,
        event_ns=lambda costs: costs.dram_latency,
    )


def static_device(scheme: Scheme, params: Params, seen: Followed) -> Holding:
    """Cut the same array out of the device (vmem_altmap); 2 MiB of labels are not counted."""
    size, n_pages = params.vmemmap_bytes, params.n_pages
    return _on_device(
        scheme,
        seen,
        device_bytes=size,
        virtual_bytes=size,
        setup_writes=n_pages,
        setup_ns=lambda costs: costs.init_per_descriptor * n_pages,
    )


def interleaved(scheme: Scheme, params: Params, seen: Followed) -> Holding:
    """Put a page of descriptors after every 64 pages of data: 1/65 of the raw device."""
    a_page = params.page_bytes // params.descriptor_bytes
    n_tables = _ceil_div(params.n_pages, a_page + 1)
    n_pages = params.n_pages - n_tables
    return _on_device(
        scheme,
        seen,
        device_bytes=n_tables * params.page_bytes,
        setup_writes=n_pages,
        setup_ns=lambda costs: costs.init_per_descriptor * n_pages,
        note="descriptors are found in the direct map; their layout is an ABI of the device",
    )


def _on_device(scheme: Scheme, seen: Followed, **about: Any) -> Holding:
    """Return a holding whose descriptors are read and written on the device."""
    price = about.pop("event_ns", lambda costs: costs.device_latency)
    return Holding(
        scheme=scheme, reference_writes=seen.writes, hottest=seen.hottest, event_ns=price, **about
    )


def pfn_only(scheme: Scheme, params: Params, seen: Followed) -> Holding:
    """Hold nothing, so that no reference can be taken and nothing locked."""
    share = seen.gets / seen.accesses if seen.accesses else 0.0
    note = f"{share:.1%} of accesses take a reference, for which a pfn has no place"
    return Holding(scheme=scheme, note=note if seen.gets else "")


def temporary(scheme: Scheme, params: Params, seen: Followed) -> Holding:
    """Make a descriptor for each live pin, and one for a LOOKUP, which has nothing but a pfn."""
    return Holding(
        scheme=scheme,
        dram_bytes=seen.peak_live * params.descriptor_bytes,
        mean_dram_bytes=seen.mean_live * params.descriptor_bytes,
        event_ns=lambda costs: costs.dram_latency + costs.init_per_descriptor,
        note=f"{seen.shared_gets:,} of {seen.gets:,} GETs find the page in another's array",
    )


def _deduplicated(kept_pages: int, huge_bytes: int, of_hugetlb: bool) -> Build:
    """Return what keeps so many vmemmap pages of each huge page and maps the others onto one.

    HVO's set-up frees what it does not keep under one flush for all, as kernels that batch do.
    Remapping took those 4 to 18 us a 2 MiB page (HVO batching cover letter v8), which costs with a
    smaller `unmap_per_4k` do not reach: its set-up time is a lower bound.
    """

    def build(scheme: Scheme, params: Params, seen: Followed) -> Holding:
        huge = _ceil_div(params.region_bytes, huge_bytes)
        n_bytes = min(huge * kept_pages * _PAGE, params.vmemmap_bytes)
        n_kept, freed = n_bytes // params.descriptor_bytes, params.vmemmap_bytes - n_bytes

        def setup(costs: Costs) -> float:
            if not of_hugetlb:  # duplicates are never made, let alone initialised
                return costs.init_per_descriptor * n_kept
            unmapped = costs.unmap_per_4k * freed / _PAGE
            unmapped += float(costs.pass_ns(params)) if freed else 0.0
            return costs.init_per_descriptor * params.n_pages + unmapped

        return Holding(
            scheme=scheme,
            dram_bytes=n_bytes,
            mean_dram_bytes=n_bytes,
            page_table_bytes=Geometry.of(params).n_windows * _PAGE if freed else 0,
            virtual_bytes=params.vmemmap_bytes,
            setup_ns=setup,
            event_ns=lambda costs: costs.dram_latency + (costs.dtlb_miss if freed else 0.0),
            note=(_HUGETLB if of_hugetlb else _DEVDAX) + (_SHARED if freed else _NOTHING_FREED),
        )

    return build


_HUGETLB = "hugetlb pages of RAM only, not ZONE_DEVICE"
_DEVDAX = "device-dax in huge pages only, not fsdax"
_SHARED = "; base pages of one share a descriptor"
_NOTHING_FREED = "; here the descriptors of one fill no more than is kept, so nothing is freed"


def two_level(scheme: Scheme, params: Params, seen: Followed) -> Holding:
    """Hold one descriptor for each 2 MiB, and one a page where some page was pinned.

    An area stays split. Where pages are 2 MiB or more, the first level is all there is. The
    region's last area has no more descriptors than pages.
    """
    area_pages = min(max(1, AREA_BYTES // params.page_bytes), params.n_pages)
    n_areas = _ceil_div(params.n_pages, area_pages)
    first = n_areas * params.descriptor_bytes
    an_area = area_pages * params.descriptor_bytes if params.page_bytes < AREA_BYTES else 0

    def event_ns(costs: Costs) -> float:
        if not an_area:
            return costs.dram_latency
        second = costs.dram_latency * seen.split_accesses
        made = costs.init_per_descriptor * area_pages * seen.split
        return costs.dram_latency + (second + made) / max(seen.accesses, 1)

    return Holding(
        scheme=scheme,
        dram_bytes=first + seen.split * an_area,
        mean_dram_bytes=first + seen.mean_split * an_area,
        virtual_bytes=first,
        atomic_faults=seen.atomic_splits if an_area else 0,
        setup_ns=lambda costs: costs.init_per_descriptor * first / params.descriptor_bytes,
        event_ns=event_ns,
        note=f"{seen.split:,} areas of 2 MiB split, {seen.split / n_areas:.2%} of all; at most "
        f"{seen.peak_live_areas:,} held a pin at once; {seen.atomic_splits:,} splits were atomic"
        if an_area
        else "pages of 2 MiB or more are never split",
    )


def memdesc(scheme: Scheme, params: Params, seen: Followed) -> Holding:
    """Hold 8 bytes a page; what they point to belongs to whoever uses the folio."""
    size = params.n_pages * _POINTER_BYTES
    scale = _POINTER_BYTES / params.descriptor_bytes
    return Holding(
        scheme=scheme,
        dram_bytes=size,
        mean_dram_bytes=size,
        virtual_bytes=size,
        setup_ns=lambda costs: costs.init_per_descriptor * scale * params.n_pages,
        event_ns=lambda costs: 2 * costs.dram_latency,
        note="descriptors of the folios in use come on top",
    )


def device_lazy(scheme: Scheme, params: Params, seen: Followed) -> Holding:
    """Put the array on the device; initialise an area's descriptors when it is first touched.

    That allocates nothing and so needs no sleep; one bit an area, in DRAM, tells it is done.
    """
    area_pages = max(1, AREA_BYTES // params.page_bytes)
    n_areas = _ceil_div(params.n_pages, area_pages)
    touched = min(seen.areas * area_pages, params.n_pages)
    large = min(seen.large_areas * (GIB // params.page_bytes), params.n_pages)

    def event_ns(costs: Costs) -> float:
        made = costs.init_per_descriptor * touched
        return costs.device_latency + made / max(seen.accesses, 1)

    return _on_device(
        scheme,
        seen,
        dram_bytes=_ceil_div(n_areas, 8),
        mean_dram_bytes=_ceil_div(n_areas, 8),
        device_bytes=params.vmemmap_bytes,
        virtual_bytes=params.vmemmap_bytes,
        setup_writes=touched,
        event_ns=event_ns,
        note=f"{touched:,} descriptors initialised in {seen.areas:,} areas of "
        f"{short_bytes(area_pages * params.page_bytes)}; "
        f"{large:,} if areas were 1 GiB",
    )


BUILDS: Mapping[str, Build] = {
    "static_dram": static_dram,
    "static_device": static_device,
    "interleaved": interleaved,
    "pfn_only": pfn_only,
    "temporary": temporary,
    "hvo_2m": _deduplicated(1, 2 * MIB, of_hugetlb=True),
    "hvo_1g": _deduplicated(1, GIB, of_hugetlb=True),
    "compound_devmap_2m": _deduplicated(2, 2 * MIB, of_hugetlb=False),
    "compound_devmap_1g": _deduplicated(2, GIB, of_hugetlb=False),
    "two_level": two_level,
    "memdesc": memdesc,
    "device_lazy": device_lazy,
}
