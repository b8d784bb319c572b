"""A fleet of which nothing is uncertain: legs and visits take what they usually take, to the second.

There the median of what may happen is what happens, so that other ways to reckon it can be compared.
"""

from msgspec.structs import replace

from geofence.forecast.quantiles import QUANTILES
from geofence.forecast.travel import PARTS, STANDING_EDGES_S, UNCALIBRATED
from geofence.forecast.work import UNCALIBRATED_WORK

#: Visits last longer than planned.
LASTS = 1.3
WORK = replace(UNCALIBRATED_WORK, ratio=((LASTS,) * QUANTILES,) * 3)
NEVER_STANDS = (1.0, *(0.0,) * (len(STANDING_EDGES_S) - 1))
STEADY = replace(
    UNCALIBRATED,
    low_s=UNCALIBRATED.expected_s,
    high_s=UNCALIBRATED.expected_s,
    standing=(NEVER_STANDS,) * len(PARTS),
)
