"""What is sent: faulty in every way it should be, losing nothing, the same on every run."""

from collections import Counter
from collections.abc import Iterable
from datetime import date
from itertools import islice, pairwise, takewhile
from typing import TypeVar

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.messages import BACKLOG_MAX, Position, Scan, Status
from simulators.faults import HELD_MS_MAX, NONE, Outgoing, Rates, flush, outgoing_of_van
from simulators.fleet import FleetDay, fleet_days, outgoing, outgoing_of_day
from simulators.roads import distance_m
from simulators.world import World, create_world, local_ms

T = TypeVar("T")
MONDAY = date(2026, 11, 23)
NOON_MS = local_ms(MONDAY, 12 * 3600)
OFTEN = Rates(
    poor_share=0.02,
    jump_share=0.01,
    dead_zones_a_day=6,
    late_tablet_share=0.3,
    repeated_share=0.05,
    delayed_share=0.05,
    spoiled_a_day=6,
)


@pytest.fixture(scope="module")
def world() -> World:
    return create_world(9, vans=5, sites=700, items=60)


@pytest.fixture(scope="module")
def monday(world: World) -> FleetDay:
    return next(fleet_days(world, MONDAY))


@pytest.fixture(scope="module")
def sent(world: World, monday: FleetDay) -> list[Outgoing]:
    return list(outgoing_of_day(world, monday, OFTEN))


def fixes_of(messages: Iterable[Outgoing]) -> list[tuple[str, Position]]:
    return [
        (message.topic.split("/")[2], fix)
        for message in messages
        if message.topic.endswith("/position") and not message.spoiled
        for fix in decoded(message, Position)
    ]


def scans_of(messages: Iterable[Outgoing]) -> list[tuple[str, Scan]]:
    return [
        (message.topic.split("/")[2], scan)
        for message in messages
        if message.topic.endswith("/scan")
        for scan in decoded(message, Scan)
    ]


def decoded(message: Outgoing, kind: type[T]) -> list[T]:
    if message.payload.startswith(b"["):
        return msgspec.json.decode(message.payload, type=list[kind])
    return [msgspec.json.decode(message.payload, type=kind)]


def test_the_same_seed_sends_the_same_bytes(world: World, sent: list[Outgoing]) -> None:
    again = next(fleet_days(create_world(9, vans=5, sites=700, items=60), MONDAY))
    assert list(outgoing_of_day(world, again, OFTEN)) == sent


def test_messages_come_by_time_of_sending_and_never_before_they_are_made(
    sent: list[Outgoing],
) -> None:
    assert all(a.send_ms <= b.send_ms for a, b in pairwise(sent))
    assert all(message.made_ms <= message.send_ms for message in sent)
    assert all(message.send_ms - message.made_ms < HELD_MS_MAX for message in sent)


def test_every_fix_and_every_scan_is_sent_at_least_once_and_no_other(
    monday: FleetDay, sent: list[Outgoing]
) -> None:
    keys = {(van, fix.t) for van, fix in fixes_of(sent)}
    assert len(keys) == sum(len(van_day.fixes.t_ms) for van_day in monday.van_days)
    scan_keys = {(van, scan.epoch, scan.seq) for van, scan in scans_of(sent)}
    assert scan_keys == {
        (van, scan.epoch, scan.seq) for van, scans in monday.stock.scans.items() for scan in scans
    }


def test_what_is_sent_twice_is_the_same(sent: list[Outgoing]) -> None:
    for rows in (fixes_of(sent), scans_of(sent)):
        key = "t" if isinstance(rows[0][1], Position) else "seq"
        by_key: dict[tuple[str, object], set[object]] = {}
        for van, row in rows:
            by_key.setdefault((van, getattr(row, key)), set()).add(row)
        assert all(len(kinds) == 1 for kinds in by_key.values())
        assert len(rows) > len(by_key)


def test_a_clock_is_off_by_the_same_all_day(monday: FleetDay, sent: list[Outgoing]) -> None:
    off_ms = {}
    for van_day in monday.van_days:
        told = sorted({fix.t for van, fix in fixes_of(sent) if van == van_day.van})
        differences = set((np.array(told) - van_day.fixes.t_ms).tolist())
        assert len(differences) == 1
        off_ms[van_day.van] = differences.pop()
        assert abs(off_ms[van_day.van]) <= 2_000
    assert len(set(off_ms.values())) > 1


def test_a_backlog_is_an_array_that_comes_after_newer_live_data(sent: list[Outgoing]) -> None:
    newest: dict[str, int] = {}
    backlogs = 0
    for message in sent:
        if message.spoiled or not message.topic.endswith("/position"):
            continue
        times = [fix.t for fix in decoded(message, Position)]
        if message.payload.startswith(b"["):
            assert 1 <= len(times) <= BACKLOG_MAX
            # At the end of the day there may be nothing newer.
            backlogs += max(times) < newest[message.topic]
        newest[message.topic] = max(newest.get(message.topic, 0), *times)
    assert backlogs > 10


def test_fixes_come_out_of_order_even_without_a_backlog(sent: list[Outgoing]) -> None:
    singles = [m for m in sent if not m.spoiled and m.payload.startswith(b'{"t"')]
    times: dict[str, list[int]] = {}
    for message in singles:
        times.setdefault(message.topic, []).extend(fix.t for fix in decoded(message, Position))
    assert any(sorted(row) != row for row in times.values())


def test_a_jump_is_one_fix_that_nobody_could_drive_and_its_neighbours_are_good(
    monday: FleetDay, sent: list[Outgoing]
) -> None:
    jumps = 0
    for van_day in monday.van_days:
        told = {fix.t: fix for van, fix in fixes_of(sent) if van == van_day.van}
        rows = [told[t] for t in sorted(told)]
        truth = van_day.fixes
        error_m = np.array(
            [
                float(distance_m(np.array(fix.lat), np.array(fix.lon), lat, lon))
                for fix, lat, lon in zip(rows, truth.latitude_deg, truth.longitude_deg, strict=True)
            ]
        )
        claimed_m = np.array([fix.acc_m for fix in rows])
        for index in np.flatnonzero((error_m > 60) & (claimed_m <= 100)):
            jumps += 1
            for other in (index - 1, index + 1):
                assert error_m[other] < 60
                gone_m = distance_m(
                    np.array(rows[index].lat),
                    np.array(rows[index].lon),
                    rows[other].lat,
                    rows[other].lon,
                )
                assert gone_m / (abs(rows[other].t - rows[index].t) / 1000) > 75
        assert (claimed_m > 100).any()
        good = (claimed_m <= 100) & (error_m < 60)
        assert 3 < np.sqrt((error_m[good] ** 2).mean() / 2) < 5
    assert jumps > 5


def test_spoiled_payloads_are_of_every_kind_and_all_different(world: World) -> None:
    monday = next(fleet_days(world, MONDAY))
    rates = Rates(spoiled_a_day=40)
    spoiled = [m for m in outgoing_of_day(world, monday, rates) if m.spoiled]
    assert len({(message.topic, message.payload) for message in spoiled}) == len(spoiled)
    outcomes: Counter[str] = Counter()
    for message in spoiled:
        known = "van-unknown" not in message.topic
        try:
            msgspec.json.decode(message.payload, type=Position)
        except msgspec.ValidationError:
            outcomes["invalid"] += 1
        except msgspec.DecodeError:
            outcomes["no json"] += 1
        else:
            assert not known
            outcomes["unknown van"] += 1
    assert set(outcomes) == {"invalid", "no json", "unknown van"}


def test_duty_is_told_before_the_first_fix_and_after_the_last_by_the_vans_own_clock(
    monday: FleetDay, sent: list[Outgoing]
) -> None:
    for van_day in monday.van_days:
        statuses = [m for m in sent if m.topic == f"fleet/v1/{van_day.van}/status"]
        assert all(message.retain for message in statuses)
        on, off = (msgspec.json.decode(m.payload, type=Status) for m in statuses)
        times = [fix.t for van, fix in fixes_of(sent) if van == van_day.van]
        assert (on.duty, off.duty) == ("on", "off")
        assert on.t < min(times)
        assert max(times) < off.t


def test_without_faults_every_fix_is_sent_alone_and_at_once(world: World, monday: FleetDay) -> None:
    van_day = monday.van_days[0]
    messages = list(outgoing_of_van(world, van_day, monday.stock.scans[van_day.van], NONE))
    assert not any(message.spoiled for message in messages)
    assert all(message.send_ms - message.made_ms < 2_000 for message in messages)
    fixes = [fix for _, fix in fixes_of(messages)]
    assert sorted(fix.t for fix in fixes) == van_day.fixes.t_ms.tolist()
    assert max(fix.acc_m or 0 for fix in fixes) <= 15


@settings(max_examples=20)
@given(share=st.floats(0, 1), later_ms=st.integers(0, 1))
def test_a_run_that_goes_on_sends_what_an_unbroken_run_would_have(
    world: World, monday: FleetDay, sent: list[Outgoing], share: float, later_ms: int
) -> None:
    since_ms = sent[round(share * (len(sent) - 1))].send_ms + later_ms
    resumed = list(outgoing_of_day(world, monday, OFTEN, since_ms))
    assert resumed == [message for message in sent if message.send_ms >= since_ms]


def test_a_run_that_goes_on_days_later_sends_what_an_unbroken_run_would_have() -> None:
    world = create_world(2, vans=2, sites=300, items=40)
    thursday = date(2026, 11, 26)
    since_ms = local_ms(date(2026, 11, 27), 15 * 3600)
    until_ms = local_ms(date(2026, 11, 30), 9 * 3600)  # beyond a weekend
    told: list[date] = []

    def until(messages: Iterable[Outgoing]) -> list[Outgoing]:
        return list(takewhile(lambda message: message.send_ms < until_ms, messages))

    unbroken = until(outgoing(world, thursday))
    resumed = until(
        outgoing(world, thursday, since_ms=since_ms, tell=lambda day: told.append(day.day))
    )
    assert resumed == [message for message in unbroken if message.send_ms >= since_ms]
    assert told == [thursday, date(2026, 11, 27), date(2026, 11, 30)]


def test_a_stream_is_lazy(world: World) -> None:
    assert len(list(islice(outgoing(world, MONDAY), 10))) == 10


@settings(max_examples=20)
@given(share=st.floats(0.05, 0.95))
def test_after_a_flush_all_that_was_made_has_been_sent_and_nothing_newer(
    sent: list[Outgoing], share: float
) -> None:
    now_ms = int(sent[0].send_ms + share * (sent[-1].send_ms - sent[0].send_ms))
    before = [message for message in sent if message.send_ms <= now_ms]
    rest = iter([message for message in sent if message.send_ms > now_ms])
    flushed = list(flush(rest, now_ms))
    assert all(message.send_ms == now_ms for message in flushed)
    made = {(van, fix.t) for van, fix in fixes_of(sent) if fix.t <= now_ms - 2_000}
    known = {(van, fix.t) for van, fix in fixes_of([*before, *flushed])}
    assert made <= known
    assert all(t <= now_ms + 2_000 for _, t in known)
    scans_made = {(van, scan.seq) for van, scan in scans_of(sent) if scan.t <= now_ms - 2_000}
    assert scans_made <= {(van, scan.seq) for van, scan in scans_of([*before, *flushed])}
