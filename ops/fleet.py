"""The simulated fleet as a process: a world on disk, a truth file beside it."""

import asyncio
from pathlib import Path

import msgspec
import structlog

from ops.world import WorldFile
from simulators.fleet import outgoing
from simulators.publisher import Login, publish
from simulators.truth_file import TruthFile
from simulators.world import World, create_world
from storage.broker import tls
from storage.settings import Settings, clock

log = structlog.get_logger()


def created(made_of: WorldFile) -> World:
    """Make the world; the same file makes the same one."""
    return create_world(made_of.seed, vans=made_of.vans, sites=made_of.sites, items=made_of.items)


async def simulate(
    settings: Settings,
    stop: asyncio.Event,
    world_file: Path,
    truth_path: Path,
    logins_file: Path | None = None,
) -> None:
    """Publish the fleet's messages until `stop`, then what it still holds back.

    `logins_file` holds each van's own user and password, instead of the settings'.

    On a simulated clock they begin where that clock began: what became due while this process
    started, or was away, is sent late but is sent.
    """
    plan = msgspec.json.decode(await asyncio.to_thread(world_file.read_bytes), type=WorldFile)
    world, now = created(plan), clock(settings)
    since_ms = settings.clock_origin_ms or now()
    logins = None
    if logins_file is not None:
        text = await asyncio.to_thread(logins_file.read_bytes)
        logins = msgspec.json.decode(text, type=dict[str, Login])
    with TruthFile(truth_path, world, plan.first_day, since_ms) as truth:
        log.info("the fleet is ready", vans=plan.vans)
        await publish(
            outgoing(world, plan.first_day, since_ms=since_ms, tell=truth.tell),
            host=settings.broker_host,
            port=settings.broker_port,
            user=settings.broker_user or None,
            password=settings.broker_password or None,
            logins=logins,
            tls_context=tls(settings),
            clock=now,
            speed=settings.clock_factor,
            record=truth.record,
            stop=stop,
        )
