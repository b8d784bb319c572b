"""What every code stands for, as one body: a tablet resolves scans by it where there is no network.

It is the installation's, and the same for all. An import makes the version of the reference data grow,
whatever it imports; until then the bytes are kept.
"""

import asyncio

import msgspec

from api.bodies import Body, body
from api.queries import catalogue
from storage.pool import Connection


class CatalogueBody:
    """The newest catalogue."""

    def __init__(self) -> None:
        self._kept: tuple[int, Body] | None = None

    async def newest(self, conn: Connection) -> Body:
        """Return the body as of now."""
        version = await catalogue.version(conn)
        if self._kept is None or self._kept[0] != version:
            read = await catalogue.everything(conn)
            self._kept = version, await asyncio.to_thread(lambda: body(msgspec.json.encode(read)))
        return self._kept[1]
