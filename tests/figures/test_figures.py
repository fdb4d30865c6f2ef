"""Every public figure at the notebooks' defaults, and with frames that are unlike them."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

import pfnlab
from pfnlab import figures, notebooks
from pfnlab.alternatives.advice import advise
from pfnlab.claims.measures import against_theory
from pfnlab.engine.trace_summary import portrait
from pfnlab.figures import drawing, palette
from pfnlab.notebooks import gallery
from pfnlab.notebooks.chapters import CHAPTERS
from tests import drawn

Frames = dict[str, pd.DataFrame]
#: The figures that draw the frame of a notebook, and that notebook: a row in chapters adds one.
OF_FRAMES: dict[str, tuple[Callable[[pd.DataFrame], Figure], str]] = {
    **{chapter.figure.__name__: (chapter.figure, chapter.notebook) for chapter in CHAPTERS},
    "any_sweep": (figures.any_sweep, "04_eviction_threshold"),
    "lazy_purge": (figures.lazy_purge, "05_shootdowns"),
}
#: Stills of a film, and the film: drawings without axes or claim, tested by
#: `tests.figures.test_scenes`.
DRAWINGS = {"Film", "scene"}
MAX_PNG_BYTES = 150_000


def trace() -> pfnlab.Trace:
    return pfnlab.workload("zipf", n_events=20_000).trace(pfnlab.Params(region_bytes="64GiB"))


def explored() -> Figure:
    sizes: dict[str, Any] = {
        "region_bytes": "64GiB",
        "chunk_bytes": "64KiB",
        "threshold_bytes": "2MiB",
    }
    params = pfnlab.Params(n_cpus=2, **sizes)  # with more, the other parts of the time are slivers
    seen = pfnlab.explore(trace(), params)
    beside = pfnlab.explore(trace(), params.replace(policy="lru", threshold_bytes="4MiB"))
    return figures.exploration(seen, beside=beside)


def advice() -> Any:
    grid: dict[str, Any] = {
        "granule_bytes": ("4KiB", "64KiB", "2MiB"), "chunk_bytes": ("64KiB", "2MiB"),
        "threshold_of_footprint": (0.1, 0.5, 1.0), "policy": ("lra", "lru"),
    }  # fmt: skip
    params = pfnlab.Params(region_bytes="64GiB")
    return advise(trace(), params, dram_budget="1MiB", grid=grid)


def theory() -> pd.DataFrame:
    parts = [
        against_theory.victim_orders(n_items=50, capacities=(5, 20), n_events=2000),
        against_theory.batches(n_items=50, capacity=10, batch_chunks=(1, 5), n_events=2000),
        against_theory.sparse_touches(n_references=(10, 100)),
    ]
    return pd.concat(parts, ignore_index=True)


#: The others, on what they draw.
OF_OWN: dict[str, Callable[[], Figure]] = {
    "beside_theory": lambda: figures.beside_theory(theory()),
    "exploration": explored,
    "heat_map": lambda: figures.heat_map(portrait(trace())),
    "pareto_front": lambda: figures.pareto_front(advice()),
}
DRAWN = (*OF_FRAMES, *OF_OWN)


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


def shown(image: Image.Image, colours: set[str]) -> bool:
    """Whether the picture has, but for rounding, every colour that was drawn."""
    seen = np.unique(np.asarray(image).reshape(-1, 3), axis=0).astype(int)
    drawn = [np.array([round(255 * part) for part in to_rgb(colour)]) for colour in colours]
    return all(np.abs(seen - colour).max(axis=1).min() <= 8 for colour in drawn)


# --- As the notebooks draw them ---------------------------------------------------------------


def leave_out_small_thresholds(name: str, frames: Frames) -> None:
    if name == "region_size" and frames["02_region_size"]["threshold_bytes"].max() < 1 << 20:
        pytest.skip("the colour of so small a threshold lies near that of the axes")


def test_every_public_figure_is_checked() -> None:
    assert {*DRAWN} | DRAWINGS | {"pdf", "png", "svg"} == {*figures.__all__}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_fit_for_a_paper(name: str, frames: Frames) -> None:
    leave_out_small_thresholds(name, frames)
    draw, notebook = OF_FRAMES.get(name, (None, ""))
    picture = draw(frames[notebook]) if draw else OF_OWN[name]()
    assert drawn.flaws(picture) == []
    svg, pdf, png = figures.svg(picture), figures.pdf(picture), figures.png(picture)
    assert svg.startswith(b"<?xml")
    assert b"<dc:date>" not in svg
    assert pdf.startswith(b"%PDF")
    assert b"CreationDate" not in pdf
    image = opened(png)
    assert image.getpixel((0, 0)) == (255, 255, 255)
    assert abs(image.width - picture.get_figwidth() * 80) < 1
    assert shown(image, drawn.colours(picture))
    assert len(png) <= MAX_PNG_BYTES


@pytest.mark.parametrize("save", [figures.svg, figures.pdf, figures.png])
def test_a_figure_has_the_same_bytes_whenever_it_is_saved(save: Callable[[Figure], bytes]) -> None:
    picture, again = fine(), fine()
    assert save(picture) == save(picture) == save(again)


def test_a_sweep_of_any_two_parameters_is_drawn_without_flaws() -> None:
    axes: dict[str, Any] = {
        "policy": ["lra", "lru", "clock", "sieve"], "chunk_bytes": ["4KiB", "64KiB", "2MiB"],
        "n_cpus": [1, 8, 64, 512, 4096], "threshold_of_footprint": [0.1, 0.5],
    }  # fmt: skip
    for x, other in (("policy", "chunk_bytes"), ("chunk_bytes", "policy"), ("n_cpus", "policy"),
                     ("threshold_of_footprint", "n_cpus")):  # fmt: skip
        chosen = {name: axes[name] for name in (x, other)}
        params = pfnlab.Params(region_bytes="64GiB", threshold_bytes="2MiB")
        frame = pfnlab.sweep(trace(), params, costs="hvo-8s", **chosen)
        for y in ("miss_ratio", "event_ns", "peak_resident_bytes", "shootdowns"):
            assert drawn.flaws(figures.any_sweep(frame, y)) == []


def test_the_sweep_of_all_sizes_is_drawn_without_flaws(frames: Frames) -> None:
    assert drawn.flaws(figures.any_sweep(frames["03_chunk_size"])) == []


# --- Frames unlike those of the notebooks -----------------------------------------------------

LONG = "data/somewhere/deep/down/a-trace-with-a-very-long-name-that-nobody-can-remember-"


def long_names(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(source=LONG + frame["source"].astype(str) + r" $\frac$")


def one_source(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.groupby("source", sort=False).get_group(frame["source"].iloc[0])


def many_sources(frame: pd.DataFrame) -> pd.DataFrame:
    first = one_source(frame)
    return pd.concat([frame, *(first.assign(source=f"again {i}") for i in range(4))])


def one_row(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.head(1)


def two_rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[[0, -1]]


def unknown_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Every third number is missing that may be."""
    gaps = frame.reset_index(drop=True).copy()
    for name in gaps:
        nullable = pd.api.types.is_extension_array_dtype(gaps[name].dtype)
        if pd.api.types.is_numeric_dtype(gaps[name]) and (nullable or gaps[name].dtype.kind == "f"):
            gaps.loc[np.arange(len(gaps)) % 3 == 1, name] = pd.NA if nullable else np.nan
    return gaps


@pytest.mark.parametrize(
    "change", [long_names, one_source, many_sources, one_row, two_rows, unknown_numbers]
)
@pytest.mark.parametrize("name", [name for name in OF_FRAMES if name != "mechanism"])
def test_other_frames_are_drawn_without_flaws(
    name: str, change: Callable[[pd.DataFrame], pd.DataFrame], frames: Frames
) -> None:
    leave_out_small_thresholds(name, frames)
    draw, notebook = OF_FRAMES[name]
    assert drawn.flaws(draw(change(frames[notebook]))) == []


def test_pictures_of_others_bear_long_names() -> None:
    name = LONG + "zipf"
    events = trace()
    renamed = pfnlab.Trace(events.pfns, page_bytes=events.page_bytes, name=name)
    assert drawn.flaws(figures.heat_map(portrait(renamed))) == []
    assert drawn.flaws(figures.pareto_front(advice().grid.assign(source=name))) == []


def test_the_mechanism_is_drawn_whole_under_any_name(frames: Frames) -> None:
    """Its rows are steps, of which none may be missing."""
    for change in (long_names, one_source, many_sources, one_row, unknown_numbers):
        assert drawn.flaws(figures.mechanism(change(frames["00_model"]))) == []


def test_measurements_as_recorded_are_drawn_without_flaws() -> None:
    names = ("agreement", "predicted_times", "shared_faults", "tlb_ipis")
    frame = pd.concat([notebooks.measured(name) for name in names], ignore_index=True)
    assert drawn.legend_flaws(figures.reality(frame)) is not None


@pytest.mark.slow
def test_the_gallery_is_what_the_run_writes(results: Path, root: Path, tmp_path: Path) -> None:
    gallery.leave_frames(results)
    page = gallery.write(results, tmp_path)
    assert page.read_text() == (root / "docs/gallery.md").read_text()
    names = {path.name for path in (tmp_path / "gallery").iterdir()}
    assert names == {f"{name}.png" for name in (*DRAWN, "scene")}
    assert names == {path.name for path in (root / "docs/gallery").iterdir()}
    for name in names:
        kept = (root / "docs/gallery" / name).read_bytes()
        assert opened((tmp_path / "gallery" / name).read_bytes()).size == opened(kept).size
        assert len(kept) <= MAX_PNG_BYTES


@pytest.mark.slow
def test_the_calls_of_the_gallery_run(results: Path) -> None:
    imports = {"pd": pd, "pfnlab": pfnlab, "figures": figures, "notebooks": notebooks}
    for entry in gallery.entries():
        if entry.name in ("mechanism", "reality", "region_size"):
            call = entry.call.replace("results/", f"{results}/")
            namespace: dict[str, Any] = dict(imports)
            exec(call, namespace)  # noqa: S102 - what the page tells a user to type
            assert namespace["picture"].get_suptitle()


# --- Labels -----------------------------------------------------------------------------------


def test_labels_give_way_and_no_more_than_they_must() -> None:
    assert drawing.apart([50, 20, 21], 10, 0, 100) == [50, 15.5, 25.5]
    assert drawing.apart([5, 5, 5], 10, 0, 100) == [0, 10, 20]
    assert drawing.apart([99, 98], 10, 0, 100) == [100, 90]
    assert drawing.apart([1, 2, 3], 10, 0, 15) == [0, 10, 20]  # more than there is room for
    assert drawing.apart([], 10, 0, 100) == []


def test_a_long_name_keeps_both_ends() -> None:
    assert drawing.short("pgbench") == "pgbench"
    assert drawing.short("data/traces/something-long.parquet", 15) == "data/tr…parquet"
    assert len(drawing.short(LONG, 24)) == 24
    assert drawing.short(r"$x$ \$y") == r"\$x\$ \$y"


# --- Each check can fail ----------------------------------------------------------------------


def fine() -> Figure:
    """A picture without flaws, to be broken."""
    figure, ((axes,),) = drawing.new_figure("A larger chunk makes shootdowns rare", 1, 1, 6, 4)
    axes.plot([4096, 65536], [1, 2], **palette.place(0).lines())
    drawing.end_label(axes, 65536, 2, "pgbench", palette.COLOURS[0])
    drawing.bytes_axis(axes, "x", "chunk")
    axes.set_ylabel("shootdowns")
    return figure


def test_what_is_fine_has_no_flaws() -> None:
    assert drawn.flaws(fine()) == []


def retitled(picture: Figure) -> None:
    picture.suptitle("miss_ratio against chunk_bytes of pgbench")


def said_little(picture: Figure) -> None:
    picture.suptitle("Shootdowns")


def unlabelled(picture: Figure) -> None:
    picture.axes[0].set_ylabel("")


def unitless(picture: Figure) -> None:
    picture.axes[0].set_ylabel("how often")


def odd_bytes(picture: Figure) -> None:
    picture.axes[0].set_xticks([5000, 50000])


def crowded(picture: Figure) -> None:
    picture.axes[0].set_yticks(np.linspace(1, 2, 60).tolist())


def overwritten(picture: Figure) -> None:
    for at in (1.5, 1.51):
        picture.axes[0].text(8192, at, "some text")


def cut(picture: Figure) -> None:
    picture.text(0.98, 0.5, "beyond the edge")


def astray(picture: Figure) -> None:
    picture.text(0.5, 0.5, "lies in the panel")


def faint(picture: Figure) -> None:
    picture.axes[0].text(8192, 1.5, "faint", color="#bbbbbb")


def explained(picture: Figure) -> None:
    for i in range(9):
        picture.axes[0].plot([], [], color=palette.COLOURS[0], label=f"line {i}")
    picture.legend(loc="outside right center")


def alike(picture: Figure) -> None:
    # Matplotlib's own green and red: the classical pair.
    picture.axes[0].plot([4096, 65536], [1.2, 1.4], color="#2ca02c")
    picture.axes[0].plot([4096, 65536], [1.4, 1.6], color="#d62728")


def sizes_alike(picture: Figure) -> None:
    for size in (4096, 8192):
        picture.axes[0].plot([4096, 65536], [1, 1.5], color=palette.size(size).colour)


def bars_alike(picture: Figure) -> None:
    picture.axes[0].bar([8192], [1.5], color="#0070b5", width=100)


@pytest.mark.parametrize(
    ("breaks", "flaw"),
    [
        (retitled, "no claim"),
        (said_little, "no claim"),
        (unlabelled, "no label on y"),
        (unitless, "no unit on y"),
        (odd_bytes, "no power of two"),
        (crowded, "lies over"),
        (overwritten, "'some text' lies over 'some text'"),
        (cut, "is cut off"),
        (astray, "lies in"),
        (faint, "too faint"),
        (explained, "9 entries of legends"),
        (alike, "#2ca02c and #d62728 are"),
        (sizes_alike, "1.0 at least"),
        (bars_alike, "#0070b5 and #0072b2 are"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_figure_is_found_out(breaks: Callable[[Figure], None], flaw: str) -> None:
    picture = fine()
    breaks(picture)
    assert any(flaw in each for each in drawn.flaws(picture))
