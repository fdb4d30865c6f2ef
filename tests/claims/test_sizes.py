"""What larger granules trade (T9), on frames made by hand and on a thousand random pages."""

import pandas as pd
import pytest

import pfnlab
from pfnlab import claims
from pfnlab.claims import theory

SMALL, LARGE = 4096, 1 << 21


def frame_of(source: str, small_faults: int, large_faults: int) -> pd.DataFrame:
    about = {"source": source, "evidence": "proxy", "n_events": 1000, "costs": "hvo-8s"}
    rows = []
    for granule, faults in ((SMALL, small_faults), (LARGE, large_faults)):
        params = pfnlab.Params(granule_bytes=granule, chunk_bytes=LARGE)
        counted = {"faults": faults, "populated_bytes": faults * granule, "fault_ns": 2.0 * faults}
        rows.append({**about, **params.as_dict(), "footprint_bytes": 8 * granule, **counted})
    return pd.DataFrame(rows)


SEQUENTIAL, SPARSE = frame_of("sequential", 1000, 10), frame_of("uniform", 1000, 950)


def test_a_trade_that_is_as_claimed() -> None:
    verdict = claims.granules_trade(pd.concat([SEQUENTIAL, SPARSE]))
    assert verdict.holds is True
    assert "sequential (proxy): 4 KiB to 2 MiB: 100.0 times fewer faults" in verdict.evidence
    assert (
        "uniform (proxy): 4 KiB to 2 MiB: 1.1 times fewer faults, 486.4 times" in verdict.evidence
    )


@pytest.mark.parametrize(
    "frame",
    [
        pd.concat([frame_of("sequential", 1000, 501), SPARSE]),
        pd.concat([SEQUENTIAL, frame_of("uniform", 1000, 100)]),
        pd.concat([SEQUENTIAL, SPARSE, frame_of("mine", 1000, 1001)]),
    ],
    ids=["sequential access gains little", "sparse access wastes little", "more faults"],
)
def test_a_trade_that_is_not(frame: pd.DataFrame) -> None:
    assert claims.granules_trade(frame).holds is False


def test_a_frame_that_can_not_tell_leaves_it_open() -> None:
    alone = claims.granules_trade(SEQUENTIAL)
    assert alone.holds is None
    assert "needs a source that is sparse: uniform" in alone.evidence
    one_size = claims.granules_trade(pd.concat([SEQUENTIAL, SPARSE]).head(3))
    assert one_size.holds is None
    assert "needs two granule sizes" in one_size.evidence


@pytest.mark.parametrize(("granule", "touched"), [("4KiB", 3.9 / 1024), ("2MiB", 1.84)])
def test_a_thousand_random_pages_of_one_tib(granule: str, touched: float) -> None:
    params = pfnlab.Params(granule_bytes=granule, threshold_bytes="16GiB")
    trace = pfnlab.workload("uniform", n_events=1000).trace(params)
    result = pfnlab.replay(trace, params)
    assert result.populated_bytes / 2**30 == pytest.approx(touched, rel=0.02)
    n_granules = params.vmemmap_bytes // params.granule_bytes
    expected = theory.expected_granules(n_granules, 1000)
    assert result.cold_faults == pytest.approx(expected, rel=0.02)
