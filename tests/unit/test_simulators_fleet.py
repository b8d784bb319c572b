"""A day cut short: nothing after the cut, and what is left still adds up."""

from datetime import date

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.messages import Status
from simulators.faults import NONE
from simulators.fleet import FleetDay, first_hours, fleet_days, outgoing_of_day
from simulators.world import World, create_world

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def world() -> World:
    return create_world(12, vans=24, sites=700, items=60)


@pytest.fixture(scope="module")
def monday(world: World) -> FleetDay:
    return next(fleet_days(world, date(2026, 11, 23)))


@settings(max_examples=40)
@given(hours=st.floats(0.1, 14))
def test_a_cut_day_holds_what_came_before_the_cut_and_nothing_else(
    monday: FleetDay, hours: float
) -> None:
    cut = first_hours(monday, hours)
    for whole, van_day in zip(monday.van_days, cut.van_days, strict=True):
        ends_ms = min(whole.off_duty_ms, whole.departs_ms + round(hours * HOUR_MS))
        assert van_day.off_duty_ms == ends_ms
        assert van_day.fixes.t_ms.tolist() == [t for t in whole.fixes.t_ms.tolist() if t < ends_ms]
        assert len(van_day.fixes.latitude_deg) == len(van_day.fixes.t_ms)
        assert van_day.visits == tuple(v for v in whole.visits if v.arrived_ms < ends_ms)
        assert cut.stock.scans[van_day.van] == tuple(
            scan for scan in monday.stock.scans[van_day.van] if scan.t < ends_ms
        )
        assert van_day.tour is whole.tour


@settings(max_examples=40)
@given(hours=st.floats(0.1, 14))
def test_the_shelf_of_a_cut_day_is_what_its_handlings_leave(
    world: World, monday: FleetDay, hours: float
) -> None:
    cut = first_hours(monday, hours)
    ends_ms = {van_day.tour.van: van_day.off_duty_ms for van_day in cut.van_days}
    shelf = world.opening_qty.copy()
    for handling in cut.stock.handlings:
        assert handling.t_ms < ends_ms[handling.by]
        shelf[handling.van, handling.item] += handling.delta
    assert (shelf == cut.stock.shelf).all()
    whole = sum(row.t_ms < ends_ms[row.by] for row in monday.stock.handlings)
    assert len(cut.stock.handlings) == whole


def test_a_part_is_given_as_long_as_the_givers_day_lasts_whatever_the_receivers(
    monday: FleetDay,
) -> None:
    departs_ms = {van_day.tour.van: van_day.departs_ms for van_day in monday.van_days}
    kept_ones = 0
    received = [row for row in monday.stock.handlings if row.by != row.van]
    assert len(received) > 1
    for row in received:
        # A cut that parts them: one of the two had ended his day when the part was given.
        middle_ms = (departs_ms[row.van] + departs_ms[row.by]) / 2
        kept = first_hours(monday, (row.t_ms - middle_ms) / HOUR_MS).stock.handlings
        both = [other for other in kept if (other.t_ms, other.by) == (row.t_ms, row.by)]
        assert len(both) in {0, 2}
        assert bool(both) == (departs_ms[row.by] > departs_ms[row.van])
        kept_ones += bool(both)
    assert 0 < kept_ones < len(received)


def test_a_day_that_is_over_earlier_stays_as_it_is(world: World, monday: FleetDay) -> None:
    assert list(outgoing_of_day(world, first_hours(monday, 20), NONE)) == list(
        outgoing_of_day(world, monday, NONE)
    )


def test_a_van_whose_day_is_cut_says_that_it_is_off_duty(world: World, monday: FleetDay) -> None:
    cut = first_hours(monday, 3)
    last = {m.topic: m for m in outgoing_of_day(world, cut, NONE) if m.topic.endswith("/status")}
    assert len(last) == 24
    for van_day in cut.van_days:
        status = msgspec.json.decode(last[f"fleet/v1/{van_day.van}/status"].payload, type=Status)
        assert (status.duty, status.t) == ("off", van_day.departs_ms + 3 * HOUR_MS)


def test_a_visit_under_way_at_the_cut_keeps_its_true_end(monday: FleetDay) -> None:
    visit = monday.van_days[0].visits[1]
    hours = (visit.arrived_ms + 60_000 - monday.van_days[0].departs_ms) / HOUR_MS
    assert first_hours(monday, hours).van_days[0].visits[-1] == visit
