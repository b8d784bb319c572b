"""The fences against geodesics on the ellipsoid, all over Europe, most of all at their edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.fences import Site
from tests.oracle_fences import WGS84, Agreement, compare, truth_of


def assert_agrees(found: Agreement) -> None:
    assert found.differing == []
    assert found.stray == 0
    assert found.inside > 0
    assert found.bound > found.inside
    # The fixes put at edges are off by 0.6 % or more, so most close ones can be compared.
    assert found.near_edge > 0.2 * found.fixes
    assert sum(found.band.values()) < 0.1 * found.near_edge


def test_every_fence_agrees_with_the_geodesic_on_every_fix() -> None:
    found = compare(500, 2_000, seed=1, every_pair=True)
    assert found.pairs == 500 * 2_000
    assert_agrees(found)


def test_the_windows_of_the_oracle_leave_out_nothing_that_matters() -> None:
    every, windowed = (compare(500, 2_000, seed=1, every_pair=every) for every in (True, False))
    assert windowed.pairs < every.pairs / 10
    assert (windowed.inside, windowed.bound, windowed.near_edge) == (
        every.inside,
        every.bound,
        every.near_edge,
    )
    assert windowed.band == every.band


@pytest.mark.parametrize("seed", range(2, 5))
def test_many_fences_agree_with_the_geodesic_on_many_fixes(seed: int) -> None:
    assert_agrees(compare(1_000, 20_000, seed=seed, at_once=5_000))


@given(st.floats(36, 70), st.floats(-10, 32), st.floats(0, 360), st.floats(0, 3_000))
def test_the_oracle_measures_a_shape_as_it_measures_a_point(
    lat: float, lon: float, azimuth_deg: float, way_m: float
) -> None:
    """A line as short as 1 mm is a point: its projection must agree with the geodesic."""
    line = f'{{"type":"LineString","coordinates":[[{lon},{lat}],[{lon},{lat + 1e-8}]]}}'
    there = WGS84.fwd(lon, lat, azimuth_deg, way_m)
    place = np.array([there[1]]), np.array([there[0]])
    point = truth_of(Site(1, 1, lat, lon, 10.0)).apart_m(*place)
    as_line = truth_of(Site(1, 1, lat, lon, 10.0, area=line)).apart_m(*place)
    assert as_line == pytest.approx(point, abs=0.002)
