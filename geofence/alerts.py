"""Late stops: what is true of a stop, and what becomes of its alert.

| alert     | not arrived, window over | arrived after the window | in time, or window not over |
| --------- | ------------------------ | ------------------------ | --------------------------- |
| none      | raise: open              | record: cleared          | -                           |
| open      | -                        | clear: cleared           | withdraw: withdrawn         |
| cleared   | reopen: open             | correct the arrival      | withdraw: withdrawn         |

A withdrawn alert is history: it stays as it is, and the stop counts as having none. Facts are
always kept; but planners are told of a missed window only within 15 minutes of its end, so that a
day of backlog does not call them out, and of its end only if they were told of its beginning. A
clock tick asks about stops of which no message tells.
"""

from dataclasses import dataclass
from typing import Final, Literal

from geofence.tours import Stop

AlertState = Literal["open", "cleared", "withdrawn"]
News = Literal["raised", "cleared", "withdrawn"]

FRESH_MS: Final = 15 * 60_000


@dataclass(frozen=True, slots=True)
class LateAlert:
    """The live alert of one stop. Times are ms since 1970 UTC; `told` is whether planners know."""

    stop_id: int
    state: AlertState
    arrived_at: int | None
    told: bool


@dataclass(frozen=True, slots=True)
class AlertChange:
    """What to write of a stop's alert, and what to publish of it, if anything.

    `is_new` tells a row to insert from one to update.
    """

    stop: Stop
    state: AlertState
    arrived_at: int | None
    reason: str
    is_new: bool
    news: News | None


def judge(
    stop: Stop, arrived_at: int | None, alert: LateAlert | None, now: int
) -> AlertChange | None:
    """Return what changes for the late alert of a stop, or None.

    Args:
        stop: The planned stop.
        arrived_at: When the visit that keeps it began, ms since 1970 UTC; None if there is none.
        alert: Its live alert; None if there is none, or the last one was withdrawn.
        now: The present, ms since 1970 UTC.
    """
    if arrived_at is None and now > stop.window_end:
        return _not_arrived(stop, alert, now)
    if arrived_at is not None and arrived_at > stop.window_end:
        return _arrived_late(stop, arrived_at, alert)
    if alert is None:
        return None
    reason = "the van had arrived in time" if arrived_at is not None else "the window is not over"
    was_known = "raised" if alert.state == "open" else "cleared"
    reason = f"{reason}; {was_known} on what was known then"
    news: News | None = "withdrawn" if alert.told else None
    return AlertChange(stop, "withdrawn", arrived_at, reason, is_new=False, news=news)


def _not_arrived(stop: Stop, alert: LateAlert | None, now: int) -> AlertChange | None:
    if alert is not None and alert.state == "open":
        return None
    news: News | None = "raised" if now - stop.window_end <= FRESH_MS else None
    reason = "not arrived when the window ended"
    return AlertChange(stop, "open", None, reason, is_new=alert is None, news=news)


def _arrived_late(stop: Stop, arrived_at: int, alert: LateAlert | None) -> AlertChange | None:
    if alert is not None and alert.state == "cleared" and alert.arrived_at == arrived_at:
        return None
    minutes = -(-(arrived_at - stop.window_end) // 60_000)
    told = alert is not None and alert.state == "open" and alert.told
    news: News | None = "cleared" if told else None
    reason = f"arrived {minutes} min after the window ended"
    return AlertChange(stop, "cleared", arrived_at, reason, is_new=alert is None, news=news)
