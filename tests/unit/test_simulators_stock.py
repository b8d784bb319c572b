"""A world of parts whose truth can be trusted: what is used is gone, what is scanned adds up."""

import csv
import io
import random
from dataclasses import replace
from datetime import date
from typing import Final

import msgspec
import numpy as np
import pytest
from biip.gtin import Gtin
from biip.sscc import Sscc
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.messages import Scan
from simulators import stock_days, stock_truth, stock_world
from simulators.stock_days import Box, Fleet
from simulators.stock_world import StockWorld, jobs_of, with_check_digit
from simulators.world import Ints

MONDAY: Final = date(2026, 6, 1)
DAYS: Final = 15


def world_of(seed: int = 1, vans: int = 8, items: int = 60) -> StockWorld:
    return stock_world.create(seed, vans, items, MONDAY)


def shelf_of(world: StockWorld, units: int = 6) -> Ints:
    return np.full((len(world.vans), len(world.parts)), units, dtype=np.int64)


def boxes_for(world: StockWorld, number: int, day: date) -> list[Box]:
    """One box a van and day, of three items."""
    rng = random.Random(f"{day}{number}")
    return [
        Box(
            with_check_digit(f"0040{day.toordinal():06d}{van:07d}"),
            van,
            tuple((item, rng.randint(1, 4)) for item in rng.sample(range(len(world.parts)), 3)),
        )
        for van in range(len(world.vans))
    ]


def played(world: StockWorld, units: int = 6) -> tuple[Fleet, list[stock_days.Sent], list[Box]]:
    fleet, sent, boxes = Fleet(world, shelf_of(world, units)), list[stock_days.Sent](), list[Box]()
    for day in world.days(DAYS):
        of_day = boxes_for(world, len(boxes), day)
        boxes += of_day
        sent += fleet.play(day, of_day, {0: [1, 2, 3]})
    return fleet, sent, boxes


def test_the_same_seed_is_the_same_world_and_another_is_not() -> None:
    one, same, other = played(world_of(1)), played(world_of(1)), played(world_of(2))
    assert one[1] == same[1]
    assert one[1] != other[1]


def test_what_is_demanded_does_not_depend_on_what_is_on_board() -> None:
    world = world_of()
    day = world.days(1)[0]
    before = jobs_of(world, day)
    played(world, units=0)
    assert jobs_of(world, day) == before


def test_nobody_uses_a_part_that_is_not_there() -> None:
    fleet, _, _ = played(world_of(), units=1)
    assert (fleet.shelf >= 0).all()
    assert fleet.tally.jobs_served < fleet.tally.jobs_with_parts
    assert sum(fleet.tally.lacked.values()) > 0


def test_without_forgotten_scans_the_book_is_the_shelf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock_days, "FORGOTTEN_SHARE", 0.0)
    world = world_of()
    fleet, _, boxes = played(world)
    book = stock_truth.book(world, shelf_of(world), fleet.scans, boxes)
    assert (book == fleet.shelf).all()
    assert {scan.intent for _, scan in fleet.scans} == {
        "issue", "missing", "receive", "count", "count_all", "return", "scrap", "transfer", "load",
    }  # fmt: skip


def test_book_and_shelf_differ_only_where_scans_were_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stock_days, "FORGOTTEN_SHARE", 0.3)
    world = world_of()
    fleet, _, boxes = played(world)
    book = stock_truth.book(world, shelf_of(world), fleet.scans, boxes)
    assert 0 < (book != fleet.shelf).sum() <= fleet.tally.forgotten


@settings(max_examples=15, deadline=None)
@given(st.randoms())
def test_the_book_depends_on_no_order_and_no_repetition(rng: random.Random) -> None:
    world = world_of(vans=4, items=40)
    fleet, _, boxes = played(world)
    expected = stock_truth.book(world, shelf_of(world), fleet.scans, boxes)
    scans = fleet.scans + rng.choices(fleet.scans, k=20)
    rng.shuffle(scans)
    rng.shuffle(boxes)
    assert (stock_truth.book(world, shelf_of(world), scans, boxes) == expected).all()


BOX: Final = Box(with_check_digit("00400000000000001"), 0, ((0, 5), (1, 2)))


def said(seq: int, intent: str, code: str | None, **more: object) -> tuple[str, Scan]:
    base = {"epoch": "e", "seq": seq, "t": 1_790_000_000_000 + seq, "intent": intent, "code": code}
    return "van-001", msgspec.convert(base | more, Scan)


@pytest.mark.parametrize(
    ("scans", "levels"),
    [
        ([("receive", "box", {})], (15, 12)),
        ([("receive", "box", {}), ("receive", "box", {})], (15, 12)),
        ([("receive", 0, {"qty": 3, "shipment": BOX.sscc}), ("receive", "box", {})], (13, 12)),
        ([("receive", "box", {}), ("receive", 0, {"qty": 3, "shipment": BOX.sscc})], (13, 12)),
        ([("count", 0, {"qty": 7}), ("issue", 0, {})], (6, 10)),
        ([("issue", 0, {}), ("count", 0, {"qty": 7})], (7, 10)),
        ([("missing", 0, {"qty": 9})], (10, 10)),
        ([("count", 0, {"qty": 4}), ("count_all", None, {"since": 1_790_000_000_000})], (4, 0)),
        ([("count", 0, {"qty": 4}), ("count_all", None, {"since": 1_790_000_000_002})], (0, 0)),
        ([("transfer", 0, {"qty": 2, "counterpart": "van-002"})], (8, 10)),
        ([("scrap", 0, {}), ("return", 1, {"qty": 3})], (9, 7)),
    ],
)
def test_each_kind_of_scan_adds_up_as_people_mean_it(
    scans: list[tuple[str, object, dict[str, object]]], levels: tuple[int, int]
) -> None:
    world = world_of()
    codes = {"box": f"00{BOX.sscc}", 0: world.parts[0].code, 1: world.parts[1].code, None: None}
    told = [
        said(seq, intent, codes[what], **more)  # type: ignore[index]
        for seq, (intent, what, more) in enumerate(scans, start=1)
    ]
    book = stock_truth.book(world, shelf_of(world, 10), told, [BOX])
    assert (book[0, 0], book[0, 1]) == levels
    assert book[1, 0] == (12 if scans[0][0] == "transfer" else 10)


def test_faults_come_in_their_shares() -> None:
    world = world_of(vans=30, items=200)
    fleet, sent, _ = played(world)
    once = len({(m.topic, m.payload) for m in sent})
    late = len({m.payload for m in sent if m.send_ms - m.made_ms > 3_700_000})
    assert once == len(fleet.scans)
    assert (len(sent) - once) / once == pytest.approx(0.05, abs=0.01)
    assert late / once == pytest.approx(0.05, abs=0.015)
    uses = sum(scan.intent in {"issue", "missing"} for _, scan in fleet.scans)
    assert fleet.tally.forgotten / uses == pytest.approx(0.02, abs=0.01)


def test_the_times_of_a_tablet_rise_with_its_numbers() -> None:
    fleet, _, _ = played(world_of())
    last: dict[str, tuple[int, int]] = {}
    for van, scan in fleet.scans:
        seq, t = last.get(van, (0, 0))
        assert (scan.seq, scan.t > t) == (seq + 1, True)
        last[van] = scan.seq, scan.t


def test_codes_have_their_check_digits() -> None:
    world = world_of(items=300)
    codes = [part.code for part in world.parts] + [p.pack_code for p in world.parts if p.pack_code]
    assert len(codes) > 300
    assert all(Gtin.parse(code).value == code for code in codes)
    assert Sscc.parse(BOX.sscc).value == BOX.sscc


def test_history_and_days_are_drawn_alike() -> None:
    world = world_of(vans=60, items=300)
    a_week = sum(units for *_, units in stock_world.usage(world, 26)) / 26
    jobs = [job for day in world.days(20) for job in jobs_of(world, day)]
    assert sum(n for job in jobs for _, n in job.needs) / 4 == pytest.approx(a_week, rel=0.06)


def test_files_have_the_columns_that_are_imported_and_tours_the_parts_of_planned_jobs() -> None:
    world = world_of()
    texts = dict(stock_world.files(world, 4))
    assert list(texts) == [
        "warehouses", "technicians", "items", "barcodes", "templates", "vans", "sites", "usage",
    ]  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(stock_world.tours(world, MONDAY))))
    jobs = jobs_of(world, MONDAY)
    assert len(rows) == len(jobs)
    for row, job in zip(rows, jobs, strict=True):
        assert row["work_order"] == job.work_order
        assert bool(row["parts"]) == bool(job.needs and job.is_planned)


def test_a_plain_policy_that_carries_more_serves_more() -> None:
    world = world_of(vans=20, items=120)
    days = world.days(10)
    jobs = [jobs_of(world, day) for day in days]
    rates = stock_truth.weekly_rates(world, 52)
    tried = [
        stock_truth.plain(world, days, jobs, rates, often, margin)
        for often, margin in ((9, 0), (2, 0), (0.1, 0), (0.1, 3))
    ]
    assert [t.job_fill_rate for t in tried] == sorted(t.job_fill_rate for t in tried)
    assert [t.mean_on_board for t in tried] == sorted(t.mean_on_board for t in tried)
    found = stock_truth.plain_at(world, days, 52, 0.9)
    assert found is not None
    assert found.job_fill_rate >= 0.9
    assert found.mean_on_board <= tried[-1].mean_on_board


def test_a_pair_that_the_table_lacks_or_has_too_much_is_wrong() -> None:
    truth = np.array([[1, 0], [2, 3]])
    right = {(0, 0): 1, (1, 0): 2, (1, 1): 3}
    assert stock_truth.wrong(right, truth) == 0
    assert stock_truth.wrong(right | {(0, 1): 1}, truth) == 1
    assert stock_truth.wrong({**right, (1, 1): 0}, truth) == 1
    assert replace(BOX, van=1).van == 1
