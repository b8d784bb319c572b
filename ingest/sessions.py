"""A worker's sessions: one for each partition that it has claimed, filling one batch together.

About once a second, between two batches, it looks at its claims. What it has gained is opened. What it
should let go of is paused, and closed when what had come of it is committed and acknowledged, so that the
next worker begins where this one ended. What it has lost, with the connection that its claims hung on, is
closed before anything else is taken.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Collection, Sequence
from types import TracebackType
from typing import Final, Self

import structlog

from ingest.batch import Delivery
from ingest.claims import Claims
from ingest.subscriber import Subscriber
from storage.settings import Settings

LOOK_S: Final = 1.0

log = structlog.get_logger()


def subscribed(settings: Settings) -> "Subscriber | Sessions":
    """Return where this process's messages come from: one session, or those of its partitions."""
    return Sessions(settings) if settings.partitions else Subscriber(settings)


class Sessions:
    """What `Subscriber` is, for the partitions that this worker holds."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._claims = Claims(settings.database_url, settings.partitions)
        self._open: dict[int, Subscriber] = {}
        self._paused: int | None = None
        self._in_hand: list[tuple[Subscriber, list[Delivery]]] = []
        self._arrived = asyncio.Event()
        self._look_at = 0.0

    @property
    def holds_clock(self) -> bool:
        """Whether what only the clock can tell is this worker's to do."""
        return self._claims.holds_clock

    async def __aenter__(self) -> Self:
        """Begin with nothing: the first look claims."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave every session, then let others have them; the broker keeps them."""
        await self._close(list(self._open))
        await self._claims.close()

    async def batches(self, stop: asyncio.Event) -> AsyncIterator[list[Delivery]]:
        """Yield what has arrived in all sessions, up to the batch limit; an empty list when idle.

        Asked to stop, it takes in nothing more and yields what is here, so that the next worker need
        not wait until the broker sends it again.
        """
        while not stop.is_set():
            await self._follow_claims()
            if not self._waiting():
                self._arrived.clear()
                if not self._waiting():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._arrived.wait(), self._settings.tick_s)
            yield self._take()
        for session in self._open.values():
            session.pause()
        while self._waiting():
            yield self._take()

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Tell the broker that the batch yielded last is done with."""
        assert len(deliveries) == sum(len(part) for _, part in self._in_hand)  # noqa: S101
        for session, part in self._in_hand:
            session.ack(part)
        self._in_hand = []

    def wake(self) -> None:
        """Let `batches` look at its stop event at once."""
        self._arrived.set()

    def _waiting(self) -> int:
        return sum(session.waiting for session in self._open.values())

    def _take(self) -> list[Delivery]:
        sharers = sum(bool(session.waiting) for session in self._open.values())
        self._in_hand = [
            (session, session.take(sharers)) for session in self._open.values() if session.waiting
        ]
        return [delivery for _, part in self._in_hand for delivery in part]

    async def _follow_claims(self) -> None:
        """Let the sessions be those of the claims. Nothing is in hand: what was taken is acknowledged."""
        if self._paused is not None and not self._open[self._paused].waiting:
            partition, self._paused = self._paused, None
            await self._close([partition])
            await self._claims.let_go(partition)
        if time.monotonic() < self._look_at:
            return
        await self._claims.look()
        await self._close(self._open.keys() - self._claims.held)
        for partition in sorted(self._claims.held - self._open.keys()):
            session = Subscriber(self._settings, partition, self._arrived)
            self._open[partition] = await session.__aenter__()
            log.info("took over a partition", partition=partition)
        if self._paused is None and (going := self._claims.to_let_go) is not None:
            self._open[going].pause()
            self._paused = going
        for session in self._open.values():
            session.ask_again()
        self._look_at = time.monotonic() + LOOK_S

    async def _close(self, ending: Collection[int]) -> None:
        """Leave sessions: those of one worker side by side, since each waits for its thread."""
        gone = {partition: self._open.pop(partition) for partition in list(ending)}
        if self._paused in gone:
            self._paused = None
        await asyncio.gather(*(session.__aexit__(None, None, None) for session in gone.values()))
        for partition in sorted(gone):
            log.info("left a partition", partition=partition)
