"""Webhooks: which there are, and what became of what they were to get. `cordee webhook` adds them."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query

from api import commands
from api.answers import DeliveryState, WebhookDeliveries, WebhookDelivery, Webhooks
from api.auth import Asker, Organisation
from api.doorkeeper import JUDGED
from api.problems import Problem
from api.queries import webhooks
from api.resources import Conn, Now
from api.routes.parameters import ID_MAX, at_most

WEBHOOK_ID_MAX: Final = 2**31 - 1

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], dependencies=JUDGED)


@router.get("")
async def list_webhooks(conn: Conn, organisation: Organisation) -> Webhooks:
    """Return all webhooks, with how much waits for each and how much was given up."""
    return Webhooks(await webhooks.of_organisation(conn, organisation))


@router.get("/deliveries")
async def list_deliveries(
    conn: Conn,
    organisation: Organisation,
    state: Annotated[DeliveryState | None, Query(examples=["dead"])] = None,
    webhook: Annotated[int | None, Query(ge=1, le=WEBHOOK_ID_MAX, examples=[1])] = None,
    limit: Annotated[int, at_most(500)] = 100,
) -> WebhookDeliveries:
    """Return deliveries, the ones last changed first.

    The delivered are kept for 7 days, the dead for 30.
    """
    return WebhookDeliveries(
        await webhooks.counts(conn, organisation),
        await webhooks.deliveries(conn, organisation, limit, state=state, webhook_id=webhook),
    )


@router.post("/deliveries/{delivery_id}/resend")
async def resend(
    conn: Conn,
    who: Asker,
    now_ms: Now,
    delivery_id: Annotated[int, Path(ge=1, le=ID_MAX, examples=[1])],
) -> WebhookDelivery:
    """Send a dead delivery again, from the first attempt on, under the same `webhook-id`."""
    organisation = who.organisation
    again = await commands.resend(conn, organisation=organisation, delivery_id=delivery_id)
    found = await webhooks.deliveries(conn, organisation, 1, delivery_id=delivery_id)
    if not found:
        raise Problem(404, "delivery_not_found", f"There is no delivery {delivery_id}.")
    if not again and found[0].state != "dead":
        detail = f"It is {found[0].state}; only what is dead can be sent again."
        raise Problem(409, "delivery_not_dead", detail)
    if not again:
        detail = f"Switch it on first: `cordee webhook switch {found[0].webhook_id} on`."
        raise Problem(409, "webhook_off", detail)
    it = found[0]
    await commands.note_action(conn, who, "resend", it.message_id, it.receiver, now_ms)
    return it
