"""When open proposals become orders: the cut-offs of a warehouse.

A warehouse names local times of its working days (Monday to Friday). At each, what is proposed then
becomes one order for each destination and way of delivery, and its inputs are frozen. The order's
code is made of the cut-off and the van, so that the same order is never made twice.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

SATURDAY = 5

Mode = Literal["van", "home", "site"]


@dataclass(frozen=True, slots=True)
class Proposed:
    """An open proposal, ready to become a line."""

    location_id: int
    van_code: str
    item_id: int
    ref: str
    name: str
    qty: int
    inputs: dict[str, int | str]
    mode: Mode


@dataclass(frozen=True, slots=True)
class Order:
    """An order that a cut-off has just made."""

    code: str
    organisation_id: int
    warehouse_code: str
    van_code: str
    mode: Mode
    cutoff_at: datetime
    lines: Sequence[Proposed]


def latest_cutoff(cutoff_times: Collection[time], time_zone: str, now: datetime) -> datetime | None:
    """Return the newest cut-off that is not after `now`, in UTC; None within a week of none.

    Args:
        cutoff_times: Local times of a working day.
        time_zone: The warehouse's IANA zone.
        now: An aware time.
    """
    zone = ZoneInfo(time_zone)
    today = now.astimezone(zone).date()
    past = [
        moment
        for days_ago in range(8)
        for moment in _cutoffs_on(today - timedelta(days=days_ago), cutoff_times, zone)
        if moment <= now
    ]
    return max(past, default=None)


def _cutoffs_on(day: date, cutoff_times: Collection[time], zone: ZoneInfo) -> list[datetime]:
    if day.weekday() >= SATURDAY:
        return []
    return [datetime.combine(day, t, zone).astimezone(UTC) for t in cutoff_times]


def order_code(van_code: str, cutoff_at: datetime) -> str:
    """Return the stable name of the order that a van gets at a cut-off."""
    return f"R-{cutoff_at.astimezone(UTC):%Y%m%d-%H%M}-{van_code}"
