"""A simulated world on disk and in the database: what a demo needs before its first message."""

import asyncio
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from ops import imports
from ops.fleet import WorldFile
from simulators.world_files import write_tours, write_world
from storage.settings import Settings

TIME_ZONE = ZoneInfo("Europe/Paris")
SATURDAY = 5
ITEMS = 4_000

#: Tours imported at a time: the day's and the next one's.
TOUR_DAYS = 2

#: In the order in which one refers to another.
REFERENCE = (
    "warehouses", "technicians", "items", "barcodes", "templates", "vans", "sites", "stock",
)  # fmt: skip


def new_world(seed: int, vans: int, sites: int) -> WorldFile:
    """Return a world whose first day is today, or the next working day."""
    first_day = datetime.now(TIME_ZONE).date()
    while first_day.weekday() >= SATURDAY:
        first_day += timedelta(days=1)
    return WorldFile(seed, vans, sites, ITEMS, first_day)


def read_world(path: Path) -> WorldFile | None:
    """Return the world that a file describes; None if there is no such file."""
    return msgspec.json.decode(path.read_bytes(), type=WorldFile) if path.exists() else None


def seed(settings: Settings, path: Path, world: WorldFile, tell: Callable[[str], None]) -> None:
    """Import a world, unless it has been: the file at `path`, written last, says that all is there.

    Raises:
        UnusableFileError: The database does not take a file that the simulator wrote: a defect.
    """
    if path.exists():
        return
    tell(f"Making a world of {world.sites:,} sites")
    files = path.parent / "world"
    write_world(world.create(), files, world.first_day)
    for kind in REFERENCE:
        tell(f"Importing {kind}")
        _import(settings, kind, files / f"{kind}.csv")
    import_tours(settings, path.parent, world, world.first_day)
    path.write_bytes(msgspec.json.encode(world))


def import_tours(settings: Settings, folder: Path, world: WorldFile, day: date) -> None:
    """Import the tours of a day and of the next; what is known already stays."""
    made = world.create()
    for days in range(TOUR_DAYS):
        write_tours(made, folder / "world", day + timedelta(days=days))
        _import(settings, "tours", folder / "world" / "tours.csv")


def _import(settings: Settings, kind: str, file: Path) -> None:
    result = asyncio.run(imports.import_file(settings, kind, file))
    if result.bad:
        raise imports.UnusableFileError("\n".join(imports.in_words(result)))
