"""From what happened to what is sent: noise, dead zones, repeats, wrong order, spoiled payloads.

The faults are those a fleet really shows. GPS: white noise, a few poor fixes that say so
(`acc_m` above 100), a few isolated jumps that do not. Network: dead zones, in which a van keeps
what it made and sends it as backlog arrays only after its newer data has begun to flow, in no good
order; repeats of the very same payload; small delays. Clocks: each van's is off by up to 2 s, the
same all day. Devices: a tablet that sends everything an hour late; payloads that are no good.

`HARSH` adds what is rarer. GPS: tunnels, in which no fix is made, with rough fixes after them;
receivers that freeze, repeating one position bit for bit while speed and odometer go on; positions
of exactly (0, 0). Network: single fixes that come hours after all around them. Clocks: a fix whose
time is 1,024 weeks back (the GPS week number's rollover), or up to 10 hours ahead *of its sending*.
These two replace the fix, are told once, and count as spoiled: nobody can use them. What a receiver
of messages must store, and only not believe (zero, poor, jump, frozen), is not spoiled.

None of this makes the truth doubtful: see `spells` for tunnels and frozen receivers.

Every van's stream is a pure function of world, day and rates, sorted by `send_ms`; two runs differ
in nothing, so a simulator that was stopped goes on by skipping what it had sent.

A jump is a single fix that would need more than 110 m/s from the fix before and to the fix after,
both of them good, neither frozen: nobody drives that, so it is a fault by any rule.

This module must not know what the receiver does about any of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import merge
from operator import attrgetter
from typing import Final

import msgspec
import numpy as np

from ingest.messages import BACKLOG_MAX, Position, Scan, Status, encode
from simulators.roads import METRES_PER_DEGREE, Bools, Floats
from simulators.spells import Spell, draw_spells, within
from simulators.vans import Fixes, VanDay
from simulators.world import Ints, World, dice

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
#: The longest a dead zone or a late tablet holds anything back, with its sending.
USUALLY_HELD_MS_MAX: Final = 90 * MINUTE_MS
#: A late fix comes after all that was made around it, even after what is delayed.
LATE_MS_MIN: Final = MINUTE_MS
JUMP_MPS: Final = 115.0
#: So many fixes after a tunnel claim, and have, an accuracy between these, metres.
ROUGH_FIXES: Final = 3
ROUGH_M: Final = (40.0, 300.0)
#: GPS counts weeks in 10 bits.
ROLLOVER_MS: Final = 1_024 * 7 * 24 * HOUR_MS
AHEAD_MS: Final = (10 * MINUTE_MS, 10 * HOUR_MS)


@dataclass(frozen=True, slots=True)
class Rates:
    """How often things go wrong: shares of messages, or expected numbers per van and day.

    A tenth of the repeats come half an hour later, or anything between that and `repeated_ms_max`.
    `late_share` of the fixes come a minute to `late_ms_max` later. Both are of what is sent alone:
    a dead zone's backlog has its own order.
    """

    noise_m: float = 4.0
    poor_share: float = 0.005
    jump_share: float = 0.001
    dead_zones_a_day: float = 1.2
    late_tablet_share: float = 0.01
    repeated_share: float = 0.004
    delayed_share: float = 0.01
    spoiled_a_day: float = 0.5
    clock_off_ms: int = 2_000
    repeated_ms_max: int = 30 * MINUTE_MS
    late_share: float = 0.0
    late_ms_max: int = 4 * HOUR_MS
    tunnels_a_day: float = 0.0
    frozen_a_day: float = 0.0
    zero_share: float = 0.0
    ancient_share: float = 0.0
    future_share: float = 0.0

    @property
    def held_ms_max(self) -> int:
        """Return the longest time between making and sending: a late fix, a dead zone, a repeat."""
        late_ms = self.late_ms_max if self.late_share else 0
        return max(USUALLY_HELD_MS_MAX, late_ms + self.repeated_ms_max + 30 * MINUTE_MS)


USUAL: Final = Rates()
NONE: Final = Rates(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0)
#: What `cordee verify` puts the engine to.
HARSH: Final = Rates(
    noise_m=5.0,
    poor_share=0.01,
    jump_share=0.001,
    dead_zones_a_day=1.0,
    repeated_share=0.05,
    repeated_ms_max=4 * HOUR_MS,
    late_share=0.05,
    late_ms_max=4 * HOUR_MS,
    tunnels_a_day=3.0,
    frozen_a_day=0.5,
    zero_share=0.001,
    ancient_share=0.0002,
    future_share=0.0002,
    clock_off_ms=2_000,
)
#: The longest anything is held back at usual rates; `Rates.held_ms_max` for others.
HELD_MS_MAX: Final = USUAL.held_ms_max


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message as it leaves a van. `made_ms` is when its content, or the oldest of it, arose.

    `spoiled` marks a payload or topic that nobody can use.
    """

    send_ms: int
    topic: str
    payload: bytes
    retain: bool = False
    made_ms: int = 0
    spoiled: bool = False


#: The order of every stream.
SENT: Final = attrgetter("send_ms")


@dataclass(frozen=True, slots=True, eq=False)
class _Feed:
    """A van's fixes on their way: when truly made, what is told of them, when each is sent alone.

    `sent_ms` is -1 for those a dead zone holds back. All columns have the shape (fixes,).
    """

    topic: str
    made_ms: Ints
    told: Fixes
    accuracy_m: Floats
    sent_ms: Ints

    def position(self, index: int) -> Position:
        """Return one fix as it is told."""
        told = self.told
        return Position(
            t=int(told.t_ms[index]),
            lat=float(told.latitude_deg[index]),
            lon=float(told.longitude_deg[index]),
            acc_m=float(self.accuracy_m[index]),
            speed_mps=float(told.speed_mps[index]),
            bearing_deg=float(told.bearing_deg[index]),
            ignition=bool(told.ignition[index]),
            odometer_m=float(told.odometer_m[index]),
        )

    def only(self, kept: Bools) -> "_Feed":
        """Return the feed of the fixes that are `kept`, shape (fixes,)."""
        return _Feed(
            topic=self.topic,
            made_ms=self.made_ms[kept],
            told=self.told.only(kept),
            accuracy_m=self.accuracy_m[kept],
            sent_ms=self.sent_ms[kept],
        )

    def alone(self, index: int, later_ms: int = 0) -> Outgoing:
        """Return one fix as its own message."""
        return Outgoing(
            send_ms=int(self.sent_ms[index]) + later_ms,
            topic=self.topic,
            payload=encode(self.position(index)),
            made_ms=int(self.made_ms[index]),
        )


@dataclass(frozen=True, slots=True)
class DeadZone:
    """No network from `from_ms` until `to_ms`."""

    from_ms: int
    to_ms: int


def outgoing_of_van(
    world: World,
    van_day: VanDay,
    scans: Sequence[Scan],
    rates: Rates = USUAL,
    since_ms: int = 0,
) -> Iterator[Outgoing]:
    """Yield what one van sends in its day, by `send_ms`, leaving out what is before `since_ms`.

    Fixes are encoded one by one as they are asked for; the rest, far fewer, at once.
    """
    key = van_day.tour.day.toordinal(), van_day.tour.van
    rng = dice(world.seed, "faults", *key)
    # Dice of their own: rates without harsh faults send, byte for byte, what they always did.
    harsh = dice(world.seed, "harsh faults", *key)
    clock_ms = round(rng.uniform(-1, 1) * rates.clock_off_ms)
    zones = _dead_zones(van_day, rates, rng)
    tunnels, frozen = draw_spells(van_day, rates.tunnels_a_day, rates.frozen_a_day, harsh)
    made = van_day.fixes.only(~within(van_day.fixes.t_ms, tunnels))
    measured, accuracy_m = _measure(made, rates, rng, tunnels=tunnels, frozen=frozen, harsh=harsh)
    made_feed = _Feed(
        topic=f"fleet/v1/{van_day.van}/position",
        made_ms=measured.t_ms,
        told=replace(measured, t_ms=measured.t_ms + clock_ms),
        accuracy_m=accuracy_m,
        sent_ms=_send_times(measured.t_ms, zones, rates, rng, harsh),
    )
    ancient, future = _with_a_wrong_time(made_feed, rates, harsh)
    feed = made_feed.only(~(ancient | future))
    extras = [
        *_fix_backlogs(feed, zones, rng),
        *_repeats(feed, rates, rng, harsh),
        *_spoiled(feed, rates, rng),
        *_ancient(made_feed.only(ancient)),
        *_future(made_feed.only(future), harsh),
        *_statuses(van_day, zones, clock_ms),
        *_scan_messages(van_day.van, scans, zones, clock_ms, rates=rates, rng=rng),
    ]
    extras = [message for message in extras if message.send_ms >= since_ms]
    extras.sort(key=SENT)
    return merge(_live_fixes(feed, since_ms), extras, key=SENT)


def _dead_zones(van_day: VanDay, rates: Rates, rng: np.random.Generator) -> tuple[DeadZone, ...]:
    """30 s to 20 min each, short ones likelier; anywhere in the day, one after the other."""
    zones: list[DeadZone] = []
    starts = rng.integers(
        van_day.on_duty_ms, van_day.off_duty_ms, int(rng.poisson(rates.dead_zones_a_day))
    )
    for from_ms in sorted(starts.tolist()):
        to_ms = from_ms + round(30_000 * 40 ** rng.random())
        if not zones or from_ms > zones[-1].to_ms + 3 * MINUTE_MS:
            zones.append(DeadZone(from_ms, to_ms))
    return tuple(zones)


def _measure(
    fixes: Fixes,
    rates: Rates,
    rng: np.random.Generator,
    *,
    tunnels: Sequence[Spell],
    frozen: Sequence[Spell],
    harsh: np.random.Generator,
) -> tuple[Fixes, Floats]:
    """Return the fixes as a receiver measures them, and the accuracy it claims, metres."""
    count = len(fixes.t_ms)
    north_m, east_m = rng.normal(0.0, rates.noise_m, (2, count))
    accuracy_m = np.round(np.clip(rng.lognormal(1.7, 0.4, count), 3, 15), 1).astype(np.float64)
    poor = rng.random(count) < rates.poor_share
    accuracy_m[poor] = np.round(rng.uniform(110, 900, int(poor.sum())), 1)
    north_m[poor] = rng.normal(0.0, accuracy_m[poor] / 2)
    east_m[poor] = rng.normal(0.0, accuracy_m[poor] / 2)
    for tunnel in tunnels:
        out = int(np.searchsorted(fixes.t_ms, tunnel.to_ms))
        rough = slice(out, out + int(harsh.integers(1, ROUGH_FIXES + 1)))
        accuracy_m[rough] = np.round(harsh.uniform(*ROUGH_M, len(accuracy_m[rough])), 1)
        north_m[rough] = harsh.normal(0.0, accuracy_m[rough] / 2)
        east_m[rough] = harsh.normal(0.0, accuracy_m[rough] / 2)
        poor[rough] = True
    zero = (harsh.random(count) < rates.zero_share) & ~within(fixes.t_ms, frozen)
    # Where no jump may come: its neighbours must be good, or it could not be told from them.
    disturbed = poor | zero | within(fixes.t_ms, frozen)

    gap_s = np.diff(fixes.t_ms) / 1000
    for index in np.flatnonzero(rng.random(count) < rates.jump_share).tolist():
        beside = slice(index - 2, index + 3)
        if not 2 <= index < count - 2 or disturbed[beside].any():
            continue
        jump_m = JUMP_MPS * max(gap_s[index - 1], gap_s[index]) + rng.uniform(100, 1_500)
        bearing = rng.uniform(0, 2 * np.pi)
        north_m[index], east_m[index] = jump_m * np.cos(bearing), jump_m * np.sin(bearing)
        disturbed[index] = True  # so that no second jump comes beside this one

    east_metres = METRES_PER_DEGREE * np.cos(np.radians(fixes.latitude_deg))
    measured = replace(
        fixes,
        latitude_deg=np.round(fixes.latitude_deg + north_m / METRES_PER_DEGREE, 6),
        longitude_deg=np.round(fixes.longitude_deg + east_m / east_metres, 6),
        speed_mps=np.round(fixes.speed_mps, 1),
        bearing_deg=np.round(fixes.bearing_deg, 0),
        odometer_m=np.round(fixes.odometer_m, 0),
    )
    for spell in frozen:
        held = np.flatnonzero(within(fixes.t_ms, [spell]))
        # What it holds on to is the first good position of the spell.
        held = held[int(np.argmax(~poor[held])) :]
        measured.latitude_deg[held] = measured.latitude_deg[held[0]]
        measured.longitude_deg[held] = measured.longitude_deg[held[0]]
    measured.latitude_deg[zero] = measured.longitude_deg[zero] = 0.0
    return measured, accuracy_m


def _send_times(
    made_ms: Ints,
    zones: Sequence[DeadZone],
    rates: Rates,
    rng: np.random.Generator,
    harsh: np.random.Generator,
) -> Ints:
    """Return when each fix is sent alone, int64 ms; -1 for those held by a dead zone."""
    count = len(made_ms)
    sent = made_ms + rng.integers(200, 1_500, count)
    delayed = rng.random(count) < rates.delayed_share
    sent[delayed] += rng.integers(5_000, 40_000, int(delayed.sum()))
    late = harsh.random(count) < rates.late_share
    sent[late] = made_ms[late] + harsh.integers(LATE_MS_MIN, rates.late_ms_max, int(late.sum()))
    for zone in zones:
        sent[(made_ms >= zone.from_ms) & (made_ms < zone.to_ms)] = -1
        # What was on its way when the network went waits for its end.
        waiting = (made_ms < zone.from_ms) & (sent >= zone.from_ms) & (sent < zone.to_ms)
        sent[waiting] = zone.to_ms + rng.integers(100, 2_000, int(waiting.sum()))
    return sent


def _with_a_wrong_time(
    feed: _Feed, rates: Rates, harsh: np.random.Generator
) -> tuple[Bools, Bools]:
    """Return which fixes are told with a time years back, and which with one that is to come.

    Only of those sent alone: in a backlog a wrong time would spoil one element of an array.
    """
    ancient, future = (
        (harsh.random(len(feed.sent_ms)) < share) & (feed.sent_ms >= 0)
        for share in (rates.ancient_share, rates.future_share)
    )
    return ancient, future & ~ancient


def _ancient(feed: _Feed) -> Iterator[Outgoing]:
    """Yield each fix with the time of a receiver that lost count of the weeks."""
    back = replace(feed, told=replace(feed.told, t_ms=feed.told.t_ms - ROLLOVER_MS))
    for index in range(len(feed.sent_ms)):
        yield replace(back.alone(index), spoiled=True)


def _future(feed: _Feed, harsh: np.random.Generator) -> Iterator[Outgoing]:
    """Yield each fix with a time far ahead even when it is sent, however late that is."""
    t_ms = feed.sent_ms + harsh.integers(*AHEAD_MS, len(feed.sent_ms))
    ahead = replace(feed, told=replace(feed.told, t_ms=t_ms))
    for index in range(len(feed.sent_ms)):
        yield replace(ahead.alone(index), spoiled=True)


def _live_fixes(feed: _Feed, since_ms: int) -> Iterator[Outgoing]:
    order = np.argsort(feed.sent_ms, kind="stable")
    first = np.searchsorted(feed.sent_ms[order], max(0, since_ms))
    for index in order[first:].tolist():
        yield feed.alone(index)


def _fix_backlogs(
    feed: _Feed, zones: Sequence[DeadZone], rng: np.random.Generator
) -> Iterator[Outgoing]:
    """Yield each dead zone's fixes in arrays, after newer fixes have gone out, in no good order."""
    for zone in zones:
        inside = (feed.made_ms >= zone.from_ms) & (feed.made_ms < zone.to_ms)
        held = np.flatnonzero(inside & (feed.sent_ms < 0))
        rng.shuffle(held)
        newer = feed.sent_ms[(feed.made_ms >= zone.to_ms) & (feed.sent_ms >= 0)]
        begins_ms = int(newer.min()) if len(newer) else zone.to_ms
        start = 0
        while start < len(held):
            part = held[start : start + int(rng.integers(10, BACKLOG_MAX // 5))]
            start += len(part)
            yield Outgoing(
                send_ms=begins_ms + int(rng.integers(1_000, 45_000)),
                topic=feed.topic,
                payload=msgspec.json.encode([feed.position(index) for index in part.tolist()]),
                made_ms=int(feed.made_ms[part].min()),
            )


def _repeats(
    feed: _Feed, rates: Rates, rng: np.random.Generator, harsh: np.random.Generator
) -> Iterator[Outgoing]:
    """Yield some fixes once more, byte for byte, soon or half an hour later, or hours."""
    chosen = (rng.random(len(feed.sent_ms)) < rates.repeated_share) & (feed.sent_ms >= 0)
    half_an_hour_ms = 30 * MINUTE_MS
    more_ms = max(0, rates.repeated_ms_max - half_an_hour_ms)
    for index in np.flatnonzero(chosen).tolist():
        if rng.random() < 0.1:
            yield feed.alone(index, half_an_hour_ms + int(harsh.integers(0, more_ms + 1)))
        else:
            yield feed.alone(index, int(rng.integers(500, 90_000)))


def _spoiled(feed: _Feed, rates: Rates, rng: np.random.Generator) -> Iterator[Outgoing]:
    """Yield payloads nobody can use. Each differs from all others, so that each can be counted."""
    topic = feed.topic
    for _ in range(int(rng.poisson(rates.spoiled_a_day))):
        index = int(rng.integers(len(feed.sent_ms)))
        t = int(feed.told.t_ms[index]) + int(rng.integers(1, 900))
        payload, where = (
            (f'{{"t":{t},"lat":48.8,"lo'.encode(), topic),
            (f'{{"t":{t},"lat":48.85,"acc_m":5}}'.encode(), topic),
            (f'{{"t":{t},"lat":"48.85","lon":2.35}}'.encode(), topic),
            (f'{{"t":{t},"lat":148.85,"lon":2.35}}'.encode(), topic),
            (f'{{"t":{t},"lat":48.85,"lon":2.35}}'.encode(), "fleet/v1/van-unknown/position"),
        )[int(rng.integers(5))]
        send_ms = max(int(feed.sent_ms[index]), t + 900)
        yield Outgoing(send_ms, where, payload, made_ms=t, spoiled=True)


def _statuses(van_day: VanDay, zones: Sequence[DeadZone], clock_ms: int) -> Iterator[Outgoing]:
    """On duty before the first fix, off duty after the last: retained, so that the newest stays."""
    for t_ms, status in (
        (van_day.on_duty_ms, Status("online", van_day.on_duty_ms + clock_ms, "on")),
        (van_day.off_duty_ms, Status("offline", van_day.off_duty_ms + clock_ms, "off")),
    ):
        yield Outgoing(
            send_ms=_when_online(t_ms + 300, zones),
            topic=f"fleet/v1/{van_day.van}/status",
            payload=encode(status),
            retain=True,
            made_ms=t_ms,
        )


def _when_online(t_ms: int, zones: Sequence[DeadZone]) -> int:
    for zone in zones:
        if zone.from_ms <= t_ms < zone.to_ms:
            return zone.to_ms + 500
    return t_ms


def _scan_messages(
    van: str,
    scans: Sequence[Scan],
    zones: Sequence[DeadZone],
    clock_ms: int,
    *,
    rates: Rates,
    rng: np.random.Generator,
) -> Iterator[Outgoing]:
    """Yield each scan at once, or all of a dead zone in one array, newest first; some twice."""
    topic = f"fleet/v1/{van}/scan"
    late_ms = 60 * MINUTE_MS if rng.random() < rates.late_tablet_share else 0
    told = [msgspec.structs.replace(scan, t=scan.t + clock_ms) for scan in scans]
    held = [
        [index for index, scan in enumerate(scans) if zone.from_ms <= scan.t < zone.to_ms]
        for zone in zones
    ]
    in_a_zone = {index for part in held for index in part}
    for zone, part in zip(zones, held, strict=True):
        if part:
            yield Outgoing(
                send_ms=zone.to_ms + late_ms + int(rng.integers(12_000, 60_000)),
                topic=topic,
                payload=msgspec.json.encode([told[index] for index in reversed(part)]),
                made_ms=scans[part[0]].t,
            )
    for index, scan in enumerate(told):
        if index in in_a_zone:
            continue
        message = Outgoing(
            send_ms=_when_online(scans[index].t + late_ms + int(rng.integers(200, 1_500)), zones),
            topic=topic,
            payload=encode(scan),
            made_ms=scans[index].t,
        )
        yield message
        if rng.random() < rates.repeated_share * 5:
            yield replace(message, send_ms=message.send_ms + int(rng.integers(500, 90_000)))


def flush(
    remaining: Iterable[Outgoing], now_ms: int, held_ms_max: int = HELD_MS_MAX
) -> Iterator[Outgoing]:
    """Yield, from what is still to be sent, all that had been made by `now_ms`, to be sent now.

    A backlog array is cut to what had been made: its elements carry their own time, by the van's
    clock, up to 2 s off. Reads `remaining` only as far as anything can be held back at its rates.
    """
    for message in remaining:
        if message.send_ms > now_ms + held_ms_max:
            return
        if message.made_ms > now_ms:
            continue
        payload = message.payload
        if payload.startswith(b"["):
            parts = msgspec.json.decode(payload, type=list[_Timed])
            raws = msgspec.json.decode(payload, type=list[msgspec.Raw])
            kept = [raw for part, raw in zip(parts, raws, strict=True) if part.t <= now_ms]
            if not kept:
                continue
            payload = msgspec.json.encode(kept)
        yield replace(message, send_ms=now_ms, payload=payload)


class _Timed(msgspec.Struct):
    t: int
