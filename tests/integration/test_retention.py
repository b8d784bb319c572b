"""What is over goes, step by step and provably; and what it has proved stays, whatever is read again."""

import asyncio
import json
from collections.abc import Callable
from datetime import date, timedelta

import httpx
import psycopg
import pytest
from click.testing import CliRunner
from psycopg.rows import TupleRow
from pydantic import ValidationError

from geofence.duty import DAY_MS
from ingest import retention
from ingest.batch import Delivery
from ops import doctor
from ops import retention as by_hand
from ops.cli import main
from ops.services import environment
from storage.retention import PURPOSES, TABLES, limit
from storage.settings import Settings, as_datetime, real_ms
from tests.integration.without_broker import (
    HOUR,
    MONDAY,
    Base,
    local_ms,
    message,
    stay,
)
from tests.unit.reference_visits import Place, RefFix
from tests.unit.test_geofence_visits import at

DAYS = 10
FIRST = MONDAY
LAST = FIRST + timedelta(days=DAYS - 1)
EVENING = local_ms(LAST, 22)
KEPT = Settings(keep_tracks_days=7)
#: What is older goes: midnight UTC six days before.
LIMIT = round(limit(PURPOSES[0], KEPT, as_datetime(EVENING)).timestamp() * 1_000)

VISITS = "SELECT * FROM visit ORDER BY van_id, arrived_at, site_id"


def a_day(day: date, hours: int = 3) -> list[RefFix]:
    """Return stays of 40 minutes at three sites in turn, an hour apart."""
    begin = local_ms(day, 9)
    return [fix for n in range(hours) for fix in stay(begin + n * HOUR, 40, 3_000.0 * (n % 3 - 1))]


def days_of(van: int) -> list[list[Delivery]]:
    """Return each day's messages: of van 1 every day's, of van 2 the first and the last day's."""
    days = [FIRST + timedelta(days=n) for n in range(DAYS)]
    return [[message(van, *a_day(day))] for day in days if van == 1 or day in {FIRST, LAST}]


@pytest.fixture
def old(base: Base) -> Base:
    """Ten days of two vans, and one day of a third that was never heard of again."""
    for site, east in ((1, -3_000), (2, 0), (3, 3_000)):
        base.put_site(Place(site, *at(east), 80))
    base.execute(
        "INSERT INTO van (organisation_id, code, name) VALUES (1, 'van-003', 'Three');"
        "INSERT INTO location (organisation_id, kind, van_id) VALUES (1, 'van', 3);"
        "UPDATE reference_version SET version = version + 1"
    )
    base.commit([message(3, *a_day(FIRST))], EVENING)
    for batch in [*days_of(1), *days_of(2)]:
        base.commit(batch, EVENING)
    return base


def delete(base: Base, settings: Settings = KEPT, now: int = EVENING) -> int:
    """Do a run and return how many steps it took."""
    reference = base.tick(now)
    steps = 1
    while not base.run(lambda: retention.step(base.pool, settings, reference, lambda: now)):
        steps += 1
    return steps


def fixes_before(base: Base, t_ms: int) -> int:
    query = f"SELECT count(*) FROM fix WHERE fix_time < to_timestamp({t_ms} / 1000.0)"
    return int(base.rows(query)[0][0])


def test_fixes_before_the_limit_go_and_visits_stay(old: Base) -> None:
    visits, before = old.rows(VISITS), fixes_before(old, LIMIT)
    kept = fixes_before(old, EVENING) - before
    assert len(visits) == 3 * (DAYS + 3)
    delete(old)
    assert fixes_before(old, LIMIT) == 0
    assert fixes_before(old, EVENING) == kept > 0
    assert old.rows(VISITS) == visits
    for table, column in (("leg", "ended_at"), ("van_position", "fix_time"),
                          ("van_progress", "through")):  # fmt: skip
        query = f"SELECT count(*) FROM {table} WHERE {column} < to_timestamp({LIMIT} / 1000.0)"
        assert old.rows(query) == [(0,)], table
    # One checkpoint a van, where reading can begin again; none of the van that is gone.
    assert old.rows(
        f"SELECT van_id, count(*) FROM van_checkpoint WHERE through < to_timestamp({LIMIT} / 1000.0)"
        " GROUP BY 1 ORDER BY 1"
    ) == [(1, 1), (2, 1)]


def test_each_table_says_what_it_lost_and_what_is_its_oldest(old: Base) -> None:
    before = fixes_before(old, LIMIT)
    delete(old)
    proof = old.rows(
        "SELECT table_name, category, rows_deleted, limit_at, done FROM deletion ORDER BY 1"
    )
    assert [row[0] for row in proof] == sorted(kept.table for _, kept in TABLES)
    assert all(done for *_, done in proof)
    of_fix = next(row for row in proof if row[0] == "fix")
    assert of_fix[1:4] == ("tracks", before, as_datetime(LIMIT))
    assert old.rows("SELECT oldest_left FROM deletion WHERE table_name = 'fix'") == old.rows(
        "SELECT min(fix_time) FROM fix"
    )


def test_a_second_run_the_same_day_has_nothing_to_do(old: Base) -> None:
    delete(old)
    before = old.rows("SELECT * FROM deletion ORDER BY table_name")
    assert delete(old) == 1
    assert old.rows("SELECT * FROM deletion ORDER BY table_name") == before


def test_a_run_that_was_cut_short_goes_on_where_it_stopped(
    old: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "ROWS_MAX", 40)
    monkeypatch.setattr(retention, "VANS_MAX", 1)
    before, reference = fixes_before(old, LIMIT), old.tick(EVENING)
    for _ in range(4):
        assert not old.run(lambda: retention.step(old.pool, KEPT, reference, lambda: EVENING))
    delete(old)
    assert fixes_before(old, LIMIT) == 0
    assert old.rows("SELECT rows_deleted FROM deletion WHERE table_name = 'fix'") == [(before,)]


def late_today(base: Base) -> None:
    base.commit(
        [message(van, RefFix(EVENING - 9 * HOUR, *at(-9_000), 5.0)) for van in (1, 2)], EVENING
    )


def late_just_after_the_limit(base: Base) -> None:
    base.commit([message(van, RefFix(LIMIT + 1, *at(-9_000), 5.0)) for van in (1, 2)], EVENING)


def edited_fence(base: Base) -> None:
    base.execute(
        "UPDATE site SET radius_m = 90; UPDATE reference_version SET version = version + 1"
    )
    base.tick(EVENING)


def changed_tour(base: Base) -> None:
    for day in (FIRST, LAST):
        base.put_tour(1, day, [(2, local_ms(day, 9), local_ms(day, 10))])
    base.execute("UPDATE reference_version SET version = version + 1")
    base.tick(EVENING)


def upgraded(base: Base) -> None:
    base.execute("UPDATE van_progress SET state = NULL; UPDATE reference_version SET version = 99")
    base.tick(EVENING)


def off_duty_since_ever(base: Base) -> None:
    status = b'{"state":"online","duty":"off","t":%d}' % (LIMIT - 5 * DAY_MS)
    on = b'{"state":"online","duty":"on","t":%d}' % (LIMIT + 2 * DAY_MS)
    base.commit([Delivery("fleet/v1/van-001/status", told) for told in (status, on)], EVENING)


def everything_off_duty(base: Base) -> None:
    status = b'{"state":"online","duty":"off","t":%d}' % (LIMIT - 5 * DAY_MS)
    base.commit([Delivery("fleet/v1/van-001/status", status)], EVENING)


@pytest.mark.parametrize(
    "happens",
    [late_today, late_just_after_the_limit, edited_fence, changed_tour, upgraded,
     off_duty_since_ever, everything_off_duty],
)  # fmt: skip
def test_whatever_is_read_again_later_old_visits_stay(
    old: Base, happens: Callable[[Base], None]
) -> None:
    """And newer ones are those that they would be had nothing been deleted."""
    proved = f"SELECT van_id, site_id, arrived_at, left_at, verdict FROM visit WHERE arrived_at < to_timestamp({LIMIT} / 1000.0) ORDER BY 1, 3"
    visits = old.rows(proved)
    delete(old)
    happens(old)
    assert old.rows(proved) == visits
    newer = f"SELECT * FROM visit WHERE arrived_at >= to_timestamp({LIMIT} / 1000.0) ORDER BY 1, 3"
    said = old.rows(newer)
    for batch in [*days_of(1), *days_of(2)]:  # those that are gone are refused
        old.commit(batch, EVENING)
    assert old.rows(newer) == said
    assert old.rows(proved) == visits
    assert fixes_before(old, LIMIT) == 0
    assert old.rows("SELECT DISTINCT reason FROM rejected") == [("ancient",)]


def test_what_was_inside_at_the_limit_goes_on_as_one_visit(base: Base) -> None:
    """The van stands at a site over the midnight that is the limit."""
    base.put_site(Place(1, *at(0), 80))
    base.commit([message(1, *stay(LIMIT - 5 * HOUR, 600))], EVENING)
    visits = base.rows(VISITS)
    assert len(visits) == 1
    delete(base)
    late_today(base)
    assert base.rows(VISITS) == visits


def test_a_van_that_comes_back_after_the_limit_begins_anew(old: Base) -> None:
    delete(old)
    old.commit([message(3, *a_day(LAST))], EVENING)
    assert old.rows("SELECT count(*) FROM visit WHERE van_id = 3") == [(6,)]


def test_the_rest_goes_by_its_own_limits(old: Base) -> None:
    year = timedelta(days=400)
    old.put_tour(1, FIRST - year, [(2, local_ms(FIRST - year, 9), local_ms(FIRST - year, 10))])
    old.execute(
        "UPDATE visit SET arrived_at = arrived_at - INTERVAL '400 days',"
        " last_inside_at = last_inside_at - INTERVAL '400 days' WHERE van_id = 3;"
        "INSERT INTO duty_switch VALUES (1, '2021-01-01Z', 'on'), (1, '2026-01-01Z', 'on');"
        "INSERT INTO off_duty VALUES (1, '2026-01-01', 5, 0);"
        "INSERT INTO rejected VALUES ('a', 't', 'p', 'r', 'd', NULL, '2026-08-01Z'),"
        " ('b', 't', 'p', 'r', 'd', NULL, '2026-09-29Z');"
        "INSERT INTO rejected_quota (day, sender) VALUES ('2026-08-01', 'a'), ('2026-09-29', 'a')"
    )
    delete(old)
    assert old.rows("SELECT count(*) FROM visit WHERE van_id = 3") == [(0,)]
    assert old.rows("SELECT count(*) FROM visit WHERE van_id < 3") == [(36,)]
    assert old.rows("SELECT count(*) FROM tour") == [(0,)]
    assert old.rows("SELECT count(*) FROM stop") == [(0,)]
    assert old.rows("SELECT count(*) FROM tour_edit") == [(0,)]
    assert old.rows("SELECT count(*) FROM duty_switch") == [(1,)]
    assert old.rows("SELECT count(*) FROM off_duty") == [(0,)]
    assert old.rows("SELECT count(*) FROM rejected") == [(1,)]
    assert old.rows("SELECT count(*) FROM rejected_quota") == [(1,)]


def test_tracks_must_not_outlive_what_they_prove() -> None:
    with pytest.raises(ValidationError, match="must not outlive"):
        Settings(keep_tracks_days=100, keep_visits_days=90)


def test_the_clock_of_the_limit_is_midnight_in_utc() -> None:
    moment = as_datetime(local_ms(LAST, 1))  # 23:00 UTC the day before
    assert limit(PURPOSES[0], KEPT, moment).isoformat() == "2026-09-23T00:00:00+00:00"


# ---- seen from outside


@pytest.fixture
def settings_of_old(old: Base, nats_port: int) -> Settings:
    return Settings(
        database_url=old.url, broker_port=nats_port, keep_tracks_days=7,
        clock_origin_ms=EVENING, clock_start_ms=real_ms(),
    )  # fmt: skip


def doctor_says(settings: Settings, word: str) -> list[str]:
    findings = asyncio.run(doctor.examine(settings))
    return [f"{it.mark}  {it.text}" for it in findings if word in it.text]


def test_doctor_and_the_command_line_tell_what_is_overdue_and_mend_it(
    settings_of_old: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (line,) = doctor_says(settings_of_old, "kept for longer")
    assert line.startswith("BAD  kept for longer than it may be: fix since 2026-09-21")
    assert "has run never" in line
    for name, value in environment(settings_of_old).items():
        monkeypatch.setenv(name, value)
    said = CliRunner().invoke(main, ["retention", "run"])
    assert said.exit_code == 0, said.output
    assert "oldest left: 2026-09-24" in said.output
    assert CliRunner().invoke(main, ["retention", "show"]).output == said.output
    (line,) = doctor_says(settings_of_old, "deletion ran last")
    assert line == "ok   deletion ran last on 2026-09-30; nothing is overdue"
    later = settings_of_old.model_copy(update={"clock_origin_ms": EVENING + 3 * DAY_MS})
    assert doctor_says(later, "eletion")[0].startswith("BAD")


def test_a_run_by_hand_deletes_what_was_added_since_the_last(
    old: Base, settings_of_old: Settings
) -> None:
    asyncio.run(by_hand.run(settings_of_old))
    old.execute("INSERT INTO off_duty VALUES (1, '2026-01-01', 5, 0)")
    asyncio.run(by_hand.run(settings_of_old))
    assert old.rows("SELECT count(*) FROM off_duty") == [(0,)]


async def test_the_api_tells_what_is_kept_and_that_the_rest_is_gone(
    conn: psycopg.Connection[TupleRow], api: httpx.AsyncClient
) -> None:
    conn.execute(
        "INSERT INTO deletion VALUES"
        " ('2026-09-21', 'tracks', 'fix', '2026-07-21Z', 7, '2026-07-22Z', true, '2026-09-21Z')"
    )
    conn.commit()
    said = json.loads((await api.get("/v1/retention")).content)
    tracks = next(purpose for purpose in said["purposes"] if purpose["name"] == "tracks")
    assert tracks["days"] == 62
    assert "who is where" in tracks["purpose"]
    assert tracks["tables"][0] == {
        "table": "fix", "day": "2026-09-21", "rows": 7, "oldest_left_ms": 1784678400000,
        "done": True,
    }  # fmt: skip
    assert tracks["tables"][1]["day"] is None
