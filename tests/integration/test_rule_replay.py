"""Past days by other rules: the same answer by the same rules, another by others, and nothing written."""

import asyncio
from datetime import date, datetime
from zoneinfo import ZoneInfo

import psycopg
import pytest
from click.testing import CliRunner

from geofence import tracks
from geofence.rules import USUAL
from ingest import service
from ingest.batch import Delivery
from ingest.messages import Position, encode
from ops.cli import main
from ops.rule_replay import UnknownRuleError, in_words, replay, rules_of
from storage.pool import connect
from storage.settings import Settings
from tests.unit.test_geofence_visits import at

DAY = date(2026, 6, 3)
NINE = round(datetime(2026, 6, 3, 9, tzinfo=ZoneInfo("Europe/Paris")).timestamp() * 1_000)


@pytest.fixture
def past(company_url: str) -> Settings:
    """A van that stayed 3.5 min at one site, 20 min at another, and passed 100 m from a third."""
    with psycopg.connect(company_url) as conn:
        for site, east_m in ((1, 0.0), (2, 5_000.0), (3, 10_000.0)):
            conn.execute(
                "INSERT INTO site (organisation_id, code, name, latitude_deg, longitude_deg,"
                " radius_m) VALUES (1, %s, 'a site', %s, %s, 80)",
                [f"S{site}", *at(east_m)],
            )
    way = [(30 * i, 3.0) for i in range(8)]
    way += [(300 + 30 * i, 500.0 + 900 * i) for i in range(5)]
    way += [(600 + 30 * i, 5_003.0) for i in range(41)]
    way += [(2_000 + 30 * i, 6_000.0 + 950 * i) for i in range(4)]
    way += [(2_200 + 30 * i, 10_100.0) for i in range(20)]
    way += [(3_000 + 60 * i, 15_000.0 + 500 * i) for i in range(3)]
    fixes = [
        Position(t=NINE + 1_000 * t, lat=latitude, lon=longitude)
        for t, east_m in way
        for latitude, longitude in [at(east_m)]
    ]

    async def put() -> None:
        async with connect(company_url, "test", prepare=tracks.prepare) as pool:
            batch = [Delivery("fleet/v1/van-001/position", encode(fix)) for fix in fixes]
            await service.commit(pool, batch, None, lambda: NINE + 7_200_000)

    asyncio.run(put())
    return Settings(database_url=company_url)


def said(settings: Settings, *rules: str) -> dict[str, object]:
    return replay(settings, DAY, DAY, rules_of(rules))


def test_the_same_rules_say_what_the_tables_say(past: Settings) -> None:
    outcome = said(past)
    assert outcome["as_it_was"] == outcome["as_it_would_be"]
    assert outcome["differences"] == []
    with psycopg.connect(past.database_url) as conn:
        verdicts = dict(conn.execute("SELECT verdict, count(*) FROM visit GROUP BY 1").fetchall())
    assert outcome["as_it_was"]["visit"] == verdicts["visit"] == 2


def test_a_longer_dwell_makes_fewer_visits_and_says_which(past: Settings) -> None:
    outcome = said(past, "dwell_s=240")
    assert outcome["as_it_would_be"]["visit"] == 1
    assert [(d["van"], d["site"], d["what"]) for d in outcome["differences"]] == [
        ("van-001", "S1", "no visit any more")
    ]


def test_a_larger_radius_finds_a_visit_beside_the_fence(past: Settings) -> None:
    outcome = said(past, "radius_m=120")
    assert [(d["site"], d["what"]) for d in outcome["differences"]] == [("S3", "a visit now")]


def test_a_replay_writes_nothing(past: Settings) -> None:
    tables = ("visit", "leg", "van_progress", "van_checkpoint", "alert", "outbox", "eta")

    def rows() -> list[object]:
        with psycopg.connect(past.database_url) as conn:
            return [
                conn.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in tables
            ]

    before = rows()
    said(past, "dwell_s=30", "radius_m=300")
    assert rows() == before


def test_a_day_without_fixes_says_nothing(past: Settings) -> None:
    outcome = replay(past, date(2026, 6, 1), date(2026, 6, 1), USUAL)
    assert outcome["as_it_was"] == {}


@pytest.mark.parametrize("text", ["dwel_s=240", "dwell_s", "dwell_s=long", "dwell_s=1.5"])
def test_a_rule_that_cannot_be_is_refused_with_what_can(text: str) -> None:
    with pytest.raises(UnknownRuleError, match=r"dwell_s"):
        rules_of([text])


def test_words_put_both_figures_side_by_side(past: Settings) -> None:
    lines = in_words(said(past, "dwell_s=240"))
    assert any(line.split() == ["visit", "2", "1"] for line in lines)
    assert lines[-2] == "1 visits differ"
    assert "S1  no visit any more" in lines[-1]


def test_the_command_says_what_is_wrong_with_a_rule() -> None:
    run = CliRunner().invoke(
        main, ["replay-rules", "--from", "2026-06-03", "--to", "2026-06-03", "--set", "dwell=1"]
    )
    assert run.exit_code == 1
    assert "There is no rule 'dwell'" in run.output


def test_a_van_that_stands_inside_a_fence_at_midnight_makes_one_visit(past: Settings) -> None:
    evening = NINE + 13 * 3_600_000
    latitude, longitude = at(5_003.0)
    with psycopg.connect(past.database_url) as conn:
        conn.execute(
            "INSERT INTO fix (van_id, fix_time, latitude_deg, longitude_deg, payload_hash,"
            " received_time) SELECT 1, to_timestamp(%s + 60 * i), %s, %s, i, now()"
            " FROM generate_series(0, 420) AS i",
            [evening // 1_000, latitude, longitude],
        )
    outcome = replay(past, DAY, date(2026, 6, 4), USUAL)
    assert outcome["van_days"] == 2
    assert outcome["as_it_was"] == said(past)["as_it_was"]
    assert outcome["as_it_was"]["visit"] == 3
