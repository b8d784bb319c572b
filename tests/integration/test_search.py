"""One field to find anything by: whatever the accents, the case or the part of a word that is typed."""

from typing import Any

import httpx
import psycopg
import pytest

from tests.integration.api_client import (
    answer,
    as_organisation,
    fleet,
    new_session,
    new_user,
    problem,
    sign_in_as,
)

Database = psycopg.Connection[Any]

MORE = """
UPDATE technician SET name = 'Ana Dupré';
INSERT INTO technician (technician_id, organisation_id, code, name)
VALUES (2, 1, 'T2', 'Bo'), (9, 2, 'T9', 'Ana Theirs');
UPDATE van SET technician_id = 2 WHERE code = 'V2';
INSERT INTO site (site_id, organisation_id, code, name, latitude_deg, longitude_deg, radius_m, town)
VALUES (11, 1, 'S-00421', 'Café de l’Étoile', 45, 5, 100, 'Besançon'),
       (12, 1, 'S-0042', 'Œuvres sociales', 45, 5, 100, 'Łódź'),
       (13, 1, 'ETOILE', 'Cinéma', 45, 5, 100, NULL),
       (14, 1, 'X-1', 'Grande Étoile', 45, 5, 100, NULL),
       (15, 1, 'X-2', 'Petoilex', 45, 5, 100, NULL);
INSERT INTO barcode VALUES ('04006381333931', 1, 1), ('FILTER-BOX', 1, 10), ('03012345678905', 3, 1);
INSERT INTO location (location_id, organisation_id, kind, van_id) VALUES (102, 1, 'van', 2);
INSERT INTO resupply_order (order_id, code, organisation_id, warehouse_id, location_id, mode,
                            cutoff_at, state, created_time)
OVERRIDING SYSTEM VALUE
VALUES (17, 'O-17', 1, 1, 101, 'van', '2026-11-18 15:00Z', 'received', now()),
       (18, 'O-18', 1, 1, 102, 'van', '2026-11-20 15:00Z', 'sent', now());
"""


@pytest.fixture
def conn(database_url: str) -> Any:
    with fleet(database_url) as connection:
        connection.execute(MORE)
        yield connection


async def found(api: httpx.AsyncClient, q: str) -> dict[str, list[str]]:
    """Return the codes that were found, by kind; kinds of which there are none are left out."""
    told = await answer(api, "/v1/search", q=q)
    assert told.pop("q") == q
    return {
        kind: [hit.get("code") or hit["item"] for hit in hits]
        for kind, hits in told.items()
        if hits
    }


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("etoile", {"sites": ["ETOILE", "S-00421", "X-1", "X-2"]}),
        ("ÉTOILE", {"sites": ["ETOILE", "S-00421", "X-1", "X-2"]}),
        ("cafe de l'etoile", {"sites": ["S-00421"]}),
        ("besancon caf", {"sites": ["S-00421"]}),
        ("oeuv", {"sites": ["S-0042"]}),
        ("lodz", {"sites": ["S-0042"]}),
        ("s-0042", {"sites": ["S-0042", "S-00421"]}),
        ("0421", {"sites": ["S-00421"]}),
        ("kangoo 2", {"vans": ["V2"]}),
        ("v1", {"vans": ["V1"]}),
        ("dupre", {"technicians": ["T1"]}),
        ("pump", {"items": ["PUMP"]}),
        ("seal_5", {"items": ["SEAL_5"]}),
        ("5 % seal", {"items": ["SEAL_5"]}),
        ("4006381333931", {"items": ["FIL-20"]}),
        ("04006381333931", {"items": ["FIL-20"]}),
        ("4006", {"items": ["FIL-20"]}),
        ("FILTER-B", {"items": ["FIL-20"]}),
        ("o-1", {"orders": ["O-1", "O-18", "O-17"]}),
        ("nothing of that", {}),
        ("%", {}),
        ("_", {}),
        (" ' ", {}),
    ],
)
async def test_what_is_looked_for_is_found_the_best_first(
    api: httpx.AsyncClient, q: str, expected: dict[str, list[str]]
) -> None:
    assert await found(api, q) == expected


async def test_what_is_found_says_what_it_is(api: httpx.AsyncClient) -> None:
    told = await answer(api, "/v1/search", q="V1")
    assert told["vans"] == [{"code": "V1", "name": "Kangoo 1", "technician": "Ana Dupré"}]
    told = await answer(api, "/v1/search", q="dupré")
    assert told["technicians"] == [{"code": "T1", "name": "Ana Dupré", "van": "V1"}]
    told = await answer(api, "/v1/search", q="besançon")
    assert told["sites"] == [{"code": "S-00421", "name": "Café de l’Étoile", "town": "Besançon"}]
    told = await answer(api, "/v1/search", q="3012345")
    assert told["items"] == [{"item": "PUMP", "name": "Pump", "barcode": "03012345678905"}]
    told = await answer(api, "/v1/search", q="o-18")
    assert told["orders"] == [{"code": "O-18", "van": "V2", "state": "sent"}]


async def test_no_more_than_eight_of_a_kind_are_told(
    api: httpx.AsyncClient, conn: Database
) -> None:
    conn.execute(
        "SELECT setval(pg_get_serial_sequence('site', 'site_id'), 1000);"
        "INSERT INTO site (organisation_id, code, name, latitude_deg, longitude_deg, radius_m)"
        " SELECT 1, 'M-' || lpad(n::text, 2, '0'), 'Mill', 45, 5, 100 FROM generate_series(50, 69) AS n"
    )
    assert (await found(api, "mill"))["sites"] == [f"M-{n}" for n in range(50, 58)]


async def test_an_edited_site_is_found_by_its_new_name(api: httpx.AsyncClient) -> None:
    body = {"name": "Müller & Söhne", "latitude_deg": 45.75, "longitude_deg": 4.85, "radius_m": 80}
    await api.put("/v1/sites/BAKERY", json={**body, "town": "Gap"})
    assert await found(api, "muller sohne gap") == {"sites": ["BAKERY"]}


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("planner", {"vans", "technicians", "sites", "items", "orders"}),
        ("warehouse", {"vans", "items", "orders"}),
        ("technician", {"vans", "items", "orders"}),
        ("ops", {"vans"}),
    ],
)
async def test_each_role_finds_what_it_may_see(
    api: httpx.AsyncClient, conn: Database, database_url: str, role: Any, expected: set[str]
) -> None:
    conn.execute(
        "UPDATE van SET name = 'one'; UPDATE technician SET name = 'one'; UPDATE site SET name = 'one';"
        " UPDATE item SET name = 'one'; UPDATE resupply_order SET code = code || ' one'"
    )
    of_technician = 1 if role == "technician" else None
    login = new_user(database_url, role, role, technician_id=of_technician)
    sign_in_as(api, new_session(database_url, login))
    hits = await found(api, "one")
    assert set(hits) == expected
    if role == "technician":
        assert (hits["vans"], hits["orders"]) == (["V1"], ["O-1 one", "O-17 one"])


async def test_nobody_finds_what_is_anothers(api: httpx.AsyncClient) -> None:
    for q in ("X9", "harbour", "theirs", "O-9"):
        assert await found(api, q) == {}
    as_organisation(api, 2)
    assert await found(api, "harbour") == {"sites": ["HARBOUR"]}
    for q in ("etoile", "V1", "dupre", "O-1"):
        assert await found(api, q) == {}


async def test_something_must_be_looked_for(api: httpx.AsyncClient) -> None:
    for params in ({}, {"q": ""}, {"q": "x" * 101}):
        assert await problem(api, "/v1/search", **params) == (422, "invalid_parameters")


#: Each pair is the same to whoever searches.
SAME = [
    ("Café de l’Étoile", "CAFE DE L ETOILE"),
    ("Łódź", "lodz"),
    ("Straße", "STRASSE"),
    ("Ñandú", "nandu"),
    ("Sant Cugat del Vallès (l·l)", "sant cugat del valles l l"),
    ("«Œuvre»", "oeuvre"),
    ("van-001.b [x]_y", "VAN 001 B X Y"),
    ("a\\b^c`d", "a b c d"),
    ("ﬁn", "FIN"),
    ("  -- ", ""),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_plain_text_is_the_same_without_accents_case_and_punctuation(
    conn: Database, one: str, other: str
) -> None:
    query = "SELECT plain_text(%s), plain_text(%s), plain_text(plain_text(%s))"
    row = conn.execute(query, (one, other, one)).fetchone()
    assert row is not None
    assert row[0] == row[1] == row[2] == other.lower()
