"""Whatever the order, the repeats and the batches: the same fixes give the same rows.

Fixes go through `ingest.service.commit` into a real database, without a broker. The rows that they
leave must be those of one batch in order, and those that a slow reading of DESIGN.md gives.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from math import hypot
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest import service
from ingest.batch import Delivery
from storage.pool import Pool
from tests.integration.without_broker import (
    CLEAR,
    HOUR,
    MINUTE,
    MONDAY,
    TABLES,
    Base,
    Batches,
    local_ms,
    message,
    stay,
)
from tests.unit import reference_visits
from tests.unit.reference_visits import Place, RefFix, RefRun
from tests.unit.test_geofence_visits import HERE, NOON, PLACES, at
from tests.unit.test_geofence_visits import tracks as random_tracks

# ---- a day of two vans

DAY_PLACES = [
    Place(1, *at(0, 0), 80),
    Place(2, *at(3_000, 0), 100),
    Place(3, *at(6_000, 500), 90),
    Place(4, *at(6_080, 540), 120),  # overlaps 3
    Place(5, *at(4_500, 250), 260),  # on the way from 2 to 3
    Place(6, *at(3_000, -4_000), 60),
    Place(7, *at(0, -4_000), 50, (150, 90)),
]

Leg = tuple[float, float, float]
"""Where a van goes next, metres east and north, and how many minutes it stays."""

LEGS: dict[int, list[Leg]] = {
    1: [(0, 0, 35), (3_000, 0, 25), (6_003, 505, 50), (3_000, 10, 20), (0, -4_000, 45),
        (0, -3_790, 0.5), (0, -4_050, 15), (9_000, -2_000, 30), (0, 20, 2.2)],
    2: [(-2_000, 1_000, 10), (6_082, 545, 40), (0, -3_900, 1.5), (3_000, 40, 2),
        (4_500, 300, 70), (-2_000, 1_000, 1)],
}  # fmt: skip

#: Stops by van: site, hours at which the window opens and closes. Van 1 is twice at 2 before 7.
PLAN: dict[int, list[tuple[int, int, int]]] = {
    1: [(1, 7, 9), (2, 8, 10), (3, 9, 10), (7, 9, 10), (2, 12, 13), (6, 10, 12)],
    2: [(4, 8, 9), (7, 9, 12), (2, 9, 10), (2, 15, 16)],
}


def drive(rng: Random, legs: Sequence[Leg], t_ms: int) -> list[RefFix]:
    """Return a fix each 30 s of driving at 14 m/s and each minute of standing, with faults."""
    made: list[RefFix] = []
    where = (-1_500.0, 700.0)

    def report(east: float, north: float, *, ignition: bool) -> None:
        noise = rng.gauss(0, 5), rng.gauss(0, 5)
        accuracy = rng.choice([None, 5.0, 12.0, 40.0])
        fix = RefFix(t_ms, *at(east + noise[0], north + noise[1]), accuracy, ignition)
        fault = rng.random()
        if fault < 0.02:
            fix = replace(fix, accuracy_m=400.0)
        elif fault < 0.03:
            fix = RefFix(t_ms, 0.0, 0.0, 5.0, ignition)
        elif fault < 0.045:
            fix = RefFix(t_ms, *at(east + 30_000, north), 5.0, ignition)
        elif fault < 0.08:
            return  # never sent
        made.append(fix)

    for east, north, stay_min in legs:
        steps = max(1, round(hypot(east - where[0], north - where[1]) / 420))
        for step in range(1, steps):
            share = step / steps
            t_ms += 30_000 + rng.randrange(-900, 900)
            report(
                where[0] + share * (east - where[0]),
                where[1] + share * (north - where[1]),
                ignition=True,
            )
        t_ms += 30_000
        until = t_ms + round(stay_min * MINUTE)
        out_of_reach = stay_min == 70  # a cellar: nothing heard for most of the stay
        while t_ms < until:
            parked = 10 <= stay_min < 70 and rng.random() < 0.5
            report(east, north, ignition=not parked)
            t_ms += HOUR if out_of_reach else MINUTE + rng.randrange(-900, 900)
        where = (east, north)
    return made


def day_of_fixes(seed: int, day: date) -> dict[int, list[RefFix]]:
    """Return by van what it sends in a day, in order of time."""
    rng = Random(f"{seed} {day}")
    return {van: drive(rng, legs, local_ms(day, 7, 40)) for van, legs in LEGS.items()}


def in_order(fixes: dict[int, list[RefFix]]) -> list[Delivery]:
    """Return one message a fix, of both vans, in order of time."""
    told = [(f.t_ms, van, f) for van, of_van in fixes.items() for f in of_van]
    return [message(van, f) for _, van, f in sorted(told, key=lambda each: each[:2])]


def cut(deliveries: Sequence[Delivery], rng: Random, size_max: int) -> list[Sequence[Delivery]]:
    """Return deliveries as batches of random sizes."""
    batches, start = [], 0
    while start < len(deliveries):
        end = start + rng.randint(1, size_max)
        batches.append(deliveries[start:end])
        start = end
    return batches


def shuffled(deliveries: Sequence[Delivery], rng: Random) -> list[Delivery]:
    return rng.sample(deliveries, len(deliveries))


def plan_day(base: Base, day: date) -> None:
    for van, stops in PLAN.items():
        base.put_tour(
            van,
            day,
            [(site, local_ms(day, start), local_ms(day, end)) for site, start, end in stops],
        )


@pytest.fixture
def planned_base(base: Base) -> Base:
    """Sites and tours of a Monday and a Tuesday."""
    for place in DAY_PLACES:
        base.put_site(place)
    for day in (MONDAY, MONDAY + timedelta(days=1)):
        plan_day(base, day)
    return base


def monday_stops(van: int) -> reference_visits.Planned:
    planned = {site for site, _, _ in PLAN[van]}
    return lambda site_id, _t_ms: site_id in planned


def visit_rows(base: Base, van_id: int) -> list[RefRun]:
    """Return the table's runs of a van in the reference's own words."""
    rows = base.rows(
        "SELECT site_id, (extract(epoch FROM arrived_at) * 1000)::bigint,"
        " (extract(epoch FROM last_inside_at) * 1000)::bigint,"
        " (extract(epoch FROM left_at) * 1000)::bigint,"
        " (extract(epoch FROM closed_by) * 1000)::bigint, ignition_off, distance_m_mean, verdict,"
        f" uncertain, shadowed_by FROM visit WHERE van_id = {van_id}"
    )
    return comparable(RefRun(*row) for row in rows)


def comparable(runs: Iterable[RefRun]) -> list[RefRun]:
    return sorted(runs, key=lambda run: (run.arrived_at, run.site_id))


SEEDS = [1, 2, 3]
EVENING = local_ms(MONDAY, 23)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_day_in_one_batch_is_what_the_design_says(planned_base: Base, seed: int) -> None:
    fixes = day_of_fixes(seed, MONDAY)
    planned_base.deliver([in_order(fixes)], EVENING)
    for van, of_van in fixes.items():
        expected = reference_visits.runs(of_van, DAY_PLACES, monday_stops(van))
        assert visit_rows(planned_base, van) == comparable(expected)


def test_the_generated_day_has_something_of_everything(planned_base: Base) -> None:
    """A generator that tests nothing would pass every test."""
    columns = ("verdict", "punctuality", "alert", "reason", "leg", "wrong_order", "overstayed")
    seen: dict[str, set[Any]] = {name: set() for name in columns}
    shadows = uncertain = 0
    for seed in SEEDS:
        tables = planned_base.deliver([in_order(day_of_fixes(seed, MONDAY))], EVENING)
        for verdict, punctuality, wrong_order, overstayed, shadowed_by, doubt in planned_base.rows(
            "SELECT verdict, punctuality, wrong_order, overstayed, shadowed_by, uncertain FROM visit"
        ):
            seen["wrong_order"].add(wrong_order)
            seen["overstayed"].add(overstayed)
            seen["verdict"].add(verdict)
            seen["punctuality"].add(punctuality)
            shadows += shadowed_by is not None
            uncertain += doubt
        seen["alert"] |= {(kind, state) for _, kind, _, _, state in tables["alert"]}
        seen["reason"] |= {reason for _, _, reason in tables["unusable_fix"]}
        seen["leg"] |= {kind for _, _, kind, *_ in tables["leg"]}
    assert seen == {
        "verdict": {"visit", "pass"} | (seen["verdict"] & {"undecided"}),
        "punctuality": {"early", "on_time", "late", "unplanned", "repeated", None},
        "alert": {("late", "open"), ("late", "cleared"), ("overstayed", "cleared")},
        "reason": {"null_island", "poor_accuracy", "jump"},
        "leg": {"trip", "halt"},
        "wrong_order": {False, True},
        "overstayed": {False, True},
    }
    assert shadows
    assert uncertain


@pytest.mark.parametrize("seed", SEEDS)
def test_many_batches_in_order_give_the_rows_of_one(planned_base: Base, seed: int) -> None:
    told = in_order(day_of_fixes(seed, MONDAY))
    expected = planned_base.deliver([told], EVENING)
    assert planned_base.deliver(cut(told, Random(seed), 40), EVENING) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_a_shuffled_day_gives_the_rows_of_one_in_order(planned_base: Base, seed: int) -> None:
    told = in_order(day_of_fixes(seed, MONDAY))
    expected = planned_base.deliver([told], EVENING)
    rng = Random(seed)
    assert planned_base.deliver(cut(shuffled(told, rng), rng, 80), EVENING) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_redelivered_in_other_batches_changes_nothing(
    planned_base: Base, seed: int
) -> None:
    told = in_order(day_of_fixes(seed, MONDAY))
    expected = planned_base.deliver([told], EVENING)
    rng = Random(seed)
    again = [rng.choice(told) for _ in range(len(told) // 2)]
    early_repeats = cut(shuffled([*told, *again], rng), rng, 120)
    assert planned_base.deliver(early_repeats, EVENING) == expected
    for batch in cut(told, rng, 300):
        planned_base.commit(batch, EVENING)
    assert planned_base.tables() == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_a_better_fix_of_the_same_moment_wins_in_any_order(planned_base: Base, seed: int) -> None:
    """Some fixes come twice under one key: once right, once astray with a worse accuracy."""
    rng = Random(seed)
    fixes = day_of_fixes(seed, MONDAY)
    astray = []
    for van, of_van in fixes.items():
        for fix in rng.sample(of_van, len(of_van) // 5):
            sharp = replace(fix, accuracy_m=2.0 + rng.random())
            of_van[of_van.index(fix)] = sharp
            lat, lon = at(rng.uniform(-500, 6_500), rng.uniform(-4_500, 700))
            astray.append(message(van, RefFix(fix.t_ms, lat, lon, 50.0, ignition=False)))
    right = in_order(fixes)
    expected = planned_base.deliver([right], EVENING)
    assert planned_base.deliver([[*right, *astray]], EVENING) == expected
    mixed = shuffled([*right, *astray], rng)
    assert planned_base.deliver(cut(mixed, rng, 80), EVENING) == expected
    assert planned_base.deliver([astray, *cut(right, rng, 80)], EVENING) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_a_backlog_after_a_day_of_live_data_gives_the_rows_of_order(
    planned_base: Base, seed: int
) -> None:
    """On Monday hours are missing; Tuesday is heard live; then the tablets send their backlog."""
    tuesday = MONDAY + timedelta(days=1)
    now = local_ms(tuesday, 23)
    rng = Random(seed)
    first, second = day_of_fixes(seed, MONDAY), day_of_fixes(seed, tuesday)
    expected = planned_base.deliver([[*in_order(first), *in_order(second)]], now)
    gap = local_ms(MONDAY, 8, 30), local_ms(MONDAY, 10, 45)
    missing = {van: [f for f in of if gap[0] <= f.t_ms < gap[1]] for van, of in first.items()}
    heard = {van: [f for f in of if f not in missing[van]] for van, of in first.items()}
    backlog = [
        message(van, *of_van[i : i + 25])
        for van, of_van in missing.items()
        for i in range(0, len(of_van), 25)
    ]
    live = [*cut(in_order(heard), rng, 60), *cut(in_order(second), rng, 60)]
    assert planned_base.deliver([*live, backlog], now) == expected
    interleaved = [*live[: len(live) * 2 // 3], *[[one] for one in shuffled(backlog, rng)],
                   *live[len(live) * 2 // 3 :]]  # fmt: skip
    assert planned_base.deliver(interleaved, now) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_a_whole_day_that_comes_after_the_next_gives_the_rows_of_order(
    planned_base: Base, seed: int
) -> None:
    """Tuesday is heard live; of Monday everything comes on Tuesday evening, the newest first."""
    tuesday = MONDAY + timedelta(days=1)
    now = local_ms(tuesday, 23)
    rng = Random(seed)
    monday, live = in_order(day_of_fixes(seed, MONDAY)), in_order(day_of_fixes(seed, tuesday))
    expected = planned_base.deliver([[*monday, *live]], now)
    told = [*cut(live, rng, 60), *reversed(cut(monday, rng, 200))]
    assert planned_base.deliver(told, now) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_two_late_fixes_hours_apart_give_the_rows_of_order(planned_base: Base, seed: int) -> None:
    told = in_order(day_of_fixes(seed, MONDAY))
    expected = planned_base.deliver([told], EVENING)
    rng = Random(seed)
    for _ in range(5):
        late = {len(told) // 10 + rng.randrange(20), len(told) * 3 // 4 + rng.randrange(20)}
        rest = [one for i, one in enumerate(told) if i not in late]
        batches = [*cut(rest, rng, 50), [told[i] for i in late]]
        assert planned_base.deliver(batches, EVENING) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_alerts_made_live_end_as_those_made_afterwards(planned_base: Base, seed: int) -> None:
    """The clock runs with the day and ticks after every batch; the backlog comes in the evening."""
    fixes = day_of_fixes(seed, MONDAY)
    expected = planned_base.deliver([in_order(fixes)], EVENING)
    rng = Random(seed)
    late = {van: {f for f in of if rng.random() < 0.3} for van, of in fixes.items()}
    planned_base.execute(CLEAR)
    told = sorted((f.t_ms, van, f) for van, of in fixes.items() for f in of if f not in late[van])
    for start in range(0, len(told), 15):
        part = told[start : start + 15]
        planned_base.commit([message(van, f) for _, van, f in part], part[-1][0])
        planned_base.tick(part[-1][0])
    backlog = [message(van, *sorted(of, key=lambda f: f.t_ms)) for van, of in late.items()]
    planned_base.commit(backlog, EVENING)
    planned_base.tick(EVENING)
    assert planned_base.tables() == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_two_ingests_at_once_give_the_rows_of_one(planned_base: Base, seed: int) -> None:
    told = in_order(day_of_fixes(seed, MONDAY))
    expected = planned_base.deliver([told], EVENING)
    planned_base.execute(CLEAR)
    batches = cut(told, Random(seed), 60)

    async def ingest(pool: Pool, mine: Batches) -> None:
        for batch in mine:
            await service.commit(pool, list(batch), None, lambda: EVENING)

    async def both() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ingest(planned_base.pool, batches[::2]))
            tasks.create_task(ingest(planned_base.other_pool, batches[1::2]))

    planned_base.run(both)
    planned_base.tick(EVENING)
    assert planned_base.tables() == expected


def test_two_ingests_of_the_same_messages_give_the_rows_of_one(planned_base: Base) -> None:
    told = in_order(day_of_fixes(1, MONDAY))
    expected = planned_base.deliver([told], EVENING)
    planned_base.execute(CLEAR)

    async def ingest(pool: Pool, seed: int) -> None:
        rng = Random(seed)
        for batch in cut(shuffled(told, rng), rng, 150):
            await service.commit(pool, list(batch), None, lambda: EVENING)

    async def both() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ingest(planned_base.pool, 1))
            tasks.create_task(ingest(planned_base.other_pool, 2))

    planned_base.run(both)
    planned_base.tick(EVENING)
    assert planned_base.tables() == expected


# ---- random tracks in random order, small enough to be shrunk

EVENING_OF_TRACKS = NOON + 12 * HOUR


@pytest.fixture
def track_base(base: Base) -> Base:
    """The sites of the unit tests; two of them planned, one of these twice."""
    for place in PLACES:
        base.put_site(place)
    base.put_tour(
        1, MONDAY, [(1, NOON, NOON + HOUR), (3, NOON, NOON + HOUR), (1, NOON, NOON + 2 * HOUR)]
    )
    return base


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_order_of_any_track_gives_what_the_design_says(
    track_base: Base, data: st.DataObject
) -> None:
    fixes = data.draw(random_tracks(PLACES))
    sent = data.draw(st.permutations([*fixes, *data.draw(st.lists(st.sampled_from(fixes)))]))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(sent)), max_size=8)) | {0, len(sent)})
    messages = [message(1, f) for f in sent]
    expected = track_base.deliver([[message(1, f) for f in fixes]], EVENING_OF_TRACKS)
    runs = reference_visits.runs(fixes, PLACES, lambda site_id, _: site_id in {1, 3})
    assert visit_rows(track_base, 1) == comparable(runs)
    batches = [messages[start:end] for start, end in pairwise(cuts)]
    assert track_base.deliver(batches, EVENING_OF_TRACKS) == expected


# ---- alerts when the truth comes late


@pytest.fixture
def one_stop(base: Base) -> Base:
    """One site, one stop on Monday between 9 and 10."""
    base.put_site(Place(1, *HERE, 80))
    base.put_tour(1, MONDAY, [(1, local_ms(MONDAY, 9), local_ms(MONDAY, 10))])
    return base


ALERTS = "SELECT state, ended_at, reason FROM alert ORDER BY alert_id"
TEN = local_ms(MONDAY, 10)


def test_an_alert_is_withdrawn_when_the_backlog_shows_the_arrival_in_time(one_stop: Base) -> None:
    one_stop.tick(TEN + 16 * MINUTE)
    assert [state for state, *_ in one_stop.rows(ALERTS)] == ["open"]
    backlog = stay(TEN - 30 * MINUTE, 20)
    one_stop.commit([message(1, *backlog)], TEN + 20 * MINUTE)
    [(state, arrived_at, reason)] = one_stop.rows(ALERTS)
    assert (state, round(arrived_at.timestamp() * 1_000)) == ("withdrawn", TEN - 30 * MINUTE)
    assert "arrived in time" in reason
    assert [told for told, _ in one_stop.news()] == ["raised", "withdrawn"]
    one_stop.tick(TEN + 21 * MINUTE)
    assert len(one_stop.rows(ALERTS)) == 1


LATE = "SELECT state, told FROM alert WHERE kind = 'late'"


def elsewhere(t_ms: int) -> Delivery:
    return message(1, RefFix(t_ms, *at(9_000), 5.0))


def test_a_backlog_of_an_arrival_in_time_takes_nothing_back_of_a_van_not_heard_since(
    one_stop: Base,
) -> None:
    one_stop.commit([elsewhere(TEN - 40 * MINUTE)], TEN - 40 * MINUTE)
    for minutes in (1, 14):
        one_stop.tick(TEN + minutes * MINUTE)
    one_stop.commit([message(1, *stay(TEN - 30 * MINUTE, 20))], TEN + 14 * MINUTE)
    assert one_stop.rows(LATE) == []
    assert one_stop.news() == []


def test_a_van_that_is_seen_elsewhere_when_the_window_is_over_is_late_at_once(
    one_stop: Base,
) -> None:
    one_stop.commit([elsewhere(TEN - 1)], TEN - 1)
    one_stop.tick(TEN + MINUTE)
    assert one_stop.rows(LATE) == []
    one_stop.commit([elsewhere(TEN + 50_000)], TEN + MINUTE)
    one_stop.tick(TEN + MINUTE)
    assert one_stop.rows(LATE) == [("open", True)]


def test_a_late_arrival_clears_the_alert_and_says_by_how_much(one_stop: Base) -> None:
    one_stop.tick(TEN + 16 * MINUTE)
    arrival = stay(TEN + 18 * MINUTE, 3)[:-2]
    one_stop.commit([message(1, *arrival)], TEN + 22 * MINUTE)
    [(state, arrived_at, reason)] = one_stop.rows(ALERTS)
    assert (state, round(arrived_at.timestamp() * 1_000)) == ("cleared", TEN + 18 * MINUTE)
    assert reason == "arrived 18 min after the window ended"
    assert [told for told, _ in one_stop.news()] == ["raised", "cleared"]


def test_an_alert_is_raised_once_however_often_the_clock_ticks(one_stop: Base) -> None:
    for minutes in range(-3, 20):
        one_stop.tick(TEN + minutes * MINUTE)
    assert [state for state, *_ in one_stop.rows(ALERTS)] == ["open"]
    assert [told for told, _ in one_stop.news()] == ["raised"]


def test_a_cleared_alert_is_withdrawn_when_an_earlier_visit_is_found(one_stop: Base) -> None:
    one_stop.tick(TEN + 16 * MINUTE)
    one_stop.commit([message(1, *stay(TEN + 17 * MINUTE, 5))], TEN + 23 * MINUTE)
    one_stop.commit([message(1, *stay(TEN - 30 * MINUTE, 20))], TEN + 25 * MINUTE)
    assert [state for state, *_ in one_stop.rows(ALERTS)] == ["withdrawn"]
    kept = one_stop.rows("SELECT punctuality, stop_id IS NULL FROM visit ORDER BY arrived_at")
    assert kept == [("on_time", False), ("repeated", True)]


def test_old_news_is_stored_and_not_published(one_stop: Base) -> None:
    one_stop.commit([message(1, *stay(TEN + 12 * MINUTE, 5))], TEN + 5 * HOUR)
    assert [state for state, *_ in one_stop.rows(ALERTS)] == ["cleared"]
    assert one_stop.news() == []


def test_a_stop_missed_long_ago_is_stored_and_not_published(one_stop: Base) -> None:
    one_stop.tick(TEN + 5 * HOUR)
    assert [state for state, *_ in one_stop.rows(ALERTS)] == ["open"]
    assert one_stop.news() == []


def test_a_backlog_of_an_old_day_in_many_batches_publishes_nothing(one_stop: Base) -> None:
    """Nobody was told that the stop was missed, so nobody need hear that it was not."""
    one_stop.put_site(Place(2, *at(5_000), 80))
    now = TEN + 30 * HOUR
    one_stop.commit([message(1, *stay(TEN - 2 * HOUR, 20, 5_000))], now)
    one_stop.commit([message(1, *stay(TEN - 30 * MINUTE, 20))], now)
    assert one_stop.rows(TABLES["alert"]) == []
    assert one_stop.news() == []


def test_an_unmet_stop_of_a_past_day_is_told_alike_in_any_order(one_stop: Base) -> None:
    """A fix astray inside the site is corrected by a better one of the same moment."""
    now = TEN + 30 * HOUR
    astray = message(1, RefFix(TEN, *HERE, 50.0))
    right = message(1, RefFix(TEN, *at(3_000), 5.0))
    expected = one_stop.deliver([[astray, right]], now)
    assert one_stop.deliver([[right], [astray]], now) == expected
    assert one_stop.deliver([[astray], [right]], now) == expected


# ---- corners of the tables


#: Zone, day, the moment at which it begins (UTC), and how many hours it lasts.
NIGHTS = pytest.mark.parametrize(
    ("zone", "day", "begins", "hours"),
    [
        ("Europe/Paris", MONDAY, "2026-09-21T01:00Z", 24),
        ("Europe/Paris", date(2026, 10, 24), "2026-10-24T01:00Z", 25),  # its night has 02:00 twice
        ("Europe/Paris", date(2026, 3, 28), "2026-03-28T02:00Z", 23),  # its night has no 02:00
        ("Europe/Lisbon", date(2026, 10, 24), "2026-10-24T02:00Z", 25),
        ("Europe/Lisbon", date(2026, 3, 28), "2026-03-28T03:00Z", 23),
        # 03:00 comes twice, or not at all: then the clock leaps from 03:00 to 04:00.
        ("Europe/Helsinki", date(2026, 10, 24), "2026-10-24T00:00Z", 25),
        ("Europe/Helsinki", date(2026, 10, 25), "2026-10-25T01:00Z", 24),
        ("Europe/Helsinki", date(2026, 3, 28), "2026-03-28T01:00Z", 24),
        ("Europe/Helsinki", date(2026, 3, 29), "2026-03-29T01:00Z", 23),
    ],
)


def utc_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000)


@NIGHTS
def test_a_working_day_lasts_from_3_to_3_on_the_longest_and_the_shortest_night_too(
    base: Base, zone: str, day: date, begins: str, hours: int
) -> None:
    base.put_site(Place(1, *HERE, 80), zone)
    start = utc_ms(begins)
    end = start + hours * HOUR
    windows = [(1, start, start + HOUR), (1, end - HOUR, end)]
    base.put_tour(1, day, windows)
    stays = [
        message(1, *stay(arrival, 6))
        for arrival in (start - 20 * MINUTE, start, end - 10 * MINUTE, end)
    ]
    expected = base.deliver([stays], end + HOUR)
    rows = base.rows("SELECT service_date, punctuality FROM visit ORDER BY arrived_at")
    assert rows == [
        (day - timedelta(days=1), "unplanned"),
        (day, "on_time"),
        (day, "on_time"),
        (day + timedelta(days=1), "unplanned"),
    ]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        assert base.deliver([[stays[i]] for i in order], end + HOUR) == expected


@NIGHTS
def test_a_stop_is_missed_from_the_moment_at_which_visits_are_of_the_next_day(
    base: Base, zone: str, day: date, begins: str, hours: int
) -> None:
    base.put_site(Place(1, *HERE, 80), zone)
    end = utc_ms(begins) + hours * HOUR
    base.put_tour(1, day, [(1, end - 3 * HOUR, end - 2 * HOUR)])
    kinds = "SELECT kind FROM alert WHERE state = 'open' ORDER BY 1"
    for now, expected in ((end, "late"), (end + 1, "missed")):
        base.tick(now)
        assert base.rows(kinds) == [(expected,)]
    base.commit([message(1, *stay(end, 6))], end + HOUR)
    assert base.rows(kinds) == [("missed",)]
    base.commit([message(1, *stay(end - 10 * MINUTE, 6))], end + HOUR)
    assert base.rows(kinds) == []


@pytest.mark.parametrize("zone", ["Europe/Paris", "Europe/Lisbon", "Europe/Helsinki"])
def test_a_night_tour_across_midnight_keeps_its_stops(base: Base, zone: str) -> None:
    base.put_site(Place(1, *HERE, 80), zone)
    base.put_site(Place(2, *at(3_000), 80), zone)
    evening, after_midnight, late_night = (
        local_ms(MONDAY + timedelta(days=days), hour, zone=ZoneInfo(zone))
        for days, hour in ((0, 22), (1, 0), (1, 2))
    )
    base.put_tour(
        1,
        MONDAY,
        [(site, start, start + 45 * MINUTE) for site, start in
         ((1, evening), (2, after_midnight), (1, late_night))],
    )  # fmt: skip
    stays = [
        message(1, *stay(start + 10 * MINUTE, 8, east_m))
        for start, east_m in ((evening, 0), (after_midnight, 3_000), (late_night, 0))
    ]
    now = late_night + 5 * HOUR
    expected = base.deliver([[one] for one in stays], now)
    assert base.rows(
        "SELECT service_date, position, punctuality FROM visit JOIN stop USING (stop_id)"
        " ORDER BY arrived_at"
    ) == [(MONDAY, position, "on_time") for position in (1, 2, 3)]
    assert expected["alert"] == []
    assert base.deliver([stays[::-1]], now) == expected


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_better_fix_at_null_island_leaves_the_same_position_in_any_order(
    base: Base, order: tuple[int, int]
) -> None:
    """Two fixes of one moment, the better one at (0, 0), which is no position."""
    earlier = message(1, RefFix(TEN - MINUTE, *HERE, 5.0))
    rivals = [message(1, RefFix(TEN, *HERE, 50.0)), message(1, RefFix(TEN, 0.0, 0.0, 5.0))]
    expected = base.deliver([[earlier, *rivals]], EVENING)
    assert base.deliver([[earlier], *[[rivals[i]] for i in order]], EVENING) == expected


def test_the_newest_position_is_the_newest_fix_whatever_comes_last(base: Base) -> None:
    fixes = [RefFix(TEN + i * MINUTE, *at(100 * i), 5.0) for i in range(5)]
    expected = base.deliver([[message(1, *fixes)]], EVENING)
    assert len(expected["van_position"]) == 1
    assert expected["van_position"][0][2:4] == at(400)
    for order in ([4, 0, 1, 2, 3], [4, 3, 2, 1, 0], [0, 4, 2, 1, 3]):
        assert base.deliver([[message(1, fixes[i])] for i in order], EVENING) == expected


def test_the_newest_fix_corrected_by_a_better_one_is_read_again(one_stop: Base) -> None:
    road = [RefFix(TEN - i * HOUR, *at(3_000), 5.0) for i in (2, 1)]
    astray, right = RefFix(TEN, *HERE, 50.0, ignition=False), RefFix(TEN, *at(3_100), 5.0)
    told = [message(1, *road), message(1, astray), message(1, right)]
    expected = one_stop.deliver([told], TEN)
    assert expected["visit"] == []
    assert one_stop.deliver([[one] for one in told], TEN) == expected


def test_a_late_fix_keeps_the_beginning_of_a_run_that_is_still_open(base: Base) -> None:
    """A small site within a large one: left, but the van never left the large one."""
    for place in (Place(1, *HERE, 40), Place(2, *at(200), 400)):
        base.put_site(place)
    small = [RefFix(TEN + i * MINUTE, *HERE, 5.0) for i in range(5)]
    large = [RefFix(TEN + i * MINUTE, *at(300), 5.0) for i in range(5, 12)]
    late = RefFix(large[-1].t_ms - 1_000, *at(310), 5.0)
    expected = base.deliver([[message(1, *small, *large, late)]], EVENING)
    assert [row[1:3] for row in base.rows("SELECT van_id, site_id, closed_by IS NULL FROM visit"
                                          " ORDER BY site_id")] == [(1, False), (2, True)]  # fmt: skip
    assert base.deliver([[message(1, *small, *large)], [message(1, late)]], EVENING) == expected
