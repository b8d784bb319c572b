"""Arrival times, risks and silences in real tables, with a clock that the test moves."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg.rows import TupleRow

from geofence import tracks
from ingest import service
from ingest.batch import Delivery
from ingest.messages import Position, Status, encode
from storage.pool import Pool, connect
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
