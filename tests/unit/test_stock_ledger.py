"""What a scan does, cell by cell of the table, and how repeats and conflicts are told apart."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_tracker.barcodes import Meaning
from stock_tracker.ledger import (
    MOVES,
    Article,
    CountLine,
    Intent,
    Movement,
    ScanEvent,
    ScanKey,
    read,
    sort,
)

PLACES = {"van": 10, "warehouse": 20, "customer": 30, "in_transit": 40, "scrap": 50}
WITH_COUNTERPART = {**PLACES, "counterpart": 11}
FUSE = (Article(item_id=7, pack_qty=1), Meaning("FUSE"))
BOX = (Article(item_id=7, pack_qty=12), Meaning("FUSE"))


def scan(
    intent: Intent = "issue",
    *,
    seq: int = 1,
    qty: int | None = None,
    payload_hash: int = 0,
    device: str = "van-001",
    epoch: str = "e",
) -> ScanEvent:
    return ScanEvent(
        key=ScanKey(device, epoch, seq),
        payload_hash=payload_hash,
        van_id=1,
        t=1_000,
        intent=intent,
        code=b"FUSE",
        qty=qty,
        lot="L1",
        counterpart="van-002" if intent == "transfer" else None,
        work_order="WO-9",
        raw=b"{}",
    )


@pytest.mark.parametrize(
    ("intent", "origin", "destination"),
    [
        ("issue", 10, 30),
        ("load", 20, 10),
        ("receive", 40, 10),
        ("return", 10, 20),
        ("transfer", 10, 11),
        ("scrap", 10, 50),
    ],
)
def test_a_movement_goes_where_its_intent_says(
    intent: Intent, origin: int, destination: int
) -> None:
    it = scan(intent, qty=3)
    reading = read(it, BOX, WITH_COUNTERPART)
    assert reading.scan is it
    assert reading.status == "applied"
    assert reading.effect == Movement(
        it.key, it.t, intent, 7, "L1", 36, origin, destination, "WO-9"
    )


def test_every_intent_moves_something_but_counts_what_is_missing_and_what_is_taken_back() -> None:
    intents = set(Intent.__args__)  # type: ignore[attr-defined]
    assert set(MOVES) == intents - {"count", "count_all", "missing", "reverse"}


@pytest.mark.parametrize(("qty", "counted"), [(None, 12), (0, 0), (1, 12), (5, 60)])
def test_a_count_says_how_many_base_units_the_van_holds(qty: int | None, counted: int) -> None:
    it = scan("count", qty=qty)
    reading = read(it, BOX, PLACES)
    assert (reading.status, reading.effect) == (
        "applied",
        CountLine(it.key, it.t, 10, 7, "L1", counted),
    )


@pytest.mark.parametrize("intent", [*MOVES, "count"])
def test_an_unknown_code_does_nothing_whatever_the_intent(intent: Intent) -> None:
    reading = read(scan(intent, qty=1), None, WITH_COUNTERPART)
    assert (reading.status, reading.effect) == ("unknown_code", None)


def test_a_transfer_to_nobody_does_nothing() -> None:
    reading = read(scan("transfer", qty=1), FUSE, PLACES)
    assert (reading.status, reading.effect) == ("unknown_counterpart", None)


@pytest.mark.parametrize("intent", ["load", "return"])
def test_a_van_without_a_warehouse_cannot_load_or_return(intent: Intent) -> None:
    places = {place: at for place, at in PLACES.items() if place != "warehouse"}
    reading = read(scan(intent, qty=1), FUSE, places)
    assert (reading.status, reading.effect) == ("unknown_counterpart", None)


def test_a_transfer_to_oneself_moves_nothing() -> None:
    reading = read(scan("transfer", qty=1), FUSE, {**PLACES, "counterpart": 10})
    assert (reading.status, reading.effect) == ("applied", None)


@pytest.mark.parametrize("intent", MOVES)
def test_moving_zero_moves_nothing(intent: Intent) -> None:
    reading = read(scan(intent, qty=0), BOX, WITH_COUNTERPART)
    assert (reading.status, reading.effect) == ("applied", None)


@pytest.mark.parametrize("intent", MOVES)
def test_no_quantity_means_one_pack(intent: Intent) -> None:
    effect = read(scan(intent), BOX, WITH_COUNTERPART).effect
    assert isinstance(effect, Movement)
    assert effect.qty == 12


def key(seq: int) -> ScanKey:
    return ScanKey("van-001", "e", seq)


def test_a_scan_of_a_new_key_is_fresh() -> None:
    found = sort([scan(payload_hash=1)], {})
    assert (found.fresh, found.conflicting, found.contested) == ([scan(payload_hash=1)], [], set())


def test_a_repeat_in_the_batch_is_one_scan() -> None:
    found = sort([scan(payload_hash=1)] * 3, {})
    assert (found.fresh, found.conflicting) == ([scan(payload_hash=1)], [])


def test_a_repeat_of_a_stored_scan_is_nothing() -> None:
    found = sort([scan(payload_hash=1)] * 2, {key(1): {1}})
    assert (found.fresh, found.conflicting, found.contested) == ([], [], set())


def test_two_payloads_in_one_batch_are_both_set_aside() -> None:
    for batch in permutations([scan(payload_hash=1), scan(payload_hash=2), scan(payload_hash=2)]):
        found = sort(batch, {})
        assert found.fresh == []
        assert {it.payload_hash for it in found.conflicting} == {1, 2}
        assert len(found.conflicting) == 2
        assert found.contested == {key(1)}


def test_a_second_payload_contests_the_stored_one() -> None:
    found = sort([scan(payload_hash=2)], {key(1): {1}})
    assert (found.fresh, found.conflicting) == ([], [scan(payload_hash=2)])
    assert found.contested == {key(1)}


def test_the_stored_payload_beside_a_second_one_is_not_stored_again() -> None:
    for batch in permutations([scan(payload_hash=1), scan(payload_hash=2)]):
        found = sort(batch, {key(1): {1}})
        assert (found.fresh, found.conflicting) == ([], [scan(payload_hash=2)])
        assert found.contested == {key(1)}


def test_a_third_payload_joins_a_conflict() -> None:
    found = sort([scan(payload_hash=3), scan(payload_hash=1)], {key(1): {1, 2}})
    assert (found.fresh, found.conflicting) == ([], [scan(payload_hash=3)])


def test_a_repeat_of_a_known_conflict_changes_nothing() -> None:
    found = sort([scan(payload_hash=1), scan(payload_hash=2)], {key(1): {1, 2}})
    assert (found.fresh, found.conflicting, found.contested) == ([], [], set())


def test_keys_differ_by_device_by_epoch_and_by_seq() -> None:
    batch = [
        scan(payload_hash=1),
        scan(payload_hash=2, seq=2),
        scan(payload_hash=3, epoch="f"),
        scan(payload_hash=4, device="van-002"),
    ]
    assert sort(batch, {}).fresh == batch


def judged(scans: list[ScanEvent], cuts: list[int]) -> Mapping[ScanKey, tuple[set[int], bool]]:
    """What stands at the end of batches cut at `cuts`: hashes and "in effect", by key."""
    stored: dict[ScanKey, set[int]] = {}
    effective: set[ScanKey] = set()
    edges = [0, *sorted(cuts), len(scans)]
    for first, end in pairwise(edges):
        found = sort(scans[first:end], stored)
        for it in [*found.fresh, *found.conflicting]:
            assert it.payload_hash not in stored.get(it.key, set())
            stored.setdefault(it.key, set()).add(it.payload_hash)
        effective |= {it.key for it in found.fresh}
        effective -= found.contested
    return {k: (hashes, k in effective) for k, hashes in stored.items()}


@given(st.data())
def test_what_stands_depends_on_the_set_of_scans_alone(data: st.DataObject) -> None:
    pool = st.builds(
        lambda seq, hash_: scan(seq=seq, payload_hash=hash_), st.integers(1, 4), st.integers(1, 3)
    )
    scans = data.draw(st.lists(pool, max_size=12))
    again = data.draw(st.permutations(scans + scans[: data.draw(st.integers(0, len(scans)))]))
    cut = st.lists(st.integers(0, len(scans)), max_size=4)
    assert judged(scans, data.draw(cut)) == judged(again, data.draw(cut))
    hashes: dict[ScanKey, set[int]] = {}
    for it in scans:
        hashes.setdefault(it.key, set()).add(it.payload_hash)
    assert judged(scans, []) == {k: (found, len(found) == 1) for k, found in hashes.items()}


# ---- what else a code says


SAYS = Meaning("04006381333931", packs=3, lot="L9", serial="S7", expiry=date(2027, 1, 31))


def test_what_the_code_says_of_the_part_goes_into_the_ledger() -> None:
    it = replace(scan(qty=2), lot="")
    effect = read(it, (BOX[0], SAYS), PLACES).effect
    assert isinstance(effect, Movement)
    assert (effect.qty, effect.lot) == (2 * 3 * 12, "L9")
    assert (effect.serial, effect.expiry) == ("S7", date(2027, 1, 31))
    counted = read(replace(it, intent="count"), (BOX[0], SAYS), PLACES).effect
    assert isinstance(counted, CountLine)
    assert (counted.qty, counted.lot, counted.serial, counted.expiry) == (
        72, "L9", "S7", date(2027, 1, 31),
    )  # fmt: skip


def test_the_lot_that_the_tablet_says_goes_before_that_of_the_code() -> None:
    effect = read(scan(), (BOX[0], SAYS), PLACES).effect
    assert effect is not None
    assert effect.lot == "L1"


@pytest.mark.parametrize("intent", ["issue", "count", "transfer"])
def test_a_doubt_is_kept_whatever_becomes_of_the_scan(intent: Intent) -> None:
    doubtful = replace(SAYS, doubt="lot_ends_like_a_date")
    for qty in (0, 1):
        assert read(scan(intent, qty=qty), (BOX[0], doubtful), PLACES).doubt == doubtful.doubt
