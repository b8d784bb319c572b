"""Entity tags (RFC 9110, 8.8.3 and 13.1): which version of a thing a request is about. Pure.

Tags here are strong. `If-Match` compares strongly, so that a weak tag matches nothing; `If-None-Match`
compares weakly, as caches do. What the version of a thing is, says who answers for it.
"""

import re
from typing import Final

ANY: Final = "*"
_TAG: Final = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def etag(version: object) -> str:
    """Return a version as a strong tag."""
    return f'"{version}"'


def is_match(header: str, tag: str) -> bool:
    """Return whether a thing with this tag is one that `If-Match` lists."""
    if header.strip() == ANY:
        return True
    return any(listed == tag and not weak for weak, listed in _TAG.findall(header))


def is_known(header: str | None, tag: str) -> bool:
    """Return whether `If-None-Match` says that the asker has a thing with this tag already."""
    if header is None:
        return False
    return header.strip() == ANY or any(listed == tag for _, listed in _TAG.findall(header))
