"""What tablets send by HTTP: up to 500 events at once, answered when they are committed."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Response
from pydantic import Field, with_config

from api import batches, commands, limits
from api.answers import BatchTaken
from api.doorkeeper import JUDGED
from api.queries import batches as outcomes
from api.resources import CONNECTION_WITHIN_S, Held
from api.routes.parameters import VanCode

#: How long an answer waits for ingest; a tablet asks again anyway.
COMMITTED_WITHIN_S: Final = 5.0

router = APIRouter(prefix="/v1/devices", tags=["devices"], dependencies=JUDGED)


@with_config(limits.EXACT)
@dataclass(frozen=True, slots=True)
class EventBody:
    """A payload of the wire contract, and its kind: the last level of its topic in docs/WIRE.md."""

    kind: Annotated[
        str, Field(max_length=32, examples=sorted(batches.KINDS), pattern=limits.NO_NUL)
    ]
    payload: Annotated[Any, Field(description="As it would be published by MQTT.")]


@with_config(limits.EXACT)
@dataclass(frozen=True, slots=True)
class BatchBody:
    """What the tablet has not been told to be committed yet, oldest first."""

    events: Annotated[list[EventBody], Field(min_length=1, max_length=batches.EVENTS_MAX)]


BATCH_BODY: Final = {
    "events": [
        {"kind": "status", "payload": {"state": "online", "t": 1_795_165_200_000, "duty": "on"}},
        {
            "kind": "position",
            "payload": {"t": 1_795_165_201_000, "lat": 45.7578, "lon": 4.832, "acc_m": 6.0},
        },
        {
            "kind": "scan",
            "payload": {
                "epoch": "f3a9c1", "seq": 17, "t": 1_795_165_210_000, "intent": "issue",
                "code": "4006381333931", "qty": 2,
            },
        },
        {
            "kind": "scan",
            "payload": {"epoch": "f3a9c1", "seq": 18, "t": 1_795_165_215_000, "intent": "steal"},
        },
    ]
}  # fmt: skip


@router.post(
    "/{van}/events:batch",
    responses={
        202: {"model": BatchTaken, "description": "Not all of it is committed yet: send it again."},
    },
)
async def send_batch(
    held: Held,
    response: Response,
    van: VanCode,
    body: Annotated[BatchBody, Body(openapi_examples={"a minute": {"value": BATCH_BODY}})],
) -> BatchTaken:
    """Take scans, positions and duty switches, and answer when they are committed.

    They go the way of what is published by MQTT, and count as if they had come by it. 200 means that
    every event is committed: the tablet may drop them all, and sets those in `rejected` aside for its
    user to look at. 202 means that some are on their way still; of a repeat, whatever of it was
    committed already is told and nothing counts twice. An event that cannot be used stops no other.
    """
    packed = batches.pack(van, [(event.kind, event.payload) for event in body.events])
    async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
        await commands.publish(conn, packed.messages, held.clock())
    ids = [message.id for message in packed.messages]
    pending = await held.commits.pending(ids, COMMITTED_WITHIN_S)
    if pending:
        response.status_code = 202
    async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
        through = await outcomes.through(conn, van, packed.epochs())
        found = await outcomes.became(conn, van, packed)
    return BatchTaken(
        acked_through=through,
        rejected=batches.rejected(packed, found, pending),
        pending=sum(event.carrier in pending for event in packed.sent),
    )
