"""A refused message is set aside alone; a database that comes and goes loses and doubles nothing."""

import asyncio
import json
import random
from collections.abc import AsyncIterator

import psycopg
import pytest

from ingest import recovery, service
from ingest.apply import Reference
from ingest.batch import Delivery
from ops.faults.proxy import Proxy
from storage.pool import SESSION, Pool, connect
from storage.settings import Clock
from tests.integration.test_stock_ledger import (
    EMPTY,
    NOW,
    assert_is,
    deliveries,
    differences,
    expected,
    history,
    last_receipts,
    opened,
    rows,
    scan,
    tables,
)

POSITION = "fleet/v1/{}/position"
SCAN = "fleet/v1/{}/scan"
REFUSED = "SELECT topic, payload FROM rejected WHERE reason = 'refused_by_database'"


@pytest.fixture
async def pool(company_url: str) -> AsyncIterator[Pool]:
    async with opened(company_url) as it:
        yield it


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "WAIT_S_MIN", 0.001)
    monkeypatch.setattr(recovery, "WAIT_S_MAX", 0.01)


async def persist(pool: Pool, *messages: Delivery, reference: Reference | None = None) -> Reference:
    return await recovery.persist(service.commit, pool, list(messages), reference, lambda: NOW)


def fix(at: int, van: str = "van-001", **more: object) -> Delivery:
    said = {"t": NOW - at * 1_000, "lat": 48.1, "lon": 11.5, **more}
    return Delivery(POSITION.format(van), json.dumps(said).encode())


async def test_a_message_that_a_constraint_forbids_is_rejected_and_all_others_are_stored(
    company_url: str, pool: Pool
) -> None:
    with psycopg.connect(company_url) as conn:
        conn.execute("ALTER TABLE fix ADD CONSTRAINT luck CHECK (battery_pct <> 13)")
    bad = fix(5, battery_pct=13)
    await persist(
        pool,
        *(fix(at) for at in range(5)),
        bad,
        scan("van-001", 1, "count", qty=7),
        scan("van-001", 2, "steal"),
        *(fix(at, "van-002") for at in range(6, 9)),
    )
    assert rows(company_url, REFUSED) == [(bad.topic, bad.payload)]
    ((detail,),) = rows(company_url, "SELECT detail FROM rejected WHERE reason LIKE 'refused%'")
    assert "luck" in detail
    assert rows(company_url, "SELECT van_id, count(*) FROM fix GROUP BY 1 ORDER BY 1") == [
        (1, 5),
        (2, 3),
    ]
    assert rows(company_url, "SELECT qty FROM level") == [(7,)]
    assert last_receipts(company_url) == {("van-001", "e"): 2}
    assert rows(company_url, "SELECT count(*) FROM rejected") == [(2,)]


async def test_whoever_hangs_in_a_transaction_loses_it_and_others_get_its_rows(
    company_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = SESSION.replace("session_timeout=60000", "session_timeout=300")
    assert hasty != SESSION
    monkeypatch.setattr("storage.pool.SESSION", hasty)
    async with connect(company_url, "test") as pool, pool.connection() as hanging:
        await hanging.execute("UPDATE van SET name = 'held'")
        with psycopg.connect(company_url, options="-c lock_timeout=20s") as other:
            other.execute("UPDATE van SET name = 'free'")  # waits, and with it all of this process
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            await hanging.execute("SELECT 1")
    assert rows(company_url, "SELECT DISTINCT name FROM van") == [("free",)]


async def test_several_refused_messages_are_each_rejected(company_url: str, pool: Pool) -> None:
    with psycopg.connect(company_url) as conn:
        conn.execute("ALTER TABLE fix ADD CONSTRAINT luck CHECK (battery_pct <> 13)")
    bad = [fix(at, battery_pct=13) for at in (1, 3, 5)]
    reference = await persist(pool, bad[0], fix(2), bad[1], fix(4), bad[2])
    assert set(reference.vans) == {"van-001", "van-002"}
    assert sorted(rows(company_url, REFUSED)) == sorted((b.topic, b.payload) for b in bad)
    assert rows(company_url, "SELECT count(*) FROM fix") == [(2,)]


async def test_a_batch_of_refused_messages_alone_still_knows_the_vans_afterwards(
    company_url: str, pool: Pool
) -> None:
    with psycopg.connect(company_url) as conn:
        conn.execute("ALTER TABLE fix ADD CONSTRAINT luck CHECK (battery_pct <> 13)")
    reference = await persist(pool, fix(1, battery_pct=13))
    assert set(reference.vans) == {"van-001", "van-002"}


async def test_a_refused_message_that_comes_again_is_one_rejection(
    company_url: str, pool: Pool
) -> None:
    bad = scan("van-001", 1, "load", lot="\0")
    for _ in range(2):
        await persist(pool, bad, bad)
    assert len(rows(company_url, "SELECT FROM rejected")) == 1
    assert rows(company_url, "SELECT count(*) FROM scan") == [(0,)]


@pytest.mark.parametrize("field", ["lot", "work_order", "epoch", "code", "user", "counterpart"])
async def test_nul_in_a_text_is_stored_or_rejected_and_spoils_nothing_else(
    company_url: str, pool: Pool, field: str
) -> None:
    spoiled = scan("van-001", 1, "load", **{field: "A\0B"})  # type: ignore[arg-type]
    await persist(pool, spoiled, scan("van-002", 1, "count", qty=3))
    ((stored,),) = rows(company_url, "SELECT count(*) FROM scan WHERE device = 'van-001'")
    rejected = rows(company_url, "SELECT topic, payload FROM rejected")
    assert rejected == ([] if stored else [(spoiled.topic, spoiled.payload)])
    assert rows(company_url, "SELECT count(*) FROM scan WHERE device = 'van-002'") == [(1,)]


async def test_a_rejected_scan_with_nul_in_its_key_is_rejected_and_spoils_nothing_else(
    company_url: str, pool: Pool
) -> None:
    spoiled = scan("van-001", 1, "steal", epoch="\0")
    await persist(pool, spoiled, scan("van-002", 1, "count", qty=3))
    assert rows(company_url, "SELECT payload FROM rejected") == [(spoiled.payload,)]
    assert rows(company_url, "SELECT count(*) FROM scan") == [(1,)]


def forbid_a_lot(url: str) -> None:
    with psycopg.connect(url) as conn:
        conn.execute("ALTER TABLE movement ADD CONSTRAINT luck CHECK (lot <> '13')")


async def test_a_refused_scan_whose_key_can_be_read_does_not_hold_the_receipt(
    company_url: str, pool: Pool
) -> None:
    forbid_a_lot(company_url)
    await persist(
        pool,
        scan("van-001", 1, "load"),
        scan("van-001", 2, "load", lot="13"),
        scan("van-001", 3, "load"),
    )
    assert len(rows(company_url, REFUSED)) == 1
    assert last_receipts(company_url) == {("van-001", "e"): 3}


async def test_a_refused_element_does_not_spoil_its_backlog(company_url: str, pool: Pool) -> None:
    forbid_a_lot(company_url)
    elements = [scan("van-001", seq, "load", lot="13" if seq == 2 else "") for seq in (1, 2, 3)]
    backlog = b"[" + b",".join(element.payload for element in elements) + b"]"
    await persist(pool, Delivery(SCAN.format("van-001"), backlog))
    assert rows(company_url, "SELECT seq FROM scan ORDER BY seq") == [(1,), (3,)]
    assert rows(company_url, REFUSED) == [(elements[1].topic, elements[1].payload)]


async def test_an_error_that_is_no_data_and_no_outage_is_not_swallowed(
    company_url: str, pool: Pool
) -> None:
    with psycopg.connect(company_url) as conn:
        conn.execute("ALTER TABLE scan RENAME TO gone")
    with pytest.raises(psycopg.errors.UndefinedTable):
        await persist(pool, scan("van-001", 1, "load"))
    assert rows(company_url, "SELECT count(*) FROM rejected") == [(0,)]


# --- The database goes away --------------------------------------------------------------------

KILL = """
SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'cordee-ingest'
  AND (state = 'active' OR state LIKE 'idle in transaction%')
"""


async def kill(database_url: str, times: int) -> None:
    """End the sessions that ingest works in, this many times."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as conn:
        while times:
            ((killed,),) = await (await conn.execute(KILL)).fetchall()
            times -= killed > 0
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_database_that_goes_away_again_and_again_loses_and_doubles_nothing(
    company_url: str, pool: Pool, seed: int
) -> None:
    rng = random.Random(seed)
    said = history(rng, conflicts=False)
    batches = deliveries(rng, said)
    for batch in batches:
        batch += [fix(at, rng.choice(["van-001", "van-002"])) for at in rng.sample(range(500), 20)]
    fixes = "SELECT van_id, fix_time, payload_hash FROM fix ORDER BY 1, 2"
    for batch in batches:
        await persist(pool, *batch)
    calm, calm_fixes = tables(company_url), rows(company_url, fixes)
    with psycopg.connect(company_url) as conn:
        conn.execute(f"{EMPTY}, fix, van_progress, van_position, visit")

    killing = asyncio.create_task(kill(company_url, 15))
    while not killing.done():  # what is stored already comes again until the last kill
        for batch in batches:
            await persist(pool, *batch)
    await killing
    assert_is(company_url, expected(said))
    assert differences(calm, tables(company_url)) == {}
    assert rows(company_url, fixes) == calm_fixes


@pytest.mark.parametrize("lost", [psycopg.OperationalError, psycopg.InterfaceError])
async def test_a_commit_whose_answer_was_lost_is_done_once(
    company_url: str, pool: Pool, lost: type[Exception]
) -> None:
    answers = iter([lost("the connection broke after COMMIT"), None])

    async def unlucky(
        of: Pool, messages: list[Delivery], reference: Reference | None, now: Clock
    ) -> Reference:
        made = await service.commit(of, messages, reference, now)
        if error := next(answers):
            raise error
        return made

    batch = [scan("van-001", 1, "load", qty=5), scan("van-001", 2, "issue"), fix(1)]
    await recovery.persist(unlucky, pool, batch, None, lambda: NOW)
    assert next(answers, "both were asked") == "both were asked"
    assert rows(company_url, "SELECT qty FROM level WHERE location_id = 6") == [(4,)]
    assert rows(company_url, "SELECT count(*) FROM posting") == [(4,)]
    assert rows(company_url, "SELECT count(*) FROM fix") == [(1,)]


async def test_a_deadlock_is_tried_again(company_url: str, pool: Pool) -> None:
    seen = []

    async def deadlocked(
        of: Pool, messages: list[Delivery], reference: Reference | None, now: Clock
    ) -> Reference:
        seen.append(len(messages))
        if len(seen) < 4:
            raise psycopg.errors.DeadlockDetected("somebody else was first")
        return await service.commit(of, messages, reference, now)

    await recovery.persist(deadlocked, pool, [fix(1), fix(2)], None, lambda: NOW)
    assert seen == [2, 2, 2, 2]
    assert rows(company_url, "SELECT count(*) FROM fix") == [(2,)]


async def test_a_database_that_was_away_is_used_again_soon_after_it_is_back(
    company_url: str, unused_tcp_port: int
) -> None:
    """Left to itself, a pool doubles its pauses: after 17 s it would look again at 31 s."""
    port = int(company_url.rsplit(":", 1)[1].split("/", maxsplit=1)[0])
    async with Proxy(port, 1) as proxy:
        url = company_url.replace(f":{port}/", f":{proxy.port}/")
        async with opened(url) as through:
            await persist(through, fix(1))
            proxy.target_port = unused_tcp_port
            proxy.cut()
            storing = asyncio.create_task(persist(through, fix(2)))
            await asyncio.sleep(17)
            assert not storing.done()
            proxy.target_port = port
            async with asyncio.timeout(10):
                await storing
    assert rows(company_url, "SELECT count(*) FROM fix") == [(2,)]
