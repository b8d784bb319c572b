"""The questions about webhooks: which there are, and what became of what they were to get.

One function a question, scoped by organisation; reads, never commits. Secrets, and what follows the
host in a URL, never leave the database here.
"""

from typing import Final, get_args

from psycopg.rows import class_row

from api.answers import DeliveryState, Webhook, WebhookDelivery
from api.auth import OrganisationId
from api.times import ms
from storage.pool import Connection

RECEIVER: Final = "substring(url FROM '^[a-z]+://[^/?#]*')"


async def of_organisation(conn: Connection, organisation: OrganisationId) -> list[Webhook]:
    """Return all webhooks of an organisation."""
    query = f"""
        SELECT webhook.webhook_id, {RECEIVER} AS receiver, topics, active, off_reason,
               count(*) FILTER (WHERE state IN ('pending', 'retrying'))::integer AS waiting,
               count(*) FILTER (WHERE state = 'dead')::integer AS dead
        FROM webhook LEFT JOIN webhook_delivery USING (webhook_id)
        WHERE organisation_id = %s
        GROUP BY webhook.webhook_id ORDER BY webhook.webhook_id
    """
    async with conn.cursor(row_factory=class_row(Webhook)) as cursor:
        await cursor.execute(query, (organisation,))
        return await cursor.fetchall()


async def counts(conn: Connection, organisation: OrganisationId) -> dict[DeliveryState, int]:
    """Return how many deliveries are kept in each state, 0 where there is none."""
    query = """
        SELECT state, count(*)::integer FROM webhook_delivery JOIN webhook USING (webhook_id)
        WHERE organisation_id = %s GROUP BY state
    """
    found: dict[DeliveryState, int] = dict(
        await (await conn.execute(query, (organisation,))).fetchall()
    )
    return {state: found.get(state, 0) for state in get_args(DeliveryState)}


async def deliveries(
    conn: Connection,
    organisation: OrganisationId,
    limit: int,
    *,
    state: DeliveryState | None = None,
    webhook_id: int | None = None,
    delivery_id: int | None = None,
) -> list[WebhookDelivery]:
    """Return up to `limit` deliveries: new ones first, then by when they last changed."""
    query = f"""
        SELECT delivery_id, 'msg_' || replace(message_id::text, '-', '') AS message_id, webhook_id,
               {RECEIVER} AS receiver, topic, state, attempts,
               {ms("next_try_at")} AS next_try_ms, last_status, last_error,
               {ms("changed_time")} AS changed_ms
        FROM webhook_delivery JOIN webhook USING (webhook_id) JOIN outbox USING (outbox_id)
        WHERE webhook.organisation_id = %(organisation)s
          AND (%(state)s::text IS NULL OR state = %(state)s)
          AND (%(webhook)s::integer IS NULL OR webhook_id = %(webhook)s)
          AND (%(delivery)s::bigint IS NULL OR delivery_id = %(delivery)s)
        ORDER BY changed_time DESC NULLS FIRST, delivery_id DESC LIMIT %(limit)s
    """
    values = {
        "organisation": organisation,
        "state": state,
        "webhook": webhook_id,
        "delivery": delivery_id,
        "limit": limit,
    }
    async with conn.cursor(row_factory=class_row(WebhookDelivery)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()
