"""What the tables promise by themselves, whatever the code above them does."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors
from psycopg.rows import TupleRow

from ops import embedded
from ops.schema_page import page
from storage.pool import SCHEMA, migrate

Conn = psycopg.Connection[TupleRow]

ROOT = Path(__file__).parents[2]
REWRITE = "docs/SCHEMA.md is stale: .venv/bin/python -m ops.schema_page > docs/SCHEMA.md"

COMPANY = """
INSERT INTO warehouse (organisation_id, code, name, latitude_deg, longitude_deg)
VALUES (1, 'WH', 'Depot', 48, 2);
INSERT INTO technician (organisation_id, code, name) VALUES (1, 'T-1', 'Ada');
INSERT INTO van_template (code) VALUES ('T');
INSERT INTO van (organisation_id, code, name) VALUES (1, 'van-001', 'One'), (1, 'van-002', 'Two');
INSERT INTO item (ref, name) VALUES ('P-1', 'Fuse'), ('P-2', 'Relay');
INSERT INTO barcode VALUES ('FUSE', 1, 1);
INSERT INTO site (organisation_id, code, name, latitude_deg, longitude_deg, radius_m)
VALUES (1, 'S-1', 'Site', 48, 2, 100);
INSERT INTO tour (code, van_id, service_date) VALUES ('TOUR', 1, '2026-06-01');
INSERT INTO stop (tour_id, position, site_id, window_start, window_end, planned_duration_s)
VALUES (1, 1, 1, '2026-06-01 08:00Z', '2026-06-01 09:00Z', 600);
INSERT INTO location (organisation_id, kind, van_id) VALUES (1, 'van', 1);
INSERT INTO alert (van_id, stop_id, kind, due_at, state, reason, raised_time, changed_time)
VALUES (1, 1, 'late', '2026-06-01 09:00Z', 'open', 'r', '2026-06-01Z', '2026-06-01Z');
INSERT INTO visit (van_id, site_id, arrived_at, last_inside_at, verdict, uncertain, ignition_off,
                   service_date)
VALUES (1, 1, '2026-06-01 08:00Z', '2026-06-01 08:30Z', 'undecided', false, false, '2026-06-01');
INSERT INTO alert (van_id, kind, due_at, state, reason, raised_time, changed_time)
VALUES (1, 'silent', '2026-06-01 09:00Z', 'open', 'r', '2026-06-01Z', '2026-06-01Z');
INSERT INTO alert_handling (version, changed_time) VALUES (1, '2026-06-01Z');
INSERT INTO alert_action VALUES (1, 1, '2026-06-01Z', 'ana', '{}');
UPDATE alert SET handling_id = 1;
INSERT INTO replan (organisation_id, service_date, kind, site_id, giver_van_id, taker_van_id, position,
                    before, after, applied_by, applied_time)
VALUES (1, '2026-06-01', 'move', 1, 1, 2, 1, '[]', '[]', 'ana', '2026-06-01Z');
INSERT INTO idempotency_key VALUES ('user:ana', 'k', 'h', NULL, '2026-06-01Z');
INSERT INTO unusable_fix VALUES (1, '2026-06-01Z', 'jump');
INSERT INTO leg VALUES (1, '2026-06-01Z', 'trip', '2026-06-01Z', false, 0, 0, 0, 48, 2);
INSERT INTO van_checkpoint VALUES (1, '2026-06-01Z', '[]');
INSERT INTO eta VALUES (1, '2026-06-01Z', '2026-06-01Z', '2026-06-01Z', '2026-06-01Z', 0.5);
INSERT INTO travel_model VALUES (true, '2026-06-01Z', '{}', '{}');
INSERT INTO stop_part VALUES (1, 1, 2);
INSERT INTO movement VALUES ('d', 'e', 1, 0, '2026-06-01Z', 'issue', 1, '', 2, 6, 2);
INSERT INTO posting VALUES ('d', 'e', 1, 0, 6, 1, '', -2, '2026-06-01Z');
INSERT INTO posting VALUES ('d', 'e', 1, 0, 2, 1, '', 2, '2026-06-01Z');
INSERT INTO proposal VALUES (6, 1, 5, '{}');
INSERT INTO resupply_order
  (code, organisation_id, warehouse_id, location_id, mode, cutoff_at, state, created_time)
VALUES ('O-1', 1, 1, 6, 'van', '2026-06-01Z', 'sent', '2026-06-01Z');
INSERT INTO resupply_line VALUES (1, 1, 5, 3, 2, '{}');
UPDATE resupply_line SET stop_id = 1;
INSERT INTO resupply_order
  (code, organisation_id, warehouse_id, location_id, mode, cutoff_at, state, created_time, is_urgent)
VALUES ('U-1', 1, 1, 6, 'van', '2026-06-01Z', 'sent', '2026-06-01Z', true);
INSERT INTO item_substitute VALUES (1, 2, 1);
INSERT INTO warehouse_bin VALUES (1, 1, 'A-1');
INSERT INTO policy_exception VALUES (6, 1, 1, 2, 3, '2026-06-01', 'works nights');
INSERT INTO missing_part VALUES ('d', 'e', 2, '2026-06-01Z', 6, 1, 1);
INSERT INTO need VALUES (6, 1, 1, 0, '{}');
INSERT INTO usage_history VALUES (1, 1, '2026-06-01', 3);
INSERT INTO policy_proposal VALUES (1, 1, 1, 2, 3, 0.5, 0.9, 'r', '2026-06-01Z');
INSERT INTO stock_dirty VALUES (6, 1);
INSERT INTO order_report VALUES
  (1, 'r', 7, 1, '2026-06-01Z', 'shipped', '004000000000000176', 'c', '{}', '2026-06-01Z');
INSERT INTO order_report_line VALUES (1, 'r', 7, 1, 1, '', 5);
INSERT INTO posted_report VALUES (1, 'r', '{}', 'user:ana', '2026-06-01Z');
INSERT INTO box_scan VALUES ('d', 'e', 3, '2026-06-01Z', 6, 1, '004000000000000176');
INSERT INTO transfer (from_location_id, to_location_id, item_id, qty, inputs, created_time, until)
VALUES (1, 6, 1, 2, '{}', '2026-06-01Z', '2026-06-02Z');
INSERT INTO fix (van_id, fix_time, latitude_deg, longitude_deg, payload_hash, received_time)
VALUES (1, '2026-06-01Z', 48, 2, 1, '2026-06-01Z');
INSERT INTO webhook (organisation_id, url, topics, secret)
VALUES (1, 'https://hooks.example/', '{warehouse/v1/orders}', 's');
INSERT INTO outbox (topic, payload, organisation_id, created_time)
VALUES ('warehouse/v1/orders/O-1', '{}', 1, '2026-06-01Z');
INSERT INTO organisation (name) VALUES ('other');
INSERT INTO client (organisation_id, code, name) VALUES (1, 'DUPONT', 'Dupont');
INSERT INTO app_user (organisation_id, login, name, role, email)
VALUES (1, 'ana', 'Ana', 'planner', 'ana@example.com');
INSERT INTO user_session VALUES (sha256('s'), 1, now(), now());
INSERT INTO machine (organisation_id, client_key, name, secret_hash, role)
VALUES (1, 'erp', 'ERP', sha256('s'), 'planner');
INSERT INTO access_log VALUES (1, 1, '2026-06-02Z', 'track', 'user:ana', 1, 'Ana', 'planner');
INSERT INTO broker_credential (role, van_id, device, user_name, bcrypt_hash, pbkdf2_hash, created_time)
VALUES ('van', 1, 'tablet', 'van-001-x', '$2b$04$' || repeat('a', 53), '$7$101$a$b', '2026-06-01Z');
INSERT INTO duty_switch VALUES (1, '2026-06-01Z', 'on');
INSERT INTO working_calendar (organisation_id) VALUES (1);
INSERT INTO working_hours VALUES (1, 1, 480, 720);
INSERT INTO off_duty VALUES (1, '2026-06-01', 1, 0);
INSERT INTO deletion VALUES
  ('2026-06-01', 'tracks', 'fix', '2026-04-01Z', 5, NULL, true, '2026-06-01Z');
INSERT INTO awaited VALUES ('0123456789abcdef', '2026-06-01Z', NULL);
INSERT INTO visit_report VALUES ('d', 'e', 9, 0, 1, '2026-06-01Z', 'S-1', 1, 'w', NULL, NULL, 'X', NULL, 'M0 0',
                                 NULL, false, '2026-06-01Z');
INSERT INTO message (van_id, message_id, kind, text, sent_at)
VALUES (1, 'm', 'message', 'words', '2026-06-01Z');
INSERT INTO van_message (device, epoch, seq, payload_hash, van_id, t, text, delivered, read, received_time)
VALUES ('d', 'e', 10, 0, 1, '2026-06-01Z', 'words', '{}', '{}', '2026-06-01Z');
"""
USER = "INSERT INTO app_user (organisation_id, login, name, role)"
MACHINE = "INSERT INTO machine (organisation_id, client_key, name, secret_hash, role)"

STOP = "INSERT INTO stop (tour_id, position, site_id, window_start, window_end, planned_duration_s)"
ALERT = """
INSERT INTO alert (van_id, stop_id, kind, due_at, state, reason, raised_time, changed_time)
"""
CREDENTIAL = """
INSERT INTO broker_credential
  (role, van_id, warehouse_id, device, user_name, bcrypt_hash, pbkdf2_hash, created_time)
SELECT"""
HASHES = "'$2b$04$' || repeat('a', 53), '$7$101$a$b', '2026-06-01Z'"
ORDER = """
INSERT INTO resupply_order
  (code, organisation_id, warehouse_id, location_id, mode, cutoff_at, state, created_time)
"""

WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""

#: A statement that must not succeed in that company, and the rule that forbids it.
REFUSED = {
    f"{CREDENTIAL} 'van', 1, NULL, 'tablet', 'other', {HASHES}": "broker_credential_current_once",
    f"{CREDENTIAL} 'van', 2, NULL, 'tablet', 'van-001-x', {HASHES}": "broker_credential_user_once",
    f"{CREDENTIAL} 'van', NULL, NULL, 'tablet', 'other', {HASHES}": "broker_credential_of_a_van",
    f"{CREDENTIAL} 'relay', 1, NULL, 'main', 'other', {HASHES}": "broker_credential_of_a_van",
    f"{CREDENTIAL} 'warehouse', NULL, NULL, 'main', 'other', {HASHES}": (
        "broker_credential_of_a_warehouse"
    ),
    f"{CREDENTIAL} 'relay', NULL, 1, 'main', 'other', {HASHES}": "broker_credential_of_a_warehouse",
    f"{CREDENTIAL} 'king', NULL, NULL, 'main', 'other', {HASHES}": "broker_credential_role_known",
    f"{CREDENTIAL} 'relay', NULL, NULL, 'my main', 'other', {HASHES}": (
        "broker_credential_device_named"
    ),
    f"{CREDENTIAL} 'relay', NULL, NULL, 'main', 'a:b', {HASHES}": "broker_credential_user_plain",
    "UPDATE broker_credential SET bcrypt_hash = 'secret'": "broker_credential_bcrypt",
    "UPDATE broker_credential SET pbkdf2_hash = '$6$a$b'": "broker_credential_pbkdf2",
    "UPDATE broker_credential SET revoked_time = '2026-05-31Z'": (
        "broker_credential_ends_after_its_start"
    ),
    "INSERT INTO awaited VALUES ('0123456789abcdef', '2026-06-02Z')": "awaited_pkey",
    """INSERT INTO visit_report
       SELECT device, epoch, seq, payload_hash, 2, t, site, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL, true, t
       FROM visit_report""": "visit_report_pkey",
    "UPDATE visit_report SET signer = NULL": "visit_report_signed_or_absent",
    "UPDATE visit_report SET signature_png = 'x'": "visit_report_signed_or_absent",
    "UPDATE visit_report SET is_absent = true": "visit_report_signed_or_absent",
    "UPDATE visit_report SET signature_png = repeat('x', 20001)::bytea, signature_svg = NULL": (
        "visit_report_png_small"
    ),
    """INSERT INTO message (van_id, message_id, kind, text, sent_at)
       VALUES (1, 'm', 'message', 'other words', '2026-06-01Z')""": "message_pkey",
    "UPDATE message SET kind = 'poem'": "message_kind_check",
    "UPDATE message SET author = 'user:ana'": "message_author_named",
    """INSERT INTO van_message (device, epoch, seq, payload_hash, van_id, t, text, delivered, read, received_time)
       SELECT device, epoch, seq, payload_hash, 2, t, text, '{}', '{}', t FROM van_message""": (
        "van_message_pkey"
    ),
    "UPDATE van_message SET text = NULL": "van_message_says_something",
    "UPDATE van_message SET read_at = now()": "van_message_reader_named",
    "UPDATE awaited SET message_id = 'short'": "awaited_id_whole",
    "UPDATE broker_credential SET token_hash = 'short'": "broker_credential_token_whole",
    """UPDATE broker_credential SET role = 'relay', van_id = NULL, token_hash = sha256('t')""": (
        "broker_credential_token_of_a_van"
    ),
    f"""UPDATE broker_credential SET token_hash = sha256('t');
       {CREDENTIAL} 'van', 2, NULL, 'tablet', 'other', {HASHES};
       UPDATE broker_credential SET token_hash = sha256('t')""": "broker_credential_token_once",
    "INSERT INTO template_line VALUES (1, 1, 5, 5, 9, 1)": "template_line_ordered",
    "INSERT INTO template_line VALUES (1, 1, 2, 10, 9, 1)": "template_line_ordered",
    "INSERT INTO template_line VALUES (1, 1, -1, 5, 9, 1)": "template_line_ordered",
    "INSERT INTO template_line VALUES (1, 1, 1, 5, 9, 0)": "template_line_pack_positive",
    "INSERT INTO barcode VALUES ('BOX', 1, 0)": "barcode_pack_positive",
    "INSERT INTO barcode VALUES ('FUSE', 2, 1)": "barcode_pkey",
    "INSERT INTO organisation (name) VALUES ('default')": "organisation_name_once",
    "INSERT INTO item (ref, name) VALUES ('P-1', 'Other')": "item_ref_once",
    "INSERT INTO van_template (code) VALUES ('T')": "van_template_code_once",
    "INSERT INTO technician (organisation_id, code, name) VALUES (1, 'T-1', 'Bob')": (
        "technician_code_once"
    ),
    "INSERT INTO van (organisation_id, code, name) VALUES (1, 'van-001', 'Again')": "van_code_once",
    """INSERT INTO warehouse (organisation_id, code, name, latitude_deg, longitude_deg)
       VALUES (1, 'WH', 'Again', 0, 0)""": "warehouse_code_once",
    """INSERT INTO site (organisation_id, code, name, latitude_deg, longitude_deg, radius_m)
       VALUES (1, 'S-1', 'Again', 0, 0, 100)""": "site_code_once",
    "UPDATE site SET radius_m = 20001": "site_radius_sane",
    "UPDATE site SET radius_m = 'NaN'": "site_radius_sane",
    "INSERT INTO tour (code, van_id, service_date) VALUES ('TOUR', 2, '2026-06-02')": (
        "tour_code_once"
    ),
    "INSERT INTO tour (code, van_id, service_date) VALUES ('B', 1, '2026-06-01')": "tour_one_a_day",
    f"{STOP} VALUES (1, 1, 1, '2026-06-01 10:00Z', '2026-06-01 11:00Z', 600)": "stop_position_once",
    f"{STOP} VALUES (1, 2, 1, '2026-06-01 10:00Z', '2026-06-01 10:00Z', 600)": (
        "stop_window_ordered"
    ),
    "INSERT INTO reference_version VALUES (true, 2)": "reference_version_pkey",
    "INSERT INTO reference_version VALUES (false, 2)": "reference_version_single_check",
    "INSERT INTO clock_seen VALUES (true, now())": "clock_seen_pkey",
    "INSERT INTO clock_seen VALUES (false, now())": "clock_seen_single_check",
    f"""{ALERT} VALUES
       (1, 1, 'late', '2026-06-01Z', 'cleared', 'r', '2026-06-01Z', '2026-06-01Z')""": (
        "alert_one_live"
    ),
    "UPDATE alert SET kind = 'lost'": "alert_kind_check",
    "UPDATE alert SET state = 'gone'": "alert_state_check",
    "UPDATE alert SET cause = 'the moon'": "alert_cause_check",
    "UPDATE alert SET stop_id = 1 WHERE kind = 'silent'": "alert_of_a_stop",
    "UPDATE alert SET stop_id = NULL WHERE kind = 'late'": "alert_of_a_stop",
    f"""{ALERT} VALUES
       (1, NULL, 'silent', '2026-06-02Z', 'open', 'r', '2026-06-01Z', '2026-06-01Z')""": (
        "alert_one_silence"
    ),
    "UPDATE alert_handling SET cause = 'the moon'": "alert_handling_cause_known",
    "UPDATE alert_handling SET acknowledged_by = 'ana'": "alert_handling_acknowledged_by_somebody",
    "INSERT INTO alert_action VALUES (1, 1, '2026-06-02Z', 'bo', '{}')": "alert_action_pkey",
    "UPDATE replan SET kind = 'keep'": "replan_kind_known",
    "UPDATE replan SET kind = 'reorder'": "replan_moves_to_another",
    "UPDATE replan SET taker_van_id = 1": "replan_moves_to_another",
    "UPDATE replan SET undone_by = 'ana'": "replan_undone_by_somebody",
    "INSERT INTO idempotency_key VALUES ('user:ana', 'k', 'i', NULL, '2026-06-01Z')": (
        "idempotency_key_pkey"
    ),
    "UPDATE stop SET judged = 'night'": "stop_judged_check",
    "UPDATE warehouse SET delivery_days = -1": "warehouse_delivery_days_sane",
    "UPDATE warehouse SET express_minutes = -1": "warehouse_express_sane",
    "UPDATE warehouse SET approval = 'nobody'": "warehouse_approval_check",
    "UPDATE warehouse SET sscc_prefix = '12A4567'": "warehouse_sscc_prefix_digits",
    "UPDATE item SET cost = 0": "item_cost_positive",
    "INSERT INTO item_substitute VALUES (1, 2, 2)": "item_substitute_pkey",
    "INSERT INTO item_substitute VALUES (1, 1, 2)": "item_substitute_is_another",
    "INSERT INTO warehouse_bin VALUES (1, 1, 'B-1')": "warehouse_bin_pkey",
    "UPDATE policy_exception SET order_up_to = reorder_point": "policy_exception_ordered",
    "INSERT INTO policy_exception VALUES (6, 1, 1, 2, 3, '2026-06-01', 'again')": (
        "policy_exception_pkey"
    ),
    "UPDATE usage_history SET qty = -1": "usage_history_qty_not_negative",
    "UPDATE usage_history SET week = '2026-06-02'": "usage_history_week_is_a_monday",
    "INSERT INTO usage_history VALUES (1, 1, '2026-06-01', 4)": "usage_history_pkey",
    "UPDATE policy_proposal SET order_up_to = 0": "policy_proposal_ordered",
    "UPDATE policy_proposal SET cap = 1": "policy_proposal_ordered",
    "INSERT INTO policy_proposal VALUES (1, 1, 1, 2, 3, 0.5, 0.9, 'r', '2026-06-01Z')": (
        "policy_proposal_pkey"
    ),
    "UPDATE missing_part SET qty = 0": "missing_part_qty_positive",
    "INSERT INTO missing_part VALUES ('d', 'e', 2, '2026-06-01Z', 6, 1, 1)": "missing_part_pkey",
    "INSERT INTO need VALUES (6, 1, 1, 0, '{}')": "need_pkey",
    "INSERT INTO stock_dirty VALUES (6, 1)": "stock_dirty_pkey",
    "UPDATE resupply_line SET allocated = requested + 1": "resupply_line_allocation_sane",
    """INSERT INTO resupply_line (order_id, item_id, requested, inputs, stop_id)
       VALUES (2, 1, 1, '{}', 1)""": "resupply_line_once_a_job",
    """INSERT INTO order_report VALUES
       (1, 'r', 7, 1, '2026-06-02Z', 'picked', NULL, 'c', '{}', '2026-06-01Z')""": (
        "order_report_pkey"
    ),
    "UPDATE order_report SET kind = 'lost'": "order_report_kind_check",
    "UPDATE order_report SET sscc = '12'": "order_report_sscc_digits",
    "INSERT INTO order_report_line VALUES (1, 'r', 7, 1, 1, '', 5)": "order_report_line_pkey",
    "UPDATE order_report_line SET qty = 0": "order_report_line_qty_positive",
    "INSERT INTO box_scan VALUES ('d', 'e', 3, '2026-06-01Z', 6, 1, '004000000000000176')": (
        "box_scan_pkey"
    ),
    "UPDATE transfer SET qty = 0": "transfer_qty_positive",
    "UPDATE transfer SET state = 'lost'": "transfer_state_check",
    "UPDATE transfer SET from_location_id = to_location_id": "transfer_goes_somewhere",
    """INSERT INTO transfer
         (from_location_id, to_location_id, item_id, qty, inputs, created_time, until)
       VALUES (2, 6, 1, 2, '{}', '2026-06-01Z', '2026-06-02Z')""": "transfer_open_once",
    "UPDATE stop_part SET qty = 0": "stop_part_qty_positive",
    "INSERT INTO stop_part VALUES (1, 1, 3)": "stop_part_pkey",
    "INSERT INTO full_count VALUES ('d', 'e', 9, 6, '2026-06-02Z', '2026-06-01Z')": (
        "full_count_ordered"
    ),
    "INSERT INTO count_task VALUES (6, 1, 'mood', '2026-06-01Z')": "count_task_reason_check",
    "UPDATE unusable_fix SET reason = 'ugly'": "unusable_fix_reason_check",
    "INSERT INTO unusable_fix VALUES (1, '2026-06-01Z', 'frozen')": "unusable_fix_pkey",
    "UPDATE leg SET kind = 'flight'": "leg_kind_check",
    "INSERT INTO leg SELECT * FROM leg": "leg_pkey",
    "INSERT INTO van_checkpoint SELECT * FROM van_checkpoint": "van_checkpoint_pkey",
    "INSERT INTO eta SELECT * FROM eta": "eta_pkey",
    "INSERT INTO travel_model SELECT * FROM travel_model": "travel_model_pkey",
    "INSERT INTO travel_model VALUES (false, '2026-06-01Z', '{}', '{}')": (
        "travel_model_single_check"
    ),
    "UPDATE visit SET verdict = 'maybe'": "visit_verdict_check",
    "UPDATE visit SET punctuality = 'soon'": "visit_punctuality_check",
    """INSERT INTO visit (van_id, site_id, arrived_at, last_inside_at, verdict, uncertain,
         ignition_off, service_date)
       SELECT van_id, site_id, arrived_at, last_inside_at, 'pass', false, false, service_date
       FROM visit""": "visit_pkey",
    """INSERT INTO fix (van_id, fix_time, latitude_deg, longitude_deg, payload_hash, received_time)
       VALUES (1, '2026-06-01Z', 0, 0, 2, '2026-06-01Z')""": "fix_pkey",
    "UPDATE duty_switch SET duty = 'maybe'": "duty_switch_duty_check",
    "INSERT INTO duty_switch VALUES (1, '2026-06-01Z', 'off')": "duty_switch_pkey",
    "INSERT INTO working_calendar (organisation_id) VALUES (1)": "working_calendar_once",
    "UPDATE working_hours SET weekday = 0": "working_hours_weekday",
    "UPDATE working_hours SET ends_min = 480": "working_hours_within_a_day",
    "UPDATE working_hours SET ends_min = 1441": "working_hours_within_a_day",
    "INSERT INTO working_hours VALUES (1, 1, 480, 600)": "working_hours_pkey",
    "INSERT INTO duty_edit SELECT * FROM duty_edit": "duty_edit_pkey",
    "INSERT INTO off_duty VALUES (1, '2026-06-01', 2, 0)": "off_duty_pkey",
    "INSERT INTO deletion SELECT * FROM deletion": "deletion_pkey",
    "INSERT INTO van_status VALUES (1, '2026-06-01Z', 'asleep', 'on')": "van_status_state_check",
    "INSERT INTO van_status VALUES (1, '2026-06-01Z', 'online', 'maybe')": "van_status_duty_check",
    "INSERT INTO location (organisation_id, kind, van_id) VALUES (1, 'van', 1)": (
        "location_owner_once"
    ),
    "INSERT INTO location (organisation_id, kind) VALUES (1, 'scrap')": "location_owner_once",
    "INSERT INTO location (organisation_id, kind) VALUES (1, 'moon')": "location_kind_check",
    "UPDATE movement SET qty = 0": "movement_qty_positive",
    "UPDATE movement SET to_location_id = from_location_id": "movement_goes_somewhere",
    "INSERT INTO movement SELECT * FROM movement": "movement_pkey",
    "INSERT INTO posting VALUES ('d', 'e', 2, 0, 6, 1, '', -2, '2026-06-01Z')": (
        "posting_of_movement"
    ),
    "INSERT INTO posting VALUES ('d', 'e', 1, 0, 6, 1, '', -9, '2026-06-01Z')": "posting_pkey",
    "INSERT INTO count_line VALUES ('d', 'e', 2, 6, 1, '', -1, '2026-06-01Z')": (
        "count_line_not_negative"
    ),
    "UPDATE proposal SET qty = 0": "proposal_qty_positive",
    "INSERT INTO proposal VALUES (6, 1, 1, '{}')": "proposal_pkey",
    f"{ORDER} VALUES ('O-1', 1, 1, 6, 'van', '2026-06-02Z', 'sent', '2026-06-01Z')": (
        "resupply_order_code_once"
    ),
    f"{ORDER} VALUES ('O-2', 1, 1, 6, 'van', '2026-06-01Z', 'sent', '2026-06-01Z')": (
        "resupply_order_once_a_slot"
    ),
    "UPDATE resupply_order SET mode = 'drone'": "resupply_order_mode_check",
    "UPDATE resupply_order SET state = 'lost'": "resupply_order_state_check",
    "UPDATE resupply_line SET received = 4": "resupply_line_closed_once",
    "UPDATE resupply_line SET cancelled = 3": "resupply_line_closed_once",
    "INSERT INTO resupply_line VALUES (1, 2, 0, 0, 0, '{}')": "resupply_line_requested_check",
    f"{USER} VALUES (1, 'ana', 'A', 'ops')": "app_user_login_once",
    f"{USER} VALUES (1, 'Bo', 'B', 'ops')": "app_user_login_plain",
    f"{USER} VALUES (1, '', 'B', 'ops')": "app_user_login_plain",
    f"{USER} VALUES (1, 'b', 'B', 'god')": "app_user_role_known",
    f"{USER} VALUES (1, 'b', 'B', 'technician')": "app_user_technician_is_one",
    f"{USER} VALUES (1, 'b', 'B', 'client')": "app_user_client_is_one",
    "UPDATE app_user SET technician_id = 1": "app_user_technician_is_one",
    "UPDATE app_user SET client_id = 1": "app_user_client_is_one",
    "UPDATE app_user SET state = 'gone'": "app_user_state_known",
    "UPDATE app_user SET email = 'Ana@example.com'": "app_user_email_plain",
    "INSERT INTO app_user (organisation_id, login, name, role, email)"
    " VALUES (1, 'b', 'B', 'ops', 'ana@example.com')": "app_user_email_once",
    "INSERT INTO app_user (organisation_id, login, name, role, technician_id)"
    " VALUES (2, 'b', 'B', 'technician', 1)": "app_user_technician_within_organisation",
    "INSERT INTO app_user (organisation_id, login, name, role, client_id)"
    " VALUES (2, 'b', 'B', 'client', 1)": "app_user_client_within_organisation",
    "INSERT INTO client (organisation_id, code, name) VALUES (1, 'DUPONT', 'D')": "client_code_once",
    "INSERT INTO site (organisation_id, code, name, latitude_deg, longitude_deg, radius_m, client_id)"
    " VALUES (2, 'S-2', 'Site', 48, 2, 100, 1)": "site_client_within_organisation",
    "INSERT INTO user_session VALUES ('short', 1, now(), now())": "user_session_hash_whole",
    "INSERT INTO user_session VALUES (sha256('s'), 1, now(), now())": "user_session_pkey",
    "UPDATE user_session SET used_time = created_time - INTERVAL '1 s'": "user_session_used_after",
    f"{MACHINE} VALUES (1, 'erp', 'E', sha256('s'), 'ops')": "machine_client_key_once",
    f"{MACHINE} VALUES (1, 'e', 'E', 'short', 'ops')": "machine_hash_whole",
    f"{MACHINE} VALUES (1, 'e', 'E', sha256('s'), 'technician')": "machine_role_known",
    f"{MACHINE} VALUES (1, 'e', 'E', sha256('s'), 'client')": "machine_client_is_one",
    "UPDATE machine SET state = 'gone'": "machine_state_known",
    "INSERT INTO machine (organisation_id, client_key, name, secret_hash, role, client_id)"
    " VALUES (2, 'e', 'E', sha256('s'), 'client', 1)": "machine_client_within_organisation",
    "INSERT INTO token_key VALUES (true, 'too short')": "token_key_long",
    "INSERT INTO token_key VALUES (false, sha256('s'))": "token_key_single",
    "INSERT INTO failed_sign_in (login_hash, address, failed_time) VALUES ('x', 'a', now())": (
        "failed_sign_in_hash_whole"
    ),
    "INSERT INTO access_log VALUES (1, 1, '2026-06-01Z', 'soul', 'user:ana', 1, 'A', 'ops')": (
        "access_log_what_known"
    ),
    "INSERT INTO access_log VALUES (1, 1, '2026-06-01 00:30Z', 'track', 'user:ana', 1, 'A', 'ops')": (
        "access_log_hour_whole"
    ),
    "INSERT INTO access_log VALUES (2, 1, '2026-06-01Z', 'track', 'user:x', NULL, 'A', 'ops')": (
        "access_log_van_within_organisation"
    ),
    "INSERT INTO access_log VALUES (1, 1, '2026-06-02Z', 'track', 'user:ana', 1, 'A', 'ops')": (
        "access_log_pkey"
    ),
    """INSERT INTO webhook (organisation_id, url, topics, secret)
       VALUES (1, 'https://hooks.example/', '{x}', 's')""": "webhook_url_once",
    "UPDATE webhook SET topics = '{}'": "webhook_wants_something",
    "UPDATE webhook SET old_secret = 's'": "webhook_old_secret_ends",
    "UPDATE webhook SET active = false": "webhook_off_for_a_reason",
    "UPDATE webhook SET off_reason = 'r'": "webhook_off_for_a_reason",
    """INSERT INTO webhook_delivery (webhook_id, outbox_id, message_id)
       VALUES (1, 1, gen_random_uuid())""": "webhook_delivery_once",
    "DELETE FROM outbox": "webhook_delivery_outbox_id_fkey",
    "UPDATE webhook_delivery SET state = 'lost'": "webhook_delivery_state_check",
    "UPDATE webhook_delivery SET state = 'retrying'": "webhook_delivery_retry_timed",
    "UPDATE webhook_delivery SET next_try_at = now()": "webhook_delivery_retry_timed",
    "UPDATE webhook_delivery SET state = 'delivered'": "webhook_delivery_end_timed",
    "UPDATE webhook_delivery SET delivered_time = now()": "webhook_delivery_end_timed",
    "INSERT INTO operator_action (organisation_id, done_time, done_by, action, subject, detail)"
    " VALUES (1, now(), 'ann', 'replay', 's', 'd')": "operator_action_done_by_an_account",
    "INSERT INTO operator_action (organisation_id, done_time, done_by, action, subject, detail)"
    " VALUES (1, now(), 'user:ann', 'steal', 's', 'd')": "operator_action_known",
    "INSERT INTO rejected_quota VALUES ('2026-06-01', 'van-001', 0, 0, -1)": (
        "rejected_quota_not_negative"
    ),
    "UPDATE resupply_order SET approved_by = 'c.petit'": "resupply_order_approved_by_an_account",
    "UPDATE resupply_order SET approved_by = 'time'": "resupply_order_approved_by_an_account",
    "UPDATE proposal SET approved_by = 'rule'": "proposal_approved_by_an_account",
    "UPDATE transfer SET decided_by = 'p'": "transfer_decided_by_an_account",
    "UPDATE posted_report SET posted_by = 'said:c'": "posted_report_posted_by_an_account",
    "INSERT INTO posted_report VALUES (1, 'r', 'p', 'user:c', '2026-06-01Z')": "posted_report_pkey",
    """INSERT INTO scan (device, epoch, seq, payload_hash, van_id, t, intent, code, status, raw,
                         received_time, decided_by)
       VALUES ('d', 'e', 1, 1, 1, '2026-06-01Z', 'issue', 'x', 'refused', 'x', '2026-06-01Z', 'p')
    """: "scan_decided_by_an_account",
    """INSERT INTO scan VALUES
       ('d', 'e', 1, 1, 1, '2026-06-01Z', 'issue', 'x', 'lost', 'x', '2026-06-01Z')""": (
        "scan_status_check"
    ),
    """INSERT INTO scan (device, epoch, seq, payload_hash, van_id, t, intent, code, status, raw,
                         received_time, doubt)
       VALUES ('d', 'e', 1, 1, 1, '2026-06-01Z', 'issue', 'x', 'applied', 'x', '2026-06-01Z', 'odd')
    """: "scan_doubt_check",
}


@pytest.fixture
def conn(database_url: str) -> Iterator[Conn]:
    with psycopg.connect(database_url) as conn:
        yield conn


@pytest.fixture(scope="module")
def company_url(postgres_url: str, template: str) -> Iterator[str]:
    """A database with a company, for tests that leave it as it was."""
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE sample_company TEMPLATE {template}")
        url = postgres_url.rsplit("/", 1)[0] + "/sample_company"
        with psycopg.connect(url) as filled:
            filled.execute(COMPANY)
        yield url
        conn.execute("DROP DATABASE sample_company WITH (FORCE)")


@pytest.fixture
def company(company_url: str) -> Iterator[Conn]:
    """A connection to the company, whose changes are taken back."""
    with psycopg.connect(company_url) as conn:
        yield conn
        conn.rollback()


@pytest.fixture
def bare_url(postgres_url: str) -> Iterator[str]:
    """An empty database without any migration."""
    url = embedded.ensure_database(postgres_url, "not_migrated")
    yield url
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute("DROP DATABASE not_migrated WITH (FORCE)")


def test_a_migrated_database_has_one_default_organisation(conn: Conn) -> None:
    assert conn.execute("SELECT name FROM organisation").fetchall() == [("default",)]


def test_docs_schema_md_is_what_a_migrated_database_holds(conn: Conn) -> None:
    assert page(conn) == (ROOT / "docs/SCHEMA.md").read_text(), REWRITE


#: What TimescaleDB adds, done by itself, or imitated where it does not run.
A_CHUNK = """
INSERT INTO fix (van_id, fix_time, latitude_deg, longitude_deg, payload_hash, received_time)
VALUES (1, '2026-07-01Z', 48, 2, 1, '2026-07-01Z')
"""
LIKE_A_CHUNK = """
CREATE SCHEMA IF NOT EXISTS _timescaledb_internal;
CREATE TABLE _timescaledb_internal._hyper_9_9_chunk () INHERITS (fix);
CREATE INDEX IF NOT EXISTS fix_fix_time_idx ON fix (fix_time DESC);
CREATE FUNCTION insert_blocker() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE TRIGGER ts_insert_blocker BEFORE INSERT ON fix EXECUTE FUNCTION insert_blocker();
"""


def test_the_page_leaves_out_what_timescaledb_and_yoyo_add(conn: Conn) -> None:
    before = page(conn)
    runs = conn.execute("SELECT FROM pg_extension WHERE extname = 'timescaledb'").rowcount
    conn.execute(A_CHUNK if runs else LIKE_A_CHUNK)
    assert page(conn) == before
    assert "yoyo" not in before.replace("yoyo, which", "")


def test_the_page_shows_a_changed_comment_default_constraint_and_index(conn: Conn) -> None:
    conn.execute("""
        COMMENT ON COLUMN item.ref IS 'The maker''s | number';
        ALTER TABLE item ALTER base_unit SET DEFAULT 'metre';
        ALTER TABLE item ADD CONSTRAINT item_named CHECK (name <> '');
        CREATE UNIQUE INDEX item_by_name ON item (lower(name));
    """)
    changed = page(conn)
    assert "| `ref` | `text` | no |  | The maker's \\| number |" in changed
    assert "| `base_unit` | `text` | no | `'metre'::text` |  |" in changed
    assert "- `item_named`: `CHECK ((name <> ''::text))`" in changed
    assert "- index `item_by_name`: `UNIQUE btree (lower(name))`" in changed


def test_the_page_does_not_depend_on_the_search_path(conn: Conn) -> None:
    before = page(conn)
    conn.execute("SET search_path = pg_catalog")
    assert page(conn) == before


def test_every_table_of_the_migrations_is_on_the_page(conn: Conn) -> None:
    created = {
        line.split()[2]
        for file in SCHEMA.glob("*.sql")
        for line in file.read_text().splitlines()
        if line.startswith("CREATE TABLE ")
    }
    shown = {line[3:] for line in page(conn).splitlines() if line.startswith("## ")}
    assert shown == created


def test_migrating_again_applies_nothing(bare_url: str) -> None:
    assert migrate(bare_url) == sorted(file.stem for file in SCHEMA.glob("*.sql"))
    assert migrate(bare_url) == []


def test_a_lock_that_a_killed_migration_left_behind_stops_nobody(bare_url: str) -> None:
    migrate(bare_url)
    with psycopg.connect(bare_url) as conn:
        conn.execute("INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 4711)")
    assert migrate(bare_url) == []


def test_two_migrations_at_once_apply_each_step_once(bare_url: str) -> None:
    program = "import sys; from storage.pool import migrate; print(*migrate(sys.argv[1]))"
    # Both make this table of yoyo's first. While ours is not committed they wait, so that they then
    # start together.
    with psycopg.connect(bare_url) as first:
        first.execute("CREATE TABLE yoyo_lock (locked int)")
        both = [
            subprocess.Popen(
                [sys.executable, "-c", program, bare_url],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        with psycopg.connect(bare_url, autocommit=True) as watch:
            deadline = time.monotonic() + 30
            while watch.execute(WAITING).fetchone() != (2,):
                assert time.monotonic() < deadline
                time.sleep(0.02)
        first.rollback()
    told = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    applied = [name for out, _ in told for name in out.split()]
    assert applied == sorted(file.stem for file in SCHEMA.glob("*.sql"))


def test_the_sample_company_itself_is_accepted(company: Conn) -> None:
    assert company.execute("SELECT count(*) FROM stop").fetchone() == (1,)


@pytest.mark.parametrize("statement", REFUSED)
def test_the_database_refuses_what_its_rule_forbids(company: Conn, statement: str) -> None:
    with pytest.raises(errors.IntegrityError) as refusal:
        company.execute(statement)
    # TimescaleDB gives each chunk a copy of a constraint, with the chunk's number before the name.
    assert re.sub(r"^\d+_", "", refusal.value.diag.constraint_name or "") == REFUSED[statement]


def test_every_check_and_unique_rule_has_a_statement_that_breaks_it(conn: Conn) -> None:
    rules = conn.execute("""
        SELECT conname FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
        WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'u')
          AND relname NOT LIKE '%yoyo%'
        UNION SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON oid = indrelid
        WHERE relnamespace = 'public'::regnamespace AND indisunique AND indpred IS NOT NULL
    """).fetchall()
    assert {name for (name,) in rules} - set(REFUSED.values()) == set()


def test_a_withdrawn_alert_makes_room_for_a_new_one(company: Conn) -> None:
    company.execute("DELETE FROM alert WHERE kind = 'silent'")
    company.execute("UPDATE alert SET state = 'withdrawn'")
    for state in ("withdrawn", "open"):
        company.execute(f"{ALERT} VALUES (1, 1, 'late', now(), %s, 'r', now(), now())", (state,))
    assert company.execute("SELECT count(*) FROM alert").fetchone() == (3,)


def test_a_silence_that_has_ended_makes_room_for_the_next(company: Conn) -> None:
    company.execute("DELETE FROM alert WHERE kind = 'late'")
    for _ in range(2):
        company.execute("UPDATE alert SET state = 'cleared'")
        company.execute(
            f"{ALERT} VALUES (1, NULL, 'silent', clock_timestamp(), 'open', 'r', now(), now())"
        )
    company.execute(f"{ALERT} VALUES (2, NULL, 'silent', now(), 'open', 'r', now(), now())")
    assert company.execute("SELECT count(*) FROM alert").fetchone() == (4,)


EDITS = (
    "SELECT code, edit.radius_m FROM fence_edit AS edit JOIN site USING (site_id) ORDER BY edit_id"
)


def test_a_fence_that_is_new_or_edited_is_noted_as_it_was_and_as_it_is(company: Conn) -> None:
    company.execute("DELETE FROM fence_edit")
    company.execute("UPDATE site SET radius_m = 150")
    assert company.execute(EDITS).fetchall() == [("S-1", 100), ("S-1", 150)]
    company.execute("UPDATE site SET name = 'Other'")
    assert len(company.execute(EDITS).fetchall()) == 2
    company.execute("""
        INSERT INTO site (organisation_id, code, name, latitude_deg, longitude_deg, radius_m)
        VALUES (1, 'S-2', 'New', 48, 2, 80)
    """)
    assert company.execute(EDITS).fetchall()[2:] == [("S-2", 80)]


TOUR_EDITS = "SELECT van_id, service_date::text FROM tour_edit ORDER BY 1, 2"


@pytest.mark.parametrize(
    ("statement", "days"),
    [
        (f"{STOP} VALUES (1, 2, 1, '2026-06-01 10:00Z', '2026-06-01 11:00Z', 600)", [1]),
        ("DELETE FROM stop", [1]),
        ("UPDATE stop SET window_end = window_end + INTERVAL '1 hour'", [1]),
        ("UPDATE stop SET position = 7", [1]),
        ("UPDATE stop SET planned_duration_s = 60", [1]),
        ("UPDATE stop SET judged = 'day'", []),
        ("UPDATE tour SET van_id = 2", [1, 2]),
        ("DELETE FROM tour", [1]),
        ("UPDATE tour SET service_date = '0001-01-05'", [1]),  # parked while tours move
        ("UPDATE tour SET code = 'OTHER'", []),
    ],
)
def test_a_day_whose_plan_changes_is_noted_for_each_van_that_it_concerns(
    company: Conn, statement: str, days: list[int]
) -> None:
    company.execute("DELETE FROM tour_edit")
    company.execute(statement)
    assert company.execute(TOUR_EDITS).fetchall() == [(van, "2026-06-01") for van in days]


def test_the_outcome_of_a_stop_is_planned_on_site_done_or_skipped(company: Conn) -> None:
    outcomes = "SELECT position, outcome FROM stop_outcome ORDER BY position"
    company.execute(f"{STOP} VALUES (1, 2, 1, '2026-06-01 10:00Z', '2026-06-01 11:00Z', 600)")
    assert company.execute(outcomes).fetchall() == [(1, "planned"), (2, "planned")]
    company.execute("UPDATE visit SET stop_id = (SELECT stop_id FROM stop WHERE position = 2)")
    assert company.execute(outcomes).fetchall() == [(1, "skipped"), (2, "on_site")]
    company.execute("UPDATE visit SET closed_by = '2026-06-01 09:00Z'")
    assert company.execute(outcomes).fetchall() == [(1, "skipped"), (2, "done")]
    company.execute("UPDATE visit SET stop_id = 1")
    assert company.execute(outcomes).fetchall() == [(1, "done"), (2, "planned")]


def test_a_line_may_be_closed_by_receipt_and_cancellation_together(company: Conn) -> None:
    company.execute("UPDATE resupply_line SET received = 5, cancelled = 0")


def test_dropping_a_tour_keeps_its_visits_and_drops_its_alerts(company: Conn) -> None:
    company.execute("UPDATE visit SET stop_id = 1")
    company.execute("DELETE FROM tour")
    assert company.execute("SELECT stop_id FROM visit").fetchall() == [(None,)]
    assert company.execute("SELECT kind FROM alert").fetchall() == [("silent",)]


OUTBOX = "INSERT INTO outbox (topic, payload, organisation_id, created_time)"
DELIVERIES = """
SELECT url, topic FROM webhook_delivery JOIN webhook USING (webhook_id)
JOIN outbox USING (outbox_id) ORDER BY delivery_id
"""


@pytest.fixture
def webhooks(company: Conn) -> Conn:
    """Webhooks of two organisations, one of which is off, and no delivery."""
    company.execute("""
        DELETE FROM webhook;
        INSERT INTO webhook (organisation_id, url, topics, secret, active, off_reason) VALUES
          (1, 'orders', '{warehouse/v1/orders}', 's', true, NULL),
          (1, 'both', '{warehouse/v1/orders,planner/v1/alerts}', 's', true, NULL),
          (1, 'off', '{warehouse/v1/orders}', 's', false, 'r'),
          (2, 'theirs', '{warehouse/v1/orders}', 's', true, NULL);
    """)
    return company


@pytest.mark.parametrize(
    ("topic", "organisation", "urls"),
    [
        ("warehouse/v1/orders/O-2", 1, ["orders", "both"]),
        ("warehouse/v1/orders/O-2", 2, ["theirs"]),
        ("warehouse/v1/orders/O-2", None, []),
        ("planner/v1/alerts/van-001", 1, ["both"]),
        ("warehouse/v1/orders", 1, []),
        ("warehouse/v1/orders2/O-2", 1, []),
        ("fleet/v1/van-001/receipt", 1, []),
    ],
)
def test_a_message_makes_a_delivery_for_each_webhook_of_its_organisation_that_wants_it(
    webhooks: Conn, topic: str, organisation: int | None, urls: list[str]
) -> None:
    webhooks.execute(f"{OUTBOX} VALUES (%s, '{{}}', %s, now())", (topic, organisation))
    assert webhooks.execute(DELIVERIES).fetchall() == [(url, topic) for url in urls]


def test_the_deliveries_of_a_message_share_its_id_and_two_messages_do_not(webhooks: Conn) -> None:
    for _ in range(2):
        webhooks.execute(f"{OUTBOX} VALUES ('warehouse/v1/orders/O-2', '{{}}', 1, now())")
    ids = webhooks.execute(
        "SELECT message_id FROM webhook_delivery ORDER BY delivery_id"
    ).fetchall()
    assert (len(ids), len(set(ids))) == (4, 2)
    assert ids[0] == ids[1]


def test_what_is_undone_with_its_cause_is_delivered_to_nobody(webhooks: Conn) -> None:
    webhooks.execute("SAVEPOINT before")
    webhooks.execute(f"{OUTBOX} VALUES ('warehouse/v1/orders/O-2', '{{}}', 1, now())")
    webhooks.execute("ROLLBACK TO before")
    assert webhooks.execute(DELIVERIES).fetchall() == []


def test_removing_a_webhook_removes_its_deliveries_and_no_message(company: Conn) -> None:
    company.execute("DELETE FROM webhook")
    assert company.execute("SELECT count(*) FROM webhook_delivery").fetchone() == (0,)
    assert company.execute("SELECT count(*) FROM outbox").fetchone() == (1,)
