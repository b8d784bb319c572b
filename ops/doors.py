"""A demo whose broker lets in only whom it knows: each van and each service by its own password.

What an installation has by `docker-compose.yml` and `cordee provision`, without TLS on loopback.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiomqtt

from ops import embedded, seeds
from ops.devices import nats, passwords, provision
from ops.devices.rights import Role
from storage import broker
from storage.pool import connect
from storage.settings import Settings, real_ms

SERVICES: Final[tuple[Role, ...]] = ("ingest", "relay")


def lock(folder: Path) -> str:
    """Write a users file with nobody in it, and return the configuration that reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / nats.USERS_FILE).write_text(nats.users_text(()))
    return embedded.NATS_USERS


@dataclass(frozen=True, slots=True)
class Doors:
    """The broker's users, with the passwords that this run made for services."""

    settings: Settings
    folder: Path
    broker: embedded.Child
    logins: dict[str, tuple[str, str]] = field(
        default_factory=lambda: {role: (role, passwords.new_password()) for role in SERVICES}
    )

    def as_service(self, name: str) -> Settings:
        """Return the settings with a service's own user."""
        user, password = self.logins[name]
        update = {"broker_user": user, "broker_password": password}
        return self.settings.model_copy(update=update)

    def let_services_in(self) -> None:
        """Write the services' users and wait until the broker knows them."""
        asyncio.run(self._write())
        embedded.wait_until(lambda: asyncio.run(self._is_known("ingest")), self.broker)

    def let_fleet_in(self) -> Path:
        """Give every van a login; return the file that tells the simulator."""
        logins = self.folder / "logins.json"
        seeds.provision_fleet(self.settings, logins)
        asyncio.run(self._write())
        return logins

    async def _write(self) -> None:
        update = {f"{role}_password": self.logins[role][1] for role in SERVICES}
        settings = self.settings.model_copy(update=update)
        async with (
            connect(settings.database_url, "cordee-demo", size_max=1) as pool,
            pool.connection() as conn,
            conn.transaction(),
        ):
            await provision.broker(conn, settings, "nats", self.folder, real_ms())
        provision.reload(self.broker.process.pid)

    async def _is_known(self, name: str) -> bool:
        with contextlib.suppress(aiomqtt.MqttError):
            async with broker.client(self.as_service(name)):
                return True
        return False
