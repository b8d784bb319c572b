"""What becomes of a part that a job needs before the next delivery. Pure.

There are three ways, and the cheapest that is in time is taken:

| way      | possible if                                                         | cost               |
| -------- | ------------------------------------------------------------------- | ------------------ |
| transfer | another van has it to spare and their ways come within 15 km        | 4 + 0.80 each km   |
| home     | the job is on a later day, and the technician has a home            | 25                 |
| site     | a courier is there before the job's window ends                     | 35                 |

A van has to spare what lies above its own reorder point when its jobs are served. How far two ways
are apart is the smallest distance between a stop or position of the one and one of the other, of
today and of the next day: neither goes further than that to meet. Both are told; the base may refuse.
If no way is in time, nothing is ordered in haste: the part is on the next order, and the job is listed
as one that will lack it.

Costs are euros of a French city in 2026, rounded; they only decide between the ways.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

EARTH_RADIUS_M: Final = 6_371_008.8

FAR_M: Final = 15_000.0
MEETING_COST: Final = 4.0
COST_PER_KM: Final = 0.8
HOME_COST: Final = 25.0
SITE_COST: Final = 35.0

Reals = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Lack:
    """A job that will lack a part.

    Attributes:
        qty: Base units that are lacking.
        window_end: Until when it must be there.
        is_later_day: The job is not today's.
        has_home: The technician has a place for deliveries.
        express_minutes: How long a courier takes to a site; 0 for no courier.
    """

    qty: int
    window_end: datetime
    is_later_day: bool
    has_home: bool
    express_minutes: int


@dataclass(frozen=True, slots=True)
class Giver:
    """A van that has the part to spare, and how near its way comes."""

    location_id: int
    van: str
    spare: int
    apart_m: float


@dataclass(frozen=True, slots=True)
class Handover:
    """A transfer that both technicians are to be told of."""

    transfer_id: int
    giver: str
    receiver: str
    ref: str
    name: str
    qty: int


@dataclass(frozen=True, slots=True)
class Way:
    """How the part gets there, and what that costs; `giver` for a transfer."""

    kind: Literal["transfer", "home", "site"]
    cost: float
    giver: Giver | None = None


def cheapest(lack: Lack, givers: Sequence[Giver], now: datetime) -> Way | None:
    """Return the cheapest way that is in time; None if there is none."""
    ways = [
        Way("transfer", MEETING_COST + COST_PER_KM * giver.apart_m / 1_000, giver)
        for giver in givers
        if giver.spare >= lack.qty and giver.apart_m <= FAR_M
    ]
    if lack.express_minutes:
        if now + timedelta(minutes=lack.express_minutes) <= lack.window_end:
            ways.append(Way("site", SITE_COST))
        if lack.is_later_day and lack.has_home:
            ways.append(Way("home", HOME_COST))
    return min(ways, key=lambda way: (way.cost, way.giver.van if way.giver else ""), default=None)


def apart_m(one: Reals, other: Reals) -> float:
    """Return how near two ways come, in metres; infinity if one has no point.

    Args:
        one: (n, 2) points of a way, WGS 84 degrees, latitude first.
        other: (m, 2) points of the other.
    """
    if not len(one) or not len(other):
        return float("inf")
    a, b = np.radians(one)[:, None], np.radians(other)[None]
    half = np.sin((a - b) / 2) ** 2
    h = half[..., 0] + np.cos(a[..., 0]) * np.cos(b[..., 0]) * half[..., 1]
    return float(2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(h.min())))
