"""What a simulated world is made of, and when its days are.

A world is a few numbers: whoever makes it from the same ones has the same one. Making it takes a second and
a hundred megabytes, so that the demo, which stays for hours, only knows the numbers; `seeds.py` and
`fleet.py` make it, in processes of their own.
"""

from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import psycopg

TIME_ZONE = ZoneInfo("Europe/Paris")
SATURDAY = 5
ITEMS = 4_000

#: Tours imported at a time: the day's and the next one's.
TOUR_DAYS = 2
KNOWN_DAYS = "SELECT count(DISTINCT service_date) FROM tour WHERE service_date = ANY(%s)"

#: In the order in which one refers to another.
REFERENCE = (
    "warehouses", "technicians", "items", "barcodes", "templates", "vans", "sites", "stock",
)  # fmt: skip


class WorldFile(msgspec.Struct, frozen=True):
    """What a world is made of, and the first day that is simulated in it."""

    seed: int
    vans: int
    sites: int
    items: int
    first_day: date


def new_world(seed: int, vans: int, sites: int) -> WorldFile:
    """Return a world whose first day is today, or the next working day."""
    first_day = datetime.now(TIME_ZONE).date()
    while first_day.weekday() >= SATURDAY:
        first_day += timedelta(days=1)
    return WorldFile(seed, vans, sites, ITEMS, first_day)


def read_world(path: Path) -> WorldFile | None:
    """Return the world that a file describes; None if there is no such file."""
    return msgspec.json.decode(path.read_bytes(), type=WorldFile) if path.exists() else None


def tour_days(day: date) -> list[date]:
    """Return the days whose tours are imported together."""
    return [day + timedelta(days=days) for days in range(TOUR_DAYS)]


def is_known(database_url: str, path: Path, day: date) -> bool:
    """Return whether the world at `path` has been imported, with the tours of a day and of the next.

    A day's tours are imported in one transaction: where one is, all are. Weekends have none.

    Raises:
        psycopg.Error: The database does not answer.
    """
    if not path.exists():
        return False
    days = [each for each in tour_days(day) if each.weekday() < SATURDAY]
    with psycopg.connect(database_url) as conn:
        return conn.execute(KNOWN_DAYS, (days,)).fetchone() == (len(days),)
