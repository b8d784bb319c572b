"""How a service runs: until SIGINT or SIGTERM, with its log as JSON lines."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import structlog

from storage.settings import Settings


def log_json() -> None:
    """One JSON object a line, with level and UTC time, on standard output."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    )


def until_stopped(run: Callable[[Settings, asyncio.Event], Awaitable[None]]) -> None:
    """Run a service until SIGINT or SIGTERM, then let it finish what it has in hand."""

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await run(Settings(), stop)

    log_json()
    asyncio.run(main())
