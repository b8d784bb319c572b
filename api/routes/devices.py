"""Tablets by HTTP: what they send, answered when it is committed, and what they resolve scans by."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Path, Request, Response
from pydantic import Field

from api import batches, commands
from api.answers import BatchTaken, Catalogue
from api.bodies import ETAG, JSON, UNCHANGED, told
from api.queries import batches as outcomes
from api.resources import CONNECTION_WITHIN_S, Conn, Held
from api.routes.parameters import IfNoneMatch

#: How long an answer waits for ingest; a tablet asks again anyway.
COMMITTED_WITHIN_S: Final = 5.0

router = APIRouter(prefix="/v1", tags=["devices"])


@dataclass(frozen=True, slots=True)
class EventBody:
    """A payload of the wire contract, and its kind: the last level of its topic in docs/WIRE.md."""

    kind: Annotated[str, Field(max_length=32, examples=sorted(batches.KINDS))]
    payload: Annotated[Any, Field(description="As it would be published by MQTT.")]


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
BATCH_EXAMPLE: Final = {
    "acked_through": {"f3a9c1": 18},
    "rejected": [
        {"index": 3, "seq": 18, "reason": "bad_payload", "detail": "Invalid enum value 'steal'"}
    ],
    "pending": 0,
}


@router.post(
    "/devices/{van}/events:batch",
    responses={
        200: {"content": {"application/json": {"example": BATCH_EXAMPLE}}},
        202: {"model": BatchTaken, "description": "Not all of it is committed yet: send it again."},
    },
)
async def send_batch(
    held: Held,
    response: Response,
    van: Annotated[
        str, Path(max_length=200, description="The van's code, which is its tablet's as well.")
    ],
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


CATALOGUE_EXAMPLE: Final = {
    "item_columns": ["ref", "name", "base_unit"],
    "items": [["FIL-20", "Filter 20", "piece"]],
    "code_columns": ["code", "item", "pack_qty"],
    "codes": [["04006381333931", 0, 1], ["FIL-BOX", 0, 10]],
}


@router.get(
    "/catalogue",
    response_model=Catalogue,
    responses={
        200: {"content": {JSON: {"example": CATALOGUE_EXAMPLE}}, "headers": ETAG},
        304: UNCHANGED,
    },
)
async def whole_catalogue(
    conn: Conn, held: Held, request: Request, _known: IfNoneMatch = None
) -> Response:
    """Return every code and what it stands for, so that a tablet resolves scans without a network.

    Ask again with the ETag as `If-None-Match`: 304 says that nothing was imported. What a code means that
    is not in it, says the base once the scan has come.
    """
    return told(await held.catalogue.newest(conn), request)
