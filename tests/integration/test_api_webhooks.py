"""Webhooks through the API: what was not delivered is seen, and sent again; secrets are not."""

from typing import Any

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.api_client import (
    NOW_MS,
    answer,
    as_organisation,
    fleet,
    problem,
    refusal,
)

Database = psycopg.Connection[Any]

HOOKS = """
INSERT INTO webhook (webhook_id, organisation_id, url, topics, secret, old_secret,
                     old_secret_until) VALUES
  (1, 1, 'https://hooks.example:8443/hush?key=hush', '{warehouse/v1/orders}', 'hush', 'hush',
   'infinity'),
  (9, 2, 'https://theirs.example/', '{warehouse/v1/orders}', 'hush', NULL, NULL);
INSERT INTO outbox (topic, payload, organisation_id, created_time)
SELECT 'warehouse/v1/orders/O-' || n, '{}', organisation, now()
FROM (VALUES (1, 1), (2, 1), (3, 1), (4, 1), (9, 2)) AS left_by (n, organisation);
UPDATE webhook_delivery SET state = 'dead', attempts = 10, last_status = 500,
  last_error = 'HTTP 500', changed_time = '2026-11-20 08:00Z' WHERE outbox_id IN (1, 2, 5);
UPDATE webhook_delivery SET state = 'retrying', attempts = 1, last_error = 'ConnectError',
  next_try_at = '2026-11-20 09:01Z', changed_time = '2026-11-20 08:59Z' WHERE outbox_id = 3;
"""


@pytest.fixture
def conn(database_url: str) -> Any:
    with fleet(database_url) as connection:
        connection.execute(HOOKS)
        yield connection


async def test_what_is_dead_is_listed_with_what_went_wrong(
    api: httpx.AsyncClient, conn: Database
) -> None:
    found = await answer(api, "/v1/webhooks/deliveries", state="dead")
    assert found["counts"] == {"pending": 1, "retrying": 1, "delivered": 0, "dead": 2}
    row = conn.execute("SELECT message_id FROM webhook_delivery WHERE delivery_id = 2").fetchone()
    assert row
    assert [it["delivery_id"] for it in found["deliveries"]] == [2, 1]
    assert found["deliveries"][0] == {
        "delivery_id": 2,
        "message_id": f"msg_{row[0].hex}",
        "webhook_id": 1,
        "receiver": "https://hooks.example:8443",
        "topic": "warehouse/v1/orders/O-2",
        "state": "dead",
        "attempts": 10,
        "next_try_ms": None,
        "last_status": 500,
        "last_error": "HTTP 500",
        "changed_ms": NOW_MS - 3_600_000,
    }


async def test_without_a_filter_the_ones_changed_last_come_first(api: httpx.AsyncClient) -> None:
    found = await answer(api, "/v1/webhooks/deliveries", limit=3)
    assert [it["state"] for it in found["deliveries"]] == ["pending", "retrying", "dead"]
    assert found["deliveries"][1]["next_try_ms"] == NOW_MS + 60_000
    nobodys = await answer(api, "/v1/webhooks/deliveries", webhook=7)
    assert nobodys["deliveries"] == []


async def test_webhooks_are_listed_without_what_is_secret_of_them(api: httpx.AsyncClient) -> None:
    found = await answer(api, "/v1/webhooks")
    assert found["webhooks"] == [
        {
            "webhook_id": 1,
            "receiver": "https://hooks.example:8443",
            "topics": ["warehouse/v1/orders"],
            "active": True,
            "off_reason": None,
            "waiting": 2,
            "dead": 2,
        }
    ]
    for path in ("/v1/webhooks", "/v1/webhooks/deliveries"):
        assert "hush" not in (await api.get(path)).text


async def test_another_organisation_sees_and_sends_only_its_own(api: httpx.AsyncClient) -> None:
    as_organisation(api, 2)
    assert [it["webhook_id"] for it in (await answer(api, "/v1/webhooks"))["webhooks"]] == [9]
    found = await answer(api, "/v1/webhooks/deliveries")
    assert found["counts"]["dead"] == 1
    [theirs] = found["deliveries"]
    assert theirs["webhook_id"] == 9
    ours = await api.post("/v1/webhooks/deliveries/1/resend")
    assert refusal(ours) == (404, "delivery_not_found")


async def test_a_dead_delivery_is_sent_again_and_the_relay_hears_of_it(
    api: httpx.AsyncClient, conn: Database
) -> None:
    conn.execute("LISTEN cordee_outbox")
    before = (await answer(api, "/v1/webhooks/deliveries", state="dead"))["deliveries"][1]
    response = await api.post("/v1/webhooks/deliveries/1/resend")
    assert response.status_code == 200
    after = response.json()
    assert (after["state"], after["attempts"]) == ("pending", 0)
    assert after["message_id"] == before["message_id"]
    assert len(list(conn.notifies(timeout=30, stop_after=1))) == 1
    states = conn.execute("SELECT state FROM webhook_delivery ORDER BY delivery_id").fetchall()
    assert [state for (state,) in states] == ["pending", "dead", "retrying", "pending", "dead"]


@pytest.mark.parametrize(
    ("delivery", "refused"),
    [
        (3, (409, "delivery_not_dead")),
        (4, (409, "delivery_not_dead")),
        (99, (404, "delivery_not_found")),
        (2**63 - 1, (404, "delivery_not_found")),
        (2**63, (422, "invalid_parameters")),
    ],
)
async def test_what_is_not_dead_is_not_sent_again(
    api: httpx.AsyncClient, delivery: int, refused: tuple[int, str]
) -> None:
    assert refusal(await api.post(f"/v1/webhooks/deliveries/{delivery}/resend")) == refused


async def test_nothing_is_sent_again_while_its_webhook_is_off(
    api: httpx.AsyncClient, conn: Database
) -> None:
    conn.execute("UPDATE webhook SET active = false, off_reason = 'r'")
    response = await api.post("/v1/webhooks/deliveries/1/resend")
    assert refusal(response) == (409, "webhook_off")
    assert "cordee webhook switch 1 on" in response.json()["detail"]


async def test_a_state_or_a_limit_that_does_not_exist_is_refused(api: httpx.AsyncClient) -> None:
    for wrong in ({"state": "lost"}, {"limit": 501}, {"webhook": 0}):
        assert await problem(api, "/v1/webhooks/deliveries", **wrong) == (422, "invalid_parameters")


async def test_metrics_count_webhooks_and_deliveries_by_state(
    api: httpx.AsyncClient, conn: Database
) -> None:
    conn.execute("UPDATE webhook SET active = false, off_reason = 'r' WHERE webhook_id = 9")
    text = (await api.get("/metrics")).text
    found = {
        (sample.name, sample.labels.get("state")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert (found["fleet_webhooks", "on"], found["fleet_webhooks", "off"]) == (1, 1)
    by_state = {
        state: found["fleet_webhook_deliveries", state]
        for state in ("pending", "retrying", "delivered", "dead")
    }
    assert by_state == {"pending": 1, "retrying": 1, "delivered": 0, "dead": 3}
