"""The way in for the apps that people have: OwnTracks over HTTP, Traccar Client, OsmAnd.

Nobody signs in; a device proves itself by the credential that the broker knows it by
(`api/devices.py`), and that says which van it speaks for, whatever else a request says. What it sends goes
on to the broker and is read like everything else: what cannot be used is set aside there, so that an
app, which sends again what is not answered by 2xx, is not kept from its newer positions by an old one.
It is durable once it is answered.
"""

import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request, Response

from api import batches, commands, devices, positions
from api.batches import Message
from api.doorkeeper import JUDGED
from api.positions import Position
from api.problems import Problem
from api.queries import devices as credentials
from api.queries.devices import Device
from api.resources import CONNECTION_WITHIN_S, Held, Resources
from api.sessions import address_group
from storage.pool import Connection

router = APIRouter(prefix="/v1/ingress", tags=["ingress"], dependencies=JUDGED)

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
#: Names by which apps send their identifier.
ID_NAMES: Final = ("id", "deviceid", "device_id")
FIELDS_MAX: Final = 100

OWNTRACKS_EXAMPLE: Final = {
    "_type": "location", "lat": 45.7578, "lon": 4.832, "tst": 1_795_165_200, "acc": 6, "vel": 50,
    "cog": 271, "batt": 87, "tid": "17", "topic": "owntracks/http/17",
}  # fmt: skip
TRACCAR_EXAMPLE: Final = {
    "device_id": "the token that cordee provision has shown",
    "location": {
        "timestamp": "2026-11-20T09:00:00.862Z",
        "coords": {
            "latitude": 45.7578, "longitude": 4.832, "accuracy": 6.0, "speed": 13.9,
            "heading": 271.0, "altitude": 180.0,
        },
        "is_moving": True,
        "odometer": 12_345.6,
        "event": "motionchange",
        "battery": {"level": 0.87, "is_charging": False},
    },
}  # fmt: skip
QUERY: Final[list[dict[str, Any]]] = [
    {
        "name": name,
        "in": "query",
        "required": False,
        "description": words,
        "schema": {"type": "string", "examples": [example]},
    }
    for name, words, example in (
        ("id", "The token of the device; not needed with HTTP Basic.", "tttt-uuuu-vvvv"),
        ("lat", "Degrees.", "45.7578"),
        ("lon", "Degrees.", "4.832"),
        ("timestamp", "Seconds or milliseconds since 1970 UTC, or ISO 8601.", "1795165200"),
        ("speed", "Knots.", "27.0"),
        ("bearing", "Degrees from north.", "271"),
        ("accuracy", "Metres.", "6"),
        ("batt", "Percent.", "87"),
    )
]
BY_PASSWORD: Final[dict[str, Any]] = {"security": [{"device": []}]}
BY_EITHER: Final[dict[str, Any]] = {"security": [{"device": []}, {}]}
OWNTRACKS_BODY: Final[dict[str, Any]] = {
    **BY_PASSWORD,
    "requestBody": {"content": {JSON: {"schema": {}, "example": OWNTRACKS_EXAMPLE}}},
}
OSMAND_BODY: Final[dict[str, Any]] = {
    **BY_EITHER,
    "parameters": QUERY,
    "requestBody": {
        "content": {
            JSON: {"schema": {}, "example": TRACCAR_EXAMPLE},
            FORM: {
                "schema": {},
                "example": {"lat": "45.7578", "lon": "4.832", "timestamp": "1795165200"},
            },
        }
    },
}


Find = Callable[[Connection, datetime], Awaitable[Device | None]]
"""Looks for the device that a request says it comes from."""


async def by_password(held: Held, request: Request) -> Device:
    """Return the device whose user name and password HTTP Basic gives.

    Raises:
        Problem: It is nobody's, or asks too often.
    """
    user, password = devices.basic(request.headers.get("authorization")) or ("", "")

    async def find(conn: Connection, now: datetime) -> Device | None:
        return await credentials.with_password(conn, user, password, now)

    return await _known(held, request, devices.fingerprint(user, password), find)


async def by_token(held: Resources, request: Request, said: Mapping[str, Any]) -> Device:
    """Return the device whose token is sent as its identifier, or that HTTP Basic names.

    Raises:
        Problem: It is nobody's, or asks too often.
    """
    if request.headers.get("authorization"):
        return await by_password(held, request)
    token = str(next((said[name] for name in ID_NAMES if said.get(name)), ""))

    async def find(conn: Connection, now: datetime) -> Device | None:
        return await credentials.with_token(conn, token, now)

    return await _known(held, request, devices.fingerprint(token), find)


async def _known(held: Resources, request: Request, credential: bytes, find: Find) -> Device:
    address = address_group(request.client.host if request.client else None)
    tried = address, credential
    if held.refused.has(tried, time.monotonic()):
        raise _unknown()
    _wait(held.strangers.wait_s(address, time.monotonic()))
    async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
        device = await find(conn, datetime.now(UTC))
    if device is None:
        held.strangers.take(address, time.monotonic())
        held.refused.add(tried, time.monotonic())
        raise _unknown()
    _wait(held.devices.take(device.user, time.monotonic()))
    return device


def _unknown() -> Problem:
    detail = "Use what `cordee provision van` has shown; it may have been replaced or revoked."
    ask = {"WWW-Authenticate": 'Basic realm="cordee devices"'}
    return Problem(401, "unknown_device", detail, headers=ask)


def _wait(wait_s: float) -> None:
    if wait_s:
        again = {"Retry-After": str(math.ceil(wait_s))}
        raise Problem(429, "too_often", "Ask again a little later.", headers=again)


@router.post(
    "/owntracks",
    openapi_extra=OWNTRACKS_BODY,
    responses={200: {"content": {JSON: {"example": []}}}},
)
async def owntracks(
    held: Held, request: Request, device: Annotated[Device, Depends(by_password)]
) -> list[str]:
    """Take what the OwnTracks app sends in HTTP mode: its JSON, of the types location, transition and lwt.

    Others are for friends, and not kept. User and password are those of the device's credential, which says
    whose it is: `X-Limit-U`, `X-Limit-D` and `topic` are not looked at. The answer is an empty list, as the
    app expects.
    """
    body = await request.body()
    if positions.is_for_us(body):
        topic = f"owntracks/{device.van}/{device.device}"
        await _pass_on(held, [Message(topic, body)])
    return []


@router.get("/osmand", openapi_extra={**BY_EITHER, "parameters": QUERY}, response_class=Response)
async def osmand(held: Held, request: Request) -> Response:
    """Take a position in OsmAnd's words, as Traccar Client and others send it: all in the query.

    `id` is the token of the device; or it is left to HTTP Basic. Addresses stand in the logs of proxies:
    let yours not write the queries of this one.
    """
    said = request.query_params
    return await _take(held, await by_token(held, request, said), [positions.of_query(said)])


@router.post("/osmand", openapi_extra=OSMAND_BODY, response_class=Response)
async def osmand_body(held: Held, request: Request) -> Response:
    """Take positions as Traccar Client sends them: JSON with `location` and `device_id`, form or query."""
    body = await request.body()
    if body.lstrip()[:1] == b"{":
        said = _json(body)
        return await _take(held, await by_token(held, request, said), positions.of_json(said))
    form = {**request.query_params, **_form(body)}
    return await _take(held, await by_token(held, request, form), [positions.of_query(form)])


def _json(body: bytes) -> dict[str, Any]:
    """Return the object that a body is.

    Raises:
        Problem: It is none.
    """
    try:
        said: dict[str, Any] = json.loads(body)
    except (ValueError, RecursionError):
        raise Problem(400, "bad_request", "The body is no JSON.") from None
    return said


def _form(body: bytes) -> dict[str, str]:
    """Return what a form says, or nothing if it is none."""
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=FIELDS_MAX))
    except ValueError:
        return {}


async def _take(held: Resources, device: Device, found: Sequence[Position]) -> Response:
    packed = batches.pack(device.van, [("position", position) for position in found])
    # An app would send a refused one again for ever: ingest sets it aside.
    too_long = [batches.alone(device.van, "position", found[it.index]) for it in packed.refused]
    await _pass_on(held, [*packed.messages, *too_long])
    return Response()


async def _pass_on(held: Resources, messages: Sequence[Message]) -> None:
    async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
        await commands.pass_on(conn, messages, held.clock())
