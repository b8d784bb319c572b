"""Errors as `application/problem+json` (RFC 9457), with stable codes.

Whatever goes wrong, the body has `type`, `title`, `status`, `code` and `detail`. Programs read
`code`, people read `title` and `detail`. The title belongs to its code and is told in the language that
`Accept-Language` asks for, which `Content-Language` names. The detail is for those who write programs, and
always English; pages have words of their own for the codes that people meet. 422 adds `errors`, a
list of `{where, message}`. Of parameters the value that was sent is never echoed; what the checks of the
import say of an edit names it, so that it can be found.

| code                   | status | meaning                                                    |
| ---------------------- | ------ | ---------------------------------------------------------- |
| van_not_found          | 404    | no such van, or another organisation's                     |
| site_not_found         | 404    | no such site, or another organisation's                    |
| visit_report_not_found | 404    | no such report, contradicted, or another's                 |
| message_not_found      | 404    | no such message, or not of a van that one may ask about    |
| not_the_receiver       | 409    | who wrote a message cannot say that it was read            |
| order_not_found        | 404    | no such order, or another organisation's                   |
| no_map_tiles           | 404    | no file of tiles is set, or it cannot be read              |
| warehouse_not_found    | 404    | no such warehouse, or another organisation's               |
| box_not_found          | 404    | no box can have this number                                |
| order_not_waiting      | 409    | the order does not wait for an approval                    |
| proposal_not_found     | 404    | nothing is proposed of this item for this van or template  |
| transfer_not_found     | 404    | no such transfer, or another organisation's                |
| transfer_over          | 409    | the transfer is done, or was decided otherwise             |
| report_id_taken        | 409    | another report was posted under this id                    |
| unusable_report        | 422    | the report says something that cannot be; 404: of an item  |
|                        |        | that is not on the order                                   |
| scan_not_waiting       | 404    | no such scan waits for a decision                          |
| alert_not_found        | 404    | no such alert, or another organisation's                   |
| unusable_handling      | 422    | an alert cannot be handled like that                       |
| person_not_found       | 404    | nobody with this login, or nobody who may do that          |
| precondition_required  | 428    | say by If-Match which version you have seen                |
| changed_meanwhile      | 412    | it is another version by now: look again                   |
| tour_not_found         | 404    | the van has no tour on that day                            |
| stop_not_found         | 404    | no such stop, or another organisation's                    |
| csv_too_long           | 422    | a CSV would have more rows than a spreadsheet takes        |
| rejected_over          | 404    | no such rejected message, or no longer                     |
| unusable_code          | 422    | the import would refuse this bar code; nothing is kept     |
| delivery_not_found     | 404    | no such delivery, or another organisation's                |
| delivery_not_dead      | 409    | it waits, or was delivered: there is nothing to send again |
| webhook_off            | 409    | the webhook is off: `cordee webhook switch ID on`          |
| stop_visited           | 409    | the stop has been visited, so nobody can take it           |
| stop_over              | 409    | the stop's day is over                                     |
| replan_not_found       | 404    | no such replan, or another organisation's                  |
| plan_moved             | 412    | plans have changed since it was proposed: ask again        |
| unusable_replan        | 409    | it does not say when each stop ahead comes                 |
| replan_gone_on         | 409    | it cannot be undone any more; `errors` name edited tours   |
| idempotency_key_reused | 422    | the Idempotency-Key belongs to another request             |
| request_under_way      | 409    | the first request with this Idempotency-Key is under way   |
| route_not_found        | 404    | nothing lives at this path                                 |
| method_not_allowed     | 405    | the path exists, not with this method                      |
| bad_cursor             | 400    | the cursor is not one that this API gave out               |
| bad_text               | 400    | a text that the database cannot hold, such as a NUL byte   |
| bad_request            | 4xx    | any other refusal of the HTTP layer                        |
| not_signed_in          | 401    | no session, no token, or one that is over                  |
| sign_in_failed         | 401    | login and password do not belong together                  |
| invalid_client         | 401    | client id and secret do not belong together                |
| not_for_this_role      | 403    | the role may not use this route                            |
| no_rule                | 403    | nobody may use this route: it has no rule                  |
| csrf_failed            | 403    | the X-CSRF-Token is missing or wrong, or another site asks |
| not_for_machines       | 403    | only a person has a password and sessions                  |
| unusable_password      | 422    | the new password is too easy to guess                      |
| oidc_failed            | 4xx    | the identity provider's answer cannot be used              |
| unknown_device         | 401    | no van's device has this credential, or no longer          |
| too_often              | 429    | a device sends, or a stranger tries, faster than is let in |
| too_many_attempts      | 429    | too many sign-ins have failed; wait a quarter of an hour   |
| invalid_parameters     | 422    | a parameter is missing, ill-typed or out of bounds         |
| unusable_tour          | 422    | the import would refuse stops of this tour; nothing is     |
|                        |        | kept. 404: for what they name is not there, 409: for the   |
|                        |        | van has another tour that day, or the code is taken        |
| unusable_site          | 422    | the import would refuse this site; nothing is kept. 404:   |
|                        |        | for there is no such time zone                             |
| database_unavailable   | 503    | the database does not answer                               |
| edits_under_way        | 503    | an import, or another edit, is taking long                 |
| migrations_missing     | 503    | the database lacks tables that this version needs          |
| internal_error         | 500    | a mistake of ours; the log has it                          |
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException

from storage.words import Words, asked_for, sentence

logger = structlog.get_logger()

TITLES: Final = {
    "van_not_found": sentence("No such van"),
    "site_not_found": sentence("No such site"),
    "visit_report_not_found": sentence("No such visit report"),
    "message_not_found": sentence("No such message"),
    "not_the_receiver": sentence("Somebody else was written to"),
    "order_not_found": sentence("No such order"),
    "no_map_tiles": sentence("No file of map tiles"),
    "warehouse_not_found": sentence("No such warehouse"),
    "box_not_found": sentence("No such box"),
    "order_not_waiting": sentence("The order does not wait"),
    "proposal_not_found": sentence("Nothing is proposed"),
    "transfer_not_found": sentence("No such transfer"),
    "transfer_over": sentence("The transfer is over"),
    "unusable_report": sentence("This report cannot be used"),
    "report_id_taken": sentence("Another report has this id"),
    "scan_not_waiting": sentence("No such scan waits"),
    "alert_not_found": sentence("No such alert"),
    "person_not_found": sentence("No such person"),
    "unusable_handling": sentence("An alert cannot be handled like that"),
    "precondition_required": sentence("Say what you have seen"),
    "changed_meanwhile": sentence("It has changed meanwhile"),
    "tour_not_found": sentence("No such tour"),
    "stop_not_found": sentence("No such stop"),
    "rejected_over": sentence("No such rejected message"),
    "csv_too_long": sentence("Too long for a spreadsheet"),
    "unusable_code": sentence("This bar code cannot be used"),
    "delivery_not_found": sentence("No such delivery"),
    "delivery_not_dead": sentence("The delivery is not dead"),
    "webhook_off": sentence("The webhook is off"),
    "stop_visited": sentence("The stop has been visited"),
    "stop_over": sentence("The stop's day is over"),
    "replan_not_found": sentence("No such replan"),
    "plan_moved": sentence("The plan has moved"),
    "unusable_replan": sentence("This replan cannot be"),
    "replan_gone_on": sentence("It cannot be undone any more"),
    "idempotency_key_reused": sentence("The key belongs to another request"),
    "request_under_way": sentence("The first request is under way"),
    "route_not_found": sentence("Nothing lives here"),
    "method_not_allowed": sentence("Not with this method"),
    "bad_cursor": sentence("Not a cursor of this API"),
    "bad_text": sentence("Text that cannot be stored"),
    "bad_request": sentence("The request was refused"),
    "not_signed_in": sentence("Nobody is signed in"),
    "sign_in_failed": sentence("This is not login and password"),
    "invalid_client": sentence("This is not client id and secret"),
    "not_for_this_role": sentence("Not for this role"),
    "no_rule": sentence("Nobody may use this route"),
    "csrf_failed": sentence("The request may come from another site"),
    "not_for_machines": sentence("Only a person can do this"),
    "unusable_password": sentence("This password cannot be used"),
    "oidc_failed": sentence("The sign-in elsewhere failed"),
    "unknown_device": sentence("No device is known by this"),
    "too_often": sentence("Too often"),
    "too_many_attempts": sentence("Too many sign-ins have failed"),
    "invalid_parameters": sentence("A parameter is wrong"),
    "unusable_tour": sentence("This tour cannot be used"),
    "unusable_site": sentence("This site cannot be used"),
    "database_unavailable": sentence("The database does not answer"),
    "edits_under_way": sentence("Somebody else is editing"),
    "migrations_missing": sentence("The database is not up to date"),
    "internal_error": sentence("A mistake of ours"),
}


@dataclass(eq=False)
class Problem(Exception):  # noqa: N818  the RFC's own word
    """An answer other than the one asked for."""

    status: int
    code: str
    detail: str
    errors: Sequence[dict[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


class ProblemResponse(JSONResponse):
    """A problem as its media type."""

    media_type = "application/problem+json"


def reader(request: Request) -> Words:
    """Return the words of the language that a request asks for."""
    return asked_for(",".join(request.headers.getlist("accept-language")))


def answer(request: Request, problem: Problem) -> ProblemResponse:
    """Return the problem as HTTP says it, to whoever asked."""
    words = reader(request)
    body: dict[str, object] = {
        "type": f"/problems/{problem.code}",
        "title": words.t(TITLES[problem.code]),
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
    }
    if problem.errors:
        body["errors"] = list(problem.errors)
    headers = {"Content-Language": words.language, "Vary": "Accept-Language"}
    if problem.status == 503:
        headers["Retry-After"] = "5"
    return ProblemResponse(body, status_code=problem.status, headers={**headers, **problem.headers})


async def _on_problem(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, Problem)  # noqa: S101  registered for this class alone
    return answer(request, error)


async def _on_http(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  as above
    path = request.url.path
    match error.status_code:
        case 404:
            detail = f"{path} does not exist; /v1/openapi.json lists all."
            return answer(request, Problem(404, "route_not_found", detail))
        case 405:
            # Routes of ours are the doorkeeper's; what is left are the page's files.
            allow = {"Allow": "GET, HEAD"}
            detail = f"{request.method} is not possible at {path}."
            return answer(request, Problem(405, "method_not_allowed", detail, headers=allow))
        case status:
            return answer(request, Problem(status, "bad_request", str(error.detail)))


#: What a strict body says of a field that it does not know, in words of Python.
UNKNOWN_FIELD: Final = "unexpected_keyword_argument"


async def _on_invalid(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  as above
    errors = [
        {
            "where": ".".join(str(part) for part in one["loc"]),
            "message": "is not known here: leave it out"
            if one["type"] == UNKNOWN_FIELD
            else str(one["msg"]),
        }
        for one in error.errors()
    ]
    detail = "; ".join(f"{one['where']}: {one['message']}" for one in errors)
    return answer(request, Problem(422, "invalid_parameters", detail, errors))


def unavailable(error: Exception) -> Problem:
    """Return what to say while the database does not answer."""
    logger.warning("database unavailable", error=type(error).__name__)
    return Problem(503, "database_unavailable", "Check that PostgreSQL runs, then ask again.")


async def _on_unavailable(request: Request, error: Exception) -> ProblemResponse:
    return answer(request, unavailable(error))


async def _on_bad_text(request: Request, error: Exception) -> ProblemResponse:
    return answer(request, Problem(400, "bad_text", f"PostgreSQL refused a value: {error}."))


async def _on_mistake(request: Request, _: Exception) -> ProblemResponse:
    return answer(
        request, Problem(500, "internal_error", "It has been logged; asking again may help.")
    )


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(psycopg.OperationalError, _on_unavailable)
    app.add_exception_handler(PoolTimeout, _on_unavailable)
    app.add_exception_handler(psycopg.DataError, _on_bad_text)
    app.add_exception_handler(Exception, _on_mistake)
