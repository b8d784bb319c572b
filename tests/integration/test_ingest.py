import asyncio
import json

from ingest.messages import Position, Scan, Status, encode
from tests.integration.conftest import Running

NOON = 1_790_000_000_000  # 2026-09-21, an hour before the clock of these tests


def fix(t: int, lat: float = 48.1, lon: float = 11.5, **more: float) -> bytes:
    return encode(Position(t, lat, lon, **more))


async def test_a_published_fix_is_stored_with_its_own_time(ingest: Running) -> None:
    await ingest.publish("fleet/v1/van-001/position", fix(NOON))
    await ingest.until(
        "SELECT van_id, (extract(epoch FROM fix_time) * 1000)::bigint FROM fix", [(1, NOON)]
    )


async def test_a_redelivered_fix_is_stored_once(ingest: Running) -> None:
    for _ in range(3):
        await ingest.publish("fleet/v1/van-001/position", fix(NOON))
    await ingest.publish("fleet/v1/van-001/position", fix(NOON + 1))
    await ingest.until("SELECT count(*) FROM fix", [(2,)])


async def test_a_fix_that_was_stored_and_never_read_is_not_in_the_way_of_the_next(
    ingest: Running,
) -> None:
    await ingest.publish("fleet/v1/van-001/position", fix(NOON, acc_m=30.0))
    await ingest.until("SELECT count(*) FROM fix", [(1,)])
    ingest.change("DELETE FROM van_progress")  # as if nothing had been read
    better, new = fix(NOON, acc_m=5.0), fix(NOON + 1_000)
    await ingest.publish("fleet/v1/van-001/position", b"[" + better + b"," + new + b"]")
    await ingest.until("SELECT horizontal_accuracy_m FROM fix ORDER BY fix_time", [(5.0,), (None,)])
    assert ingest.rows("SELECT count(*) FROM rejected") == [(0,)]


async def test_bad_input_is_kept_with_its_bytes_and_a_reason(ingest: Running) -> None:
    bad = {
        "fleet/v1/van-001/position": b'{"t": "noon"}',
        "fleet/v1/van-999/position": fix(NOON),
        "fleet/v1/van-001/scan": b"\xff\x00",
        "owntracks/van-001/phone": b'{"_type":"card"}',
    }
    for topic, payload in bad.items():
        await ingest.publish(topic, payload)
    await ingest.publish("fleet/v1/van-001/position", fix(4_000_000_000_000))
    await ingest.until(
        "SELECT reason, count(*) FROM rejected GROUP BY 1 ORDER BY 1",
        [("bad_payload", 3), ("future", 1), ("unknown_van", 1)],
    )
    stored = dict(ingest.rows("SELECT topic, payload FROM rejected WHERE reason <> 'future'"))
    assert stored == bad


async def test_one_bad_element_does_not_spoil_a_backlog(ingest: Running) -> None:
    payload = b'[{"t":%d,"lat":48,"lon":11},{"t":1},{"t":%d,"lat":48,"lon":11}]' % (NOON, NOON + 1)
    await ingest.publish("fleet/v1/van-001/position", payload)
    await ingest.until("SELECT count(*) FROM fix", [(2,)])
    assert ingest.rows("SELECT payload FROM rejected") == [(b'{"t":1}',)]


async def test_an_owntracks_location_is_a_fix_in_our_units(ingest: Running) -> None:
    location = {"_type": "location", "lat": 48.1, "lon": 11.5, "tst": NOON // 1000, "vel": 36}
    await ingest.publish("owntracks/van-001/phone", json.dumps(location).encode())
    await ingest.until("SELECT speed_mps FROM fix", [(10.0,)])


async def test_the_newest_status_stands_whatever_comes_last(ingest: Running) -> None:
    topic = "fleet/v1/van-001/status"
    await ingest.publish(topic, encode(Status("online", NOON + 5, "on")))
    await ingest.publish(topic, encode(Status("offline", NOON)))
    await ingest.publish(topic, b"the last of this topic")
    await ingest.until("SELECT count(*) FROM rejected", [(1,)])
    assert ingest.rows("SELECT state, duty FROM van_status") == [("online", "on")]


def scan(seq: int, intent: str, code: str, qty: int | None = None, **more: str) -> bytes:
    return encode(Scan("e", seq, NOON + seq * 1000, intent, code, qty=qty, **more))  # type: ignore[arg-type]


LEVELS = """
SELECT van_id, ref, qty FROM level JOIN location USING (location_id) JOIN item USING (item_id)
WHERE kind = 'van' ORDER BY 1, 2
"""


async def test_scans_become_movements_levels_a_proposal_and_a_receipt(ingest: Running) -> None:
    topic = "fleet/v1/van-001/scan"
    async with asyncio.timeout(20):
        await ingest.mqtt.subscribe("fleet/v1/van-001/receipt", qos=1)
    await ingest.publish(topic, scan(1, "count", "FUSE-BOX"))
    await ingest.publish(topic, scan(3, "issue", "FUSE", 6))
    await ingest.publish(topic, scan(2, "transfer", "FUSE", 1, counterpart="van-002"))
    await ingest.until(LEVELS, [(1, "P-1", 3), (2, "P-1", 1)])
    assert ingest.rows(
        "SELECT location_id, qty, inputs ->> 'on_hand' FROM proposal ORDER BY 1"
    ) == [(6, 7, "3"), (7, 9, "1")]
    assert ingest.rows("SELECT sum(delta) FROM posting") == [(0,)]
    assert ingest.rows("SELECT through FROM scan_through") == [(3,)]


async def test_two_payloads_under_one_key_are_both_set_aside(ingest: Running) -> None:
    topic = "fleet/v1/van-001/scan"
    await ingest.publish(topic, scan(1, "count", "FUSE", 9))
    await ingest.until(LEVELS, [(1, "P-1", 9)])
    await ingest.publish(topic, scan(1, "count", "FUSE", 8))
    await ingest.until(LEVELS, [])
    assert ingest.rows("SELECT status, count(*) FROM scan GROUP BY 1") == [("conflict", 2)]


async def test_an_unknown_code_is_kept_and_moves_nothing(ingest: Running) -> None:
    await ingest.publish("fleet/v1/van-001/scan", scan(1, "issue", "NOBODY-KNOWS"))
    await ingest.until("SELECT status, code FROM scan", [("unknown_code", b"NOBODY-KNOWS")])
    assert ingest.rows("SELECT count(*) FROM movement") == [(0,)]
