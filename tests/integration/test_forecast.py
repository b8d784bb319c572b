"""Arrival times, risks and silences in real tables, with a clock that the test moves."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
import psycopg
import pytest
from msgspec.structs import replace
from psycopg.rows import TupleRow

from geofence import tracks
from geofence.forecast import store as forecast
from geofence.forecast.accuracy import tally
from geofence.forecast.travel import UNCALIBRATED
from geofence.forecast.work import UNCALIBRATED_WORK
from ingest import service
from ingest.batch import Delivery
from ingest.messages import Position, Status, encode
from storage.pool import Pool, connect
from storage.settings import as_datetime
from tests.unit.test_geofence_visits import at

MINUTE = 60_000
EIGHT = round(datetime(2026, 6, 3, 8, tzinfo=ZoneInfo("Europe/Paris")).timestamp() * 1_000)

SITES = """
INSERT INTO site (site_id, organisation_id, code, name, latitude_deg, longitude_deg, radius_m)
VALUES (%s, 1, %s, 'a site', %s, %s, 80)
"""
TOUR = "INSERT INTO tour (code, van_id, service_date) VALUES ('T', 1, '2026-06-03')"
STOP = """
INSERT INTO stop (tour_id, position, site_id, window_start, window_end, planned_duration_s)
VALUES (1, %s, %s, to_timestamp(%s), to_timestamp(%s), 1200)
"""
RISKS = "SELECT state, told, minutes > 0 FROM alert WHERE kind = 'at_risk' ORDER BY alert_id"
SILENCES = "SELECT state, told, minutes FROM alert WHERE kind = 'silent' ORDER BY alert_id"


@dataclass
class Day:
    """A van with two stops, 8 and 16 km to the east, their windows from 8:00 to 9:00 and 10:00."""

    url: str
    pool: Pool

    async def drive(
        self, moments: Sequence[tuple[float, float]], now: float | None = None, van: str = "van-001"
    ) -> None:
        """Send fixes, as minutes after eight and metres to the east; all now, or at their times."""
        fixes = [
            Position(t=EIGHT + round(t * MINUTE), **dict(zip(("lat", "lon"), at(m), strict=True)))
            for t, m in moments
        ]
        batch = [Delivery(f"fleet/v1/{van}/position", encode(fix)) for fix in fixes]
        moment = EIGHT + round((moments[-1][0] if now is None else now) * MINUTE)
        await service.commit(self.pool, batch, None, lambda: moment)

    async def say(self, minutes: float, duty: str) -> None:
        moment = EIGHT + round(minutes * MINUTE)
        status = encode(Status("online", moment, duty))
        batch = [Delivery("fleet/v1/van-001/status", status)]
        await service.commit(self.pool, batch, None, lambda: moment)

    async def tick(self, minutes: float) -> None:
        await service.tick(self.pool, None, lambda: EIGHT + round(minutes * MINUTE))

    def rows(self, query: str) -> list[TupleRow]:
        with psycopg.connect(self.url) as conn:
            return conn.execute(query).fetchall()

    def news(self) -> list[tuple[str, str]]:
        rows = self.rows("SELECT payload FROM outbox WHERE topic LIKE 'planner/%' ORDER BY 1")
        return [(e["data"]["kind"], e["data"]["state"]) for e in (json.loads(p) for (p,) in rows)]


@pytest.fixture
async def day(company_url: str) -> AsyncIterator[Day]:
    with psycopg.connect(company_url) as conn:
        for site in (1, 2):
            conn.execute(SITES, [site, f"S{site}", *at(8_000.0 * site)])
        conn.execute(TOUR)
        for position, hours in ((1, 1), (2, 2)):
            conn.execute(STOP, [position, position, EIGHT / 1_000, EIGHT / 1_000 + 3_600 * hours])
    async with connect(company_url, "test", prepare=tracks.prepare) as pool:
        yield Day(company_url, pool)


ETAS = """
SELECT position, round(extract(epoch FROM expected_at - made_time) / 60) FROM eta JOIN stop
USING (stop_id) ORDER BY position
"""


def steady(since: float, until: float, from_m: float, to_m: float) -> list[tuple[float, float]]:
    """Return a fix every half minute from one place to another."""
    count = round((until - since) * 2)
    return [(since + i / 2, from_m + (to_m - from_m) * i / max(count, 1)) for i in range(count + 1)]


async def test_every_remaining_stop_has_an_arrival_time_after_a_batch(day: Day) -> None:
    await day.drive(steady(0, 10, 0, 4_000))
    (first, first_in), (second, second_in) = day.rows(ETAS)
    assert (first, second) == (1, 2)
    assert 4 < first_in < 20
    assert first_in + 20 < second_in < first_in + 60


async def test_an_arrival_time_goes_when_the_stop_is_reached(day: Day) -> None:
    await day.drive([*steady(0, 10, 0, 7_000), *steady(11, 14, 8_000, 8_000)])
    assert [position for position, _ in day.rows(ETAS)] == [2]


async def test_the_clock_foresees_what_no_message_has_for_a_minute(day: Day) -> None:
    await day.drive(steady(0, 10, 0, 4_000))
    before = day.rows("SELECT min(made_time) FROM eta")
    await day.tick(10.5)
    assert day.rows("SELECT min(made_time) FROM eta") == before
    await day.tick(12)
    assert day.rows("SELECT min(made_time) FROM eta") > before


async def test_a_stop_at_risk_is_shown_and_told_when_it_has_been_nearly_sure_for_a_minute(
    day: Day,
) -> None:
    await day.drive(steady(0, 30, 0, 2_000))
    assert day.rows(RISKS)[0][:2] == ("open", False)
    assert day.news() == []
    likely = "SELECT likely_since = made_time FROM eta JOIN stop USING (stop_id) WHERE position = 1"
    await day.drive(steady(31, 53, 2_000, 2_000))
    assert day.rows(likely) == [(True,)]
    assert day.rows(RISKS)[0][:2] == ("open", False)
    await day.drive(steady(53.5, 53.5, 2_000, 2_000))
    assert day.rows(RISKS)[0][:2] == ("open", False)
    await day.drive(steady(54, 54, 2_000, 2_000))
    assert day.rows(likely) == [(False,)]
    assert day.rows(RISKS)[0] == ("open", True, True)
    assert ("at_risk", "raised") in day.news()


async def test_a_risk_that_has_gone_is_withdrawn(day: Day) -> None:
    await day.drive(steady(0, 35, 0, 1_000))
    assert day.rows(RISKS)[0][0] == "open"
    await day.drive(steady(36, 40, 2_000, 7_850))
    assert day.rows(RISKS)[0][0] == "withdrawn"


async def test_a_risk_that_comes_true_becomes_a_delay(day: Day) -> None:
    await day.drive(steady(0, 50, 0, 1_000))
    alerts = "SELECT kind, state FROM alert JOIN stop USING (stop_id) WHERE position = 1"
    await day.tick(60.5)
    assert day.rows(alerts) == [("at_risk", "open")]
    await day.drive(steady(50.5, 60.5, 1_000, 1_200))
    await day.tick(60.5)
    assert sorted(day.rows(alerts)) == [("at_risk", "cleared"), ("late", "open")]


async def test_a_risk_is_over_when_the_van_arrives(day: Day) -> None:
    await day.drive(steady(0, 50, 0, 1_000))
    await day.drive([*steady(51, 56, 2_000, 7_500), *steady(56.5, 58, 8_000, 8_000)])
    states = day.rows(
        "SELECT state FROM alert JOIN stop USING (stop_id) WHERE kind = 'at_risk' AND position = 1"
    )
    assert {state for (state,) in states} <= {"cleared", "withdrawn"}


# ---- how far what was said was from what came

SAID = """
SELECT position, extract(epoch FROM said_30m_at)::float8, said_2h_at FROM eta JOIN stop USING (stop_id)
ORDER BY position
"""
ARRIVED = "SELECT extract(epoch FROM arrived_at)::float8 FROM visit WHERE stop_id = 2"
COUNTED = """
SELECT key, sum(value::int)::int FROM ingest_activity, jsonb_each_text(tallies)
WHERE key LIKE 'eta%' GROUP BY key
"""


async def visit_first(day: Day, until: float) -> None:
    """Reach the first stop, and stay there until so many minutes after eight."""
    await day.drive([*steady(6, 10, 4_500, 7_000), *steady(11, until, 8_000, 8_000)])


async def visit_second(day: Day, since: float) -> None:
    """Go on to the second stop, ten minutes away, and be seen to be there."""
    way = steady(since + 0.5, since + 10, 8_800, 15_500)
    await day.drive([*way, *steady(since + 11, since + 14, 16_000, 16_000)])


async def test_an_arrival_is_counted_by_how_much_later_it_is_than_was_said_half_an_hour_before(
    day: Day,
) -> None:
    await day.drive(steady(0, 5, 0, 4_000))
    ((_, first, _), (_, second, _)) = day.rows(SAID)
    assert first is None  # a quarter of an hour away when it was first foreseen
    assert second is not None
    await visit_first(day, until=60)
    ((_, said, _),) = day.rows(SAID)
    await visit_second(day, since=60)
    ((arrived,),) = day.rows(ARRIVED)
    assert arrived - said > 120
    assert day.rows(COUNTED) == [(tally("30m", arrived - said), 1)]
    await day.drive(steady(75, 80, 16_000, 16_000))
    assert day.rows(COUNTED) == [(tally("30m", arrived - said), 1)]
    assert day.rows(SAID) == []


async def test_what_is_said_less_than_half_an_hour_ahead_does_not_replace_what_was_said_before(
    day: Day,
) -> None:
    await day.drive(steady(0, 5, 0, 4_000))
    before = day.rows(SAID)[1][1]
    await visit_first(day, until=29)
    await day.drive(steady(30, 36, 9_000, 14_000))
    ahead = "SELECT extract(epoch FROM expected_at - made_time) < 1800, said_30m_at = expected_at"
    assert day.rows(f"{ahead} FROM eta") == [(True, False)]
    ((_, said, _),) = day.rows(SAID)
    assert before <= said


async def test_what_was_said_two_hours_before_is_kept_beside(day: Day) -> None:
    with psycopg.connect(day.url) as conn:
        conn.execute(
            "UPDATE stop SET planned_duration_s = 10_000 WHERE position = 1;"
            "UPDATE reference_version SET version = version + 1"
        )
    await day.drive(steady(0, 5, 0, 4_000))
    ((_, *first), (_, *second)) = day.rows(SAID)
    assert first == [None, None]
    assert None not in second
    await visit_first(day, until=60)
    await visit_second(day, since=60)
    assert sorted(key.split(":")[0] for key, _ in day.rows(COUNTED)) == ["eta_2h", "eta_30m"]


async def test_a_stop_that_was_never_half_an_hour_ahead_is_not_counted(day: Day) -> None:
    await day.drive(steady(0, 5, 0, 4_000))
    await visit_first(day, until=14)
    assert day.rows("SELECT count(*) FROM visit WHERE stop_id = 1") == [(1,)]
    assert day.rows(COUNTED) == []


async def test_what_was_said_before_the_tour_was_changed_counts_no_more(day: Day) -> None:
    await day.drive(steady(0, 5, 0, 4_000))
    with psycopg.connect(day.url) as conn:
        conn.execute(
            "UPDATE stop SET planned_duration_s = 60 WHERE position = 1;"
            "UPDATE reference_version SET version = version + 1"
        )
    await visit_first(day, until=14)
    ((_, said, _),) = day.rows(SAID)
    assert said is None
    await visit_second(day, since=16)
    assert day.rows("SELECT count(*) FROM visit WHERE stop_id = 2") == [(1,)]
    assert day.rows(COUNTED) == []


# ---- silence


async def test_a_van_on_duty_without_a_fix_for_15_minutes_is_silent(day: Day) -> None:
    await day.say(0, "on")
    await day.drive(steady(0, 5, 0, 1_000))
    await day.tick(19.9)
    assert day.rows(SILENCES) == []
    await day.tick(20.1)
    assert day.rows(SILENCES) == [("open", True, 15)]
    await day.tick(21)
    assert day.rows(SILENCES) == [("open", True, 15)]
    assert day.news().count(("silent", "raised")) == 1


async def test_a_van_that_reports_again_is_back(day: Day) -> None:
    await day.say(0, "on")
    await day.drive(steady(0, 5, 0, 1_000))
    await day.tick(21)
    await day.drive([(25, 1_500)])
    assert day.rows(SILENCES) == [("cleared", True, 20)]
    assert ("silent", "back") in day.news()


async def test_a_silence_that_a_backlog_fills_is_withdrawn_with_the_reason(day: Day) -> None:
    await day.say(0, "on")
    await day.drive(steady(0, 5, 0, 1_000))
    await day.tick(21)
    await day.drive([(25, 1_500)])
    await day.drive(steady(5.5, 24.5, 1_000, 1_500), now=26)
    assert [state for state, _, _ in day.rows(SILENCES)] == ["withdrawn"]
    assert day.rows("SELECT reason FROM alert WHERE kind = 'silent'") == [
        ("it had reported all the time: the messages came late",)
    ]


async def test_a_second_silence_is_another_alert(day: Day) -> None:
    await day.say(0, "on")
    await day.drive(steady(0, 5, 0, 1_000))
    await day.tick(21)
    await day.drive([(25, 1_500)])
    await day.tick(41)
    assert [state for state, _, _ in day.rows(SILENCES)] == ["cleared", "open"]


async def test_a_van_off_duty_is_not_silent(day: Day) -> None:
    await day.say(0, "on")
    await day.drive(steady(0, 5, 0, 1_000))
    await day.say(6, "off")
    await day.tick(40)
    assert day.rows(SILENCES) == []


async def test_a_van_that_goes_off_duty_ends_its_silence(day: Day) -> None:
    await day.say(0, "on")
    await day.drive(steady(0, 5, 0, 1_000))
    await day.tick(21)
    await day.say(22, "off")
    await day.tick(23)
    assert [state for state, _, _ in day.rows(SILENCES)] == ["cleared"]


async def test_where_nobody_switches_duty_the_windows_of_the_tour_are_the_shift(day: Day) -> None:
    await day.drive(steady(0, 5, 0, 1_000))
    await day.drive(steady(0, 5, 0, 1_000), van="van-002")  # has no tour today
    await day.tick(30)
    assert day.rows("SELECT van_id FROM alert WHERE kind = 'silent'") == [(1,)]


async def test_a_silence_long_past_is_a_fact_that_nobody_is_called_out_for(day: Day) -> None:
    await day.say(0, "on")
    await day.drive(steady(0, 5, 0, 1_000))
    await day.tick(100)
    assert day.rows(SILENCES) == [("open", False, 95)]


# ---- the models


async def test_models_are_calibrated_once_an_hour_on_the_fleets_own_visits(day: Day) -> None:
    await day.drive(
        [
            *steady(0, 8, 0, 7_000), *steady(9, 30, 8_000, 8_000), *steady(31, 40, 9_000, 15_000),
            *steady(41, 60, 16_000, 16_000), *steady(61, 65, 17_000, 20_000),
        ]
    )  # fmt: skip
    await day.tick(66)
    made = "SELECT made_time, (model ->> 'observations')::int, (work ->> 'observations')::int"
    (first,) = day.rows(f"{made} FROM travel_model")
    assert first[1:] == (1, 2)
    await day.tick(90)
    assert day.rows(f"{made} FROM travel_model") == [first]
    await day.tick(127)
    assert day.rows("SELECT made_time FROM travel_model") > [(first[0],)]


# ---- breaks, and where a way began


def around_noon(halted_min: int) -> list[tuple[float, float]]:
    """Return a day with two visits, and a halt between them; it is 11 when the first is left."""
    on = 200 + halted_min
    return [
        *steady(150, 158, 0, 7_000), *steady(159, 190, 8_000, 8_000), *steady(191, 200, 9_000, 12_000),
        *steady(200.5, on, 12_000, 12_000), *steady(on + 0.5, on + 8, 12_000, 15_500),
        *steady(on + 9, on + 30, 16_000, 16_000), *steady(on + 31, on + 35, 17_000, 20_000),
    ]  # fmt: skip


BREAK = "SELECT (model -> 'break_s' ->> 1)::float8 FROM travel_model"
STOOD_NOT = "SELECT min((part ->> 0)::float8) FROM travel_model, jsonb_array_elements(model -> 'standing') AS part"


@pytest.mark.parametrize(
    ("halted_min", "stands", "breaks_s"), [(0, False, None), (7, True, None), (45, False, 2_700)]
)
async def test_a_fleet_that_halts_at_noon_has_a_break_and_shorter_halts_are_standing(
    day: Day, halted_min: int, breaks_s: float | None, *, stands: bool
) -> None:
    await day.drive(around_noon(halted_min))
    await day.tick(300)
    [(found_s,)] = day.rows(BREAK)
    assert found_s == (breaks_s if breaks_s is None else pytest.approx(breaks_s, abs=120))
    [(share,)] = day.rows(STOOD_NOT)
    assert (share < 0.79) is stands


async def test_the_first_way_began_where_the_first_trip_did(day: Day) -> None:
    await day.drive([*steady(0, 10, 500, 500), *steady(10.5, 20, 600, 6_000)])
    async with day.pool.connection() as conn:
        [found] = await forecast._load_days(conn, [1], EIGHT + 20 * MINUTE)
    assert found.way.departed_at is not None
    assert abs(found.way.departed_at - EIGHT - 10 * MINUTE) <= 2 * MINUTE
    began, here = at(500), at(6_000)
    assert (found.way.origin.latitude_deg, found.way.origin.longitude_deg) == pytest.approx(
        began, abs=2e-3
    )
    assert (found.here.latitude_deg, found.here.longitude_deg) == pytest.approx(here, abs=1e-5)


PLANNED = """
UPDATE stop SET planned_arrival = to_timestamp(%s), window_start = to_timestamp(%s),
  window_end = to_timestamp(%s) WHERE position = %s
"""


async def second_in_min(day: Day, minutes: float, break_s: float | None) -> float:
    """Return in how many minutes the second stop is expected by a fleet with such a break."""
    spread = None if break_s is None else (break_s, break_s, break_s)
    model = msgspec.json.encode(replace(UNCALIBRATED, break_s=spread)).decode()
    work = msgspec.json.encode(UNCALIBRATED_WORK).decode()
    now = EIGHT + round(minutes * MINUTE)
    async with day.pool.connection() as conn:
        await conn.execute("DELETE FROM travel_model")
        await conn.execute(forecast.PUT_MODEL, (as_datetime(now), model, work))
        await forecast.foresee_vans(conn, [1], None, now)
    return float(dict(day.rows(ETAS))[2])


async def test_the_break_lies_where_the_plan_has_room_for_it_until_it_was_had(day: Day) -> None:
    with psycopg.connect(day.url) as conn:
        for position, minutes in ((1, 160), (2, 260)):
            planned_s = EIGHT / 1_000 + 60 * minutes
            conn.execute(PLANNED, [planned_s, planned_s - 600, planned_s + 1_800, position])
    way = around_noon(45)
    at_first = [fix for fix in way if fix[0] <= 180]
    await day.drive(at_first)
    without = await second_in_min(day, 180, None)
    assert await second_in_min(day, 180, 2_700) == pytest.approx(without + 45, abs=1)
    await day.drive([fix for fix in way if 180 < fix[0] <= 220])
    without = await second_in_min(day, 220, None)
    assert await second_in_min(day, 220, 2_700) == pytest.approx(without + 25, abs=4)
    await day.drive([fix for fix in way if 220 < fix[0] <= 252])
    without = await second_in_min(day, 252, None)
    assert await second_in_min(day, 252, 2_700) == pytest.approx(without, abs=1)
