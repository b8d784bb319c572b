"""The judge of visits and announcements must be just: each figure is wrong for its own reason."""

from dataclasses import replace
from datetime import date
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.fleet import FleetDay, first_hours, fleet_days
from simulators.geofence_truth import (
    Announced,
    DayTruth,
    DriveBy,
    FoundVisit,
    GeofenceReport,
    TrueStop,
    _crossings,
    _of_a_visit,
    drive_bys,
    judge,
    truth_of_day,
)
from simulators.roads import distance_m
from simulators.vans import Track, Visit, travel
from simulators.world import World, create_world, local_ms

MONDAY = date(2026, 11, 23)
MINUTE_MS = 60_000
UNTIL_MS = 1_000 * MINUTE_MS

VISIT = Visit("van-001", "S-1", 100 * MINUTE_MS, 130 * MINUTE_MS)
#: Due at minute 90, reached at minute 100.
LATE_STOP = TrueStop("van-001", "T-1", 1, "S-1", 90 * MINUTE_MS, VISIT.arrived_ms, UNTIL_MS)
PUNCTUAL_STOP = replace(LATE_STOP, window_end_ms=VISIT.arrived_ms)


def truth(
    *,
    visits: tuple[Visit, ...] = (),
    stops: tuple[TrueStop, ...] = (),
    passes: tuple[DriveBy, ...] = (),
) -> DayTruth:
    return DayTruth({"van-001": UNTIL_MS, "van-002": UNTIL_MS}, visits, stops, passes)


def found(
    from_min: float,
    to_min: float,
    *,
    site: str = "S-1",
    van: str = "van-001",
    verdict: Literal["visit", "pass", "undecided"] = "visit",
    shadowed: bool = False,
) -> FoundVisit:
    times = round(from_min * MINUTE_MS), round(to_min * MINUTE_MS)
    return FoundVisit(van, site, *times, verdict, shadowed)


def announced(at_min: float, withdrawn_min: float | None = None) -> Announced:
    withdrawn_ms = None if withdrawn_min is None else round(withdrawn_min * MINUTE_MS)
    return Announced("van-001", "T-1", 1, round(at_min * MINUTE_MS), withdrawn_ms)


def of_visits(*rows: FoundVisit, visits: tuple[Visit, ...] = (VISIT,)) -> GeofenceReport:
    return judge(truth(visits=visits), rows, ())


def of_stop(stop: TrueStop, *rows: Announced) -> GeofenceReport:
    return judge(truth(stops=(stop,)), (), rows)


# Visits


def test_one_good_row_for_one_visit_is_perfect() -> None:
    report = of_visits(found(100.1, 129.5))
    assert (report.visits_true, report.visits_matched) == (1, 1)
    assert (report.visit_precision, report.visit_recall) == (1, 1)
    assert (report.flaps, report.driveby_as_visit, report.visits_mistimed) == (0, 0, 0)
    assert report.arrival_error_s_p50 == report.arrival_error_s_p99 == pytest.approx(6)


@pytest.mark.parametrize(
    "row",
    [
        found(100, 129, verdict="pass"),
        found(100, 129, verdict="undecided"),
        found(100, 129, shadowed=True),
    ],
)
def test_what_is_not_said_to_be_a_visit_finds_none_and_costs_no_precision(row: FoundVisit) -> None:
    report = of_visits(row)
    assert (report.visit_precision, report.visit_recall) == (None, 0)
    assert (report.flaps, report.driveby_as_visit, report.visits_mistimed) == (0, 0, 0)


def test_a_visit_in_two_pieces_flaps_once_and_costs_precision() -> None:
    report = of_visits(found(100, 110), found(112, 129))
    assert (report.visit_precision, report.visit_recall) == (0.5, 1)
    assert (report.flaps, report.driveby_as_visit, report.visits_mistimed) == (1, 0, 0)
    assert of_visits(found(100, 105), found(110, 115), found(120, 125)).flaps == 2


def test_pieces_that_are_no_visits_do_not_flap() -> None:
    for other in (
        found(112, 129, verdict="pass"),
        found(112, 129, shadowed=True),
        found(112, 129, site="S-2", shadowed=True),
    ):
        assert of_visits(found(100, 110), other).flaps == 0


def test_two_visits_of_one_site_on_one_day_do_not_flap() -> None:
    again = replace(VISIT, arrived_ms=300 * MINUTE_MS, left_ms=330 * MINUTE_MS)
    report = of_visits(found(100, 129), found(300, 329), visits=(VISIT, again))
    assert (report.visit_precision, report.visit_recall, report.flaps) == (1, 1, 0)


@pytest.mark.parametrize(
    "row",
    [
        found(50, 54),
        found(130.01, 140),
        found(100, 129, site="S-2"),
        found(100, 129, van="van-002"),
    ],
)
def test_a_visit_found_where_and_when_there_was_none_is_a_drive_by_taken_for_one(
    row: FoundVisit,
) -> None:
    report = of_visits(found(100, 129), row)
    assert (report.driveby_as_visit, report.flaps) == (1, 0)
    assert (report.visit_precision, report.visit_recall) == (0.5, 1)


def test_a_drive_by_found_as_a_pass_or_shadowed_is_none_taken_for_a_visit() -> None:
    rows = found(50, 54, verdict="pass"), found(60, 64, shadowed=True)
    assert of_visits(*rows).driveby_as_visit == 0


def test_a_visit_seen_too_late_is_mistimed_neither_flap_nor_drive_by() -> None:
    report = of_visits(found(103.01, 129))
    assert (report.visit_precision, report.visit_recall) == (0, 0)
    assert (report.visits_mistimed, report.flaps, report.driveby_as_visit) == (1, 0, 0)
    assert of_visits(found(103, 129)).visits_mistimed == 0
    assert of_visits().visits_mistimed == 0


def test_a_visit_too_young_at_the_end_of_its_vans_day_is_not_asked_for() -> None:
    young = replace(VISIT, arrived_ms=UNTIL_MS - 4 * MINUTE_MS + 1, left_ms=UNTIL_MS + 1)
    minutes = young.arrived_ms / MINUTE_MS
    assert of_visits(visits=(young,)).visits_true == 0
    report = of_visits(found(minutes, minutes + 2), visits=(young,))
    assert (report.visit_precision, report.driveby_as_visit) == (None, 0)
    older = replace(young, arrived_ms=UNTIL_MS - 4 * MINUTE_MS)
    assert of_visits(visits=(older,)).visit_recall == 0


def test_each_van_has_its_own_end_of_day() -> None:
    others = replace(VISIT, van="van-002")
    day = DayTruth({"van-001": UNTIL_MS, "van-002": 101 * MINUTE_MS}, (VISIT, others), (), ())
    assert judge(day, (), ()).visits_true == 1


def test_arrival_errors_are_absolute_and_of_the_matched_only() -> None:
    visits = tuple(replace(VISIT, site=f"S-{index}", van="van-002") for index in range(101))
    rows = [
        found(100 + (-1) ** index * index / 60, 129, site=f"S-{index}", van="van-002")
        for index in range(101)
    ]
    report = of_visits(*rows, found(50, 60), visits=visits)
    assert report.arrival_error_s_p50 == pytest.approx(50)
    assert report.arrival_error_s_p99 == pytest.approx(99)


# Passes

PASS = DriveBy("van-001", "S-9", 50 * MINUTE_MS, 50 * MINUTE_MS + 30_000, 10)


def test_a_pass_is_found_by_an_unshadowed_pass_at_its_site_and_time() -> None:
    def passes(*rows: FoundVisit) -> tuple[int, int, int]:
        report = judge(truth(passes=(PASS, replace(PASS, site="S-8", stood_s=9))), rows, ())
        return report.passes_true, report.passes_true_stood, report.passes_found

    assert passes() == (2, 1, 0)
    assert passes(found(50.1, 50.4, site="S-9", verdict="pass")) == (2, 1, 1)
    assert passes(found(50.6, 50.7, site="S-9", verdict="pass")) == (2, 1, 1)
    twice = (
        found(50, 50.1, site="S-9", verdict="pass"),
        found(50.4, 50.5, site="S-9", verdict="pass"),
    )
    assert passes(*twice) == (2, 1, 1)
    for row in (
        found(50.7, 50.8, site="S-9", verdict="pass"),
        found(49, 49.8, site="S-9", verdict="pass"),
        found(50.1, 50.4, site="S-7", verdict="pass"),
        found(50.1, 50.4, site="S-9", van="van-002", verdict="pass"),
        found(50.1, 50.4, site="S-9", verdict="visit"),
        found(50.1, 50.4, site="S-9", verdict="undecided"),
        found(50.1, 50.4, site="S-9", verdict="pass", shadowed=True),
    ):
        assert passes(row) == (2, 1, 0)


# Late stops


def test_a_stop_reached_at_the_very_end_of_its_window_is_in_time() -> None:
    assert of_stop(PUNCTUAL_STOP).late_true == 0
    late = replace(PUNCTUAL_STOP, window_end_ms=PUNCTUAL_STOP.window_end_ms - 1)
    assert of_stop(late).late_true == 1


@pytest.mark.parametrize(
    ("rows", "in_time", "before_window_end"),
    [
        ([], 0, 0),
        ([announced(75)], 1, 1),
        ([announced(75.001)], 1, 0),
        ([announced(85)], 1, 0),
        ([announced(85.001)], 0, 0),
        # Withdrawn before the arrival it warned of nothing; withdrawn by it, it did.
        ([announced(70, 99)], 0, 0),
        ([announced(70, 100)], 1, 1),
        # Said again: the one that stands counts.
        ([announced(70, 80), announced(84)], 1, 0),
        ([announced(70, 80), announced(90)], 0, 0),
        ([announced(90), announced(70)], 1, 1),
    ],
)
def test_a_delay_is_announced_a_quarter_of_an_hour_before_and_stands(
    rows: list[Announced], in_time: int, before_window_end: int
) -> None:
    report = of_stop(LATE_STOP, *rows)
    assert report.late_true == 1
    assert report.late_announced_15min == report.late_announced_share == in_time
    assert report.late_announced_before_window_end_15min == before_window_end
    assert report.late_announced_before_window_end_share == before_window_end
    assert report.announcements == bool(rows)
    assert report.announcements_false == 0


@pytest.mark.parametrize(
    ("stop", "rows", "false"),
    [
        (PUNCTUAL_STOP, [announced(70)], 1),
        # Planners were told, though it was taken back; and of one stop, however often.
        (PUNCTUAL_STOP, [announced(70, 80)], 1),
        (PUNCTUAL_STOP, [announced(70, 80), announced(90)], 1),
        (PUNCTUAL_STOP, [], 0),
        (LATE_STOP, [announced(100)], 0),
        (LATE_STOP, [announced(100.001)], 1),
        (LATE_STOP, [announced(101), announced(99)], 0),
    ],
)
def test_an_announcement_is_false_of_a_punctual_stop_or_after_the_arrival(
    stop: TrueStop, rows: list[Announced], false: int
) -> None:
    report = of_stop(stop, *rows)
    assert report.announcements == bool(rows)
    assert report.announcements_false == false
    assert report.announcements_false_share == (false if rows else None)


def test_a_stop_never_reached_is_late_if_its_window_ended_within_the_day() -> None:
    never = replace(LATE_STOP, arrived_ms=None, until_ms=90 * MINUTE_MS + 1)
    report = of_stop(never, announced(60))
    assert (report.stops_judged, report.late_true, report.late_announced_15min) == (1, 1, 1)
    assert (report.announcements, report.announcements_false) == (1, 0)
    # It was not reached before the end of the day: that is as early as it can be.
    assert of_stop(never, announced(75)).late_announced_15min == 1
    assert of_stop(never, announced(76)).late_announced_15min == 0
    assert of_stop(never, announced(60, 80)).late_announced_15min == 0


def test_a_stop_whose_window_is_open_when_the_day_is_cut_is_left_out_unless_reached() -> None:
    unknown = replace(LATE_STOP, arrived_ms=None, until_ms=90 * MINUTE_MS)
    report = of_stop(unknown, announced(60))
    assert (report.stops_judged, report.late_true) == (0, 0)
    assert (report.announcements, report.announcements_false) == (0, 0)
    assert report.late_announced_share is report.announcements_false_share is None
    reached = replace(PUNCTUAL_STOP, until_ms=PUNCTUAL_STOP.window_end_ms)
    assert of_stop(reached, announced(60)).announcements_false == 1


def test_an_announcement_of_a_stop_that_no_tour_has_is_a_mistake_of_who_asks() -> None:
    with pytest.raises(ValueError, match="no tour has"):
        of_stop(LATE_STOP, replace(announced(60), position=2))


# Whole days


@pytest.fixture(scope="module")
def world() -> World:
    return create_world(5, vans=12, sites=900, items=40)


@pytest.fixture(scope="module")
def monday(world: World) -> FleetDay:
    return next(fleet_days(world, MONDAY))


@pytest.fixture(scope="module")
def day_truth(world: World, monday: FleetDay) -> DayTruth:
    return truth_of_day(world, monday)


def found_row(
    van: str, site: str, from_ms: int, to_ms: int, verdict: Literal["visit", "pass"]
) -> FoundVisit:
    return FoundVisit(van, site, from_ms, to_ms, verdict, shadowed=False)


def perfect(day: DayTruth) -> tuple[list[FoundVisit], list[Announced]]:
    rows = [found_row(v.van, v.site, v.arrived_ms, v.left_ms, "visit") for v in day.visits]
    rows += [found_row(p.van, p.site, p.from_ms, p.to_ms, "pass") for p in day.drive_bys]
    late = [
        Announced(s.van, s.tour, s.position, s.window_end_ms - 15 * MINUTE_MS, None)
        for s in day.stops
        if s.arrived_ms is not None and s.arrived_ms > s.window_end_ms
    ]
    return rows, late


def test_a_day_told_as_it_was_is_judged_perfect(day_truth: DayTruth) -> None:
    report = judge(day_truth, *perfect(day_truth))
    assert report.visits_true == report.visits_matched == len(day_truth.visits) > 50
    assert (report.visit_precision, report.visit_recall) == (1, 1)
    assert report.arrival_error_s_p99 == 0
    assert (report.flaps, report.driveby_as_visit, report.visits_mistimed) == (0, 0, 0)
    assert report.passes_found == report.passes_true > 10
    assert report.stops_judged == len(day_truth.stops)
    assert report.late_announced_share == report.late_announced_before_window_end_share == 1
    assert 0 < report.late_true == report.announcements
    assert report.announcements_false == 0


def test_a_day_of_which_nothing_is_told_has_nothing_false(day_truth: DayTruth) -> None:
    report = judge(day_truth, (), ())
    assert (report.visit_precision, report.visit_recall) == (None, 0)
    assert (report.late_announced_share, report.announcements_false_share) == (0, None)


@settings(max_examples=40)
@given(lost=st.integers(0, 9), torn=st.integers(0, 9), made_up=st.integers(0, 9), data=st.data())
def test_every_error_is_counted_under_its_own_name(
    day_truth: DayTruth, lost: int, torn: int, made_up: int, data: st.DataObject
) -> None:
    rows, late = perfect(day_truth)
    visits = data.draw(st.permutations([row for row in rows if row.verdict == "visit"]))
    pieces = [replace(row, arrived_ms=row.last_inside_ms - 1_000) for row in visits[:torn]]
    strangers = [replace(row, site="S-elsewhere") for row in visits[:made_up]]
    kept = visits[: len(visits) - lost]
    report = judge(day_truth, [*kept, *pieces, *strangers], late)
    assert report.flaps == torn
    assert report.driveby_as_visit == made_up
    assert report.visits_matched == len(visits) - lost
    assert report.visit_precision == pytest.approx(len(kept) / (len(kept) + torn + made_up))


def test_stops_of_a_day_carry_their_window_and_first_true_arrival(
    monday: FleetDay, world: World, day_truth: DayTruth
) -> None:
    stops = {(stop.van, stop.position): stop for stop in day_truth.stops}
    for van_day in monday.van_days:
        for stop, visit in zip(van_day.tour.stops, van_day.visits, strict=True):
            true = stops[van_day.van, stop.position]
            assert (true.tour, true.site) == (van_day.tour.code, world.sites[stop.site].code)
            assert true.window_end_ms == local_ms(MONDAY, stop.window_end_s)
            assert true.arrived_ms == visit.arrived_ms
    assert len(stops) == len(day_truth.stops)


def test_of_a_cut_day_only_what_was_before_the_cut_is_asked_for(
    monday: FleetDay, world: World, day_truth: DayTruth
) -> None:
    cut = truth_of_day(world, first_hours(monday, 5))
    ends_ms = {v.van: min(v.off_duty_ms, v.departs_ms + 18_000_000) for v in monday.van_days}
    assert cut.until_ms == ends_ms
    assert len(cut.stops) == len(day_truth.stops)
    assert any(stop.arrived_ms is None for stop in cut.stops)
    assert set(cut.drive_bys) < set(day_truth.drive_bys)
    assert all(row.to_ms < ends_ms[row.van] for row in cut.drive_bys)
    report = judge(cut, (), ())
    assert report.visits_true < len(cut.visits) + 1 <= len(day_truth.visits)
    assert report.stops_judged < len(cut.stops)


def test_drive_bys_are_those_that_a_plain_walk_along_the_track_finds(
    monday: FleetDay, world: World
) -> None:
    # Site by site and second by second, instead of by an index of places.
    for van_day in monday.van_days[:6]:
        track, _, _ = travel(world, van_day.tour)
        t_ms = track.start_ms + 1000 * np.arange(len(track.speed_mps))
        expected = set()
        for site in world.sites:
            apart_m = distance_m(
                track.latitude_deg, track.longitude_deg, site.latitude_deg, site.longitude_deg
            )
            inside = t_ms[apart_m <= site.radius_m].tolist()
            spans: list[list[int]] = []
            for t in inside:
                if spans and t - spans[-1][1] <= 60_000:
                    spans[-1][1] = t
                else:
                    spans.append([t, t])
            for first_ms, last_ms in spans:
                near = [
                    visit
                    for visit in van_day.visits
                    if visit.arrived_ms - 300_000 * (visit.site == site.code) <= last_ms
                    and first_ms <= visit.left_ms + 300_000 * (visit.site == site.code)
                ]
                if not near:
                    expected.add((site.code, first_ms, last_ms))
        assert {(row.site, row.from_ms, row.to_ms) for row in drive_bys(world, van_day)} == expected


@pytest.mark.parametrize(("apart_s", "crossings"), [(60, 1), (61, 2)])
def test_crossings_of_a_fence_up_to_a_minute_apart_are_one_drive_by(
    world: World, apart_s: int, crossings: int
) -> None:
    site = world.sites[0]
    # 5 s inside, away, 4 s inside, standing for the last 2.
    inside = np.array([0] * 3 + [1] * 5 + [0] * (apart_s - 1) + [1] * 4 + [0] * 3)
    count = len(inside)
    speed_mps = np.full(count, 10.0)
    speed_mps[-5:-3] = 0.0
    track = Track(
        van="van-001",
        start_ms=1_000_000,
        latitude_deg=np.where(inside, site.latitude_deg, site.latitude_deg + 1),
        longitude_deg=np.full(count, site.longitude_deg),
        speed_mps=speed_mps,
        bearing_deg=np.zeros(count),
        odometer_m=np.zeros(count),
        ignition=np.ones(count, dtype=np.bool_),
    )
    found_rows = list(_crossings(track, site, np.arange(count)))
    assert len(found_rows) == crossings
    assert sum(row.stood_s for row in found_rows) == 2
    assert found_rows[0].from_ms == 1_003_000
    assert found_rows[-1].to_ms == 1_000_000 + 1000 * (count - 4)


@pytest.mark.parametrize(
    ("site", "from_min", "to_min", "belongs"),
    [
        # Coming and going.
        ("S-1", 94, 95, True),
        ("S-1", 94, 94.9, False),
        ("S-1", 135, 136, True),
        ("S-1", 135.1, 136, False),
        # Another fence: only while the van is there, or in the second before or after.
        ("S-2", 95, 99.9, False),
        ("S-2", 95, 100 - 1 / 60, True),
        ("S-2", 110, 111, True),
        ("S-2", 130 + 1 / 60, 140, True),
        ("S-2", 131, 140, False),
    ],
)
def test_a_crossing_beside_a_visit_belongs_to_it(
    site: str, from_min: float, to_min: float, *, belongs: bool
) -> None:
    row = DriveBy("van-001", site, round(from_min * MINUTE_MS), round(to_min * MINUTE_MS), 0)
    assert _of_a_visit(row, [VISIT]) == belongs


def test_some_vans_stand_at_a_light_inside_a_fence(day_truth: DayTruth) -> None:
    stood = [row for row in day_truth.drive_bys if row.stood_s >= 10]
    assert 0 < len(stood) < len(day_truth.drive_bys)
    assert all(row.stood_s <= (row.to_ms - row.from_ms) // 1000 + 1 for row in stood)
