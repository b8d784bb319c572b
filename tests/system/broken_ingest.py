"""An ingest that breaks its promises, for the test that the campaign would notice.

`early`: it acknowledges before it has committed. `forgetful`: it takes a scan that comes again for
another one. Run as `python -m tests.system.broken_ingest HOW`; settings come from the environment.
"""

import asyncio
import sys
from functools import partial
from itertools import count
from typing import Any

import ingest.batch
from geofence import tracks
from ingest import fault_points, recovery, service
from ingest.apply import Reference
from ingest.subscriber import Subscriber
from ops.commands.running import until_stopped
from storage.pool import connect
from storage.settings import Settings, clock


async def early(settings: Settings, stop: asyncio.Event) -> None:
    """Do what `service.run` does, in the wrong order."""
    now, reference = clock(settings), None
    die = fault_points.at("commit-ack", settings.fault_point)
    async with (
        connect(settings.database_url, "cordee-ingest", prepare=tracks.prepare) as pool,
        Subscriber(settings) as subscriber,
    ):
        async for deliveries in subscriber.batches(stop):
            if deliveries:
                subscriber.ack(deliveries)
                await asyncio.sleep(0.1)  # paho sends it from a thread of its own
                die()
                commit = partial(service.commit)
                reference = await recovery.persist(commit, pool, deliveries, reference, now)


def forget_repeats() -> None:
    """Let every scan have a hash of its own, so that its repeat contradicts it."""
    numbers = count(1)
    hash_of = ingest.batch.hash_of

    def other_each_time(raw: bytes) -> int:
        return hash_of(raw) + next(numbers)

    ingest.batch.hash_of = other_each_time


if __name__ == "__main__":
    run: Any = service.run
    reference: Reference | None
    match sys.argv[1]:
        case "early":
            run = early
        case "forgetful":
            forget_repeats()
    until_stopped(run)
