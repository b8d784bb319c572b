"""Reading again: every order of arrival gives the rows of one pass, at the price of an hour or two."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence import reread
from geofence.fences import Fences, Site
from geofence.tours import Stop
from tests.unit.reference_visits import Place, RefFix
from tests.unit.tables_in_memory import VAN, Tables
from tests.unit.test_geofence_visits import (
    NOON,
    PLACES,
    at,
    chosen_places,
    fences_of,
    fix,
    place,
    tracks,
)

TODAY = datetime.fromtimestamp(NOON / 1_000, UTC).date()


@pytest.fixture(autouse=True)
def short_hours() -> Iterator[None]:
    """Let an hour be four minutes, so that short tracks have many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reread, "SLICE_MS", 240_000)
        yield


def stop(stop_id: int, position: int, site_id: int, day: date = TODAY) -> Stop:
    return Stop(stop_id, VAN, day, position, site_id, NOON, NOON + 600_000, 300)


def one_pass(tables: Tables) -> Tables:
    """Return what the same fixes say when they come in order, all at once."""
    whole = Tables(tables.fences, tables.stops)
    whole.put(tables.fixes.values())
    return whole


def assert_same(tables: Tables, whole: Tables) -> None:
    assert tables.visits == whole.visits
    assert tables.legs == whole.legs
    assert tables.unusable == whole.unusable
    assert tables.progress is not None
    assert whole.progress is not None
    assert tables.progress.state == whole.progress.state


lateness_ms = st.sampled_from([0] * 6 + [200_000, 900_000])


@st.composite
def arrivals(draw: st.DrawFn, fixes: Sequence[RefFix]) -> list[list[RefFix]]:
    """Return the fixes in any order, some of them more than once, cut into batches."""
    again = draw(st.lists(st.sampled_from(fixes), max_size=5))
    order = draw(st.permutations([*fixes, *again]))
    if draw(st.booleans()):  # mostly in order, some late: what a fleet does
        order = sorted(order, key=lambda f: f.t_ms + draw(lateness_ms))
    cuts = sorted(draw(st.sets(st.integers(1, len(order)), max_size=12)) | {len(order)})
    return [order[a:b] for a, b in zip([0, *cuts], cuts, strict=False)]


@settings(max_examples=400)
@given(st.data())
def test_any_order_repetition_and_batching_gives_the_rows_of_one_pass(data: st.DataObject) -> None:
    places = data.draw(chosen_places)
    plan = [stop(i, i, p.site_id) for i, p in enumerate(places) if data.draw(st.booleans())]
    tables = Tables(fences_of(places), plan)
    for batch in data.draw(arrivals(data.draw(tracks(places)))):
        tables.put(batch)
    assert_same(tables, one_pass(tables))


@settings(max_examples=400)
@given(st.data())
def test_fixes_that_are_deleted_leave_no_trace(data: st.DataObject) -> None:
    """Between batches, and with them, it turns out that the van was off duty at times."""
    places = data.draw(chosen_places)
    plan = [stop(i, i, p.site_id) for i, p in enumerate(places) if data.draw(st.booleans())]
    fixes = data.draw(tracks(places))
    first, last = fixes[0].t_ms, fixes[-1].t_ms
    bounds = st.integers(first - 1, last + 1)
    tables = Tables(fences_of(places), plan)
    off: list[tuple[int, int]] = []
    for batch in [*data.draw(arrivals(fixes)), []]:
        if data.draw(st.booleans()):
            since, until = sorted((data.draw(bounds), data.draw(bounds)))
            off.append((since, until))
        on_duty = [f for f in batch if not any(a <= f.t_ms < b for a, b in off)]
        tables.put(on_duty, off)
    if tables.fixes:
        assert_same(tables, one_pass(tables))
    else:
        assert tables.progress is None
        assert (tables.visits, tables.legs, tables.unusable) == ({}, {}, {})


@settings(max_examples=300)
@given(st.data())
def test_fixes_that_better_ones_replace_leave_no_trace(data: st.DataObject) -> None:
    """Some moments are told twice: first astray, poor, frozen or at (0, 0), then as they were."""
    places = data.draw(chosen_places)
    fixes = data.draw(tracks(places))
    rivals = [
        replace(f, **data.draw(st.sampled_from(ASTRAY)))
        for f in data.draw(st.lists(st.sampled_from(fixes), max_size=6))
    ]
    tables = Tables(fences_of(places))
    if data.draw(st.booleans()):
        fixes, rivals = [{f.t_ms: f for f in rivals}.get(f.t_ms, f) for f in fixes], fixes
    by_time = {f.t_ms: f for f in fixes} | {f.t_ms: f for f in rivals}
    for batch in data.draw(arrivals(list(by_time.values()))):
        tables.put(batch)
    for batch in data.draw(arrivals(fixes)):
        tables.put(batch)
    assert_same(tables, one_pass(tables))


ASTRAY = [
    {"latitude_deg": 0.0, "longitude_deg": 0.0},
    {"accuracy_m": 400.0},
    dict(zip(("latitude_deg", "longitude_deg"), at(21_000), strict=True)),
    dict(zip(("latitude_deg", "longitude_deg"), at(5), strict=True)),
    {"ignition": False},
]


def test_a_run_whose_newest_fix_is_replaced_by_an_unusable_one_ends_where_it_did_before() -> None:
    """The checkpoint lies just before that fix: reading it again finds nothing that can be used."""
    fixes = [fix(20 + 60 * i, 5.0) for i in range(18)]
    tables = Tables(fences_of([place(1)]))
    for one in fixes:
        tables.put([one])
    assert max(tables.checkpoints) == fixes[-2].t_ms
    tables.put([RefFix(fixes[-1].t_ms, 0.0, 0.0)])
    assert [visit.last_inside_at for visit in tables.visits.values()] == [fixes[-2].t_ms]
    assert_same(tables, one_pass(tables))


def test_a_correction_before_the_first_leg_leaves_the_legs_after_it() -> None:
    tables = Tables(fences_of([place(1)]))
    tables.put([RefFix(NOON, 0.0, 0.0)])
    tables.put([fix(60 * i, 5.0) for i in range(1, 20)])
    assert len(tables.legs) == 1
    tables.put([fix(0, 5.0, acc_m=500.0)])
    assert_same(tables, one_pass(tables))


def test_a_late_fix_in_the_newest_minute_leaves_the_open_leg() -> None:
    fixes = [fix(20 + 60 * i, 5.0) for i in range(20)]
    late = fix(20 + 60 * 19 + 10, 5.0)
    tables = Tables(fences_of([place(1)]))
    tables.put([*fixes, fix(20 + 60 * 19 + 15, 5.0, acc_m=500.0)])
    assert len(tables.legs) == 1
    tables.put([late])
    assert len(tables.legs) == 1
    assert_same(tables, one_pass(tables))


@settings(max_examples=200)
@given(st.data())
def test_checkpoints_are_the_states_of_one_pass(data: st.DataObject) -> None:
    places = data.draw(chosen_places)
    tables = Tables(fences_of(places))
    for batch in data.draw(arrivals(data.draw(tracks(places)))):
        tables.put(batch)
    for through, checkpoint in tables.checkpoints.items():
        whole = Tables(tables.fences)
        whole.put([f for f in tables.fixes.values() if f.t_ms <= through])
        assert whole.progress is not None
        assert whole.progress.state == checkpoint.state


@settings(max_examples=200)
@given(st.data())
def test_an_edited_fence_gives_the_rows_of_one_pass_with_it(data: st.DataObject) -> None:
    places = data.draw(chosen_places)
    edited = data.draw(st.sampled_from(places))
    radius_m = data.draw(st.sampled_from([30.0, edited.circle_m + 0.2, 200.0, 500.0]))
    after = fences_of([replace(p, circle_m=radius_m) if p is edited else p for p in places])
    batches = data.draw(arrivals(data.draw(tracks(places))))
    moment = data.draw(st.integers(0, len(batches)))
    tables = Tables(fences_of(places))
    for batch in batches[:moment]:
        tables.put(batch)
    tables.edit(after, frozenset({edited.site_id}))
    for batch in batches[moment:]:
        tables.put(batch)
    assert_same(tables, one_pass(tables))


@settings(max_examples=200)
@given(st.data())
def test_another_plan_during_the_day_gives_the_rows_of_one_pass_with_it(
    data: st.DataObject,
) -> None:
    places = data.draw(chosen_places)
    plans = [
        [stop(i, i, p.site_id) for i, p in enumerate(places) if data.draw(st.booleans())]
        for _ in range(2)
    ]
    batches = data.draw(arrivals(data.draw(tracks(places))))
    moment = data.draw(st.integers(0, len(batches)))
    tables = Tables(fences_of(places), plans[0])
    for batch in batches[:moment]:
        tables.put(batch)
    tables.replan(plans[1])
    for batch in batches[moment:]:
        tables.put(batch)
    assert_same(tables, one_pass(tables))


# ---- the price


def day(hours: int, places: Sequence[Place]) -> list[RefFix]:
    """Return a fix every 10 s: 20 minutes at each place in turn, then 20 minutes of road."""
    made = []
    for i in range(hours * 360):
        there = (i // 120) % 2 == 0
        east_m = (i // 240) % len(places) * 5_000.0 if there else 2_000.0 + (i % 120) * 150
        made.append(fix(10 * i, east_m))
    return made


@pytest.fixture
def real_hours() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reread, "SLICE_MS", 3_600_000)
        yield


SITES = [place(i + 1, 5_000.0 * i) for i in range(8)]


@pytest.mark.parametrize("hours_late", [0.2, 1, 4, 9])
def test_a_late_fix_costs_two_hours_of_fixes_however_late_it_is(
    real_hours: None, hours_late: float
) -> None:
    fixes = day(10, SITES)
    late = fixes.pop(round((10 - hours_late) * 360))
    tables = Tables(fences_of(SITES))
    tables.put(fixes)
    before = tables.read
    tables.put([late])
    assert tables.read - before <= 2 * 360 + 1
    assert_same(tables, one_pass(tables))


@pytest.mark.parametrize("poor_s", [0, 50, 600])
@pytest.mark.parametrize("size", [1, 7, 361, 5_000])
def test_a_fix_held_at_the_hours_end_puts_off_the_checkpoint_by_no_more_than_a_minute(
    real_hours: None, poor_s: int, size: int
) -> None:
    """It leaps 9 km aside, and what follows may be too poor to tell whether it did."""
    fixes = day(4, SITES)
    latitude_deg, longitude_deg = at(0, 9_000)
    fixes[360] = replace(fixes[360], latitude_deg=latitude_deg, longitude_deg=longitude_deg)
    for i in range(361, 361 + poor_s // 10):
        fixes[i] = replace(fixes[i], accuracy_m=500.0)
    tables = Tables(fences_of(SITES))
    for i in range(0, len(fixes), size):
        tables.put(fixes[i : i + size])
    made = sorted(tables.checkpoints)
    assert made[0] - NOON <= 3_600_000 + 1_000 * poor_s + 60_000
    assert all(b - a <= 3_610_000 for a, b in pairwise([*made, fixes[-1].t_ms]))
    assert_same(tables, one_pass(tables))


def test_two_late_fixes_do_not_cost_the_hours_between_them(real_hours: None) -> None:
    fixes = day(10, SITES)
    late = [fixes.pop(3_000), fixes.pop(100)]
    tables = Tables(fences_of(SITES))
    tables.put(fixes)
    before = tables.read
    tables.put(late)
    assert tables.read - before <= 4 * 360 + 2
    assert_same(tables, one_pass(tables))


def test_a_day_of_backlog_after_a_day_of_live_data_gives_the_rows_of_one_pass(
    real_hours: None,
) -> None:
    first = day(10, SITES)
    second = [replace(f, t_ms=f.t_ms + 86_400_000) for f in day(10, SITES)]
    tables = Tables(fences_of(SITES))
    for i in range(0, len(second), 30):
        tables.put(second[i : i + 30])
    for i in reversed(range(0, len(first), 1_000)):
        tables.put(first[i : i + 1_000])
    assert_same(tables, one_pass(tables))


def forget(tables: Tables, before: int) -> None:
    """Drop fixes and checkpoints that are too old to be kept; what they said stays."""
    tables.fixes = {t_ms: f for t_ms, f in tables.fixes.items() if t_ms >= before}
    tables.checkpoints = {t: kept for t, kept in tables.checkpoints.items() if t >= before}


@pytest.mark.parametrize("late_s", [5 * 3_600 + 5, 5 * 3_600 + 1_805, 9 * 3_600 + 5])
def test_what_fixes_said_that_are_no_longer_kept_stays(real_hours: None, late_s: int) -> None:
    tables = Tables(fences_of(SITES))
    tables.put(day(10, SITES))
    horizon = NOON + 5 * 3_600_000
    old = {key: visit for key, visit in tables.visits.items() if visit.arrived_at < horizon}
    old_legs = {t: leg for t, leg in tables.legs.items() if leg.ended_at < horizon}
    assert len(old) >= 5
    forget(tables, horizon)
    tables.put([fix(late_s, 90_000.0, acc_m=500)])
    assert old.items() <= tables.visits.items()
    assert old_legs.items() <= tables.legs.items()
    tables.edit(tables.fences, frozenset({SITES[0].site_id}))
    assert old.items() <= tables.visits.items()
    assert old_legs.items() <= tables.legs.items()


def test_a_van_that_stays_all_day_is_read_to_the_end_of_its_stay(real_hours: None) -> None:
    fixes = [fix(10 * i, 3.0) for i in range(5 * 360)] + [fix(18_000 + i, 900) for i in (0, 70)]
    late = fixes.pop(500)
    tables = Tables(fences_of([place(1)]))
    tables.put(fixes)
    tables.put([late])
    assert_same(tables, one_pass(tables))


def test_a_site_of_another_shape_is_known_by_its_new_shape_at_once() -> None:
    tables = Tables(Fences([]))
    tables.put([fix(30 * i, 5.0) for i in range(60)])
    assert not tables.visits
    home = PLACES[0]
    tables.edit(Fences([Site(1, 1, home.latitude_deg, home.longitude_deg, 60.0)]), frozenset({1}))
    assert [visit.verdict for visit in tables.visits.values()] == ["visit"]


def test_a_plan_that_comes_after_the_visit_makes_a_short_stay_a_visit() -> None:
    tables = Tables(fences_of([place(1)]))
    tables.put([fix(30 * i, 5.0) for i in range(4)] + [fix(120 + 70 * i, 900) for i in range(3)])
    assert [visit.verdict for visit in tables.visits.values()] == ["pass"]
    tables.replan([stop(1, 1, 1)])
    assert [(v.verdict, v.stop_id) for v in tables.visits.values()] == [("visit", 1)]
    tables.replan([stop(1, 1, 1, TODAY + timedelta(days=1))])
    assert [(v.verdict, v.stop_id) for v in tables.visits.values()] == [("pass", None)]
