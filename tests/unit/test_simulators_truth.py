"""The judge must itself be just: perfect tables are perfect, every kind of error is seen."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.faults import Outgoing, Rates
from simulators.fleet import FleetDay, fleet_days, outgoing_of_day
from simulators.truth import Tables, Truth, compare, opening
from simulators.truth_file import TruthFile, read_truth
from simulators.vans import Visit
from simulators.world import World, create_world, local_ms

MONDAY = date(2026, 11, 23)
EVENING_MS = local_ms(MONDAY, 22 * 3600)
OrderKey = tuple[int, str, str, int]
RATES = Rates(spoiled_a_day=4, late_tablet_share=0.3, dead_zones_a_day=4)


@pytest.fixture(scope="module")
def world() -> World:
    return create_world(13, vans=6, sites=700, items=60)


@pytest.fixture(scope="module")
def monday(world: World) -> FleetDay:
    return next(fleet_days(world, MONDAY))


@pytest.fixture(scope="module")
def messages(world: World, monday: FleetDay) -> list[Outgoing]:
    return list(outgoing_of_day(world, monday, RATES))


@pytest.fixture(scope="module")
def path(
    world: World,
    monday: FleetDay,
    messages: list[Outgoing],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    path = tmp_path_factory.mktemp("truth") / "truth.jsonl"
    with TruthFile(path, world, MONDAY, 0) as file:
        file.tell(monday)
        for message in messages:
            file.record(message, message.send_ms // 60)
    return path


@pytest.fixture(scope="module")
def truth(path: Path) -> Truth:
    return read_truth(path, EVENING_MS)


def perfect(truth: Truth) -> Tables:
    return Tables(
        visits=[(v.van, v.site, v.arrived_ms + 4_000, v.left_ms) for v in truth.visits],
        levels=truth.book,
        fix_keys=truth.fix_keys,
        scan_keys=truth.scan_keys,
        rejected=truth.malformed,
        orders=3,
        commit_ms={key: sent_ms + 40 for key, sent_ms in truth.sent_ms.items()},
    )


def test_the_truth_read_back_is_what_was_told(
    monday: FleetDay, messages: list[Outgoing], truth: Truth
) -> None:
    assert set(truth.visits) == {visit for day in monday.van_days for visit in day.visits}
    assert len(truth.fix_keys) == sum(len(day.fixes.t_ms) for day in monday.van_days)
    assert len(truth.scan_keys) == sum(len(scans) for scans in monday.stock.scans.values())
    assert truth.unknown_codes == sum(
        (scan.code or "").startswith("ZZ-")
        for scans in monday.stock.scans.values()
        for scan in scans
    )
    assert truth.malformed == sum(message.spoiled for message in messages) > 0


def test_the_shelf_read_back_is_that_of_the_evening(
    world: World, monday: FleetDay, truth: Truth
) -> None:
    for van, row in zip(world.vans, monday.stock.shelf.tolist(), strict=True):
        for item, qty in zip(world.items, row, strict=False):
            assert truth.shelf[van.code, item.ref] == qty


def scans_by_order_key(messages: list[Outgoing]) -> dict[OrderKey, dict[str, Any]]:
    scans = {}
    for message in messages:
        if message.topic.endswith("/scan"):
            content = msgspec.json.decode(message.payload)
            for scan in content if isinstance(content, list) else [content]:
                key = (scan["t"], message.topic.split("/")[2], scan["epoch"], scan["seq"])
                scans[key] = scan
    return scans


def test_the_book_is_what_an_independent_reading_of_the_payloads_gives(
    world: World, messages: list[Outgoing], truth: Truth
) -> None:
    # The formula instead of the bookkeeping: the latest count, plus all postings after it.
    item_and_pack = {
        barcode.scanned: (world.items[barcode.item].ref, barcode.pack_qty)
        for barcode in world.barcodes
    }
    anchors: dict[tuple[str, str], tuple[OrderKey, int]] = {
        (van.code, world.items[item].ref): ((0, "", "", 0), int(world.opening_qty[index, item]))
        for index, van in enumerate(world.vans)
        for item in range(world.tracked)
    }
    postings: list[tuple[OrderKey, tuple[str, str], int]] = []
    for key, scan in scans_by_order_key(messages).items():
        if scan["code"] not in item_and_pack:
            continue
        ref, pack_qty = item_and_pack[scan["code"]]
        pair = (key[1], ref)
        qty = pack_qty * (1 if scan.get("qty") is None else scan["qty"])
        if scan["intent"] == "count":
            anchors[pair] = max(anchors[pair], (key, qty))
        else:
            postings.append((key, pair, qty if scan["intent"] == "load" else -qty))
            if scan.get("counterpart"):
                postings.append((key, (scan["counterpart"], ref), qty))
    levels = {pair: qty for pair, (_, qty) in anchors.items()}
    for key, pair, delta in postings:
        if key > anchors[pair][0]:
            levels[pair] += delta
    assert levels == truth.book
    assert any(levels[pair] != qty for pair, qty in opening(world).items())


def test_people_err_so_the_book_differs_from_the_shelf_a_little(truth: Truth) -> None:
    report = compare(truth, perfect(truth), EVENING_MS)
    assert 0 < report.stock_pairs_off_shelf < 0.3 * report.stock_pairs


def test_perfect_tables_are_judged_perfect(truth: Truth) -> None:
    report = compare(truth, perfect(truth), EVENING_MS)
    assert report.published == len(truth.fix_keys) + len(truth.scan_keys) + truth.malformed
    assert report.stored == report.published - truth.malformed
    assert (report.missing, report.stock_pairs_wrong, report.orders) == (0, 0, 3)
    assert (report.visit_precision, report.visit_recall) == (1, 1)
    assert report.arrival_error_s_median == pytest.approx(4)
    assert (report.lag_ms_p50, report.lag_ms_p99) == (40, 40)


VISIT = Visit("van-001", "S-1", 10_000_000, 11_000_000)
SOON_MS = 20_000_000


def judged(
    visits: list[tuple[str, str, int, int | None]],
    *,
    true: tuple[Visit, ...] = (VISIT,),
    until_ms: int = SOON_MS,
    since_ms: int = 0,
) -> tuple[float | None, float | None]:
    truth = Truth(since_ms, true, {}, {}, frozenset(), frozenset(), 0, 0, {})
    report = compare(truth, Tables(visits, {}, set(), set(), 0, 0, {}), until_ms)
    return report.visit_precision, report.visit_recall


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([("van-001", "S-1", 10_000_000, None)], (1, 1)),
        ([("van-001", "S-1", 10_180_000, None)], (1, 1)),
        ([("van-001", "S-1", 10_180_001, None)], (0, 0)),
        ([("van-001", "S-2", 10_000_000, None)], (0, 0)),
        ([("van-002", "S-1", 10_000_000, None)], (0, 0)),
        ([("van-001", "S-1", 10_000_000, None), ("van-001", "S-1", 10_100_000, None)], (0.5, 1)),
        ([], (None, 0)),
    ],
)
def test_a_visit_found_is_true_only_at_the_right_place_and_time_and_only_once(
    found: list[tuple[str, str, int, int | None]], expected: tuple[float | None, float | None]
) -> None:
    assert judged(found) == expected


def test_a_young_visit_is_not_asked_for_but_may_be_found() -> None:
    young_ms = VISIT.arrived_ms + 4 * 60_000 - 1
    assert judged([], until_ms=young_ms) == (None, None)
    assert judged([("van-001", "S-1", 10_000_000, None)], until_ms=young_ms) == (None, None)
    assert judged([], until_ms=young_ms + 1) == (None, 0)


def test_a_visit_under_way_when_publishing_began_is_not_asked_for_but_may_be_found() -> None:
    since_ms = VISIT.arrived_ms + 500_000
    assert judged([], since_ms=since_ms) == (None, None)
    assert judged([("van-001", "S-1", since_ms, None)], since_ms=since_ms) == (None, None)
    assert judged([("van-001", "S-2", since_ms, None)], since_ms=since_ms) == (0, None)


@settings(max_examples=20)
@given(fixes=st.integers(0, 9), scans=st.integers(0, 9), levels=st.integers(0, 9))
def test_every_loss_is_counted(truth: Truth, fixes: int, scans: int, levels: int) -> None:
    wrong = set(sorted(truth.book)[:levels])
    report = compare(
        truth,
        replace(
            perfect(truth),
            fix_keys=set(sorted(truth.fix_keys)[fixes:]),
            scan_keys=set(sorted(truth.scan_keys)[scans:]),
            levels={pair: qty + (pair in wrong) for pair, qty in truth.book.items()},
            rejected=truth.malformed - 1,
        ),
        EVENING_MS,
    )
    assert report.missing == fixes + scans + 1
    assert report.stock_pairs_wrong == levels


@pytest.mark.parametrize("torn", [lambda text: text[:-9], lambda text: text + b'{"kind":"pub'])
def test_a_run_that_was_killed_can_be_read_and_gone_on_with(
    world: World,
    monday: FleetDay,
    truth: Truth,
    path: Path,
    messages: list[Outgoing],
    tmp_path: Path,
    torn: Callable[[bytes], bytes],
) -> None:
    killed = tmp_path / "truth.jsonl"
    killed.write_bytes(torn(path.read_bytes()))
    with TruthFile(killed, world, MONDAY, messages[-5].send_ms) as file:
        file.tell(monday)
        for message in messages[-5:]:
            file.record(message, message.send_ms // 60)
    again = read_truth(killed, EVENING_MS)
    assert again.fix_keys == truth.fix_keys
    assert again.visits == truth.visits
    assert (again.book, again.shelf) == (truth.book, truth.shelf)
    assert again.since_ms == 0


def test_a_file_without_a_run_says_so(tmp_path: Path) -> None:
    empty = tmp_path / "truth.jsonl"
    empty.write_bytes(b"")
    with pytest.raises(ValueError, match="holds no run"):
        read_truth(empty, EVENING_MS)
