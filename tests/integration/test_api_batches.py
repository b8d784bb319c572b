"""A tablet's batch: answered when it is committed, exactly once, whoever dies in between."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from api.routes import devices
from ingest import relay, service, store
from ingest.subscriber import open_session
from storage.settings import Settings
from tests.integration.api_client import refusal
from tests.integration.conftest import Running, running
from tests.integration.tablet import (
    NOW,
    VAN,
    Tablet,
    position,
    relaying,
    scan,
    switch,
    tablet,
)

SCANS = "SELECT epoch, seq, status FROM scan ORDER BY 1, 2, payload_hash"
ISSUED = "SELECT sum(qty) FROM movement WHERE kind = 'issue'"


@pytest.fixture
async def ana(settings: Settings) -> AsyncIterator[Tablet]:
    async with tablet(settings) as it:
        yield it


@pytest.fixture
async def online(ana: Tablet, settings: Settings, ingest: Running) -> AsyncIterator[Tablet]:
    """A tablet with relay and ingest behind it."""
    async with relaying(settings):
        yield ana


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "COMMITTED_WITHIN_S", 0.3)
    monkeypatch.setattr(relay, "RECONNECT_S", 0.05)


async def test_a_batch_is_answered_once_it_is_committed(online: Tablet) -> None:
    said = await online.send(
        switch(120, on=True), position(60), position(50), scan(1), scan(2, intent="count", qty=7)
    )
    assert said == {"acked_through": {"e": 2}, "rejected": [], "pending": 0}
    assert online.rows(SCANS) == [("e", 1, "applied"), ("e", 2, "applied")]
    assert online.rows("SELECT count(*) FROM fix") == [(2,)]
    assert online.rows("SELECT duty FROM duty_switch") == [("on",)]
    assert online.rows("SELECT qty FROM level WHERE location_id = 6") == [(7,)]


async def test_a_repeat_changes_nothing_and_is_answered_alike_in_other_batches_too(
    online: Tablet,
) -> None:
    first = await online.send(scan(1), scan(2), position(60))
    before = online.rows(SCANS), online.rows(ISSUED)
    assert await online.send(scan(1), scan(2), position(60)) == first
    assert (await online.send(scan(2)))["acked_through"] == {"e": 2}
    assert (await online.send(scan(2), scan(1)))["rejected"] == []
    assert (online.rows(SCANS), online.rows(ISSUED)) == before


async def test_bad_items_are_set_aside_with_their_bytes_and_stop_no_other(online: Tablet) -> None:
    said = await online.send(
        scan(1),
        ("scan", {"epoch": "e", "seq": 2, "t": NOW, "intent": "steal", "code": "FUSE"}),
        position(60, lat=95),
        position(50),
        ("status", {"state": "away", "t": NOW}),
        ("position", {"t": NOW + 3_600_000, "lat": 48, "lon": 11}),
        ("photo", {"seq": 9}),
        scan(3),
    )
    assert said["acked_through"] == {"e": 3}
    found = [(it["index"], it["seq"], it["reason"]) for it in said["rejected"]]
    assert found == [
        (1, 2, "bad_payload"),
        (2, None, "bad_payload"),
        (4, None, "bad_payload"),
        (5, None, "future"),
        (6, 9, "unknown_kind"),
    ]
    assert all(it["detail"] for it in said["rejected"])
    assert online.rows("SELECT count(*) FROM rejected") == [(4,)]
    assert online.rows("SELECT convert_from(payload, 'UTF8')::jsonb ->> 'intent' FROM rejected"
                       " WHERE topic LIKE '%/scan'") == [("steal",)]  # fmt: skip
    assert online.rows("SELECT count(*) FROM fix") == [(1,)]
    assert await online.send(scan(1), scan(3)) == {
        "acked_through": {"e": 3}, "rejected": [], "pending": 0,
    }  # fmt: skip


async def test_one_key_with_two_payloads_is_reported_as_a_conflict_and_both_are_set_aside(
    online: Tablet,
) -> None:
    assert (await online.send(scan(1), scan(2)))["rejected"] == []
    said = await online.send(scan(1, qty=9), scan(3))
    assert [(it["index"], it["seq"], it["reason"]) for it in said["rejected"]] == [
        (0, 1, "conflict")
    ]
    assert said["acked_through"] == {"e": 3}
    assert online.rows(SCANS) == [
        ("e", 1, "conflict"), ("e", 1, "conflict"), ("e", 2, "applied"), ("e", 3, "applied"),
    ]  # fmt: skip
    assert online.rows(ISSUED) == [(2,)]
    both = await online.send(scan(4), scan(4, qty=2))
    assert [it["reason"] for it in both["rejected"]] == ["conflict", "conflict"]


async def test_a_gap_is_not_passed(online: Tablet) -> None:
    said = await online.send(scan(1), scan(3), scan(1, epoch="new"))
    assert said["acked_through"] == {"e": 1, "new": 1}
    assert (await online.send(scan(2)))["acked_through"] == {"e": 3}


async def test_off_duty_nothing_is_stored_of_a_batch_and_the_tablet_may_drop_it(
    online: Tablet,
) -> None:
    said = await online.send(switch(120, on=False), position(60), scan(1), position(30, lat=99))
    assert said == {"acked_through": {"e": 1}, "rejected": [], "pending": 0}
    assert online.rows("SELECT count(*) FROM fix") == [(0,)]
    assert online.rows("SELECT count(*) FROM rejected") == [(0,)]
    assert online.rows("SELECT dropped FROM off_duty") == [(2,)]
    assert online.rows("SELECT count(*) FROM outbox WHERE topic LIKE '%/position'") == [(0,)]


async def test_beyond_its_quota_what_cannot_be_used_is_told_to_be_kept_by_the_tablet(
    ana: Tablet, settings: Settings
) -> None:
    tight = settings.model_copy(update={"rejected_per_van_max": 0})
    async with running(tight), relaying(tight):
        bad = [scan(n, intent="steal") for n in (1, 2, 3)]
        said = await ana.send(*bad, scan(4))
    assert [it["reason"] for it in said["rejected"]] == ["over_quota"] * 3
    assert said["acked_through"] == {"e": 1}  # the first beyond is kept after all


async def test_while_ingest_is_away_the_answer_is_that_it_is_on_its_way(
    ana: Tablet, settings: Settings, impatient: None
) -> None:
    await open_session(settings)
    async with relaying(settings):
        batch = (scan(1), scan(2), position(60))
        said = await ana.send(*batch, ("photo", {}), status=202)
        assert said["pending"] == 3
        assert said["acked_through"] == {"e": 0}
        assert [it["reason"] for it in said["rejected"]] == ["unknown_kind"]
        assert (await ana.send(*batch, status=202))["pending"] == 3
        assert ana.rows("SELECT count(*) FROM awaited") == [(2,)]


async def test_ingest_and_relay_killed_in_between_the_repeated_batch_counts_exactly_once(
    ana: Tablet, settings: Settings, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each dies at its worst moment: after publishing before marking, after commit before ack."""

    class DeadError(Exception):
        pass

    def die_once() -> object:
        lives = iter([DeadError()])

        def die() -> None:
            for error in lives:
                raise error

        return die

    batch = (switch(120, on=True), position(60), scan(1), scan(2), scan(3, intent="steal"))
    await open_session(settings)
    with monkeypatch.context() as dying:
        dying.setattr(relay.fault_points, "at", lambda *_: die_once())
        dead = asyncio.create_task(relay.to_broker(settings, asyncio.Event()))
        assert (await ana.send(*batch, status=202))["pending"] == 5
        with pytest.raises(DeadError):
            await dead
    assert ana.rows("SELECT count(*) FROM outbox WHERE is_passing") != [(0,)]
    with monkeypatch.context() as dying:
        dying.setattr(service.fault_points, "at", lambda *_: die_once())
        dead = asyncio.create_task(service.run(settings, asyncio.Event()))
        with pytest.raises(DeadError):
            await dead
    async with relaying(settings), running(settings) as ingest:
        for _ in range(50):
            said = await ana.send(*batch, status=None)
            if not said["pending"]:
                break
            await asyncio.sleep(0.1)
        assert said["acked_through"] == {"e": 3}
        assert [it["index"] for it in said["rejected"]] == [4]
        await ingest.until("SELECT count(*) FROM outbox WHERE is_passing", [(0,)])
    assert ana.rows(SCANS) == [("e", 1, "applied"), ("e", 2, "applied")]
    assert ana.rows(ISSUED) == [(2,)]
    assert ana.rows("SELECT count(*) FROM fix") == [(1,)]
    assert ana.rows("SELECT count(*) FROM rejected") == [(1,)]


async def test_a_batch_that_the_database_refuses_is_committed_event_by_event(
    online: Tablet,
) -> None:
    with psycopg.connect(online.url) as conn:
        conn.execute("ALTER TABLE fix ADD CONSTRAINT luck CHECK (battery_pct <> 13)")
    said = await online.send(position(60), position(50, battery_pct=13), scan(1))
    assert [(it["index"], it["reason"]) for it in said["rejected"]] == [(1, "refused_by_database")]
    assert online.rows("SELECT count(*) FROM fix") == [(1,)]


async def test_what_the_broker_may_have_lost_is_published_again_after_a_minute(
    ana: Tablet, settings: Settings, impatient: None
) -> None:
    await ana.send(scan(1), status=202)
    with psycopg.connect(ana.url) as conn:
        conn.execute("DELETE FROM outbox")  # the relay was told that the broker has it
    await ana.send(scan(1), status=202)
    assert ana.rows("SELECT count(*) FROM outbox") == [(0,)]
    with psycopg.connect(ana.url) as conn:
        conn.execute("UPDATE awaited SET asked_time = asked_time - INTERVAL '2 minutes'")
    await ana.send(scan(1), status=202)
    async with running(settings), relaying(settings):
        async with asyncio.timeout(20):
            while (await ana.api.post(
                f"/v1/devices/{VAN}/events:batch",
                json={"events": [{"kind": "scan", "payload": scan(1)[1]}]},
            )).status_code != 200:  # fmt: skip
                pass
    assert ana.rows(SCANS) == [("e", 1, "applied")]


async def test_what_passed_through_is_gone_from_the_outbox_and_who_waited_is_forgotten(
    online: Tablet, ingest: Running
) -> None:
    await online.send(position(60), scan(1))
    assert online.rows("SELECT count(*) FROM outbox WHERE is_passing") == [(0,)]
    assert online.rows("SELECT count(*) FROM awaited WHERE committed_time IS NOT NULL") == [(2,)]
    with psycopg.connect(online.url) as conn:
        conn.execute("UPDATE awaited SET asked_time = asked_time - INTERVAL '25 hours'")
    await ingest.until("SELECT count(*) FROM awaited", [(0,)])


async def test_a_tablet_speaks_for_its_own_van_only(ana: Tablet) -> None:
    body = {"events": [{"kind": "scan", "payload": scan(1)[1]}]}
    assert refusal(await ana.api.post("/v1/devices/van-002/events:batch", json=body)) == (
        404, "van_not_found",
    )  # fmt: skip
    assert refusal(await ana.api.post("/v1/devices/none/events:batch", json=body))[0] == 404
    assert ana.rows("SELECT count(*) FROM outbox") == [(0,)]


async def test_more_than_five_hundred_events_or_none_are_refused(ana: Tablet) -> None:
    for count in (0, 501):
        body = {"events": [{"kind": "scan", "payload": {}}] * count}
        said = await ana.api.post(f"/v1/devices/{VAN}/events:batch", json=body)
        assert refusal(said) == (422, "invalid_parameters")


async def test_five_hundred_events_are_one_round(online: Tablet) -> None:
    said = await online.send(*(scan(n) for n in range(1, 251)), *(position(n) for n in range(250)))
    assert said == {"acked_through": {"e": 250}, "rejected": [], "pending": 0}
    assert online.rows("SELECT count(*) FROM fix") == [(250,)]


async def test_a_notification_that_is_lost_costs_a_second_and_no_more(
    online: Tablet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(conn: object, deliveries: object) -> None:
        await conn.execute("UPDATE awaited SET committed_time = clock_timestamp()")  # type: ignore[attr-defined]

    monkeypatch.setattr(store, "tell_awaited", silent)
    assert (await online.send(scan(1)))["pending"] == 0
