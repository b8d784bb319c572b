"""Alerts: stops at risk, late, missed or overstayed, and silent vans; and what people do about them."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api import commands, limits
from api.answers import (
    Alert,
    AlertHandling,
    AlertKind,
    Alerts,
    AlertState,
    AlertWithHistory,
    HandlingCause,
)
from api.auth import Asker, Organisation, Who
from api.commands import ChangedError
from api.doorkeeper import JUDGED
from api.etags import etag
from api.handling import UNTOUCHED, patched, refusal
from api.problems import Problem
from api.queries import alerts, people
from api.queries.alerts import AlertFilter
from api.resources import Conn, Now
from api.roles import PLAN
from api.routes.parameters import (
    ID_MAX,
    FromMs,
    IfMatch,
    OwnVan,
    TimeMs,
    ToMs,
    as_moment,
    at_most,
    check_seen,
    checked_codes,
    checked_range,
)
from api.spreadsheets import AS_CSV, AsSpreadsheet, rows_of
from storage.pool import Connection

router = APIRouter(prefix="/v1/alerts", tags=["alerts"], dependencies=JUDGED)
AlertId = Annotated[int, Path(ge=1, le=ID_MAX, examples=[1])]


HANDLING: Final[JsonDict] = {"acknowledged": True, "owner": "c.petit", "cause": "traffic"}


class HandlingBody(BaseModel):
    """What shall be changed about an alert; what is not named stays. `api/handling.py` says the rest."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"minProperties": 1, "examples": [HANDLING]},
    )

    acknowledged: limits.Yes = False
    snoozed_until_ms: Annotated[TimeMs | None, limits.NUMBER] = None
    owner: limits.Name | None = None
    cause: HandlingCause | None = None
    note: Annotated[str | None, Field(min_length=1, max_length=1_000, pattern=limits.NO_NUL)] = None


ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "headers": {
            "ETag": {"description": "The version of its handling.", "schema": {"type": "string"}}
        }
    }
}


@router.get("", response_model=Alerts, responses={200: {"content": AS_CSV}})
async def list_alerts(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    *,
    van: OwnVan,
    kind: Annotated[AlertKind | None, Query(examples=["late"])] = None,
    state: Annotated[AlertState | None, Query(examples=["open"])] = None,
    owner: Annotated[limits.Text | None, Query(description="A login.", examples=["ana"])] = None,
    acknowledged: Annotated[bool | None, Query(examples=[False])] = None,
    from_ms: FromMs = None,
    to_ms: ToMs = None,
    limit: Annotated[int, at_most(500)] = 200,
    sheet: AsSpreadsheet,
) -> Alerts | Response:
    """Return alerts with `from_ms` ≤ `due_at_ms` < `to_ms`: open ones first, then the latest changed.

    Of the open ones late stops come first (the longest overdue on top), then missed ones, stops at
    risk (those that planners were told of first), silent vans and overstayed visits. A silent van's alert has no stop, site or tour.
    """
    checked_range(from_ms, to_ms)
    await checked_codes(conn, organisation, van=van)
    which = AlertFilter(
        kind=kind,
        state=state,
        van=van,
        owner=owner,
        acknowledged=acknowledged,
        since=as_moment(from_ms),
        until=as_moment(to_ms),
    )
    most = rows_of(sheet, limit)
    found = await alerts.of_organisation(conn, organisation, now_ms, which, most)
    return Alerts(found) if sheet is None else await sheet.of("alerts", Alert, found)


@router.get("/{alert_id}", responses=ANSWERS)
async def one_alert(
    conn: Conn, who: Asker, now_ms: Now, response: Response, alert_id: AlertId
) -> AlertWithHistory:
    """Return an alert and what people did about it; its ETag is the version of that alone."""
    alert = await _alert(conn, who, now_ms, alert_id)
    response.headers["etag"] = _tag(alert.handling or UNTOUCHED)
    return AlertWithHistory(alert, await alerts.history(conn, alert_id))


@router.patch("/{alert_id}", responses=ANSWERS)
async def handle_alert(
    conn: Conn,
    who: Asker,
    now_ms: Now,
    response: Response,
    alert_id: AlertId,
    body: HandlingBody,
    if_match: IfMatch = None,
) -> AlertWithHistory:
    """Acknowledge an alert, put it off, give it to somebody, say why, add a note; null takes back.

    `If-Match` holds the ETag, `"0"` while nobody has done anything. Whoever is signed in did it.
    """
    await _alert(conn, who, now_ms, alert_id)
    wanted = body.model_dump(exclude_unset=True)
    if (wrong := refusal(wanted, now_ms)) is not None:
        raise Problem(422, "unusable_handling", wrong)
    await _check_owner(conn, who, body.owner)

    def handle(before: AlertHandling) -> tuple[AlertHandling, dict[str, Any]]:
        check_seen(if_match, _tag(before))
        return patched(before, wanted, who.account, now_ms)

    try:
        await commands.handle_alert(conn, who.organisation, alert_id, handle, who.account, now_ms)
    except ChangedError:
        raise Problem(412, "changed_meanwhile", "Somebody was faster: look again.") from None
    return await one_alert(conn, who, now_ms, response, alert_id)


def _tag(handling: AlertHandling) -> str:
    return etag(handling.version)


async def _alert(conn: Connection, who: Who, now_ms: int, alert_id: int) -> Alert:
    """Return an alert.

    Raises:
        Problem: There is none, or it is of another's van.
    """
    which = AlertFilter(alert_id=alert_id)
    match await alerts.of_organisation(conn, who.organisation, now_ms, which, 1):
        case [alert] if who.reaches(alert.van):
            return alert
    raise Problem(404, "alert_not_found", f"There is no alert {alert_id}.")


async def _check_owner(conn: Connection, who: Who, owner: str | None) -> None:
    if owner is None:
        return
    may_own = await people.with_roles(conn, who.organisation, PLAN)
    if owner not in {one.login for one in may_own}:
        detail = f"{owner!r} is nobody who may plan; GET /v1/people?can=plan lists who may."
        raise Problem(404, "person_not_found", detail)
