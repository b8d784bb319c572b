"""A flood of rubbish from one van is kept up to its quota, counted beyond it, and harms nobody else."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from ingest import recovery, service
from ingest.batch import Delivery
from ingest.quota import Quota
from ops import doctor
from storage.pool import Pool
from storage.settings import Settings
from tests.integration.api_client import client_of
from tests.integration.test_recovery import fix
from tests.integration.test_stock_ledger import NOW, last_receipts, opened, rows, scan

DAY_MS = 86_400_000
QUOTA = Quota(messages=5, size=10_000)
REASONS = "SELECT reason, count(*) FROM rejected GROUP BY 1 ORDER BY 1"
COUNTS = "SELECT sender, kept, not_kept FROM rejected_quota ORDER BY day, sender"


@pytest.fixture
async def pool(company_url: str) -> AsyncIterator[Pool]:
    async with opened(company_url) as it:
        yield it


async def commit(pool: Pool, *messages: Delivery, now: int = NOW) -> None:
    await service.commit(pool, list(messages), None, lambda: now, quota=QUOTA)


def rubbish(count: int, van: str = "van-001") -> list[Delivery]:
    return [Delivery(f"fleet/v1/{van}/position", b'{"t":%d' % n) for n in range(count)]


async def test_a_flood_is_kept_up_to_the_quota_and_counted_beyond_it(
    company_url: str, pool: Pool
) -> None:
    flood = rubbish(20)
    for part in (flood[:3], flood[3:12], flood[12:]):
        await commit(pool, *part)
    assert rows(company_url, REASONS) == [("bad_payload", 5), ("over_quota", 1)]
    assert rows(company_url, COUNTS) == [("van-001", 5, 15)]


async def test_other_vans_and_good_messages_of_the_same_van_are_unharmed(
    company_url: str, pool: Pool
) -> None:
    await commit(pool, *rubbish(20), fix(1), fix(2, "van-002"), *rubbish(2, "van-002"))
    assert rows(company_url, "SELECT van_id FROM fix ORDER BY 1") == [(1,), (2,)]
    assert ("van-002", 2, 0) in rows(company_url, COUNTS)


async def test_what_is_kept_already_uses_no_quota_when_it_comes_again(
    company_url: str, pool: Pool
) -> None:
    for _ in range(10):
        await commit(pool, *rubbish(4))
    assert rows(company_url, COUNTS) == [("van-001", 4, 0)]


async def test_a_new_day_has_a_quota_of_its_own(company_url: str, pool: Pool) -> None:
    await commit(pool, *rubbish(20))
    later = [Delivery("fleet/v1/van-001/position", b"[%d" % n) for n in range(7)]
    await commit(pool, *later, now=NOW + DAY_MS)
    assert rows(company_url, COUNTS) == [("van-001", 5, 15), ("van-001", 5, 2)]


async def test_a_rejected_scan_beyond_the_quota_gets_no_receipt(
    company_url: str, pool: Pool
) -> None:
    bad = [scan("van-001", seq, "steal") for seq in range(1, 11)]
    await commit(pool, *bad)
    assert last_receipts(company_url) == {("van-001", "e"): 6}  # the quota, and the marker


async def test_what_the_database_refuses_counts_for_the_quota(company_url: str, pool: Pool) -> None:
    with psycopg.connect(company_url) as conn:
        conn.execute("ALTER TABLE fix ADD CONSTRAINT luck CHECK (battery_pct <> 13)")
    bad = [fix(at, battery_pct=13) for at in range(8)]
    await recovery.persist(service.commit, pool, bad, None, lambda: NOW, QUOTA)
    assert rows(company_url, COUNTS) == [("van-001", 5, 3)]


async def test_doctor_and_metrics_tell_of_it(company_url: str, pool: Pool, nats_port: int) -> None:
    await commit(pool, *rubbish(20))
    settings = Settings(database_url=company_url, broker_port=nats_port)
    findings = await doctor.examine(settings)
    (finding,) = [f for f in findings if f.is_bad and "unusable" in f.text]
    assert "van-001 sent 15 unusable messages more than are kept of a day" in finding.text
    async with client_of(settings) as api:
        said = (await api.get("/metrics")).text
    assert "fleet_ingest_rejected_not_kept_total 15.0" in said
