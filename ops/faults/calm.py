"""A world in tables, and the calm run that a disturbed one is judged by.

The same world is imported once and copied: for the run with faults, and for the calm one, which commits
what the broker has acknowledged by the same functions, in one process and without a broker.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Final

import psycopg
from psycopg.rows import TupleRow

from geofence import tracks
from ingest import duty, service
from ingest.batch import Batch, Delivery, decode
from ops import embedded, imports
from ops.faults import company
from ops.faults.tablets import PROBE_VAN
from ops.report import SCANS
from ops.world import REFERENCE
from simulators.world import World
from simulators.world_files import write_tours, write_world
from storage.pool import connect, migrate
from storage.settings import Settings

CALM_BATCH: Final = 2_000

FIXES: Final = (
    "SELECT code, (extract(epoch FROM fix_time) * 1000)::bigint FROM fix JOIN van USING (van_id)"
)
REJECTED: Final = "SELECT topic, payload FROM rejected"
WAS_OFF_DUTY: Final = (
    "SELECT DISTINCT code FROM duty_switch JOIN van USING (van_id) WHERE duty = 'off'"
)


async def import_world(
    world: World, day: date, folder: Path, server_url: str, names: Sequence[str]
) -> None:
    """Make databases of these names that hold the world, its tours of a day, and a van for probes.

    Raises:
        imports.UnusableFileError: A file of the world was refused.
    """
    prepared = embedded.ensure_database(server_url, "prepared")
    await asyncio.to_thread(migrate, prepared)
    files = folder / "world"
    await asyncio.to_thread(write_world, world, files, day)
    with (files / "vans.csv").open("a") as vans:
        first = world.vans[0]
        warehouse = world.warehouses[first.warehouse].code
        template = world.templates[first.template].code
        vans.write(f"{PROBE_VAN},Probe,,{template},{warehouse}\n")
    settings = Settings(database_url=prepared)
    for kind in REFERENCE:
        await _import(settings, kind, files)
    await asyncio.to_thread(write_tours, world, files, day)
    await _import(settings, "tours", files)
    with psycopg.connect(server_url, autocommit=True) as conn:
        for name in names:
            conn.execute(f"CREATE DATABASE {name} TEMPLATE prepared")


async def _import(settings: Settings, kind: str, files: Path) -> None:
    done = await imports.import_file(settings, kind, files / f"{kind}.csv")
    if done.bad:
        raise imports.UnusableFileError("\n".join(imports.in_words(done)))


def missing(
    conn: psycopg.Connection[TupleRow], messages: Sequence[tuple[str, bytes]], now: int
) -> dict[str, int]:
    """Return how much of what the broker acknowledged is not in the tables, by kind."""
    vans = company.vans_of(conn)
    codes = {van.van_id: code for code, van in vans.items()}
    said = decode([Delivery(*message) for message in messages], vans, now)
    fixes = set(fix_keys(said, codes))
    scans = {(scan.key.device, scan.key.epoch, scan.key.seq) for scan in said.scans}
    # Of what names no time that can be believed, the moment it came decides whether it is kept.
    off_duty = {code for (code,) in conn.execute(WAS_OFF_DUTY)}
    rejected = {
        (r.topic, r.payload)
        for r in said.rejections
        if r.van_code not in off_duty or _names_when(r.payload, now)
    }
    return {
        "fixes": len(fixes - set(conn.execute(FIXES).fetchall())),
        "scans": len(scans - set(conn.execute(SCANS).fetchall())),
        "rejected": len(rejected - set(conn.execute(REJECTED).fetchall())),
    }


def fix_keys(said: Batch, codes: Mapping[int, str]) -> list[tuple[str, int]]:
    """Return the fixes of a batch by their keys: the van's code, and when, ms since 1970 UTC."""
    vans, times = said.fixes.van_id.tolist(), said.fixes.t_ms.tolist()
    return [(codes[van], t) for van, t in zip(vans, times, strict=True)]


def _names_when(payload: bytes, now: int) -> bool:
    """Whether an unusable message says itself when its van was there."""
    return duty.moments_of(payload, now) == duty.times_in(payload)


async def commit(messages: Sequence[tuple[str, bytes]], url: str, now: int) -> None:
    """Commit messages without a broker, then let the clock have its say."""
    rest, reference = iter(messages), None
    async with connect(url, "cordee-calm", prepare=tracks.prepare) as pool:
        while part := list(islice(rest, CALM_BATCH)):
            deliveries = [Delivery(*message) for message in part]
            reference = await service.commit(pool, deliveries, reference, lambda: now)
        await service.tick(pool, reference, lambda: now)
