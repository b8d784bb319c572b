"""A tablet's batch through real processes that die with -9 at their worst moments."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from api.sessions import CSRF_HEADER, PLAIN_COOKIE, csrf_token
from ingest.subscriber import open_session
from ops import embedded
from ops.services import Services
from storage.settings import Settings, real_ms
from tests.integration.api_client import new_session, new_user
from tests.integration.conftest import CLOCK_MS, COMPANY
from tests.integration.tablet import PEOPLE, VAN, position, scan, switch

WITHIN_S = 120.0


@pytest.fixture
def services(database_url: str, nats_port: int, tmp_path: Path) -> Iterator[Services]:
    """API, relay and ingest; the last two die once, by the faults campaign's points."""
    with psycopg.connect(database_url) as conn:
        conn.execute(COMPANY)
        conn.execute(PEOPLE)
    settings = Settings(
        database_url=database_url,
        broker_port=nats_port,
        ingest_client_id="ingest-of-a-tablet",
        api_port=embedded.free_port(),
        tick_s=0.2,
        clock_origin_ms=CLOCK_MS,
        clock_start_ms=real_ms(),
    )
    asyncio.run(open_session(settings))
    it = Services(settings, tmp_path)
    it.start("api")
    for name, point in (("relay", "publish-mark:1"), ("ingest", "commit-ack:1")):
        it.settings = settings.model_copy(update={"fault_point": point})
        it.start(name)
    it.settings = settings  # what is started again does not die
    embedded.wait_until(embedded.listens(settings.api_port), it.children["api"])
    yield it
    it.stop_all()


def test_a_batch_that_is_repeated_over_two_deaths_counts_exactly_once(services: Services) -> None:
    url = services.settings.database_url
    token = new_session(url, new_user(url, "ana", "technician", technician_id=1))
    events = [switch(300, on=True), *(position(n) for n in range(100)),
              *(scan(n) for n in range(1, 31)), scan(31, intent="steal")]  # fmt: skip
    body = {"events": [{"kind": kind, "payload": payload} for kind, payload in events]}
    with (
        httpx.Client(
            base_url=f"http://127.0.0.1:{services.settings.api_port}",
            headers={CSRF_HEADER: csrf_token(token)},
            cookies={PLAIN_COOKIE: token},
            trust_env=False,
            timeout=30,
        ) as api,
        psycopg.connect(url, autocommit=True) as conn,
    ):
        deadline = time.monotonic() + WITHIN_S
        while True:
            said = api.post(f"/v1/devices/{VAN}/events:batch", json=body)
            services.keep_alive()
            came = conn.execute("SELECT sum(messages) FROM ingest_activity").fetchone()
            # Three messages, twice by the relay; again what was committed and not acknowledged.
            if said.status_code == 200 and came is not None and (came[0] or 0) >= 7:
                break
            assert said.status_code in {200, 202}, said.text
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert services.restarts == {"relay": 1, "ingest": 1}
    assert said.json()["acked_through"] == {"e": 31}
    assert [it["index"] for it in said.json()["rejected"]] == [131]
    with psycopg.connect(url) as conn:
        for table, count in (("fix", 100), ("scan", 30), ("movement", 30), ("rejected", 1)):
            assert conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (count,), table
        assert conn.execute("SELECT sum(qty) FROM movement").fetchone() == (30,)
