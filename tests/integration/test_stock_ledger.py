"""Stock is a function of the set of scans: no order, repetition, cut or second ingest shows in it."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg.rows import TupleRow

from geofence import tracks
from ingest import service
from ingest.apply import Reference
from ingest.batch import Delivery
from ingest.messages import InboxMessage, Receipt
from ops import stock
from stock_tracker.reference import import_barcodes
from storage.pool import Pool, connect
from storage.settings import Settings

NOW = 1_790_000_000_000
MINUTE = 60_000
VANS = ("van-001", "van-002")
SCAN = "fleet/v1/{}/scan"

#: Derived: nothing is stored of them.
VIEWS = {"variance", "recount"}
TABLES = {
    "scan": "SELECT device, epoch, seq, payload_hash, van_id, t, intent, code, status, raw FROM scan",
    "movement": "SELECT * FROM movement",
    "posting": "SELECT * FROM posting",
    "count_line": "SELECT * FROM count_line",
    "full_count": "SELECT * FROM full_count",
    "variance": "SELECT * FROM count_variance",
    "recount": "SELECT * FROM (SELECT DISTINCT location_id, item_id FROM level) AS pair,"
    " LATERAL recounts_of(location_id, item_id)",
    "scan_through": "SELECT * FROM scan_through",
    "scan_unusable": "SELECT * FROM scan_unusable",
    "rejected": "SELECT rejected_id, topic, payload, reason, detail, van_code FROM rejected",
    "level": "SELECT * FROM level",
    "proposal": "SELECT * FROM proposal",
}
EMPTY = f"TRUNCATE {', '.join(TABLES.keys() - VIEWS)}, count_task, outbox, webhook_delivery"

Rows = dict[str, list[TupleRow]]
Scan = dict[str, object]


def opened(database_url: str) -> AbstractAsyncContextManager[Pool]:
    return connect(database_url, "cordee-ingest", prepare=tracks.prepare)


@pytest.fixture
async def pool(company_url: str) -> AsyncIterator[Pool]:
    async with opened(company_url) as it:
        yield it


async def commit(pool: Pool, *deliveries: Delivery, now: int = NOW) -> Reference:
    return await service.commit(pool, list(deliveries), None, lambda: now)


def scan(van: str, seq: int, intent: str, code: str = "FUSE", **more: object) -> Delivery:
    said = {"epoch": "e", "seq": seq, "t": NOW + seq, "intent": intent, "code": code, **more}
    return Delivery(SCAN.format(van), json.dumps(said).encode())


def rows(database_url: str, query: str) -> list[TupleRow]:
    with psycopg.connect(database_url) as conn:
        return conn.execute(query).fetchall()


def tables(database_url: str) -> Rows:
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        return {
            name: sorted(conn.execute(query).fetchall(), key=repr) for name, query in TABLES.items()
        }


def differences(one: Rows, other: Rows) -> dict[str, tuple[list[TupleRow], list[TupleRow]]]:
    """What only one and only the other has, of the tables that differ."""
    return {
        name: (
            [row for row in one[name] if row not in other[name]],
            [row for row in other[name] if row not in one[name]],
        )
        for name in TABLES
        if one[name] != other[name]
    }


# --- A random history, and what it must come to ------------------------------------------------

#: Item and pack by code, as in the company of conftest.py; the GTIN as it is printed.
MEANING = {"FUSE": (1, 1), "FUSE-BOX": (1, 10), "4006381333931": (2, 1), "04006381333931": (2, 1)}


def history(rng: random.Random, *, conflicts: bool, size: int = 60) -> list[tuple[str, Scan]]:
    """Return scans of two vans as (van, payload): gaps, equal times, nonsense, and conflicts."""
    made: list[tuple[str, Scan]] = []
    for van in VANS:
        for epoch in ("a", "b"):
            for seq in rng.sample(range(1, size // 4 + 3), size // 4):
                made.append((van, _said(rng, van, epoch, seq)))
                if conflicts and rng.random() < 0.2:
                    made.append((van, _said(rng, van, epoch, seq)))
    return made


def _said(rng: random.Random, van: str, epoch: str, seq: int) -> Scan:
    intents = ["count", "issue", "load", "return", "transfer", "transfer", "scrap", "receive"]
    said: Scan = {
        "epoch": epoch,
        "seq": seq,
        "t": NOW - rng.randrange(8) * MINUTE,
        "intent": rng.choice(intents),
        "code": rng.choice([*MEANING, "FUSE", "NOBODY-KNOWS"]),
    }
    if rng.random() < 0.8:
        said["qty"] = rng.randrange(6)
    if rng.random() < 0.2:
        said["lot"] = "L1"
    if said["intent"] == "transfer":
        other = VANS[1 - VANS.index(van)]
        said["counterpart"] = rng.choice([other, other, other, van, "van-999"])
    if rng.random() < 0.05:
        said |= {"intent": "count_all", "since": NOW - rng.randrange(2, 9) * MINUTE}
        said["t"] = max(said["t"], said["since"])  # type: ignore[type-var]
        del said["code"]
    elif rng.random() < 0.06:
        said["intent"] = "steal"  # rejected, with a key that can be read
    return said


@dataclass
class Expected:
    """What a history comes to, computed from the payloads alone, by folding in the order of keys."""

    levels: dict[tuple[str, int, str], int] = field(default_factory=dict)
    movements: int = 0
    conflicts: int = 0
    through: dict[tuple[str, str], int] = field(default_factory=dict)


def expected(said: Iterable[tuple[str, Scan]]) -> Expected:
    by_key: dict[tuple[str, str, int], dict[str, Scan]] = {}
    readable: dict[tuple[str, str], set[int]] = {}
    for van, payload in said:
        epoch, seq = str(payload["epoch"]), int(str(payload["seq"]))
        readable.setdefault((van, epoch), set()).add(seq)
        if payload["intent"] != "steal":
            spelled = json.dumps(payload, sort_keys=True)
            by_key.setdefault((van, epoch, seq), {})[spelled] = payload
    result = Expected()
    for device, seqs in readable.items():
        result.through[device] = next(n for n in range(len(seqs) + 1) if n + 1 not in seqs)
    alone = []
    for key, payloads in by_key.items():
        if len(payloads) > 1:
            result.conflicts += len(payloads)
        else:
            (payload,) = payloads.values()
            alone.append(((payload["t"], *key), payload))
    for (_, van, _, _), payload in sorted(alone, key=lambda pair: pair[0]):
        if payload["intent"] == "count_all":
            _zero(result, van, payload, alone)
        else:
            _fold(result, van, payload)
    return result


def _zero(result: Expected, van: str, payload: Scan, alone: Sequence[tuple[Any, Scan]]) -> None:
    """What is there is what was counted in that time."""
    counted = {
        (MEANING[str(other["code"])][0], str(other.get("lot", "")))
        for (t, device, _, _), other in alone
        if other["intent"] == "count" and device == van and other["code"] in MEANING
        and int(str(payload["since"])) <= t <= int(str(payload["t"]))
    }  # fmt: skip
    for place, item, lot in result.levels:
        if place == van and (item, lot) not in counted:
            result.levels[place, item, lot] = 0


def _fold(result: Expected, van: str, payload: Scan) -> None:
    if payload["code"] not in MEANING:
        return
    item, pack = MEANING[str(payload["code"])]
    qty, lot = int(str(payload.get("qty", 1))) * pack, str(payload.get("lot", ""))
    if payload["intent"] == "count":
        result.levels[van, item, lot] = qty
        return
    goes = {
        "issue": (van, "customer"),
        "load": ("warehouse", van),
        "return": (van, "warehouse"),
        "transfer": (van, payload.get("counterpart")),
        "scrap": (van, "scrap"),
        "receive": ("in_transit", van),
    }[str(payload["intent"])]
    if goes[0] == goes[1] or "van-999" in goes or qty == 0:
        return
    result.movements += 1
    for place, sign in zip(goes, (-1, 1), strict=True):
        at = (str(place), item, lot)
        result.levels[at] = result.levels.get(at, 0) + sign * qty


def spelled(rng: random.Random, said: Scan) -> bytes:
    """The same payload, as another tablet might write it."""
    fields = list(said.items())
    rng.shuffle(fields)
    if rng.random() < 0.3 and "qty" not in said:
        fields.append(("qty", None))
    return json.dumps(dict(fields)).encode()


def deliveries(rng: random.Random, said: Sequence[tuple[str, Scan]]) -> list[list[Delivery]]:
    """Cut a history, shuffled and with repeats, into batches of single messages and backlogs."""
    # A rejection's key is a hash of its bytes: those are repeated as they are.
    told = [
        (
            van,
            json.dumps(payload).encode() if payload["intent"] == "steal" else spelled(rng, payload),
        )
        for van, payload in [*said, *rng.sample(said, len(said) // 3)]
    ]
    rng.shuffle(told)
    batches: list[list[Delivery]] = []
    while told:
        count = rng.choice([1, 2, 5, 20, len(told)])
        taken, told = told[:count], told[count:]
        batch: list[Delivery] = []
        for van in VANS if rng.random() < 0.3 else ():
            mine = [payload for of, payload in taken if of == van]
            batch.append(Delivery(SCAN.format(van), b"[" + b",".join(mine) + b"]"))
            taken = [pair for pair in taken if pair[0] != van]
        batch += [Delivery(SCAN.format(van), payload) for van, payload in taken]
        rng.shuffle(batch)
        batches.append(batch)
    return batches


LEVELS = """
SELECT coalesce(van.code, kind), item_id, lot, qty
FROM level JOIN location USING (location_id) LEFT JOIN van USING (van_id)
"""
UNBALANCED = """
SELECT device, epoch, seq, line FROM movement LEFT JOIN posting USING (device, epoch, seq, line)
GROUP BY 1, 2, 3, 4 HAVING sum(delta) <> 0 OR count(posting) <> 2
"""


def assert_is(database_url: str, want: Expected) -> None:
    """The tables hold what the payloads come to; an undone pair may stand at 0."""
    found = {(place, item, lot): qty for place, item, lot, qty in rows(database_url, LEVELS)}
    assert {at: qty for at, qty in found.items() if qty} == {
        at: qty for at, qty in want.levels.items() if qty
    }
    assert want.levels.keys() <= found.keys()
    assert rows(database_url, "SELECT count(*) FROM movement") == [(want.movements,)]
    assert rows(database_url, UNBALANCED) == []
    assert rows(database_url, "SELECT count(*) FROM scan WHERE status = 'conflict'") == [
        (want.conflicts,)
    ]
    assert {
        (device, epoch): through
        for device, epoch, through in rows(database_url, "SELECT * FROM scan_through")
    } == want.through
    assert last_receipts(database_url) == {at: n for at, n in want.through.items() if n}


def last_receipts(database_url: str) -> dict[tuple[str, str], int]:
    sent = rows(
        database_url,
        "SELECT topic, payload FROM outbox WHERE topic LIKE '%/receipt' ORDER BY outbox_id",
    )
    found: dict[tuple[str, str], int] = {}
    for topic, payload in sent:
        _, _, device, kind = topic.split("/")
        receipt = msgspec.json.decode(payload, type=Receipt)
        assert kind == "receipt"
        assert receipt.through >= found.get((device, receipt.epoch), 1)
        found[device, receipt.epoch] = receipt.through
    return found


@pytest.mark.parametrize("conflicts", [False, True], ids=["sound", "with conflicts"])
@pytest.mark.parametrize("seed", range(4))
async def test_any_order_repetition_and_batching_gives_the_same_rows(
    company_url: str,
    pool: Pool,
    seed: int,
    conflicts: bool,  # noqa: FBT001
) -> None:
    rng = random.Random(seed)
    said = history(rng, conflicts=conflicts)
    want = expected(said)
    assert want.movements > 10
    first: Rows | None = None
    for _ in range(5):
        with psycopg.connect(company_url) as conn:
            conn.execute(EMPTY)
        for batch in deliveries(rng, said):
            await commit(pool, *batch)
        assert_is(company_url, want)
        found = tables(company_url)
        first = first or found
        assert differences(first, found) == {}


NEWCOMER = b"code,item,pack_qty\nNOBODY-KNOWS,P-2,3\n"


@pytest.mark.parametrize("seed", range(30, 34))
async def test_a_code_that_is_entered_late_counts_as_if_it_had_been_known_all_along(
    company_url: str, pool: Pool, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    said = history(rng, conflicts=True)
    monkeypatch.setitem(MEANING, "NOBODY-KNOWS", (2, 3))
    want = expected(said)
    first: Rows | None = None
    for turn in range(5):
        with psycopg.connect(company_url) as conn:
            conn.execute(f"{EMPTY}; DELETE FROM barcode WHERE code = 'NOBODY-KNOWS'")
        batches = deliveries(rng, said)
        entered = 0 if turn == 0 else rng.randrange(1, len(batches) + 1)
        for i, batch in enumerate([*batches, None]):
            if i == entered:
                async with pool.connection() as own:
                    await import_barcodes(own, NEWCOMER, organisation="default")
            if batch is not None:
                await commit(pool, *batch)
        assert_is(company_url, want)
        found = tables(company_url)
        first = first or found
        assert differences(first, found) == {}


async def test_a_lot_a_serial_and_an_expiry_of_the_code_stand_in_the_ledger(
    company_url: str, pool: Pool
) -> None:
    code = "]C1010400638133393110L7\x1d21S9\x1d17270131"
    await commit(pool, scan("van-001", 1, "load", code, aim_id="]C1", qty=2))
    assert rows(company_url, "SELECT item_id, lot, serial, expiry::text, qty FROM movement") == [
        (2, "L7", "S9", "2027-01-31", 2)
    ]
    await commit(
        pool, scan("van-001", 2, "issue", code), scan("van-001", 3, "issue", "4006381333931")
    )
    assert rows(company_url, "SELECT seq, flag FROM scan_flag") == []
    await commit(pool, scan("van-001", 4, "issue", code))
    assert sorted(rows(company_url, "SELECT seq, flag FROM scan_flag")) == [
        (4, "scanned_twice"),
        (4, "serial_moved_twice"),
    ]
    await commit(pool, scan("van-001", 5, "issue", "010400638133393110032915210525"))
    assert rows(company_url, "SELECT seq, doubt FROM scan WHERE doubt IS NOT NULL") == [
        (5, "lot_ends_like_a_date")
    ]


@pytest.mark.parametrize("seed", [10, 11, 12])
async def test_two_ingests_at_once_give_the_rows_of_one(
    company_url: str, pool: Pool, seed: int
) -> None:
    rng = random.Random(seed)
    said = history(rng, conflicts=False)
    batches = deliveries(rng, said)
    for batch in batches:
        await commit(pool, *batch)
    alone = tables(company_url)
    with psycopg.connect(company_url) as conn:
        conn.execute(EMPTY)

    async def ingest(of: Pool, mine: list[list[Delivery]]) -> None:
        for batch in mine:
            await commit(of, *batch)

    async with opened(company_url) as second:
        await asyncio.gather(ingest(pool, batches[::2]), ingest(second, batches[1::2]))
    assert_is(company_url, expected(said))
    assert differences(alone, tables(company_url)) == {}


async def test_two_ingests_that_get_the_same_messages_store_them_once(
    company_url: str, pool: Pool
) -> None:
    said = history(random.Random(20), conflicts=True)
    batches = deliveries(random.Random(21), said)
    async with opened(company_url) as second:
        for batch in batches:
            await asyncio.gather(commit(pool, *batch), commit(second, *batch))
    assert_is(company_url, expected(said))


# --- Single rules ------------------------------------------------------------------------------


async def test_a_conflict_leaves_no_trace_whichever_batches_its_payloads_came_in(
    company_url: str, pool: Pool
) -> None:
    one, other = scan("van-001", 1, "load", qty=3), scan("van-001", 1, "load", qty=4)
    await commit(pool, one, other)
    together = tables(company_url)
    with psycopg.connect(company_url) as conn:
        conn.execute(EMPTY)
    await commit(pool, one)
    await commit(pool, other)
    assert differences(together, tables(company_url)) == {}


@asynccontextmanager
async def held(database_url: str, lock: str) -> AsyncIterator[None]:
    """Hold a lock until the block ends."""
    async with await psycopg.AsyncConnection.connect(database_url) as conn:
        await conn.execute(lock.encode())
        yield


async def waiting(database_url: str, count: int) -> None:
    """Wait until this many sessions wait for a lock."""
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with (
        asyncio.timeout(20),
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as conn,
    ):
        while True:
            found = await (await conn.execute(query)).fetchone()
            if found and found[0] >= count:
                return
            await asyncio.sleep(0.01)


async def test_a_rejected_scan_at_a_second_ingest_does_not_set_the_receipt_back(
    company_url: str, pool: Pool
) -> None:
    async with opened(company_url) as second:
        async with held(company_url, "LOCK TABLE outbox IN SHARE MODE"):
            first = asyncio.create_task(commit(pool, scan("van-001", 1, "issue")))
            await waiting(company_url, 1)  # all is written but the outbox
            other = asyncio.create_task(commit(second, scan("van-001", 2, "steal")))
            await waiting(company_url, 2)
        await asyncio.gather(first, other)
    assert rows(company_url, "SELECT through FROM scan_through") == [(2,)]


async def test_two_ingests_that_post_to_one_shelf_both_count(company_url: str, pool: Pool) -> None:
    async with opened(company_url) as second:
        async with held(company_url, "LOCK TABLE outbox IN SHARE MODE"):
            first = asyncio.create_task(commit(pool, scan("van-001", 1, "issue", qty=2)))
            await waiting(company_url, 1)  # it has computed its levels and not committed
            other = asyncio.create_task(commit(second, scan("van-002", 1, "issue", qty=3)))
            await waiting(company_url, 2)
        await asyncio.gather(first, other)
    assert rows(company_url, f"{LEVELS} WHERE kind = 'customer'") == [("customer", 1, "", 5)]


async def through(url: str, pool: Pool, *numbers: int, intent: str = "issue") -> int:
    await commit(pool, *(scan("van-001", seq, intent) for seq in numbers))
    ((found,),) = rows(url, "SELECT through FROM scan_through WHERE epoch = 'e'")
    return int(found)


async def test_the_receipt_tells_the_longest_unbroken_row_of_numbers(
    company_url: str, pool: Pool
) -> None:
    assert await through(company_url, pool, 2, 3) == 0
    receipts = "SELECT count(*) FROM outbox WHERE topic LIKE '%/receipt'"
    assert rows(company_url, receipts) == [(0,)]
    assert await through(company_url, pool, 5) == 0
    assert await through(company_url, pool, 1) == 3
    assert await through(company_url, pool, 7, 6) == 3
    assert await through(company_url, pool, 4) == 7
    assert await through(company_url, pool, 2) == 7  # a repeat is acknowledged again
    assert last_receipts(company_url) == {("van-001", "e"): 7}


async def test_a_rejected_scan_whose_key_can_be_read_does_not_hold_the_receipt(
    company_url: str, pool: Pool
) -> None:
    assert await through(company_url, pool, 1, 3) == 1
    assert await through(company_url, pool, 2, intent="steal") == 3
    assert last_receipts(company_url) == {("van-001", "e"): 3}
    assert rows(company_url, "SELECT reason FROM rejected") == [("bad_payload",)]


async def test_a_rejected_scan_without_a_key_holds_the_receipt(
    company_url: str, pool: Pool
) -> None:
    broken = Delivery(SCAN.format("van-001"), b'{"epoch":"e","seq":"two"}')
    await commit(pool, scan("van-001", 1, "issue"), broken, scan("van-001", 3, "issue"))
    assert last_receipts(company_url) == {("van-001", "e"): 1}


async def test_each_van_and_each_install_has_a_receipt_of_its_own(
    company_url: str, pool: Pool
) -> None:
    await commit(
        pool,
        scan("van-001", 1, "issue"),
        scan("van-001", 1, "issue", epoch="f"),
        scan("van-001", 2, "issue", epoch="f"),
        scan("van-002", 2, "issue"),
    )
    assert last_receipts(company_url) == {("van-001", "e"): 1, ("van-001", "f"): 2}
    assert rows(company_url, "SELECT * FROM scan_through ORDER BY 1, 2") == [
        ("van-001", "e", 1),
        ("van-001", "f", 2),
        ("van-002", "e", 0),
    ]


async def test_of_equal_times_the_device_the_install_and_the_number_decide(
    company_url: str, pool: Pool
) -> None:
    await commit(
        pool,
        scan("van-002", 2, "count", qty=100, t=NOW),
        # Before that count, by the device alone: the count has seen it.
        scan("van-001", 9, "transfer", qty=5, t=NOW, epoch="z", counterpart="van-002"),
        scan("van-002", 1, "issue", qty=3, t=NOW),  # before it, by its number
        scan("van-002", 3, "issue", qty=7, t=NOW),  # after it, by its number
        scan("van-002", 1, "issue", qty=11, t=NOW, epoch="f"),  # after it, by its install
        scan("van-002", 1, "issue", qty=13, t=NOW, epoch="d"),  # before it, by its install
    )
    assert rows(company_url, f"{LEVELS} WHERE van.code = 'van-002'") == [("van-002", 1, "", 82)]


async def test_of_counts_at_one_time_the_last_by_install_and_number_anchors(
    company_url: str, pool: Pool
) -> None:
    counts = [
        scan("van-001", seq, "count", qty=qty, t=NOW, epoch=epoch)
        for seq, qty, epoch in (
            (2, 12, "a"),
            (10, 20, "a"),
            (1, 31, "b"),
            (2, 32, "b"),
            (10, 40, "B"),
        )
    ]
    for order in (counts, counts[::-1], counts[2:] + counts[:2]):
        with psycopg.connect(company_url) as conn:
            conn.execute(EMPTY)
        for told in order:
            await commit(pool, told)
        assert rows(company_url, LEVELS) == [("van-001", 1, "", 32)]


async def test_a_late_count_older_than_the_anchor_changes_no_level(
    company_url: str, pool: Pool
) -> None:
    await commit(pool, scan("van-001", 5, "count", qty=9), scan("van-001", 6, "issue", qty=2))
    before = tables(company_url)
    await commit(pool, scan("van-001", 4, "count", qty=1), scan("van-001", 3, "load", qty=50))
    after = tables(company_url)
    van = "SELECT location_id FROM location JOIN van USING (van_id) WHERE code = 'van-001'"
    ((at,),) = rows(company_url, van)
    assert [r for r in before["level"] if r[0] == at] == [r for r in after["level"] if r[0] == at]
    assert before["proposal"] == after["proposal"]
    assert len(after["count_line"]) == 2


async def test_no_sum_of_sound_scans_is_too_large_for_a_level(company_url: str, pool: Pool) -> None:
    with psycopg.connect(company_url) as conn:
        conn.execute("INSERT INTO barcode VALUES ('PALLET', 1, 1000)")
    for seq in (1, 2, 3):
        await commit(pool, scan("van-001", seq, "load", "PALLET", qty=1_000_000))
    assert rows(company_url, f"{LEVELS} WHERE van.code = 'van-001'") == [
        ("van-001", 1, "", 3_000_000_000)
    ]


# --- Counts ------------------------------------------------------------------------------------

LEFT = (
    "SELECT item_id, qty FROM level JOIN location USING (location_id) WHERE van_id = 1 ORDER BY 1"
)
TASKS = "SELECT item_id, reason FROM count_task"
ASKED = "SELECT topic, payload FROM outbox WHERE topic LIKE '%/inbox'"


def full_count(seq: int, since: int, t: int) -> Delivery:
    said = {"epoch": "e", "seq": seq, "t": t, "intent": "count_all", "since": since}
    return Delivery(SCAN.format("van-001"), json.dumps(said).encode())


async def test_what_a_full_count_does_not_list_is_not_there(company_url: str, pool: Pool) -> None:
    await commit(
        pool,
        scan("van-001", 1, "load", "FUSE", qty=9, t=NOW),
        scan("van-001", 2, "load", "4006381333931", qty=4, t=NOW),
        scan("van-001", 3, "count", "FUSE", qty=7, t=NOW + 2_000),
        full_count(4, NOW + 1_000, NOW + 3_000),
        scan("van-001", 5, "load", "4006381333931", qty=2, t=NOW + 4_000),
    )
    assert rows(company_url, LEFT) == [(1, 7), (2, 2)]
    # What was loaded before is older than the count, whenever it is heard of.
    await commit(pool, scan("van-001", 6, "load", "4006381333931", qty=50, t=NOW + 500))
    assert rows(company_url, LEFT) == [(1, 7), (2, 2)]
    # A line that comes late is listed after all.
    await commit(pool, scan("van-001", 7, "count", "4006381333931", qty=5, t=NOW + 2_500))
    assert rows(company_url, LEFT) == [(1, 7), (2, 7)]


async def test_a_full_count_that_says_nothing_of_its_time_is_refused(
    company_url: str, pool: Pool
) -> None:
    await commit(pool, full_count(1, NOW + 2_000, NOW + 1_000), scan("van-001", 2, "count_all"))
    details = rows(company_url, "SELECT detail FROM rejected ORDER BY 1")
    assert len(details) == 2
    assert "has no code" in details[0][0]
    assert "when the count began" in details[1][0]


VARIANCES = "SELECT seq, expected, variance FROM count_variance ORDER BY seq"


async def test_a_late_scan_explains_what_a_count_found_missing(
    company_url: str, pool: Pool
) -> None:
    await commit(
        pool,
        scan("van-001", 1, "count", qty=10, t=NOW),
        scan("van-001", 3, "count", qty=6, t=NOW + 2_000),
    )
    assert rows(company_url, VARIANCES) == [(1, 0, 10), (3, 10, -4)]
    assert rows(company_url, TASKS) == [(1, "unconfirmed")]
    await commit(pool, scan("van-001", 2, "issue", qty=4, t=NOW + 1_000))
    assert rows(company_url, VARIANCES) == [(1, 0, 10), (3, 6, 0)]
    assert rows(company_url, LEFT) == [(1, 6)]
    assert rows(company_url, TASKS) == []


@pytest.mark.parametrize(
    ("counted", "is_asked"), [(100, False), (90, False), (89, True), (110, False), (111, True)]
)
async def test_a_count_that_is_off_by_more_than_a_tenth_is_to_be_repeated_and_then_stands(
    company_url: str, pool: Pool, counted: int, *, is_asked: bool
) -> None:
    await commit(
        pool,
        scan("van-001", 1, "count", qty=100, t=NOW),
        scan("van-001", 2, "count", qty=counted, t=NOW + 1_000),
    )
    assert rows(company_url, TASKS) == [(1, "unconfirmed")] * is_asked
    assert rows(company_url, LEFT) == [(1, counted)]
    await commit(pool, scan("van-001", 3, "count", qty=counted, t=NOW + 2_000))
    assert rows(company_url, TASKS) == []


async def test_less_than_nothing_is_asked_about_once_until_it_is_counted(
    company_url: str, pool: Pool
) -> None:
    await commit(pool, scan("van-001", 1, "issue", qty=3))
    await commit(pool, scan("van-001", 2, "issue", qty=1))
    assert rows(company_url, TASKS) == [(1, "negative")]
    [(topic, payload)] = rows(company_url, ASKED)
    asked = msgspec.json.decode(payload, type=InboxMessage)
    assert topic == "fleet/v1/van-001/inbox"
    assert (asked.kind, asked.items) == ("count_request", ["P-1"])
    await commit(pool, scan("van-001", 3, "count", qty=0))
    assert rows(company_url, TASKS) == []
    await commit(pool, scan("van-001", 4, "issue", qty=1))
    assert len(rows(company_url, ASKED)) == 2


# --- Rebuilding --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [40, 41])
async def test_rebuilding_finds_what_is_kept_as_it_is(
    company_url: str, pool: Pool, seed: int
) -> None:
    rng = random.Random(seed)
    for batch in deliveries(rng, history(rng, conflicts=True)):
        await commit(pool, *batch)
    before = tables(company_url)
    settings = Settings(database_url=company_url)
    assert await stock.rebuild(settings, check=True) == {"level": 0, "proposal": 0, "need": 0}
    assert await stock.rebuild(settings, check=False) == {"level": 0, "proposal": 0, "need": 0}
    assert differences(before, tables(company_url)) == {}


async def test_rebuilding_tells_what_has_drifted_and_mends_it_unless_it_only_checks(
    company_url: str, pool: Pool
) -> None:
    await commit(pool, scan("van-001", 1, "count", qty=1), scan("van-001", 2, "load", qty=2))
    before = tables(company_url)
    with psycopg.connect(company_url) as conn:
        conn.execute("UPDATE level SET qty = qty + 1 WHERE qty > 0; DELETE FROM proposal")
    drifted = tables(company_url)
    settings = Settings(database_url=company_url)
    drift = await stock.rebuild(settings, check=True)
    assert drift["level"] == 2  # one row, as it was and as it is
    assert drift["proposal"] == 1
    assert differences(drifted, tables(company_url)) == {}
    assert await stock.rebuild(settings, check=False) == drift
    assert differences(before, tables(company_url)) == {}
