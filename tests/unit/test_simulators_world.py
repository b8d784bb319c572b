"""The simulated company: repeatable, plausible, and free of doubt where truth depends on it."""

import csv
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.roads import Frame, Hold, bend, distance_m, drive
from simulators.tours import HOME_BY_S, STOPS_APART_M, tours
from simulators.world import SITE_APART_M, World, check_digit, create_world
from simulators.world_files import write_tours, write_world

MONDAY = date(2026, 11, 23)


@pytest.fixture(scope="module")
def world() -> World:
    return create_world(7, vans=6, sites=700, items=200)


def written(folder: Path, seed: int) -> dict[str, bytes]:
    world = create_world(seed, vans=3, sites=300, items=50)
    write_world(world, folder, MONDAY)
    write_tours(world, folder, MONDAY)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_same_seed_writes_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    first = written(tmp_path / "a", 1)
    assert first == written(tmp_path / "b", 1)
    other = written(tmp_path / "c", 2)
    assert all(first[name] != other[name] for name in ("sites.csv", "stock.csv", "tours.csv"))


def test_the_files_hold_the_columns_that_the_import_reads(tmp_path: Path) -> None:
    headers = {name: text.split(b"\n")[0].decode() for name, text in written(tmp_path, 1).items()}
    assert headers == {
        "barcodes.csv": "code,item,pack_qty",
        "items.csv": "item,name,base_unit,tracked,critical",
        "sites.csv": "site,name,latitude_deg,longitude_deg,radius_m,time_zone,town",
        "stock.csv": "van,item,qty,counted_at",
        "technicians.csv": "technician,name,home_latitude_deg,home_longitude_deg",
        "templates.csv": "template,item,reorder_point,order_up_to,cap,pack_qty",
        "tours.csv": "tour,van,date,stop,site,window_start,window_end,planned_minutes,work_order,planned_arrival",
        "vans.csv": "van,name,technician,template,warehouse",
        "warehouses.csv": "warehouse,name,latitude_deg,longitude_deg,time_zone,cutoff_times",
    }


def test_the_files_refer_only_to_what_they_hold(tmp_path: Path) -> None:
    written(tmp_path, 1)

    def column(file: str, name: str) -> set[str]:
        with (tmp_path / file).open(encoding="utf-8", newline="") as rows:
            return {row[name] for row in csv.DictReader(rows)}

    assert column("vans.csv", "technician") <= column("technicians.csv", "technician")
    assert column("vans.csv", "template") <= column("templates.csv", "template")
    assert column("vans.csv", "warehouse") <= column("warehouses.csv", "warehouse")
    assert column("tours.csv", "site") <= column("sites.csv", "site")
    assert column("tours.csv", "van") == column("vans.csv", "van") == column("stock.csv", "van")
    for file in ("barcodes.csv", "templates.csv", "stock.csv"):
        assert column(file, "item") <= column("items.csv", "item")
    assert column("stock.csv", "counted_at") == {"2026-11-22T18:00:00+01:00"}


def test_full_size_is_what_the_company_has() -> None:
    world = create_world(1)
    assert (len(world.vans), len(world.sites), len(world.items)) == (200, 20_000, 4_000)
    assert world.opening_qty.shape == (200, 1_800)
    assert len(world.fast_movers) == 60
    assert world.site_radius_m.min() >= 50
    assert world.site_radius_m.max() <= 150


def test_few_sites_stand_nearer_than_they_should_and_those_fences_touch(world: World) -> None:
    near = 0
    for index, site in enumerate(world.sites):
        apart_m = distance_m(
            world.site_latitude_deg, world.site_longitude_deg, site.latitude_deg, site.longitude_deg
        )
        apart_m[index] = np.inf
        nearest = int(apart_m.argmin())
        if apart_m[nearest] < SITE_APART_M * 0.9:
            near += 1
            assert apart_m[nearest] <= 1.01 * (site.radius_m + world.site_radius_m[nearest])
    assert 0 < near < 0.05 * len(world.sites)


def test_templates_are_ordered_and_fast_movers_stand_one_above_their_reorder_point(
    world: World,
) -> None:
    for template in world.templates:
        assert (template.reorder_point >= 0).all()
        assert (template.reorder_point < template.order_up_to).all()
        assert (template.order_up_to <= template.cap).all()
        assert (template.pack_qty > 0).all()
    for van, qty in zip(world.vans, world.opening_qty, strict=True):
        template = world.templates[van.template]
        fast = world.fast_movers
        assert (qty[fast] == template.reorder_point[fast] + 1).all()
        assert (qty >= 0).all()
        assert (qty <= template.order_up_to).all()


def test_every_barcode_is_unique_and_every_gtin_has_its_check_digit(world: World) -> None:
    codes = [barcode.code for barcode in world.barcodes]
    assert len(set(codes)) == len(codes)
    gtins = [barcode for barcode in world.barcodes if barcode.code.isdigit()]
    assert gtins
    for barcode in gtins:
        assert len(barcode.code) == 14
        assert barcode.code[-1] == check_digit(barcode.code[:-1])
        assert barcode.code == barcode.scanned.zfill(14)
    assert {barcode.pack_qty for barcode in world.barcodes} == {1, 5, 10}


def test_the_check_digit_is_that_of_the_gs1_specification() -> None:
    assert check_digit("629104150021") == "3"


def test_every_tour_is_feasible(world: World) -> None:
    for days in range(14):
        for tour in tours(world, MONDAY + timedelta(days=days)):
            assert 5 <= len(tour.stops) <= 8
            assert tour.home_s <= HOME_BY_S
            now_s = tour.depart_s
            for position, stop in enumerate(tour.stops, start=1):
                assert stop.position == position
                assert now_s < stop.arrive_s
                assert stop.window_start_s < stop.arrive_s < stop.window_end_s
                now_s = stop.arrive_s + stop.planned_minutes * 60
            assert now_s < tour.home_s


def test_no_two_stops_of_a_tour_can_be_taken_for_each_other(world: World) -> None:
    for tour in tours(world, MONDAY):
        for stop in tour.stops:
            site = world.sites[stop.site]
            others = [other.site for other in tour.stops if other is not stop]
            apart_m = distance_m(
                world.site_latitude_deg[others],
                world.site_longitude_deg[others],
                site.latitude_deg,
                site.longitude_deg,
            )
            assert (apart_m >= STOPS_APART_M * 0.99).all()


def test_nobody_works_on_a_weekend(world: World) -> None:
    assert tours(world, date(2026, 11, 21)) == ()
    assert tours(world, date(2026, 11, 22)) == ()


@given(
    latitude_deg=st.floats(42, 51),
    longitude_deg=st.floats(-5, 8),
    north_deg=st.floats(-0.4, 0.4),
    east_deg=st.floats(-0.4, 0.4),
)
def test_a_local_plane_is_its_own_inverse_and_keeps_distances(
    latitude_deg: float, longitude_deg: float, north_deg: float, east_deg: float
) -> None:
    frame = Frame(latitude_deg, longitude_deg)
    there = np.array([latitude_deg + north_deg]), np.array([longitude_deg + east_deg])
    x_m, y_m = frame.plane(*there)
    back = frame.degrees(x_m, y_m)
    assert np.allclose(back[0], there[0])
    assert np.allclose(back[1], there[1])
    assert np.hypot(x_m, y_m) == pytest.approx(
        distance_m(*there, latitude_deg, longitude_deg), rel=0.01, abs=0.001
    )


@given(
    seed=st.integers(0, 1000),
    far_m=st.floats(700, 40_000),
    waits=st.lists(st.tuples(st.floats(0.1, 0.9), st.integers(10, 600)), max_size=5),
)
def test_a_drive_goes_from_start_to_end_stands_as_told_and_never_leaps(
    seed: int, far_m: float, waits: list[tuple[float, int]]
) -> None:
    road = bend((0.0, 0.0), (far_m, 0.0), np.random.default_rng(seed))
    holds = [Hold(share * road.length_m, wait_s) for share, wait_s in waits]
    there = drive(road, holds, 1.0)
    assert there.driven_m[0] == 0
    assert there.driven_m[-1] == pytest.approx(road.length_m)
    assert (there.x_m[-1], there.y_m[-1]) == pytest.approx((far_m, 0.0))
    moved_m = np.diff(there.driven_m)
    assert (moved_m >= 0).all()
    assert (moved_m <= 28).all()
    assert (moved_m < 0.01).sum() >= sum(hold.wait_s - 2 for hold in holds)
    assert there.ignition.all()
