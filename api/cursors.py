"""Opaque page cursors: the sort key of the last row shown. Pure.

A cursor grants nothing: every query is scoped by organisation again, so it need not be signed.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from storage.settings import as_datetime

Key = TypeVar("Key")

TIME_MS_MAX = 4_102_444_800_000  # 2100-01-01, as on the wire


@dataclass(frozen=True, slots=True)
class VisitKey:
    """Where a page of visits ended: its rows are ordered by these three, newest first."""

    arrived_at_ms: Annotated[int, Meta(ge=0, le=TIME_MS_MAX)]
    van: Annotated[str, Meta(max_length=200)]
    site: Annotated[str, Meta(max_length=200)]

    @property
    def arrived_at(self) -> datetime:
        """The arrival as an aware UTC time."""
        return as_datetime(self.arrived_at_ms)


@dataclass(frozen=True, slots=True)
class IdKey:
    """Where a page of rows ended that are ordered by a growing id, newest first."""

    before: Annotated[int, Meta(ge=0, le=2**63 - 1)]


def encode(key: VisitKey | IdKey) -> str:
    """Return the key as URL-safe text without padding."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def decode(text: str, shape: type[Key]) -> Key:
    """Return the key that `encode` was given.

    Raises:
        ValueError: The text is no cursor of ours, or one of another list.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=shape)
    except (binascii.Error, msgspec.MsgspecError) as error:
        raise ValueError("not a cursor of this API") from error
