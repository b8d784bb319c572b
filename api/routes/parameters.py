"""Parameters that several routes take, each with an example, and what is wrong with them.

The examples are those of `api/examples.py`: one small company, so that a request and its answer fit.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import Body, Depends, Header, Path, Query
from fastapi.exceptions import RequestValidationError
from pydantic import Field, with_config

from api import etags, limits
from api.auth import Asker, OrganisationId, own_van
from api.cursors import TIME_MS_MAX
from api.problems import Problem
from api.queries import sites, vans
from api.times import TIME_ZONE
from geofence.tours import day_begins, service_date
from storage.pool import Connection
from storage.settings import as_datetime
from storage.words import PSEUDO, Words, asked_for, languages, words

SPAN_MAX: Final = timedelta(days=31)
ROWS_MAX: Final = 5_000
ID_MAX: Final = 2**63 - 1

TimeMs = Annotated[int, Field(ge=0, le=TIME_MS_MAX)]
FromMs = Annotated[
    TimeMs | None,
    Query(description="Milliseconds since 1970 UTC.", examples=[1_795_132_800_000]),
]
ToMs = Annotated[
    TimeMs | None,
    Query(
        description="Milliseconds since 1970 UTC, after `from_ms`.", examples=[1_795_219_200_000]
    ),
]
SearchText = Annotated[
    limits.Text, Query(description="Found in an item's ref or name.", examples=["filter"])
]
Day = Annotated[
    limits.Day | None,
    Query(
        alias="date",
        description="A local day; it turns at 3 in the morning. Today's without it.",
        examples=["2026-11-20"],
    ),
]
AskedSite = Annotated[limits.Code | None, Query(description="A site's code.", examples=["BAKERY"])]
AskedVan = Annotated[limits.Code | None, Query(description="A van's code.", examples=["V1"])]
VanCode = Annotated[
    limits.Code, Path(description="The van's code, as in topic names.", examples=["V1"])
]
SiteCode = Annotated[limits.Code, Path(description="The site's code.", examples=["BAKERY"])]
ItemRef = Annotated[limits.Code, Path(description="The item's ref.", examples=["FIL-20"])]


def _own_van(who: Asker, van: AskedVan = None) -> str | None:
    """Return the van that is asked for; to a technician always an own one, if none is named too."""
    return own_van(who, van)


OwnVan = Annotated[str | None, Depends(_own_van)]
_LANGUAGES: Final = "|".join((*languages(), PSEUDO))


def _reader(
    lang: Annotated[
        str | None,
        Query(
            pattern=f"^({_LANGUAGES})$",
            description="The language, whatever `Accept-Language` asks for.",
            examples=["pl"],
        ),
    ] = None,
    accept_language: Annotated[
        str | None,
        Header(
            max_length=1_000,
            description="The languages of whoever reads it; English without one that there is.",
            examples=["fr-FR, en;q=0.5"],
        ),
    ] = None,
) -> Words:
    return asked_for(accept_language) if lang is None else words(lang)


#: The words that a paper is to be written in.
Reader = Annotated[Words, Depends(_reader)]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=1_000,
        description="The ETag of what you have seen.",
        examples=["*"],
    ),
]
IfNoneMatch = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        max_length=1_000,
        description="The ETag of what you have.",
        examples=['"0f8e4bd3a8c54f4f"'],
    ),
]


def at_most(rows: int) -> Any:
    """Return what is said of a `limit`."""
    return Query(ge=1, le=rows, description="How many rows at most.", examples=[50])


Limit = Annotated[int, at_most(ROWS_MAX)]


@with_config(limits.exact({"accept": True}))
@dataclass(frozen=True, slots=True)
class DecisionBody:
    """Yes or no. Who says so is who is signed in."""

    accept: limits.Yes


@with_config(limits.exact({}))
@dataclass(frozen=True, slots=True)
class EmptyBody:
    """Nothing to say: who approves is who is signed in."""


NoBody = Annotated[
    EmptyBody | None, Body(title="Nothing", description="May be left out.", examples=[{}])
]


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
    """Return a range of times, or another one where none is given.

    Without `from_ms` a range is as long as the other; without `to_ms` it ends with the other, or is as
    long where it begins later.

    Raises:
        RequestValidationError: It ends before it begins, or is longer than 31 days.
    """
    since, until = as_moment(from_ms), as_moment(to_ms)
    begins, ends = otherwise
    if since is None:
        since = begins if until is None else until - (ends - begins)
    if until is None:
        until = ends if since < ends else since + (ends - begins)
    checked_range(from_ms, to_ms)
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
