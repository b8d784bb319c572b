"""Every fence of an organisation as one body, made anew only when something was edited.

A map asks for it again and again; 20,000 sites are most of a megabyte. An edit or import makes the version of
the reference data grow, whatever it edits; until then the bytes are kept, as they are and compressed, with their
tags. Two encodings of one thing are two representations, with a tag each (RFC 9110, 8.8.3.3).
"""

import asyncio
import gzip
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import msgspec

from api.answers import Area, Fences
from api.auth import OrganisationId
from api.etags import etag, is_known
from api.queries import sites
from storage.pool import Connection

COLUMNS: Final = ["site", "longitude_deg", "latitude_deg", "radius_m"]
#: Enough: the best level takes three times as long for a hundredth less.
GZIP_LEVEL: Final = 6


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes, as JSON and compressed, and the version of the reference data that they show."""

    version: int
    plain: bytes
    zipped: bytes
    tag: str
    zipped_tag: str

    def is_known(self, if_none_match: str | None) -> bool:
        """Return whether an asker has one of both already."""
        return is_known(if_none_match, self.tag) or is_known(if_none_match, self.zipped_tag)


class FenceBodies:
    """The newest body of each organisation."""

    def __init__(self) -> None:
        self._kept: dict[OrganisationId, Body] = {}

    async def of_organisation(self, conn: Connection, organisation: OrganisationId) -> Body:
        """Return the body as of now."""
        version = await sites.edits(conn)
        kept = self._kept.get(organisation)
        if kept is None or kept.version != version:
            circles, areas = await sites.fences(conn, organisation)
            told = Fences(COLUMNS, circles, [Area(*area) for area in areas])
            kept = await asyncio.to_thread(_body, version, told)
            self._kept[organisation] = kept
        return kept


def _body(version: int, told: Fences) -> Body:
    plain = msgspec.json.encode(told)
    digest = blake2b(plain, digest_size=12).hexdigest()
    zipped = gzip.compress(plain, GZIP_LEVEL, mtime=0)
    return Body(version, plain, zipped, etag(digest), etag(f"{digest}-gzip"))
