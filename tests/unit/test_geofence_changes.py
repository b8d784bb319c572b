"""Only differences are written, and what is rewritten and not seen again is gone."""

from collections.abc import Iterable, Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from geofence.changes import Known, Said, VanChanges, Visit, revise
from geofence.fences import Fences, Site
from geofence.reread import Span
from geofence.rules import Rules
from geofence.tours import Stop
from geofence.trips import Leg
from geofence.usable import Refusal
from geofence.visits import Run, clusters_of

VAN = 7
MINUTE = 60_000
NOON = 1_789_984_800_000  # 2026-09-21 12:00 in Paris
DAY, YESTERDAY, TOMORROW = date(2026, 9, 21), date(2026, 9, 20), date(2026, 9, 22)
SITES = [
    Site(1, 1, 48.0, 11.0, 80.0),
    Site(2, 1, 48.0, 11.0, 80.0),
    Site(3, 1, 60.2, 24.9, 80.0, "Europe/Helsinki"),
    Site(4, 1, 48.0, 11.0, 80.0),
]
FENCES = Fences(SITES)


def closed(site_id: int, start_min: float, dwell_min: float = 30, mean_m: float = 10.0) -> Run:
    arrived = NOON + round(start_min * MINUTE)
    last = arrived + round(dwell_min * MINUTE)
    centre_mm_sum = round(2_000 * mean_m)
    return Run(site_id, arrived, last, last + 30_000, last + 60_000, False, 2, centre_mm_sum)  # noqa: FBT003


def still_open(site_id: int, start_min: float, dwell_min: float) -> Run:
    return replace_run(closed(site_id, start_min, dwell_min), left_at=None, closed_by=None)


def replace_run(run: Run, **changed: object) -> Run:
    values = {name: getattr(run, name) for name in run.__struct_fields__}
    return Run(**{**values, **changed})


def stop(
    position: int, site_id: int, start_min: float = 0, end_min: float = 60, day: date = DAY
) -> Stop:
    start, end = NOON + round(start_min * MINUTE), NOON + round(end_min * MINUTE)
    return Stop(100 + position, VAN, day, position, site_id, start, end, 1_800)


def said(
    runs: Iterable[Run],
    known: Known = Known(),  # noqa: B008
    since: int | None = None,
    *,
    replanned: Iterable[date] = (),
) -> VanChanges:
    """Return what changes when the fold says these runs, read again after `since` if it is given."""
    spans = [] if since is None else [Span(since, None)]
    words = Said(clusters_of(runs), spans=spans, replanned=frozenset(replanned))
    return revise(VAN, words, known, FENCES)


def written(runs: Iterable[Run], stops: Sequence[Stop] = ()) -> list[Visit]:
    """Return the rows that an empty table would hold after these runs."""
    return said(runs, Known(stops=stops)).visits


def matches(changes: VanChanges) -> dict[int, tuple[int | None, str | None]]:
    """Return by site the stop and punctuality of each row that is written."""
    return {visit.site_id: (visit.stop_id, visit.punctuality) for visit in changes.visits}


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
            ignition_off=True,
            fixes=2,
            centre_mm_sum=20_000,
            verdict="visit",
            uncertain=False,
            shadowed_by=None,
            service_date=DAY,
            stop_id=None,
            punctuality="unplanned",
        )
    ]
    assert [visit.run for visit in written([run])] == [run]


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
    rows = written([better, worse, drive_by, undecided])
    assert [(v.verdict, v.shadowed_by, v.punctuality) for v in rows] == [
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
    yesterday = stop(1, 1, day=YESTERDAY)
    assert [v.verdict for v in written([run], [yesterday])] == ["pass"]


def test_the_day_is_that_of_the_site_not_of_the_base_and_turns_at_3() -> None:
    before_three_in_paris = 14 * 60 + 30
    rows = written([closed(1, before_three_in_paris), closed(3, before_three_in_paris)])
    assert {v.site_id: v.service_date for v in rows} == {1: DAY, 3: TOMORROW}


def test_the_rules_of_the_fences_hold() -> None:
    run = closed(1, 0, 2)
    patient = Fences(SITES, Rules(dwell_s=120))
    assert [v.verdict for v in revise(VAN, Said([[run]]), Known(), FENCES).visits] == ["pass"]
    assert [v.verdict for v in revise(VAN, Said([[run]]), Known(), patient).visits] == ["visit"]


def test_a_visit_outside_the_planned_order_is_marked() -> None:
    stops = [stop(1, 1), stop(2, 2), stop(3, 4)]
    rows = written([closed(4, 0), closed(1, 60), closed(2, 120)], stops)
    assert {v.site_id: v.wrong_order for v in rows} == {4: True, 1: False, 2: False}


@pytest.mark.parametrize(("dwell_min", "is_over"), [(45, False), (45 + 1 / 60_000, True)])
def test_a_visit_of_30_planned_minutes_is_overstayed_after_45(
    dwell_min: float, *, is_over: bool
) -> None:
    for run in (closed(1, 0, dwell_min), still_open(1, 0, dwell_min)):
        assert [v.overstayed for v in written([run], [stop(1, 1)])] == [is_over]
    assert [v.overstayed for v in written([closed(1, 0, dwell_min)])] == [False]


def test_only_the_visit_that_keeps_a_stop_is_overstayed() -> None:
    rows = written([closed(1, 0, 10), closed(1, 60, 200)], [stop(1, 1)])
    assert [(v.punctuality, v.overstayed) for v in rows] == [
        ("on_time", False),
        ("repeated", False),
    ]


# ---- differences only


def test_what_is_known_already_is_not_written_again() -> None:
    runs, stops = [closed(1, 0), closed(2, 60)], [stop(1, 1)]
    known = Known(written(runs, stops), stops)
    for changes in (said(runs, known), said(runs, known, NOON - 1), said((), known)):
        assert (changes.visits, changes.gone) == ([], [])
        assert (changes.legs, changes.legs_gone) == ([], [])
        assert (changes.refused, changes.refused_gone) == ([], [])


def test_a_run_that_went_on_is_written_and_its_neighbours_are_not() -> None:
    known = Known(written([closed(1, 0), still_open(2, 60, 5)]))
    changes = said([still_open(2, 60, 6)], known)
    assert [(v.site_id, v.last_inside_at) for v in changes.visits] == [(2, NOON + 66 * MINUTE)]
    assert changes.gone == []


def test_a_run_that_only_went_on_keeps_its_match_and_nothing_is_matched_anew() -> None:
    stops = [stop(1, 1), stop(2, 1, 120, 180)]
    known = Known(written([closed(1, 0), still_open(1, 130, 5)], stops), stops)
    changes = said([still_open(1, 130, 6)], known)
    assert [(v.stop_id, v.punctuality) for v in changes.visits] == [(102, "on_time")]
    assert changes.days == frozenset()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (still_open(1, 0, 5), closed(1, 0, 5)),  # has ended
        (still_open(1, 0, 0.5), still_open(1, 0, 2)),  # is a visit now
        (still_open(1, 0, 40), still_open(1, 0, 46)),  # is overstayed now
    ],
)
def test_a_run_that_is_another_thing_than_it_was_has_its_day_matched_anew(
    before: Run, after: Run
) -> None:
    stops = [stop(1, 1)]
    changes = said([after], Known(written([before], stops), stops))
    assert changes.days == {DAY}
    assert changes.visits == written([after], stops)


def test_what_is_read_again_is_matched_anew_though_it_only_went_on() -> None:
    """Its site may have another time zone now, or an older version may have matched it."""
    stops = [stop(1, 1)]
    [right] = written([closed(1, 0)], stops)
    for wrong in (
        replace(right, service_date=YESTERDAY, stop_id=None, punctuality="unplanned"),
        replace(right, wrong_order=True),
    ):
        assert said([closed(1, 0)], Known([wrong], stops), NOON - 1).visits == [right]


def test_all_visits_that_stand_on_a_day_matched_anew_are_told() -> None:
    known = Known(written([closed(1, 0), closed(2, 60, 0.2), closed(1, -24 * 60)]))
    changes = said([closed(4, 120)], known)
    assert changes.days == {DAY}
    assert [v.key for v in changes.matched] == [(1, NOON), (4, NOON + 120 * MINUTE)]
    assert [v.key for v in changes.visits] == [(4, NOON + 120 * MINUTE)]


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


# ---- spans


@pytest.mark.parametrize(
    ("span", "gone"),
    [
        (Span(NOON - 1, None), True),
        (Span(NOON, None), False),  # began up to then: read on
        (Span(NOON - 1, NOON), True),
        (Span(NOON - 2, NOON - 1), False),
        (Span(NOON - 1, NOON, frozenset({(1, NOON)})), False),  # open there: as it was
        (Span(NOON - 1, NOON, frozenset({(2, NOON)})), True),
    ],
)
def test_a_span_holds_the_runs_that_began_in_it_but_those_open_at_its_end(
    span: Span, *, gone: bool
) -> None:
    assert span.holds_run((1, NOON)) is gone
    known = Known(written([closed(1, 0)]))
    changes = revise(VAN, Said(spans=[span]), known, FENCES)
    assert [v.key for v in changes.gone] == ([(1, NOON)] if gone else [])


@pytest.mark.parametrize(
    ("span", "gone"),
    [
        (Span(0, None), True),
        (Span(0, None, legs_since=NOON), True),  # the leg that was open is told again
        (Span(0, None, legs_since=NOON + 1), False),
        (Span(0, None, legs_until=NOON), False),  # open where reading stopped: as it was
        (Span(0, None, legs_until=NOON + 1), True),
    ],
)
def test_a_span_holds_the_legs_that_began_in_it_and_the_one_open_at_its_begin(
    span: Span, *, gone: bool
) -> None:
    assert span.holds_leg(NOON) is gone
    known = Known(legs=[leg(0)])
    changes = revise(VAN, Said(spans=[span]), known, FENCES)
    assert changes.legs_gone == ([NOON] if gone else [])


@pytest.mark.parametrize(
    ("span", "gone"),
    [
        (Span(NOON - 1, None), True),
        (Span(NOON, None), False),
        (Span(NOON - 1, NOON), True),
        (Span(NOON - 1, NOON - 1), False),
    ],
)
def test_a_span_holds_what_was_said_of_fixes_after_its_begin_and_up_to_its_end(
    span: Span, *, gone: bool
) -> None:
    assert span.holds_fix(NOON) is gone
    known = Known(refused=[(NOON, "jump")])
    changes = revise(VAN, Said(spans=[span]), known, FENCES)
    assert changes.refused_gone == ([NOON] if gone else [])


def test_one_of_several_spans_is_enough_and_without_one_nothing_is_gone() -> None:
    known = Known(written([closed(1, 0)]), legs=[leg(0)], refused=[(NOON, "jump")])
    far = Span(NOON + MINUTE, None, legs_since=NOON + MINUTE)
    for spans, gone in (([far], 0), ([far, Span(NOON - 1, NOON, legs_since=NOON)], 1), ([], 0)):
        changes = revise(VAN, Said([[closed(2, 60)]], spans=spans), known, FENCES)
        assert len(changes.gone) == len(changes.legs_gone) == len(changes.refused_gone) == gone


# ---- legs and fixes that are not used


def leg(start_min: float, minutes: float = 20, *, is_closed: bool = True) -> Leg:
    start, end = NOON + round(start_min * MINUTE), NOON + round((start_min + minutes) * MINUTE)
    return Leg("trip", start, end, is_closed, 1_000, 60, 0, 48.0, 11.0)


def test_legs_are_written_if_they_are_new_or_other_than_they_were() -> None:
    known = Known(legs=[leg(0), leg(20, 5, is_closed=False)])
    now = [leg(0), leg(20, 6), leg(26, 1)]
    changes = revise(VAN, Said(legs=now, spans=[Span(NOON - 1, None)]), known, FENCES)
    assert changes.legs == [leg(20, 6), leg(26, 1)]
    assert changes.legs_gone == []


def test_a_van_on_the_road_writes_its_leg_and_touches_no_day() -> None:
    known = Known(written([closed(1, 0)]), [stop(1, 1)])
    changes = revise(VAN, Said(legs=[leg(60)], refused=[(NOON, "jump")]), known, FENCES)
    assert changes == VanChanges(legs=[leg(60)], refused=[(NOON, "jump")])


def test_refused_fixes_are_written_if_they_are_new_or_for_another_reason() -> None:
    was: list[Refusal] = [(1, "jump"), (2, "jump"), (3, "frozen")]
    now: list[Refusal] = [(1, "jump"), (2, "poor_accuracy"), (4, "null_island")]
    changes = revise(VAN, Said(refused=now, spans=[Span(0, None)]), Known(refused=was), FENCES)
    assert changes.refused == [(2, "poor_accuracy"), (4, "null_island")]
    assert changes.refused_gone == [3]


# ---- another plan


def test_a_visit_keeps_a_stop_that_is_planned_later() -> None:
    known = Known(written([closed(1, 0), closed(2, 60)]), [stop(1, 2), stop(2, 1)])
    changes = said((), known, replanned=[DAY])
    assert matches(changes) == {1: (102, "on_time"), 2: (101, "on_time")}
    assert {v.site_id: v.wrong_order for v in changes.visits} == {1: True, 2: False}
    assert changes.days == {DAY}
    assert {v.site_id for v in changes.matched} == {1, 2}


def test_a_window_that_moves_changes_the_visit_that_keeps_its_stop_alone() -> None:
    stops = [stop(1, 1), stop(2, 2)]
    known = Known(written([closed(1, 10), closed(2, 50)], stops), [stops[0], stop(2, 2, 0, 40)])
    assert matches(said((), known, replanned=[DAY])) == {2: (102, "late")}


def test_a_stop_that_is_no_longer_planned_leaves_its_visit_unplanned_or_a_pass() -> None:
    stops = [stop(1, 1), stop(2, 2)]
    known = Known(written([closed(1, 0), closed(2, 60, 1)], stops))
    changes = said((), known, replanned=[DAY])
    assert [(v.site_id, v.verdict, v.punctuality) for v in changes.visits] == [
        (1, "visit", "unplanned"),
        (2, "pass", None),
    ]


def test_a_plan_decides_anew_which_of_two_overlapping_runs_is_the_visit() -> None:
    runs = [closed(1, 0, mean_m=5.0), closed(2, 1, mean_m=50.0)]
    known = Known(written(runs), [stop(1, 2)])
    assert [v.shadowed_by for v in known.visits] == [None, 1]
    changes = said((), known, replanned=[DAY])
    assert {v.site_id: v.shadowed_by for v in changes.visits} == {1: 2, 2: None}
    assert matches(changes) == {1: (None, None), 2: (101, "on_time")}


def test_the_days_that_were_not_planned_anew_are_left_alone() -> None:
    stops = [stop(1, 1), replace(stop(1, 1, day=YESTERDAY), stop_id=1)]
    known = Known(written([closed(1, 0), closed(1, -24 * 60)]), stops)
    changes = said((), known, replanned=[DAY])
    assert [(v.service_date, v.stop_id) for v in changes.visits] == [(DAY, 101)]
    assert changes.days == {DAY}


def test_a_day_planned_anew_on_which_the_van_was_nowhere_is_told_for_its_alerts() -> None:
    changes = said((), Known(stops=[stop(1, 1)]), replanned=[DAY])
    assert (changes.visits, changes.matched, changes.days) == ([], [], {DAY})


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
    days = [DAY, TOMORROW]
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


@given(
    histories(), st.lists(st.integers(1, 2), max_size=4), st.lists(st.integers(1, 2), max_size=4)
)
def test_another_plan_brings_any_table_to_what_it_would_be_with_that_plan(
    runs: list[Run], before: list[int], after: list[int]
) -> None:
    plans = [[stop(i, site_id) for i, site_id in enumerate(plan)] for plan in (before, after)]
    table = {v.key: v for v in written(runs, plans[0])}
    changes = said((), Known(list(table.values()), plans[1]), replanned=[DAY])
    table |= {v.key: v for v in changes.visits}
    assert table == {v.key: v for v in written(runs, plans[1])}
    assert changes.gone == []


@given(histories(), st.lists(st.integers(1, 2), max_size=4), st.data())
def test_runs_told_again_as_they_grow_end_as_they_are_when_told_once(
    runs: list[Run], planned: list[int], data: st.DataObject
) -> None:
    """What only went on is written without matching its day; that must make no difference."""
    stops = [stop(i, site_id) for i, site_id in enumerate(planned)]
    table: dict[tuple[int, int], Visit] = {}
    for run in runs:
        shares = sorted(data.draw(st.lists(st.floats(0, 1), max_size=4)))
        grown = [
            replace_run(
                run,
                last_inside_at=run.arrived_at + round(share * run.dwell_ms),
                left_at=None,
                closed_by=None,
            )
            for share in shares
        ]
        for said_now in [*grown, run]:
            changes = said([said_now], Known(list(table.values()), stops))
            table |= {v.key: v for v in changes.visits}
    assert table == {v.key: v for v in written(runs, stops)}
