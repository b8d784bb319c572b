"""A simulated world on disk and in the database: what a demo needs before its first message."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path

import msgspec

from ops import imports
from ops.devices import provision
from ops.devices.store import codes_of_vans
from ops.fleet import created
from ops.world import REFERENCE, WorldFile, tour_days
from simulators.world_files import write_tours, write_world
from storage.pool import connect
from storage.settings import Settings, real_ms

#: What of a van the simulator is.
SIMULATED_DEVICE = "simulator"


def seed(settings: Settings, path: Path, world: WorldFile, tell: Callable[[str], None]) -> None:
    """Import a world, unless it has been: the file at `path`, written last, says that all is there.

    Raises:
        UnusableFileError: The database does not take a file that the simulator wrote: a defect.
    """
    if path.exists():
        return
    tell(f"Making a world of {world.sites:,} sites")
    files = path.parent / "world"
    write_world(created(world), files, world.first_day)
    for kind in REFERENCE:
        tell(f"Importing {kind}")
        _import(settings, kind, files / f"{kind}.csv")
    path.write_bytes(msgspec.json.encode(world))


def import_tours(settings: Settings, folder: Path, world: WorldFile, day: date) -> None:
    """Import the tours of a day and of the next; what is known already stays."""
    made = created(world)
    for each in tour_days(day):
        write_tours(made, folder / "world", each)
        _import(settings, "tours", folder / "world" / "tours.csv")


def provision_fleet(settings: Settings, logins: Path) -> None:
    """Give every van a login for its simulated device, and write them into a file; old ones end."""
    made = asyncio.run(_logins(settings))
    logins.touch(mode=0o600)
    logins.write_bytes(msgspec.json.encode(made))


async def _logins(settings: Settings) -> dict[str, tuple[str, str]]:
    made: dict[str, tuple[str, str]] = {}
    async with (
        connect(settings.database_url, "cordee-seed", size_max=1) as pool,
        pool.connection() as conn,
        conn.transaction(),
    ):
        now = real_ms()
        for code in await codes_of_vans(conn):
            van = await provision.van(conn, code)
            with suppress(provision.UnusableError):  # it had none
                await provision.revoke(conn, van, SIMULATED_DEVICE, now)
            login = await provision.make(conn, van, SIMULATED_DEVICE, now)
            made[code] = (login.user_name, login.password)
    return made


def _import(settings: Settings, kind: str, file: Path) -> None:
    result = asyncio.run(imports.import_file(settings, kind, file))
    if result.bad:
        raise imports.UnusableFileError("\n".join(imports.in_words(result)))
