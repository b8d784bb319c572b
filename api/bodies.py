"""A body of JSON that many ask for again and again: compressed once, with a tag for each encoding.

Two encodings of one thing are two representations, with a tag each (RFC 9110, 8.8.3.3); whoever has one
of them already is told 304, whichever it would be given now.
"""

import gzip
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from fastapi import Request, Response

from api.etags import etag, is_known

JSON: Final = "application/json"
ETAG: Final[dict[str, Any]] = {"ETag": {"schema": {"type": "string"}}}
UNCHANGED: Final[dict[str, Any]] = {
    "description": "It is what `If-None-Match` names.",
    "headers": ETAG,
}
#: Enough: the best level takes three times as long for a hundredth less.
GZIP_LEVEL: Final = 6


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes, as they are and compressed, and their tags."""

    plain: bytes
    zipped: bytes
    tag: str
    zipped_tag: str

    def is_known(self, if_none_match: str | None) -> bool:
        """Return whether an asker has one of both already."""
        return is_known(if_none_match, self.tag) or is_known(if_none_match, self.zipped_tag)


def body(plain: bytes) -> Body:
    """Return bytes with all that is needed to tell them."""
    digest = blake2b(plain, digest_size=12).hexdigest()
    zipped = gzip.compress(plain, GZIP_LEVEL, mtime=0)
    return Body(plain, zipped, etag(digest), etag(f"{digest}-gzip"))


def told(it: Body, request: Request) -> Response:
    """Return the answer to a request: the body in the encoding that it takes, or that it is known."""
    is_zipped = "gzip" in request.headers.get("accept-encoding", "")
    headers = {"etag": it.zipped_tag if is_zipped else it.tag, "vary": "accept-encoding"}
    if it.is_known(request.headers.get("if-none-match")):
        return Response(status_code=304, headers=headers)
    if is_zipped:
        headers["content-encoding"] = "gzip"
    return Response(it.zipped if is_zipped else it.plain, media_type=JSON, headers=headers)
