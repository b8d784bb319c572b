"""Only differences are written, and what is rewritten and not seen again is gone."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.alerts import LateAlert
from geofence.changes import Known, VanChanges, Visit, revise
from geofence.fences import Fences, Site
from geofence.tours import Stop
from geofence.visits import Run

VAN = 7
MINUTE = 60_000
NOON = 1_789_984_800_000  # 2026-09-21 12:00 in Paris
DAY = date(2026, 9, 21)
FENCES = Fences(
    [
        Site(1, 1, 48.0, 11.0, 80.0),
        Site(2, 1, 48.0, 11.0, 80.0),
        Site(3, 1, 60.2, 24.9, 80.0, "Europe/Helsinki"),
    ]
)
NOTHING = VanChanges([], [], [])


def closed(site_id: int, start_min: float, dwell_min: float = 30, mean_m: float = 10.0) -> Run:
    arrived = NOON + round(start_min * MINUTE)
    last = arrived + round(dwell_min * MINUTE)
    return Run(site_id, arrived, last, last + 30_000, last + 60_000, False, 2, 2 * mean_m)  # noqa: FBT003


def still_open(site_id: int, start_min: float, dwell_min: float) -> Run:
    return replace_run(closed(site_id, start_min, dwell_min), left_at=None, closed_by=None)


def replace_run(run: Run, **changed: object) -> Run:
    values = {name: getattr(run, name) for name in run.__struct_fields__}
    return Run(**{**values, **changed})


def stop(
    position: int, site_id: int, start_min: float = 0, end_min: float = 60, day: date = DAY
) -> Stop:
    start, end = NOON + round(start_min * MINUTE), NOON + round(end_min * MINUTE)
    return Stop(100 + position, VAN, day, position, site_id, start, end)


def said(
    runs: list[Run],
    known: Known = Known(),  # noqa: B008
    since: int | None = None,
    now: int = NOON,
) -> VanChanges:
    return revise(VAN, [[run] for run in runs], since, known, FENCES, now)


def written(runs: list[Run], stops: list[Stop] | None = None) -> list[Visit]:
    """Return the rows that an empty table would hold after these runs."""
    return said(runs, Known(stops=stops or [])).visits


# ---- rows


def test_a_closed_run_is_a_row_with_all_it_says() -> None:
    run = replace_run(closed(1, 0), ignition_off=True)
    assert written([run]) == [
        Visit(
            van_id=VAN,
            site_id=1,
            arrived_at=NOON,
            last_inside_at=NOON + 30 * MINUTE,
            left_at=NOON + 30 * MINUTE + 30_000,
            closed_by=NOON + 31 * MINUTE,
            verdict="visit",
            uncertain=False,
            ignition_off=True,
            distance_m_mean=10.0,
            shadowed_by=None,
            service_date=DAY,
            stop_id=None,
            punctuality="unplanned",
        )
    ]


def test_an_open_run_has_not_left_though_its_last_fix_was_outside() -> None:
    run = replace_run(still_open(1, 0, 30), left_at=NOON + 60 * MINUTE)
    [row] = written([run])
    assert (row.left_at, row.closed_by, row.uncertain) == (None, None, False)


def test_a_gap_of_more_than_five_minutes_is_uncertain_once_the_run_is_closed() -> None:
    run = closed(1, 0)
    late = replace_run(
        run, left_at=run.last_inside_at + 300_001, closed_by=run.last_inside_at + 400_000
    )
    assert [row.uncertain for row in written([late])] == [True]


def test_only_what_is_a_visit_and_not_shadowed_keeps_a_stop() -> None:
    better, worse = closed(1, 0, mean_m=5.0), closed(2, 1, mean_m=50.0)
    drive_by, undecided = closed(1, 40, 0.5), still_open(2, 100, 0.5)
    changes = revise(VAN, [[better, worse], [drive_by], [undecided]], None, Known(), FENCES, NOON)
    assert [(v.verdict, v.shadowed_by, v.punctuality) for v in changes.visits] == [
        ("visit", None, "unplanned"),
        ("visit", 1, None),
        ("pass", None, None),
        ("undecided", None, None),
    ]


def test_a_minute_is_enough_only_where_a_stop_is_planned_that_day() -> None:
    run = closed(1, 0, 1)
    assert [v.verdict for v in written([run])] == ["pass"]
    assert [v.verdict for v in written([run], [stop(1, 1)])] == ["visit"]
    assert [v.verdict for v in written([run], [stop(1, 2)])] == ["pass"]
    yesterday = stop(1, 1, day=date(2026, 9, 20))
    assert [v.verdict for v in written([run], [yesterday])] == ["pass"]


def test_the_day_is_that_of_the_site_not_of_the_base() -> None:
    before_midnight_in_paris = (11 * 60) + 30
    rows = written([closed(1, before_midnight_in_paris), closed(3, before_midnight_in_paris)])
    assert {v.site_id: v.service_date for v in rows} == {1: DAY, 3: date(2026, 9, 22)}


# ---- differences only


def test_what_is_known_already_is_not_written_again() -> None:
    runs, stops = [closed(1, 0), closed(2, 60)], [stop(1, 1)]
    known = Known(written(runs, stops), stops)
    assert said(runs, known) == NOTHING
    assert said(runs, known, since=NOON - 1) == NOTHING


def test_a_run_that_went_on_is_written_and_its_neighbours_are_not() -> None:
    known = Known(written([closed(1, 0), still_open(2, 60, 5)]))
    changes = said([still_open(2, 60, 6)], known)
    assert [(v.site_id, v.last_inside_at) for v in changes.visits] == [(2, NOON + 66 * MINUTE)]
    assert changes.gone == []


def test_an_earlier_visit_found_late_moves_the_stops_of_those_after_it() -> None:
    stops = [stop(1, 1), stop(2, 1, 120, 180)]
    known = Known(written([closed(1, 130)], stops), stops)
    assert [v.stop_id for v in known.visits] == [101]
    changes = said([closed(1, 10), closed(1, 130)], known, since=NOON)
    assert {v.arrived_at: (v.stop_id, v.punctuality) for v in changes.visits} == {
        NOON + 10 * MINUTE: (101, "on_time"),
        NOON + 130 * MINUTE: (102, "on_time"),
    }


def test_a_day_that_no_run_touched_is_left_alone() -> None:
    unmatched = replace(written([closed(1, -24 * 60)])[0], stop_id=None, punctuality=None)
    changes = said([closed(1, 0)], Known([unmatched]))
    assert [v.arrived_at for v in changes.visits] == [NOON]


# ---- gone


def test_a_row_in_the_rewritten_time_that_is_not_said_again_is_gone() -> None:
    runs = [closed(1, 0), closed(2, 60)]
    known = Known(written(runs))
    changes = said([closed(2, 60)], known, since=NOON - 1)
    assert [v.key for v in changes.gone] == [(1, NOON)]
    assert changes.visits == []


@pytest.mark.parametrize(("since", "is_gone"), [(NOON - 1, True), (NOON, False), (None, False)])
def test_a_row_is_gone_only_if_it_began_after_the_rewriting_did(
    since: int | None,
    is_gone: bool,  # noqa: FBT001
) -> None:
    changes = said([], Known(written([closed(1, 0)])), since)
    assert bool(changes.gone) is is_gone


def test_a_run_that_now_begins_earlier_replaces_its_row() -> None:
    known = Known(written([closed(1, 5, 25)]))
    changes = said([closed(1, 0, 30)], known, since=NOON - 1)
    assert [v.arrived_at for v in changes.visits] == [NOON]
    assert [v.arrived_at for v in changes.gone] == [NOON + 5 * MINUTE]


def test_a_visit_that_is_gone_gives_its_stop_to_the_next() -> None:
    stops = [stop(1, 1), stop(2, 1)]
    known = Known(written([closed(1, 0), closed(1, 60)], stops), stops)
    changes = said([closed(1, 60)], known, since=NOON - 1)
    assert [(v.arrived_at, v.stop_id) for v in changes.visits] == [(NOON + 60 * MINUTE, 101)]
    assert len(changes.gone) == 1


# ---- alerts


def test_a_late_arrival_is_recorded_and_an_unmet_stop_raised() -> None:
    stops = [stop(1, 1), stop(2, 2)]
    changes = said([closed(1, 70)], Known(stops=stops), now=NOON + 70 * MINUTE)
    assert [(a.stop.stop_id, a.state, a.arrived_at) for a in changes.alerts] == [
        (101, "cleared", NOON + 70 * MINUTE),
        (102, "open", None),
    ]


def test_an_alert_is_withdrawn_when_the_visit_in_time_is_found() -> None:
    known = Known(stops=[stop(1, 1)], alerts={101: LateAlert(101, "open", None, told=True)})
    changes = said([closed(1, 10)], known, since=NOON, now=NOON + 90 * MINUTE)
    assert [(a.state, a.is_new) for a in changes.alerts] == [("withdrawn", False)]


def test_an_alert_is_raised_when_the_visit_in_time_is_gone() -> None:
    stops = [stop(1, 1)]
    known = Known(written([closed(1, 0)], stops), stops)
    changes = said([], known, since=NOON - 1, now=NOON + 90 * MINUTE)
    assert len(changes.gone) == 1
    assert [(a.state, a.is_new) for a in changes.alerts] == [("open", True)]


def test_the_alerts_of_other_days_are_left_alone() -> None:
    yesterday = stop(1, 1, -24 * 60, -23 * 60, date(2026, 9, 20))
    assert said([closed(2, 0)], Known(stops=[yesterday])).alerts == []


# ---- whatever was known


@st.composite
def histories(draw: st.DrawFn) -> list[Run]:
    """Return runs of one van at sites 1 and 2 that do not overlap, oldest first."""
    start, made = 0, []
    for _ in range(draw(st.integers(0, 6))):
        start += draw(st.integers(40, 500))
        dwell = draw(st.sampled_from([0.5, 1, 2, 3, 30]))
        made.append(closed(draw(st.sampled_from([1, 2])), start, dwell))
    return made


@given(histories(), histories(), st.lists(st.integers(1, 2), max_size=4))
def test_rewriting_brings_any_table_to_what_the_runs_say(
    before: list[Run], after: list[Run], planned: list[int]
) -> None:
    days = [DAY, date(2026, 9, 22)]
    stops = [
        replace(stop(i, site_id, day=day), stop_id=1000 * k + i)
        for k, day in enumerate(days)
        for i, site_id in enumerate(planned)
    ]
    table = {v.key: v for v in written(before, stops)}
    changes = said(after, Known(list(table.values()), stops), since=NOON - 1)
    for visit in changes.gone:
        del table[visit.key]
    for visit in changes.visits:
        assert table.get(visit.key) != visit
        table[visit.key] = visit
    assert table == {v.key: v for v in written(after, stops)}
