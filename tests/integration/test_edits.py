"""What an edited fence, a changed tour or the clock alone does to days that have been read already.

The ingest is told of none of it: it finds out with its next message or tick, without a restart, and
reads again what is touched, and no more.
"""

import json
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from ingest.apply import Reference
from ingest.batch import Delivery
from tests.integration.without_broker import (
    HOUR,
    MINUTE,
    MONDAY,
    Base,
    Tables,
    local_ms,
    message,
    stay,
)
from tests.unit.reference_visits import RefFix
from tests.unit.test_geofence_visits import at

EVENING = local_ms(MONDAY, 22)
NINE, TEN = local_ms(MONDAY, 9), local_ms(MONDAY, 10)
SITES_HEADER = "site,name,latitude_deg,longitude_deg,radius_m,time_zone"
TOURS_HEADER = "tour,van,date,stop,site,window_start,window_end,planned_minutes"

#: Rows that were written anew since, by table: (table, van).
MARKS = """
SELECT 'visit', van_id, site_id::text || arrived_at, xmin::text FROM visit
UNION ALL SELECT 'leg', van_id, started_at::text, xmin::text FROM leg
UNION ALL SELECT 'checkpoint', van_id, through::text, xmin::text FROM van_checkpoint
UNION ALL SELECT 'progress', van_id, '', xmin::text FROM van_progress
"""


def site_row(site_id: int, east_m: float, radius_m: float = 80, zone: str = "Europe/Paris") -> str:
    latitude_deg, longitude_deg = at(east_m)
    return f"S{site_id},a site,{latitude_deg},{longitude_deg},{radius_m},{zone}"


def tour_row(stop: int, site: int, window: str, *, code: str = "T", van: int = 1) -> str:
    return f"{code},van-00{van},{MONDAY},{stop},S{site},{window},30"


class Live:
    """An ingest that goes on with what it knows, as the real one does."""

    def __init__(self, base: Base) -> None:
        self.base = base
        self.reference: Reference | None = None
        self.marks: set[tuple[Any, ...]] = set()

    def commit(self, deliveries: Sequence[Delivery], now: int = EVENING) -> None:
        self.reference = self.base.commit(deliveries, now, self.reference)

    def tick(self, now: int = EVENING) -> None:
        self.reference = self.base.tick(now, self.reference)

    def mark(self) -> None:
        """Remember every row as it is."""
        self.marks = set(self.base.rows(MARKS))

    def written(self, *tables: str) -> list[tuple[str, int]]:
        """Return (table, van) of every row that was written since `mark`."""
        new = set(self.base.rows(MARKS)) - self.marks
        return sorted((table, van) for table, van, *_ in new if table in tables)


@pytest.fixture
def live(base: Base) -> Live:
    return Live(base)


def commuting(hours: int, *, since: int = NINE) -> list[RefFix]:
    """Return a day to and fro between -4,000 m, 0 and 4,000 m: half an hour there, ten minutes on."""
    fixes: list[RefFix] = []
    for i in range(hours * 120):
        leg, step = divmod(i, 80)
        start_m, end_m = (4_000.0 * (abs((nth + 2) % 4 - 2) - 1) for nth in (leg, leg + 1))
        share = max(0, step - 60) / 20
        east_m = start_m + share * (end_m - start_m)
        fixes.append(RefFix(since + i * MINUTE // 2, *at(east_m), 5.0))
    return fixes


def in_batches(van: int, fixes: Sequence[RefFix], size: int) -> list[list[Delivery]]:
    return [[message(van, f) for f in fixes[i : i + size]] for i in range(0, len(fixes), size)]


def visits(base: Base) -> list[tuple[Any, ...]]:
    return base.rows(
        "SELECT van_id, site.code, verdict, punctuality FROM visit JOIN site USING (site_id)"
        " ORDER BY van_id, arrived_at, site.code"
    )


def told_again(base: Base, deliveries: Sequence[Delivery]) -> Tables:
    """Return what an ingest says that knew of every edit before the first message."""
    return base.deliver([deliveries], EVENING)


# ---- fences


@pytest.fixture
def day(live: Live) -> list[Delivery]:
    """Three sites and a day of two vans; van 2 never comes near any of them."""
    rows = [site_row(1, -4_000), site_row(2, 0), site_row(3, 4_000)]
    live.base.import_rows("sites", SITES_HEADER, *rows)
    mine = in_batches(1, commuting(10), 60)
    others = in_batches(
        2, [RefFix(f.t_ms, *at(i * 30.0, 90_000), 5.0) for i, f in enumerate(commuting(10))], 60
    )
    for batches in zip(mine, others, strict=True):
        live.commit([one for batch in batches for one in batch])
    return [one for batch in [*mine, *others] for one in batch]


def test_an_edited_fence_is_read_again_without_a_restart(live: Live, day: list[Delivery]) -> None:
    before = visits(live.base)
    assert [site for _, site, *_ in before[:3]] == ["S1", "S2", "S3"]
    live.base.import_rows("sites", SITES_HEADER, site_row(2, 1_000, 60))
    live.tick()
    # The van only passes there.
    assert [v for v in visits(live.base) if v[1] != "S2"] == [v for v in before if v[1] != "S2"]
    assert {verdict for _, site, verdict, _ in visits(live.base) if site == "S2"} == {"pass"}
    assert live.base.tables() == told_again(live.base, day)


@pytest.mark.parametrize(
    "row",
    [
        site_row(2, 0, 300),
        site_row(2, 0, 40),
        site_row(2, 4_100, 300),  # onto another
        site_row(2, 0, 80, "Pacific/Auckland"),
        site_row(2, 50_000),
        site_row(4, 2_000),
        site_row(4, -4_000, 500),
    ],
)
def test_any_edit_gives_the_rows_of_an_ingest_that_knew_it_all_along(
    live: Live, day: list[Delivery], row: str
) -> None:
    live.base.import_rows("sites", SITES_HEADER, row)
    live.tick()
    said = live.base.tables()
    assert said == told_again(live.base, day)


def test_an_edit_is_noticed_with_the_next_message_too(live: Live, day: list[Delivery]) -> None:
    live.base.import_rows("sites", SITES_HEADER, site_row(2, 0, 500))
    late = message(1, RefFix(NINE + 10 * HOUR, *at(9_000), 5.0))
    live.commit([late])
    assert live.base.rows("SELECT count(*) FROM fence_edit") == [(0,)]
    assert live.base.tables() == told_again(live.base, [*day, late])


def test_a_new_site_where_a_van_has_been_makes_the_visit(live: Live, day: list[Delivery]) -> None:
    parked = [RefFix(NINE + i * MINUTE, *at(90_000, 90_000), 5.0) for i in range(-60, -20)]
    live.commit([message(2, *parked)])
    latitude_deg, longitude_deg = at(90_000, 90_000)
    row = f"NEW,a site,{latitude_deg},{longitude_deg},60,Europe/Paris"
    live.base.import_rows("sites", SITES_HEADER, row)
    live.tick()
    assert [v for v in visits(live.base) if v[0] == 2] == [(2, "NEW", "visit", "unplanned")]
    assert live.base.tables() == told_again(live.base, [*day, message(2, *parked)])


def test_only_what_an_edit_touches_is_written(live: Live, day: list[Delivery]) -> None:
    """The new site lies where the van was in one hour of ten."""
    detour = [RefFix(NINE - 5 * HOUR + i * MINUTE, *at(-20_000 - i), 5.0) for i in range(20)]
    live.commit([message(1, *detour)])
    day = [*day, message(1, *detour)]
    live.mark()
    live.base.import_rows("sites", SITES_HEADER, site_row(4, -20_000, 200))
    live.tick()
    assert live.written("visit", "leg") == [("visit", 1)]
    assert {van for _, van in live.written("progress", "checkpoint")} == {1}
    assert len(live.written("checkpoint")) <= 3
    assert live.base.tables() == told_again(live.base, day)


def test_an_edit_far_from_every_van_writes_nothing(live: Live, day: list[Delivery]) -> None:
    live.mark()
    live.base.import_rows("sites", SITES_HEADER, site_row(4, 300_000, 2_000))
    live.tick()
    assert live.written("visit", "leg", "checkpoint", "progress") == []
    assert live.base.rows("SELECT count(*) FROM fence_edit") == [(0,)]


def test_another_name_changes_nothing(live: Live, day: list[Delivery]) -> None:
    live.mark()
    live.base.import_rows("sites", SITES_HEADER, site_row(2, 0).replace("a site", "another"))
    live.tick()
    assert live.written("visit", "leg") == []


def test_a_fence_given_as_a_polygon_is_read_again(live: Live, day: list[Delivery]) -> None:
    corners = [at(-4_000 + x, y) for x, y in ((-9, -9), (9, -9), (9, 9), (-9, 9), (-9, -9))]
    feature = {
        "type": "Feature",
        "properties": {"site": "S1", "name": "a site"},
        "geometry": {"type": "Polygon", "coordinates": [[[lon, lat] for lat, lon in corners]]},
    }
    live.base.import_rows("sites", json.dumps({"type": "FeatureCollection", "features": [feature]}))
    live.tick()
    assert live.base.tables() == told_again(live.base, day)


def test_two_edits_between_two_ticks_are_both_read_again(live: Live, day: list[Delivery]) -> None:
    live.base.import_rows("sites", SITES_HEADER, site_row(2, 90_000))
    live.base.import_rows("sites", SITES_HEADER, site_row(2, 0, 200), site_row(1, 10_000))
    live.tick()
    assert {site for _, site, *_ in visits(live.base)} == {"S2", "S3"}
    assert live.base.tables() == told_again(live.base, day)


# ---- tours

ALERTS = """
SELECT kind, state, (extract(epoch FROM due_at) * 1000)::bigint,
       (extract(epoch FROM ended_at) * 1000)::bigint
FROM alert WHERE kind IN ('late', 'missed', 'overstayed') ORDER BY alert_id
"""
TUESDAY = MONDAY + timedelta(days=1)
#: How long after the window's end the clock calls a van late of which nothing is heard.
UNHEARD = 16 * MINUTE


@pytest.fixture
def one_site(live: Live) -> Live:
    live.base.import_rows("sites", SITES_HEADER, site_row(1, 0), site_row(2, 5_000))
    return live


def plan(live: Live, *rows: str) -> None:
    live.base.import_rows("tours", TOURS_HEADER, *rows)


def alerts(live: Live) -> list[tuple[Any, ...]]:
    return live.base.rows(ALERTS)


def test_a_tour_imported_during_the_day_is_matched_with_the_visits_of_the_morning(
    one_site: Live,
) -> None:
    one_site.commit([message(1, *stay(NINE, 2), *stay(TEN, 20, 5_000))], TEN + HOUR)
    assert visits(one_site.base) == [(1, "S1", "pass", None), (1, "S2", "visit", "unplanned")]
    plan(one_site, tour_row(1, 1, "08:00,08:30"), tour_row(2, 2, "09:30,10:30"))
    one_site.tick(TEN + HOUR)
    assert visits(one_site.base) == [(1, "S1", "visit", "late"), (1, "S2", "visit", "on_time")]
    assert alerts(one_site) == [("late", "cleared", NINE - HOUR // 2, NINE)]
    assert one_site.base.news() == [], "what a plan says of the past is no news"


def test_only_the_days_and_vans_that_were_planned_anew_are_matched_again(one_site: Live) -> None:
    tuesday = 24 * HOUR
    for van in (1, 2):
        one_site.commit([message(van, *stay(NINE, 20), *stay(NINE + tuesday, 20))], TEN + tuesday)
    one_site.mark()
    plan(one_site, tour_row(1, 1, "08:00,10:00"))
    one_site.tick(TEN + tuesday)
    assert one_site.written("visit", "leg", "checkpoint", "progress") == [("visit", 1)]


def test_a_window_that_moves_on_withdraws_the_alert_and_comes_back_later(one_site: Live) -> None:
    plan(one_site, tour_row(1, 1, "09:00,10:00"))
    one_site.tick(TEN + UNHEARD)
    assert alerts(one_site) == [("late", "open", TEN, None)]
    plan(one_site, tour_row(1, 1, "09:00,12:00"))
    one_site.tick(TEN + UNHEARD + MINUTE)
    assert alerts(one_site) == [("late", "withdrawn", TEN + 2 * HOUR, None)]
    one_site.tick(TEN + 2 * HOUR + UNHEARD)
    assert alerts(one_site)[1:] == [("late", "open", TEN + 2 * HOUR, None)]
    assert [state for state, _ in one_site.base.news()] == ["raised", "withdrawn", "raised"]


def test_a_window_that_moves_back_moves_its_alert(one_site: Live) -> None:
    plan(one_site, tour_row(1, 1, "09:00,10:00"))
    one_site.tick(TEN + UNHEARD)
    plan(one_site, tour_row(1, 1, "09:00,09:50"))
    one_site.tick(TEN + UNHEARD + MINUTE)
    assert alerts(one_site) == [("late", "open", TEN - 10 * MINUTE, None)]
    one_site.commit([message(1, *stay(TEN + 3 * MINUTE, 5))], TEN + 20 * MINUTE)
    plan(one_site, tour_row(1, 1, "09:00,10:02"))
    one_site.tick(TEN + 21 * MINUTE)
    assert alerts(one_site) == [
        ("late", "cleared", TEN + 2 * MINUTE, TEN + 3 * MINUTE),
    ]


def test_a_stop_that_is_taken_out_takes_its_alert_with_it_and_frees_its_visit(
    one_site: Live,
) -> None:
    plan(one_site, tour_row(1, 1, "08:00,08:30"), tour_row(2, 2, "09:00,10:00"))
    one_site.commit([message(1, *stay(NINE, 2))], NINE + HOUR)
    assert visits(one_site.base) == [(1, "S1", "visit", "late")]
    plan(one_site, tour_row(2, 2, "09:00,10:00"))
    one_site.tick(NINE + HOUR)
    assert visits(one_site.base) == [(1, "S1", "pass", None)]
    assert alerts(one_site) == []


def test_a_tour_given_to_another_van_takes_its_stops_along(one_site: Live) -> None:
    plan(one_site, tour_row(1, 1, "09:00,10:00"))
    one_site.commit([message(1, *stay(NINE, 20)), message(2, *stay(NINE, 20))], TEN)
    assert visits(one_site.base) == [(1, "S1", "visit", "on_time"), (2, "S1", "visit", "unplanned")]
    plan(one_site, tour_row(1, 1, "09:00,10:00", van=2))
    one_site.tick(TEN)
    assert visits(one_site.base) == [(1, "S1", "visit", "unplanned"), (2, "S1", "visit", "on_time")]


def test_a_tour_that_comes_in_any_order_with_the_fixes_gives_the_same_rows(one_site: Live) -> None:
    base = one_site.base
    told = [message(1, *stay(NINE, 2)), message(1, *stay(TEN, 20, 5_000))]
    rows = [tour_row(1, 2, "08:00,09:30"), tour_row(2, 1, "09:30,10:30")]
    plan(one_site, *rows)
    expected = base.deliver([told], EVENING)
    for at_first in (0, 1, 2):
        base.execute("TRUNCATE tour, stop RESTART IDENTITY CASCADE")
        base.deliver([told[:at_first]] if at_first else [], EVENING)
        plan(one_site, *rows)
        base.tick(EVENING)
        for one in told[at_first:]:
            base.commit([one], EVENING)
        base.tick(EVENING)
        assert base.tables() == expected


# ---- the clock


THREE = local_ms(TUESDAY, 3)


def test_a_stop_is_missed_when_its_day_is_over_and_late_is_cleared(one_site: Live) -> None:
    plan(one_site, tour_row(1, 1, "09:00,10:00"))
    for now in (TEN + UNHEARD, EVENING, THREE):
        one_site.tick(now)
        assert alerts(one_site) == [("late", "open", TEN, None)]
    for now in (THREE + MINUTE, THREE + HOUR):
        one_site.tick(now)
        assert alerts(one_site) == [("late", "cleared", TEN, None), ("missed", "open", TEN, None)]
    assert [state for state, _ in one_site.base.news()] == ["raised", "cleared", "raised"]


def test_a_backlog_withdraws_missed_and_says_how_late_it_was(one_site: Live) -> None:
    plan(one_site, tour_row(1, 1, "09:00,10:00"))
    for now in (TEN + UNHEARD, THREE + MINUTE):
        one_site.tick(now)
    one_site.commit([message(1, *stay(TEN + 12 * MINUTE, 5))], THREE + HOUR)
    assert alerts(one_site) == [
        ("late", "cleared", TEN, TEN + 12 * MINUTE),
        ("missed", "withdrawn", TEN, TEN + 12 * MINUTE),
    ]
    assert one_site.base.news()[-1] == ("withdrawn", "the van had been there")
    one_site.tick(THREE + 2 * HOUR)
    assert len(alerts(one_site)) == 2


def test_an_ingest_that_slept_over_the_night_finds_the_stop_missed(one_site: Live) -> None:
    plan(one_site, tour_row(1, 1, "09:00,10:00"))
    one_site.tick(THREE + 5 * HOUR)
    assert alerts(one_site) == [("late", "cleared", TEN, None), ("missed", "open", TEN, None)]
    assert one_site.base.news() == []


def test_a_stop_of_another_zone_is_missed_by_its_own_clock(live: Live) -> None:
    live.base.import_rows("sites", SITES_HEADER, site_row(1, 0, 80, "Europe/Lisbon"))
    plan(live, tour_row(1, 1, "09:00,10:00"))
    live.tick(THREE + MINUTE)
    assert [kind for kind, *_ in alerts(live)] == ["late"]
    live.tick(THREE + HOUR + MINUTE)
    assert [kind for kind, *_ in alerts(live)] == ["late", "missed"]


def test_the_clock_judges_each_stop_at_its_windows_end_and_at_its_days(one_site: Live) -> None:
    plan(one_site, tour_row(1, 1, "09:00,10:00"), tour_row(2, 2, "12:00,13:00"))
    judged = "SELECT judged FROM stop ORDER BY position"
    for now, expected in (
        (TEN, [None, None]),
        (TEN + UNHEARD - MINUTE, [None, None]),
        (TEN + UNHEARD, ["window", None]),
        (TEN + 4 * HOUR, ["window", "window"]),
        (THREE + MINUTE, ["day", "day"]),
    ):
        one_site.tick(now)
        assert one_site.base.rows(judged) == [(state,) for state in expected]


def test_a_long_visit_is_overstayed_until_the_van_has_left(one_site: Live) -> None:
    plan(one_site, tour_row(1, 1, "09:00,10:00"))
    fixes = stay(NINE, 60)
    there, left = fixes[:-2], fixes[-2:]
    for f in there:
        one_site.commit([message(1, f)], f.t_ms)
    over = NINE + 45 * MINUTE  # 30 min planned, and 15 more
    assert alerts(one_site) == [("overstayed", "open", over, None)]
    assert one_site.base.rows("SELECT overstayed, closed_by IS NULL FROM visit") == [(True, True)]
    one_site.commit([message(1, *left)], left[-1].t_ms)
    assert alerts(one_site) == [("overstayed", "cleared", over, NINE + HOUR)]
    assert one_site.base.news() == [
        ("raised", "16 min longer than planned"),
        ("cleared", "30 min longer than planned"),
    ]


def test_an_overstay_that_a_late_fix_denies_is_withdrawn(one_site: Live) -> None:
    """The van had left and come back while nothing was heard of it."""
    plan(one_site, tour_row(1, 1, "09:00,10:00"))
    fixes = stay(NINE, 60)
    heard = [f for f in fixes if not NINE + 20 * MINUTE <= f.t_ms < NINE + 50 * MINUTE]
    away = [RefFix(NINE + i * MINUTE, *at(2_000), 5.0) for i in range(20, 50)]
    one_site.commit([message(1, *heard)], NINE + HOUR)
    assert [state for _, state, *_ in alerts(one_site)] == ["cleared"]
    one_site.commit([message(1, *away)], NINE + HOUR)
    assert [(kind, state) for kind, state, *_ in alerts(one_site)] == [("overstayed", "withdrawn")]


# ---- checkpoints


def through(base: Base) -> list[int]:
    return [
        t
        for (t,) in base.rows(
            "SELECT (extract(epoch FROM through) * 1000)::bigint FROM van_checkpoint"
            " WHERE van_id = 1 ORDER BY 1"
        )
    ]


@pytest.mark.parametrize(("hours", "size"), [(4, 1), (10, 7), (10, 400), (10, 5_000)])
def test_checkpoints_are_about_an_hour_apart_however_the_fixes_came(
    one_site: Live, hours: int, size: int
) -> None:
    fixes = commuting(hours)
    for batch in in_batches(1, fixes, size):
        one_site.commit(batch)
    made = through(one_site.base)
    assert hours - 1 <= len(made) <= hours
    assert all(b - a <= HOUR + 5 * MINUTE for a, b in pairwise([NINE, *made, fixes[-1].t_ms]))


def test_reading_again_begins_at_the_last_checkpoint_before_the_late_fix(one_site: Live) -> None:
    """What lies before it is not looked at: here it is no longer there."""
    fixes = commuting(10)
    late = fixes.pop(1_000)
    for batch in in_batches(1, fixes, 60):
        one_site.commit(batch)
    base, before = one_site.base, through(one_site.base)
    begin = max(t for t in before if t < late.t_ms)
    base.execute("DELETE FROM fix WHERE fix_time <= to_timestamp(%s / 1000.0)", begin)
    one_site.mark()
    one_site.commit([message(1, late)])
    said = base.tables()
    assert len(one_site.written("visit")) <= 1
    assert set(through(base)) >= {t for t in before if t <= begin}
    expected = base.deliver([*in_batches(1, fixes, 60), [message(1, late)]], EVENING)
    assert said["visit"] == expected["visit"]
    assert said["leg"] == expected["leg"]


# ---- what an older version left behind


def test_a_state_of_an_older_version_is_read_anew(live: Live, day: list[Delivery]) -> None:
    """As the migration leaves it: visits and fixes, and no state that could be gone on with."""
    expected = live.base.tables()
    live.base.execute(
        "UPDATE van_progress SET state = NULL, checkpointed = NULL, bounds = NULL;"
        "TRUNCATE van_checkpoint, leg, unusable_fix;"
        "UPDATE visit SET fixes = 1, centre_mm_sum = 0, wrong_order = true"
    )
    Live(live.base).tick()
    assert live.base.tables() == expected
    assert through(live.base)
    assert live.base.rows("SELECT count(*) FROM van_progress WHERE state IS NULL") == [(0,)]


def test_a_message_is_read_after_a_state_of_an_older_version(
    live: Live, day: list[Delivery]
) -> None:
    live.base.execute("UPDATE van_progress SET state = NULL; TRUNCATE van_checkpoint, leg")
    more = message(1, RefFix(NINE + 11 * HOUR, *at(9_000), 5.0))
    late = message(1, RefFix(NINE + HOUR + 1, *at(9_000), 400.0))
    Live(live.base).commit([more, late])
    assert live.base.tables() == told_again(live.base, [*day, more, late])
