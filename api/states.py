"""What a van is doing, in one word. Pure: the present is an argument.

The first line that holds, from the top, is the state:

| state      | when                                                                              |
| ---------- | --------------------------------------------------------------------------------- |
| never_seen | no fix was ever stored                                                            |
| off_duty   | the newest status says duty off, or the calendar says so (`geofence/duty.py`)     |
| silent     | the newest fix is 15 minutes old or more; duty unknown counts as on duty          |
| at_site    | a visit is open: arrived, judged a visit, not left, not another site's shadow     |
| driving    | 1.4 m/s (5 km/h) or more; without a speed, ignition on                            |
| standing   | otherwise                                                                         |

Silent says that nothing is known, never that a stop is late. A fix up to two minutes ahead of the
clock is accepted, so an age may be negative; it then counts as zero.
"""

from typing import Final

from api.answers import VanState

SILENT_AFTER_MS: Final = 15 * 60_000
DRIVING_FROM_MPS: Final = 1.4
ON_THE_ROAD: Final = frozenset[VanState]({"driving", "standing", "at_site"})


def van_state(
    *,
    fix_time_ms: int | None,
    speed_mps: float | None,
    ignition: bool | None,
    duty: str | None,
    at_site: bool,
    now_ms: int,
) -> VanState:
    """Return the state of one van at `now_ms`, by the table above."""
    if fix_time_ms is None:
        return "never_seen"
    if duty == "off":
        return "off_duty"
    if now_ms - fix_time_ms >= SILENT_AFTER_MS:
        return "silent"
    if at_site:
        return "at_site"
    moving = ignition is True if speed_mps is None else speed_mps >= DRIVING_FROM_MPS
    return "driving" if moving else "standing"


def age_s(fix_time_ms: int, now_ms: int) -> int:
    """Return whole seconds since a fix, never negative."""
    return max(0, now_ms - fix_time_ms) // 1_000
