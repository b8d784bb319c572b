"""What a van is doing, and how a stop stands, in one word. Pure: the present is an argument.

The first line that holds, from the top, is the state of a van:

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

And of a stop:

| state     | when                                                                               |
| --------- | ---------------------------------------------------------------------------------- |
| completed | its van was there and has left                                                     |
| arrived   | its van is there                                                                   |
| missed    | the day is over and nobody came                                                    |
| en_route  | it is the next stop of a van that is driving, or stands between two stops          |
| skipped   | its van has been at a later one                                                    |
| scheduled | otherwise                                                                          |
"""

from typing import Final

from api.answers import AlertKind, Outcome, StopState, VanState

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


def is_under_way(state: VanState | None, *, has_begun: bool) -> bool:
    """Return whether a van in this state is on its way to its next stop.

    Args:
        state: None if it is not known, or of another day.
        has_begun: It has left a stop of its tour: who stands before that has not set out.
    """
    return state == "driving" or (state == "standing" and has_begun)


def stop_state(
    outcome: Outcome, alert: AlertKind | None, *, is_past: bool, is_next: bool
) -> StopState:
    """Return how a stop stands, by the table above.

    Args:
        outcome: What became of it.
        alert: The worst that is open of it.
        is_past: Its day is over, by the calendar.
        is_next: Its van is on the way to it.
    """
    if outcome in {"done", "on_site"}:
        return "completed" if outcome == "done" else "arrived"
    if alert == "missed" or is_past:
        return "missed"
    if is_next:
        return "en_route"
    return "skipped" if outcome == "skipped" else "scheduled"
