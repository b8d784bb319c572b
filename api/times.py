"""Times between SQL and JSON, and whose clock the days go by. Pure."""

from typing import Final

#: Where a working day begins and ends, for "today".
TIME_ZONE: Final = "Europe/Paris"


def ms(moment: str) -> str:
    """Return SQL for a time as integer milliseconds since 1970."""
    return f"(extract(epoch FROM {moment}) * 1000)::bigint"
