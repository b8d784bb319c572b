"""Nothing off duty is stored, in whatever order it comes; and all else is as if it had never come."""

import json
from collections.abc import Sequence
from random import Random
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from geofence.duty import Switch, WorkingCalendar, is_within, off_spans
from ingest.batch import Delivery
from ingest.messages import Status, encode
from tests.integration.without_broker import (
    CLEAR,
    HOUR,
    MINUTE,
    MONDAY,
    Base,
    Tables,
    local_ms,
    message,
)
from tests.unit.reference_visits import Place, RefFix
from tests.unit.test_geofence_visits import at

EVENING = local_ms(MONDAY, 23)
CLEAR_DUTY = f"{CLEAR}; TRUNCATE duty_switch, off_duty"
CALENDARS = "van,weekdays,begins,ends"
ON, OFF = True, False


def status(van: int, t: int, *, on: bool, state: str = "online") -> Delivery:
    told = Status(state, t, "on" if on else "off")  # type: ignore[arg-type]
    return Delivery(f"fleet/v1/van-00{van}/status", encode(told))


def day_of(van: int, since: int, until: int, step: int = MINUTE) -> list[RefFix]:
    """Return a day to and fro between three sites, with long stays: a fix a step."""
    fixes = []
    for nth, t in enumerate(range(since, until, step)):
        there, part = divmod(nth, 45)
        start, end = (3_000.0 * (abs((n + 2) % 4 - 2) - 1) for n in (there, there + 1))
        east = start + max(0, part - 35) / 10 * (end - start)
        fixes.append(RefFix(t, *at(east + van), 5.0, ignition=part > 30))
    return fixes


@pytest.fixture
def places(base: Base) -> Base:
    for site, east in ((1, -3_000), (2, 0), (3, 3_000)):
        base.put_site(Place(site, *at(east), 80))
    base.put_tour(1, MONDAY, [(1, local_ms(MONDAY, 7), local_ms(MONDAY, 9)),
                              (2, local_ms(MONDAY, 9), local_ms(MONDAY, 10)),
                              (3, local_ms(MONDAY, 12), local_ms(MONDAY, 13))])  # fmt: skip
    return base


def deliver(base: Base, batches: Sequence[Sequence[Delivery]], now: int = EVENING) -> Tables:
    base.execute(CLEAR_DUTY)
    for batch in filter(None, batches):
        base.commit(batch, now)
    base.tick(now)
    return base.tables()


def stored(base: Base, van: int = 1) -> list[int]:
    return [
        t for (t,) in base.rows(
            "SELECT (extract(epoch FROM fix_time) * 1000)::bigint FROM fix"
            f" WHERE van_id = {van} ORDER BY 1"
        )
    ]  # fmt: skip


def counted(base: Base) -> list[tuple[Any, ...]]:
    return base.rows("SELECT van_id, dropped, deleted FROM off_duty ORDER BY 1, day")


# ---- one thing at a time

EIGHT, NOON, ONE, FIVE = (local_ms(MONDAY, hour) for hour in (8, 12, 13, 17))
#: On at eight, a break at noon, off at five.
SWITCHES: list[Switch] = [(EIGHT, ON), (NOON, OFF), (ONE, ON), (FIVE, OFF)]


def test_a_fix_that_comes_after_the_switch_is_dropped_and_only_counted(places: Base) -> None:
    fixes = day_of(1, EIGHT - HOUR, FIVE + HOUR)
    deliver(places, [[status(1, EIGHT - 2 * HOUR, on=OFF)],
                     [status(1, t, on=on) for t, on in SWITCHES], [message(1, *fixes)]])  # fmt: skip
    kept = [f.t_ms for f in fixes if EIGHT <= f.t_ms < NOON or ONE <= f.t_ms < FIVE]
    assert stored(places) == kept
    assert counted(places) == [(1, len(fixes) - len(kept), 0)]
    assert places.rows("SELECT count(*) FROM rejected") == [(0,)]


def test_a_fix_that_came_before_the_switch_is_deleted_with_all_that_rested_on_it(
    places: Base,
) -> None:
    fixes = day_of(1, EIGHT, FIVE + 3 * HOUR)
    late = deliver(places, [[message(1, f)] for f in fixes] + [[status(1, FIVE, on=OFF)]])
    gone = [f for f in fixes if f.t_ms >= FIVE]
    assert counted(places) == [(1, 0, len(gone))]
    assert stored(places)[-1] < FIVE
    said_first = [[status(1, FIVE, on=OFF)], [message(1, *fixes)]]
    assert late == deliver(places, said_first)
    assert places.rows(
        "SELECT count(*) FROM visit WHERE arrived_at >= to_timestamp(1790010000)"
    ) == [(0,)]


def test_of_a_van_that_was_off_duty_all_the_time_nothing_is_left(places: Base) -> None:
    deliver(places, [[message(1, *day_of(1, EIGHT, FIVE))], [status(1, EIGHT - HOUR, on=OFF)]])
    for table in ("fix", "visit", "leg", "unusable_fix", "van_position", "van_progress",
                  "van_checkpoint"):  # fmt: skip
        assert places.rows(f"SELECT count(*) FROM {table}") == [(0,)], table
    # And it begins anew.
    places.commit([status(1, FIVE, on=ON), message(1, *day_of(1, FIVE, FIVE + HOUR))], EVENING)
    assert len(stored(places)) == 60
    assert places.rows("SELECT count(*) > 0 FROM leg") == [(True,)]


def test_statuses_of_a_batch_count_before_its_fixes(places: Base) -> None:
    morning = message(1, *day_of(1, EIGHT, NOON))
    deliver(places, [[status(1, EIGHT - 9 * HOUR, on=OFF)], [morning, status(1, EIGHT, on=ON)]])
    assert len(stored(places)) == 240


def test_what_a_later_status_shows_to_have_been_on_duty_is_lost(places: Base) -> None:
    """The price of dropping: see ARCHITECTURE, decision 55."""
    morning = message(1, *day_of(1, EIGHT, NOON))
    deliver(places, [[status(1, EIGHT - 9 * HOUR, on=OFF)], [morning], [status(1, EIGHT, on=ON)]])
    assert stored(places) == []
    # A tablet or tracker that sends it again, as one without an acknowledgement does, mends it.
    places.commit([morning], EVENING)
    assert len(stored(places)) == 240


def test_of_two_statuses_with_one_time_off_counts(places: Base) -> None:
    fixes = message(1, *day_of(1, EIGHT, EIGHT + HOUR))
    for first, second in ((ON, OFF), (OFF, ON)):
        deliver(places, [[status(1, EIGHT, on=first)], [status(1, EIGHT, on=second)], [fixes]])
        assert stored(places) == []


def test_the_newest_position_is_the_newest_on_duty(places: Base) -> None:
    fixes = day_of(1, EIGHT, FIVE + HOUR)
    deliver(places, [[message(1, *fixes)], [status(1, FIVE, on=OFF)]])
    assert places.rows("SELECT max(fix_time) = (SELECT fix_time FROM van_position) FROM fix") == [
        (True,)
    ]


def test_scans_are_acts_of_work_and_stay(company_url: str, base: Base) -> None:
    scan = b'{"epoch":"e","seq":1,"t":%d,"intent":"issue","code":"FUSE"}' % (FIVE + HOUR)
    base.commit([status(1, FIVE, on=OFF), Delivery("fleet/v1/van-001/scan", scan)], EVENING)
    assert base.rows("SELECT status FROM scan") == [("applied",)]


@pytest.mark.parametrize(
    "payload",
    [
        b'{"t":%d,"lat":48.858421,"lon":"2.294512"}' % (FIVE + HOUR),
        b'[{"t":%d,"lat":48.858421,"lon":2.29,"acc_m":-1}]' % (FIVE + HOUR),
        b"[" + b",".join([b'{"t":%d,"lat":48.858421,"lon":2.29}' % (FIVE + HOUR)] * 1_001) + b"]",
        b'{"lat":48.858421,"lon":2.294512}',  # without a time: it came off duty
        b"48.858421 2.294512",
        b'{"t":%d,"lat":48.858421,"lon":2.29}' % (EVENING + 9 * HOUR),  # from the future
    ],
)
@pytest.mark.parametrize("topic", ["fleet/v1/van-001/position", "owntracks/van-001/phone"])
def test_an_unusable_position_of_a_time_off_duty_is_not_kept_either(
    places: Base, payload: bytes, topic: str
) -> None:
    if topic.startswith("owntracks"):
        payload = payload.replace(b'"t":', b'"_type":"location","tst":').replace(b"00000,", b"00,")
    one = Delivery(topic, payload)
    deliver(places, [[status(1, FIVE, on=OFF)], [one]])
    assert places.rows("SELECT convert_from(payload, 'UTF8') FROM rejected") == []
    assert counted(places)[0][1] >= 1
    # The other way round it is deleted when the status comes.
    deliver(places, [[one], [status(1, FIVE, on=OFF)]])
    assert places.rows("SELECT convert_from(payload, 'UTF8') FROM rejected") == []


def test_an_unusable_position_of_a_time_on_duty_is_kept_with_its_bytes(places: Base) -> None:
    payload = b'{"t":%d,"lat":48.858421}' % (FIVE - HOUR)
    deliver(places, [[status(1, FIVE, on=OFF)], [Delivery("fleet/v1/van-001/position", payload)]],
            FIVE - MINUTE)  # fmt: skip
    assert places.rows("SELECT reason, payload FROM rejected") == [("bad_payload", payload)]


IN_2006 = 1_161_068_682_000


@pytest.mark.parametrize(
    ("times", "kept"),
    [([FIVE - HOUR] * 1_001, 1), ([FIVE - HOUR] * 1_000 + [IN_2006], 0), ([IN_2006], 0), ([], 0)],
)
def test_when_an_unusable_position_came_counts_only_if_it_names_a_time_that_cannot_be_or_none(
    places: Base, times: list[int], kept: int
) -> None:
    many = b"[" + b",".join(b'{"t":%d,"lat":48.8,"lon":2.3}' % t for t in times)
    payload = many + b"]" if len(times) > 1 else many  # too many, or cut short
    deliver(places, [[status(1, FIVE, on=OFF)], [Delivery("fleet/v1/van-001/position", payload)]])
    assert places.rows("SELECT count(*) FROM rejected") == [(kept,)]
    assert sum(dropped for _, dropped, _ in counted(places)) == 1 - kept


# ---- the calendar


def test_a_calendar_drops_what_lies_outside_its_hours(places: Base) -> None:
    places.import_rows("calendars", CALENDARS, ",mon-fri,08:00,12:00", ",mon-fri,13:00,17:00")
    fixes = day_of(1, EIGHT - HOUR, FIVE + HOUR)
    deliver(places, [[message(1, *fixes)]])
    assert stored(places) == [
        f.t_ms for f in fixes if EIGHT <= f.t_ms < NOON or ONE <= f.t_ms < FIVE
    ]


def test_a_vans_own_calendar_goes_before_the_organisations(places: Base) -> None:
    places.import_rows("calendars", CALENDARS, ",mon-fri,08:00,12:00", "van-002,mon,00:00,24:00")
    fixes = day_of(1, EIGHT, FIVE)
    deliver(places, [[message(1, *fixes), message(2, *fixes)]])
    assert [len(stored(places, van)) for van in (1, 2)] == [240, 540]


def test_an_imported_calendar_deletes_what_was_off_duty_by_it(places: Base) -> None:
    fixes = [message(van, *day_of(van, EIGHT - HOUR, FIVE + HOUR)) for van in (1, 2)]
    reference = places.commit(fixes, EVENING)
    places.import_rows("calendars", CALENDARS, ",mon-fri,08:00,17:00")
    places.tick(EVENING, reference)
    edited = places.tables()
    assert [len(stored(places, van)) for van in (1, 2)] == [540, 540]
    assert counted(places) == [(1, 0, 120), (2, 0, 120)]
    assert places.rows("SELECT count(*) FROM duty_edit") == [(0,)]
    assert edited == deliver(places, [fixes])


def test_a_calendar_file_holds_all_calendars_and_says_what_changed(places: Base) -> None:
    def account(*rows: str) -> tuple[int, int, int, int]:
        from geofence.imports.reference import KINDS  # noqa: PLC0415

        async def work() -> tuple[int, int, int, int]:
            async with places.pool.connection() as conn, conn.transaction():
                data = "\n".join([CALENDARS + ",time_zone,holidays", *rows]).encode()
                r = await KINDS["calendars"](conn, data, organisation="default")
                assert not r.bad
                return r.inserted, r.updated, r.unchanged, r.removed

        return places.run(work)

    office = (",mon-fri,08:00,12:00,,2026-12-25", ",mon-fri,13:00,17:00,Europe/Paris,")
    assert account(*office, "van-001,sat,08:00,12:00,,") == (3, 0, 0, 0)
    assert account(*office, "van-001,sat,08:00,12:00,,") == (0, 0, 3, 0)
    assert account(*office, "van-001,sat,09:00,12:00,,") == (0, 1, 2, 0)
    assert account(*office) == (0, 0, 2, 1)
    assert places.rows("SELECT van_id, time_zone, holidays::text FROM working_calendar") == [
        (None, "Europe/Paris", "{2026-12-25}")
    ]
    assert places.rows("SELECT count(*) FROM working_hours") == [(10,)]


def test_who_forgot_the_switch_is_not_called_silent_in_the_evening(places: Base) -> None:
    places.import_rows("calendars", CALENDARS, ",mon-fri,08:00,17:00")
    deliver(places, [[status(1, EIGHT, on=ON), message(1, *day_of(1, EIGHT, FIVE))]],
            FIVE + 20 * MINUTE)  # fmt: skip
    assert places.rows("SELECT kind FROM alert WHERE kind = 'silent'") == []


# ---- any order

WEEK = [(local_ms(MONDAY, 6) + n * 30 * MINUTE) for n in range(26)]
CASES = st.fixed_dictionaries(
    {
        "switches": st.dictionaries(st.sampled_from(WEEK), st.booleans(), max_size=4),
        "with_calendar": st.booleans(),
        "batch": st.integers(6, 40),
        "seed": st.integers(0, 10_000),
    }
)


@settings(
    max_examples=12,
    phases=[Phase.explicit, Phase.generate],  # an example takes seconds: too long to shrink
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(case=CASES)
def test_in_any_order_nothing_off_duty_is_stored_and_the_rest_is_as_if_it_had_never_come(
    places: Base, case: dict[str, Any]
) -> None:
    switches = sorted(case["switches"].items())
    hours = tuple((day, 480, 1_020) for day in range(1, 6))
    calendar = WorkingCalendar("Europe/Paris", hours) if case["with_calendar"] else None
    places.execute("DELETE FROM working_calendar; TRUNCATE duty_edit")
    if calendar:
        places.import_rows("calendars", CALENDARS, ",mon-fri,08:00,17:00")
    fixes = day_of(1, WEEK[0], WEEK[-1], 6 * MINUTE)
    bad = [b'{"t":%d,"lat":48.1,"lon":"x"}' % f.t_ms for f in fixes[:: len(fixes) // 6]]
    told = [
        *(message(1, f) for f in fixes),
        *(Delivery("fleet/v1/van-001/position", payload) for payload in bad),
        *(status(1, t, on=on) for t, on in switches),
        *(status(1, t, on=on) for t, on in switches[:1]),
    ]
    Random(case["seed"]).shuffle(told)
    size = case["batch"]
    said = deliver(places, [told[i : i + size] for i in range(0, len(told), size)])

    off = off_spans(switches, calendar, 0, EVENING + HOUR)
    kept = stored(places)
    assert not [t for t in kept if is_within(off, t)]
    for (payload,) in places.rows("SELECT payload FROM rejected"):
        assert not is_within(off, json.loads(bytes(payload))["t"])

    survivors = [message(1, *[f for f in fixes if f.t_ms in set(kept)])] if kept else []
    statuses = [status(1, t, on=on) for t, on in switches]
    again = deliver(places, [statuses, survivors])
    assert {**said, "rejected": []} == {**again, "rejected": []}
    # What came after the statuses is complete.
    backwards = [message(1, *fixes[i : i + 40]) for i in range(0, len(fixes), 40)][::-1]
    complete = deliver(places, [statuses, *([one] for one in backwards)])
    assert len(complete["fix"]) == sum(not is_within(off, f.t_ms) for f in fixes)


async def test_the_page_calls_a_van_off_duty_in_a_rest_of_its_calendar(
    conn: psycopg.Connection[Any], api: httpx.AsyncClient
) -> None:
    async def states() -> dict[str, str]:
        said = json.loads((await api.get("/v1/vans")).content)
        return {van["code"]: van["state"] for van in said["vans"]}

    before = await states()
    assert "off_duty" not in before.values()
    conn.execute("INSERT INTO working_calendar (organisation_id, van_id) VALUES (1, 1)")
    conn.commit()
    assert await states() == before | {"V1": "off_duty"}
