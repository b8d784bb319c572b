"""The benchmarks run, on a small scale; what they measure decides nothing here."""

from benchmarks import engine as bench


def test_the_engine_is_measured_by_number_of_fences() -> None:
    figures = bench.geofence(runs=1, vans=3, sites=1_200, numbers=(1_000, 2_000))
    assert figures["fixes"] > 3_000
    for number in (1_000, 2_000):
        assert all(figures[f"fences_{number}"].values())


def test_a_late_fix_is_measured_beside_one_in_time() -> None:
    figures = bench.late(samples=2, vans=2, sites=1_200)
    assert all(figures[f"late_{hours:g}_h"]["late_ms"] for hours in bench.HOURS_LATE)
