"""What people do about an alert: acknowledge, snooze, own, explain, note. Pure.

| field              | null or false means        | set by                                       |
| ------------------ | -------------------------- | -------------------------------------------- |
| `acknowledged`     | nobody has seen to it yet  | whoever says so; who was first stays         |
| `snoozed_until_ms` | it is not put off          | a time to come, a week ahead at most         |
| `owner`            | nobody answers for it      | the login of somebody who may plan           |
| `cause`            | nobody has found out       | one of a closed list, so that it can be counted |
| `note`             | there is nothing to add    | anybody who plans; who drives can read it    |

A patch changes the fields that it names. What changes nothing makes no new version. None of it changes
the alert itself: what is true of a stop is for messages and the clock to say (`geofence/alerts.py`).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from api.answers import AlertHandling

SNOOZE_MS_MAX: Final = 7 * 86_400_000
UNTOUCHED: Final = AlertHandling(None, None, None, None, None, None, version=0)


def refusal(wanted: Mapping[str, Any], now_ms: int) -> str | None:
    """Return why a patch cannot be, or None."""
    if not wanted:
        return "Name at least one field that shall change."
    until_ms = wanted.get("snoozed_until_ms")
    if until_ms is not None and not now_ms < until_ms <= now_ms + SNOOZE_MS_MAX:
        return "snoozed_until_ms must be a time to come, a week ahead at most."
    return None


def patched(
    before: AlertHandling, wanted: Mapping[str, Any], by: str, now_ms: int
) -> tuple[AlertHandling, dict[str, Any]]:
    """Return what an alert's handling is after a patch, and what of it has changed.

    Args:
        before: As it stands.
        wanted: Fields of the patch that were named, with their values.
        by: The account of who asks.
        now_ms: The present.
    """
    after, changes = before, dict[str, Any]()
    for name, value in wanted.items():
        if name == "acknowledged":
            if value == (after.acknowledged_by is not None):
                continue
            seen = (by, now_ms) if value else (None, None)
            after = replace(after, acknowledged_by=seen[0], acknowledged_at_ms=seen[1])
        elif getattr(after, name) == value:
            continue
        else:
            after = replace(after, **{name: value})
        changes[name] = value
    return (replace(after, version=before.version + 1) if changes else before), changes
