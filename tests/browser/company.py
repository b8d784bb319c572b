"""A small company for pages to show, and how its vans move."""

from typing import Any

import psycopg

from storage.settings import as_datetime

NOW_MS = 1_795_165_200_000
MINUTE_MS = 60_000
WAIT_MS = 30_000

#: An ingest that runs already reads it anew.
REFERENCE = """
INSERT INTO technician (technician_id, organisation_id, code, name) VALUES (1, 1, 'T1', 'Ana Diaz');
INSERT INTO warehouse (warehouse_id, organisation_id, code, name, latitude_deg, longitude_deg)
VALUES (1, 1, 'LYON', 'Lyon', 45.7, 4.8);
INSERT INTO item (item_id, ref, name) VALUES (1, 'FIL-20', 'Filter 20'), (2, 'PUMP', 'Pump');
INSERT INTO van_template (template_id, code) VALUES (1, 'HVAC');
INSERT INTO template_line (template_id, item_id, reorder_point, order_up_to, cap)
VALUES (1, 1, 4, 10, 12);
INSERT INTO van (van_id, organisation_id, code, name, technician_id, template_id, warehouse_id)
VALUES (1, 1, 'V1', 'Kangoo 1', 1, 1, 1), (2, 1, 'V2', 'Kangoo 2', NULL, NULL, 1);
INSERT INTO location (location_id, organisation_id, kind, van_id) VALUES (101, 1, 'van', 1);
INSERT INTO level VALUES (101, 1, '', 3, NULL), (101, 2, '', 7, NULL);
INSERT INTO site (site_id, organisation_id, code, name, latitude_deg, longitude_deg, radius_m)
VALUES (1, 1, 'BAKERY', 'Bakery <b>Dupont</b> & fils', 45.75, 4.85, 100);
INSERT INTO tour (tour_id, code, van_id, service_date) VALUES (1, 'TOUR1', 1, '2026-11-20');
INSERT INTO stop (stop_id, tour_id, position, site_id, window_start, window_end, planned_duration_s)
VALUES (1, 1, 1, 1, '2026-11-20 07:00Z', '2026-11-20 08:30Z', 3600);
UPDATE reference_version SET version = version + 1;
"""


def move(
    conn: psycopg.Connection[Any], van: int, minutes_ago: float = 0, speed: float = 15
) -> None:
    moment = as_datetime(int(NOW_MS - minutes_ago * MINUTE_MS))
    with conn.transaction():
        conn.execute(
            "INSERT INTO van_position VALUES (%s, %s, 45.75, 4.85, %s, 90, true, %s)"
            " ON CONFLICT (van_id) DO UPDATE SET fix_time = excluded.fix_time,"
            " speed_mps = excluded.speed_mps",
            (van, moment, speed, moment),
        )
        conn.execute("NOTIFY cordee")
