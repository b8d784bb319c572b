"""Parameters that several routes take, and what is wrong with them."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from fastapi.exceptions import RequestValidationError

from api.cursors import TIME_MS_MAX
from storage.settings import as_datetime

TimeMs = Annotated[
    int | None, Query(ge=0, le=TIME_MS_MAX, description="Milliseconds since 1970 UTC.")
]
SearchText = Annotated[str, Query(max_length=100, description="Found in an item's ref or name.")]
Code = Annotated[str | None, Query(max_length=200)]


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
