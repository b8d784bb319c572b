from datetime import date, datetime

import pytest

from ops.demo import next_moment
from ops.world import TIME_ZONE

MONDAY = date(2026, 11, 23)
NEVER = datetime(1970, 1, 1, tzinfo=TIME_ZONE)


def local(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=TIME_ZONE)


@pytest.mark.parametrize(
    ("ended", "goes_on"),
    [
        (NEVER, local(23, 7, 10)),
        (local(23, 11, 30), local(23, 11, 30)),
        (local(23, 20, 0), local(24, 7, 10)),
        (local(24, 3, 0), local(24, 7, 10)),
        (local(27, 21, 0), local(30, 7, 10)),
        (local(28, 12, 0), local(30, 7, 10)),
    ],
)
def test_simulated_time_goes_on_by_day_and_on_working_days(
    ended: datetime, goes_on: datetime
) -> None:
    assert next_moment(MONDAY, ended) == goes_on
