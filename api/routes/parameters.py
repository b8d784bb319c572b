"""Parameters that several routes take, and what is wrong with them."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Final

from fastapi import Depends, Header, Query
from fastapi.exceptions import RequestValidationError
from pydantic import Field

from api import cursors, etags
from api.auth import Asker, OrganisationId, own_van
from api.cursors import TIME_MS_MAX
from api.problems import Problem
from api.queries import sites, vans
from api.times import TIME_ZONE
from geofence.tours import day_begins, service_date
from storage.pool import Connection
from storage.settings import as_datetime, as_ms

TimeMs = Annotated[
    int | None, Query(ge=0, le=TIME_MS_MAX, description="Milliseconds since 1970 UTC.")
]
SearchText = Annotated[str, Query(max_length=100, description="Found in an item's ref or name.")]
Code = Annotated[str | None, Query(max_length=200)]


def _own_van(who: Asker, van: Code = None) -> str | None:
    """Return the van that is asked for; to a technician always an own one, if none is named too."""
    return own_van(who, van)


OwnVan = Annotated[str | None, Depends(_own_van)]
Day = Annotated[
    date | None,
    Query(alias="date", description="A local day, like 2026-11-20; it turns at 3 in the morning."),
]
Person = Annotated[str, Field(min_length=1, max_length=200, description="Who does it.")]
Cursor = Annotated[
    str | None, Query(max_length=1_000, description="The `next_cursor` of the page before.")
]
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", max_length=1_000, description="The ETag of what you have seen."),
]
SPAN_MAX: Final = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class DecisionBody:
    """Yes or no, and who says so."""

    accept: bool
    by: Person


async def van_key(conn: Connection, organisation: OrganisationId, code: str) -> int:
    """Return the van's key.

    Raises:
        Problem: The organisation has no such van.
    """
    found = await vans.van_id(conn, organisation, code)
    if found is None:
        raise Problem(404, "van_not_found", f"There is no van {code!r}.")
    return found


async def checked_codes(
    conn: Connection,
    organisation: OrganisationId,
    *,
    van: str | None = None,
    site: str | None = None,
) -> None:
    """Refuse codes that are given and do not exist: a mistyped one is not read as "none".

    Raises:
        Problem: The organisation has no such van, or site.
    """
    if van is not None:
        await van_key(conn, organisation, van)
    if site is not None and not await sites.is_known(conn, organisation, site):
        raise Problem(404, "site_not_found", f"There is no site {site!r}.")


def read_cursor(text: str, shape: type[cursors.Key]) -> cursors.Key:
    """Return where the page before ended.

    Raises:
        Problem: The cursor is none of ours.
    """
    try:
        return cursors.decode(text, shape)
    except ValueError:
        detail = "Pass a next_cursor as it came, or none to begin with the newest."
        raise Problem(400, "bad_cursor", detail) from None


def check_seen(if_match: str | None, tag: str, *, required: bool = True) -> None:
    """Refuse to change what the asker has not seen as it is.

    Raises:
        Problem: `If-Match` names another version, or is missing although it is required.
    """
    if if_match is None:
        if required:
            detail = f"Send the ETag of what you have seen as If-Match; it is {tag} now."
            raise Problem(428, "precondition_required", detail)
    elif not etags.is_match(if_match, tag):
        detail = f"It is {tag} now: somebody has changed it since you looked. Look again."
        raise Problem(412, "changed_meanwhile", detail)


def as_moment(t_ms: int | None) -> datetime | None:
    """Return the time, or None for none."""
    return None if t_ms is None else as_datetime(t_ms)


def checked_range(from_ms: int | None, to_ms: int | None) -> None:
    """Refuse a range that ends before it begins.

    Raises:
        RequestValidationError: `to_ms` is not after `from_ms`.
    """
    if from_ms is not None and to_ms is not None and to_ms <= from_ms:
        raise RequestValidationError(
            [{"loc": ("query", "to_ms"), "msg": "must be after from_ms", "type": "range"}]
        )


def checked_span(
    from_ms: int | None, to_ms: int | None, otherwise: tuple[datetime, datetime]
) -> tuple[datetime, datetime]:
    """Return a range of times; what is not given is taken from another.

    Raises:
        RequestValidationError: It ends before it begins, or is longer than 31 days.
    """
    since = as_moment(from_ms) or otherwise[0]
    until = as_moment(to_ms) or otherwise[1]
    checked_range(as_ms(since), as_ms(until))
    if until - since > SPAN_MAX:
        named = "from_ms" if to_ms is None else "to_ms"
        raise RequestValidationError(
            [{"loc": ("query", named), "msg": "the range is longer than 31 days", "type": "range"}]
        )
    return since, until


def working_day(day: date) -> tuple[datetime, datetime]:
    """Return when a local day begins and ends: at 3 in the morning in Paris."""
    begins, ends = (day_begins(day + timedelta(days=i), TIME_ZONE) for i in (0, 1))
    return as_datetime(begins), as_datetime(ends)


def today(now_ms: int) -> date:
    """Return the working day of the present."""
    return service_date(now_ms, TIME_ZONE)
