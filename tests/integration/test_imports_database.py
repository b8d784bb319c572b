"""Each kind of reference data on a real database: good rows, bad rows, again, changed, of others."""

import random
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal

import numpy as np
import psycopg
import pytest

from geofence.fences import Fences
from geofence.imports import reference as geofence_reference
from geofence.store import load_sites
from stock_tracker import reference as stock_reference
from storage.imports import ImportResult
from storage.pool import Connection
from storage.sheets import UnusableFileError

KINDS = geofence_reference.KINDS | stock_reference.KINDS

FILES = {
    "warehouses": (
        "warehouse,name,latitude_deg,longitude_deg,time_zone,cutoff_times\n"
        'W-1,North,50.6,3.0,Europe/Paris,"16:00;11:30"\n'
        "W-2,South,43.3,5.4,,\n"
    ),
    "technicians": (
        "technician,name,home_latitude_deg,home_longitude_deg\nT-1,Ada,50.5,3.1\nT-2,Bo,,\n"
    ),
    "items": (
        "item;name;base_unit;tracked;critical\nI-1;Relay;piece;yes;no\nI-2;Cable;m;0;TRUE\n"
    ),
    "barcodes": "code,item,pack_qty\n4006381333931,I-1,10\nRELAY,I-1,\n",
    "templates": (
        "template,item,reorder_point,order_up_to,cap,pack_qty\nK-1,I-1,2,6,8,1\nK-1,I-2,0,50,50,\n"
    ),
    "vans": "van,name,technician,template,warehouse\nV-1,One,T-1,K-1,W-1\nV-2,Two,,,\n",
    "sites": (
        "site,name,latitude_deg,longitude_deg,radius_m,time_zone\n"
        "S-1,Station,50.6,3.1,120,\nS-2,Tower,51.5,-0.1,80.4,Europe/London\n"
    ),
    "stock": (
        "van,item,qty,counted_at\n"
        "V-1,I-1,5,2026-01-05T06:00:00+01:00\nV-1,I-2,40,1767589200000\n"
    ),
    "tours": (
        "tour,van,date,stop,site,window_start,window_end,planned_minutes,work_order\n"
        "R-1,V-1,2026-01-05,1,S-1,08:00,10:00,30,WO-1\n"
        "R-1,V-1,2026-01-05,2,S-2,09:00,11:00,45.5,\n"
        "R-2,V-2,2026-01-05,1,S-2,22:00,01:00,20,\n"
    ),
}  # fmt: skip
#: Per kind a change to the first row, as (old text, new text).
CHANGES = {
    "warehouses": ("16:00;11:30", "16:00"),
    "technicians": ("50.5,3.1", ","),
    "items": ("yes;no", "yes;yes"),
    "barcodes": ("I-1,10", "I-1,12"),
    "templates": ("2,6,8", "3,6,8"),
    "vans": ("T-1,K-1", "T-2,K-1"),
    "sites": ("3.1,120", "3.1,121"),
    "stock": ("I-1,5", "I-1,7"),
    "tours": ("10:00,30", "10:00,31"),
}
#: Per kind a row that cannot be used, and words of the reason.
BAD_ROWS = {
    "warehouses": ("W-3,Nowhere,0,0,,", "(0, 0)"),
    "technicians": ("T-3,Cy,48,", "both"),
    "items": ("I-3;;piece;maybe;no", "name is missing; tracked is 'maybe'"),
    "barcodes": ("04006381333931,I-1,1", "code 04006381333931 is already in line 2"),
    "templates": ("K-1,I-9,2,6,8,1", "item I-9 is not known: import items first"),
    "vans": ("V/3,Three,,,", "none of them / + # . > *"),
    "sites": ("S-3,Cliff,50,3,100,Mars/Olympus", "time zone Mars/Olympus is not known"),
    "stock": ("V-9,I-1,5,1767589200000", "van V-9 is not known: import vans first"),
    "tours": ("R-3,V-2,2026-01-06,1,S-12,08:00,09:00,5,", "site S-12 is not known"),
}


@pytest.fixture
async def conn(database_url: str) -> AsyncIterator[Connection]:
    async with await psycopg.AsyncConnection.connect(
        database_url, options="-c TimeZone=UTC"
    ) as opened:
        await opened.execute("INSERT INTO organisation (name) VALUES ('other')")
        yield opened


@pytest.fixture
async def filled(conn: Connection) -> Connection:
    for kind, text in FILES.items():
        await load(conn, kind, text)
    return conn


async def load(
    conn: Connection, kind: str, text: str, organisation: str = "default"
) -> ImportResult:
    done = await KINDS[kind](conn, text.encode(), organisation=organisation)
    assert done.kind == kind
    assert done.rows_read == done.inserted + done.updated + done.unchanged + len(done.bad)
    return done


async def rows(conn: Connection, query: str, params: Sequence[object] = ()) -> list[object]:
    return list(await (await conn.execute(query.encode(), params)).fetchall())


async def everything(conn: Connection) -> dict[str, list[object]]:
    """All rows but the version's, as text."""
    tables = [
        "warehouse", "technician", "item", "barcode", "van_template", "template_line", "van",
        "site", "tour", "stop", "location", "count_line", "level",
    ]  # fmt: skip
    return {
        table: await rows(conn, f"SELECT {table}::text FROM {table} ORDER BY 1") for table in tables
    }


def counts(done: ImportResult) -> tuple[int, int, int, int, int]:
    return done.inserted, done.updated, done.unchanged, done.removed, len(done.bad)


async def test_the_whole_set_goes_in(filled: Connection) -> None:
    assert await rows(
        filled,
        "SELECT code, latitude_deg, longitude_deg, time_zone, cutoff_times::text FROM warehouse "
        "ORDER BY code",
    ) == [
        ("W-1", 50.6, 3.0, "Europe/Paris", "{11:30:00,16:00:00}"),
        ("W-2", 43.3, 5.4, "Europe/Paris", "{16:00:00}"),
    ]
    assert await rows(
        filled, "SELECT ref, base_unit, tracked, critical FROM item ORDER BY ref"
    ) == [("I-1", "piece", True, False), ("I-2", "m", False, True)]
    assert await rows(
        filled,
        "SELECT barcode.code, ref, pack_qty FROM barcode JOIN item USING (item_id) ORDER BY 1",
    ) == [("04006381333931", "I-1", 10), ("RELAY", "I-1", 1)]
    assert await rows(
        filled,
        """
        SELECT van.code, technician.code, van_template.code, warehouse.code
        FROM van LEFT JOIN technician USING (technician_id)
        LEFT JOIN van_template USING (template_id) LEFT JOIN warehouse USING (warehouse_id)
        ORDER BY van.code
        """,
    ) == [("V-1", "T-1", "K-1", "W-1"), ("V-2", None, None, None)]
    assert await rows(
        filled, "SELECT kind, count(*) FROM location WHERE kind IN ('van', 'warehouse', 'home') "
        "GROUP BY kind ORDER BY kind"
    ) == [("home", 2), ("van", 2), ("warehouse", 2)]  # fmt: skip
    assert await rows(
        filled,
        """
        SELECT tour.code, position, site.code, window_start::text, window_end::text,
               planned_duration_s, work_order
        FROM stop JOIN tour USING (tour_id) JOIN site USING (site_id) ORDER BY 1, 2
        """,
    ) == [
        ("R-1", 1, "S-1", "2026-01-05 07:00:00+00", "2026-01-05 09:00:00+00", 1800, "WO-1"),
        ("R-1", 2, "S-2", "2026-01-05 09:00:00+00", "2026-01-05 11:00:00+00", 2730, None),
        ("R-2", 1, "S-2", "2026-01-05 22:00:00+00", "2026-01-06 01:00:00+00", 1200, None),
    ]
    assert await levels(filled) == {("V-1", "I-1"): 5, ("V-1", "I-2"): 40}


@pytest.mark.parametrize("kind", FILES)
async def test_importing_the_same_file_again_changes_no_row(filled: Connection, kind: str) -> None:
    before = await everything(filled)
    done = await load(filled, kind, FILES[kind])
    assert counts(done) == (0, 0, done.rows_read, 0, 0)
    assert await everything(filled) == before


@pytest.mark.parametrize("kind", FILES)
async def test_a_changed_row_updates(filled: Connection, kind: str) -> None:
    before = await everything(filled)
    changed = FILES[kind].replace(*CHANGES[kind], 1)
    done = await load(filled, kind, changed)
    assert counts(done) == (0, 1, done.rows_read - 1, 0, 0)
    after = await everything(filled)
    assert after != before
    assert {table: len(found) for table, found in after.items()} == {
        table: len(found) for table, found in before.items()
    }


@pytest.mark.parametrize("kind", FILES)
async def test_a_bad_row_is_listed_and_stops_nothing_else(conn: Connection, kind: str) -> None:
    for other, text in FILES.items():
        if other == kind:
            break
        await load(conn, other, text)
    row, reason = BAD_ROWS[kind]
    head, *good = FILES[kind].splitlines()
    done = await load(conn, kind, "\n".join([head, good[0], row, *good[1:]]))
    assert counts(done) == (len(good), 0, 0, 0, 1)
    assert done.bad[0].line == 3
    assert reason in done.bad[0].reason


@pytest.mark.parametrize("kind", FILES)
async def test_every_import_raises_the_version_of_the_reference_data(
    filled: Connection, kind: str
) -> None:
    (before,) = await rows(filled, "SELECT version FROM reference_version")
    await load(filled, kind, FILES[kind])
    (after,) = await rows(filled, "SELECT version FROM reference_version")
    assert after == (before[0] + 1,)  # type: ignore[index]


@pytest.mark.parametrize("kind", FILES)
async def test_an_organisation_that_does_not_exist_is_refused(conn: Connection, kind: str) -> None:
    with pytest.raises(UnusableFileError, match="no organisation named 'nobody'"):
        await KINDS[kind](conn, FILES[kind].encode(), organisation="nobody")


@pytest.mark.parametrize("kind", FILES)
async def test_a_file_with_a_header_only_changes_nothing(filled: Connection, kind: str) -> None:
    before = await everything(filled)
    assert counts(await load(filled, kind, FILES[kind].splitlines()[0])) == (0, 0, 0, 0, 0)
    assert await everything(filled) == before


async def test_another_organisation_has_codes_of_its_own(filled: Connection) -> None:
    for kind in ("warehouses", "technicians", "sites"):
        done = await load(filled, kind, FILES[kind], "other")
        assert counts(done) == (2, 0, 0, 0, 0)
    assert await rows(filled, "SELECT count(*) FROM site WHERE code = 'S-1'") == [(2,)]


async def test_the_van_of_another_organisation_is_out_of_reach(filled: Connection) -> None:
    before = await everything(filled)
    done = await load(filled, "vans", FILES["vans"], "other")
    assert {bad.reason for bad in done.bad} >= {
        "van V-1 is another organisation's: choose another code"
    }
    for kind in ("stock", "tours"):
        done = await load(filled, kind, FILES[kind], "other")
        assert "van V-1 is not known" in done.bad[0].reason
        assert len(done.bad) == done.rows_read
    assert await everything(filled) == before


async def test_the_tour_of_another_organisation_is_out_of_reach(filled: Connection) -> None:
    await load(filled, "sites", FILES["sites"], "other")
    await load(filled, "vans", "van,name\nX-1,X\n", "other")
    before = await everything(filled)
    taken = FILES["tours"].replace("V-1", "X-1").splitlines()[:2]
    done = await load(filled, "tours", "\n".join(taken), "other")
    assert [bad.reason for bad in done.bad] == [
        "tour R-1 is another organisation's: choose another code"
    ]
    assert await everything(filled) == before


async def test_sites_come_from_geojson_too_and_again_change_nothing(conn: Connection) -> None:
    text = """{"type": "FeatureCollection", "features": [
      {"type": "Feature", "properties": {"site": "S-1", "name": "Yard", "time_zone": "Asia/Tokyo"},
       "geometry": {"type": "Polygon", "coordinates":
         [[[2.0, 48.0], [2.01, 48.0], [2.01, 48.01], [2.0, 48.0]]]}},
      {"type": "Feature", "properties": {}, "geometry": null},
      {"type": "Feature", "id": 9, "properties": {"radius_m": 50},
       "geometry": {"type": "Point", "coordinates": [2.5, 48.5]}}]}"""
    done = await load(conn, "sites", text)
    assert counts(done) == (2, 0, 0, 0, 1)
    assert (done.counted_in, done.bad[0].line) == ("feature", 2)
    assert await rows(
        conn, "SELECT code, name, area ->> 'type', time_zone FROM site ORDER BY code"
    ) == [("9", "9", None, "Europe/Paris"), ("S-1", "Yard", "Polygon", "Asia/Tokyo")]
    assert counts(await load(conn, "sites", text)) == (0, 0, 2, 0, 1)


async def test_a_bad_shape_is_refused_with_reason_and_place_and_its_neighbours_are_imported(
    conn: Connection,
) -> None:
    text = """{"type": "FeatureCollection", "features": [
      {"type": "Feature", "properties": {"site": "A-1", "radius_m": 15},
       "geometry": {"type": "LineString", "coordinates": [[2.0, 48.0, 31], [2.0, 48.1, 44]]}},
      {"type": "Feature", "properties": {"site": "A-2"},
       "geometry": {"type": "Polygon", "coordinates":
         [[[2.35, 48.857], [2.3524, 48.8572], [2.3524, 48.857], [2.35, 48.8572], [2.35, 48.857]]]}},
      {"type": "Feature", "properties": {"site": "A-3", "radius_m": 8},
       "geometry": {"type": "LineString", "coordinates": [[2.0, 48.0], [NaN, 48.1]]}},
      {"type": "Feature", "properties": {"site": "A-4"},
       "geometry": {"type": "MultiPolygon", "coordinates":
         [[[[2.0, 48.0], [2.01, 48.0], [2.01, 48.01], [2.0, 48.0]]],
          [[[2.1, 48.0], [2.11, 48.0], [2.11, 48.01], [2.1, 48.0]]]]}}]}"""
    done = await load(conn, "sites", text)
    assert counts(done) == (2, 0, 0, 0, 2)
    assert [(bad.line, bad.reason) for bad in done.bad] == [
        (2, "its polygon crosses itself at 2.35120, 48.85710"),
        (3, "position 2 of its line is [null,48.1], which is no pair of numbers"),
    ]
    assert await rows(
        conn,
        "SELECT code, area ->> 'type', round(latitude_deg::numeric, 6), longitude_deg, radius_m "
        "FROM site WHERE code = 'A-1'",
    ) == [("A-1", "LineString", Decimal("48.050000"), 2.0, 15.0)]
    fences = Fences(await load_sites(conn))
    assert fences.radius_m.tolist() == pytest.approx([15.0, 513.2], abs=0.5)
    lat, lon = np.array([48.09, 48.09, 48.003]), np.array([2.0003, 2.0007, 2.107])
    found = fences.near(lat, lon, np.ones(3, dtype=np.int64))
    assert list(zip(found.fix.tolist(), found.site.tolist(), strict=True)) == [(0, 0), (2, 1)]
    assert counts(await load(conn, "sites", text)) == (0, 0, 2, 0, 2)


# --- Tours -------------------------------------------------------------------------------------

HEAD, FIRST, SECOND, OTHER = FILES["tours"].splitlines()


async def stops(conn: Connection) -> dict[tuple[str, int], int]:
    found = await (
        await conn.execute("SELECT code, position, stop_id FROM stop JOIN tour USING (tour_id)")
    ).fetchall()
    return {(code, position): stop_id for code, position, stop_id in found}


async def test_a_changed_tour_keeps_ids_by_position_and_loses_what_is_not_listed(
    filled: Connection,
) -> None:
    before = await stops(filled)
    done = await load(filled, "tours", "\n".join([HEAD, FIRST.replace("S-1", "S-2")]))
    assert counts(done) == (0, 1, 0, 1, 0)
    assert await stops(filled) == {at: before[at] for at in (("R-1", 1), ("R-2", 1))}


async def test_a_tour_with_a_refused_row_loses_no_stop(filled: Connection) -> None:
    before = await stops(filled)
    done = await load(filled, "tours", "\n".join([HEAD, FIRST, SECOND.replace("S-2", "S-9")]))
    assert counts(done) == (0, 0, 1, 0, 1)
    assert await stops(filled) == before


async def test_a_line_that_names_no_tour_keeps_all_stops(filled: Connection) -> None:
    before = await stops(filled)
    done = await load(filled, "tours", f'{HEAD}\n{FIRST}\n"R-1,')
    assert counts(done) == (0, 0, 1, 0, 1)
    assert await stops(filled) == before


async def test_two_tours_may_swap_their_vans(filled: Connection) -> None:
    swapped = FILES["tours"].replace("V-1", "V-0").replace("V-2", "V-1").replace("V-0", "V-2")
    before = await stops(filled)
    assert counts(await load(filled, "tours", swapped)) == (0, 3, 0, 0, 0)
    assert await stops(filled) == before
    assert await rows(
        filled, "SELECT tour.code, van.code FROM tour JOIN van USING (van_id) ORDER BY 1"
    ) == [("R-1", "V-2"), ("R-2", "V-1")]


async def test_a_van_has_one_tour_a_day(filled: Connection) -> None:
    before = await everything(filled)
    done = await load(filled, "tours", "\n".join([HEAD, OTHER.replace("R-2", "R-9")]))
    assert [bad.reason for bad in done.bad] == ["the van has tour R-2 on that day already"]
    done = await load(
        filled, "tours", "\n".join([HEAD, FIRST, SECOND, OTHER.replace("V-2", "V-1")])
    )
    assert [bad.reason for bad in done.bad] == ["van V-1 has tour R-1 on 2026-01-05 further up"]
    assert await everything(filled) == before


async def test_a_refused_tour_keeps_its_day_from_the_others(filled: Connection) -> None:
    """R-1 wants the day of R-8, which stays; so R-2 cannot have the day of R-1."""
    await load(filled, "vans", "van,name\nV-3,Three\n")
    await load(filled, "tours", "\n".join([HEAD, FIRST.replace("R-1,V-1", "R-8,V-3")]))
    before = await everything(filled)
    wanted = [HEAD, FIRST.replace("V-1", "V-3"), OTHER.replace("V-2", "V-1")]
    done = await load(filled, "tours", "\n".join(wanted))
    assert [(bad.line, bad.reason) for bad in done.bad] == [
        (2, "the van has tour R-8 on that day already"),
        (3, "the van has tour R-1 on that day already"),
    ]
    assert await everything(filled) == before


async def test_the_rows_of_a_tour_agree_on_van_and_day(filled: Connection) -> None:
    done = await load(filled, "tours", "\n".join([HEAD, FIRST, SECOND.replace("V-1", "V-2")]))
    assert [bad.reason for bad in done.bad] == ["tour R-1 is for van V-1 on 2026-01-05 further up"]


# --- Skills and parts --------------------------------------------------------------------------

SKILLED = "technician,name,skills\nT-1,Ada,hvac;Lift\nT-2,Bo,\n"
ASKING = (
    "tour,van,date,stop,site,window_start,window_end,planned_minutes,work_order,skill,parts\n"
    "R-1,V-1,2026-01-05,1,S-1,08:00,10:00,30,WO-1,Lift,I-1:2;I-2\n"
    "R-1,V-1,2026-01-05,2,S-2,09:00,11:00,45.5,,,\n"
    "R-2,V-2,2026-01-05,1,S-2,22:00,01:00,20,,,\n"
)


async def skills(conn: Connection) -> list[object]:
    return await rows(conn, "SELECT code, skills FROM technician ORDER BY code")


async def asked_for(conn: Connection) -> list[object]:
    query = """
        SELECT tour.code, position, skill,
               (SELECT string_agg(ref || ':' || qty, ' ' ORDER BY ref)
                FROM stop_part JOIN item USING (item_id) WHERE stop_part.stop_id = stop.stop_id)
        FROM stop JOIN tour USING (tour_id) ORDER BY 1, 2
    """
    return await rows(conn, query)


@pytest.fixture
async def asking(filled: Connection) -> Connection:
    """The company of `filled`, with a skilled technician and a stop that asks for skill and parts."""
    await load(filled, "technicians", FILES["technicians"].replace(
        "_lon", "_lon").replace("longitude_deg\n", "longitude_deg,skills\n")
        .replace("3.1\n", "3.1,hvac;Lift\n"))  # fmt: skip
    await load(filled, "tours", ASKING)
    return filled


async def test_skills_and_parts_go_in(asking: Connection) -> None:
    assert await skills(asking) == [("T-1", ["hvac", "lift"]), ("T-2", [])]
    assert await asked_for(asking) == [
        ("R-1", 1, "lift", "I-1:2 I-2:1"), ("R-1", 2, None, None), ("R-2", 1, None, None),
    ]  # fmt: skip


async def test_files_without_the_columns_leave_what_is_known(asking: Connection) -> None:
    before = await skills(asking), await asked_for(asking)
    for kind in ("technicians", "tours"):
        done = await load(asking, kind, FILES[kind])
        assert counts(done) == (0, 0, done.rows_read, 0, 0)
        await load(asking, kind, FILES[kind].replace(*CHANGES[kind], 1))
    assert (await skills(asking), await asked_for(asking)) == before


async def test_empty_cells_clear_skills_and_parts(asking: Connection) -> None:
    cleared = ASKING.replace("WO-1,Lift,I-1:2;I-2", "WO-1,,")
    assert counts(await load(asking, "tours", cleared)) == (0, 1, 2, 0, 0)
    assert {row[2:] for row in await asked_for(asking)} == {(None, None)}  # type: ignore[index]
    await load(asking, "technicians", "technician,name,skills\nT-1,Ada,\n")
    assert await skills(asking) == [("T-1", []), ("T-2", [])]


@pytest.mark.parametrize("again", ["Lift,I-1:3;I-2", "Lift,I-2", "hvac,I-1:2;I-2", "Lift,I-1:2"])
async def test_a_stop_that_asks_for_something_else_is_updated(
    asking: Connection, again: str
) -> None:
    assert counts(await load(asking, "tours", ASKING)) == (0, 0, 3, 0, 0)
    changed = ASKING.replace("Lift,I-1:2;I-2", again)
    assert counts(await load(asking, "tours", changed)) == (0, 1, 2, 0, 0)
    skill, _, needed = again.partition(",")
    wanted = " ".join(sorted(part if ":" in part else f"{part}:1" for part in needed.split(";")))
    assert (await asked_for(asking))[0] == ("R-1", 1, skill.lower(), wanted)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("gas fitter,", "no single word"),
        (",I-9", "item I-9 is not known: import items first"),
        (",I-1:0", "whole number from 1"),
        (",I-1;I-1:2", "twice among its parts"),
    ],
)
async def test_a_row_with_a_bad_skill_or_part_is_refused_and_changes_nothing(
    asking: Connection, cells: str, reason: str
) -> None:
    before = await asked_for(asking)
    done = await load(asking, "tours", ASKING.replace("Lift,I-1:2;I-2", cells))
    assert counts(done) == (0, 0, 2, 0, 1)
    assert reason in done.bad[0].reason
    assert await asked_for(asking) == before


async def test_a_technician_with_a_bad_skill_is_refused(filled: Connection) -> None:
    done = await load(filled, "technicians", f"technician,name,skills\nT-1,Ada,{'x' * 65}\n")
    assert "no single word" in done.bad[0].reason


async def test_what_the_clock_has_judged_stays_judged_until_the_plan_changes(
    asking: Connection,
) -> None:
    await asking.execute("UPDATE stop SET judged = 'window'")
    await load(asking, "tours", ASKING.replace("Lift,I-1:2", "hvac,I-1:3"))
    judged = "SELECT judged FROM stop JOIN tour USING (tour_id) ORDER BY tour.code, position"
    assert await rows(asking, judged) == [("window",), ("window",), ("window",)]
    await load(asking, "tours", ASKING.replace("08:00,10:00", "08:00,10:30"))
    assert await rows(asking, judged) == [(None,), ("window",), ("window",)]


# --- Opening stock -----------------------------------------------------------------------------


async def levels(conn: Connection) -> dict[tuple[str, str], int]:
    found = await (
        await conn.execute("""
            SELECT van.code, ref, qty FROM level JOIN location USING (location_id)
            JOIN van USING (van_id) JOIN item USING (item_id)
        """)
    ).fetchall()
    return {(van, ref): qty for van, ref, qty in found}


async def move(conn: Connection, seq: int, qty: int, t: str, device: str = "tablet") -> None:
    """Issue from V-1 to the customer."""
    await conn.execute(
        """
        WITH ends AS (
          SELECT (SELECT location_id FROM location JOIN van USING (van_id) WHERE code = 'V-1') AS van,
                 (SELECT min(location_id) FROM location WHERE kind = 'customer') AS customer,
                 (SELECT item_id FROM item WHERE ref = 'I-1') AS item_id
        ), moved AS (
          INSERT INTO movement (device, epoch, seq, t, kind, item_id, qty, from_location_id,
                                to_location_id)
          SELECT %(device)s, 'e', %(seq)s, %(t)s, 'issue', item_id, %(qty)s, van, customer FROM ends
        )
        INSERT INTO posting (device, epoch, seq, location_id, item_id, delta, t)
        SELECT %(device)s, 'e', %(seq)s, van, item_id, -%(qty)s::int, %(t)s::timestamptz FROM ends
        """,
        {"device": device, "seq": seq, "qty": qty, "t": t},
    )


async def test_postings_after_an_opening_count_change_the_level_and_those_before_do_not(
    filled: Connection,
) -> None:
    await move(filled, 1, 100, "2026-01-05T04:59:59Z")
    await move(filled, 2, 2, "2026-01-05T05:00:01Z")
    await move(filled, 3, 10, "2026-01-05T05:00:00Z", device="a")  # "a" < "import": before it
    await move(filled, 4, 20, "2026-01-05T05:00:00Z", device="z")  # after it
    await load(filled, "stock", FILES["stock"].replace("I-1,5", "I-1,50"))
    assert await levels(filled) == {("V-1", "I-1"): 28, ("V-1", "I-2"): 40}


@pytest.mark.parametrize("seed", range(5))
async def test_a_level_is_the_latest_count_and_every_posting_after_it_by_the_order_key(
    filled: Connection, seed: int
) -> None:
    """Crowded keys, so that times and devices are often equal; against a fold in Python."""
    rng = random.Random(seed)
    times = [f"2026-01-05T05:00:0{n}Z" for n in range(3)]
    postings: list[tuple[tuple[str, str, str, int], int]] = []
    for seq in range(100, 130):
        t, device, qty = rng.choice(times), rng.choice("aimz"), rng.randrange(1, 9)
        await move(filled, seq, qty, t, device)
        postings.append(((t, device, "e", seq), -qty))
    counted: list[tuple[tuple[str, str, str, int], int]] = []
    for seq in range(2):
        t, device, qty = rng.choice(times), rng.choice("hj"), rng.randrange(100)
        await filled.execute(
            """
            INSERT INTO count_line (device, epoch, seq, location_id, item_id, qty, t)
            SELECT %s, 'e', %s, location_id, item_id, %s, %s FROM level JOIN item USING (item_id)
            WHERE ref = 'I-1'
            """,
            [device, seq, qty, t],
        )
        counted.append(((t, device, "e", seq), qty))
    await load(filled, "stock", f"van,item,qty,counted_at\nV-1,I-1,77,{times[1]}\n")
    counted += [((times[1], "import", "", 2), 77), ((times[0], "import", "", 2), 5)]
    anchor, qty = max(counted)
    expected = qty + sum(delta for key, delta in postings if key > anchor)
    assert (await levels(filled))["V-1", "I-1"] == expected


async def test_a_later_count_stands_whatever_is_imported_after_it(filled: Connection) -> None:
    late = FILES["stock"].replace("06:00:00", "08:00:00").replace("I-1,5", "I-1,9")
    assert counts(await load(filled, "stock", late)) == (1, 0, 1, 0, 0)
    await load(filled, "stock", FILES["stock"].replace("I-1,5", "I-1,6"))
    assert await levels(filled) == {("V-1", "I-1"): 9, ("V-1", "I-2"): 40}
    assert await rows(filled, "SELECT count(*) FROM count_line") == [(3,)]


async def test_opening_counts_carry_the_key_of_their_file_and_line(filled: Connection) -> None:
    found = await rows(
        filled, "SELECT DISTINCT device, length(epoch), seq, lot FROM count_line ORDER BY seq"
    )
    assert found == [("import", 32, 2, ""), ("import", 32, 3, "")]


async def test_stock_at_its_reorder_point_is_proposed_by_the_import(filled: Connection) -> None:
    await load(filled, "stock", FILES["stock"].replace("I-1,5,", "I-1,2,"))
    proposed = await rows(filled, "SELECT ref, qty FROM proposal JOIN item USING (item_id)")
    assert proposed == [("I-1", 4)]


# ---- clients: whose a site is ----

WITH_CLIENTS = (
    "site,name,latitude_deg,longitude_deg,radius_m,client\n"
    "S-1,Station,50.6,3.1,120,SNCF\nS-2,Tower,51.5,-0.1,80,SNCF\nS-3,Inn,51.6,-0.1,80,\n"
)
OWNERS = """
SELECT site.code, client.code, client.organisation_id
FROM site LEFT JOIN client USING (client_id) ORDER BY site.code
"""


async def test_a_company_is_known_from_the_first_site_that_names_it(conn: Connection) -> None:
    done = await KINDS["sites"](conn, WITH_CLIENTS.encode(), organisation="default")
    assert (done.inserted, done.bad) == (3, [])
    assert await (await conn.execute(OWNERS)).fetchall() == [
        ("S-1", "SNCF", 1), ("S-2", "SNCF", 1), ("S-3", None, None),
    ]  # fmt: skip
    again = await KINDS["sites"](conn, WITH_CLIENTS.encode(), organisation="default")
    assert (again.unchanged, again.updated) == (3, 0)
    moved = WITH_CLIENTS.replace("120,SNCF", "120,METRO").encode()
    assert (await KINDS["sites"](conn, moved, organisation="default")).updated == 1
    without = FILES["sites"].encode()
    assert (await KINDS["sites"](conn, without, organisation="default")).updated == 2
    assert [row[1] for row in await (await conn.execute(OWNERS)).fetchall()] == [None] * 3


async def test_a_feature_may_name_its_client_too(conn: Connection) -> None:
    text = (
        '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"site":"S-9",'
        '"radius_m":50,"client":"SNCF"},"geometry":{"type":"Point","coordinates":[3.1,50.6]}}]}'
    )
    done = await KINDS["sites"](conn, text.encode(), organisation="default")
    assert done.bad == []
    assert await (await conn.execute(OWNERS)).fetchall() == [("S-9", "SNCF", 1)]


async def test_a_site_may_say_its_town_and_another_town_is_a_change(conn: Connection) -> None:
    text = "site,name,latitude_deg,longitude_deg,radius_m,town\nS-1,Station,50.6,3.1,120,Lille\n"
    for town, counted in (("Lille", (1, 0)), ("Lille", (0, 0)), ("Roubaix", (0, 1)), ("", (0, 1))):
        data = text.replace("Lille", town).encode()
        done = await KINDS["sites"](conn, data, organisation="default")
        assert (done.inserted, done.updated) == counted
        [(kept,)] = await (await conn.execute("SELECT town FROM site")).fetchall()
        assert kept == (town or None)


async def test_companies_of_one_name_in_two_organisations_are_two(conn: Connection) -> None:
    for name in ("default", "other"):
        await KINDS["sites"](conn, WITH_CLIENTS.encode(), organisation=name)
    owners = await (await conn.execute(OWNERS)).fetchall()
    assert {(code, owner) for _, code, owner in owners if code} == {("SNCF", 1), ("SNCF", 2)}
