"""A tablet that speaks HTTP: API, relay and ingest over one broker and one database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg

from ingest import relay
from storage.settings import Settings
from tests.integration.api_client import client_of, new_session, new_user, sign_in_as
from tests.integration.conftest import CLOCK_MS

PEOPLE = """
INSERT INTO technician (technician_id, organisation_id, code, name)
VALUES (1, 1, 'T-1', 'Ana'), (2, 1, 'T-2', 'Bo');
UPDATE van SET technician_id = van_id;
"""
VAN = "van-001"
NOW = CLOCK_MS


@dataclass
class Tablet:
    """A technician's signed-in client, and the tables behind it."""

    api: httpx.AsyncClient
    url: str

    async def send(
        self, *events: tuple[str, dict[str, Any]], status: int | None = 200
    ) -> dict[str, Any]:
        """Send a batch; return what was answered. Without a status it is the one that fits what is pending."""
        body = {"events": [{"kind": kind, "payload": payload} for kind, payload in events]}
        said = await self.api.post(f"/v1/devices/{VAN}/events:batch", json=body)
        if status is None:
            status = 202 if said.json()["pending"] else 200
        assert said.status_code == status, said.text
        answered: dict[str, Any] = said.json()
        return answered

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, options="-c TimeZone=UTC") as conn:
            return conn.execute(query.encode()).fetchall()

    def sign_in(self, login: str) -> None:
        sign_in_as(self.api, new_session(self.url, login))


def scan(seq: int, **more: Any) -> tuple[str, dict[str, Any]]:
    said = {"epoch": "e", "seq": seq, "t": NOW - 60_000 + seq, "intent": "issue", "code": "FUSE"}
    return "scan", said | more


def position(at_s: int, **more: Any) -> tuple[str, dict[str, Any]]:
    return "position", {"t": NOW - at_s * 1_000, "lat": 48.1, "lon": 11.5, "acc_m": 5.0, **more}


def switch(at_s: int, *, on: bool) -> tuple[str, dict[str, Any]]:
    duty = "on" if on else "off"
    return "status", {"state": "online", "t": NOW - at_s * 1_000, "duty": duty}


@asynccontextmanager
async def tablet(settings: Settings) -> AsyncIterator[Tablet]:
    """Run the API, and sign in the technician of the first van; relay and ingest are others' care."""
    with psycopg.connect(settings.database_url) as conn:
        conn.execute(PEOPLE)
    async with client_of(settings) as api:
        for login, technician in (("ana", 1), ("bo", 2)):
            new_user(settings.database_url, login, "technician", technician_id=technician)
        it = Tablet(api, settings.database_url)
        it.sign_in("ana")
        yield it


@asynccontextmanager
async def relaying(settings: Settings) -> AsyncIterator[None]:
    """Run the relay until the block ends."""
    stop = asyncio.Event()
    task = asyncio.create_task(relay.run(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)
