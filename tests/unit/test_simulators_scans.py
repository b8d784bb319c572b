"""Parts and scans of the fleet: physics is never broken, tablets number without gaps."""

from datetime import date
from itertools import islice, pairwise

import pytest

from simulators.fleet import FleetDay, fleet_days
from simulators.world import World, create_world

MONDAY = date(2026, 11, 23)


@pytest.fixture(scope="module")
def world() -> World:
    # Few items in many hands: shelves run empty.
    return create_world(5, vans=12, sites=600, items=40)


@pytest.fixture(scope="module")
def days(world: World) -> list[FleetDay]:
    return list(islice(fleet_days(world, MONDAY), 4))


def test_the_shelf_is_never_negative_and_ends_as_the_handlings_say(
    world: World, days: list[FleetDay]
) -> None:
    shelf = world.opening_qty.copy()
    for day in days:
        for handling in day.stock.handlings:
            shelf[handling.van, handling.item] += handling.delta
            # A transfer's other half comes right after; taking is what can go wrong.
            assert shelf[handling.van, handling.item] >= 0
        assert (shelf == day.stock.shelf).all()
    assert (shelf == 0).any()


def test_every_tablet_counts_from_one_and_its_time_only_rises(days: list[FleetDay]) -> None:
    epochs = set()
    for day in days:
        for van, scans in day.stock.scans.items():
            assert [scan.seq for scan in scans] == list(range(1, len(scans) + 1))
            assert all(a.t < b.t for a, b in pairwise(scans))
            found = {(van, scan.epoch) for scan in scans}
            assert len(found) <= 1
            assert not found & epochs
            epochs |= found


def test_scans_are_made_on_duty(days: list[FleetDay]) -> None:
    for day in days:
        for van_day in day.van_days:
            for scan in day.stock.scans[van_day.van]:
                assert van_day.on_duty_ms < scan.t < van_day.off_duty_ms


def test_a_count_says_what_lies_on_the_shelf(world: World, days: list[FleetDay]) -> None:
    item_of = {barcode.scanned: barcode for barcode in world.barcodes}
    van_of = {van.code: index for index, van in enumerate(world.vans)}
    shelf, counts = world.opening_qty.copy(), 0
    for day in days:
        events = [(handling.t_ms, handling) for handling in day.stock.handlings]
        counted = sorted(
            (
                (scan.t, van_of[van], scan)
                for van, scans in day.stock.scans.items()
                for scan in scans
                if scan.intent == "count"
            ),
            key=lambda row: row[:2],
        )
        for t_ms, van, scan in counted:
            while events and events[0][0] <= t_ms:
                _, handling = events.pop(0)
                shelf[handling.van, handling.item] += handling.delta
            barcode = item_of[scan.code or ""]
            assert barcode.pack_qty == 1
            assert scan.qty == shelf[van, barcode.item]
            counts += 1
        for _, handling in events:
            shelf[handling.van, handling.item] += handling.delta
    assert counts > 20


def test_people_forget_and_repeat_and_do_all_kinds_of_things(days: list[FleetDay]) -> None:
    scans = [scan for day in days for scans in day.stock.scans.values() for scan in scans]
    assert {scan.intent for scan in scans} == {
        "issue", "load", "return", "transfer", "count", "scrap",
    }  # fmt: skip
    assert any((scan.code or "").startswith("ZZ-") for scan in scans)
    handled = sum(handling.delta < 0 for day in days for handling in day.stock.handlings)
    takes = sum(scan.intent in {"issue", "return", "scrap", "transfer"} for scan in scans)
    assert takes != handled


def test_most_issues_are_of_fast_movers() -> None:
    world = create_world(5, vans=12, sites=600, items=400)
    day = next(fleet_days(world, MONDAY))
    fast = set(world.fast_movers.tolist())
    issued = [handling.item in fast for handling in day.stock.handlings]
    assert sum(issued) > 0.6 * len(issued)
