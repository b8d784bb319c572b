"""Who should get what of the API, written by hand beside a small company. Pure.

It does not read `api/roles.py`: it is the second opinion on it. Whoever adds a route writes here too
who may use it, and what of which rows must not be seen by whom.

Each probe is a real request for rows of the first organisation. Roles are letters: P planner,
W warehouse, T technician of V1, C client of BAKERY, O ops, A admin.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import md5
from typing import Final

from api.roles import Role

LETTERS: Final[dict[str, Role]] = {
    "P": "planner",
    "W": "warehouse",
    "T": "technician",
    "C": "client",
    "O": "ops",
    "A": "admin",
}
EVERYBODY: Final = "PWTCOA"

#: Friday 2026-11-20 10:00 in Paris: the company's present.
NOW: Final = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)

#: Two organisations; in the first two vans with technicians, and two client companies.
COMPANY: Final = """
INSERT INTO organisation (organisation_id, name) VALUES (2, 'other');
INSERT INTO technician (technician_id, organisation_id, code, name)
VALUES (1, 1, 'T1', 'Ana'), (2, 1, 'T2', 'Bo'), (9, 2, 'T9', 'Xu');
INSERT INTO warehouse (warehouse_id, organisation_id, code, name, latitude_deg, longitude_deg)
VALUES (1, 1, 'LYON', 'Lyon', 45.7, 4.8), (9, 2, 'NICE', 'Nice', 43.7, 7.2);
INSERT INTO item (item_id, ref, name) VALUES (1, 'FIL-20', 'Filter 20'), (2, 'PUMP', 'Pump');
INSERT INTO van (van_id, organisation_id, code, name, technician_id, warehouse_id)
VALUES (1, 1, 'V1', 'Kangoo 1', 1, 1), (2, 1, 'V2', 'Kangoo 2', 2, 1), (9, 2, 'X9', 'Theirs', 9, 9);
INSERT INTO location (location_id, organisation_id, kind, van_id)
VALUES (101, 1, 'van', 1), (102, 1, 'van', 2), (109, 2, 'van', 9);
INSERT INTO location (location_id, organisation_id, kind) VALUES (209, 2, 'customer');
INSERT INTO client (client_id, organisation_id, code, name)
VALUES (1, 1, 'DUPONT', 'Boulangeries Dupont'), (2, 1, 'MAIRIE', 'Mairie'), (9, 2, 'PORT', 'Port');
INSERT INTO site (site_id, organisation_id, code, name, latitude_deg, longitude_deg, radius_m,
                  client_id)
VALUES (1, 1, 'BAKERY', 'Bakery', 45.75, 4.85, 100, 1), (2, 1, 'SCHOOL', 'School', 45.76, 4.86, 100, 2),
       (9, 2, 'HARBOUR', 'Harbour', 43.69, 7.28, 100, 9);
INSERT INTO tour (tour_id, code, van_id, service_date)
VALUES (1, 'TOUR1', 1, '2026-11-20'), (2, 'TOUR2', 2, '2026-11-20'), (9, 'TOUR9', 9, '2026-11-20');
INSERT INTO stop (stop_id, tour_id, position, site_id, window_start, window_end, planned_duration_s)
SELECT n * 10 + site_id, n, site_id, site_id, '2026-11-20 10:00Z'::timestamptz + site_id * INTERVAL '1 h',
       '2026-11-20 12:00Z'::timestamptz + site_id * INTERVAL '1 h', 3600
FROM (VALUES (1, 1), (1, 2), (2, 1), (2, 2), (9, 9)) AS planned (n, site_id);
INSERT INTO van_position
SELECT n, '2026-11-20 08:59Z', 45.75, 4.85, 10, 90, true, '2026-11-20 08:59:01Z'
FROM unnest('{1,2,9}'::int[]) AS n;
INSERT INTO fix (van_id, fix_time, latitude_deg, longitude_deg, payload_hash, received_time)
SELECT n, '2026-11-20 08:59Z', 45.75, 4.85, 0, '2026-11-20 08:59:01Z'
FROM unnest('{1,2,9}'::int[]) AS n;
INSERT INTO leg SELECT n, '2026-11-20 07:00Z', 'trip', '2026-11-20 07:30Z', true, 900, 0, 0, 45.7, 4.8
FROM unnest('{1,2,9}'::int[]) AS n;
INSERT INTO unusable_fix SELECT n, '2026-11-20 08:00Z', 'jump' FROM unnest('{1,2,9}'::int[]) AS n;
INSERT INTO visit (van_id, site_id, arrived_at, last_inside_at, left_at, closed_by, verdict, uncertain,
                   ignition_off, service_date, punctuality)
SELECT van, site, '2026-11-20 06:00Z', '2026-11-20 06:20Z', '2026-11-20 06:30Z', '2026-11-20 06:33Z',
       'visit', false, true, '2026-11-20', 'unplanned'
FROM (VALUES (1, 1), (1, 2), (2, 1), (2, 2), (9, 9)) AS seen (van, site);
INSERT INTO alert (van_id, stop_id, kind, due_at, state, reason, raised_time, changed_time)
SELECT n, n * 10 + CASE n WHEN 9 THEN 9 ELSE 1 END, 'at_risk', '2026-11-20 12:00Z', 'open', 'r',
       '2026-11-20 08:31Z', '2026-11-20 08:31Z'
FROM unnest('{1,2,9}'::int[]) AS n;
INSERT INTO level SELECT n, 1, '', 3, NULL FROM unnest('{101,102,109}'::int[]) AS n;
INSERT INTO scan
SELECT code, 'e', seq, 0, van_id, '2026-11-20 06:05Z', 'issue', convert_to(code, 'UTF8'), status, '{}',
       '2026-11-20 08:00Z'
FROM van, (VALUES (1, 'applied'), (2, 'unknown_code'), (3, 'review')) AS kinds (seq, status);
INSERT INTO visit_report
SELECT van.code, 'e', 9, 0, van.van_id, '2026-11-20 06:25Z', site.code, NULL, 'work of ' || van.code,
       NULL, NULL, 'signer', NULL, 'M0 0', NULL, false, '2026-11-20 06:26Z'
FROM van JOIN site ON site.site_id = van.van_id;
INSERT INTO message (van_id, message_id, kind, text, sent_at)
SELECT van_id, 'm-' || code, 'message', 'words for ' || code, '2026-11-20 08:00Z' FROM van;
INSERT INTO movement
SELECT code, 'e', 1, 0, '2026-11-20 06:05Z', 'issue', 1, '', 2, 100 + van_id,
       (SELECT location_id FROM location
        WHERE kind = 'customer' AND location.organisation_id = van.organisation_id)
FROM van;
INSERT INTO proposal SELECT n, 1, 5, '{"why": "r"}' FROM unnest('{101,102,109}'::int[]) AS n;
INSERT INTO transfer (from_location_id, to_location_id, item_id, qty, inputs, created_time, until)
VALUES (102, 101, 2, 1, '{"why": "r"}', '2026-11-20Z', '2026-11-21Z');
INSERT INTO resupply_order (order_id, code, organisation_id, warehouse_id, location_id, mode, cutoff_at,
                            state, created_time)
OVERRIDING SYSTEM VALUE VALUES
  (1, 'O-1', 1, 1, 101, 'van', '2026-11-19 15:00Z', 'proposed', '2026-11-19 15:00:05Z'),
  (2, 'O-2', 1, 1, 102, 'van', '2026-11-19 15:00Z', 'proposed', '2026-11-19 15:00:05Z'),
  (9, 'O-9', 2, 9, 109, 'van', '2026-11-19 15:00Z', 'proposed', '2026-11-19 15:00:05Z');
INSERT INTO resupply_line (order_id, item_id, requested, inputs)
VALUES (1, 1, 6, '{}'), (2, 1, 6, '{}'), (9, 1, 6, '{}');
INSERT INTO rejected VALUES
  ('\\x01', 'fleet/v1/V1/position', '{}', 'malformed', 'ours', 'V1', '2026-11-20 08:00Z'),
  (decode(repeat('01', 16), 'hex'), 'fleet/v1/V1/position', '{1', 'malformed', 'ours', 'V1', '2026-11-20Z'),
  (decode(repeat('02', 16), 'hex'), 'fleet/v1/V1/position', '{2', 'malformed', 'ours', 'V1', '2026-11-20Z'),
  (decode(repeat('03', 16), 'hex'), 'fleet/v1/X9/position', '{3', 'malformed', 'theirs', 'X9', '2026-11-20Z'),
  ('\\x03', 'fleet/v1/X9/position', '{}', 'malformed', 'theirs', 'X9', '2026-11-20 08:06Z');
INSERT INTO webhook (organisation_id, url, topics, secret)
VALUES (1, 'https://ours.example/', '{warehouse/v1/orders}', 's'),
       (2, 'https://theirs.example/', '{warehouse/v1/orders}', 's');
ALTER TABLE tour ALTER tour_id RESTART WITH 1000;
ALTER TABLE stop ALTER stop_id RESTART WITH 1000;
ALTER TABLE site ALTER site_id RESTART WITH 1000;
"""

#: What nobody of the first organisation may read in any answer.
THEIRS: Final = (
    '"X9"',
    "words for X9",
    '"HARBOUR"',
    '"TOUR9"',
    '"O-9"',
    '"Xu"',
    '"theirs"',
    "theirs.example",
)
#: And what a role may not read besides.
HIDDEN: Final[dict[Role, tuple[str, ...]]] = {
    "technician": ("words for V2", '"TOUR2"', '"O-2"', '"Bo"', '"code":"V2"', '"van":"V2"'),
    "client": (
        "words for V1",
        '"SCHOOL"',
        "work of V2",
        '"MAIRIE"',
        '"V1"',
        '"V2"',
        "latitude_deg",
    ),
    "warehouse": ("latitude_deg", '"last_fix"'),
    "ops": ("latitude_deg", '"last_fix"'),
}

YES: Final = {"accept": True}
DAY: Final = "from_ms=1795132800000&to_ms=1795219200000"
CIRCLE: Final = {"name": "Bakery", "latitude_deg": 45.75, "longitude_deg": 4.85, "radius_m": 100,
                 "client": "DUPONT"}  # fmt: skip
TOUR: Final = {
    "van": "V1",
    "date": "2026-11-23",
    "stops": [
        {"site": "BAKERY", "window_start": "08:00", "window_end": "09:30", "planned_minutes": 45}
    ],
}
SSCC: Final = "004000000000000176"
LOCATION: Final = {"_type": "location", "lat": 48, "lon": 2, "tst": 1_795_165_200}
#: Nobody takes it further: no ingest runs.
BATCH: Final = {"events": [{"kind": "none", "payload": {}}]}


@dataclass(frozen=True, slots=True)
class Probe:
    """A request, who should get an answer, and what about it is out of reach for whom.

    Attributes:
        method: Of the request.
        template: The route, as the API describes it.
        path: What is asked, of the first organisation's rows.
        roles: Letters of those who may.
        shows: What the answer must hold, so that an empty list proves nothing.
        body: JSON to send.
        not_found: Paths of rows of the other organisation, for everybody who may ask.
        not_mine: By role, paths of rows of the first organisation that this role must not find.
        ends: Whether the request changes who may ask afterwards, so that it comes last.
        people: Whether programs are refused whatever their role.
        status: What a GET is answered that is let in: 404 where this company has nothing to give.
    """

    method: str
    template: str
    path: str
    roles: str
    shows: str = ""
    body: object = None
    not_found: tuple[str, ...] = ()
    not_mine: dict[Role, tuple[str, ...]] = field(default_factory=dict)
    ends: bool = False
    people: bool = False
    status: int = 200

    def allows(self, role: Role) -> bool:
        """Return whether this role may ask."""
        return any(LETTERS[letter] == role for letter in self.roles)


def report_of(van: str) -> str:
    """Return the name of a van's visit report in the company."""
    return md5(f"{van}/e/9".encode(), usedforsecurity=False).hexdigest()


def _of_van(rest: str, roles: str, shows: str = "", query: str = "") -> Probe:
    path = f"/v1/vans/{{}}{rest}{query}"
    return Probe(
        "GET", f"/v1/vans/{{van}}{rest}", path.format("V1"), roles, shows,
        not_found=(path.format("X9"),), not_mine={"technician": (path.format("V2"),)},
    )  # fmt: skip


def _by_van(path: str, roles: str, shows: str = "") -> Probe:
    """A list that may be asked by van: without one, a technician is shown the own."""
    base, _, query = path.partition("?")
    with_van = f"{base}?{query}&van=" if query else f"{base}?van="
    return Probe(
        "GET", base, path, roles, shows,
        not_found=(f"{with_van}X9",), not_mine={"technician": (f"{with_van}V2",)},
    )  # fmt: skip


def _of_order(method: str, rest: str, roles: str, body: object = None) -> Probe:
    path = f"/v1/orders/{{}}{rest}"
    template = path.format("{code}").replace(SSCC, "{sscc}")
    mine: dict[Role, tuple[str, ...]] = {"technician": (path.format("O-2"),)}
    return Probe(
        method, template, path.format("O-1"), roles, body=body,
        not_found=(path.format("O-9"),), not_mine=mine,
    )  # fmt: skip


def _of_rejected(method: str, rest: str) -> Probe:
    path = f"/v1/rejected/{{}}{rest}"
    its_id = "02" * 16 if method == "GET" else "01" * 16  # what is sent again is gone
    return Probe(
        method, path.format("{rejected_id}"), path.format(its_id), "OA",
        not_found=(path.format("03" * 16),),
    )  # fmt: skip


def _of_sites(path: str) -> Probe:
    return Probe(
        "GET", path, f"{path}?{DAY}", "PCA", '"BAKERY"',
        not_found=(f"{path}?site=HARBOUR",), not_mine={"client": (f"{path}?site=SCHOOL",)},
    )  # fmt: skip


#: No sign-in lets anybody in here, only a device's credential: without, all are refused as unknown.
DEVICES: Final = (
    Probe("POST", "/v1/ingress/owntracks", "/v1/ingress/owntracks", EVERYBODY, body=LOCATION),
    Probe("GET", "/v1/ingress/osmand", "/v1/ingress/osmand?id=V1&lat=48&lon=2", EVERYBODY),
    Probe("POST", "/v1/ingress/osmand", "/v1/ingress/osmand", EVERYBODY, body={"device_id": "V1"}),
)

#: A public route is asked without signing in: `roles` is everybody, and so is nobody.
PUBLIC: Final = (
    Probe("GET", "/healthz", "/healthz", EVERYBODY),
    Probe("GET", "/readyz", "/readyz", EVERYBODY),
    Probe("GET", "/van/precache.js", "/van/precache.js", EVERYBODY),
    Probe("POST", "/v1/session", "/v1/session", EVERYBODY, body={}),
    Probe("GET", "/v1/session/ways", "/v1/session/ways", EVERYBODY),
    Probe("GET", "/v1/session/oidc", "/v1/session/oidc", EVERYBODY),
    Probe("GET", "/v1/session/oidc/callback", "/v1/session/oidc/callback", EVERYBODY),
    Probe("POST", "/v1/token", "/v1/token", EVERYBODY, body={}),
    *DEVICES,
)

PROBES: Final = (
    Probe("GET", "/metrics", "/metrics", "OA"),
    Probe("GET", "/v1/openapi.json", "/v1/openapi.json", EVERYBODY),
    Probe("GET", "/v1/session", "/v1/session", EVERYBODY),
    Probe("GET", "/v1/me/access-log", "/v1/me/access-log", "T"),
    Probe("GET", "/v1/me/day", "/v1/me/day", "T", '"TOUR1"'),
    Probe("GET", "/v1/catalogue", "/v1/catalogue", "PWTA", '"FIL-20"'),
    Probe("GET", "/v1/vans", "/v1/vans", "PTA", '"V1"'),
    _of_van("", "PTA", '"V1"'),
    _of_van("/track", "PTA", "coordinates"),
    _of_van("/legs", "PTA", '"trip"', f"?{DAY}"),
    _of_van("/visits", "PTA", '"BAKERY"'),
    _of_van("/tour", "PTA", '"TOUR1"'),
    _of_van("/stock", "PWTA", '"FIL-20"'),
    Probe(
        "POST", "/v1/devices/{van}/events:batch", "/v1/devices/V1/events:batch", "T", body=BATCH,
        not_found=("/v1/devices/X9/events:batch",),
        not_mine={"technician": ("/v1/devices/V2/events:batch",)},
    ),
    _by_van("/v1/messages", "PWTA", "words for V1"),
    Probe("POST", "/v1/messages", "/v1/messages", "PWTA", body={"van": "V1", "text": "hello"}),
    Probe(
        "POST", "/v1/messages/{id}/read", "/v1/messages/m-V1/read", "PWTA",
        not_found=("/v1/messages/m-X9/read",), not_mine={"technician": ("/v1/messages/m-V2/read",)},
    ),
    _by_van("/v1/visits", "PTA", '"V1"'),
    _by_van("/v1/alerts", "PTA", '"V1"'),
    Probe(
        "GET", "/v1/alerts/{alert_id}", "/v1/alerts/1", "PTA", '"V1"',
        not_found=("/v1/alerts/3",), not_mine={"technician": ("/v1/alerts/2",)},
    ),
    Probe(
        "PATCH", "/v1/alerts/{alert_id}", "/v1/alerts/1", "PA", body={"acknowledged": True},
        not_found=("/v1/alerts/3",),
    ),
    Probe("GET", "/v1/people", "/v1/people?can=plan", "PA", '"planner"'),
    Probe("GET", "/v1/tours", "/v1/tours", "PA", '"TOUR1"'),
    Probe("GET", "/v1/fixes/unusable", "/v1/fixes/unusable", "POA", '"V1"'),
    Probe("GET", "/v1/live", "/v1/live", "PWTOA"),
    Probe("GET", "/v1/search", "/v1/search?q=V1", "PWTOA", '"V1"'),
    Probe("GET", "/v1/overview", "/v1/overview", "PWOA"),
    Probe("PUT", "/v1/tours/{code}", "/v1/tours/NEW", "PA", body=TOUR),
    Probe("PUT", "/v1/sites/{code}", "/v1/sites/BAKERY", "PA", body=CIRCLE),
    Probe(
        "GET", "/v1/sites/{code}", "/v1/sites/BAKERY", "PA", '"BAKERY"',
        not_found=("/v1/sites/HARBOUR",),
    ),
    Probe("GET", "/v1/fences", "/v1/fences", "PA", '"BAKERY"'),
    Probe(
        "GET", "/v1/stops/{stop_id}/proposals", "/v1/stops/11/proposals", "PA", '"BAKERY"',
        not_found=("/v1/stops/99/proposals",),
    ),
    Probe("GET", "/v1/replans", "/v1/replans", "PA"),
    Probe(
        "POST", "/v1/replans", "/v1/replans", "PA",
        body={"stop_id": 11, "kind": "move", "van": "V2", "order": [11], "based_on": ""},
    ),
    Probe(
        "POST", "/v1/replans/{replan_id}/undo", "/v1/replans/1/undo", "PA",
        not_found=("/v1/replans/99/undo",),
    ),
    _of_sites("/v1/planning"),
    _of_sites("/v1/visit-reports"),
    Probe(
        "GET", "/v1/visit-reports/{report}.pdf", f"/v1/visit-reports/{report_of('V1')}.pdf", "PCA",
        "%PDF", not_found=(f"/v1/visit-reports/{report_of('X9')}.pdf",),
        not_mine={"client": (f"/v1/visit-reports/{report_of('V2')}.pdf",)},
    ),
    _by_van("/v1/stock/figures", "PWTA"),
    _by_van("/v1/stock/missing", "PWTA"),
    _by_van("/v1/stock/dead", "PWTA"),
    _by_van("/v1/stock/trust", "PWTA", '"V1"'),
    _by_van(f"/v1/parts?{DAY}", "PWTA", '"V1"'),
    _by_van(f"/v1/parts/questions?{DAY}", "PWTA"),
    Probe("GET", "/v1/parts/unknown-codes", "/v1/parts/unknown-codes", "PWOA", '"V1"'),
    Probe("GET", "/v1/parts/waiting", "/v1/parts/waiting", "PWOA", '"V1"'),
    Probe(
        "POST", "/v1/parts/waiting/{van}/{epoch}/{seq}/decision",
        "/v1/parts/waiting/V1/e/77/decision", "PWA", body=YES,
        not_found=("/v1/parts/waiting/X9/e/3/decision",),
    ),
    _by_van(f"/v1/counts/variances?{DAY}", "PWTA"),
    _by_van("/v1/counts/recounts", "PWTA"),
    _by_van("/v1/orders", "PWTA", '"O-1"'),
    _by_van("/v1/order-lines", "PWTA", '"O-1"'),
    _of_order("GET", "", "PWTA"),
    _of_order("POST", "/approval", "PWA"),
    _of_order("POST", "/reports", "WA", {"kind": "accepted"}),
    _of_order("POST", "/boxes", "WA"),
    _of_order("GET", "/pick-list.pdf", "PWA"),
    _of_order("GET", "/pick-list.csv", "PWA"),
    _of_order("GET", f"/boxes/{SSCC}.pdf", "PWA"),
    Probe(
        "GET", "/v1/warehouses/{code}/bin-labels.pdf", "/v1/warehouses/LYON/bin-labels.pdf", "PWA"
    ),
    _by_van("/v1/proposals", "PWTA", '"V1"'),
    Probe(
        "POST", "/v1/proposals/{van}/{item}/approval", "/v1/proposals/V1/FIL-20/approval", "PWA",
        not_found=("/v1/proposals/X9/FIL-20/approval",),
    ),
    _by_van("/v1/transfers", "PWTA", '"V1"'),
    Probe(
        "POST", "/v1/transfers/{transfer_id}/decision", "/v1/transfers/1/decision", "PA", body=YES
    ),
    _by_van("/v1/boxes/unclaimed", "PWTA"),
    Probe("GET", "/v1/retention", "/v1/retention", EVERYBODY),
    Probe("GET", "/v1/map", "/v1/map", EVERYBODY),
    Probe("GET", "/v1/map/tiles.pmtiles", "/v1/map/tiles.pmtiles", EVERYBODY, status=404),
    Probe("GET", "/v1/templates/proposals", "/v1/templates/proposals", "PWA"),
    Probe(
        "POST", "/v1/templates/{template}/acceptance", "/v1/templates/NONE/acceptance", "PWA",
        body={"items": ["NONE"]},
    ),
    Probe("GET", "/v1/rejected", "/v1/rejected", "OA", '"ours"'),
    _of_rejected("GET", ""),
    _of_rejected("POST", "/replay"),
    _of_rejected("POST", "/discard"),
    Probe(
        "POST", "/v1/parts/unknown-codes/mapping", "/v1/parts/unknown-codes/mapping", "WOA",
        body={"code_base64": "bm93", "item": "FIL-20"},
    ),
    Probe("GET", "/v1/audit", "/v1/audit", "OA"),
    Probe("GET", "/v1/devices", "/v1/devices", "OA", '"V1"'),
    Probe("GET", "/v1/outbox", "/v1/outbox", "OA"),
    Probe("GET", "/v1/servers", "/v1/servers", "OA", "connections_max"),
    Probe("GET", "/v1/webhooks", "/v1/webhooks", "OA", "ours.example"),
    Probe("GET", "/v1/webhooks/deliveries", "/v1/webhooks/deliveries", "OA"),
    Probe(
        "POST", "/v1/webhooks/deliveries/{delivery_id}/resend",
        "/v1/webhooks/deliveries/1/resend", "OA",
    ),
    Probe(
        "PUT", "/v1/me/password", "/v1/me/password", EVERYBODY,
        body={"old": "x", "new": "several words"}, people=True,
    ),
    Probe("DELETE", "/v1/session", "/v1/session", EVERYBODY, ends=True),
    Probe("DELETE", "/v1/me/sessions", "/v1/me/sessions", EVERYBODY, ends=True, people=True),
)  # fmt: skip
