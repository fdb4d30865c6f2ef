"""What a host pays: kernels old and new as trees of files, and the one that runs."""

import json
from pathlib import Path

import pytest

from pfnlab.alternatives.real_kernel import host_schemes
from pfnlab.cli import main
from pfnlab.host.struct_page import Host, this_host

GIB, MIB = 1 << 30, 1 << 20
ZONES = "Node 0, zone DMA\n  present  4096\n  managed  1\nNode 0, zone Normal\n  present  6287360\n"
IOMEM = """00001000-0009ffff : System RAM
00100000-bfffffff : System RAM
  01000000-01ffffff : Kernel code
100000000-2ffffffff : Persistent Memory
  100000000-2ffffffff : System RAM (kmem)
"""


def tree(root: Path, **files: str) -> Path:
    """Write files by their paths, '/' written as '__'."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_new_kernel_tells_what_it_pays(tmp_path: Path) -> None:
    host = this_host(
        tree(
            tmp_path,
            proc__vmstat="nr_free_pages 7\nnr_memmap_pages 512\nnr_memmap_boot_pages 98304\n",
            proc__zoneinfo=ZONES,
            proc__iomem=IOMEM,
            proc__sys__kernel__osrelease="6.12.1\n",
            proc__sys__vm__hugetlb_optimize_vmemmap="1\n",
            sys__devices__system__cpu__online="0-63,128\n",
            proc__self__smaps="KernelPageSize:        4 kB\n",
        )
    )
    assert (host.kernel, host.n_cpus, host.page_bytes) == ("6.12.1", 65, 4096)
    assert host.memory_bytes == 24 * GIB == (4096 + 6287360) * 4096
    assert (host.memmap_boot_bytes, host.memmap_bytes) == (384 * MIB, 2 * MIB)
    assert host.descriptors_bytes == 386 * MIB
    assert host.bytes_a_page == 64
    assert host.ranges == {"System RAM": 0x9F000 + 0xBFF00000, "Persistent Memory": 8 * GIB}
    assert host.settings == {"hugetlb_optimize_vmemmap": "1", "memmap_on_memory": "unknown"}
    assert host.unknown == ()


def test_devices_are_listed(tmp_path: Path) -> None:
    host = this_host(
        tree(
            tmp_path,
            sys__bus__dax__devices__dax0_0__size=f"{16 * GIB}\n",
            sys__bus__dax__devices__dax0_0__align=f"{2 * MIB}\n",
            sys__bus__nd__devices__namespace0_0__size=f"{32 * GIB}\n",
            sys__bus__nd__devices__namespace0_0__mode="fsdax\n",
            sys__bus__nd__devices__namespace1_0__size="0\n",
            sys__bus__cxl__devices__region0__size="0x4000000000\n",
            sys__bus__cxl__devices__mem0__size="5\n",
        )
    )
    assert [(d.name, d.kind, d.size_bytes, d.note) for d in host.devices] == [
        ("dax0_0", "dax", 16 * GIB, str(2 * MIB)),
        ("namespace0_0", "nvdimm", 32 * GIB, "fsdax"),
        ("region0", "cxl", 256 * GIB, ""),
    ]


def test_an_old_kernel_leaves_it_unknown_and_says_so(tmp_path: Path) -> None:
    hidden = "00000000-00000000 : System RAM\n"
    host = this_host(tree(tmp_path, proc__vmstat="nr_free_pages 7\n", proc__iomem=hidden))
    assert host.descriptors_bytes is None
    assert host.bytes_a_page is None
    assert host.ranges == {}
    assert any("nr_memmap_boot_pages" in sentence for sentence in host.unknown)
    assert any("all but root" in sentence for sentence in host.unknown)
    assert any("zoneinfo" in sentence for sentence in host.unknown)


def test_pages_of_64_kib(tmp_path: Path) -> None:
    host = this_host(
        tree(
            tmp_path,
            proc__vmstat="nr_memmap_boot_pages 64\n",
            proc__zoneinfo="  present  65536\n",
            proc__self__smaps="KernelPageSize:       64 kB\n",
        )
    )
    assert (host.page_bytes, host.memory_bytes) == (65536, 4 * GIB)
    assert host.bytes_a_page == 64
    table = host_schemes(host).set_index("scheme")
    assert table.loc["static_dram", "dram_bytes"] == 4 * MIB == host.memmap_boot_bytes


def test_a_pool_is_named_by_its_size(tmp_path: Path) -> None:
    pools = tmp_path / "sys/kernel/mm/hugepages/hugepages-2048kB"
    pools.mkdir(parents=True)
    (pools / "nr_hugepages").write_text("12\n")
    assert this_host(tmp_path).huge_pages == {2 * MIB: 12}


def test_nothing_at_all_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["host", "--root", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "descriptors  unknown" in said
    assert "/proc/iomem can't be read" in said
    assert said.count("not known") == 3


def test_absurd_sizes_are_no_failure(tmp_path: Path) -> None:
    tree(
        tmp_path,
        sys__bus__cxl__devices__region0__size="0xffffffffffffffff\n",
        sys__devices__system__cpu__online="0-99999\n",
        proc__self__smaps="KernelPageSize: 0 kB\n",
        proc__vmstat="nr_memmap_boot_pages 1\n",
    )
    assert main(["host", "--root", str(tmp_path)]) == 0


def test_garbage_is_no_failure(tmp_path: Path) -> None:
    noise = bytes(range(256)).decode("latin-1")
    files = ("proc__vmstat", "proc__zoneinfo", "proc__iomem", "sys__devices__system__cpu__online",
             "sys__bus__dax__devices__dax0__size", "proc__self__smaps")  # fmt: skip
    host = this_host(tree(tmp_path, **dict.fromkeys(files, noise)))
    assert host.devices == ()


def test_json_has_it_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["host", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {"kernel", "descriptors_bytes", "schemes", "unknown"} <= set(said)


def test_this_kernel_pays_64_bytes_a_page() -> None:
    host = this_host()
    if host.memmap_boot_bytes is None or host.page_bytes != 4096:
        pytest.skip("this kernel does not tell, or has other pages")
    assert host.bytes_a_page == pytest.approx(64, rel=0.05)
    assert isinstance(host, Host)
    assert main(["host"]) == 0
