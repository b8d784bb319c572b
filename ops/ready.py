"""What must be so before any service starts: the schema, and what the broker keeps for ingest."""

import asyncio

from ingest.subscriber import limit_backlog, open_session
from storage.pool import migrate
from storage.settings import Settings


async def prepare(settings: Settings) -> list[str]:
    """Migrate the database, open ingest's session, limit the broker's backlog; return the migrations."""
    applied = await asyncio.to_thread(migrate, settings.database_url)
    await open_session(settings)
    await limit_backlog(settings)
    return applied
