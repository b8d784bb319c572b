"""Harsh faults: each as it is described, none that makes it doubtful what happened."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.messages import Position
from simulators.faults import (
    HARSH,
    HELD_MS_MAX,
    HOUR_MS,
    MINUTE_MS,
    NONE,
    USUAL,
    Outgoing,
    Rates,
    flush,
    outgoing_of_van,
)
from simulators.fleet import FleetDay, fleet_days, outgoing, outgoing_of_day
from simulators.roads import distance_m
from simulators.spells import draw_spells, within
from simulators.vans import Tracker, VanDay
from simulators.world import World, create_world, local_ms

MONDAY: Final = date(2026, 11, 23)
#: Everything that `HARSH` has, more often, so that five vans show all of it.
HARSHER: Final = replace(
    HARSH,
    jump_share=0.01,
    frozen_a_day=2,
    zero_share=0.005,
    ancient_share=0.005,
    future_share=0.005,
)


@pytest.fixture(scope="module")
def world() -> World:
    return create_world(9, vans=5, sites=700, items=60)


@pytest.fixture(scope="module")
def monday(world: World) -> FleetDay:
    return next(fleet_days(world, MONDAY, Tracker(10, 10)))


@pytest.fixture(scope="module")
def sent(world: World, monday: FleetDay) -> list[Outgoing]:
    return list(outgoing_of_day(world, monday, HARSHER))


def of_one_kind(
    world: World, monday: FleetDay, rates: Rates
) -> list[tuple[VanDay, list[Outgoing]]]:
    """Each van's position messages at rates that have only one fault."""
    return [
        (
            van_day,
            [
                message
                for message in outgoing_of_van(world, van_day, (), rates)
                if message.topic.endswith("/position")
            ],
        )
        for van_day in monday.van_days
    ]


def decoded(message: Outgoing) -> list[Position]:
    payload = message.payload if message.payload.startswith(b"[") else b"[%b]" % message.payload
    return msgspec.json.decode(payload, type=list[Position])


def fixes_of(messages: Iterable[Outgoing]) -> list[Position]:
    """The fixes of one van that can be used, each once, in the order of their times."""
    told = {
        fix.t: fix
        for message in messages
        if message.topic.endswith("/position") and not message.spoiled
        for fix in decoded(message)
    }
    return [told[t] for t in sorted(told)]


def keys_of(messages: Iterable[Outgoing]) -> set[tuple[str, int]]:
    return {
        (message.topic, fix.t)
        for message in messages
        if message.topic.endswith("/position") and not message.spoiled
        for fix in decoded(message)
    }


def wrong_times(messages: Iterable[Outgoing]) -> list[tuple[Outgoing, Position]]:
    """The spoiled messages that are sound but for their time."""
    rows = []
    for message in messages:
        if message.spoiled and "van-unknown" not in message.topic:
            try:
                rows.append((message, msgspec.json.decode(message.payload, type=Position)))
            except msgspec.DecodeError:
                continue
    return rows


def test_neither_none_nor_usual_has_harsh_faults() -> None:
    for rates in (NONE, USUAL):
        assert rates.late_share == rates.tunnels_a_day == rates.frozen_a_day == 0
        assert rates.zero_share == rates.ancient_share == rates.future_share == 0
        assert rates.held_ms_max == HELD_MS_MAX == 90 * MINUTE_MS


def test_harsh_days_are_the_same_on_every_run_and_go_on_where_they_were_left(
    world: World, monday: FleetDay, sent: list[Outgoing]
) -> None:
    assert list(outgoing_of_day(world, monday, HARSHER)) == sent
    assert all(a.send_ms <= b.send_ms for a, b in pairwise(sent))
    since_ms = sent[len(sent) // 2].send_ms
    resumed = list(outgoing_of_day(world, monday, HARSHER, since_ms))
    assert resumed == [message for message in sent if message.send_ms >= since_ms]


def test_a_run_that_goes_on_after_midnight_still_sends_what_was_late_in_the_evening() -> None:
    world = create_world(2, vans=2, sites=300, items=40)
    rates = replace(NONE, late_share=1.0, late_ms_max=9 * HOUR_MS)
    day = next(fleet_days(world, MONDAY))
    since_ms = local_ms(date(2026, 11, 24), 600)
    due = [m for m in outgoing_of_day(world, day, rates) if m.send_ms >= since_ms]
    assert due
    stream = outgoing(world, MONDAY, since_ms=since_ms, rates=rates)
    assert [next(stream) for _ in due] == due


def test_every_fix_made_is_told_once_or_more_unless_its_time_is_wrong(
    world: World, monday: FleetDay, sent: list[Outgoing]
) -> None:
    made = 0
    for van_day in monday.van_days:
        tunnels, _ = draw_spells(
            van_day, HARSHER.tunnels_a_day, HARSHER.frozen_a_day, harsh_dice(world, van_day)
        )
        made += int((~within(van_day.fixes.t_ms, tunnels)).sum())
    wrong = wrong_times(sent)
    assert len(wrong) > 100
    assert len(keys_of(sent)) == made - len(wrong)
    assert len({(message.topic, message.payload) for message, _ in wrong}) == len(wrong)


def test_a_fix_that_a_dead_zone_holds_back_keeps_its_time(world: World, monday: FleetDay) -> None:
    rates = replace(NONE, ancient_share=0.3, future_share=0.3, dead_zones_a_day=20)
    for van_day in monday.van_days:
        messages = list(outgoing_of_van(world, van_day, (), rates))
        wrong = wrong_times(messages)
        assert len(wrong) + len(keys_of(messages)) == len(van_day.fixes.t_ms)
        assert all(message.send_ms >= message.made_ms for message in messages)


def harsh_dice(world: World, van_day: VanDay) -> np.random.Generator:
    key = (van_day.tour.day.toordinal(), van_day.tour.van)
    return np.random.default_rng([world.seed, *b"harsh faults", *key])


def test_nothing_is_held_longer_than_its_rates_say_and_harsh_ones_say_hours(
    sent: list[Outgoing],
) -> None:
    longest_ms = max(message.send_ms - message.made_ms for message in sent)
    assert 3.5 * HOUR_MS < longest_ms < HARSHER.held_ms_max < 10 * HOUR_MS


@settings(max_examples=10)
@given(share=st.floats(0.05, 0.95))
def test_a_flush_at_harsh_rates_finds_all_that_was_made(sent: list[Outgoing], share: float) -> None:
    now_ms = int(sent[0].send_ms + share * (sent[-1].send_ms - sent[0].send_ms))
    before = [message for message in sent if message.send_ms <= now_ms]
    rest = iter([message for message in sent if message.send_ms > now_ms])
    flushed = list(flush(rest, now_ms, HARSHER.held_ms_max))
    made = {key for key in keys_of(sent) if key[1] <= now_ms - 2_000}
    assert made <= keys_of([*before, *flushed])


def test_late_fixes_come_alone_a_minute_to_hours_after_all_around_them(
    world: World, monday: FleetDay
) -> None:
    rates = replace(NONE, late_share=0.05, late_ms_max=4 * HOUR_MS)
    messages = [m for _, part in of_one_kind(world, monday, rates) for m in part]
    late_ms = np.array([message.send_ms - message.made_ms for message in messages])
    late = late_ms > 2_000
    assert not any(message.payload.startswith(b"[") for message in messages)
    assert 0.04 < late.mean() < 0.06
    assert MINUTE_MS <= late_ms[late].min() < 5 * MINUTE_MS
    assert 3.9 * HOUR_MS < late_ms[late].max() <= 4 * HOUR_MS
    assert 1.8 * HOUR_MS < late_ms[late].mean() < 2.2 * HOUR_MS


def test_late_fixes_still_wait_for_the_network(world: World, monday: FleetDay) -> None:
    for van_day in monday.van_days:
        rates = replace(NONE, late_share=0.5, dead_zones_a_day=20)
        messages = list(outgoing_of_van(world, van_day, (), rates))
        assert len(keys_of(messages)) == len(van_day.fixes.t_ms)
        assert any(message.payload.startswith(b"[") for message in messages)


@pytest.mark.parametrize(("hours", "latest_ms"), [(0.5, 30 * MINUTE_MS), (4, 4 * HOUR_MS)])
def test_repeats_are_byte_for_byte_and_some_come_hours_later(
    world: World, monday: FleetDay, hours: float, latest_ms: int
) -> None:
    rates = replace(NONE, repeated_share=0.3, repeated_ms_max=round(hours * HOUR_MS))
    later_ms: list[int] = []
    for van_day, messages in of_one_kind(world, monday, rates):
        first: dict[bytes, int] = {}
        for message in messages:
            if message.payload in first:
                later_ms.append(message.send_ms - first[message.payload])
            first.setdefault(message.payload, message.send_ms)
        assert len(first) == len(van_day.fixes.t_ms)
    rare = [ms for ms in later_ms if ms > 90_000]
    assert 0.05 < len(rare) / len(later_ms) < 0.15
    assert min(rare) >= 30 * MINUTE_MS
    assert 0.95 * latest_ms <= max(rare) <= latest_ms


def test_in_a_tunnel_no_fix_is_made_and_the_first_after_it_are_rough(
    world: World, monday: FleetDay
) -> None:
    gaps = 0
    for van_day, messages in of_one_kind(world, monday, replace(NONE, tunnels_a_day=3)):
        fixes = fixes_of(messages)
        t_ms = np.array([fix.t for fix in fixes])
        accuracy_m = np.array([fix.acc_m or 0 for fix in fixes])
        after = np.flatnonzero(np.diff(t_ms) > 20_000) + 1
        # A change of state makes a fix at once, so a short tunnel's gap may be a little longer.
        assert (np.diff(t_ms)[after - 1] <= 360_000 + 20_000).all()
        assert (accuracy_m[after] >= 40).all()
        rough = np.flatnonzero(accuracy_m > 15)
        assert all(
            0 <= (index - after).min(where=index >= after, initial=99) <= 2 for index in rough
        )
        assert (accuracy_m[rough] <= 300).all()
        gaps += len(after)
        assert set(t_ms.tolist()) <= set(van_day.fixes.t_ms.tolist())
    assert gaps > 8


def test_a_rough_fix_is_off_by_about_what_it_claims(world: World, monday: FleetDay) -> None:
    off, count = 0.0, 0
    for van_day, messages in of_one_kind(world, monday, replace(NONE, tunnels_a_day=30)):
        at = {int(t): index for index, t in enumerate(van_day.fixes.t_ms)}
        for fix in fixes_of(messages):
            if (fix.acc_m or 0) > 15:
                index = at[fix.t]
                error_m = distance_m(
                    van_day.fixes.latitude_deg[[index]],
                    van_day.fixes.longitude_deg[[index]],
                    fix.lat,
                    fix.lon,
                )
                off += float(error_m[0]) / (fix.acc_m or 1)
                count += 1
    assert count > 50
    assert 0.45 < off / count < 0.8  # sqrt(pi / 2) / 2: the mean of a Rayleigh with half of it


def test_a_frozen_receiver_repeats_one_true_position_while_the_odometer_runs_on(
    world: World, monday: FleetDay
) -> None:
    spells = 0
    rates = replace(NONE, noise_m=4.0, frozen_a_day=2)
    for van_day, messages in of_one_kind(world, monday, rates):
        fixes = fixes_of(messages)
        assert [fix.t for fix in fixes] == van_day.fixes.t_ms.tolist()
        _, frozen = draw_spells(van_day, 0, 2, harsh_dice(world, van_day))
        for spell in frozen:
            spells += 1
            inside = np.flatnonzero(within(van_day.fixes.t_ms, [spell])).tolist()
            assert 50_000 <= fixes[inside[-1]].t - fixes[inside[0]].t <= 480_000
            assert len({(fixes[index].lat, fixes[index].lon) for index in inside}) == 1
            assert (fixes[inside[-1]].odometer_m or 0) - (fixes[inside[0]].odometer_m or 0) > 100
            assert len({fixes[index].acc_m for index in inside}) > 1
            for index in (inside[0], inside[-1] + 1):
                error_m = distance_m(
                    van_day.fixes.latitude_deg[[index]],
                    van_day.fixes.longitude_deg[[index]],
                    fixes[index].lat,
                    fixes[index].lon,
                )
                assert error_m[0] < 30
    assert spells > 4


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    van=st.integers(0, 4),
    tunnels_a_day=st.floats(0, 20),
    frozen_a_day=st.floats(0, 20),
)
def test_spells_lie_in_drives_clear_of_every_arrival_and_departure_and_of_each_other(
    monday: FleetDay, seed: int, van: int, tunnels_a_day: float, frozen_a_day: float
) -> None:
    van_day = monday.van_days[van]
    fixes = van_day.fixes
    tunnels, frozen = draw_spells(van_day, tunnels_a_day, frozen_a_day, np.random.default_rng(seed))
    assert all(20_000 <= spell.to_ms - spell.from_ms <= 360_000 for spell in tunnels)
    assert all(60_000 <= spell.to_ms - spell.from_ms <= 480_000 for spell in frozen)
    spells = sorted([*tunnels, *frozen], key=lambda spell: spell.from_ms)
    for before, after in pairwise(spells):
        assert after.from_ms - before.to_ms >= 3 * MINUTE_MS
    for spell in spells:
        for visit in van_day.visits:
            for moment_ms in (visit.arrived_ms, visit.left_ms):
                assert not (
                    spell.from_ms - 5 * MINUTE_MS
                    <= moment_ms
                    <= spell.to_ms + MINUTE_MS + 5 * MINUTE_MS
                )
            assert not visit.arrived_ms <= spell.from_ms <= visit.left_ms
        inside = within(fixes.t_ms, [spell])
        assert fixes.ignition[inside].all()
        assert fixes.speed_mps[inside][0] > 0
        assert fixes.speed_mps[np.searchsorted(fixes.t_ms, spell.to_ms)] > 0


def test_a_day_has_about_as_many_spells_as_were_asked_for() -> None:
    many = create_world(3, vans=60, sites=2_000, items=40)
    day = next(fleet_days(many, MONDAY, Tracker(10, 10)))
    drawn = [
        draw_spells(van_day, 3, 0.5, np.random.default_rng(index))
        for index, van_day in enumerate(day.van_days)
    ]
    assert 2.4 < sum(len(tunnels) for tunnels, _ in drawn) / 60 < 3.6
    assert 0.25 < sum(len(frozen) for _, frozen in drawn) / 60 < 0.75


def test_zeros_are_exactly_zero_and_keep_their_other_fields(world: World, monday: FleetDay) -> None:
    zeros = fixes = 0
    for van_day, messages in of_one_kind(world, monday, replace(NONE, zero_share=0.01)):
        told = fixes_of(messages)
        fixes += len(told)
        assert [fix.odometer_m for fix in told] == np.round(van_day.fixes.odometer_m).tolist()
        for fix in told:
            assert (fix.lat == 0) == (fix.lon == 0)
            zeros += fix.lat == 0
    assert 0.007 < zeros / fixes < 0.013


def test_an_ancient_time_is_1024_weeks_back_and_a_future_one_is_ahead_of_its_sending(
    monday: FleetDay, sent: list[Outgoing]
) -> None:
    kinds: Counter[str] = Counter()
    first_ms = min(int(van_day.fixes.t_ms[0]) for van_day in monday.van_days)
    for message, fix in wrong_times(sent):
        if fix.t < first_ms:
            kinds["ancient"] += 1
            assert abs(fix.t + 1_024 * 7 * 86_400_000 - message.made_ms) <= 2_000
        else:
            kinds["future"] += 1
            assert 10 * MINUTE_MS <= fix.t - message.send_ms <= 10 * HOUR_MS
            # Also of those that come hours late.
            kinds["late"] += message.send_ms - message.made_ms > 10 * MINUTE_MS
    assert min(kinds["ancient"], kinds["future"]) > 50
    assert kinds["late"] > 0


def test_a_jump_has_good_neighbours_also_among_harsh_faults(
    monday: FleetDay, sent: list[Outgoing], world: World
) -> None:
    jumps = 0
    for van_day in monday.van_days:
        _, frozen = draw_spells(
            van_day, HARSHER.tunnels_a_day, HARSHER.frozen_a_day, harsh_dice(world, van_day)
        )
        topic = f"fleet/v1/{van_day.van}/position"
        fixes = fixes_of(message for message in sent if message.topic == topic)
        t_ms = np.array([fix.t for fix in fixes])
        # Its clock is off by up to 2 s, its fixes are 10 s apart: the nearest is the same.
        true = np.abs(van_day.fixes.t_ms - t_ms[:, None]).argmin(axis=1)
        frozen_now = within(van_day.fixes.t_ms[true], frozen)
        error_m = np.array(
            [
                float(distance_m(np.array(fix.lat), np.array(fix.lon), lat, lon))
                for fix, lat, lon in zip(
                    fixes,
                    van_day.fixes.latitude_deg[true],
                    van_day.fixes.longitude_deg[true],
                    strict=True,
                )
            ]
        )
        zero = np.array([fix.lat == 0 for fix in fixes])
        accuracy_m = np.array([fix.acc_m or 0 for fix in fixes])
        good = (accuracy_m <= 15) & ~zero & ~frozen_now
        for index in np.flatnonzero(good & (error_m > 100)):
            jumps += 1
            assert good[[index - 1, index + 1]].all()
            assert error_m[[index - 1, index + 1]].max() < 30
    assert jumps > 50


def test_harsh_faults_leave_the_usual_ones_as_they_are(world: World, monday: FleetDay) -> None:
    for van_day in monday.van_days:
        usual = fixes_of(outgoing_of_van(world, van_day, (), replace(USUAL, spoiled_a_day=0)))
        late = replace(USUAL, spoiled_a_day=0, late_share=0.1, frozen_a_day=1)
        harsh = fixes_of(outgoing_of_van(world, van_day, (), late))
        assert [fix.t for fix in harsh] == [fix.t for fix in usual]
        assert [fix.acc_m for fix in harsh] == [fix.acc_m for fix in usual]
        same = [a.lat == b.lat for a, b in zip(harsh, usual, strict=True)]
        assert sum(same) / len(same) > 0.9
